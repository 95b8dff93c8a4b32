//! Why a message ends.

use crate::wire::event::{Event, Finish};
use crate::wire::json::{Field, Text};
use crate::wire::members::named;

/// Why the answer ends: the last event that says so counts.
#[derive(Debug)]
pub(super) struct Reason {
    /// Anthropic's word for it.
    word: String,
    /// The stop sequence that ended the answer, and why the model refused; both escaped.
    pub(super) stopped_by: Option<String>,
    pub(super) explanation: Option<String>,
}

impl Reason {
    /// A reason to end came, with the stop sequence and the details beside it. One that says nothing does not undo one that does.
    pub(super) fn learn(
        known: &mut Option<Self>,
        word: &str,
        (stopped_by, details): (Field<'_>, Field<'_>),
        emit: &mut dyn FnMut(Event<'_>),
    ) {
        let said = known.as_ref().is_some_and(|reason| !matches!(reason.word.as_str(), "" | "end_turn"));
        if said && matches!(word, "" | "end_turn") {
            return;
        }
        let kept = |text: Text<'_>| {
            let mut kept = String::new();
            text.write_into(&mut kept);
            kept
        };
        let aside = |name: &str| emit(Event::Aside { name: &format!("stop_details.{name}") });
        let [explanation, _] = named(details, ["explanation", "type"], aside).unwrap_or_default();
        *known = Some(Self {
            word: word.to_owned(),
            stopped_by: stopped_by.some_text().map(kept),
            explanation: explanation.some_text().map(kept),
        });
    }

    /// What it means, in an answer in which a tool was `called` or not. A word that is new is told by its name.
    pub(super) fn finish(&self, called: bool, emit: &mut dyn FnMut(Event<'_>)) -> Finish {
        match self.word.as_str() {
            "max_tokens" | "model_context_window_exceeded" => Finish::Length,
            "refusal" => Finish::Refusal,
            "pause_turn" | "compaction" => Finish::Pause,
            "tool_use" => Finish::ToolCalls,
            _ if called => Finish::ToolCalls,
            "" | "end_turn" | "stop_sequence" => Finish::Stop,
            word => {
                emit(Event::Other { name: &format!("stop_reason.{word}"), awaits_client: false });
                Finish::Stop
            }
        }
    }
}
