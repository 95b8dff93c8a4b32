//! What a client says of how it wants a stream to be kept alive.

use http::HeaderMap;
use http::header::HeaderName;

use crate::edge::{Parameter, Query, Refusal};
use crate::wire::{Code, Failure, KeepAliveAs};

const X_KEEP_ALIVE: HeaderName = HeaderName::from_static("x-keep-alive");

/// Reads `X-Keep-Alive`, or else `?keep_alive=`, for pages whose `EventSource` sends no headers.
pub(super) fn wished(query: &Query, headers: &HeaderMap) -> Result<Option<KeepAliveAs>, Refusal> {
    let header = headers.get(X_KEEP_ALIVE).map(|value| value.to_str().unwrap_or_default().trim());
    let Some(said) = header.or_else(|| query.get(Parameter::KeepAlive)) else { return Ok(None) };
    KeepAliveAs::parse(said).map(Some).ok_or_else(|| {
        let words = "`X-Keep-Alive` and `?keep_alive=` are one of auto, comment, event";
        Failure::new(Code::InvalidRequest, words).param("keep_alive").into()
    })
}
