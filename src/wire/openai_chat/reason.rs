//! Why a chat completion ends: the finish reason that tells most, for there may be several.

use crate::wire::event::{Event, Finish};
use crate::wire::failure::{Code, Failure};
use crate::wire::json::{Field, Text};

/// What a finish reason says.
pub(super) enum Word {
    Ended(Finish),
    /// The words of vLLM and `DeepSeek` for an answer that they gave up.
    GaveUp(Failure),
}

/// The reason so far.
#[derive(Debug)]
pub(super) struct Reason {
    finish: Finish,
    /// The stop sequence that ended the answer, escaped.
    stopped_by: Option<String>,
}

impl Word {
    pub(super) fn of(reason: &str) -> Self {
        Self::Ended(match reason {
            "error" | "abort" | "insufficient_system_resource" => {
                let words = format!("the backend gave the answer up (`finish_reason` is `{reason}`)");
                return Self::GaveUp(Failure::new(Code::UpstreamError, words));
            }
            "length" | "model_length" | "max_tokens" => Finish::Length, // the others are Mistral's
            "content_filter" => Finish::Refusal,
            // vLLM says `stop` for a named tool choice, older servers always: the calls themselves tell.
            _ => Finish::Stop,
        })
    }
}

impl Reason {
    /// Another reason came. Proxies say `stop` behind every chunk: what says more stays.
    pub(super) fn learn(known: &mut Option<Self>, finish: Finish, stopped_by: Field<'_>) {
        let said = known.as_ref().map(|reason| reason.finish);
        if said.is_some_and(|said| weight(said) >= weight(finish) && said != Finish::Stop) {
            return;
        }
        let stopped_by = stopped_by.some_text().filter(|_| finish == Finish::Stop).map(|text| {
            let mut kept = String::new();
            text.write_into(&mut kept);
            kept
        });
        if stopped_by.is_some() || said != Some(finish) {
            *known = Some(Self { finish, stopped_by });
        }
    }

    /// Tells it.
    pub(super) fn tell(self, called: bool, emit: &mut dyn FnMut(Event<'_>)) {
        let finish = if called && self.finish == Finish::Stop { Finish::ToolCalls } else { self.finish };
        if let Some(text) = self.stopped_by.filter(|_| finish == Finish::Stop) {
            emit(Event::StopSequence(Text::Escaped(&text)));
        }
        emit(Event::Finish(finish));
    }
}

/// How much a reason tells.
fn weight(finish: Finish) -> u8 {
    match finish {
        Finish::Stop | Finish::ToolCalls | Finish::Pause | Finish::Load | Finish::Unload => 0,
        Finish::Length => 1,
        Finish::Refusal => 2,
    }
}
