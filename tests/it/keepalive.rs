//! Keep-alive: what a client sees while nothing comes, and what it does not do.

use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::support::pairs::{APIS, MESSAGES, RESPONSES, pairs, request};
use crate::support::script::preamble;
use crate::support::{
    Answer, Ending, Event, Heard, Item, Pairs, Request, anthropic, begun, chat, gateway_over, ollama, openai,
};

const QUICK: &[&str] = &["keep_alive = \"150ms\"", "commit_after = \"50ms\""];

#[track_caller]
fn assert_comment(item: &Item) {
    let Item::Quiet(raw) = item else { panic!("{item:?} where a comment was awaited") };
    assert!(raw.starts_with(b":") && raw.ends_with(b"\n"), "{raw:?}");
    assert_eq!(raw.split(|&byte| byte == b'\n').count(), 2, "one newline, at the end: {raw:?}");
}

#[tokio::test]
async fn silence_brings_a_comment_with_one_newline() {
    let (_gateway, _upstream, mut answer, _call) = begun("openai", QUICK).await;
    assert_comment(&answer.next_item().await);
}

#[tokio::test]
async fn silence_goes_on_bringing_comments() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", QUICK).await;
    for _ in 0..3 {
        assert_comment(&answer.next_item().await);
    }
    call.sse(&openai::text("Adige")).await;
    assert_eq!(answer.next_event().await.json(), openai::text("Adige"));
    assert_comment(&answer.next_item().await);
}

#[tokio::test]
async fn a_silent_ollama_stream_gets_one_space_and_no_newline() {
    let (_gateway, _upstream, mut answer, mut call) = begun("ollama", QUICK).await;
    for _ in 0..2 {
        assert!(matches!(answer.next_item().await, Item::Quiet(raw) if &raw[..] == b" "));
    }
    assert!(answer.pieces.iter().any(|piece| &piece[..] == b" "), "{:?}", answer.pieces);
    call.line(&ollama::done("stop")).await;
    call.finish().await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.succeeded(), "{heard:?}");
}

/// The next thing is what keeps a stream at this door alive.
async fn assert_kept_alive(door: &str, answer: &mut Answer) {
    let item = answer.next_item().await;
    match (door, &item) {
        (RESPONSES, Item::Event(event)) => {
            let name = event.name.as_deref().unwrap();
            assert!(["response.created", "response.in_progress"].contains(&name), "{event:?}");
        }
        (MESSAGES, Item::Event(event)) => {
            assert_eq!(event.raw, "event: ping\ndata: {\"type\": \"ping\"}\n\n".as_bytes());
        }
        ("/api/chat", Item::Quiet(raw)) => assert_eq!(&raw[..], b" "),
        (_, Item::Quiet(_)) if door != MESSAGES => assert_comment(&item),
        (_, item) => panic!("{item:?} at {door}"),
    }
}

#[tokio::test]
async fn every_client_over_every_backend_is_kept_alive_in_its_own_way_from_the_early_head_on() {
    let mut all = Pairs::start(QUICK).await;
    for (api, door, _) in pairs() {
        let (asked, mut call) = all.ask(door, &request(door, api, true)).await;
        let mut answer = asked.answer().await;
        assert!(!answer.early.is_empty(), "{door} over {api}: the head came alone");
        assert_kept_alive(door, &mut answer).await;
        assert_kept_alive(door, &mut answer).await;
        call.say(&["Adige"]).await;
        while !answer.next_event().await.data.contains("Adige") {}
        assert_kept_alive(door, &mut answer).await;
        call.end().await;
        let (events, ending) = answer.events().await;
        assert_eq!(ending, Ending::Clean, "{door} over {api}: {events:?}");
    }
}

#[tokio::test]
async fn lifecycle_events_pings_and_roles_commit_nothing() {
    let mut all = Pairs::start(&["commit_after = \"30s\""]).await;
    for (api, door, _) in pairs() {
        let (asked, call) = all.ask(door, &request(door, api, true)).await;
        call.play(&preamble(api)).await;
        let mut answer = asked.answer().await;
        assert_eq!(answer.status, 502, "{door} over {api}");
        answer.json().await;
    }
}

#[tokio::test]
async fn the_pings_of_a_backend_keep_no_client_waiting_and_feed_no_timer() {
    for (api, door) in [("anthropic", MESSAGES), ("anthropic", RESPONSES)] {
        let (gateway, mut upstream) = gateway_over(api, &["first_token_timeout = \"300ms\""]).await;
        let asked = gateway.ask_post(door, &request(door, "m", true)).await;
        let mut call = upstream.call().await;
        call.stream().await;
        for _ in 0..5 {
            call.event(&anthropic::ping()).await;
        }
        let answer = asked.answer().await;
        assert_eq!(answer.status, 504, "{door}: a ping is no first token");
    }
}

