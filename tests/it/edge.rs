//! The edge: request ids, hosts, origins, limits, probes, metrics.

use crate::support::{
    Answer, Client, Heard, Request, Setup, Upstream, begin, begun, chat, gateway_over, openai, prompt, run,
    until,
};

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn a_request_id_is_given_back() {
    let (gateway, _upstream) = gateway_over("openai", &[]).await;
    let answer = gateway.send(&Request::get("/healthz").header("x-request-id", "ride-4711.a_b")).await;
    assert_eq!(answer.header("x-request-id"), Some("ride-4711.a_b"));
}

#[tokio::test]
async fn a_request_without_id_gets_one_of_its_own() {
    let (gateway, _upstream) = gateway_over("openai", &[]).await;
    let first = gateway.get("/healthz").await.header("x-request-id").expect("an id").to_owned();
    let second = gateway.get("/healthz").await.header("x-request-id").expect("an id").to_owned();
    assert!(!first.is_empty() && first != second, "{first} {second}");
}

#[tokio::test]
async fn a_refusal_has_a_request_id_too() {
    let (gateway, _upstream) = gateway_over("openai", &[]).await;
    let answer = gateway.send(&Request::raw(CHAT, b"{").header("x-request-id", "ride-4712")).await;
    assert_eq!((answer.status, answer.header("x-request-id")), (400, Some("ride-4712")));
}

#[tokio::test]
async fn a_request_is_found_in_the_log_by_its_id() {
    let (gateway, _upstream) = gateway_over("openai", &[]).await;
    gateway.send(&Request::raw(CHAT, b"{").header("x-request-id", "ride-4713")).await;
    gateway.logged("ride-4713").await;
}

#[tokio::test]
async fn a_foreign_host_is_a_421() {
    let (gateway, _upstream) = gateway_over("openai", &[]).await;
    for host in ["evil.test", "evil.test:80", "127.0.0.1.evil.test"] {
        let answer = gateway.send(&Request::get("/v1/models").header("host", host)).await;
        assert_eq!(answer.status, 421, "{host}");
    }
}

#[tokio::test]
async fn loopback_names_are_always_hosts() {
    let (gateway, _upstream) = gateway_over("openai", &[]).await;
    for host in ["localhost", "localhost:8080", "127.0.0.1", "[::1]:8080"] {
        let answer = gateway.send(&Request::get("/healthz").header("host", host)).await;
        assert_eq!(answer.status, 200, "{host}");
    }
}

#[tokio::test]
async fn an_allowed_host_is_served() {
    let upstream = Upstream::start().await;
    let setup = Setup::new().server("allowed_hosts = [\"chat.example.org\"]").backend(
        "one",
        "openai",
        &upstream.url(),
    );
    let gateway = setup.start().await;
    let answer = gateway.send(&Request::get("/healthz").header("host", "chat.example.org")).await;
    assert_eq!(answer.status, 200);
}

/// A preflight from this origin to a gateway that knows `https://app.example.org`.
async fn preflight(origin: &str) -> Answer {
    let upstream = Upstream::start().await;
    let setup = Setup::new().server("allowed_origins = [\"https://app.example.org\"]");
    let gateway = setup.backend("one", "openai", &upstream.url()).start().await;
    let asked = Request::new("OPTIONS", CHAT).header("origin", origin);
    let asked = asked.header("access-control-request-method", "POST");
    gateway
        .send(
            &asked.header("access-control-request-headers", "authorization, content-type, x-stainless-lang"),
        )
        .await
}

#[tokio::test]
async fn a_preflight_of_an_allowed_origin_is_granted() {
    let answer = preflight("https://app.example.org").await;
    assert!(matches!(answer.status, 200 | 204), "{}", answer.status);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example.org"));
    let headers = answer.header("access-control-allow-headers").unwrap().to_ascii_lowercase();
    for name in ["authorization", "content-type", "x-stainless-lang"] {
        assert!(headers.contains(name), "{name} in {headers}");
    }
    assert!(answer.header("access-control-allow-methods").unwrap().contains("POST"));
}

