//! What one replica has begun, the others go on with.

use serde_json::json;

use super::super::support::{Ending, Request, chat, until};
use super::{Pair, begin, id, look, read, said, say};

#[tokio::test]
async fn a_stream_begun_on_one_replica_is_read_on_another_with_the_same_ids_and_bytes() {
    let mut pair = Pair::start().await;
    let mut begun = pair.begun().await;
    let mut elsewhere = pair.b.send(&read(&begun.id)).await;
    assert_eq!(elsewhere.status, 200);
    assert_eq!(elsewhere.header("stream-durability"), None);
    let (first, mut own) = (elsewhere.next_event().await, vec![begun.first]);
    assert_eq!((id(&first), &first.data), (id(&own[0]), &own[0].data));
    let mut theirs = vec![first];
    for word in ["Elbe", "Oder", "Main"] {
        say(&mut begun.call, word).await;
        own.push(begun.answer.next_event().await);
        theirs.push(elsewhere.next_event().await);
    }
    super::over(begun.call).await;
    let (rest, ending) = begun.answer.events().await;
    let (their_rest, their_ending) = elsewhere.events().await;
    assert_eq!((ending, their_ending), (Ending::Clean, Ending::Clean));
    own.extend(rest);
    theirs.extend(their_rest);
    let seen = |events: &[super::Event]| -> Vec<_> {
        events.iter().map(|event| (id(event), event.data.clone())).collect()
    };
    assert_eq!(seen(&own), seen(&theirs));
    // And once more from the middle, now that it is over.
    let after = id(&own[1]).unwrap();
    let (again, _) = pair.b.send(&read(&begun.id).header("last-event-id", &after)).await.events().await;
    assert_eq!(seen(&own[2..]), seen(&again));
    let last = id(own.last().unwrap()).unwrap();
    assert_eq!(pair.b.send(&read(&begun.id).header("last-event-id", &last)).await.status, 204);
}

#[tokio::test]
async fn a_stream_is_cancelled_from_another_replica() {
    let mut pair = Pair::start().await;
    let mut begun = pair.begun().await;
    let mut answer =
        pair.b.send(&Request::post(&format!("/v1/streams/{}/cancel", begun.id), &json!({}))).await;
    assert_eq!(answer.json().await["state"], "cancelled");
    begun.call.closed().await;
    let (_, ending) = begun.answer.events().await;
    assert_eq!(ending, Ending::Aborted);
}

#[tokio::test]
async fn a_conversation_is_busy_on_every_replica() {
    let mut pair = Pair::start().await;
    let begun = pair.begun().await;
    let rejected = pair.b.send(&said("c").header("x-on-conflict", "reject")).await;
    assert_eq!(rejected.status, 409);
    assert_eq!(rejected.header("location"), Some(format!("/v1/streams/{}", begun.id).as_str()));
    let mut attached = pair.b.send(&said("c").header("x-on-conflict", "attach")).await;
    assert_eq!(attached.header("stream-id"), Some(begun.id.as_str()));
    assert_eq!(id(&attached.next_event().await), id(&begun.first));
    let newest = pair.b.send(&Request::get("/v1/conversations/c/stream")).await;
    assert_eq!(newest.header("stream-id"), Some(begun.id.as_str()));
}

#[tokio::test]
async fn a_newer_stream_on_another_replica_takes_the_place_of_the_old_one() {
    let mut pair = Pair::start().await;
    let mut old = pair.begun().await;
    let new = begin(&pair.b, &mut pair.upstream, "c").await;
    old.call.closed().await;
    let (events, ending) = old.answer.events().await;
    assert_eq!(ending, Ending::Aborted);
    assert_eq!(super::code(events.last().unwrap()), "superseded");
    let newest = pair.a.send(&Request::get("/v1/conversations/c/stream")).await;
    assert_eq!(newest.header("stream-id"), Some(new.id.as_str()));
}

