//! A reader that is cut off anywhere and comes back has read, in all, what one read that was never cut off.

#[cfg(feature = "redis")]
use std::collections::VecDeque;

use super::{Dice, TALK, begin, door_of, gateway, id_of, number_of, raws, source, stream_id, wish};
use crate::support::pairs::APIS;
use crate::support::{Client, Event, Gateway, Request, Upstream};

/// A finished stream of some length, as a reader sees it that is never cut off.
async fn record(api: &str, numbered: bool) -> (Gateway, Upstream, String, Vec<Event>) {
    record_in(api, numbered, &[]).await
}

/// The same, with lines of `[journal]`.
async fn record_in(api: &str, numbered: bool, journal: &[&str]) -> (Gateway, Upstream, String, Vec<Event>) {
    let (gateway, mut upstream) = gateway(api, &["record = \"always\""], journal).await;
    let headers: &[(&str, &str)] = if numbered { &[(TALK, "talk")] } else { &[] };
    let (asked, mut call) = super::ask(&gateway, &mut upstream, &wish(door_of(api), headers)).await;
    let texts: Vec<String> =
        (0..60).map(|number| format!("wörd {number} 🌍 \"\\n{}", "y".repeat(number))).collect();
    call.say(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    call.end().await;
    let mut answer = asked.answer().await;
    answer.rest().await;
    let id = stream_id(&answer);
    let (events, _) = gateway.send(&source(&id, None)).await.events().await;
    (gateway, upstream, id, events)
}

/// How many random cuts are tried, over all APIs; `STREAMGATE_CUTS` says another number.
fn cuts() -> usize {
    let told = std::env::var_os("STREAMGATE_CUTS").and_then(|told| told.to_str()?.parse().ok());
    told.unwrap_or(920)
}

/// Reads so many bytes of the body and goes away; gives the whole events among them.
async fn cut_at(gateway: &Gateway, id: &str, bytes: usize) -> Vec<u8> {
    let mut reader = gateway.send(&source(id, None)).await;
    let mut seen = Vec::new();
    while seen.len() < bytes {
        seen.extend_from_slice(&reader.next_event().await.raw);
    }
    seen.truncate(bytes);
    seen
}

/// What an `EventSource` makes of bytes that were cut off: the events that came whole, and the id of the last.
fn whole(bytes: &[u8]) -> (&[u8], Option<String>) {
    let end = bytes.windows(2).rposition(|two| two == b"\n\n").map_or(0, |at| at + 2);
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let last = text.lines().filter_map(|line| line.strip_prefix("id: ")).next_back();
    (&bytes[..end], last.map(str::to_owned))
}

#[tokio::test]
async fn cut_at_every_event_nothing_is_missing_and_nothing_comes_twice() {
    for api in APIS {
        let (gateway, _upstream, id, events) = record(api, true).await;
        let mut client = gateway.client().await;
        for at in 0..events.len() - 1 {
            client.ask(&source(&id, id_of(&events[at]))).await;
            let mut rest = client.answer().await;
            assert_eq!(&*rest.rest().await.0, &*raws(&events[at + 1..]), "{api} behind {at}");
            client = rest.reuse();
        }
    }
}

#[tokio::test]
async fn cut_at_any_byte_nothing_is_missing_and_nothing_comes_twice() {
    let mut dice = Dice(0x5eed_cafe_f00d);
    for api in APIS {
        let (gateway, _upstream, id, events) = record(api, true).await;
        let all = raws(&events);
        let mut client = gateway.client().await;
        for _ in 0..cuts() / APIS.len() {
            let at = dice.below(all.len());
            let (seen, last) = whole(&all[..at]);
            client.ask(&source(&id, last.as_deref())).await;
            let mut rest = client.answer().await;
            let joined = [seen, &rest.rest().await.0].concat();
            assert!(joined == all, "{api}, cut at {at}");
            client = rest.reuse();
        }
    }
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn cut_at_any_byte_and_gone_on_at_another_replica_nothing_is_missing_and_nothing_comes_twice() {
    let mut dice = Dice(0x0ddb_0a75);
    let redis = crate::support::redis::Redis::start().await;
    let url = format!("url = \"{}\"", redis.url());
    let shared = ["store = \"redis\"", url.as_str()];
    for api in APIS {
        let (begun_on, _upstream, id, events) = record_in(api, true, &shared).await;
        let (other, _its_upstream) = gateway(api, &[], &shared).await;
        let all = raws(&events);
        crate::support::until("the other replica to have all of it", async || {
            other.send(&source(&id, None)).await.rest().await.0 == all
        })
        .await;
        let mut clients = VecDeque::from([other.client().await, begun_on.client().await]);
        for _ in 0..cuts() / APIS.len() {
            let mut client = clients.pop_front().unwrap();
            let at = dice.below(all.len());
            let (seen, last) = whole(&all[..at]);
            client.ask(&source(&id, last.as_deref())).await;
            let mut rest = client.answer().await;
            let joined = [seen, &rest.rest().await.0].concat();
            assert!(joined == all, "{api}, cut at {at}");
            clients.push_back(rest.reuse());
        }
    }
}

#[tokio::test]
async fn readers_that_leave_at_any_byte_leave_nothing_behind() {
    let mut dice = Dice(0x0dd_ba11);
    for api in APIS {
        let (gateway, _upstream, id, events) = record(api, true).await;
        let all = raws(&events);
        for _ in 0..20 {
            let bytes = cut_at(&gateway, &id, dice.below(all.len())).await;
            let (seen, last) = whole(&bytes);
            let rest = gateway.send(&source(&id, last.as_deref())).await.rest().await.0;
            assert!([seen, &rest].concat() == all, "{api}");
        }
        crate::support::until("no reader to be left", async || {
            gateway.metric("streamgate_record_readers", &[]).await < 0.5
        })
        .await;
    }
}

#[tokio::test]
async fn cut_while_the_stream_runs_nothing_is_missing_and_nothing_comes_twice() {
    for api in APIS {
        let (gateway, mut upstream) = gateway(api, &[], &[]).await;
        let (answer, mut call) = begin(&gateway, &mut upstream, &wish(door_of(api), &[(TALK, "talk")])).await;
        let (id, mut last, mut numbers) = (stream_id(&answer), None::<String>, Vec::new());
        drop(answer);
        let more = crate::support::script::opening(&call.path, &["on"]).pop().unwrap();
        for _ in 0..25 {
            call.chunk(&more).await;
            let mut reader = gateway.send(&source(&id, last.as_deref())).await;
            for _ in 0..2 {
                let event = reader.next_event().await;
                numbers.push(number_of(&event));
                last = id_of(&event).map(str::to_owned);
                if numbers.len() % 3 == 0 {
                    break;
                }
                call.chunk(&more).await;
            }
        }
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{api}");
    }
}

#[tokio::test]
async fn lines_are_gone_on_from_by_their_number() {
    let (gateway, _upstream, id, events) = record("ollama", false).await;
    let lines: Vec<String> = events.iter().map(|event| format!("{}\n", event.data)).collect();
    let mut client: Client = gateway.client().await;
    for at in 0..lines.len() - 1 {
        let path = format!("/v1/streams/{id}?starting_after={}", at + 1);
        client.ask(&Request::get(&path).header("accept", "application/x-ndjson")).await;
        let mut rest = client.answer().await;
        assert_eq!(rest.text().await, lines[at + 1..].concat());
        client = rest.reuse();
    }
}