#[tokio::test]
async fn a_preflight_of_another_origin_is_granted_nothing() {
    for origin in ["https://evil.test", "https://app.example.org.evil.test", "http://app.example.org", "null"]
    {
        assert_eq!(preflight(origin).await.header("access-control-allow-origin"), None, "{origin}");
    }
}

#[tokio::test]
async fn the_answer_to_an_allowed_origin_may_be_read() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().server("allowed_origins = [\"https://app.example.org\"]");
    let gateway = setup.backend("one", "openai", &upstream.url()).start().await;
    let asked = gateway.ask(&Request::post(CHAT, &chat()).header("origin", "https://app.example.org")).await;
    upstream.call().await.say(&["Inn"]).await;
    let answer = asked.answer().await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example.org"));
    assert!(answer.header("vary").unwrap().to_ascii_lowercase().contains("origin"));
}

#[tokio::test]
async fn a_page_may_read_when_to_try_again() {
    let setup = Setup::new().server("allowed_origins = [\"https://app.example.org\"]");
    let gateway = setup.backend("one", "openai", "http://127.0.0.1:9").start().await;
    let asked = Request::post("/v1/nowhere", &chat()).header("origin", "https://app.example.org");
    let answer = gateway.send(&asked).await;
    assert_eq!(answer.status, 404);
    let exposed = answer.header("access-control-expose-headers").expect("names of headers").to_lowercase();
    for name in ["retry-after", "x-should-retry", "x-request-id"] {
        assert!(exposed.contains(name), "{name} in {exposed}");
    }
}

#[tokio::test]
async fn streams_over_the_limit_are_a_503_until_one_ends() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().server("max_streams = 1\nworkers = 2");
    let gateway = setup.backend("one", "openai", &upstream.url()).start().await;
    let (mut answer, call) = begin(&gateway, &mut upstream, "openai").await;
    let mut refused = gateway.post(CHAT, &chat()).await;
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").unwrap().parse::<u32>().is_ok());
    assert_eq!(refused.json().await["error"]["code"], "queue_full");
    call.end().await;
    assert!(Heard::of(&mut answer).await.succeeded());
    until("the slot to be free", async || gateway.metric("streamgate_streams_live", &[]).await < 0.5).await;
    let asked = gateway.ask_post(CHAT, &chat()).await;
    upstream.call().await.say(&["Inn"]).await;
    assert_eq!(asked.answer().await.status, 200);
}

#[tokio::test]
async fn a_slot_is_free_when_the_client_has_its_whole_answer() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().server("max_streams = 1").backend("one", "openai", &upstream.url());
    let gateway = setup.start().await;
    let (mut answer, mut call) = begin(&gateway, &mut upstream, "openai").await;
    call.sse(&openai::finish("stop")).await;
    call.chunk("data: [DONE]\n\n").await; // and the body stays open
    assert!(Heard::of(&mut answer).await.succeeded());
    let asked = gateway.ask_post(CHAT, &chat()).await;
    upstream.call().await.say(&["Inn"]).await;
    assert_eq!(asked.answer().await.status, 200);
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_slot() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().server("max_streams = 1").backend("one", "openai", &upstream.url());
    let gateway = setup.start().await;
    for _ in 0..5 {
        let (answer, mut call) = begin(&gateway, &mut upstream, "openai").await;
        drop(answer);
        call.closed().await;
        until("the slot to be free", async || gateway.metric("streamgate_streams_live", &[]).await < 0.5)
            .await;
    }
}

#[tokio::test]
async fn connections_over_the_limit_are_refused_not_hung() {
    let upstream = Upstream::start().await;
    let setup =
        Setup::new().server("max_connections = 1\nworkers = 1").backend("one", "openai", &upstream.url());
    let gateway = setup.start().await;
    let held = gateway.get("/healthz").await;
    let answer = gateway.ask(&Request::get("/healthz")).await.answer_or_close().await;
    assert!(answer.is_none_or(|answer| answer.status == 503));
    drop(held);
}

