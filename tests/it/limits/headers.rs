//! Headers: a limited key is told how it stands with every answer.

use std::time::{Duration, SystemTime};

use serde_json::json;

use super::{SECRET, answer, chat_of, gateway, keyed, left, speak};
use crate::support::pairs::{MESSAGES, request};
use crate::support::{Request, Setup};

const LIMITS: &str = "requests_per_minute = 60\ntokens_per_minute = 6000";

#[tokio::test]
async fn openais_clients_are_told_in_openais_form() {
    let (gateway, mut upstream) = gateway(LIMITS).await;
    let asked = gateway.ask(&chat_of(false, 1000)).await;
    answer(upstream.call().await, 10, 10).await;
    let whole = asked.answer().await;
    assert_eq!(whole.header("x-ratelimit-limit-requests"), Some("60"));
    assert_eq!(whole.header("x-ratelimit-remaining-requests"), Some("59"));
    assert_eq!(whole.header("x-ratelimit-limit-tokens"), Some("6000"));
    let reset = whole.header("x-ratelimit-reset-requests").unwrap();
    assert!(reset == "1s" || reset.ends_with("ms"), "{reset}");
    assert!(whole.header("x-ratelimit-reset-tokens").is_some());

    let asked = gateway.ask(&chat_of(true, 5000)).await;
    let call = upstream.call().await;
    speak(call, "Save", None).await;
    let stream = asked.answer().await;
    assert_eq!(stream.status, 200);
    assert!(left(&stream, "requests") <= 59 && left(&stream, "tokens") <= 6000);
}

#[tokio::test]
async fn refusals_and_lists_carry_them_too() {
    let (gateway, mut upstream) = gateway("requests_per_minute = 2").await;
    assert_eq!(left(&gateway.send(&keyed(Request::get("/v1/models"))).await, "requests"), 2);
    let wrong = gateway.send(&keyed(Request::post("/v1/chat/completions", &json!({"model": 7})))).await;
    assert_eq!((wrong.status, left(&wrong, "requests")), (400, 1), "it was read, and counts");
    let _asked = gateway.ask(&chat_of(false, 1)).await;
    let _call = upstream.call().await;
    let refused = gateway.send(&chat_of(false, 1)).await;
    assert_eq!(refused.status, 429);
    assert_eq!(left(&refused, "requests"), 0);
    let wait: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((20..=30).contains(&wait), "{wait}");
    let reset = refused.header("x-ratelimit-reset-requests").unwrap();
    assert!(reset == "1m0s" || reset.strip_suffix('s').is_some_and(|s| s.parse::<u32>().is_ok()), "{reset}");
    assert_eq!(gateway.get("/healthz").await.header("x-ratelimit-limit-requests"), None);
}

#[tokio::test]
async fn anthropics_clients_are_told_in_anthropics_form() {
    let (gateway, mut upstream) = gateway(LIMITS).await;
    let asked = gateway.ask(&keyed(Request::post(MESSAGES, &request(MESSAGES, "m", true)))).await;
    let mut call = upstream.call().await;
    call.say(&["Save"]).await;
    let told = asked.answer().await;
    assert_eq!(told.header("anthropic-ratelimit-requests-limit"), Some("60"));
    assert_eq!(told.header("anthropic-ratelimit-requests-remaining"), Some("59"));
    assert_eq!(told.header("anthropic-ratelimit-tokens-limit"), Some("6000"));
    let remaining: u64 = told.header("anthropic-ratelimit-tokens-remaining").unwrap().parse().unwrap();
    assert!((5000..5500).contains(&remaining), "512 and a prompt: {remaining}");
    let reset = humantime::parse_rfc3339(told.header("anthropic-ratelimit-tokens-reset").unwrap()).unwrap();
    let wait = reset.duration_since(SystemTime::now()).unwrap();
    assert!(wait <= Duration::from_secs(8), "{wait:?}");
    assert_eq!(told.header("x-ratelimit-limit-requests"), None);
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_read_them() {
    let setup = Setup::new().server("allowed_origins = [\"https://app.example.org\"]");
    let setup = setup.key("alice", SECRET, LIMITS).backend("one", "openai", "http://127.0.0.1:9");
    let gateway = setup.start().await;
    let told =
        gateway.send(&keyed(Request::get("/v1/models")).header("origin", "https://app.example.org")).await;
    let exposed: Vec<&str> = told
        .headers
        .iter()
        .filter(|(name, _)| name == "access-control-expose-headers")
        .flat_map(|(_, names)| names.split(", "))
        .collect();
    for name in ["x-ratelimit-remaining-requests", "x-ratelimit-reset-tokens", "retry-after"] {
        assert!(
            exposed.contains(&name) && (name == "retry-after" || told.header(name).is_some()),
            "{exposed:?}"
        );
    }
}

#[tokio::test]
async fn a_days_budget_is_told_where_it_is_the_nearer_limit() {
    let (gateway, _upstream) = gateway("tokens_per_minute = 6000\ntokens_per_day = 100").await;
    let told = gateway.send(&keyed(Request::get("/v1/models"))).await;
    assert_eq!(told.header("x-ratelimit-limit-tokens"), Some("100"));
    let mut refused = gateway.send(&chat_of(false, 200)).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("x-should-retry"), Some("false"), "not today");
    assert!(refused.json().await["error"]["message"].as_str().unwrap().contains("midnight UTC"));
}
