//! The API key that a request brings along, wherever it stands.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL};

use crate::edge::Refusal;
use crate::edge::route::percent_decode;
use crate::wire::Code;

pub(super) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What a page puts before its key where it asks for a WebSocket: a browser lets it say nothing else than protocols.
pub const KEY_PROTOCOL: &str = "streamgate.key.";

/// The key of a request. Clients of Anthropic may send theirs in two headers; two that differ are refused, for a hop in front may
/// have looked at the other one. `protocols`: it may stand among the protocols of a WebSocket, too.
pub(super) fn key(headers: &HeaderMap, protocols: bool) -> Result<Option<Cow<'_, [u8]>>, Refusal> {
    let offered = protocols.then(|| of_protocols(headers)).into_iter().flatten();
    let mut keys = bearer(headers).into_iter().chain(headers.get(X_API_KEY).map(HeaderValue::as_bytes));
    let first = keys.next();
    let mut all = first.into_iter().chain(keys).map(Cow::Borrowed).chain(offered.map(Cow::Owned));
    let key = all.next();
    if all.any(|other| Some(&other) != key.as_ref()) {
        let words =
            "the request has two API keys that differ: send one, as `Authorization: Bearer` or `x-api-key`";
        return Err(Refusal::new(Code::InvalidRequest, words));
    }
    Ok(key)
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
}

/// The keys among the protocols of a WebSocket, percent-encoded as far as they must be.
fn of_protocols(headers: &HeaderMap) -> impl Iterator<Item = Vec<u8>> {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let offered = offered.flat_map(|value| value.split(','));
    offered.filter_map(|protocol| {
        protocol.trim().strip_prefix(KEY_PROTOCOL).map(|key| percent_decode(key).into_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &'static str)], protocols: bool) -> Result<Option<String>, u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let key = key(&map, protocols).map_err(|refusal| refusal.failure.status())?;
        Ok(key.map(|key| String::from_utf8(key.into_owned()).unwrap()))
    }

    #[test]
    fn a_key_is_found_in_either_header() {
        for header in
            [("authorization", "Bearer secret"), ("authorization", "bearer  secret"), ("x-api-key", "secret")]
        {
            assert_eq!(of(&[header], false), Ok(Some("secret".into())));
        }
        assert_eq!(of(&[("authorization", "Basic secret")], false), Ok(None));
        assert_eq!(of(&[], true), Ok(None));
    }

    #[test]
    fn two_keys_are_one_or_none() {
        let bearer = ("authorization", "Bearer a");
        assert_eq!(of(&[bearer, ("x-api-key", "a")], false), Ok(Some("a".into())));
        assert_eq!(of(&[bearer, ("x-api-key", "b")], false), Err(400));
        assert_eq!(of(&[("authorization", "Basic b"), ("x-api-key", "a")], false), Ok(Some("a".into())));
        let protocols = |keys| ("sec-websocket-protocol", keys);
        assert_eq!(of(&[protocols("x, streamgate.key.%61")], true), Ok(Some("a".into())));
        assert_eq!(of(&[protocols("streamgate.key.a, streamgate.key.b")], true), Err(400));
        assert_eq!(of(&[bearer, protocols("streamgate.key.b")], true), Err(400));
        assert_eq!(of(&[bearer, protocols("streamgate.key.b")], false), Ok(Some("a".into())));
    }
}
