//! Channels on several replicas: one order and the same ids everywhere, and no number that stands for two events.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::super::support::redis::Redis;
use super::super::support::{Answer, Client, Ending, Event, Gateway, Request, until};
use super::{Pair, id, replica};

const JOB: &str = "/v1/channels/job-7";

fn events() -> Request {
    Request::get(JOB).header("accept", "text/event-stream")
}

fn from(cursor: &str) -> Request {
    events().header("last-event-id", cursor)
}

fn delete() -> Request {
    Request::new("DELETE", JOB)
}

/// A subscriber that was told that its connection stands.
async fn subscribe(gateway: &Gateway, request: &Request) -> Answer {
    let mut answer = gateway.send(request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.next_event().await.name.as_deref(), Some("connected"));
    answer
}

/// Publishes one event and gives its id.
async fn publish(gateway: &Gateway, body: &Value) -> String {
    let mut answer = gateway.post(JOB, body).await;
    let said = answer.json().await;
    assert_eq!(answer.status, 200, "{said}");
    said["id"].as_str().unwrap().to_owned()
}

fn stream(id: &str) -> &str {
    id.split('.').next().unwrap()
}

fn seen(event: &Event) -> (String, String) {
    (id(event).expect("an id"), event.data.clone())
}

async fn next(answer: &mut Answer, count: usize) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(seen(&answer.next_event().await));
    }
    all
}

#[tokio::test]
async fn what_is_published_on_one_replica_is_seen_on_all_with_the_same_ids() {
    let pair = Pair::start().await;
    let (mut a, mut b) = (subscribe(&pair.a, &events()).await, subscribe(&pair.b, &events()).await);
    let mut told = Vec::new();
    for number in 0..20 {
        let gateway = if number % 3 == 0 { &pair.b } else { &pair.a };
        told.push((publish(gateway, &json!(number)).await, number.to_string()));
    }
    assert_eq!(told[19].0, format!("{}.20", stream(&told[0].0)));
    assert_eq!(next(&mut a, 20).await, told);
    assert_eq!(next(&mut b, 20).await, told);
    assert_eq!(a.header("stream-durability"), None);
}

#[tokio::test]
async fn a_subscriber_goes_on_at_another_replica_where_it_was() {
    let pair = Pair::start().await;
    let mut first = subscribe(&pair.a, &events()).await;
    let one = publish(&pair.a, &json!("one")).await;
    assert_eq!(next(&mut first, 1).await[0].0, one);
    drop(first);
    publish(&pair.a, &json!("two")).await;
    let three = publish(&pair.b, &json!("three")).await;
    for gateway in [&pair.b, &pair.a] {
        let mut back = subscribe(gateway, &from(&one)).await;
        assert_eq!(back.header("stream-resumed-after"), Some(one.as_str()));
        let rest: Vec<_> = next(&mut back, 2).await.into_iter().map(|(_, data)| data).collect();
        assert_eq!(rest, ["\"two\"", "\"three\""]);
        // Who comes late, without a cursor, is given all of it, and who asks for what is to come, nothing else.
        let mut late = subscribe(gateway, &events()).await;
        assert_eq!(next(&mut late, 3).await[2].0, three);
    }
    let request = Request::get(&format!("{JOB}?from=now")).header("accept", "text/event-stream");
    let mut fresh = subscribe(&pair.b, &request).await;
    let four = publish(&pair.a, &json!("four")).await;
    assert_eq!(next(&mut fresh, 1).await, [(four, "\"four\"".to_owned())]);
}

/// Publishes so many events, one after the other; gives their ids.
async fn publisher(address: std::net::SocketAddr, name: usize, count: usize) -> Vec<(String, String)> {
    let mut told = Vec::new();
    for number in 0..count {
        let data = format!("{name}-{number}");
        let mut client = Client::connect(address).await;
        client.ask(&Request::post(JOB, &json!({ "data": data }))).await;
        let said = client.answer().await.json().await;
        told.push((said["id"].as_str().unwrap_or_else(|| panic!("{said}")).to_owned(), data));
    }
    told
}

