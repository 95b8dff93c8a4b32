//! Pulls: one at the backend however many clients ask, on when they leave, and told to everybody who listens.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Call, Ending, Gateway, Request, Setup, Upstream, gateway_over, within};

const PULL: &str = "/api/pull";

async fn gateway() -> (Gateway, Upstream) {
    gateway_over("ollama", &[]).await
}

fn wish() -> Value {
    json!({"model": "m"})
}

fn line(status: &str) -> Value {
    json!({"status": status})
}

fn layer(completed: u64) -> Value {
    json!({"status": "pulling ab", "digest": "sha256:ab", "total": 10, "completed": completed})
}

/// A pull whose first line has come.
async fn begin(gateway: &Gateway, upstream: &mut Upstream) -> (Answer, Call) {
    let asked = gateway.ask_post(PULL, &wish()).await;
    let mut call = upstream.call().await;
    call.lines().await;
    call.line(&line("pulling manifest")).await;
    let mut answer = asked.answer().await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")));
    assert_eq!(answer.next_event().await.json(), line("pulling manifest"));
    (answer, call)
}

/// What is told of downloads from now on, without the first message.
async fn listen(gateway: &Gateway) -> Answer {
    let request = Request::get("/events?only=downloads").header("accept", "text/event-stream");
    let mut events = gateway.send(&request).await;
    assert_eq!(events.next_event().await.json()["type"], "Snapshot");
    events
}

#[tokio::test]
async fn clients_that_want_the_same_model_share_one_pull() {
    let (gateway, mut upstream) = gateway().await;
    let (mut one, mut call) = begin(&gateway, &mut upstream).await;
    call.line(&layer(3)).await;
    assert_eq!(one.next_event().await.json(), layer(3));
    // By its older name for the field, and with the tag that is meant where there is none.
    let mut two = gateway.post(PULL, &json!({"name": "m:latest", "stream": true})).await;
    assert_eq!(two.next_event().await.json(), line("pulling manifest"));
    assert_eq!(two.next_event().await.json(), layer(3));
    call.line(&line("success")).await;
    call.finish().await;
    for answer in [&mut one, &mut two] {
        let (events, ending) = answer.events().await;
        assert_eq!(events.last().unwrap().json(), line("success"));
        assert_eq!(ending, Ending::Clean);
    }
    assert_eq!(upstream.calls_seen(), 1);
}

#[tokio::test]
async fn a_pull_goes_on_when_its_clients_leave() {
    let (gateway, mut upstream) = gateway().await;
    let mut events = listen(&gateway).await;
    let (answer, mut call) = begin(&gateway, &mut upstream).await;
    drop(answer);
    call.stays(Duration::from_millis(300)).await;
    let mut back = gateway.post(PULL, &wish()).await;
    assert_eq!(back.next_event().await.json(), line("pulling manifest"));
    call.line(&line("success")).await;
    call.finish().await;
    assert_eq!(back.next_event().await.json(), line("success"));
    assert_eq!(events.next_event().await.json()["type"], "DownloadStarted");
    assert_eq!(events.next_event().await.json()["type"], "DownloadSuccess");
    assert_eq!(upstream.calls_seen(), 1);
}

#[tokio::test]
async fn a_pull_is_told_as_cortex_tells_it() {
    let (gateway, mut upstream) = gateway().await;
    let mut events = listen(&gateway).await;
    let (_answer, mut call) = begin(&gateway, &mut upstream).await;
    for completed in [1, 2, 3] {
        call.line(&layer(completed)).await;
    }
    call.line(&layer(10)).await;
    call.line(&line("success")).await;
    call.finish().await;
    let item = |bytes, downloaded| {
        format!(
            "{{\"bytes\":{bytes},\"checksum\":\"N/A\",\"downloadUrl\":\"\",\"downloadedBytes\":{downloaded},\
             \"id\":\"sha256:ab\",\"localPath\":\"\"}}"
        )
    };
    let message = |items: &str, kind| {
        format!("{{\"task\":{{\"id\":\"m\",\"items\":[{items}],\"type\":\"Model\"}},\"type\":\"{kind}\"}}")
    };
    assert_eq!(events.next_event().await.data, message("", "DownloadStarted"));
    assert_eq!(events.next_event().await.data, message(&item(10, 1), "DownloadUpdated")); // once a second
    assert_eq!(events.next_event().await.data, message(&item(0, 0), "DownloadSuccess"));
}

