//! Every cause that leads on to the next backend, in whole answers, in answers that are gathered from a stream, and in calls
//! that are passed on. (Those of streams stand in `failover`.)

use serde_json::{Value, json};

use crate::support::{Call, Setup, Upstream, deaf_address, openai, prompt, refusing_address};

/// What the first backend does.
#[derive(Clone, Copy, Debug)]
enum Cause {
    Status(u16),
    /// The connection ends where a head was awaited.
    Close,
    Reset,
    /// The body is shorter than its length.
    Short,
    /// An error object with status 200.
    Told,
}

const CAUSES: [Cause; 9] = [
    Cause::Status(408),
    Cause::Status(429),
    Cause::Status(500),
    Cause::Status(503),
    Cause::Status(529),
    Cause::Close,
    Cause::Reset,
    Cause::Short,
    Cause::Told,
];

async fn fail(mut call: Call, cause: Cause) {
    match cause {
        Cause::Status(status) => call.answer(status, &openai::error("not me")).await,
        Cause::Close => call.cut().await,
        Cause::Reset => call.reset(),
        Cause::Short => {
            call.send(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"id\"",
            )
            .await;
            call.cut().await;
        }
        Cause::Told => call.answer(200, &json!({"error": {"message": "no slot left"}})).await,
    }
}

/// The call to the second backend. The first is asked once more before it if a connection was closed that had served.
async fn follow(first: &mut Upstream, second: &mut Upstream, cause: Cause) -> Call {
    tokio::select! {
        call = second.call() => return call,
        again = first.call() => fail(again, cause).await,
    }
    second.call().await
}

/// A door, the API of the backends behind it, a request, and what the second backend answers.
struct Case {
    door: &'static str,
    api: &'static str,
    request: Value,
    answer: Value,
}

fn cases() -> [Case; 5] {
    let embeddings = json!({"object": "list", "data": [{"embedding": [0.5], "index": 0}]});
    [
        Case {
            door: "/v1/chat/completions",
            api: "openai",
            request: prompt("m", false),
            answer: openai::whole("Douro"),
        },
        Case {
            door: "/v1/embeddings",
            api: "openai",
            request: json!({"model": "m", "input": "Douro"}),
            answer: embeddings,
        },
        Case {
            door: "/api/embed",
            api: "ollama",
            request: json!({"model": "m", "input": "Douro"}),
            answer: json!({"embeddings": [[0.5]]}),
        },
        Case {
            door: "/api/show",
            api: "ollama",
            request: json!({"model": "m"}),
            answer: json!({"capabilities": ["completion"]}),
        },
        Case {
            door: "/v1/messages/count_tokens",
            api: "anthropic",
            request: json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}),
            answer: json!({"input_tokens": 7}),
        },
    ]
}

#[tokio::test]
async fn every_cause_leads_on_to_the_next_backend() {
    for Case { door, api, request, answer } in cases() {
        let (mut first, mut second) = (Upstream::start().await, Upstream::start().await);
        let setup = Setup::new().pool("eject_after = 100").backend("first", api, &first.url());
        let gateway = setup.backend("second", api, &second.url()).start().await;
        for cause in CAUSES {
            let asked = gateway.ask_post(door, &request).await;
            fail(first.call().await, cause).await;
            follow(&mut first, &mut second, cause).await.answer(200, &answer).await;
            let mut heard = asked.answer().await;
            assert_eq!((heard.status, heard.json().await), (200, answer.clone()), "{door} {cause:?}");
        }
    }
}

#[tokio::test]
async fn one_that_cannot_be_reached_leads_on_to_the_next_backend() {
    for Case { door, api, request, answer } in cases() {
        for deaf in [false, true] {
            let (kept, url) = if deaf {
                deaf_address()
            } else {
                let (socket, url) = refusing_address();
                (vec![socket], url)
            };
            let mut second = Upstream::start().await;
            let setup = Setup::new().stream("connect_timeout = \"200ms\"").pool("probe_interval = \"0s\"");
            let setup = setup.backend("first", api, &url).backend("second", api, &second.url());
            let gateway = setup.start().await;
            let asked = gateway.ask_post(door, &request).await;
            second.call().await.answer(200, &answer).await;
            let mut heard = asked.answer().await;
            assert_eq!((heard.status, heard.json().await), (200, answer.clone()), "{door} {deaf}");
            drop(kept);
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_gathered_from_a_stream_fails_over_too() {
    let (mut first, mut second) = (Upstream::start().await, Upstream::start().await);
    let setup = Setup::new().pool("eject_after = 100").stream("first_token_timeout = \"300ms\"");
    let setup = setup.backend("first", "ollama", &first.url()).backend("second", "ollama", &second.url());
    let gateway = setup.start().await;
    let causes = [None, Some(Cause::Status(500)), Some(Cause::Close), Some(Cause::Status(429))];
    for cause in causes {
        let asked = gateway.ask_post("/v1/chat/completions", &prompt("m", false)).await;
        let mut call = first.call().await;
        match cause {
            Some(cause) => fail(call, cause).await,
            // No token in time.
            None => {
                call.lines().await;
                call.closed().await;
            }
        }
        let mut call = match cause {
            Some(cause) => follow(&mut first, &mut second, cause).await,
            None => second.call().await,
        };
        call.say(&["Douro"]).await;
        call.end().await;
        let mut heard = asked.answer().await;
        assert_eq!(heard.status, 200, "{cause:?}");
        assert_eq!(heard.json().await["choices"][0]["message"]["content"], "Douro", "{cause:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_to_blame_is_asked_of_nobody_else() {
    for Case { door, api, request, .. } in cases() {
        let (mut first, second) = (Upstream::start().await, Upstream::start().await);
        let setup = Setup::new().backend("first", api, &first.url());
        let gateway = setup.backend("second", api, &second.url()).start().await;
        let asked = gateway.ask_post(door, &request).await;
        first.call().await.answer(422, &openai::error("no such field")).await;
        assert_eq!(asked.answer().await.status, 422, "{door}");
        assert_eq!(second.calls_seen(), 0);
    }
}
