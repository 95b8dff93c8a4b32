//! Ids: of streams, of events, and where they are shown.

use super::{
    CHAT, TALK, begin, door_of, finished, gateway, id_of, named, number_of, raws, source, stream_id, wish,
};
use crate::support::pairs::APIS;
use crate::support::{Ending, Heard, Request, chat, data_of, openai};

#[tokio::test]
async fn a_stream_has_an_id_of_26_characters_and_an_address() {
    let (_gateway, _upstream, answer, _call) = named("openai", &[], &[]).await;
    let id = stream_id(&answer);
    assert_eq!(id.len(), 26);
    assert!(id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7')), "{id}");
    assert_eq!(answer.header("location"), Some(format!("/v1/streams/{id}").as_str()));
}

#[tokio::test]
async fn no_two_streams_have_one_id() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let mut seen = std::collections::HashSet::new();
    for _ in 0..8 {
        let (answer, _call) = begin(&gateway, &mut upstream, &wish(CHAT, &[(TALK, "talk")])).await;
        assert!(seen.insert(stream_id(&answer)));
    }
}

#[tokio::test]
async fn events_are_numbered_from_one_without_gaps() {
    for api in ["openai", "responses", "anthropic"] {
        let (_gateway, _upstream, events, id) = finished(api, &[]).await;
        for (at, event) in events.iter().enumerate() {
            assert_eq!(id_of(event), Some(format!("{id}.{}", at + 1).as_str()), "{api}");
        }
    }
}

#[tokio::test]
async fn a_replay_has_the_same_ids_and_the_same_bytes() {
    for api in ["openai", "responses", "anthropic"] {
        let (gateway, _upstream, events, id) = finished(api, &[]).await;
        for _ in 0..2 {
            let (again, ending) = gateway.send(&source(&id, None)).await.rest().await;
            assert_eq!((ending, &*again), (Ending::Clean, &*raws(&events)), "{api}");
        }
    }
}

#[tokio::test]
async fn a_translated_replay_has_the_same_bytes_too() {
    for api in APIS {
        let (gateway, mut upstream) = gateway(api, &[], &[]).await;
        let (mut answer, call) = begin(&gateway, &mut upstream, &wish(CHAT, &[(TALK, "talk")])).await;
        call.end().await;
        let (events, _) = answer.events().await;
        let mut again = gateway.send(&source(&stream_id(&answer), None)).await;
        assert_eq!(&*again.rest().await.0, &*raws(&events), "{api}");
    }
}

#[tokio::test]
async fn only_the_first_event_says_when_to_come_back() {
    let (_gateway, _upstream, events, _) = finished("openai", &[]).await;
    let says = |event: &crate::support::Event| String::from_utf8_lossy(&event.raw).contains("\nretry: ");
    assert!(says(&events[0]) && !events[1..].iter().any(says));
}

#[tokio::test]
async fn a_stream_that_the_client_did_not_name_shows_no_ids() {
    for api in APIS {
        let (gateway, mut upstream) = gateway(api, &["record = \"always\""], &[]).await;
        let (mut answer, call) = begin(&gateway, &mut upstream, &wish(door_of(api), &[])).await;
        call.end().await;
        assert!(answer.header("stream-id").is_some());
        let (events, _) = answer.events().await;
        assert!(events.iter().all(|event| id_of(event).is_none()), "{api}");
    }
}