#[tokio::test]
async fn a_pull_that_runs_is_in_the_first_message() {
    let (gateway, mut upstream) = gateway().await;
    let (mut answer, mut call) = begin(&gateway, &mut upstream).await;
    call.line(&layer(4)).await;
    answer.next_event().await;
    let request = Request::get("/events").header("accept", "text/event-stream");
    let snapshot = gateway.send(&request).await.next_event().await.json();
    assert_eq!(snapshot["downloads"][0]["items"][0]["downloadedBytes"], 4);
}

#[tokio::test]
async fn a_pull_that_fails_is_told_to_everybody() {
    let (gateway, mut upstream) = gateway().await;
    let mut events = listen(&gateway).await;
    let (mut answer, mut call) = begin(&gateway, &mut upstream).await;
    let error = json!({"error": "pull model manifest: file does not exist"});
    call.line(&error).await;
    call.finish().await;
    let (told, ending) = answer.events().await;
    assert_eq!((told[0].json(), ending), (error, Ending::Aborted));
    assert_eq!(events.next_event().await.json()["type"], "DownloadStarted");
    let failed = events.next_event().await.json();
    assert_eq!(failed["type"], "DownloadError");
    assert_eq!(failed["error"], "pull model manifest: file does not exist");
}

#[tokio::test]
async fn a_pull_that_breaks_off_is_not_taken_for_a_success() {
    let (gateway, mut upstream) = gateway().await;
    let mut events = listen(&gateway).await;
    let (mut answer, call) = begin(&gateway, &mut upstream).await;
    call.finish().await;
    let (told, ending) = answer.events().await;
    assert!(told[0].json()["error"].is_string());
    assert_eq!(ending, Ending::Aborted);
    events.next_event().await;
    assert_eq!(events.next_event().await.json()["type"], "DownloadError");
    // And the next client's begins anew.
    let (_answer, _call) = begin(&gateway, &mut upstream).await;
}

#[tokio::test]
async fn a_pull_that_never_began_has_its_real_status() {
    let (gateway, mut upstream) = gateway().await;
    let asked = gateway.ask_post(PULL, &wish()).await;
    upstream.call().await.answer(500, &json!({"error": "no space left on device"})).await;
    let mut answer = asked.answer().await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.json().await["error"], "no space left on device");
    let gateway = Setup::new().backend("away", "ollama", "http://127.0.0.1:9").start().await;
    assert_eq!(gateway.post(PULL, &wish()).await.status, 502);
}

#[tokio::test]
async fn a_pull_without_a_stream_is_answered_at_its_end() {
    let (gateway, mut upstream) = gateway().await;
    let asked = gateway.ask_post(PULL, &json!({"model": "m", "stream": false})).await;
    let mut call = upstream.call().await;
    assert_eq!(call.json(), json!({"model": "m", "stream": true}));
    call.lines().await;
    call.line(&line("pulling manifest")).await;
    call.line(&line("success")).await;
    call.finish().await;
    let mut answer = asked.answer().await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.json().await, line("success"));
}

#[tokio::test]
async fn a_pull_is_stopped_in_cortexs_words() {
    let (gateway, mut upstream) = gateway().await;
    let mut events = listen(&gateway).await;
    let asked = gateway.ask_post("/v1/models/pull", &json!({"model": "m"})).await;
    let mut call = upstream.call().await;
    call.lines().await;
    call.line(&line("pulling manifest")).await;
    let mut answer = asked.answer().await;
    assert_eq!(answer.json().await["task"], json!({"id": "m", "items": [], "type": "Model"}));
    let mut reader = gateway.post(PULL, &wish()).await;
    let mut stop = Request::raw("/v1/models/pull", b"{\"taskId\":\"m\"}").to_bytes("localhost");
    stop.splice(..4, *b"DELETE");
    let mut client = gateway.client().await;
    client.send(&stop).await;
    let mut stopped = client.answer().await;
    assert_eq!(stopped.status, 200);
    assert_eq!(stopped.json().await["taskId"], "m");
    call.closed().await;
    assert_eq!(events.next_event().await.json()["type"], "DownloadStarted");
    assert_eq!(events.next_event().await.json()["type"], "DownloadStopped");
    let (told, ending) = reader.events().await;
    assert_eq!((told.last().unwrap().json()["error"].is_string(), ending), (true, Ending::Aborted));
    let mut client = gateway.client().await;
    client.send(&stop).await;
    assert_eq!(client.answer().await.status, 404);
}

