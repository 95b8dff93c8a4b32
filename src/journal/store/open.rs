//! A stream that another replica writes, or wrote, is opened here: a mirror of it takes its place among the records.

use std::sync::Arc;

use crate::journal::OpenError;
use crate::journal::new::Asker;
use crate::journal::record::{Record, Role};
use crate::journal::shelf::Shelf;
use crate::journal::store::look::{Look, PAGE, Question};
use crate::journal::store::{Store, head};

impl Store {
    /// Gives the record of an id, with everything that the store has of it.
    pub(in crate::journal) async fn open(
        &self,
        shelf: &Shelf,
        asker: Asker<'_>,
        id: &str,
    ) -> Result<Arc<Record>, OpenError> {
        if !self.is_up() {
            return Err(OpenError::Away);
        }
        let question = Question { after: 0, count: PAGE, reads: true, head: true };
        let mut look = self.look(id, question).await?.ok_or(OpenError::Unknown)?;
        let record = self.mirror(shelf, asker, id, &look)?;
        if look.ended.is_none() && !look.alive && self.fence(id).await.is_ok() {
            look = self.look(id, question).await?.ok_or(OpenError::Unknown)?;
        }
        loop {
            let before = record.status().last;
            record.fill(look.from, std::mem::take(&mut look.frames));
            let after = record.status().last;
            if after >= look.last {
                break;
            }
            if after == before && look.from <= after + 1 && look.last > after {
                return Err(OpenError::Expired); // its frames are gone, or are none
            }
            let question = Question { after, count: PAGE, reads: true, head: false };
            look = self.look(id, question).await?.ok_or(OpenError::Expired)?;
        }
        if let Some(ended) = look.ended {
            record.end_with(ended);
        }
        let record = shelf.put_mirror(record);
        self.0.wakes.wake(id);
        self.0.mirrors.notify_one();
        Ok(record)
    }

    fn mirror(
        &self,
        shelf: &Shelf,
        asker: Asker<'_>,
        id: &str,
        look: &Look,
    ) -> Result<Arc<Record>, OpenError> {
        if look.owner != self.0.names.owner(asker.0) {
            return Err(OpenError::Unknown);
        }
        if look.deleted || look.head.is_empty() {
            return Err(OpenError::Expired);
        }
        let Some(meta) = self.seal(id).open(0, &look.head).and_then(head::read).filter(|meta| meta.id == id)
        else {
            self.0.metrics.store_error();
            return Err(OpenError::Unknown);
        };
        Ok(shelf.record(meta, Role::mirror()))
    }
}
