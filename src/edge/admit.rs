//! How much may run at a time, streams in all and per key, and how many requests a key may send. The slot is held for the life of
//! the stream, not of its head.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, Either, Ready, ready};
use tower::{Layer, Service};

use crate::edge::{Admitted, Known, Refusal, Reservation};
use crate::wire::Code;

/// The limit of streams in all, shared by every worker.
#[derive(Clone, Debug)]
pub struct Limits {
    max_streams: usize,
    streams: Arc<AtomicUsize>,
}

impl Limits {
    pub fn new(max_streams: usize) -> Self {
        Self { max_streams, streams: Arc::default() }
    }

    /// Another limit, for the streams that are counted already too.
    #[must_use]
    pub fn renewed(&self, max_streams: usize) -> Self {
        Self { max_streams, streams: Arc::clone(&self.streams) }
    }
}

/// The right to run; freed when dropped, and what was put aside for the work is settled.
#[derive(Debug)]
pub struct Slot {
    counters: Vec<Arc<AtomicUsize>>,
    /// Dropped with the slot, and settled by that.
    reservation: Option<Reservation>,
}

impl Slot {
    /// Keeps what was put aside for the work.
    #[must_use]
    pub fn with(mut self, reservation: Reservation) -> Self {
        self.reservation = Some(reservation);
        self
    }

    /// One more in a counter, unless that is over its limit.
    fn take(&mut self, counter: &Arc<AtomicUsize>, limit: usize) -> bool {
        let before = counter.fetch_add(1, Ordering::Relaxed);
        self.counters.push(Arc::clone(counter));
        before < limit
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        for counter in &self.counters {
            counter.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Gives slots.
#[derive(Clone, Debug)]
pub struct AdmitLayer(pub Limits);

/// See [`AdmitLayer`].
#[derive(Clone, Debug)]
pub struct Admit<S> {
    limits: Limits,
    inner: S,
}

impl<S> Layer<S> for AdmitLayer {
    type Service = Admit<S>;

    fn layer(&self, inner: S) -> Admit<S> {
        Admit { limits: self.0.clone(), inner }
    }
}

/// An answer behind a request that is counted first, by all replicas together where there are several.
type Counted<R> = BoxFuture<'static, Result<R, Refusal>>;

/// How long a refused client is asked to stay away, in seconds.
const RETRY_AFTER: u32 = 5;

impl<S> Admit<S> {
    fn check(&self, known: &Known) -> Result<Option<Slot>, Refusal> {
        if !known.routed.policy.runs {
            return Ok(None);
        }
        let mut slot = Slot { counters: Vec::with_capacity(2), reservation: None };
        if let Some((limit, counter)) = known.caller.streams()
            && !slot.take(counter, limit)
        {
            known.routed.traced.access.metrics().refused("max_streams");
            let words = format!("this API key has {limit} streams already");
            return Err(Refusal::new(Code::RateLimited, words).retry_after(RETRY_AFTER));
        }
        if !slot.take(&self.limits.streams, self.limits.max_streams) {
            return Err(Refusal::new(Code::QueueFull, "the gateway has no room for another stream")
                .retry_after(RETRY_AFTER));
        }
        Ok(Some(slot))
    }
}

impl<S> Service<Known> for Admit<S>
where
    S: Service<Admitted, Error = Refusal, Future: Send> + Clone + Send + 'static,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = Refusal;
    type Future = Either<Ready<Result<S::Response, Refusal>>, Either<S::Future, Counted<S::Response>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, known: Known) -> Self::Future {
        let slot = match self.check(&known) {
            Ok(slot) => slot,
            Err(refusal) => {
                return Either::Left(ready(Err(refusal.unread_of_caller(known.routed.traced.request))));
            }
        };
        let Known { caller, routed } = known;
        let counting = caller.allowance().filter(|allowance| routed.policy.counted && allowance.counts());
        let Some(allowance) = counting.cloned() else {
            return Either::Right(Either::Left(self.inner.call(Admitted { slot, caller, routed })));
        };
        let mut inner = self.inner.clone();
        Either::Right(Either::Right(Box::pin(async move {
            match allowance.count(&routed.traced.access).await {
                Ok(()) => inner.call(Admitted { slot, caller, routed }).await,
                Err(refusal) => Err(refusal.unread_of_caller(routed.traced.request)),
            }
        })))
    }
}
