//! What happens to an answer between the decoder of one dialect and the encoder of another, streamed or whole: its tool calls are
//! put right, what no other dialect can carry is remembered by name, and an answer of which nothing can be shown is no success.

use std::collections::HashMap;

use crate::wire::argument_stream::ArgumentStream;
use crate::wire::call_ids::repeated;
use crate::wire::codec::EncodeError;
use crate::wire::dialect::Dialect;
use crate::wire::event::{Block, Event, Finish};
use crate::wire::json::Text;
use crate::wire::media::Image;
use crate::wire::openai_responses::Echo;

/// One answer that is being translated.
#[derive(Debug)]
pub struct Translation {
    /// Says which tools take free text.
    echo: Echo,
    /// The calls whose arguments are not complete.
    calls: Vec<Call>,
    /// How often each id was given to a call.
    ids: HashMap<String, u64>,
    /// A call whose arguments are no object: lawful only if the token limit cut it.
    broken: Option<String>,
    /// Something that the client has to do, and cannot be told.
    pending: Option<String>,
    /// The API of the client, which may have no place for a picture.
    client: Dialect,
    /// Blocks that it is not told, in order; those behind them move up.
    skipped: Vec<u32>,
    /// How many blocks it is told.
    told: u32,
    /// What was said of a summary that the client asked for, still escaped: it is one block, however many the model made of it.
    summary: String,
    /// Is there anything that the client can see?
    seen: bool,
    lost: Vec<String>,
    /// What of it was content.
    unseen: Vec<String>,
}

#[derive(Debug)]
struct Call {
    index: u32,
    name: String,
    arguments: ArgumentStream,
}

/// How many names of what was left out are remembered, and how much of each.
const NAMES: usize = 16;
const NAME: usize = 64;

impl Translation {
    /// For a client of this API, whose request says which tools take free text.
    pub fn new(echo: &Echo, client: Dialect) -> Self {
        Self {
            echo: echo.clone(),
            calls: Vec::new(),
            ids: HashMap::new(),
            broken: None,
            pending: None,
            client,
            skipped: Vec::new(),
            told: 0,
            summary: String::new(),
            seen: false,
            lost: Vec::new(),
            unseen: Vec::new(),
        }
    }

    /// Bytes of the answer that are kept for later, to bound them.
    pub fn held(&self) -> usize {
        self.calls.iter().map(|call| call.arguments.held()).sum::<usize>() + self.summary.len()
    }

    /// What was left out, by the names that the backend has for it.
    pub fn lost(&self) -> &[String] {
        &self.lost
    }

    /// Passes one event on. An error ends the answer: it is not what it should be, or cannot be told.
    pub fn pass(
        &mut self,
        event: &Event<'_>,
        emit: &mut dyn FnMut(&Event<'_>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        if let Event::Open { index, block: Block::Picture(url) } = *event
            && !shows(self.client, url)
        {
            self.skipped.push(index);
            self.lose("image", false);
            return Ok(());
        }
        if self.echo.wants_summary() {
            self.gather(event, emit)?;
        }
        if self.skipped.is_empty() {
            return self.pass_told(event, emit);
        }
        match self.moved_up(event) {
            Some(event) => self.pass_told(&event, emit),
            None => Ok(()),
        }
    }

    /// The texts of a summary are one, which is told when it is complete.
    fn gather(
        &mut self,
        event: &Event<'_>,
        emit: &mut dyn FnMut(&Event<'_>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        if let Event::Open { index, block: Block::Text } = *event {
            self.skipped.push(index);
        } else if let Event::Delta { index, text } = *event
            && self.skipped.binary_search(&index).is_ok()
        {
            text.write_into(&mut self.summary);
        } else if let Event::Finish(finish) = *event {
            return self.sum_up(finish, emit);
        }
        Ok(())
    }

    /// Tells the summary, which is complete.
    fn sum_up(
        &mut self,
        finish: Finish,
        emit: &mut dyn FnMut(&Event<'_>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let summary = std::mem::take(&mut self.summary);
        if summary.is_empty() {
            return if is_success(finish) { Err(EncodeError::NoSummary) } else { Ok(()) };
        }
        let index = self.told;
        self.seen = true;
        emit(&Event::Open { index, block: Block::Text })?;
        emit(&Event::Delta { index, text: Text::Escaped(&summary) })?;
        emit(&Event::Close { index })
    }

    /// An event of a block that is told, with the number that the block has without those that are not; `None` for one of those.
    fn moved_up<'e>(&self, event: &Event<'e>) -> Option<Event<'e>> {
        let mut event = event.clone();
        if let Event::Open { index, .. }
        | Event::Delta { index, .. }
        | Event::Citation { index, .. }
        | Event::Signature { index, .. }
        | Event::Close { index } = &mut event
        {
            let before = self.skipped.binary_search(index).err()?;
            *index -= u32::try_from(before).unwrap_or(0);
        }
        Some(event)
    }

