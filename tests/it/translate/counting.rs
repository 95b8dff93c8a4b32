//! `/v1/messages/count_tokens`: counted by a backend that can, estimated where none can.

use serde_json::{Value, json};

use crate::support::{Api, Bench, Call, Request, Setup, Upstream};

const PATH: &str = "/v1/messages/count_tokens";

/// A request for this backend's model, written as no serializer would.
fn counted(backend: Api) -> Request {
    let body = format!(
        "{{ \"messages\":[{{\"role\":\"user\",\"content\":\"Hi\"}}] ,\"model\":{:?}}}",
        backend.model()
    );
    Request::raw(PATH, body.as_bytes())
}

#[tokio::test]
async fn a_backend_of_the_same_api_counts() {
    let mut bench = Bench::start().await;
    let asked = counted(Api::Anthropic).header("anthropic-beta", "token-counting-2024-11-01");
    let (call, mut asked) = bench.call(Api::Anthropic, &asked).await;
    assert_eq!((call.path.as_str(), call.header("anthropic-version")), (PATH, Some("2023-06-01")));
    assert_eq!(call.header("anthropic-beta"), Some("token-counting-2024-11-01"));
    let body = "{ \"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}] ,\"model\":\"anthropic\"}";
    assert_eq!(std::str::from_utf8(&call.body), Ok(body));
    call.answer_with(200, &[], "{\"input_tokens\" : 2095}").await;
    let answer = asked.head().await;
    assert_eq!((answer.status, answer.header("x-estimated")), (200, None));
    assert_eq!(answer.text().await, "{\"input_tokens\" : 2095}");
}

#[tokio::test]
async fn it_counts_under_its_own_name_of_the_model() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().backend("one", "anthropic", &upstream.url());
    let gateway =
        setup.route("model = \"m\"\nbackends = [{ name = \"one\", model = \"claude-x\" }]").start().await;
    let _asked =
        gateway.ask_post(PATH, &json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]})).await;
    assert_eq!(upstream.call().await.json()["model"], "claude-x");
}

/// An estimate for this backend, which must not be asked.
async fn estimated(bench: &mut Bench, backend: Api, more: &Value) -> u64 {
    let mut request = json!({"model": backend.model(), "messages": [{"role": "user", "content": "Hi"}]});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut answer = bench.gateway.post(PATH, &request).await;
    assert_eq!((answer.status, answer.header("x-estimated")), (200, Some("input_tokens")), "{backend:?}");
    assert_eq!(bench.backend(backend).calls_seen(), 0, "{backend:?}");
    let body = answer.json().await;
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    body["input_tokens"].as_u64().unwrap()
}

#[tokio::test]
async fn where_nobody_counts_it_is_estimated_and_said_so() {
    let mut bench = Bench::start().await;
    for backend in Api::Anthropic.others() {
        let little = estimated(&mut bench, backend, &json!({})).await;
        assert!((1..20).contains(&little), "{little}");
        let said = |text: &str| json!({"messages": [{"role": "user", "content": text}]});
        let much = estimated(&mut bench, backend, &said(&"word ".repeat(4000))).await;
        assert!((4000..7000).contains(&much), "{much}");
        // Letters count, not bytes.
        let letters = estimated(&mut bench, backend, &said(&"é".repeat(4000))).await;
        assert!((900..2000).contains(&letters), "{letters}");
    }
}

#[tokio::test]
async fn everything_that_a_model_reads_is_estimated() {
    let mut bench = Bench::start().await;
    let little = estimated(&mut bench, Api::Ollama, &json!({})).await;
    let text = "word ".repeat(400);
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}});
    let call = json!({"type": "tool_use", "id": "c1", "name": "depth", "input": {"of": text}});
    let result =
        json!({"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": text}]});
    for more in [
        json!({"system": text}),
        json!({"tools": [{"name": "depth", "description": text, "input_schema": {"type": "object"}}]}),
        json!({"tools": [{"name": "depth", "input_schema": {"type": "object", "description": text}}]}),
        json!({"messages": [{"role": "user", "content": [image]}]}),
        json!({"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": [call]}, {"role": "user", "content": "A"}]}),
        json!({"messages": [{"role": "user", "content": [result]}]}),
    ] {
        let more_tokens = estimated(&mut bench, Api::Ollama, &more).await;
        assert!(more_tokens > little + 300, "{more_tokens} for {more}");
    }
}

/// What the client hears when the backend answers so.
async fn heard(answer: impl AsyncFnOnce(Call)) -> (u16, Option<String>, Value) {
    let mut bench = Bench::start().await;
    let (call, mut asked) = bench.call(Api::Anthropic, &counted(Api::Anthropic)).await;
    answer(call).await;
    let answer = asked.head().await;
    let estimated = answer.header("x-estimated").map(str::to_owned);
    (answer.status, estimated, answer.json().await)
}

#[tokio::test]
async fn a_server_without_the_route_is_no_reason_to_fail() {
    let unknown = json!({"type": "error", "error": {"type": "not_found_error", "message": "no such route"}});
    for (status, body) in [
        (404, "404 page not found".to_owned()),
        (404, unknown.to_string()),
        (405, String::new()),
        (501, "{}".to_owned()),
    ] {
        let (status, estimated, said) =
            heard(async |call: Call| call.answer_with(status, &[], &body).await).await;
        assert_eq!((status, estimated.as_deref()), (200, Some("input_tokens")), "{body}");
        assert!(said["input_tokens"].as_u64().is_some_and(|count| count > 0), "{said}");
    }
}

#[tokio::test]
async fn what_the_backend_refuses_is_refused() {
    for (status, kind) in
        [(400, "invalid_request_error"), (429, "rate_limit_error"), (529, "overloaded_error")]
    {
        let body = json!({"type": "error", "error": {"type": kind, "message": "no"}});
        let (heard, estimated, said) = heard(async |call: Call| call.answer(status, &body).await).await;
        assert_eq!((heard, estimated), (status, None), "{said}");
        assert_eq!((&said["type"], &said["error"]["type"]), (&json!("error"), &json!(kind)));
    }
}

#[tokio::test]
async fn what_cannot_be_counted_is_refused_in_the_clients_words() {
    let bench = Bench::start().await;
    for (request, status, kind) in [
        (
            json!({"model": "unknown", "messages": [{"role": "user", "content": "Hi"}]}),
            404,
            "not_found_error",
        ),
        (json!({"model": "ollama", "messages": []}), 400, "invalid_request_error"),
        (json!({"messages": [{"role": "user", "content": "Hi"}]}), 400, "invalid_request_error"),
    ] {
        let mut answer = bench.gateway.post(PATH, &request).await;
        let (status_heard, body) = (answer.status, answer.json().await);
        assert_eq!((status_heard, &body["error"]["type"]), (status, &json!(kind)), "{body}");
    }
}
