//! What could be read in two ways: one value is checked and another is used. It is refused, wherever it stands.

use serde_json::{Value, json};

use super::peer::told;
use crate::support::{Gateway, Request, Setup, Upstream, chat, within};

const CHAT: &str = "/v1/chat/completions";

async fn gateway() -> (Gateway, Upstream) {
    let upstream = Upstream::start().await;
    let setup = Setup::new()
        .key("alice", "sk-a", "scopes = [\"inference\", \"models\", \"manage\"]")
        .key("bob", "sk-b", "");
    (setup.backend("one", "ollama", &upstream.url()).start().await, upstream)
}

fn by_alice(request: Request) -> Request {
    request.header("authorization", "Bearer sk-a")
}

async fn refused(gateway: &Gateway, request: &Request, words: &str) {
    let mut answer = gateway.send(request).await;
    let said = answer.text().await;
    assert!(answer.status == 400 && said.contains(words), "{words}: {} {said}", answer.status);
}

#[tokio::test]
async fn a_header_that_means_one_thing_stands_there_once() {
    let (gateway, upstream) = gateway().await;
    for (name, one, two) in [
        ("authorization", "Bearer sk-a", "Bearer sk-b"),
        ("x-api-key", "sk-a", "sk-b"),
        ("origin", "http://localhost", "http://evil.test"),
        ("last-event-id", "a.1", "b.1"),
        ("idempotency-key", "a", "b"),
        ("x-conversation-id", "a", "b"),
        ("x-on-conflict", "attach", "reject"),
        ("content-type", "application/json", "application/x-www-form-urlencoded"),
        ("content-encoding", "identity", "zstd"),
        ("expect", "100-continue", "100-continue"),
    ] {
        for (first, last) in [(one, two), (two, one), (one, one)] {
            let request = by_alice(Request::post(CHAT, &chat())).header(name, first).line(name, last);
            refused(&gateway, &request, name).await;
        }
    }
    // The length and the host are looked at before anything else is.
    for lines in ["Content-Length: 2\r\nContent-Length: 2", "Host: localhost\r\nContent-Length: 2"] {
        let bytes = format!(
            "POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk-a\r\n{lines}\r\n\r\n{{}}"
        );
        assert!(told(gateway.public, bytes.as_bytes()).await.starts_with("HTTP/1.1 400 "), "{lines}");
    }
    assert_eq!(upstream.calls_seen(), 0);
}

#[tokio::test]
async fn two_keys_are_one_or_none() {
    let (gateway, _upstream) = gateway().await;
    let list = || Request::get("/v1/models");
    let (bearer, other) = ("Bearer sk-a", "sk-b");
    assert_eq!(gateway.send(&by_alice(list()).header("x-api-key", "sk-a")).await.status, 200);
    assert_eq!(
        gateway.send(&list().header("authorization", "Basic eA==").header("x-api-key", "sk-a")).await.status,
        200
    );
    for wrong in [other, "sk-unknown"] {
        refused(&gateway, &list().header("authorization", bearer).header("x-api-key", wrong), "two API keys")
            .await;
        refused(
            &gateway,
            &list().header("authorization", &format!("Bearer {wrong}")).header("x-api-key", "sk-a"),
            "two API keys",
        )
        .await;
    }
    let events = |keys: &str| {
        Request::get("/events").header("accept", "text/event-stream").header("sec-websocket-protocol", keys)
    };
    refused(&gateway, &events("streamgate.key.sk-a, streamgate.key.sk-b"), "two API keys").await;
    refused(&gateway, &events("streamgate.key.sk-b").header("authorization", bearer), "two API keys").await;
    assert_eq!(gateway.send(&events("streamgate.key.sk-a")).await.status, 200);
}

#[tokio::test]
async fn a_parameter_stands_in_a_query_once_at_every_route() {
    let (gateway, _upstream) = gateway().await;
    for path in [
        "/v1/streams?limit=1&limit=2",
        "/v1/streams?after=a&%61fter=b",
        "/v1/streams/a?viewer=a&viewer=b",
        "/v1/streams/a?exclusive=0&exclusive=1",
        "/v1/streams/a?starting_after=1&starting_after=2",
        "/v1/streams/a?last_event_id=a.1&last%5Fevent_id=b.1",
        "/v1/streams/a?wait=1s&wait=2s",
        "/v1/stream/a?from=0&from=1",
        "/v1/conversations/a/stream?last_event_id=a.1&last_event_id=a.1",
        "/v1/responses/a?stream=true&stream=false",
        "/v1/channels/a?from=now&from=0",
        "/v1/channels/a?id=a&id=b",
        "/events?only=streams&only=downloads",
    ] {
        refused(&gateway, &by_alice(Request::get(path)), "twice").await;
    }
    assert_eq!(gateway.send(&by_alice(Request::get("/v1/streams?x=1&x=2"))).await.status, 200, "nobody's");
}