#[tokio::test]
async fn comments_come_also_while_the_backend_has_not_answered() {
    let (gateway, mut upstream) = gateway_over("openai", QUICK).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    let mut answer = asked.answer().await;
    for _ in 0..3 {
        assert_comment(&answer.next_item().await);
    }
    call.stream().await;
    call.sse(&openai::text("Po")).await;
    assert_eq!(answer.next_event().await.json(), openai::text("Po"));
}

#[tokio::test]
async fn comments_come_also_while_only_a_role_has_come() {
    let (gateway, mut upstream) = gateway_over("openai", QUICK).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.stream().await;
    call.sse(&openai::role()).await;
    let mut answer = asked.answer().await;
    let mut comments = 0;
    while comments < 3 {
        match answer.next_item().await {
            item @ Item::Quiet(_) => {
                assert_comment(&item);
                comments += 1;
            }
            Item::Event(event) => assert_eq!(event.json(), openai::role()),
            Item::End(ending) => panic!("the stream ended: {ending:?}"),
        }
    }
}

#[tokio::test]
async fn a_comment_never_stands_inside_an_event() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", QUICK).await;
    let event = format!("data: {}\n\n", openai::text("Adige"));
    let (first, second) = event.split_at(20);
    call.chunk(first).await;
    assert_comment(&answer.next_item().await);
    call.chunk(second).await;
    assert_eq!(answer.next_event().await.raw, event.as_bytes());
}

#[tokio::test]
async fn a_stream_full_of_comments_parses_to_its_events() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", QUICK).await;
    for text in ["Adige", "Piave"] {
        assert_comment(&answer.next_item().await);
        call.sse(&openai::text(text)).await;
        answer.next_event().await;
    }
    call.sse(&openai::finish("stop")).await;
    call.done().await;
    answer.rest().await;
    let pieces = answer.pieces.clone();
    assert!(pieces.iter().any(|piece| piece.starts_with(b":")));
    let body = futures_util::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
    let data: Vec<String> = body.eventsource().map(|event| event.unwrap().data).collect().await;
    let texts = ["Rhine", "Adige", "Piave"].map(|text| openai::text(text).to_string());
    assert_eq!(data[..3], texts);
    assert_eq!(data[3..], [openai::finish("stop").to_string(), "[DONE]".to_owned()]);
}

#[tokio::test]
async fn comments_do_not_feed_the_idle_timer_of_the_backend() {
    let lines = ["keep_alive = \"100ms\"", "idle_timeout = \"600ms\""];
    let (_gateway, _upstream, mut answer, _call) = begun("openai", &lines).await;
    assert_comment(&answer.next_item().await);
    assert_comment(&answer.next_item().await);
    let heard = Heard::of(&mut answer).await;
    assert_eq!(heard.code(), Some("upstream_stalled"));
}

#[tokio::test]
async fn a_comment_is_no_first_token() {
    let lines = ["keep_alive = \"100ms\"", "commit_after = \"50ms\"", "first_token_timeout = \"600ms\""];
    let (gateway, mut upstream) = gateway_over("openai", &lines).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let _silent = upstream.call().await;
    let mut answer = asked.answer().await;
    assert_comment(&answer.next_item().await);
    assert_comment(&answer.next_item().await);
    let heard = Heard::of(&mut answer).await;
    assert_eq!(heard.code(), Some("first_token_timeout"));
}

#[tokio::test]
async fn the_comments_of_a_backend_are_swallowed() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", &["keep_alive = \"30s\""]).await;
    call.chunk(": PROCESSING\n\n:\n\n").await;
    call.sse(&openai::text("Adige")).await;
    let Item::Event(event) = answer.next_item().await else { panic!("the next thing is an event") };
    assert_eq!(event.raw, format!("data: {}\n\n", openai::text("Adige")).as_bytes());
}

#[tokio::test]
async fn the_comments_of_a_backend_are_made_anew() {
    let (_gateway, _upstream, mut answer, mut call) = begun("openai", QUICK).await;
    call.chunk(": PROCESSING\n\n").await;
    let item = answer.next_item().await;
    assert_comment(&item);
    assert!(!format!("{item:?}").contains("PROCESSING"), "{item:?}");
}

#[tokio::test]
async fn keep_alives_are_counted() {
    let (gateway, _upstream, mut answer, _call) = begun("openai", QUICK).await;
    assert_comment(&answer.next_item().await);
    assert_comment(&answer.next_item().await);
    gateway.metric_reaches("streamgate_keep_alives_total", &[], 2.0).await;
}

