//! The channels of all replicas have one bound, and each caller a share of it.

use serde_json::json;

use super::super::support::{Answer, Gateway, Request, until};
use super::{Pair, Setup};

fn keys(setup: Setup) -> Setup {
    let scopes = "scopes = [\"publish\", \"inference\"]";
    setup.key("alice", "sk-a", scopes).key("bob", "sk-b", scopes)
}

fn as_key(request: Request, key: &str) -> Request {
    request.header("authorization", &format!("Bearer {key}"))
}

async fn token(gateway: &Gateway, key: &str, name: &str) -> Answer {
    let path = format!("/v1/channels/{name}/token");
    gateway.send(&as_key(Request::new("POST", &path).header("content-length", "0"), key)).await
}

async fn publish(gateway: &Gateway, key: &str, name: &str) -> Answer {
    let request = Request::post(&format!("/v1/channels/{name}"), &json!({ "data": "x" }));
    gateway.send(&as_key(request, key)).await
}

#[tokio::test]
async fn one_caller_opens_no_more_than_a_tenth_of_all_channels() {
    let pair = Pair::start_with(keys).await;
    let mut client = pair.a.client().await;
    for number in 0..1000 {
        let path = format!("/v1/channels/m{number}/token");
        client.ask(&as_key(Request::new("POST", &path).header("content-length", "0"), "sk-a")).await;
        let mut answer = client.answer().await;
        assert_eq!(answer.status, 200, "{number}");
        answer.text().await;
        client = answer.reuse();
    }
    let keys: usize = pair.redis.ask(&["DBSIZE"]).parse().unwrap();
    for gateway in [&pair.a, &pair.b] {
        let refused = token(gateway, "sk-a", "more").await;
        assert_eq!((refused.status, refused.header("retry-after").is_some()), (429, true));
        assert_eq!(publish(gateway, "sk-a", "more").await.status, 429);
        let subscribe = Request::get("/v1/channels/more").header("accept", "text/event-stream");
        // An error status would end an `EventSource` for ever.
        let mut told = gateway.send(&as_key(subscribe, "sk-a")).await;
        assert!(told.status == 200 && told.text().await.starts_with("retry:"));
        // What there is goes on, and so does everybody else.
        assert_eq!(publish(gateway, "sk-a", "m7").await.status, 200);
        assert_eq!(token(gateway, "sk-a", "m8").await.status, 200);
        assert_eq!(publish(gateway, "sk-b", "m7").await.status, 200);
    }
    let now: usize = pair.redis.ask(&["DBSIZE"]).parse().unwrap();
    assert!(now <= keys + 8, "what is refused leaves nothing behind: {keys}, {now}");
    // Whoever ends one has room for another.
    let end = as_key(Request::new("DELETE", "/v1/channels/m7"), "sk-a");
    assert!(pair.b.send(&end).await.status < 300);
    assert_eq!(publish(&pair.a, "sk-a", "more").await.status, 200);
}

#[tokio::test]
async fn beyond_the_bound_of_all_channels_there_is_no_room_until_some_are_over() {
    let pair = Pair::start_with(keys).await;
    assert_eq!(publish(&pair.a, "sk-a", "mine").await.status, 200);
    let fill = "
        local now = tonumber(redis.call('TIME')[1]) * 1000
        for i = 1, 9999 do redis.call('ZADD', 'sg:{channels}', now + tonumber(ARGV[1]), 'x' .. i) end
        return redis.call('ZCARD', 'sg:{channels}')";
    assert_eq!(pair.redis.ask(&["EVAL", fill, "0", "60000"]), "10000");
    for gateway in [&pair.a, &pair.b] {
        assert_eq!(publish(gateway, "sk-b", "another").await.status, 503);
        assert_eq!(publish(gateway, "sk-a", "mine").await.status, 200);
    }
    assert_eq!(pair.redis.ask(&["EVAL", fill, "0", "-60000"]), "10000");
    assert_eq!(publish(&pair.b, "sk-b", "another").await.status, 200);
    assert_eq!(pair.redis.ask(&["ZCARD", "sg:{channels}"]), "2", "what is over is not kept");
}

#[tokio::test]
async fn a_channel_that_nobody_uses_leaves_nothing_in_redis() {
    let pair = Pair::start_with(|setup| keys(setup).journal("retention = \"1s\"")).await;
    assert_eq!(token(&pair.a, "sk-a", "short").await.status, 200);
    assert_eq!(pair.redis.ask(&["KEYS", "sg:channel:*"]).lines().count(), 1);
    until("it to be over", async || pair.redis.ask(&["KEYS", "sg:*channel*"]).is_empty()).await;
}