    fn pass_told(
        &mut self,
        event: &Event<'_>,
        emit: &mut dyn FnMut(&Event<'_>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.told += u32::from(matches!(event, Event::Open { .. }));
        match *event {
            Event::Open { index, block: Block::ToolCall { id, name } } => self.open(index, id, name, emit),
            Event::Delta { index, text } => {
                self.seen = true;
                match self.calls.iter_mut().find(|call| call.index == index) {
                    None => emit(event),
                    Some(call) => passing(index, emit, |emit| call.arguments.push(text, emit)).1,
                }
            }
            Event::Close { index } => {
                self.close(index, emit)?;
                emit(event)
            }
            Event::Open { block: Block::Redacted(_) | Block::Picture(_), .. } => {
                self.seen = true;
                emit(event)
            }
            Event::Other { name, awaits_client } => {
                self.lose(name, awaits_client);
                Ok(())
            }
            Event::Aside { name } => {
                remember(&mut self.lost, name);
                Ok(())
            }
            Event::Finish(finish) => {
                self.check(finish)?;
                emit(event)
            }
            Event::Start
            | Event::Open { .. }
            | Event::Citation { .. }
            | Event::Signature { .. }
            | Event::Usage(_)
            | Event::StopSequence(_)
            | Event::Fail(_) => emit(event),
        }
    }

    /// Every call has an id of its own: results are given to calls by it.
    fn open(
        &mut self,
        index: u32,
        id: Text<'_>,
        name: Text<'_>,
        emit: &mut dyn FnMut(&Event<'_>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.seen = true;
        let own_name = name.plain();
        if !self.echo.is_custom(&own_name) {
            let arguments = ArgumentStream::default();
            self.calls.push(Call { index, name: own_name.into_owned(), arguments });
        }
        let own = id.plain();
        let times = self.ids.entry(own.clone().into_owned()).or_default();
        *times += 1;
        if *times == 1 {
            return emit(&Event::Open { index, block: Block::ToolCall { id, name } });
        }
        let id = repeated(&own, *times);
        emit(&Event::Open { index, block: Block::ToolCall { id: Text::Plain(&id), name } })
    }

    fn close(
        &mut self,
        index: u32,
        emit: &mut dyn FnMut(&Event<'_>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let Some(at) = self.calls.iter().position(|call| call.index == index) else { return Ok(()) };
        let Call { name, mut arguments, .. } = self.calls.swap_remove(at);
        let (whole, result) = passing(index, emit, |emit| arguments.close(emit));
        if !whole {
            self.broken.get_or_insert(name);
        }
        result
    }

    fn lose(&mut self, name: &str, awaits_client: bool) {
        if awaits_client && self.pending.is_none() {
            self.pending = Some(short(name));
        }
        remember(&mut self.lost, name);
        remember(&mut self.unseen, name);
    }

    /// May the answer end so?
    fn check(&mut self, finish: Finish) -> Result<(), EncodeError> {
        if let Some(name) = self.pending.take() {
            return Err(EncodeError::Awaited { name });
        }
        if let Some(name) = self.broken.take().filter(|_| finish != Finish::Length) {
            return Err(EncodeError::Arguments { name, wanted: "a JSON object" });
        }
        if is_success(finish) && !self.seen && !self.unseen.is_empty() {
            return Err(EncodeError::Unseen { names: self.unseen.join("`, `") });
        }
        Ok(())
    }
}

/// Calls `pass` with what makes a delta of a text; gives the first error of what was emitted.
fn passing<T>(
    index: u32,
    emit: &mut dyn FnMut(&Event<'_>) -> Result<(), EncodeError>,
    pass: impl FnOnce(&mut dyn FnMut(Text<'_>)) -> T,
) -> (T, Result<(), EncodeError>) {
    let mut result = Ok(());
    let passed = pass(&mut |text| {
        if result.is_ok() {
            result = emit(&Event::Delta { index, text });
        }
    });
    (passed, result)
}

/// Does the client take it for the end of an answer that is well?
fn is_success(finish: Finish) -> bool {
    match finish {
        Finish::Stop | Finish::ToolCalls | Finish::Pause => true,
        // It is told that there is something amiss, or that nothing was asked for.
        Finish::Length | Finish::Refusal | Finish::Load | Finish::Unload => false,
    }
}

fn short(name: &str) -> String {
    name.chars().take(NAME).collect()
}

/// Adds a name that is not there. Most come with every event: that costs a comparison.
fn remember(names: &mut Vec<String>, name: &str) {
    let known = |known: &String| {
        name.starts_with(known.as_str()) && (known.len() == name.len() || known.chars().count() == NAME)
    };
    if names.len() < NAMES && !names.iter().any(known) {
        names.push(short(name));
    }
}

/// Has a client of this API a place for the picture? All but chat completions take its bytes, not its address.
fn shows(client: Dialect, url: Text<'_>) -> bool {
    match client {
        Dialect::OpenAiChat => true,
        Dialect::OpenAiResponses | Dialect::OllamaChat => matches!(Image::of_url(url), Image::Data { .. }),
        Dialect::Anthropic | Dialect::OpenAiCompletions | Dialect::OllamaGenerate => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(index: u32, id: &'static str) -> Event<'static> {
        Event::Open { index, block: Block::ToolCall { id: Text::Plain(id), name: Text::Plain("f") } }
    }

    fn delta(index: u32, text: &str) -> Event<'_> {
        Event::Delta { index, text: Text::Plain(text) }
    }

    fn other(name: &str, awaits_client: bool) -> Event<'_> {
        Event::Other { name, awaits_client }
    }

    /// The ids and the texts that come through, and how it ended.
    fn passed(events: &[Event<'_>]) -> (Vec<String>, Result<(), EncodeError>) {
        passed_to(Dialect::OpenAiChat, events)
    }

    fn passed_to(client: Dialect, events: &[Event<'_>]) -> (Vec<String>, Result<(), EncodeError>) {
        let mut translation = Translation::new(&Echo::default(), client);
        let mut seen = Vec::new();
        for event in events {
            let passed = translation.pass(event, &mut |event| {
                if let Event::Open { block: Block::ToolCall { id, .. }, .. } = event {
                    seen.push(id.plain().into_owned());
                }
                if let Event::Delta { index, text } = event {
                    seen.push(format!("{index} {}", text.plain()));
                }
                Ok(())
            });
            if passed.is_err() {
                return (seen, passed);
            }
        }
        (seen, Ok(()))
    }

    #[test]
    fn every_call_has_an_id_of_its_own() {
        let (seen, _) = passed(&[open(0, "a"), open(1, "a"), open(2, "b"), open(3, "a")]);
        assert_eq!(seen, ["a", "sg1_a-r2", "b", "sg1_a-r3"]);
    }

    #[test]
    fn arguments_of_calls_that_interleave_are_kept_apart() {
        let events = [
            open(0, "a"),
            open(1, "b"),
            delta(0, "{}"),
            delta(1, "{\"y\""),
            delta(0, "{\"x\":1}"),
            delta(1, ":2}"),
            Event::Close { index: 1 },
            Event::Close { index: 0 },
            Event::Finish(Finish::ToolCalls),
        ];
        let (seen, result) = passed(&events);
        assert_eq!(seen, ["a", "b", "1 {\"y\"", "0 {\"x\":1}", "1 :2}"]);
        assert_eq!(result, Ok(()));
    }

    #[test]
    fn arguments_that_are_no_object_are_an_error_unless_the_token_limit_cut_them() {
        let end =
            |finish| [open(0, "a"), delta(0, "{\"x\":"), Event::Close { index: 0 }, Event::Finish(finish)];
        assert!(matches!(passed(&end(Finish::ToolCalls)).1, Err(EncodeError::Arguments { .. })));
        assert_eq!(passed(&end(Finish::Length)).1, Ok(()));
    }

    #[test]
    fn an_answer_of_which_nothing_can_be_seen_is_no_success() {
        let unseen = |finish| passed(&[other("images", false), Event::Finish(finish)]).1;
        assert!(matches!(unseen(Finish::Stop), Err(EncodeError::Unseen { names }) if names == "images"));
        assert!(unseen(Finish::Pause).is_err());
        assert_eq!(unseen(Finish::Length), Ok(()), "that is no success");
        assert_eq!(passed(&[Event::Finish(Finish::Stop)]).1, Ok(()), "the backend had nothing to say");
        let seen = [delta(0, "a"), other("images", false), Event::Finish(Finish::Stop)];
        assert_eq!(passed(&seen).1, Ok(()));
    }

    #[test]
    fn what_stands_beside_the_content_is_named_and_changes_nothing() {
        let mut translation = Translation::new(&Echo::default(), Dialect::Anthropic);
        let long = "x".repeat(200);
        for name in ["provider", "provider", "cost", &long, &long] {
            translation.pass(&Event::Aside { name }, &mut |_| Ok(())).unwrap();
        }
        assert_eq!(translation.lost(), ["provider", "cost", &"x".repeat(NAME)]);
        assert_eq!(translation.pass(&Event::Finish(Finish::Stop), &mut |_| Ok(())), Ok(()));
    }

    #[test]
    fn a_picture_that_has_no_place_is_left_out_and_the_blocks_behind_it_move_up() {
        let picture = |index, url| Event::Open { index, block: Block::Picture(Text::Plain(url)) };
        let events = [
            picture(0, "data:image/png;base64,AAAA"),
            Event::Close { index: 0 },
            Event::Open { index: 1, block: Block::Text },
            delta(1, "a"),
            Event::Close { index: 1 },
            Event::Finish(Finish::Stop),
        ];
        assert_eq!(passed_to(Dialect::Anthropic, &events), (vec!["0 a".to_owned()], Ok(())));
        assert_eq!(passed_to(Dialect::OllamaChat, &events), (vec!["1 a".to_owned()], Ok(())));
        let alone = |url| [picture(0, url), Event::Close { index: 0 }, Event::Finish(Finish::Stop)];
        for (client, url, well) in [
            (Dialect::OpenAiChat, "https://p.example/a.png", true),
            (Dialect::OpenAiResponses, "data:image/png;base64,AAAA", true),
            (Dialect::OpenAiResponses, "https://p.example/a.png", false),
            (Dialect::Anthropic, "data:image/png;base64,AAAA", false),
            (Dialect::OllamaGenerate, "data:image/png;base64,AAAA", false),
        ] {
            let (_, result) = passed_to(client, &alone(url));
            assert_eq!(result.is_ok(), well, "{client:?}: {url}");
        }
    }

    #[test]
    fn what_the_client_must_act_on_is_never_a_success() {
        let events = [delta(0, "a"), other("mcp_approval_request", true), Event::Finish(Finish::Stop)];
        assert!(
            matches!(passed(&events).1, Err(EncodeError::Awaited { name }) if name == "mcp_approval_request")
        );
    }
}
