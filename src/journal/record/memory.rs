//! What a record takes in memory, which is counted as it changes.

use bytes::Bytes;

use crate::journal::record::frames::Frames;
use crate::journal::record::{AliasOf, Meta, Record, State};

/// What a record takes beside its bytes: itself, and its places in the maps and orders of the shelf. Measured.
const OVERHEAD: usize = 2048;
/// Frames that take no more than this are not trimmed.
const SMALL: usize = 8 << 10;
/// How often a name is kept: with the record, in the map of the names, and where it is shared.
const COPIES: usize = 3;
/// The longest alias.
const MAX_ALIAS: usize = 256;

impl Record {
    /// What a record takes in memory before it has a frame, and when all of them are trimmed.
    pub(in crate::journal) fn fixed_of(meta: &Meta) -> usize {
        let names = [&meta.owner, &meta.conversation, &meta.channel];
        let names: usize = names.into_iter().flatten().map(String::len).sum();
        OVERHEAD + meta.label.len() + COPIES * names
    }

    /// The same of this one.
    pub(in crate::journal) fn fixed(&self) -> usize {
        self.fixed
    }

    /// What it takes in memory now.
    pub(in crate::journal) fn memory(&self) -> usize {
        let state = self.state();
        self.fixed + state.names + state.frames.memory()
    }

    /// It is kept under another name, too.
    pub(in crate::journal) fn is_named(&self, name: &str) {
        let taken = COPIES * name.len();
        self.state().names += taken;
        self.account.charge(taken);
    }

    /// Its first frame is to be read for what its backend calls it; its last one, if the first does not say so.
    pub(in crate::journal) fn reads_alias(&self, alias_of: Option<AliasOf>) {
        self.state().alias_of = alias_of;
    }

    /// What its backend calls it.
    pub(in crate::journal) fn alias(&self) -> Option<String> {
        self.state().alias.clone()
    }

    /// Reads a frame for what the backend calls the stream. It is known by that from now on.
    pub(super) fn read_alias(&self, state: &mut State, frame: Option<Bytes>) {
        let (Some(alias_of), Some(frame)) = (state.alias_of, frame) else { return };
        let Some(alias) = alias_of(&self.meta, &frame).filter(|alias| alias.len() <= MAX_ALIAS) else {
            return;
        };
        state.alias_of = None;
        self.account.alias(self.meta.owner.as_deref(), &alias, &self.meta.id);
        let taken = COPIES * alias.len();
        state.names += taken;
        self.account.charge(taken);
        state.alias = Some(alias);
    }

    /// Changes the frames, and counts what they take then.
    pub(super) fn change(&self, state: &mut State, change: impl FnOnce(&mut Frames)) {
        let before = state.frames.memory();
        change(&mut state.frames);
        self.account.recharge(before, state.frames.memory());
    }

    /// Drops the oldest frames, but not the newest of all, until so many bytes of memory are free; gives how many are. What a
    /// small record would lose would free nothing.
    pub(in crate::journal) fn trim(&self, bytes: usize) -> usize {
        let mut state = self.state();
        let before = state.frames.memory();
        self.change(&mut state, |frames| {
            let goal = before.saturating_sub(bytes).max(SMALL);
            while frames.memory() > goal && frames.pop().is_some() {}
        });
        before.saturating_sub(state.frames.memory())
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        self.account.uncharge(self.fixed + state.names + state.frames.memory());
        if let Some(alias) = &state.alias {
            self.account.drop_alias(self.meta.owner.as_deref(), alias, &self.meta.id);
        }
    }
}
