//! The way to Redis breaks, and everybody comes back at once.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::redis::{Redis, url};
use crate::support::{Answer, Break, Ending, Gateway, Link, Request, Setup, until, within};

const NEWS: &str = "/v1/channels/news";
/// How many come back at once.
const CROWD: usize = 300;

fn replica(url: &str) -> Setup {
    Setup::new()
        .journal("store = \"redis\"")
        .journal(&format!("url = \"{url}\""))
        .journal("max_readers = 1000")
        .demo()
}

async fn publish(gateway: &Gateway, number: usize) {
    let said = gateway.post(NEWS, &json!({"data": format!("news {number}")})).await;
    assert_eq!(said.status, 200);
}

/// Subscribes behind this cursor.
async fn subscribe(gateway: &Gateway, cursor: Option<&str>) -> Answer {
    let request = Request::get(NEWS).header("accept", "text/event-stream");
    let request = cursor.iter().fold(request, |request, cursor| request.header("last-event-id", cursor));
    let mut answer = gateway.send(&request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.next_event().await.name.as_deref(), Some("connected"));
    answer
}

/// The next news, and the id of it.
async fn news(answer: &mut Answer) -> (String, String) {
    let event = answer.next_event().await;
    let raw = std::str::from_utf8(&event.raw).unwrap().to_owned();
    let id = raw.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id").to_owned();
    (event.data, id)
}

#[tokio::test]
async fn a_crowd_that_comes_back_to_another_replica_at_once_loses_nothing() {
    let redis = Redis::start().await;
    let (mut a, b) = (replica(&redis.url()).start().await, replica(&redis.url()).start().await);
    publish(&a, 0).await;
    let mut crowd = join_all((0..CROWD).map(|_| subscribe(&a, None))).await;
    let mut cursors = Vec::new();
    for subscriber in &mut crowd {
        let (data, id) = news(subscriber).await;
        assert_eq!(data, "news 0");
        cursors.push(id);
    }
    a.signal("TERM");
    for subscriber in &mut crowd {
        assert_eq!(subscriber.rest().await.1, Ending::Clean);
    }
    assert_eq!(a.exit().await.code(), Some(0));
    for number in 1..4 {
        publish(&b, number).await;
    }
    let back = join_all(cursors.iter().map(|cursor| async {
        let mut subscriber = subscribe(&b, Some(cursor)).await;
        for number in 1..4 {
            assert_eq!(news(&mut subscriber).await.0, format!("news {number}"));
        }
        subscriber
    }));
    let mut crowd = within("the crowd to have what it missed", back).await;
    publish(&b, 4).await;
    for subscriber in &mut crowd {
        assert_eq!(news(subscriber).await.0, "news 4");
    }
}

#[tokio::test]
async fn those_who_are_sent_away_are_not_all_asked_back_at_the_same_time() {
    let gateway = Setup::new().demo().start().await;
    let mut times = HashSet::new();
    for _ in 0..20 {
        let mut answer = gateway.send(&Request::get(NEWS).header("accept", "text/event-stream")).await;
        let event = answer.next_event().await;
        let raw = std::str::from_utf8(&event.raw).unwrap().to_owned();
        times.insert(raw.lines().find_map(|line| line.strip_prefix("retry: ")).expect("a time").to_owned());
    }
    assert!(times.len() > 5, "{times:?}");
}

#[tokio::test]
async fn a_connection_to_redis_that_breaks_off_in_the_middle_loses_nothing() {
    let redis = Redis::start().await;
    let link = Link::to(([127, 0, 0, 1], redis.port()).into()).await;
    let near = replica(&url(link.address().port())).start().await;
    let far = replica(&redis.url()).start().await;
    publish(&near, 0).await;
    let mut there = subscribe(&far, None).await;
    let mut here = subscribe(&near, None).await;
    assert_eq!((news(&mut there).await.0, news(&mut here).await.0), ("news 0".into(), "news 0".into()));
    for (number, how) in [Break::Reset, Break::Cut, Break::HalfClose, Break::Reset].into_iter().enumerate() {
        link.end(how);
        let number = number + 1;
        // Honestly refused while the connection is down; taken when it is back.
        until("the publisher to be heard", async || {
            near.post(NEWS, &json!({"data": format!("news {number}")})).await.status == 200
        })
        .await;
        let wanted = format!("news {number}");
        // One whose publisher was told of an outage may have been published all the same: then it comes twice, never never.
        while news(&mut there).await.0 != wanted {}
        while news(&mut here).await.0 != wanted {}
    }
    until("the store to be up", async || near.metric("streamgate_store_up", &[]).await > 0.5).await;
}
