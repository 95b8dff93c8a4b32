//! Keys: who may call, what of it goes up, and that no key is ever shown.

use crate::support::{Gateway, Heard, Request, Setup, Upstream, chat, gateway_over, openai, prompt, run};

const CHAT: &str = "/v1/chat/completions";
const SECRET: &str = "sk-it-canary-3f9a1c7e5b2d8406";
const UPWARD: &str = "sk-backend-canary-77aa10";

/// A gateway with the key of Alice, with further lines of its table, and a backend that has a key itself.
async fn guarded(more: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::start().await;
    let setup = Setup::new().key("alice", SECRET, more).environment("IT_UPWARD", UPWARD);
    let gateway = setup.backend_with("one", "openai", &upstream.url(), "api_key = { env = \"IT_UPWARD\" }");
    (gateway.start().await, upstream)
}

fn with_key(request: Request) -> Request {
    request.header("authorization", &format!("Bearer {SECRET}"))
}

#[tokio::test]
async fn no_key_is_a_401_in_the_callers_words() {
    let (gateway, upstream) = guarded("").await;
    let mut answer = gateway.post(CHAT, &chat()).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json().await["error"]["code"], "unauthorized");
    let mut answer = gateway.post("/api/chat", &chat()).await;
    assert_eq!(answer.status, 401);
    assert!(answer.json().await["error"].is_string());
    assert_eq!(upstream.calls_seen(), 0);
}

#[tokio::test]
async fn a_bearer_key_opens() {
    let (gateway, mut upstream) = guarded("").await;
    let asked = gateway.ask(&with_key(Request::post(CHAT, &chat()))).await;
    upstream.call().await.say(&["Save"]).await;
    assert_eq!(asked.answer().await.status, 200);
}

#[tokio::test]
async fn an_x_api_key_opens() {
    let (gateway, mut upstream) = guarded("").await;
    let asked = gateway.ask(&Request::post(CHAT, &chat()).header("x-api-key", SECRET)).await;
    upstream.call().await.say(&["Save"]).await;
    assert_eq!(asked.answer().await.status, 200);
}

#[tokio::test]
async fn a_wrong_key_is_a_401_that_does_not_repeat_it() {
    let (gateway, _upstream) = guarded("").await;
    for wrong in ["sk-wrong-canary-1", "' OR 1=1 --", SECRET.trim_end_matches('6'), &format!("{SECRET}x")] {
        let asked = Request::post(CHAT, &chat()).header("authorization", &format!("Bearer {wrong}"));
        let mut answer = gateway.send(&asked).await;
        assert_eq!(answer.status, 401, "{wrong}");
        assert!(!answer.text().await.contains(wrong), "{wrong}");
        assert!(!gateway.log().contains(wrong), "{wrong}");
    }
}

#[tokio::test]
async fn a_key_without_the_scope_is_a_403() {
    let (gateway, upstream) = guarded("scopes = [\"models\"]").await;
    let mut answer = gateway.send(&with_key(Request::post(CHAT, &chat()))).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.json().await["error"]["code"], "forbidden");
    assert_eq!(gateway.send(&with_key(Request::get("/v1/models"))).await.status, 200);
    assert_eq!(upstream.calls_seen(), 0);
}