/// Three publishers at once on two replicas: every subscriber sees one order, without a gap, a double or a stranger.
async fn race(pair: &Pair) {
    const EACH: usize = 60;
    let mut readers = Vec::new();
    for gateway in [&pair.a, &pair.b, &pair.a, &pair.b] {
        readers.push(subscribe(gateway, &events()).await);
    }
    let mut publishers = JoinSet::new();
    for (name, gateway) in [&pair.a, &pair.b, &pair.a].into_iter().enumerate() {
        publishers.spawn(publisher(gateway.public, name, EACH));
    }
    let mut told: Vec<(String, String)> = publishers.join_all().await.into_iter().flatten().collect();
    let number = |id: &str| id.split('.').nth(1).unwrap().parse::<usize>().unwrap();
    told.sort_by_key(|(id, _)| number(id));
    let numbers: Vec<_> = told.iter().map(|(id, _)| number(id)).collect();
    assert_eq!(numbers, (1..=3 * EACH).collect::<Vec<_>>());
    for reader in &mut readers {
        assert_eq!(next(reader, 3 * EACH).await, told);
    }
    for name in 0..3 {
        let own = told.iter().filter(|(_, data)| data.starts_with(&format!("{name}-")));
        let order: Vec<usize> =
            own.map(|(_, data)| data.split_once('-').unwrap().1.parse().unwrap()).collect();
        assert_eq!(order, (0..EACH).collect::<Vec<_>>(), "each publisher's in its own order");
    }
}

#[tokio::test]
async fn publishers_on_several_replicas_at_once_make_one_order() {
    race(&Pair::start().await).await;
}

#[tokio::test]
async fn publishers_whose_events_are_sealed_make_one_order_too_and_tell_redis_nothing() {
    const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let seal = |setup: super::Setup| setup.journal("seal_key = { env = \"SEAL\" }").environment("SEAL", KEY);
    let pair = Pair::start_with(seal).await;
    race(&pair).await;
    publish(&pair.a, &json!("canary-event")).await;
    let dump = pair.redis.dump();
    let holds = |text: &str| dump.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!holds("canary-event") && !holds("job-7"));
}

#[tokio::test]
async fn a_channel_that_is_deleted_on_one_replica_ends_on_all() {
    let pair = Pair::start().await;
    let (mut a, mut b) = (subscribe(&pair.a, &events()).await, subscribe(&pair.b, &events()).await);
    let one = publish(&pair.a, &json!(1)).await;
    for reader in [&mut a, &mut b] {
        assert_eq!(next(reader, 1).await[0].0, one);
    }
    assert_eq!(pair.b.send(&delete()).await.status, 204);
    for reader in [&mut a, &mut b] {
        let (events, ending) = reader.events().await;
        assert_eq!((events.len(), ending), (0, Ending::Clean));
    }
    for gateway in [&pair.a, &pair.b] {
        assert_eq!(gateway.send(&from(&one)).await.status, 204);
        assert_eq!(gateway.send(&delete()).await.status, 404);
        assert_eq!(gateway.send(&Request::new("HEAD", JOB)).await.status, 404);
    }
    // The next of the name is another one, on whichever replica it begins.
    let two = publish(&pair.a, &json!(2)).await;
    assert_ne!(stream(&one), stream(&two));
    assert_eq!(pair.b.send(&Request::new("HEAD", JOB)).await.status, 200);
    assert_eq!(pair.b.send(&from(&one)).await.status, 204);
    let mut next_one = subscribe(&pair.b, &events()).await;
    assert_eq!(next(&mut next_one, 1).await[0].0, two);
}

#[tokio::test]
async fn a_cursor_whose_events_are_not_kept_is_a_410_on_every_replica() {
    let pair = Pair::start_with(|setup| setup.journal("max_stream_bytes = \"1KiB\"")).await;
    let mut reader = subscribe(&pair.a, &events()).await;
    let first = publish(&pair.a, &json!("x".repeat(400))).await;
    next(&mut reader, 1).await;
    for _ in 0..5 {
        publish(&pair.b, &json!("y".repeat(400))).await;
        next(&mut reader, 1).await; // who falls behind so far is broken off
    }
    let id = stream(&first);
    let kept = pair.redis.ask(&["XLEN", &format!("sg:{{{id}}}:frames")]);
    assert_eq!(kept, "2", "as many as fit, as on the replicas");
    for gateway in [&pair.a, &pair.b] {
        let answer = gateway.send(&from(&first)).await;
        assert_eq!(answer.status, 410);
        assert_eq!(answer.header("stream-earliest-id"), Some(format!("{id}.5").as_str()));
    }
}

