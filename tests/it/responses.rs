//! What a Responses client may not ask for.

use serde_json::{Value, json};

use crate::support::{Setup, Upstream};

async fn asked(responses: &str, more: Value) -> (u16, Value) {
    let upstream = Upstream::start().await;
    let gateway = Setup::new().backend_with("one", "openai", &upstream.url(), responses).start().await;
    let mut request = json!({"model": "m", "input": "Hi"});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut answer = gateway.post("/v1/responses", &request).await;
    assert_eq!(upstream.calls_seen(), 0);
    (answer.status, answer.json().await)
}

#[tokio::test]
async fn what_is_kept_elsewhere_is_refused_by_name() {
    for field in ["previous_response_id", "conversation", "prompt"] {
        let (status, body) = asked("", json!({ field: "resp_1" })).await;
        assert_eq!((status, &body["error"]["param"]), (400, &json!(field)), "{body}");
    }
}

#[tokio::test]
async fn a_reference_to_a_stored_item_is_refused_with_what_to_do_instead() {
    let (status, body) = asked("", json!({"input": [{"type": "item_reference", "id": "msg_1"}]})).await;
    assert_eq!(status, 400);
    assert!(body["error"]["message"].as_str().unwrap().contains("store: false"), "{body}");
}