/// The next event that tells a response as it stands, and its whole text.
async fn standing(answer: &mut Answer) -> (Value, String) {
    loop {
        let event = answer.next_event().await;
        if event.name.as_deref() == Some("response.in_progress") {
            return (event.json(), String::from_utf8(event.raw.to_vec()).unwrap());
        }
    }
}

#[tokio::test]
async fn a_response_is_kept_alive_by_telling_it_as_it_stands() {
    let mut all = Pairs::start(QUICK).await;
    for api in APIS {
        let (asked, mut call) = all.ask(RESPONSES, &request(RESPONSES, api, true)).await;
        call.say(&["Adige", " and Po"]).await;
        let mut answer = asked.answer().await;
        let mut seen = Vec::new();
        while !seen.iter().any(|event: &Event| event.data.contains("Po")) {
            seen.push(answer.next_event().await);
        }
        let last = seen.last().unwrap().json();
        let mut told = Vec::new();
        for _ in 0..2 {
            told.push(standing(&mut answer).await.0);
        }
        assert_eq!(told[0], told[1], "{api}: nothing new");
        assert_eq!(told[0]["sequence_number"], last["sequence_number"], "{api}: no number of its own");
        let response = &told[0]["response"];
        assert_eq!(response["id"], seen[0].json()["response"]["id"], "{api}");
        assert_eq!(response["status"], "in_progress", "{api}");
        let output = response["output"].as_array().unwrap();
        let message = output.iter().find(|item| item["type"] == "message").unwrap();
        assert_eq!(message["content"][0]["text"], "Adige and Po", "{api}: {response}");
        call.end().await;
        let (rest, ending) = answer.events().await;
        assert_eq!(ending, Ending::Clean, "{api}");
        let whole = rest.last().unwrap().json();
        assert_eq!(whole["type"], "response.completed", "{api}: {rest:?}");
        let numbers =
            seen.iter().chain(&rest).filter(|event| event.name.as_deref() != Some("response.in_progress"));
        let numbers: Vec<u64> =
            numbers.map(|event| event.json()["sequence_number"].as_u64().unwrap()).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{api}: {numbers:?}");
    }
}

#[tokio::test]
async fn a_response_that_is_translated_begins_with_its_head_so_that_events_keep_it_alive() {
    for api in ["openai", "anthropic", "ollama"] {
        let (gateway, mut upstream) = gateway_over(api, QUICK).await;
        let asked = gateway.ask_post(RESPONSES, &request(RESPONSES, "m", true)).await;
        let mut call = upstream.call().await;
        let mut answer = asked.answer().await;
        let created = answer.next_event().await;
        assert_eq!(created.name.as_deref(), Some("response.created"), "{api}");
        assert_eq!(created.json()["sequence_number"], 0);
        for _ in 0..3 {
            let (told, _) = standing(&mut answer).await;
            assert_eq!(told["sequence_number"], 1, "{api}");
            assert_eq!(told["response"], created.json()["response"], "{api}");
        }
        call.say(&["Adige"]).await;
        call.end().await;
        let (rest, ending) = answer.events().await;
        assert_eq!(ending, Ending::Clean, "{api}");
        let names: Vec<&str> = rest.iter().filter_map(|event| event.name.as_deref()).collect();
        assert!(!names.contains(&"response.created"), "{api}: it is created once: {names:?}");
        assert_eq!(rest.last().unwrap().json()["response"]["id"], created.json()["response"]["id"], "{api}");
    }
}

#[tokio::test]
async fn a_response_that_has_begun_and_fails_is_created_once() {
    let (gateway, mut upstream) = gateway_over("openai", QUICK).await;
    let asked = gateway.ask_post(RESPONSES, &request(RESPONSES, "m", true)).await;
    let call = upstream.call().await;
    let mut answer = asked.answer().await;
    let created = answer.next_event().await.json();
    standing(&mut answer).await;
    call.answer(400, &json!({"error": {"message": "the river is dry", "type": "invalid_request_error"}}))
        .await;
    let (rest, ending) = answer.events().await;
    assert_eq!(ending, Ending::Clean);
    let names: Vec<&str> = rest.iter().filter_map(|event| event.name.as_deref()).collect();
    assert!(names.ends_with(&["error", "response.failed"]), "{names:?}");
    assert!(!names.contains(&"response.created"), "{names:?}");
    let failed = rest.last().unwrap().json();
    assert_eq!(failed["response"]["id"], created["response"]["id"]);
    assert!(failed["response"]["error"]["message"].as_str().unwrap().contains("dry"), "{failed}");
}

