//! Refusals: the one place where an error becomes a status and a body in the caller's dialect.

use std::time::Duration;

use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::wire::{Code, Dialect, Failure};

/// Why a request is not served.
#[derive(Debug)]
pub struct Refusal {
    pub failure: Failure,
    /// Seconds after which the client may try again.
    pub retry_after: Option<u32>,
    /// Had a backend begun to answer? A retry would have it generate twice.
    pub generated: bool,
    /// The request's body, if nobody has read it.
    pub unread: Option<Box<Incoming>>,
    /// Further headers: `Allow`, `WWW-Authenticate`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// OpenAI's clients retry 408, 409, 429 and everything from 500 on, unless they are told not to.
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

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

    /// Keeps the body of the refused request, to be read over.
    #[must_use]
    pub fn unread(mut self, request: Request<Incoming>) -> Self {
        self.unread = Some(Box::new(request.into_body()));
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
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        let worked_for_long = matches!(
            self.failure.code,
            Code::FirstTokenTimeout | Code::UpstreamStalled | Code::MaxDuration | Code::FrameTooLarge
        );
        if self.generated || worked_for_long {
            headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        headers.extend(self.headers);
        response
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, retry_after: None, generated: false, unread: None, headers: Vec::new() }
    }
}

/// How much of a refused body is read over, and for how long.
const UNREAD_BYTES: usize = 64 << 20;
const UNREAD_TIME: Duration = Duration::from_secs(30);

/// Reads over what a client still sends, so that it sees its answer and keeps its connection: most write all of a request
/// before they read. One that sends far too much, or too slowly, loses the connection.
pub async fn read_over(mut body: Incoming) {
    let reading = async {
        let mut left = UNREAD_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, bytes::Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    drop(timeout(UNREAD_TIME, reading).await); // too slow: the body is dropped, and the connection with it
}
