//! Failover: the next backend serves until first content was sent, invisibly; after that, never.

use serde_json::json;

use crate::support::{
    Answer, Call, Client, Gateway, Heard, Setup, Upstream, chat, gateway_over, openai, prompt,
    refusing_address,
};

/// A gateway before two backends of one dialect, `first` and `second`.
async fn two(stream: &[&str]) -> (Gateway, Upstream, Upstream) {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    let setup = Setup::new().lines(stream).backend("first", "openai", &first.url());
    (setup.backend("second", "openai", &second.url()).start().await, first, second)
}

/// What the first backend does in place of an answer.
#[derive(Clone, Copy)]
enum Failure {
    Status(u16),
    /// A stream that ends cleanly before any content.
    Early,
    /// A stream that is cut after its role chunk.
    Cut,
    /// The connection ends where a head was awaited.
    Close,
    Reset,
    /// Bytes that are no HTTP.
    Garbage,
    /// An error object as the first event.
    Told,
}

async fn fail(mut call: Call, failure: Failure) {
    match failure {
        Failure::Status(status) => call.answer(status, &openai::error("not me")).await,
        Failure::Early => {
            call.say(&[]).await;
            call.finish().await;
        }
        Failure::Cut => {
            call.stream().await;
            call.sse(&openai::role()).await;
            call.cut().await;
        }
        Failure::Close => call.cut().await,
        Failure::Reset => call.reset(),
        Failure::Garbage => {
            call.send(b"\x16\x03\x01 this is not HTTP\r\n\r\n").await;
            call.cut().await;
        }
        Failure::Told => {
            call.stream().await;
            call.sse(&openai::error("not me")).await;
            call.finish().await;
        }
    }
}

/// The client gets the second backend's answer, as if there had been no other.
async fn assert_served_by(second: &mut Upstream, asked: Client) {
    let mut call = second.call().await;
    call.say(&["Douro"]).await;
    call.end().await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.succeeded(), "{heard:?}");
    assert_eq!(heard.events, [openai::text("Douro"), openai::finish("stop")]);
}