#[tokio::test]
async fn a_repeated_request_generates_once_whichever_replica_it_reaches() {
    let mut pair = Pair::start().await;
    let keyed = || Request::post("/v1/chat/completions", &chat()).header("idempotency-key", "k");
    let asked = pair.a.ask(&keyed()).await;
    let mut call = pair.upstream.call().await;
    call.stream().await;
    say(&mut call, "Rhine").await;
    let mut first = asked.answer().await;
    let mut second = pair.b.send(&keyed()).await;
    assert_eq!(first.header("stream-id"), second.header("stream-id"));
    super::over(call).await;
    let ((one, _), (two, _)) = (first.events().await, second.events().await);
    assert_eq!(one.len(), two.len());
    let mut other = chat();
    other["temperature"] = json!(0.5);
    let other = Request::post("/v1/chat/completions", &other).header("idempotency-key", "k");
    assert_eq!(pair.b.send(&other).await.status, 422);
    assert_eq!(pair.upstream.calls_seen(), 1);
}

#[tokio::test]
async fn requests_with_one_key_that_race_on_two_replicas_generate_once() {
    let mut pair = Pair::start().await;
    let keyed = || Request::post("/v1/chat/completions", &chat()).header("idempotency-key", "k");
    let (one, two) = (pair.a.ask(&keyed()).await, pair.b.ask(&keyed()).await);
    let mut call = pair.upstream.call().await;
    call.stream().await;
    say(&mut call, "Rhine").await;
    let (one, two) = (one.answer().await, two.answer().await);
    assert_eq!(one.header("stream-id"), two.header("stream-id"));
    super::over(call).await;
    assert_eq!(pair.upstream.calls_seen(), 1);
}

#[tokio::test]
async fn a_request_that_was_cut_off_goes_on_at_another_replica() {
    let mut pair = Pair::start().await;
    let mut begun = pair.begun().await;
    let cursor = id(&begun.first).unwrap();
    drop(begun.answer);
    say(&mut begun.call, "Elbe").await;
    let mut answer = pair.b.send(&said("c").header("last-event-id", &cursor)).await;
    assert_eq!(answer.header("stream-id"), Some(begun.id.as_str()));
    let event = answer.next_event().await;
    assert!(event.data.contains("Elbe") && id(&event).unwrap().ends_with(".2"), "{event:?}");
    super::over(begun.call).await;
    assert_eq!(answer.events().await.1, Ending::Clean);
    assert_eq!(pair.upstream.calls_seen(), 1);
}

#[tokio::test]
async fn streams_are_listed_and_deleted_from_every_replica() {
    let mut pair = Pair::start().await;
    let begun = pair.begun().await;
    let list = pair.b.get("/v1/streams").await.json().await;
    assert_eq!(list["data"][0]["id"], begun.id.as_str());
    assert_eq!(list["data"][0]["state"], "running");
    super::over(begun.call).await;
    let (gateway, id) = (&pair.b, &begun.id);
    until("the other replica to know that it is done", async || {
        gateway.send(&look(id)).await.json().await["state"] == "done"
    })
    .await;
    assert_eq!(pair.b.send(&look(&begun.id)).await.json().await["text"], "Rhine");
}

#[tokio::test]
async fn a_kept_response_is_gone_on_from_and_deleted_on_another_replica() {
    let mut pair = Pair::start().await;
    let ask = |body: &serde_json::Value| Request::post("/v1/responses", body);
    let asked = pair.a.ask(&ask(&json!({"model": "m", "input": "Name a river."}))).await;
    let mut call = pair.upstream.call().await;
    call.say(&["Rhine"]).await;
    call.end().await;
    let id = asked.answer().await.json().await["id"].as_str().unwrap().to_owned();
    let next = json!({"model": "m", "input": "Another.", "previous_response_id": id});
    let asked = pair.b.ask(&ask(&next)).await;
    let mut call = pair.upstream.call().await;
    assert!(String::from_utf8_lossy(&call.body).contains("Rhine"), "the first answer is told");
    call.say(&["Elbe"]).await;
    call.end().await;
    assert_eq!(asked.answer().await.json().await["status"], "completed");
    assert_eq!(pair.b.send(&Request::new("DELETE", &format!("/v1/responses/{id}"))).await.status, 200);
    let path = format!("/v1/responses/{id}");
    let gateway = &pair.a;
    until("the replica that wrote it to throw it away", async || gateway.get(&path).await.status == 404)
        .await;
    assert_eq!(pair.b.get(&path).await.status, 404);
}

