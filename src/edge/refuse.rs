//! Refusals: the one place where an error becomes a status and a body in the caller's dialect.

use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use crate::wire::{Code, Dialect, Failure};

/// Why a request is not served.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub failure: Failure,
    /// Seconds after which the client may try again.
    pub retry_after: Option<u32>,
    /// Further headers: `Allow`, `WWW-Authenticate`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// OpenAI's clients retry 408, 409, 429 and everything from 500 on, unless they are told not to.
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

impl Refusal {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Failure::new(code, message).into()
    }

    /// Asks the client to come back after so many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
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
        body: impl FnOnce(StatusCode, bytes::Bytes) -> Response<B>,
    ) -> Response<B> {
        let status = StatusCode::from_u16(self.failure.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = body(status, self.failure.body(dialect));
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.generated_already() {
            headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        headers.extend(self.headers);
        response
    }

    /// Did a backend work on it for long already? A retry would have it generate twice.
    fn generated_already(&self) -> bool {
        matches!(self.failure.code, Code::FirstTokenTimeout | Code::UpstreamStalled | Code::MaxDuration)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, retry_after: None, headers: Vec::new() }
    }
}
