//! Keys: who may call, what of it goes up, and that no key is ever shown.

use serde_json::json;

use crate::support::{
    Client, Gateway, Heard, Request, Setup, Upstream, chat, gateway_over, openai, prompt, run,
};

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

/// A key with letters that are escaped, and the ways in which servers write it.
const ESCAPED: &str = "abc/def+ghi0123456789=";

fn written() -> Vec<(&'static str, String)> {
    let html = ESCAPED.replace('/', "&#x2F;").replace('+', "&#43;");
    vec![
        ("as it is", ESCAPED.to_owned()),
        ("PHP", ESCAPED.replace('/', "\\/")),
        (".NET", ESCAPED.replace('+', "\\u002B").replace('=', "\\u003D")),
        (
            "letters too",
            ESCAPED.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect::<Vec<_>>().concat(),
        ),
        ("JSON within JSON", ESCAPED.replace('/', "\\\\\\/").replace('+', "\\\\u002b")),
        ("in an address", ESCAPED.replace('/', "%2F").replace('+', "%2b").replace('=', "%3D")),
        ("HTML", html),
    ]
}

/// Is it told, by somebody who undoes all escapes?
fn tells(said: &str) -> bool {
    let plain = said.replace('\\', "").replace("u002B", "+").replace("u002b", "+").replace("u003D", "=");
    let plain = plain.replace("&#43;", "+").replace("&#x2F;", "/").replace("%2F", "/").replace("%2b", "+");
    let letters = ESCAPED.chars().map(|c| format!("u{:04x}", u32::from(c))).collect::<Vec<_>>().concat();
    plain.contains("abc/def+ghi0123456789") || plain.contains("0123456789") || plain.contains(&letters)
}

/// The body of the answer, which may be broken off.
async fn said(asked: Client) -> String {
    String::from_utf8(asked.answer().await.rest().await.0.to_vec()).unwrap()
}

/// A gateway before a backend of this API that has the key.
async fn escaped(api: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::start().await;
    let more = "api_key = { env = \"IT_UPWARD\" }";
    let setup = Setup::new().environment("IT_UPWARD", ESCAPED);
    (setup.backend_with("one", api, &upstream.url(), more).start().await, upstream)
}

#[tokio::test]
async fn a_backends_key_is_told_in_no_writing_of_a_refusal() {
    let (gateway, mut upstream) = escaped("openai").await;
    for (how, key) in written() {
        let body =
            format!(r#"{{"error":{{"message":"unknown project for key {key}, sorry","type":"x{key}"}}}}"#);
        for door in [CHAT, "/v1/messages", "/api/chat", "/v1/responses"] {
            let mut question = prompt("m", false);
            match door {
                "/v1/responses" => question = json!({"model": "m", "input": "Hello", "stream": false}),
                _ => question["max_tokens"] = json!(8),
            }
            let asked = gateway.ask_post(door, &question).await;
            upstream.call().await.answer_as(400, "application/json", &body).await;
            let mut answer = asked.answer().await;
            assert_eq!(answer.status, 400, "{how} {door}");
            let told = answer.text().await;
            assert!(told.contains("unknown project for key [redacted], sorry"), "{how} {door} {told}");
            assert!(!tells(&told), "{how} {door} {told}");
        }
    }
    assert!(!tells(&gateway.log()), "{}", gateway.log());
}

#[tokio::test]
async fn a_backends_key_is_told_in_no_writing_of_a_frame() {
    for (how, key) in written() {
        let (gateway, mut upstream) = escaped("openai").await;
        for (door, stream) in [(CHAT, true), ("/v1/messages", true), ("/v1/messages", false)] {
            let mut body = prompt("m", stream);
            body["max_tokens"] = json!(8);
            let asked = gateway.ask_post(door, &body).await;
            let mut call = upstream.call().await;
            call.say(&["one"]).await;
            // As text of the model, in a member that nobody knows, and in an error.
            let passes = how != "letters too";
            if passes {
                let frame = |text: &str| {
                    format!(
                        "data: {{\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\
                    \"delta\":{{\"content\":\"{text}\"}}}}],\"debug\":\"{text}\"}}\n\n"
                    )
                };
                call.chunk(frame(&format!("key {key}."))).await;
            }
            call.chunk(format!(
                "data: {{\"error\":{{\"message\":\"bad key {key}\",\"code\":\"{key}\"}}}}\n\n"
            ))
            .await;
            call.finish().await;
            let told = said(asked).await;
            assert!(told.contains("bad key [redacted]"), "{how} {door} {told}");
            assert!(!passes || !stream || told.contains("key [redacted]."), "{how} {door} {told}");
            assert!(!tells(&told), "{how} {door} {told}");
        }
        assert!(!tells(&gateway.log()), "{}", gateway.log());
    }
}

#[tokio::test]
async fn a_backends_key_is_told_in_no_whole_answer_header_or_line() {
    let (gateway, mut upstream) = escaped("ollama").await;
    for (how, key) in written().into_iter().filter(|(how, _)| *how != "letters too") {
        let body = format!(r#"{{"embeddings":[[0.5]],"debug":"{key}"}}"#);
        let asked = gateway.ask_post("/api/embed", &json!({"model": "m", "input": "a"})).await;
        let kind = format!("application/json; key={ESCAPED}");
        upstream.call().await.answer_as(200, &kind, &body).await;
        let mut answer = asked.answer().await;
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let told = answer.text().await;
        assert!(told.contains("0.5") && told.contains("[redacted]") && !tells(&told), "{how} {told}");
        let asked = gateway.ask_post("/api/pull", &json!({"model": format!("pulled-{}", how.len())})).await;
        let mut call = upstream.call().await;
        call.lines().await;
        call.chunk(format!("{{\"status\":\"pulling with {key}\"}}\n")).await;
        call.chunk(format!("{{\"error\":\"no access with {key}\"}}\n")).await;
        call.finish().await;
        let told = said(asked).await;
        assert!(told.contains("pulling with [redacted]") && !tells(&told), "{how} {told}");
    }
}
