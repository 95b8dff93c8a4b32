//! What ends work that is under way, whoever does it: the time to drain is over, or the key is taken back.

use futures_util::future::BoxFuture;

use crate::api::Parts;
use crate::edge::Caller;
use crate::server::Shutdown;
use crate::wire::{Code, Failure};

/// Resolves when the caller's work must end, with what it is told.
pub(super) fn stopped(parts: &Parts, caller: &Caller) -> BoxFuture<'static, Failure> {
    let (shutdown, caller) = (parts.shutdown.clone(), caller.clone());
    Box::pin(async move {
        tokio::select! {
            biased;
            () = shutdown.drained() => Failure::new(Code::Draining, "the gateway is being restarted"),
            failure = revoked(&caller) => failure,
        }
    })
}

/// Resolves when a caller may listen no longer: the gateway drains, or the key is taken back.
pub(super) async fn dismissed(shutdown: Shutdown, caller: Caller) {
    tokio::select! {
        biased;
        () = shutdown.draining() => {}
        () = caller.revoked() => {}
    }
}

/// Resolves when the caller's key is taken back, with what it is told.
pub(super) async fn revoked(caller: &Caller) -> Failure {
    caller.revoked().await;
    Failure::new(Code::Unauthorized, "the API key of this request is valid no longer")
}