async fn passes_on(failure: Failure) {
    let (gateway, mut first, mut second) = two(&["commit_after = \"30s\""]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let call = first.call().await;
    assert_eq!(second.calls_seen(), 0, "the backends are tried in order");
    fail(call, failure).await;
    assert_served_by(&mut second, asked).await;
}

macro_rules! promises {
    ($($name:ident: $failure:expr,)*) => {$(
        #[tokio::test]
        async fn $name() {
            passes_on($failure).await;
        }
    )*};
}

promises! {
    a_408_passes_on_to_the_next_backend: Failure::Status(408),
    a_429_passes_on_to_the_next_backend: Failure::Status(429),
    a_500_passes_on_to_the_next_backend: Failure::Status(500),
    a_503_passes_on_to_the_next_backend: Failure::Status(503),
    an_early_end_passes_on_to_the_next_backend: Failure::Early,
    a_cut_after_the_role_passes_on_to_the_next_backend: Failure::Cut,
    an_end_without_a_head_passes_on_to_the_next_backend: Failure::Close,
    a_reset_passes_on_to_the_next_backend: Failure::Reset,
    garbage_passes_on_to_the_next_backend: Failure::Garbage,
    an_error_as_first_event_passes_on_to_the_next_backend: Failure::Told,
}

#[tokio::test]
async fn a_refused_connection_passes_on_to_the_next_backend() {
    let (_kept, url) = refusing_address();
    let mut second = Upstream::start().await;
    let setup = Setup::new().backend("first", "openai", &url).backend("second", "openai", &second.url());
    let gateway = setup.start().await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    assert_served_by(&mut second, asked).await;
}

#[tokio::test]
async fn a_whole_answer_fails_over_too() {
    let (gateway, mut first, mut second) = two(&[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &prompt("m", false)).await;
    first.call().await.answer(500, &openai::error("not me")).await;
    second.call().await.answer(200, &openai::whole("Douro")).await;
    let mut answer = asked.answer().await;
    assert_eq!((answer.status, answer.json().await), (200, openai::whole("Douro")));
}

#[tokio::test]
async fn no_first_token_passes_on_and_drops_the_first_connection() {
    let (gateway, mut first, mut second) =
        two(&["first_token_timeout = \"300ms\"", "commit_after = \"30s\""]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = first.call().await;
    call.stream().await;
    call.sse(&openai::role()).await;
    call.closed().await;
    assert_served_by(&mut second, asked).await;
}

#[tokio::test]
async fn a_committed_head_does_not_hinder_failover() {
    let (gateway, mut first, mut second) = two(&["commit_after = \"50ms\""]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let call = first.call().await;
    let mut answer = asked.answer().await;
    assert_eq!(answer.status, 200);
    call.cut().await;
    let mut call = second.call().await;
    call.say(&["Douro"]).await;
    call.end().await;
    let heard = Heard::of(&mut answer).await;
    assert!(heard.succeeded() && heard.text == "Douro", "{heard:?}");
}

#[tokio::test]
async fn three_backends_are_tried_in_the_order_of_the_route() {
    let (mut a, mut b, mut c) = (Upstream::start().await, Upstream::start().await, Upstream::start().await);
    let setup = Setup::new().backend("a", "openai", &a.url()).backend("b", "openai", &b.url());
    let setup =
        setup.backend("c", "openai", &c.url()).route("model = \"*\"\nbackends = [\"c\", \"a\", \"b\"]");
    let gateway = setup.start().await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    fail(c.call().await, Failure::Status(503)).await;
    let call = a.call().await;
    assert_eq!(b.calls_seen(), 0);
    fail(call, Failure::Status(503)).await;
    assert_served_by(&mut b, asked).await;
    assert!(gateway.metric("streamgate_upstream_attempts_total", &["backend=\"c\""]).await > 0.5);
}

#[tokio::test]
async fn the_next_backend_may_speak_the_other_dialect() {
    let (mut first, mut second) = (Upstream::start().await, Upstream::start().await);
    let setup =
        Setup::new().backend("first", "openai", &first.url()).backend("second", "ollama", &second.url());
    let route = "model = \"*\"\nbackends = [\"first\", { name = \"second\", model = \"river:2b\" }]";
    let gateway = setup.route(route).start().await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    fail(first.call().await, Failure::Status(500)).await;
    let mut call = second.call().await;
    assert_eq!((call.path.as_str(), &call.json()["model"]), ("/api/chat", &json!("river:2b")));
    call.say(&["Douro"]).await;
    call.end().await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.succeeded() && heard.text == "Douro", "{heard:?}");
}

#[tokio::test]
async fn when_all_backends_fail_the_client_is_told_by_a_status() {
    let (gateway, mut first, mut second) = two(&["commit_after = \"30s\""]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    fail(first.call().await, Failure::Close).await;
    fail(second.call().await, Failure::Close).await;
    let mut answer: Answer = asked.answer().await;
    assert_eq!(answer.status, 502);
    assert!(answer.json().await["error"]["code"].is_string());
}

#[tokio::test]
async fn after_content_there_is_no_failover() {
    let (gateway, mut first, second) = two(&[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = first.call().await;
    call.say(&["Dou"]).await;
    call.cut().await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.failed() && heard.text == "Dou", "{heard:?}");
    assert_eq!(second.calls_seen(), 0);
}

#[tokio::test]
async fn a_400_is_the_clients_and_nobody_else_is_asked() {
    let (gateway, mut first, second) = two(&[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    fail(first.call().await, Failure::Status(400)).await;
    let mut answer = asked.answer().await;
    assert_eq!(answer.status, 400);
    let body = answer.json().await;
    assert!(body["error"]["message"].as_str().unwrap().contains("not me"), "{body}");
    assert_eq!(second.calls_seen(), 0);
}

/// What a client gets of a backend that refuses the gateway's key and shows a part of it.
async fn refused_key(status: u16) {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let words = "Incorrect API key provided: sk-backend-4711.";
    upstream.call().await.answer(status, &openai::error(words)).await;
    let mut answer = asked.answer().await;
    assert_eq!(answer.status, 502);
    let text = answer.text().await;
    assert!(!text.contains("4711"), "{text}");
}

#[tokio::test]
async fn a_401_of_the_backend_is_a_502_without_the_key() {
    refused_key(401).await;
}

#[tokio::test]
async fn a_403_of_the_backend_is_a_502_without_the_key() {
    refused_key(403).await;
}

#[tokio::test]
async fn a_429_with_retry_after_is_passed_on_when_nobody_is_left() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let words = openai::error("slow down").to_string();
    upstream.call().await.answer_with(429, &[("retry-after", "7")], &words).await;
    let mut answer = asked.answer().await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("7")));
    assert!(answer.text().await.contains("slow down"));
}

#[tokio::test]
async fn a_redirect_of_the_backend_is_never_followed() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let other = Upstream::start().await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let target = format!("{}/v1/chat/completions", other.url());
    upstream.call().await.answer_with(307, &[("location", &target)], "{}").await;
    assert_eq!(asked.answer().await.status, 502);
    assert_eq!(other.calls_seen(), 0);
}

/// A whole answer of the second backend in place of what the first one says with status 200.
async fn whole_passes_on(content_type: &str, body: &str) {
    let (gateway, mut first, mut second) = two(&[]).await;
    let asked = gateway.ask_post("/v1/chat/completions", &prompt("m", false)).await;
    first.call().await.answer_as(200, content_type, body).await;
    second.call().await.answer(200, &openai::whole("Douro")).await;
    let mut answer = asked.answer().await;
    assert_eq!((answer.status, answer.json().await), (200, openai::whole("Douro")));
}

#[tokio::test]
async fn a_page_in_place_of_a_whole_answer_passes_on_to_the_next_backend() {
    whole_passes_on("text/html; charset=utf-8", "<html><h1>Welcome</h1></html>").await;
}

#[tokio::test]
async fn an_error_in_place_of_a_whole_answer_passes_on_to_the_next_backend() {
    whole_passes_on("application/json", &openai::error("no slot left").to_string()).await;
}