#[tokio::test]
async fn a_response_of_a_backend_with_a_name_of_its_own_for_it_is_not_begun_under_another() {
    let (gateway, mut upstream) = gateway_over("responses", QUICK).await;
    let asked = gateway.ask_post(RESPONSES, &request(RESPONSES, "m", true)).await;
    let mut call = upstream.call().await;
    let mut answer = asked.answer().await;
    for _ in 0..2 {
        assert_comment(&answer.next_item().await);
    }
    call.say(&["Adige"]).await;
    let first = answer.next_event().await;
    assert_eq!(first.name.as_deref(), Some("response.created"));
}

#[tokio::test]
async fn who_reads_a_response_from_the_middle_is_told_all_of_its_output() {
    for api in ["openai", "responses"] {
        let (gateway, mut upstream) = gateway_over(api, QUICK).await;
        let asked =
            Request::post(RESPONSES, &request(RESPONSES, "m", true)).header("x-conversation-id", "rivers");
        let asked = gateway.ask(&asked).await;
        let mut call = upstream.call().await;
        call.say(&["Adige", " and Po"]).await;
        let mut answer = asked.answer().await;
        let id = answer.header("stream-id").unwrap().to_owned();
        while !answer.next_event().await.data.contains("Po") {}
        let (told, raw) = standing(&mut answer).await;
        assert!(!raw.contains("id: "), "{api}: no event of the record: {raw}");
        let response = told["response"]["id"].as_str().unwrap().to_owned();
        for path in [
            format!("/v1/streams/{id}?last_event_id={id}.4"),
            format!("/v1/streams/{id}"),
            format!("/v1/responses/{response}?stream=true&starting_after=3"),
        ] {
            let mut reader = gateway.get(&path).await;
            assert_eq!(reader.status, 200, "{path}");
            while !reader.next_event().await.data.contains("Po") {}
            assert_eq!(standing(&mut reader).await.0["response"], told["response"], "{api} {path}");
        }
        call.end().await;
        while answer.next_event().await.name.as_deref() != Some("response.completed") {}
    }
}

#[tokio::test]
async fn a_stream_is_kept_alive_as_its_client_or_its_route_wants() {
    let quick = [QUICK, &["keep_alive_as = \"event\""]].concat();
    let nothing = json!([{"index": 0, "delta": {}, "finish_reason": null}]);
    let (gateway, _upstream, mut answer, _call) = begun("openai", &quick).await;
    let (first, second) = (answer.next_event().await.json(), answer.next_event().await.json());
    assert_eq!((&first["choices"], &first), (&nothing, &second));
    drop(gateway);
    let (gateway, mut upstream) = gateway_over("openai", QUICK).await;
    let with = |line: Option<&str>, path: &str, body: &Value| match line {
        Some(value) => Request::post(path, body).header("x-keep-alive", value),
        None => Request::post(path, body),
    };
    for (line, path, events) in [
        (Some("event"), "/v1/chat/completions", true),
        (None, "/v1/chat/completions?keep_alive=event", true),
        (Some("comment"), "/v1/chat/completions?keep_alive=event", false),
        (Some("auto"), "/v1/chat/completions", false),
        (Some("comment"), RESPONSES, false),
        (Some("event"), "/api/chat", true),
    ] {
        let door = path.split('?').next().unwrap();
        let asked = gateway.ask(&with(line, path, &request(door, "m", true))).await;
        let mut call = upstream.call().await;
        call.say(&["Adige"]).await;
        let mut answer = asked.answer().await;
        while !answer.next_event().await.data.contains("Adige") {}
        match answer.next_item().await {
            Item::Event(event) => assert!(events, "{path} {line:?}: {event:?}"),
            Item::Quiet(_) => assert!(!events, "{path} {line:?}"),
            Item::End(ending) => panic!("{ending:?}"),
        }
        call.end().await;
    }
    for path in ["/v1/chat/completions?keep_alive=often", "/v1/chat/completions?keep_alive="] {
        assert_eq!(gateway.send(&with(None, path, &chat())).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn what_keeps_a_line_alive_as_an_event_is_a_line_of_ollamas_that_says_nothing() {
    let quick = [QUICK, &["keep_alive_as = \"event\""]].concat();
    let (_gateway, _upstream, mut answer, mut call) = begun("ollama", &quick).await;
    for _ in 0..2 {
        let line = answer.next_event().await.json();
        assert_eq!((&line["message"]["content"], &line["done"]), (&json!(""), &json!(false)));
        assert!(line["created_at"].as_str().is_some_and(|time| time.starts_with("20")), "{line}");
    }
    call.line(&ollama::done("stop")).await;
    call.finish().await;
    assert!(Heard::of(&mut answer).await.succeeded());
}
