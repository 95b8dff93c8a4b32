//! Headers towards a backend: those of its own API, its own key, and nothing that the client has said of itself.

use serde_json::json;

use crate::support::{Api, Bench, Request, Sent, Setup, addressed, question};

/// What the backend hears under this name.
fn all<'s>(sent: &'s Sent, name: &str) -> Vec<&'s str> {
    sent.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
}

/// A question at this client's door, or another path of it, for this backend.
fn request(client: Api, path: &str, backend: Api) -> Request {
    Request::raw(path, addressed(backend, &question(client, &json!({})).to_string()).as_bytes())
}

#[tokio::test]
async fn the_version_and_the_betas_of_a_client_reach_a_backend_of_its_api() {
    let mut bench = Bench::start().await;
    let asked = request(Api::Anthropic, "/v1/messages", Api::Anthropic)
        .header("anthropic-version", "2023-01-01")
        .header("anthropic-beta", "claude-code-20250219,interleaved-thinking-2025-05-14");
    let sent = bench.send(Api::Anthropic, &asked).await;
    assert_eq!(all(&sent, "anthropic-version"), ["2023-01-01"]);
    assert_eq!(all(&sent, "anthropic-beta"), ["claude-code-20250219,interleaved-thinking-2025-05-14"]);
}

#[tokio::test]
async fn betas_on_several_lines_all_reach_it() {
    let mut bench = Bench::start().await;
    let asked = request(Api::Anthropic, "/v1/messages", Api::Anthropic)
        .header("anthropic-beta", "one-2025-01-01\r\nAnthropic-Beta: two-2025-01-01");
    let sent = bench.send(Api::Anthropic, &asked).await;
    let betas = all(&sent, "anthropic-beta").join(",");
    assert!(betas.contains("one-2025-01-01") && betas.contains("two-2025-01-01"), "{betas}");
}

#[tokio::test]
async fn a_client_that_names_no_version_speaks_the_usual_one() {
    let mut bench = Bench::start().await;
    for client in Api::ALL {
        let sent = bench.send(Api::Anthropic, &request(client, client.door(), Api::Anthropic)).await;
        assert_eq!(all(&sent, "anthropic-version"), ["2023-06-01"], "{client:?}");
        assert!(all(&sent, "anthropic-beta").is_empty(), "{client:?}");
    }
}

#[tokio::test]
async fn headers_of_one_api_are_nothing_to_another() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        let asked = request(client, client.door(), backend)
            .header("anthropic-version", "2023-01-01")
            .header("anthropic-beta", "context-1m-2025-08-07")
            .header("openai-beta", "responses=v1")
            .header("openai-organization", "org-1");
        let sent = bench.send(backend, &asked).await;
        let version: &[&str] = if backend == Api::Anthropic { &["2023-06-01"] } else { &[] };
        assert_eq!(all(&sent, "anthropic-version"), version, "{client:?} to {backend:?}");
        for name in ["anthropic-beta", "openai-beta", "openai-organization"] {
            assert!(all(&sent, name).is_empty(), "{client:?} to {backend:?}: {name}");
        }
    }
}

#[tokio::test]
async fn a_backend_is_shown_its_own_key_in_its_own_header_and_never_the_clients() {
    for backend in Api::ALL {
        let setup = Setup::new().environment("RIVER_KEY", "sk-river");
        let mut bench = Bench::over(setup, backend, "api_key = { env = \"RIVER_KEY\" }").await;
        for client in Api::ALL {
            let asked = request(client, client.door(), backend)
                .header("x-api-key", "sk-client")
                .header("authorization", "Bearer sk-client")
                .header("cookie", "session=1");
            let sent = bench.send(backend, &asked).await;
            let (own, other, value) = match backend {
                Api::Anthropic => ("x-api-key", "authorization", "sk-river"),
                Api::Chat | Api::Responses | Api::Ollama => ("authorization", "x-api-key", "Bearer sk-river"),
            };
            assert_eq!(all(&sent, own), [value], "{client:?} to {backend:?}");
            assert!(
                all(&sent, other).is_empty() && all(&sent, "cookie").is_empty(),
                "{client:?} to {backend:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_backend_without_a_key_is_shown_none() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        let asked = request(client, client.door(), backend).header("x-api-key", "sk-client");
        let sent = bench.send(backend, &asked).await;
        assert!(
            all(&sent, "x-api-key").is_empty() && all(&sent, "authorization").is_empty(),
            "{client:?} to {backend:?}"
        );
        assert_eq!(all(&sent, "content-type"), ["application/json"], "{client:?} to {backend:?}");
    }
}

#[tokio::test]
async fn the_beta_mark_in_the_address_is_understood() {
    let mut bench = Bench::start().await;
    for backend in Api::ALL {
        let sent = bench.send(backend, &request(Api::Anthropic, "/v1/messages?beta=true", backend)).await;
        assert_eq!(sent.path.split('?').next(), Some(backend.door()));
    }
}
