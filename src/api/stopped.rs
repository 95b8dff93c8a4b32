//! What ends work that is under way, whoever does it: the time to drain is over, the key is taken back, or the time of a signed
//! address is over.

use futures_util::future::BoxFuture;

use crate::api::Parts;
use crate::edge::{Caller, Lapse, Refusal};
use crate::server::Shutdown;
use crate::wire::{Code, Failure};

/// Resolves when the caller's work must end, with what it is told.
pub(super) fn stopped(parts: &Parts, caller: &Caller) -> BoxFuture<'static, Failure> {
    let (shutdown, caller) = (parts.shutdown.clone(), caller.clone());
    Box::pin(async move {
        tokio::select! {
            biased;
            () = shutdown.drained() => Failure::new(Code::Draining, "the gateway is being restarted"),
            failure = lapsed(&caller) => failure,
        }
    })
}

/// Resolves when a caller may listen no longer: the gateway drains, or the key is taken back.
pub(super) async fn dismissed(shutdown: Shutdown, caller: Caller) {
    tokio::select! {
        biased;
        () = shutdown.draining() => {}
        _ = caller.lapsed() => {}
    }
}

/// Resolves when the caller may go on no longer, with what it is told.
pub(super) async fn lapsed(caller: &Caller) -> Failure {
    why(caller.lapsed().await)
}

/// What a caller is told that may go on no longer.
pub(super) fn why(lapse: Lapse) -> Failure {
    let words = match lapse {
        Lapse::Revoked => "the API key of this request is valid no longer",
        Lapse::Expired => "the signed address of this request has expired",
    };
    Failure::new(Code::Unauthorized, words)
}

/// Waits for what a caller has asked, at most for as long as it may.
pub(super) async fn until_lapsed<T>(caller: &Caller, asking: impl Future<Output = T>) -> Result<T, Refusal> {
    tokio::select! {
        biased;
        result = asking => Ok(result),
        failure = lapsed(caller) => Err(failure.into()),
    }
}