#[tokio::test]
async fn an_idle_channel_is_forgotten_and_one_that_is_read_is_not() {
    let pair = Pair::start_with(|setup| setup.journal("retention = \"1s\"")).await;
    let mut reader = subscribe(&pair.a, &events()).await;
    let first = publish(&pair.b, &json!("first")).await;
    next(&mut reader, 1).await;
    let other = pair.b.post("/v1/channels/other", &json!(1)).await.json().await["id"].clone();
    let cursor = Request::get("/v1/channels/other").header("last-event-id", other.as_str().unwrap());
    let b = &pair.b;
    // Whoever subscribes keeps it: this only looks.
    let is_there = Request::new("HEAD", "/v1/channels/other");
    until("the idle channel to be gone", async || b.send(&is_there).await.status == 404).await;
    assert_eq!(b.send(&cursor).await.status, 410);
    let still = publish(&pair.b, &json!("still here")).await;
    assert_eq!(stream(&still), stream(&first));
    assert_eq!(next(&mut reader, 1).await[0].0, still);
}

#[tokio::test]
async fn the_channel_of_one_key_is_not_the_channel_of_another_on_any_replica() {
    let keys = |setup: super::Setup| {
        let publishes = "scopes = [\"publish\", \"inference\"]";
        setup.key("alice", "sk-a", publishes).key("bob", "sk-b", publishes)
    };
    let pair = Pair::start_with(keys).await;
    let with = |request: Request, key: &str| request.header("authorization", &format!("Bearer {key}"));
    let said = pair.a.send(&with(Request::post(JOB, &json!("secret")), "sk-a")).await.json().await;
    let secret = said["id"].as_str().unwrap().to_owned();
    assert_eq!(pair.b.send(&with(from(&secret), "sk-b")).await.status, 410);
    assert_eq!(pair.b.send(&with(Request::new("HEAD", JOB), "sk-b")).await.status, 404);
    assert_eq!(pair.b.send(&with(delete(), "sk-b")).await.status, 404);
    let mut own = pair.b.send(&with(events(), "sk-b")).await;
    assert_eq!(own.next_event().await.json()["after"], 0); // a channel of its own, and empty
    let said = pair.a.send(&with(Request::post(JOB, &json!("for bob")), "sk-b")).await.json().await;
    assert_ne!(stream(said["id"].as_str().unwrap()), stream(&secret));
    assert_eq!(own.next_event().await.data, "\"for bob\"");
    // A page without a key reads with an address that another replica has signed.
    let token = Request::post(&format!("{JOB}/token"), &json!({}));
    let url = pair.a.send(&with(token, "sk-a")).await.json().await["stream_url"].as_str().unwrap().to_owned();
    let mut page = subscribe(&pair.b, &Request::get(&url).header("accept", "text/event-stream")).await;
    assert_eq!(page.next_event().await.data, "\"secret\"");
}

/// The end of a channel that Redis has lost: a last event that says so and takes the cursor away.
fn is_lost(events: &[Event]) -> bool {
    let last = events.last().unwrap();
    let raw = std::str::from_utf8(&last.raw).unwrap();
    last.name.as_deref() == Some("lost") && raw.starts_with("id:\n") && raw.contains("producer_lost")
}

#[tokio::test]
async fn redis_dies_and_comes_back_empty_and_no_number_stands_for_two_events() {
    let mut pair = Pair::start().await;
    let (mut a, mut b) = (subscribe(&pair.a, &events()).await, subscribe(&pair.b, &events()).await);
    let old = publish(&pair.a, &json!("old")).await;
    for reader in [&mut a, &mut b] {
        next(reader, 1).await;
    }
    pair.redis.kill();
    let mut refused = pair.a.post(JOB, &json!("not taken")).await;
    assert_eq!((refused.status, refused.header("retry-after").is_some()), (503, true));
    assert!(refused.json().await["error"]["message"].as_str().unwrap().contains("does not answer"));
    // Who reads along may come and go here in the meantime, and is told that others do not know of it.
    let back = subscribe(&pair.a, &from(&old)).await;
    assert_eq!(back.header("stream-durability"), Some("local"));
    pair.redis.start_again().await;
    let gateway = &pair.b;
    until("publishing to be possible", async || gateway.post(JOB, &json!("new")).await.status == 200).await;
    for reader in [&mut a, &mut b] {
        let (events, ending) = reader.events().await;
        assert!(is_lost(&events), "{events:?}");
        assert_eq!((events.len(), ending), (1, Ending::Aborted));
    }
    for gateway in [&pair.a, &pair.b] {
        let mut again = subscribe(gateway, &events()).await;
        let (new, data) = next(&mut again, 1).await.remove(0);
        assert_eq!(data, "\"new\"");
        assert_ne!(stream(&new), stream(&old));
        let answer = gateway.send(&from(&old)).await;
        assert_eq!(answer.status, 410, "the gap is told");
        assert_eq!(answer.header("stream-earliest-id"), Some(new.as_str()));
    }
}

