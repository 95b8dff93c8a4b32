//! An answer in no dialect, to be written in that of any backend: for what holds between every two of them.

use serde_json::{Value, json};

use super::frames::{ollama, openai};
use super::{anthropic, responses};

/// What a model says, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Thought(&'static [&'static str]),
    Text(&'static [&'static str]),
    /// Its id, its name, and the fragments of its arguments.
    Call(&'static str, &'static str, &'static [&'static str]),
}

/// Why it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Stop,
    Length,
    Calls,
    /// A filter, which OpenAI calls `content_filter` and Anthropic a refusal. Ollama has no word for it.
    Filter,
}

/// The stream of this answer as a backend of this API sends it, terminator included, an event a frame.
pub(crate) fn script(api: &str, parts: &[Part], reason: Reason) -> Vec<String> {
    match api {
        "openai" => openai_frames(parts, reason),
        "responses" => events(&responses_events(parts, reason)),
        "anthropic" => events(&anthropic_events(parts, reason)),
        "ollama" => ollama_lines(parts, reason),
        other => panic!("an API called {other}"),
    }
}

/// The beginning of a stream at this route, with these texts as its first content, if there are any.
pub(crate) fn opening(path: &str, texts: &[&str]) -> Vec<String> {
    if texts.is_empty() {
        return Vec::new();
    }
    match path {
        "/v1/messages" => {
            let mut said = vec![anthropic::start(&anthropic::counts()), anthropic::open_text(0)];
            said.extend(texts.iter().map(|text| anthropic::text(0, text)));
            events(&said)
        }
        "/v1/responses" => {
            let mut said = vec![responses::created(), responses::in_progress()];
            said.extend(responses::spoken(0, "").into_iter().take(2));
            said.extend(texts.iter().map(|text| responses::text(0, text)));
            events(&responses::numbered(said))
        }
        "/api/generate" => lines(&texts.iter().map(|text| ollama::response(text)).collect::<Vec<_>>()),
        "/api/chat" => lines(&texts.iter().map(|text| ollama::text(text)).collect::<Vec<_>>()),
        "/v1/completions" => chunks(&texts.iter().map(|text| openai::completion(text)).collect::<Vec<_>>()),
        _ => chunks(&texts.iter().map(|text| openai::text(text)).collect::<Vec<_>>()),
    }
}

/// What comes before the first content.
pub(crate) fn preamble(api: &str) -> Vec<String> {
    match api {
        "openai" => chunks(&[openai::role()]),
        "responses" => {
            let mut said = vec![responses::created(), responses::in_progress()];
            said.extend(responses::spoken(0, "").into_iter().take(2));
            events(&responses::numbered(said))
        }
        "anthropic" => {
            events(&[anthropic::start(&anthropic::counts()), anthropic::ping(), anthropic::open_text(0)])
        }
        _ => Vec::new(),
    }
}

/// The end of such a stream that went well.
pub(crate) fn ending(path: &str, texts: &[String]) -> Vec<String> {
    match path {
        "/v1/messages" => {
            let stopped = anthropic::stopped("end_turn", &json!({"output_tokens": 4}));
            events(&[anthropic::close(0), stopped, anthropic::stop()])
        }
        "/v1/responses" => {
            let text = texts.concat();
            let item = responses::message(&[responses::text_part(&text)]);
            let mut said = vec![Value::Null; 4 + texts.len()];
            said.extend(responses::spoken(0, &text).into_iter().skip(3));
            said.push(responses::completed(&[item]));
            let from = 4 + texts.len();
            events(&responses::numbered(said)[from..])
        }
        "/api/generate" => lines(&[ollama::generated()]),
        "/api/chat" => lines(&[ollama::done("stop")]),
        _ => chat(&[openai::finish("stop")]),
    }
}

/// Events that carry their names.
pub(crate) fn events(events: &[Value]) -> Vec<String> {
    let name = |event: &Value| event["type"].as_str().expect("an event's type").to_owned();
    events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", name(event))).collect()
}

/// Events that have none.
pub(crate) fn chunks(chunks: &[Value]) -> Vec<String> {
    chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect()
}

/// The same, with the terminator of OpenAI's chat.
pub(crate) fn chat(said: &[Value]) -> Vec<String> {
    let mut frames = chunks(said);
    frames.push("data: [DONE]\n\n".to_owned());
    frames
}

