//! The list of streams is read page by page.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::{Gateway, Request, Setup, prompt};

use super::CHAT;

/// A stream that has ended; gives its id.
pub(crate) async fn stream(gateway: &Gateway, conversation: &str) -> String {
    let request = Request::post(CHAT, &prompt("demo:words=2,pace=1ms", true));
    let mut answer = gateway.send(&request.header("x-conversation-id", conversation)).await;
    answer.events().await;
    answer.header("stream-id").unwrap().to_owned()
}

/// All pages of so many, one after the other.
pub(crate) async fn pages(gateway: &Gateway, limit: usize) -> Vec<Vec<String>> {
    let (mut pages, mut path) = (Vec::new(), format!("/v1/streams?limit={limit}"));
    loop {
        let page = gateway.get(&path).await.json().await;
        let ids: Vec<String> = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!((&page["first_id"], &page["last_id"]), (&json!(ids.first()), &json!(ids.last())));
        if let Some(last) = ids.last() {
            path = format!("/v1/streams?limit={limit}&after={last}");
        }
        pages.push(ids);
        if page["has_more"] == false {
            return pages;
        }
    }
}

#[tokio::test]
async fn streams_are_listed_page_by_page_the_newest_first() {
    let gateway = Setup::new().demo().start().await;
    let empty = gateway.get("/v1/streams").await.json().await;
    let nothing = Value::Null;
    assert_eq!(
        empty,
        json!({"object": "list", "data": [], "first_id": nothing, "last_id": nothing, "has_more": false})
    );
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.insert(0, stream(&gateway, &format!("c{number}")).await);
    }
    // What is published and pulled is on no page.
    gateway.post("/v1/channels/job-7", &json!(1)).await;
    let read = pages(&gateway, 2).await;
    assert_eq!(read.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(read.concat().into_iter().collect::<HashSet<_>>(), ids.iter().cloned().collect());
    assert_eq!(pages(&gateway, 5).await.concat(), read.concat());
    let whole = gateway.get("/v1/streams").await.json().await;
    assert_eq!((whole["data"].as_array().unwrap().len(), &whole["has_more"]), (5, &json!(false)));
}

#[tokio::test]
async fn a_page_that_cannot_be_is_refused_by_name() {
    let gateway = Setup::new().demo().start().await;
    for (query, param) in [
        ("limit=0", "limit"),
        ("limit=many", "limit"),
        ("limit=1001", "limit"),
        ("after=aaaaaaaaaaaaaaaaaaaaaaaaaa", "after"),
    ] {
        let mut refused = gateway.get(&format!("/v1/streams?{query}")).await;
        assert_eq!(refused.status, 400, "{query}");
        assert_eq!(refused.json().await["error"]["param"], param);
    }
}
