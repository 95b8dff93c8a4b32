//! A replica that dies, or is taken for dead.

use std::time::Duration;

use tokio::time::Instant;

use super::super::support::{Ending, until};
use super::{Pair, code, id, look, read, say};

#[tokio::test]
async fn readers_elsewhere_are_told_that_the_replica_of_their_stream_died() {
    let mut pair = Pair::start().await;
    let begun = pair.begun().await;
    let mut elsewhere = pair.b.send(&read(&begun.id)).await;
    assert_eq!(id(&elsewhere.next_event().await), id(&begun.first));
    pair.a.signal("KILL");
    let died = Instant::now();
    let (events, ending) = elsewhere.events().await;
    assert_eq!(ending, Ending::Aborted);
    assert_eq!(events.len(), 1, "the error and nothing else");
    assert_eq!(code(&events[0]), "producer_lost");
    let lost = format!("{}.lost", begun.id);
    assert_eq!(id(&events[0]), Some(lost.clone()), "it is no event of the stream, and has no number");
    // Two seconds of lease here, 15 by default, and what it takes to find out.
    assert!(died.elapsed() < Duration::from_secs(4), "{:?}", died.elapsed());
    let state = pair.b.send(&look(&begun.id)).await.json().await;
    assert_eq!((&state["state"], &state["error"]), (&"failed".into(), &"producer_lost".into()));
    // Who comes later hears the same.
    let (events, ending) = pair.b.send(&read(&begun.id)).await.events().await;
    assert_eq!((ending, events.len(), code(&events[1])), (Ending::Aborted, 2, "producer_lost".into()));
    // And who saw all there was but not that it ended, or more than was stored before the replica died.
    for seen in [1, 2] {
        let back = read(&begun.id).header("last-event-id", &format!("{}.{seen}", begun.id));
        let (events, ending) = pair.b.send(&back).await.events().await;
        assert_eq!((ending, events.len(), id(&events[0])), (Ending::Aborted, 1, Some(lost.clone())));
    }
    // Who has heard it is not told for ever: that stops an `EventSource`.
    let over = pair.b.send(&read(&begun.id).header("last-event-id", &lost)).await;
    assert_eq!(over.status, 204);
    assert_eq!(pair.redis.ask(&["HGET", &format!("sg:{{{}}}:meta", begun.id), "epoch"]), "2");
}

#[tokio::test]
async fn a_stream_whose_replica_died_unread_is_over_for_whoever_looks() {
    let mut pair = Pair::start().await;
    let begun = pair.begun().await;
    pair.a.signal("KILL");
    let (gateway, id) = (&pair.b, &begun.id);
    until("the stream to be over", async || {
        gateway.send(&look(id)).await.json().await["error"] == "producer_lost"
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_comes_back_from_the_dead_is_refused_and_aborts_its_backend() {
    let mut pair = Pair::start().await;
    let mut begun = pair.begun().await;
    let mut elsewhere = pair.b.send(&read(&begun.id)).await;
    elsewhere.next_event().await;
    pair.a.freeze().await;
    say(&mut begun.call, "Elbe").await; // it waits in the socket of the stopped replica
    let (events, ending) = elsewhere.events().await;
    assert_eq!((ending, code(&events[0])), (Ending::Aborted, "producer_lost".into()));
    pair.a.signal("CONT");
    begun.call.closed().await;
    let (events, ending) = begun.answer.events().await;
    assert_eq!((ending, code(events.last().unwrap())), (Ending::Aborted, "producer_lost".into()));
    // What the others have is what they had: nothing came to it, and nothing twice.
    let frames = pair.redis.ask(&["XRANGE", &format!("sg:{{{}}}:frames", begun.id), "-", "+"]);
    assert_eq!(frames.matches("-0\n").count() + usize::from(frames.ends_with("-0")), 1, "{frames}");
    let (events, _) = pair.b.send(&read(&begun.id)).await.events().await;
    assert_eq!(events.len(), 2, "one event and the error");
}

#[tokio::test]
async fn a_replica_that_pauses_for_less_than_its_lease_goes_on() {
    let mut pair = Pair::start().await;
    let mut begun = pair.begun().await;
    let mut elsewhere = pair.b.send(&read(&begun.id)).await;
    elsewhere.next_event().await;
    pair.a.freeze().await;
    begun.call.stays(Duration::from_millis(500)).await;
    pair.a.signal("CONT");
    say(&mut begun.call, "Elbe").await;
    assert!(elsewhere.next_event().await.data.contains("Elbe"));
    super::over(begun.call).await;
    assert_eq!(elsewhere.events().await.1, Ending::Clean);
}

#[tokio::test]
async fn a_replica_that_ends_tells_the_others_how_its_streams_ended() {
    let mut pair = Pair::start_with(|setup| setup.server("drain = \"100ms\"")).await;
    let begun = pair.begun().await;
    let mut elsewhere = pair.b.send(&read(&begun.id)).await;
    elsewhere.next_event().await;
    pair.a.signal("TERM");
    let started = Instant::now();
    let (events, ending) = elsewhere.events().await;
    assert_eq!((ending, code(events.last().unwrap())), (Ending::Aborted, "draining".into()));
    assert!(started.elapsed() < Duration::from_secs(2), "told, not found out: {:?}", started.elapsed());
}