/// Lines of NDJSON.
pub(crate) fn lines(lines: &[Value]) -> Vec<String> {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn openai_frames(parts: &[Part], reason: Reason) -> Vec<String> {
    let mut said = vec![openai::role()];
    let mut calls = 0;
    for part in parts {
        match part {
            Part::Thought(words) => said.extend(words.iter().map(|text| openai::thought(text))),
            Part::Text(words) => said.extend(words.iter().map(|text| openai::text(text))),
            Part::Call(id, name, fragments) => {
                said.push(openai::tool(calls, id, name, ""));
                said.extend(fragments.iter().map(|fragment| openai::arguments(calls, fragment)));
                calls += 1;
            }
        }
    }
    said.push(openai::finish(match reason {
        Reason::Stop => "stop",
        Reason::Length => "length",
        Reason::Calls => "tool_calls",
        Reason::Filter => "content_filter",
    }));
    said.push(openai::usage(11, 4));
    chat(&said)
}

fn responses_events(parts: &[Part], reason: Reason) -> Vec<Value> {
    let (mut said, mut output) = (Vec::new(), Vec::new());
    for (at, part) in parts.iter().enumerate() {
        let item = match part {
            Part::Thought(words) => {
                said.push(responses::added(at, &responses::reasoning(&[])));
                said.extend(words.iter().map(|text| responses::summary(at, 0, text)));
                said.push(responses::summary_done(at, &words.concat()));
                responses::reasoning(&[&words.concat()])
            }
            Part::Text(words) => {
                said.push(responses::added(at, &responses::message(&[])));
                said.extend(words.iter().map(|text| responses::text(at, text)));
                said.push(responses::text_done(at, &words.concat()));
                responses::message(&[responses::text_part(&words.concat())])
            }
            Part::Call(id, name, fragments) => {
                said.push(responses::added(at, &responses::call(id, name, "")));
                said.extend(fragments.iter().map(|fragment| responses::arguments(at, fragment)));
                said.push(responses::arguments_done(at, &fragments.concat()));
                responses::call(id, name, &fragments.concat())
            }
        };
        said.push(responses::done(at, &item));
        output.push(item);
    }
    let end = match reason {
        Reason::Stop | Reason::Calls => responses::completed(&output),
        Reason::Length => responses::incomplete(&output, "max_output_tokens"),
        Reason::Filter => responses::incomplete(&output, "content_filter"),
    };
    responses::stream(&said, end)
}

fn anthropic_events(parts: &[Part], reason: Reason) -> Vec<Value> {
    let mut said = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        match part {
            Part::Thought(words) => {
                said.push(anthropic::open_thinking(at));
                said.extend(words.iter().map(|text| anthropic::thinking(at, text)));
            }
            Part::Text(words) => {
                said.push(anthropic::open_text(at));
                said.extend(words.iter().map(|text| anthropic::text(at, text)));
            }
            Part::Call(id, name, fragments) => {
                said.push(anthropic::open_tool(at, id, name));
                said.push(anthropic::input(at, ""));
                said.extend(fragments.iter().map(|fragment| anthropic::input(at, fragment)));
            }
        }
        said.push(anthropic::close(at));
    }
    let reason = match reason {
        Reason::Stop => "end_turn",
        Reason::Length => "max_tokens",
        Reason::Calls => "tool_use",
        Reason::Filter => "refusal",
    };
    anthropic::stream(&said, reason)
}

fn ollama_lines(parts: &[Part], reason: Reason) -> Vec<String> {
    let mut said = Vec::new();
    for part in parts {
        match part {
            Part::Thought(words) => said.extend(words.iter().map(|text| ollama::thought(text).to_string())),
            Part::Text(words) => said.extend(words.iter().map(|text| ollama::text(text).to_string())),
            Part::Call(id, name, fragments) => {
                // Put in as text, for the order of its members.
                let message = json!({"role": "assistant", "content": "", "tool_calls": ["CALL"]});
                let arguments = fragments.concat();
                let arguments = if arguments.is_empty() { "{}" } else { &arguments };
                let call =
                    format!("{{\"id\":{id:?},\"function\":{{\"name\":{name:?},\"arguments\":{arguments}}}}}");
                said.push(ollama::message(&message).to_string().replace("\"CALL\"", &call));
            }
        }
    }
    let reason = if reason == Reason::Length { "length" } else { "stop" };
    said.push(ollama::done(reason).to_string());
    said.into_iter().map(|line| line + "\n").collect()
}
