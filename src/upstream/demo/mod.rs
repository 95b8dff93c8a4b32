//! The built-in model: needs no model server, answers with paced text, reasoning or tool calls, and misbehaves on request. It
//! speaks OpenAI chat inside, so every other dialect is translated from it as from a real backend.

mod options;
mod script;

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use crate::upstream::body::StreamError;
use crate::upstream::demo::options::Options;
use crate::upstream::demo::script::{Script, Step};
use crate::upstream::refused::Attempted;
use crate::wire::{Code, Envelope, Failure, ModelKey, parse_request};

/// An answer of the built-in model, on its way.
#[derive(Debug)]
pub(super) struct Answer {
    steps: std::vec::IntoIter<Step>,
    /// The step that waits for its time.
    next: Option<Step>,
    due: Instant,
}

/// Answers a chat request. The model's name says how: see `Options`.
pub(super) fn ask(body: &[u8]) -> Result<Answer, Attempted> {
    let envelope = Envelope::parse(body, ModelKey::Model, false, usize::MAX)
        .map_err(|error| invalid(error.to_string()))?;
    let options: Options = envelope.model.parse().map_err(invalid)?;
    if let Some(status) = options.status {
        let failure = Failure::new(
            Code::UpstreamError,
            format!("the demo model was asked to answer with status {status}"),
        );
        let retryable = status >= 500 || status == 429 || status == 408;
        return Err(Attempted::new(failure.with_status(status), retryable));
    }
    let request =
        parse_request(crate::wire::Dialect::OpenAiChat, body).map_err(|error| invalid(error.to_string()))?;
    let script = Script::new(&options, &request, &envelope, body.len());
    let mut steps = script.steps.into_iter();
    let next = steps.next();
    let due = Instant::now() + next.as_ref().map_or(Duration::ZERO, Step::delay);
    Ok(Answer { steps, next, due })
}

fn invalid(message: String) -> Attempted {
    Attempted::refusal(Failure::new(Code::InvalidRequest, message))
}

impl Answer {
    /// The next bytes, when it is time for them. Cancel safe: the time stays as it was set.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, StreamError> {
        let Some(step) = &self.next else { return Ok(None) };
        if matches!(step, Step::Stall) {
            std::future::pending::<()>().await;
        }
        sleep_until(self.due).await;
        let step = std::mem::replace(&mut self.next, self.steps.next());
        self.due += self.next.as_ref().map_or(Duration::ZERO, Step::delay);
        match step {
            Some(Step::Say { bytes, .. }) => Ok(Some(bytes)),
            Some(Step::Cut) => Err(StreamError::Broken),
            Some(Step::Stall) | None => Ok(None),
            #[cfg(debug_assertions)]
            #[expect(clippy::panic, reason = "tests see what becomes of the others")]
            Some(Step::Panic) => panic!("the demo model was asked to"),
        }
    }
}