/// Bodies that name one model to us and another to a server in Go.
fn two_models(members: &[&str]) -> Vec<String> {
    let mut bodies = Vec::new();
    for member in members {
        let upper = member.to_uppercase();
        let mut capital = (*member).to_owned();
        capital.get_mut(..1).unwrap().make_ascii_uppercase();
        for other in [*member, &upper, &capital] {
            bodies.push(format!("\"{member}\":\"m\",\"{other}\":\"secret\""));
            bodies.push(format!("\"{other}\":\"secret\",\"{member}\":\"m\""));
        }
    }
    bodies
}

#[tokio::test]
async fn members_that_are_repeated_or_written_otherwise_are_refused_wherever_a_body_is_passed_on() {
    let (gateway, upstream) = gateway().await;
    let named: &[&str] = &["model", "name"];
    for (method, path, members, rest) in [
        ("POST", CHAT, &["model"][..], ",\"messages\":[]"),
        ("POST", "/api/chat", &["model"], ",\"messages\":[]"),
        ("POST", "/api/generate", &["model"], ""),
        ("POST", "/v1/messages/count_tokens", &["model"], ",\"messages\":[]"),
        ("POST", "/v1/embeddings", &["model"], ",\"input\":\"x\""),
        ("POST", "/api/embed", &["model"], ",\"input\":\"x\""),
        ("POST", "/api/embeddings", &["model"], ",\"prompt\":\"x\""),
        ("POST", "/api/show", named, ""),
        ("POST", "/api/pull", named, ""),
        ("POST", "/api/push", named, ""),
        ("DELETE", "/api/delete", named, ""),
        ("POST", "/api/create", &["model", "name", "from"], ",\"system\":\"x\""),
        ("POST", "/api/copy", &["source", "destination"], ""),
        ("POST", "/v1/models/pull", &["model"], ""),
    ] {
        let mut bodies = two_models(members);
        bodies.push("\"model\":\"m\",\"x\":1,\"X\":2".to_owned());
        if members == named {
            bodies.push("\"model\":\"m\",\"name\":\"secret\"".to_owned());
        }
        if path == "/api/copy" {
            bodies.push("\"source\":\"m\",\"\u{17f}ource\":\"secret\",\"destination\":\"n\"".to_owned());
        }
        for body in bodies {
            let needed = if path == "/api/create" && !body.contains("model") && !body.contains("MODEL") {
                ",\"model\":\"m\""
            } else {
                ""
            };
            let text = format!("{{{body}{needed}{rest}}}");
            let request = Request::new(method, path).header("content-length", &text.len().to_string());
            let mut client = gateway.client().await;
            client.send(&by_alice(request).to_bytes("localhost")).await;
            client.send(text.as_bytes()).await;
            let mut answer = client.answer().await;
            let said = answer.text().await;
            assert_eq!(answer.status, 400, "{method} {path} {text}: {said}");
        }
    }
    assert_eq!(upstream.calls_seen(), 0);
}

#[tokio::test]
async fn ollamas_client_sends_both_names_and_one_of_them_is_empty() {
    let upstream = Upstream::start().await;
    let setup = Setup::new().backend("one", "ollama", &upstream.url());
    let route = "model = \"m\"\nbackends = [{ name = \"one\", model = \"real\" }]";
    let (gateway, mut upstream) = (setup.route(route).start().await, upstream);
    for (body, sent) in [
        (json!({"model": "m", "name": ""}), json!({"model": "real", "name": ""})),
        (json!({"model": "", "name": "m"}), json!({"model": "", "name": "real"})),
        (json!({"model": "m", "name": "m"}), json!({"model": "real", "name": "real"})),
    ] {
        let asked = gateway.ask(&Request::post("/api/show", &body)).await;
        let call = within("the call", upstream.call()).await;
        assert_eq!(call.json(), sent);
        call.answer(200, &json!({"details": {}})).await;
        let found: Value = asked.answer().await.json().await;
        assert_eq!(found, json!({"details": {}}));
    }
}
