//! Visitor: who reads a stream, and on which connection.

use http::Request;
use tokio_util::sync::CancellationToken;

use crate::edge::Caller;
use crate::server::Hangup;
use crate::telemetry::Access;
use crate::wire::KeepAliveAs;

/// Who reads, and on which connection.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    pub(super) caller: Caller,
    pub(super) hangup: CancellationToken,
    pub(super) access: Access,
    /// As what it wants to be kept alive, if it says so.
    pub(super) alive: Option<KeepAliveAs>,
}

impl Visitor {
    pub(super) fn new<B>(caller: Caller, of: &Request<B>, access: Access, wish: Option<KeepAliveAs>) -> Self {
        let hangup = of.extensions().get::<Hangup>().map(|Hangup(token)| token.clone());
        Self { caller, hangup: hangup.unwrap_or_default(), access, alive: wish }
    }

    /// To whom belongs what it makes and finds.
    pub(super) fn owner(&self) -> Option<&str> {
        self.caller.owner()
    }
}
