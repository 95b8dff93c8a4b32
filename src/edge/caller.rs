//! Who calls: the holder of a key, anybody where there are none, or the holder of a signed address.

use std::collections::HashSet;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::time::{Instant, sleep_until};

use crate::edge::key::{Priority, Scope};
use crate::edge::revoked::Validity;
use crate::edge::sign::Verified;
use crate::edge::{Allowance, Resource};

/// Who calls; a clone is a handle.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose key it is, or whose key made the address.
    owner: Option<Arc<Owner>>,
    signed: Option<Arc<Signed>>,
}

/// The holder of a key.
#[derive(Debug)]
pub(super) struct Owner {
    /// A digest of the key: what belongs to the key belongs to this, and not to whoever has the name next.
    pub(super) id: String,
    /// For people.
    pub(super) name: Arc<str>,
    pub(super) priority: Priority,
    pub(super) scopes: HashSet<Scope>,
    pub(super) max_streams: Option<usize>,
    pub(super) streams: Arc<AtomicUsize>,
    pub(super) allowance: Arc<Allowance>,
    pub(super) validity: Validity,
}

/// What a signed address opens, as it was verified.
#[derive(Debug)]
pub struct Signed {
    id: String,
    owner: Option<String>,
    /// `None`: so far away that no clock tells it.
    expires: Option<Instant>,
}

impl Signed {
    /// The id of the record: the only one that may be opened.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// To whom the record must belong.
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }
}

/// Why a caller may go on no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lapse {
    /// Its key was taken back, or the key that made its address.
    Revoked,
    /// The time of its address is over.
    Expired,
}

/// To whom nothing belongs: whoever holds an address opens what it names, and finds nothing by any other way.
const NOBODY: &str = "\nnobody";

impl Caller {
    /// Everybody, where there are no keys or none is asked for.
    pub fn anyone() -> Self {
        Self { owner: None, signed: None }
    }

    pub(super) fn with_key(owner: &Arc<Owner>) -> Self {
        Self { owner: Some(Arc::clone(owner)), signed: None }
    }

    /// `owner`: whose key made the address, or nobody's where there are none.
    pub(super) fn with_address(
        owner: Option<&Arc<Owner>>,
        verified: &Verified,
        resource: Resource<'_>,
    ) -> Self {
        let signed = Signed {
            id: resource.id().to_owned(),
            owner: owner.map(|owner| owner.id.clone()),
            expires: Instant::now().checked_add(verified.left()),
        };
        Self { owner: owner.cloned(), signed: Some(Arc::new(signed)) }
    }

    /// What the address opens, if one was sent in place of a key.
    pub fn signed(&self) -> Option<&Signed> {
        self.signed.as_deref()
    }

    /// The key that was sent.
    fn key_owner(&self) -> Option<&Arc<Owner>> {
        self.owner.as_ref().filter(|_| self.signed.is_none())
    }

    /// To whom belongs what the caller makes and finds; `None` where there are no keys. What a signed address opens is found by
    /// [`Signed`] alone.
    pub fn owner(&self) -> Option<&str> {
        match &self.signed {
            Some(_) => Some(NOBODY),
            None => self.owner.as_ref().map(|owner| owner.id.as_str()),
        }
    }

    /// The name of the key, for log and metrics; `None` where there are no keys.
    pub fn name(&self) -> Option<&str> {
        self.key_owner().map(|owner| &*owner.name)
    }

    /// The same, to be kept.
    pub fn key(&self) -> Option<Arc<str>> {
        self.key_owner().map(|owner| Arc::clone(&owner.name))
    }

    /// A caller of weight 4 is let in four times as often as one of weight 1 while both wait.
    pub fn weight(&self) -> u32 {
        self.key_owner().map_or(Priority::Normal, |owner| owner.priority).weight()
    }

    /// What the caller may use; `None`: everything. Who holds an address uses nothing up of its owner's.
    pub fn allowance(&self) -> Option<&Arc<Allowance>> {
        self.key_owner().map(|owner| &owner.allowance)
    }

    /// Waits until the caller may go on no longer: for ever where there is neither a key nor an address. To be polled by one
    /// task. Cancel safe.
    pub async fn lapsed(&self) -> Lapse {
        let revoked = async {
            match &self.owner {
                Some(owner) => owner.validity.revoked().await,
                None => pending().await,
            }
        };
        let Some(expires) = self.signed.as_ref().and_then(|signed| signed.expires) else {
            revoked.await;
            return Lapse::Revoked;
        };
        tokio::select! {
            biased;
            () = revoked => Lapse::Revoked,
            () = sleep_until(expires) => Lapse::Expired,
        }
    }

    /// May the caller use this model?
    pub fn may_use(&self, model: &str) -> bool {
        self.allowance().is_none_or(|allowance| allowance.allows(model))
    }

    /// Are there models that the caller may not use?
    pub fn is_confined(&self) -> bool {
        self.allowance().is_some_and(|allowance| allowance.confines())
    }

    /// The caller's limit of streams and how many it has.
    pub(super) fn streams(&self) -> Option<(usize, &Arc<AtomicUsize>)> {
        let owner = self.key_owner()?;
        Some((owner.max_streams?, &owner.streams))
    }
}

impl Owner {
    pub(super) fn may(&self, scopes: &[Scope]) -> bool {
        scopes.iter().any(|scope| self.scopes.contains(scope))
    }
}