#[tokio::test]
async fn an_idempotency_key_alone_shows_no_ids() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let (mut answer, call) = begin(&gateway, &mut upstream, &wish(CHAT, &[("idempotency-key", "k")])).await;
    call.end().await;
    let (events, _) = answer.events().await;
    assert!(events.iter().all(|event| id_of(event).is_none()));
    let (read, _) = gateway.send(&source(&stream_id(&answer), None)).await.events().await;
    assert_eq!(read.len(), events.len());
    assert_eq!(read.iter().map(number_of).collect::<Vec<_>>(), (1..=read.len() as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_that_nobody_wants_recorded_has_no_id() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let (answer, call) = begin(&gateway, &mut upstream, &Request::post(CHAT, &chat())).await;
    call.end().await;
    assert_eq!((answer.header("stream-id"), answer.header("location")), (None, None));
    let mut list = gateway.get("/v1/streams").await;
    assert_eq!(list.json().await["data"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn lines_of_ollama_have_no_ids_and_become_events_that_have() {
    let (gateway, _upstream, lines, id) = finished("ollama", &[]).await;
    let mut read = gateway.send(&source(&id, None)).await;
    assert_eq!(read.header("content-type"), Some("text/event-stream"));
    let (events, _) = read.events().await;
    assert_eq!(
        events.iter().map(|event| &event.data).collect::<Vec<_>>(),
        lines.iter().map(|line| &line.data).collect::<Vec<_>>()
    );
    assert_eq!(
        events.iter().map(number_of).collect::<Vec<_>>(),
        (1..=lines.len() as u64).collect::<Vec<_>>()
    );
    let mut read = gateway.send(&source(&id, None).header("accept", "application/x-ndjson")).await;
    assert_eq!(read.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(&*read.rest().await.0, &*raws(&lines));
}

#[tokio::test]
async fn a_whole_answer_is_one_event() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let request = super::with(Request::post(CHAT, &crate::support::prompt("m", false)), &[(TALK, "talk")]);
    let (asked, call) = super::ask(&gateway, &mut upstream, &request).await;
    call.answer(200, &openai::whole("Rhine")).await;
    let mut answer = asked.answer().await;
    let id = stream_id(&answer);
    let told = answer.json().await;
    let (events, ending) = gateway.send(&source(&id, None)).await.events().await;
    assert_eq!((events.len(), ending), (1, Ending::Clean));
    assert_eq!((id_of(&events[0]), events[0].json()), (Some(format!("{id}.1").as_str()), told));
}

#[tokio::test]
async fn clients_that_read_strictly_hear_a_numbered_stream_well() {
    for api in APIS {
        let (_gateway, _upstream, mut answer, call) = named(api, &[], &[]).await;
        call.end().await;
        let heard = Heard::of(&mut answer).await;
        assert_eq!(heard.text, "Rhine", "{api}");
        assert!(heard.succeeded() || api == "anthropic" || api == "responses", "{api}: {heard:?}");
    }
}

#[tokio::test]
async fn numbers_and_what_backends_write_around_their_events_go_together() {
    let (gateway, mut upstream) = gateway("openai", &[], &[]).await;
    let (asked, mut call) = super::ask(&gateway, &mut upstream, &wish(CHAT, &[(TALK, "talk")])).await;
    let (text, finish) = (openai::text("Rhine"), openai::finish("stop"));
    call.stream().await;
    call.chunk(format!("\u{feff}id: 7\nretry: 9\ndata: {text}\n\n")).await;
    call.chunk(format!(": on\n\nid: 8\r\ndata: {text}\r\n\r\n")).await;
    call.chunk(format!("data: {text}\r\r")).await;
    call.chunk(format!("data: {finish}")).await;
    call.finish().await;
    let mut answer = asked.answer().await;
    let (body, _) = answer.rest().await;
    let wanted =
        [text.to_string(), text.to_string(), text.to_string(), finish.to_string(), "[DONE]".to_owned()];
    assert_eq!(data_of(&body), wanted, "{body:?}");
    let said = String::from_utf8_lossy(&body).into_owned();
    let ids: Vec<&str> = said.split(['\r', '\n']).filter_map(|line| line.strip_prefix("id: ")).collect();
    let id = stream_id(&answer);
    assert_eq!(ids, (1..=5).map(|number| format!("{id}.{number}")).collect::<Vec<_>>());
    assert_eq!(gateway.send(&source(&id, None)).await.rest().await.0, body);
}
