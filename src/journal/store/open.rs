//! A stream that another replica writes, or wrote, is opened here: a mirror of it takes its place among the records.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use crate::journal::OpenError;
use crate::journal::new::{Asker, StoreError};
use crate::journal::record::{Meta, Record, Role};
use crate::journal::shelf::Shelf;
use crate::journal::store::look::{Look, PAGE, Question};
use crate::journal::store::names::StreamKeys;
use crate::journal::store::pieces::{Assembly, Stored};
use crate::journal::store::{PATIENT, Store, head};

/// How often it is looked whether more has come of what is known of a stream from its beginning.
const PAUSE: Duration = Duration::from_millis(50);

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
        let mut look = self.look(id, question).await?.ok_or_else(|| self.unknown())?;
        let meta = self.meta(asker, id, &look).await?;
        let record = shelf.record(meta, Role::mirror());
        if look.ended.is_none() && !look.alive && self.fence(id).await.is_ok() {
            look = self.look(id, question).await?.ok_or_else(|| self.unknown())?;
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
        if let Some(ended) = look.end(record.meta()) {
            record.end_with(ended);
        }
        let record = shelf.put_mirror(record);
        self.0.wakes.wake(id);
        self.0.mirrors.notify_one();
        Ok(record)
    }

    /// Of what the store knows nothing. While the replicas tell it anew what it lost, it may know tomorrow.
    fn unknown(&self) -> OpenError {
        if self.0.health.is_recovering() { OpenError::Away } else { OpenError::Unknown }
    }

    /// What is known of a stream from its beginning, for somebody who may see it.
    async fn meta(&self, asker: Asker<'_>, id: &str, look: &Look) -> Result<Meta, OpenError> {
        if look.deleted || look.head.is_empty() {
            let own = look.owner.as_deref() == Some(self.0.names.owner(asker.0).as_bytes());
            return Err(match own {
                true if !look.deleted && look.ended.is_none() && look.alive => OpenError::Away, // it comes again
                true => OpenError::Expired,
                false => OpenError::Unknown,
            });
        }
        let Some((meta, rest)) = self.start(id, look) else {
            self.0.metrics.store_error();
            return Err(OpenError::Unknown);
        };
        if !asker.may_see(meta.owner.as_deref()) {
            return Err(OpenError::Unknown);
        }
        let Some(rest) = rest else { return Ok(meta) };
        let whole = self.read_head(id, rest).await?;
        whole.and_then(head::read).filter(|meta| meta.id == id).ok_or_else(|| {
            self.0.metrics.store_error();
            OpenError::Unknown
        })
    }

    /// What the first piece tells of a stream: its label may be cut off, and goes on in the rest. `None`: it is something else.
    pub(super) fn start(&self, id: &str, look: &Look) -> Option<(Meta, Option<Assembly>)> {
        let (meta, rest) = match self.seal(id).read(0, &look.head)? {
            Stored::Whole(bytes) => (head::read(bytes)?, None),
            Stored::Beginning(rest) => {
                let (meta, _) = head::read_start(Bytes::copy_from_slice(rest.bytes()))?;
                (meta, Some(rest))
            }
        };
        (meta.id == id).then_some((meta, rest))
    }

    /// The whole of what stands in pieces; `None` if it is something else. Its writer may still be at it.
    async fn read_head(&self, id: &str, mut rest: Assembly) -> Result<Option<Bytes>, StoreError> {
        let (seal, head) = (self.seal(id), StreamKeys::new(id).head);
        let mut connection = self.connection()?;
        let patience = Instant::now() + PATIENT;
        loop {
            let index = redis::cmd("LINDEX").arg(&head).arg(rest.next()).to_owned();
            let stored: Option<Bytes> = self.within(PATIENT, index.query_async(&mut connection)).await?;
            match stored {
                Some(stored) => match rest.add(&seal, rest.next(), &stored) {
                    Some(true) => return Ok(Some(rest.whole())),
                    Some(false) => {}
                    None => return Ok(None),
                },
                None if Instant::now() < patience => sleep(PAUSE).await,
                None => return Err(StoreError::Away),
            }
        }
    }
}