#[tokio::test]
async fn a_redis_that_came_back_with_less_than_it_had_begins_the_channel_anew() {
    let mut pair = Pair::start().await;
    let first = publish(&pair.a, &json!("first")).await;
    pair.redis.dump();
    let second = publish(&pair.a, &json!("second")).await;
    let mut reader = subscribe(&pair.b, &from(&first)).await;
    assert_eq!(next(&mut reader, 1).await[0].0, second);
    pair.redis.kill();
    pair.redis.start_again().await; // with the dump
    let gateway = &pair.a;
    until("publishing to be possible", async || gateway.post(JOB, &json!("third")).await.status == 200).await;
    let (events, ending) = reader.events().await;
    assert!(is_lost(&events), "{events:?}");
    assert_eq!(ending, Ending::Aborted);
    let mut again = subscribe(&pair.b, &self::events()).await;
    let (third, data) = next(&mut again, 1).await.remove(0);
    assert_eq!(data, "\"third\"");
    assert_ne!(stream(&third), stream(&second));
}

#[tokio::test]
async fn subscribers_sit_out_a_slow_redis_and_publishers_do_not_hang() {
    let pair = Pair::start().await;
    let mut reader = subscribe(&pair.b, &events()).await;
    publish(&pair.a, &json!("before")).await;
    pair.redis.say(&["DEBUG", "SLEEP", "8"]); // longer than two leases
    let started = tokio::time::Instant::now();
    let gateway = &pair.a;
    until("a refusal", async || gateway.post(JOB, &json!("refused")).await.status == 503).await;
    assert!(started.elapsed() < std::time::Duration::from_secs(6), "{:?}", started.elapsed());
    until("publishing to be possible", async || gateway.post(JOB, &json!("after")).await.status == 200).await;
    let first = next(&mut reader, 1).await.remove(0).0;
    loop {
        // What was refused may have been published all the same, and is never lost in silence.
        let (id, data) = next(&mut reader, 1).await.remove(0);
        assert_eq!(stream(&id), stream(&first), "the same channel goes on");
        if data == "\"after\"" {
            break;
        }
    }
}

#[tokio::test]
async fn a_gateway_that_starts_without_redis_refuses_channels_honestly() {
    let gateway = replica(&super::super::support::redis::url(Redis::absent())).demo().start().await;
    assert_eq!(gateway.post(JOB, &json!(1)).await.status, 503);
    assert_eq!(gateway.send(&Request::new("HEAD", JOB)).await.status, 503);
    assert_eq!(gateway.get(JOB).await.status, 503);
    let mut source = gateway.send(&events()).await;
    assert_eq!(source.status, 200, "503 would end an EventSource for ever");
    assert!(source.text().await.starts_with("retry:"));
}

#[tokio::test]
async fn a_replica_that_ends_lets_its_subscribers_go_and_the_channel_stays() {
    let mut pair = Pair::start().await;
    let (mut a, mut b) = (subscribe(&pair.a, &events()).await, subscribe(&pair.b, &events()).await);
    let one = publish(&pair.a, &json!(1)).await;
    next(&mut a, 1).await;
    pair.a.signal("TERM");
    assert_eq!(a.events().await.1, Ending::Clean);
    assert_eq!(pair.a.exit().await.code(), Some(0));
    let two = publish(&pair.b, &json!(2)).await;
    let mut back = subscribe(&pair.b, &from(&one)).await;
    assert_eq!(next(&mut back, 1).await[0].0, two);
    assert_eq!(next(&mut b, 2).await[1].0, two);
}

#[tokio::test]
async fn many_subscribers_of_many_channels_share_three_connections() {
    let pair = Pair::start().await;
    let mut readers = Vec::new();
    for number in 0..24 {
        let path = format!("/v1/channels/c{}", number % 8);
        let mut reader = pair.b.get(&path).await;
        reader.next_event().await;
        readers.push((number % 8, reader));
    }
    for number in 0..8 {
        pair.a.post(&format!("/v1/channels/c{number}"), &json!(number)).await;
    }
    for (number, reader) in &mut readers {
        assert_eq!(reader.next_event().await.data, number.to_string());
    }
    let clients = pair.redis.ask(&["CLIENT", "LIST"]);
    let gateways = clients.lines().filter(|line| !line.contains("cmd=client")).count();
    assert_eq!(gateways, 6, "three of each replica: {clients}");
}