#[tokio::test]
async fn the_newest_viewer_wins_on_every_replica() {
    let mut pair = Pair::start().await;
    let mut begun = pair.begun().await;
    let path = |viewer: &str| format!("/v1/streams/{}?viewer={viewer}&exclusive=1", begun.id);
    let mut first = pair.a.get(&path("one")).await;
    first.next_event().await;
    let mut second = pair.b.get(&path("two")).await;
    second.next_event().await;
    let (_, ending) = first.events().await;
    assert_eq!(ending, Ending::Aborted, "the old connection is closed");
    assert_eq!(pair.a.get(&path("one")).await.status, 409, "it may not come back, not here");
    assert_eq!(pair.b.get(&path("one")).await.status, 409, "nor there");
    say(&mut begun.call, "Elbe").await;
    assert!(second.next_event().await.data.contains("Elbe"));
    let mut third = pair.b.get(&path("two")).await;
    third.next_event().await;
    let (_, ending) = second.events().await;
    assert_eq!(ending, Ending::Aborted, "the same viewer on a new connection");
}

#[tokio::test]
async fn an_address_signed_by_one_replica_is_good_on_all() {
    let mut pair = Pair::start_with(|setup| setup.key("alice", "sk-a", "")).await;
    let request = said("c").header("authorization", "Bearer sk-a").header("prefer", "respond-async");
    let mut answer = pair.a.send(&request).await;
    assert_eq!(answer.status, 202);
    let addresses = answer.json().await;
    let mut call = pair.upstream.call().await;
    call.stream().await;
    say(&mut call, "Rhine").await;
    let mut read = pair.b.get(addresses["stream_url"].as_str().unwrap()).await;
    assert_eq!(read.status, 200);
    assert!(read.next_event().await.data.contains("Rhine"));
    let cancel = Request::post(addresses["cancel_url"].as_str().unwrap(), &json!({}));
    assert_eq!(pair.b.send(&cancel).await.json().await["state"], "cancelled");
    call.closed().await;
}

#[tokio::test]
async fn the_stream_of_another_key_is_unknown_on_every_replica() {
    let two = |setup: super::Setup| setup.key("alice", "sk-a", "").key("bob", "sk-b", "");
    let mut pair = Pair::start_with(two).await;
    let asked = pair.a.ask(&said("c").header("authorization", "Bearer sk-a")).await;
    let mut call = pair.upstream.call().await;
    call.stream().await;
    say(&mut call, "Rhine").await;
    let id = asked.answer().await.header("stream-id").unwrap().to_owned();
    for (key, status) in [("sk-b", 404), ("sk-a", 200)] {
        let key = format!("Bearer {key}");
        assert_eq!(pair.b.send(&look(&id).header("authorization", &key)).await.status, status);
        assert_eq!(pair.b.send(&read(&id).header("authorization", &key)).await.status, status);
        let conversation = Request::get("/v1/conversations/c/stream").header("authorization", &key);
        assert_eq!(pair.b.send(&conversation).await.status, status);
    }
    let list = Request::get("/v1/streams").header("authorization", "Bearer sk-b");
    assert_eq!(pair.b.send(&list).await.json().await["data"], json!([]));
    let delete = Request::new("DELETE", &format!("/v1/streams/{id}")).header("authorization", "Bearer sk-b");
    assert_eq!(pair.b.send(&delete).await.status, 404);
}

#[tokio::test]
async fn a_reader_on_another_replica_keeps_a_stream_alive() {
    let mut pair = Pair::start_with(|setup| setup.stream("on_disconnect = \"continue:1s\"")).await;
    let mut begun = pair.begun().await;
    let mut elsewhere = pair.b.send(&read(&begun.id)).await;
    elsewhere.next_event().await;
    drop(begun.answer);
    begun.call.stays(std::time::Duration::from_secs(3)).await;
    drop(elsewhere);
    begun.call.closed().await;
}

#[tokio::test]
async fn who_polls_on_another_replica_keeps_a_stream_alive() {
    let mut pair = Pair::start_with(|setup| setup.stream("on_disconnect = \"continue:1s\"")).await;
    for wait in ["?wait=1s&starting_after=9", ""] {
        let mut begun = pair.begun().await;
        drop(begun.answer);
        let poll =
            Request::get(&format!("/v1/streams/{}{wait}", begun.id)).header("accept", "application/json");
        let polling = async {
            loop {
                assert_eq!(pair.b.send(&poll).await.json().await["state"], "running", "{wait}");
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            }
        };
        tokio::select! {
            () = polling => {}
            () = begun.call.stays(std::time::Duration::from_secs(5)) => {}
        }
        begun.call.closed().await;
    }
}
