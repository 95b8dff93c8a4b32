//! Refusals: the one place where an error becomes a status and a body in the caller's dialect.

use std::time::Duration;

use http::header::{CONNECTION, EXPECT, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode, Version};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use crate::wire::{Code, Dialect, Failure};

/// Why a request is not served.
#[derive(Debug)]
pub struct Refusal {
    pub failure: Failure,
    /// Seconds after which the client may try again.
    pub retry_after: Option<u32>,
    /// The request's body, if it is to be read over behind the answer.
    pub unread: Option<Box<Unread>>,
    /// Further headers: `Allow`, `WWW-Authenticate`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// OpenAI's clients retry 408, 409, 429 and everything from 500 on, unless they are told not to.
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The longest `Retry-After` that every client heeds, in seconds: behind a longer one openai (npm), groq and the AI SDK come back
/// within two seconds, openai-python gives up, and Codex and anthropic-python sleep all of it.
const LONGEST_WAIT: u32 = 60;
/// From so many seconds on a client is told not to ask again by itself.
const FAR: u32 = 600;

impl Refusal {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Failure::new(code, message).into()
    }

    /// Answers with another status than the code's own.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.failure.status = Some(status);
        self
    }

    /// Asks the client to come back after so many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Refuses a request of nobody knows whom, of which the body has not been read. The answer goes out at once, and the body is
    /// read over behind it, within bounds: then the connection can be kept. One that may be larger ends it.
    #[must_use]
    pub fn unread(self, request: Request<Incoming>) -> Self {
        self.read_over(request, Bound { bytes: STRANGER_BYTES, time: STRANGER_TIME })
    }

    /// The same for a caller that is known: it may send all of a body that would have been taken.
    #[must_use]
    pub fn unread_of_caller(self, request: Request<Incoming>) -> Self {
        self.read_over(request, Bound { bytes: UNREAD_BYTES, time: UNREAD_TIME })
    }

    fn read_over(mut self, request: Request<Incoming>, bound: Bound) -> Self {
        let (head, body) = request.into_parts();
        // HTTP/2 ends one stream, and the others go on.
        if body.is_end_stream() || head.version >= Version::HTTP_2 {
            return self;
        }
        // To look for the body would ask the client to send it (RFC 9110 section 10.1.1).
        let expects = head.headers.contains_key(EXPECT);
        let fits = body.size_hint().exact().is_some_and(|size| size <= bound.bytes as u64);
        if (expects || !fits) && self.headers.iter().all(|(name, _)| *name != CONNECTION) {
            self.headers.push((CONNECTION, HeaderValue::from_static("close")));
        }
        if !expects {
            self.unread = Some(Box::new(Unread { body: Box::new(body), bound }));
        }
        self
    }

    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The answer in the dialect of the door; its body is made by `body`.
    pub fn response<B>(
        self,
        dialect: Dialect,
        request_id: &str,
        body: impl FnOnce(StatusCode, bytes::Bytes) -> Response<B>,
    ) -> Response<B> {
        let status = StatusCode::from_u16(self.failure.status_in(dialect))
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = body(status, self.failure.body(dialect, Some(request_id)));
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.min(LONGEST_WAIT)));
        }
        // Behind a day's budget no retry of this minute will do.
        let is_far = self.retry_after.is_some_and(|seconds| seconds > FAR);
        let worked_for_long = matches!(
            self.failure.code,
            Code::FirstTokenTimeout | Code::UpstreamStalled | Code::MaxDuration | Code::FrameTooLarge
        );
        if worked_for_long || is_far {
            headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        headers.extend(self.headers);
        response
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, retry_after: None, unread: None, headers: Vec::new() }
    }
}

/// A body that nobody will use.
#[derive(Debug)]
pub struct Unread {
    body: Box<Incoming>,
    bound: Bound,
}

/// How much of a refused body is read over, and for how long.
#[derive(Clone, Copy, Debug)]
struct Bound {
    bytes: usize,
    time: Duration,
}

/// Of callers.
const UNREAD_BYTES: usize = 64 << 20;
const UNREAD_TIME: Duration = Duration::from_secs(30);
/// Of who may be anybody: enough for a client that writes all of an ordinary body before it reads.
const STRANGER_BYTES: usize = 16 << 20;
const STRANGER_TIME: Duration = Duration::from_secs(10);
/// How long nothing of it may come.
const SILENCE: Duration = Duration::from_secs(5);

impl Unread {
    /// Reads over what a client still sends, so that it sees its answer and keeps its connection: most write all of a request
    /// before they read. One that sends far too much, or too slowly, loses the connection.
    pub(super) async fn read_over(mut self) {
        let reading = async {
            let mut left = self.bound.bytes;
            while let Ok(Some(Ok(frame))) = timeout(SILENCE, self.body.frame()).await {
                let size = frame.data_ref().map_or(0, bytes::Bytes::len);
                let Some(rest) = left.checked_sub(size) else { return };
                left = rest;
            }
        };
        drop(timeout(self.bound.time, reading).await); // too slow: the body is dropped, and the connection with it
    }
}

/// Reads over the body of a caller's request, behind its answer.
pub async fn read_over(body: Incoming) {
    let bound = Bound { bytes: UNREAD_BYTES, time: UNREAD_TIME };
    Unread { body: Box::new(body), bound }.read_over().await;
}