#[tokio::test]
async fn both_listeners_answer_the_probes() {
    let (gateway, _upstream) = gateway_over("openai", &[]).await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(gateway.get(path).await.status, 200, "{path}");
        let mut client = Client::connect(gateway.admin).await;
        client.ask(&Request::get(path)).await;
        assert_eq!(client.answer().await.status, 200, "{path} of the admin listener");
    }
}

#[tokio::test]
async fn metrics_are_for_the_admin_listener_only() {
    let (gateway, _upstream) = gateway_over("openai", &[]).await;
    assert_eq!(gateway.get("/metrics").await.status, 404);
}

#[tokio::test]
async fn the_admin_listener_is_called_by_any_loopback_address() {
    let setup = Setup::new().admin("listen = \"127.0.0.2:0\"").demo();
    let gateway = setup.start().await;
    let host = gateway.admin.to_string();
    assert!(host.starts_with("127.0.0.2:"), "{host}");
    let answer = gateway.ask_admin(&Request::get("/metrics").header("host", &host)).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn pages_that_may_call_the_gateway_may_not_call_the_admin_listener() {
    let setup = Setup::new().server("allowed_origins = [\"https://app.example.org\"]").demo();
    let gateway = setup.start().await;
    let asked = Request::get("/metrics").header("origin", "https://app.example.org");
    let answer = gateway.ask_admin(&asked).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, None));
}

#[tokio::test]
async fn a_stream_leaves_its_traces_in_the_metrics() {
    let (gateway, _upstream, mut answer, mut call) = begun("openai", &[]).await;
    call.sse(&openai::text("on")).await;
    call.end().await;
    assert!(Heard::of(&mut answer).await.succeeded());
    gateway.metric_reaches("streamgate_stream_ends_total", &["reason=\"done\""], 1.0).await;
    let page = gateway.metrics().await;
    for name in [
        "streamgate_requests_total{",
        "streamgate_streams_live",
        "streamgate_ttft_seconds_count",
        "streamgate_event_gap_seconds_count",
        "streamgate_keep_alives_total",
        "streamgate_tokens_total{",
        "streamgate_bytes_total{direction=\"in\"}",
        "streamgate_bytes_total{direction=\"out\"}",
        "streamgate_upstream_attempts_total{",
    ] {
        assert!(page.contains(name), "{name} in\n{page}");
    }
    assert!(gateway.metric("streamgate_requests_total", &["status=\"200\""]).await >= 1.0, "{page}");
    assert!(
        gateway.metric("streamgate_upstream_attempts_total", &["backend=\"one\""]).await >= 1.0,
        "{page}"
    );
}

#[tokio::test]
async fn names_of_clients_do_not_become_labels() {
    let (gateway, _upstream) = gateway_over("openai", &[]).await;
    for n in 0..20 {
        gateway.post(&format!("/v1/odd-{n}"), &prompt(&format!("odd-{n}"), true)).await;
    }
    assert!(!gateway.metrics().await.contains("odd-"));
}

#[tokio::test]
async fn a_public_listener_without_keys_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        Setup::new().server("listen = \"0.0.0.0:0\"").backend("one", "openai", "http://127.0.0.1:9").toml();
    std::fs::write(folder.path().join("proxy.toml"), config).unwrap();
    let run = run(folder.path(), &["serve", "--config", "proxy.toml"]).await;
    assert_eq!(run.code, Some(2), "{}", run.all);
    assert!(run.all.contains("key"), "{}", run.all);
}

#[tokio::test]
async fn a_public_listener_without_keys_is_allowed_to_those_who_say_so() {
    let setup = Setup::new().server("listen = \"0.0.0.0:0\"\nallow_anonymous = true").demo();
    let gateway = setup.start().await;
    let local = ([127, 0, 0, 1], gateway.public.port()).into();
    let mut client = Client::connect(local).await;
    client.ask(&Request::get("/healthz")).await;
    assert_eq!(client.answer().await.status, 200);
}
