//! What a request asks of the connection or of the answer's bytes that its path does not give: another protocol, or a part.

use http::header::{CONNECTION, HeaderName, HeaderValue, RANGE, UPGRADE};
use http::{HeaderMap, Method, Request};

use crate::edge::{Endpoint, Refusal};
use crate::wire::Code;

/// Refuses what cannot be had at a path that is known.
pub(super) fn check<B>(request: &Request<B>, takes_websocket: bool) -> Result<(), Refusal> {
    if !takes_websocket && is_handshake(request) {
        return Err(no_websocket());
    }
    // wget comes back so behind a cut, drops as many bytes of the new answer as it had of the old, and joins two answers in the
    // middle of a word. No method but GET has ranges (RFC 9110 section 14.2); a 416 would tell wget that it has everything.
    if request.method() == Method::POST && request.headers().contains_key(RANGE) {
        let words =
            "an answer that is generated anew has no part that was missed: send the request without `Range`";
        return Err(Refusal::new(Code::InvalidRequest, words));
    }
    Ok(())
}

/// Does a WebSocket begin at this endpoint?
pub(super) fn takes_websocket(endpoint: &Endpoint) -> bool {
    *endpoint == Endpoint::Events
}

/// Is it the handshake of a WebSocket (RFC 6455 section 4.1)?
fn is_handshake<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    request.method() == Method::GET
        && has(headers, &UPGRADE, "websocket")
        && has(headers, &CONNECTION, "upgrade")
}

/// Codex falls back to HTTP at once behind this status, and behind any other after seven tries.
fn no_websocket() -> Refusal {
    let words = "this path is not spoken over a WebSocket: ask it over HTTP";
    let refusal = Refusal::new(Code::InvalidRequest, words).with_status(426);
    let refusal = refusal.header(UPGRADE, HeaderValue::from_static("websocket"));
    refusal.header(CONNECTION, HeaderValue::from_static("upgrade"))
}

fn has(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, lines: &[(&str, &str)]) -> bool {
        let request = lines
            .iter()
            .fold(Request::builder().method(method), |request, (name, value)| request.header(*name, *value));
        is_handshake(&request.body(()).unwrap())
    }

    #[test]
    fn a_handshake_asks_for_a_websocket_on_this_connection() {
        assert!(of("GET", &[("upgrade", "websocket"), ("connection", "Upgrade")]));
        assert!(of("GET", &[("upgrade", "h2c, WebSocket"), ("connection", "keep-alive, upgrade")]));
        for (method, lines) in [
            ("GET", &[("upgrade", "websocket"), ("connection", "close")]),
            ("GET", &[("upgrade", "h2c"), ("connection", "upgrade")]),
            ("POST", &[("upgrade", "websocket"), ("connection", "upgrade")]),
        ] {
            assert!(!of(method, lines), "{method} {lines:?}");
        }
    }
}
