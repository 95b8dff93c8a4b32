//! The response object, as it stands in lifecycle events and as a whole answer.

use bytes::{BufMut, BytesMut};

use crate::wire::codec::Identity;
use crate::wire::event::{Finish, Timestamp, Usage};
use crate::wire::failure::Failure;
use crate::wire::json::{Object, Text};
use crate::wire::openai_responses::echo::Echo;
use crate::wire::openai_responses::usage::write_usage;

/// What a response is called and repeats, the same over the whole stream.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) id: String,
    model: String,
    created: u64,
    pub(super) echo: Echo,
}

/// How far a response is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Status<'s> {
    Queued,
    InProgress,
    Completed { at: Timestamp },
    Incomplete { reason: &'static str },
    Failed(&'s Failure),
}

impl Head {
    pub(super) fn new(identity: &Identity) -> Self {
        Self {
            id: identity.id.clone(),
            model: identity.model.clone(),
            created: identity.started.seconds(),
            echo: identity.echo.clone(),
        }
    }

    /// Writes the response; `output` is its items, separated by commas.
    pub(super) fn write(&self, status: Status<'_>, output: &[u8], usage: Option<&Usage>, out: &mut BytesMut) {
        let mut response = Object::new(out);
        response.text("id", Text::Plain(&format!("resp_{}", self.id))).raw("object", "\"response\"");
        response.number("created_at", self.created).text("status", Text::Plain(status.name()));
        match status {
            Status::Completed { at } => response.number("completed_at", at.seconds()),
            Status::Queued | Status::InProgress | Status::Incomplete { .. } | Status::Failed(_) => {
                response.raw("completed_at", "null")
            }
        };
        match status {
            Status::Failed(failure) => response.object("error", |error| write_error(failure, error)),
            Status::Queued | Status::InProgress | Status::Completed { .. } | Status::Incomplete { .. } => {
                response.raw("error", "null")
            }
        };
        match status {
            Status::Incomplete { reason } => response.object("incomplete_details", |details| {
                details.text("reason", Text::Plain(reason));
            }),
            Status::Queued | Status::InProgress | Status::Completed { .. } | Status::Failed(_) => {
                response.raw("incomplete_details", "null")
            }
        };
        response.text("model", Text::Plain(&self.model));
        let items = response.key("output");
        items.put_u8(b'[');
        items.put_slice(output);
        items.put_u8(b']');
        self.echo.write(&mut response);
        match usage {
            Some(usage) => response.object("usage", |object| write_usage(usage, object)),
            None => response.raw("usage", "null"),
        };
        response.raw("user", "null");
        response.end();
    }
}

impl Status<'_> {
    fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed { .. } => "completed",
            Self::Incomplete { .. } => "incomplete",
            Self::Failed(_) => "failed",
        }
    }

    /// How an answer ended. `refused`: it says itself why not.
    pub(super) fn of(finish: Finish, refused: bool, at: Timestamp) -> Self {
        match finish {
            Finish::Length => Self::Incomplete { reason: "max_output_tokens" },
            Finish::Refusal if !refused => Self::Incomplete { reason: "content_filter" },
            Finish::Refusal
            | Finish::Stop
            | Finish::ToolCalls
            | Finish::Pause
            | Finish::Load
            | Finish::Unload => Self::Completed { at },
        }
    }
}

/// Writes what a failed response says of its error.
pub(super) fn write_error(failure: &Failure, error: &mut Object<'_>) {
    error.text("code", Text::Plain(failure.responses_code())).text("message", Text::Plain(&failure.message));
}
