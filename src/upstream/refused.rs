//! What a backend says when it does not answer: by a status, in whatever form its words come, or in a frame. Whether another
//! backend may do better, whether this one is to be left alone, and what the client is told.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use reqwest::Response;

use crate::upstream::backend::Backend;
use crate::wire::{Code, Dialect, Failure, read_failure};

/// Why an attempt failed.
#[derive(Clone, Debug)]
pub struct Attempted {
    pub failure: Failure,
    /// May another backend do better?
    pub retryable: bool,
    /// Seconds after which the backend wants to be asked again.
    pub retry_after: Option<u32>,
    /// The backend loads the model, and will serve it soon.
    pub loading: bool,
}

/// How much of an error body is read.
const ERROR_BYTES: usize = 64 << 10;
/// After how many seconds a client may ask again for a model that is being loaded.
const LOADING: u32 = 10;

impl Attempted {
    pub fn new(failure: Failure, retryable: bool) -> Self {
        Self { failure, retryable, retry_after: None, loading: false }
    }

    pub fn retryable(code: Code, message: &str) -> Self {
        Self::new(Failure::new(code, message), true)
    }

    /// A failure that no other backend could mend.
    pub fn refusal(failure: Failure) -> Self {
        Self::new(failure, false)
    }

    /// What a backend told in a frame or with status 200; the status that it should have had says whether another is asked.
    pub(super) fn told(backend: &Backend, failure: Failure) -> Self {
        Self::judged(backend.scrub_failure(failure), None)
    }

    /// Judges what a backend said of itself. Without a status it is taken for its own trouble.
    fn judged(failure: Failure, retry_after: Option<u32>) -> Self {
        let failure = if failure.is_unsupported() {
            // SDKs would ask again for what no server of this kind can do: only 501 says so by itself.
            let status = if failure.status == Some(501) { 501 } else { 400 };
            failure.with_status(status)
        } else {
            failure
        };
        let loading = failure.is_loading();
        let retryable =
            failure.code != Code::ContextLengthExceeded && failure.status.is_none_or(is_worth_retrying);
        let retry_after = retry_after.or_else(|| loading.then_some(LOADING));
        Self { failure, retryable, retry_after, loading }
    }
}

/// Is it the backend's trouble, so that another may do better? What is not implemented will not be a moment later.
pub(super) fn is_worth_retrying(status: u16) -> bool {
    (status >= 500 && status != 501) || matches!(status, 408 | 429)
}

/// Judges an answer whose status says that it failed.
pub(super) async fn refused(backend: &Backend, response: Response) -> Attempted {
    let status = response.status();
    let retry_after = retry_after(response.headers(), SystemTime::now());
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Attempted { retry_after, ..Attempted::refusal(backend.refused_us(status.as_u16())) };
    }
    let generates = Dialect::ALL.iter().any(|dialect| response.url().path().ends_with(dialect.path()));
    let body = backend.scrub(&beginning(backend, response).await);
    let said = (!body.trim_ascii().is_empty()).then(|| read_failure(&body));
    let failure = match (status, said) {
        // A proxy or a server that does not know the route says so as a text or a page.
        (StatusCode::NOT_FOUND, Some(said)) if is_json(&body) => {
            Failure { code: Code::ModelNotFound, ..said }.with_status(404)
        }
        // Servers differ in the status for these.
        (_, Some(said)) if matches!(said.code, Code::ContextLengthExceeded | Code::ModelNotFound) => {
            let status = said.code.status();
            said.with_status(status)
        }
        (_, Some(said)) if status.is_client_error() || status.is_server_error() => {
            said.with_status(status.as_u16())
        }
        (_, _) => unsaid(backend, status),
    };
    if status == StatusCode::NOT_FOUND && generates && !is_json(&body) {
        // A proxy has lost the server behind it, or another server stands there: whoever has the route may do better.
        Attempted { retry_after, ..Attempted::new(failure, true) }
    } else if status.is_client_error() || status.is_server_error() {
        Attempted::judged(failure, retry_after)
    } else {
        Attempted { retry_after, ..Attempted::refusal(failure) } // a redirect, which is not followed
    }
}

/// A status without a word.
fn unsaid(backend: &Backend, status: StatusCode) -> Failure {
    let reason = status.canonical_reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let words = format!("the backend `{}` answered with status {}{reason}", backend.name, status.as_u16());
    let failure = Failure::new(Code::UpstreamError, words);
    let tells = status.is_client_error() || status.is_server_error();
    if tells { failure.with_status(status.as_u16()) } else { failure }
}

fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

/// As much of an error's body as is read, without the key that the backend was shown; also of one that breaks off.
async fn beginning(backend: &Backend, mut response: Response) -> Bytes {
    let mut body = BytesMut::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > ERROR_BYTES {
            let body = backend.scrub(&body.freeze());
            return body.slice(..ERROR_BYTES.min(body.len()) / 2); // a key at the cut would not be known
        }
    }
    backend.scrub(&body.freeze())
}

/// What `Retry-After` says, in seconds or as a date (RFC 9110 section 10.2.3), as seconds from `now` on.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<u32> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    value.parse().ok().or_else(|| {
        let date = httpdate::parse_http_date(value).ok()?;
        let left = date.duration_since(now).unwrap_or_default();
        Some(u32::try_from((left + Duration::from_millis(999)).as_secs()).unwrap_or(u32::MAX))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let read = |value: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            retry_after(&headers, now)
        };
        assert_eq!(read(" 7 "), Some(7));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:57 GMT"), Some(20));
        assert_eq!(read("Sun, 06 Nov 1994 08:40:00 GMT"), Some(0));
        assert_eq!(read("86400"), Some(86_400));
        assert_eq!(read("soon"), None);
    }

    fn judged(status: Option<u16>, words: &str) -> Attempted {
        let failure = Failure { status, ..Failure::new(Code::UpstreamError, words) };
        Attempted::judged(failure, None)
    }

    #[test]
    fn what_no_server_of_this_kind_can_do_is_the_requests_own_fault() {
        for (status, words, told) in [
            (Some(500), "image input is not supported - hint: if this is unexpected, use mmproj", 400),
            (Some(500), "audio input is not supported - hint: …", 400),
            (None, "This model does not support image inputs", 400),
            (Some(501), "This server does not support embeddings. Start it with `--embeddings`", 501),
            (Some(501), "Not Implemented", 501),
        ] {
            let attempted = judged(status, words);
            assert_eq!((attempted.failure.status(), attempted.retryable), (told, false), "{words}");
        }
        for words in ["CUDA error: operation not supported", "out of memory", ""] {
            let attempted = judged(Some(500), words);
            assert_eq!((attempted.failure.status(), attempted.retryable), (500, true), "{words}");
        }
    }

    #[test]
    fn a_model_that_loads_is_told_from_a_server_that_is_full() {
        for words in ["Loading model", "Model org/m is currently loading", "The model is still loading"] {
            let attempted = judged(Some(503), words);
            assert_eq!((attempted.loading, attempted.retry_after), (true, Some(LOADING)), "{words}");
        }
        assert!(!judged(Some(503), "no slot available").loading);
        assert!(!judged(Some(500), "error loading model: out of memory").loading);
    }
}