#[tokio::test]
async fn the_list_of_models_needs_a_key_and_the_probes_need_none() {
    let (gateway, _upstream) = guarded("").await;
    assert_eq!(gateway.get("/v1/models").await.status, 401);
    assert_eq!(gateway.get("/api/tags").await.status, 401);
    assert_eq!(gateway.get("/healthz").await.status, 200);
    assert_eq!(gateway.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn streams_of_one_key_over_its_limit_are_a_429() {
    let (gateway, mut upstream) = guarded("max_streams = 1").await;
    let asked = gateway.ask(&with_key(Request::post(CHAT, &chat()))).await;
    let mut call = upstream.call().await;
    call.say(&["Save"]).await;
    let mut answer = asked.answer().await;
    let mut refused = gateway.send(&with_key(Request::post(CHAT, &chat()))).await;
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").unwrap().parse::<u32>().is_ok());
    assert_eq!(refused.json().await["error"]["code"], "rate_limited");
    call.end().await;
    assert!(Heard::of(&mut answer).await.succeeded());
}

#[tokio::test]
async fn the_limit_of_one_key_is_not_the_limit_of_another() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().key("alice", SECRET, "max_streams = 1").key("bob", "sk-it-bob-5150", "");
    let gateway = setup.backend("one", "openai", &upstream.url()).start().await;
    let _held = gateway.ask(&with_key(Request::post(CHAT, &chat()))).await;
    let _call = upstream.call().await;
    let asked =
        gateway.ask(&Request::post(CHAT, &chat()).header("authorization", "Bearer sk-it-bob-5150")).await;
    upstream.call().await.say(&["Save"]).await;
    assert_eq!(asked.answer().await.status, 200);
}

#[tokio::test]
async fn the_clients_credentials_never_go_up_and_the_backends_key_does() {
    let (gateway, mut upstream) = guarded("").await;
    let asked =
        with_key(Request::post(CHAT, &chat())).header("x-api-key", SECRET).header("cookie", "session=canary");
    let _asked = gateway.ask(&asked.header("proxy-authorization", "Basic canary")).await;
    let call = upstream.call().await;
    assert_eq!(call.header("authorization"), Some(format!("Bearer {UPWARD}").as_str()));
    for name in ["x-api-key", "cookie", "proxy-authorization"] {
        assert_eq!(call.header(name), None, "{name}");
    }
    assert!(!format!("{:?} {:?}", call.headers, call.body).contains(SECRET));
}

#[tokio::test]
async fn an_open_gateway_keeps_credentials_to_itself_too() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let _asked = gateway.ask(&with_key(Request::post(CHAT, &chat()))).await;
    assert_eq!(upstream.call().await.header("authorization"), None);
}

#[tokio::test]
async fn the_backends_key_may_stand_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("upward");
    std::fs::write(&file, format!("{UPWARD}\n")).unwrap();
    let mut upstream = Upstream::start().await;
    let line = format!("api_key = {{ file = {:?} }}", file.display().to_string());
    let gateway = Setup::new().backend_with("one", "openai", &upstream.url(), &line).start().await;
    let _asked = gateway.ask_post(CHAT, &chat()).await;
    assert_eq!(upstream.call().await.header("authorization"), Some(format!("Bearer {UPWARD}").as_str()));
}

#[tokio::test]
async fn no_key_is_ever_logged_told_or_counted() {
    let (gateway, mut upstream) = guarded("").await;
    let asked = gateway.ask(&with_key(Request::post(CHAT, &chat()))).await;
    let mut call = upstream.call().await;
    call.say(&["Save"]).await;
    call.sse(&openai::error(&format!("bad key {UPWARD}"))).await;
    call.finish().await;
    let heard = Heard::of(&mut asked.answer().await).await;
    assert!(heard.failed(), "{heard:?}");
    let asked = gateway.ask(&with_key(Request::post(CHAT, &prompt("m", false)))).await;
    upstream.call().await.answer(500, &openai::error(&format!("bad key {UPWARD}"))).await;
    let told = asked.answer().await.text().await;
    gateway.metric_reaches("streamgate_upstream_attempts_total", &[], 2.0).await;
    let seen =
        format!("{heard:?}\n{told}\n{}\n{}\n{}", gateway.metrics().await, gateway.log(), gateway.said());
    assert!(!seen.contains(SECRET) && !seen.contains(UPWARD), "{seen}");
}

#[tokio::test]
async fn a_prompt_and_an_answer_are_not_logged() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post(CHAT, &prompt("m", true)).await;
    let mut call = upstream.call().await;
    call.say(&["Canarywater"]).await;
    call.end().await;
    assert!(Heard::of(&mut asked.answer().await).await.succeeded());
    gateway.metric_reaches("streamgate_stream_ends_total", &[], 1.0).await;
    assert!(!gateway.log().contains("Name a river") && !gateway.log().contains("Canarywater"));
}

#[tokio::test]
async fn with_a_key_a_public_listener_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new().server("listen = \"0.0.0.0:0\"").key("alice", SECRET, "");
    let config = setup.backend("one", "openai", "http://127.0.0.1:9").toml();
    std::fs::write(folder.path().join("proxy.toml"), config).unwrap();
    let run = run(folder.path(), &["check", "--config", "proxy.toml"]).await;
    assert_eq!(run.code, Some(0), "{}", run.all);
}
