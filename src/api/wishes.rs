//! What a request wishes beyond an answer: that its stream has a name and can be read again, that it runs by itself, that it is
//! the same as one before.

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use sha2::{Digest as _, Sha256};

use crate::api::cursor::{Cursor, LAST_EVENT_ID};
use crate::edge::Refusal;
use crate::wire::{Code, Dialect, Failure};

const X_CONVERSATION_ID: HeaderName = HeaderName::from_static("x-conversation-id");
const X_ON_CONFLICT: HeaderName = HeaderName::from_static("x-on-conflict");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The longest name of a conversation and the longest key, in bytes.
const MAX_NAME: usize = 256;

/// The wishes of one request.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// `X-Conversation-Id`: the stream has a name, and its events have numbers.
    pub(super) conversation: Option<String>,
    /// `Idempotency-Key`.
    pub(super) key: Option<String>,
    /// `Last-Event-ID`: where to go on in a stream that is there already.
    pub(super) cursor: Option<Cursor>,
    /// `Last-Event-ID` is there and empty: its client has read a stream without ids to its end, and comes back by itself, as
    /// reqwest-eventsource does three times a second. In a stream that has ids it has read nothing yet.
    pub(super) is_back: bool,
    /// `Prefer: respond-async` (RFC 7240 section 4.1).
    pub(super) detached: bool,
    pub(super) on_conflict: OnConflict,
    /// A digest of what is asked.
    pub(super) fingerprint: [u8; 32],
    /// Responses: the work goes on when the client leaves.
    pub(super) background: bool,
    /// Responses: what the answer was made from is kept with it, to go on from.
    pub(super) input: Option<String>,
}

/// What becomes of a second request in a busy conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum OnConflict {
    /// The running stream ends, the new one begins.
    #[default]
    Interrupt,
    /// The running stream is the answer.
    Attach,
    /// The request is refused.
    Reject,
    /// It waits for the running one to end.
    Enqueue,
}

impl Wishes {
    /// Reads the headers of a request.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let on_conflict = match text(headers, &X_ON_CONFLICT)? {
            None | Some("interrupt") => OnConflict::Interrupt,
            Some("attach") => OnConflict::Attach,
            Some("reject") => OnConflict::Reject,
            Some("enqueue") => OnConflict::Enqueue,
            Some(_) => {
                let words = "`X-On-Conflict` is one of interrupt, attach, reject, enqueue";
                return Err(Refusal::new(Code::InvalidRequest, words));
            }
        };
        let conversation = name(headers, &X_CONVERSATION_ID)?;
        let last = headers.get(LAST_EVENT_ID).filter(|_| conversation.is_none());
        Ok(Self {
            conversation,
            key: name(headers, &IDEMPOTENCY_KEY)?,
            cursor: Cursor::of_header(headers),
            is_back: last.is_some_and(|id| id.as_bytes().trim_ascii().is_empty()),
            detached: headers.get_all(PREFER).iter().any(|value| prefers(value, "respond-async")),
            on_conflict,
            ..Self::default()
        })
    }

    /// Does the stream go on to its end whoever reads it?
    pub(super) fn runs_on(&self) -> bool {
        self.detached || self.background
    }

    /// Must the stream be recorded?
    pub(super) fn records(&self) -> bool {
        self.conversation.is_some() || self.key.is_some() || self.detached || self.input.is_some()
    }
}

/// A digest of what is asked, to tell whether two requests are the same.
pub(super) fn fingerprint(dialect: Dialect, body: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(dialect.path().as_bytes());
    digest.update([0]);
    digest.update(body);
    digest.finalize().into()
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Refusal> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    value.to_str().map(|text| Some(text.trim())).map_err(|_| {
        Failure::new(Code::InvalidRequest, format!("the header `{name}` must be printable ASCII")).into()
    })
}

fn name(headers: &HeaderMap, header: &HeaderName) -> Result<Option<String>, Refusal> {
    match text(headers, header)? {
        Some(text) if text.is_empty() || text.len() > MAX_NAME => {
            let words = format!("the header `{header}` must have 1 to {MAX_NAME} characters");
            Err(Refusal::new(Code::InvalidRequest, words))
        }
        text => Ok(text.map(String::from)),
    }
}

/// Is this preference among those of the header (RFC 7240 section 2)?
fn prefers(value: &HeaderValue, wanted: &str) -> bool {
    let text = value.to_str().unwrap_or_default();
    text.split(',').any(|preference| {
        let token = preference.split(';').next().unwrap_or_default();
        token.trim().eq_ignore_ascii_case(wanted)
    })
}