#[tokio::test]
async fn a_silent_pull_stays_alive() {
    let (gateway, mut upstream) = gateway_over("ollama", &["keep_alive = \"50ms\""]).await;
    let (mut answer, _call) = begin(&gateway, &mut upstream).await;
    for _ in 0..3 {
        let item = format!("{:?}", answer.next_item().await);
        assert!(item.starts_with("Quiet"), "{item}");
    }
}

#[tokio::test]
async fn changing_models_needs_its_scope() {
    let upstream = Upstream::start().await;
    let setup =
        Setup::new().key("alice", "sk-alice-1", "").key("admin", "sk-admin-1", "scopes = [\"manage\"]");
    let gateway = setup.backend("one", "ollama", &upstream.url()).start().await;
    for path in [PULL, "/api/push", "/api/create", "/api/copy", "/v1/models/pull"] {
        let request = || Request::post(path, &json!({"model": "m"}));
        assert_eq!(gateway.send(&request()).await.status, 401, "{path}");
        assert_eq!(gateway.send(&request().header("x-api-key", "sk-alice-1")).await.status, 403, "{path}");
    }
    let delete = Request::new("DELETE", "/api/delete").header("x-api-key", "sk-alice-1");
    assert_eq!(gateway.send(&delete).await.status, 403);
    assert_eq!(upstream.calls_seen(), 0);
}

#[tokio::test]
async fn pushes_and_new_models_are_passed_on_line_by_line_and_cancelled_with_their_client() {
    for path in ["/api/push", "/api/create"] {
        let (gateway, mut upstream) = gateway().await;
        let asked = gateway.ask_post(path, &json!({"model": "m", "from": "base"})).await;
        let mut call = upstream.call().await;
        assert_eq!((call.path.as_str(), call.json()["from"].as_str()), (path, Some("base")));
        call.lines().await;
        call.line(&line("retrieving manifest")).await;
        let mut answer = asked.answer().await;
        assert_eq!(answer.next_event().await.json(), line("retrieving manifest"));
        drop(answer);
        call.closed().await;
    }
}

#[tokio::test]
async fn copies_and_deletions_are_passed_on() {
    let upstream = Upstream::start().await;
    let setup = Setup::new().backend("one", "ollama", &upstream.url());
    let route = "model = \"m\"\nbackends = [{ name = \"one\", model = \"real\" }]";
    let (gateway, mut upstream) = (setup.route(route).start().await, upstream);
    let asked = gateway.ask_post("/api/copy", &json!({"source": "m", "destination": "n"})).await;
    let call = upstream.call().await;
    assert_eq!(call.json(), json!({"source": "real", "destination": "n"}));
    call.answer_with(200, &[], "").await;
    assert_eq!(asked.answer().await.status, 200);
    let mut client = gateway.client().await;
    let mut delete = Request::raw("/api/delete", b"{\"model\":\"m\"}").to_bytes("localhost");
    delete.splice(..4, *b"DELETE");
    client.send(&delete).await;
    let call = upstream.call().await;
    assert_eq!((call.method.as_str(), call.path.as_str()), ("DELETE", "/api/delete"));
    assert_eq!(call.json(), json!({"model": "real"}));
    call.answer(404, &json!({"error": "model 'real' not found"})).await;
    assert_eq!(within("an answer", client.answer()).await.status, 404);
}

#[tokio::test]
async fn a_model_that_no_ollama_serves_cannot_be_pulled() {
    let gateway = Setup::new().demo().start().await;
    let mut answer = gateway.post(PULL, &wish()).await;
    assert_eq!(answer.status, 400);
    assert!(answer.json().await["error"].as_str().unwrap().contains("Ollama"));
}
