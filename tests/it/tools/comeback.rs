//! `streamgate tail` when the gateway is not there for a while: it comes back, goes on where it was, and says what it waits for.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Running, tool_at};
use crate::support::port::free_port;
use crate::support::{Call, Gateway, Request, Setup, Upstream, prompt};

const CHAT: &str = "/v1/chat/completions";

/// Gives one connection after another the next of these answers, and listens no more behind the last.
async fn play(listener: TcpListener, answers: &[String]) {
    for answer in answers {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        assert_ne!(client.read(&mut head).await.unwrap(), 0, "a request");
        client.write_all(answer.as_bytes()).await.unwrap();
    }
}

fn sse(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// What a gateway that drains says to whoever comes back.
fn later() -> String {
    sse("retry: 20\n")
}

fn whole() -> String {
    let event = |number: usize, data: &str| format!("id: {}.{number}\ndata: {data}\n\n", "a".repeat(26));
    sse(&[event(1, "{\"choices\":[{\"delta\":{\"content\":\"Rhine\"}}]}"), event(2, "[DONE]")].concat())
}

fn unknown() -> String {
    let body = "{\"error\":{\"message\":\"there is no such stream\"}}";
    format!(
        "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn listen(port: u16) -> TcpListener {
    TcpListener::bind(("127.0.0.1", port)).await.unwrap()
}

#[tokio::test]
async fn who_is_told_to_come_later_comes_later() {
    let port = free_port();
    let answers = [later(), later(), whole()];
    let (listener, id) = (listen(port).await, "a".repeat(26));
    let (server, arguments) = (format!("http://127.0.0.1:{port}"), ["tail", id.as_str()]);
    let (run, ()) = tokio::join!(tool_at(&server, &arguments), play(listener, &answers));
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "Rhine\n"), "{}", run.all);
    assert_eq!(run.all.matches("going on").count(), 2, "{}", run.all);
}

#[tokio::test]
async fn a_gateway_that_is_gone_before_the_first_event_is_waited_for() {
    let port = free_port();
    let id = "a".repeat(26);
    let listener = listen(port).await;
    let mut run = Running::start(&format!("http://127.0.0.1:{port}"), &["tail", &id, "--retries", "50"]);
    play(listener, &[later()]).await;
    let refused = run.complaint("cannot be reached").await;
    assert!(refused.contains("going on"), "{refused}");
    play(listen(port).await, &[whole()]).await;
    let run = run.end().await;
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "Rhine\n"), "{}", run.all);
}

#[tokio::test]
async fn what_was_there_and_is_unknown_now_is_lost() {
    let port = free_port();
    let answers = [later(), unknown()];
    let (listener, id) = (listen(port).await, "a".repeat(26));
    let (server, arguments) = (format!("http://127.0.0.1:{port}"), ["tail", id.as_str()]);
    let (run, ()) = tokio::join!(tool_at(&server, &arguments), play(listener, &answers));
    assert_eq!(run.code, Some(5), "{}", run.all);
    assert!(run.all.contains("there is no such stream"), "{}", run.all);
}

#[tokio::test]
async fn who_gets_nothing_too_often_gives_up_and_says_so() {
    let port = free_port();
    let (listener, id) = (listen(port).await, "a".repeat(26));
    let server = format!("http://127.0.0.1:{port}");
    let arguments = ["tail", &id, "--retries", "2"];
    let answers = [later(), later(), later()];
    let (run, ()) = tokio::join!(tool_at(&server, &arguments), play(listener, &answers));
    assert_eq!(run.code, Some(1), "{}", run.all);
    assert!(run.all.contains("3 connections in a row brought nothing"), "{}", run.all);
}

/// A stream with `Rhine` through on a gateway that listens here.
async fn begin(setup: Setup, port: u16) -> (Gateway, Upstream, Call, String) {
    let mut upstream = Upstream::start().await;
    let setup = setup.server(&format!("listen = \"127.0.0.1:{port}\""));
    let gateway = setup.backend("one", "openai", &upstream.url()).start().await;
    let request = Request::post(CHAT, &prompt("m", true)).header("x-conversation-id", "talk");
    let asked = gateway.ask(&request).await;
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    let id = asked.answer().await.header("stream-id").unwrap().to_owned();
    (gateway, upstream, call, id)
}

#[tokio::test]
async fn a_stream_that_a_drain_ends_has_failed_and_says_why() {
    let port = free_port();
    let (mut gateway, _upstream, _call, id) = begin(Setup::new().server("drain = \"300ms\""), port).await;
    let mut run = Running::start(&format!("http://127.0.0.1:{port}"), &["tail", &id, "--json"]);
    run.line().await;
    gateway.signal("TERM");
    let run = run.end().await;
    assert_eq!(run.code, Some(3), "{}", run.all);
    assert!(run.all.contains("the stream failed: ") && run.all.contains("draining"), "{}", run.all);
    gateway.exit().await;
}

#[tokio::test]
async fn a_gateway_that_forgot_the_stream_in_a_restart_is_told_to_have() {
    let port = free_port();
    let (mut gateway, upstream, _call, id) = begin(Setup::new(), port).await;
    let mut run = Running::start(&format!("http://127.0.0.1:{port}"), &["tail", &id, "--json"]);
    run.line().await;
    gateway.signal("KILL");
    gateway.exit().await;
    run.complaint("cannot be reached").await;
    let setup = Setup::new().server(&format!("listen = \"127.0.0.1:{port}\""));
    let _gateway = setup.backend("one", "openai", &upstream.url()).start().await;
    let run = run.end().await;
    assert_eq!(run.code, Some(5), "{}", run.all);
    assert!(run.all.contains("what was not read yet is lost"), "{}", run.all);
}

#[cfg(feature = "redis")]
mod shared {
    use super::*;
    use crate::support::openai;
    use crate::support::redis::Redis;

    fn replica(redis: &Redis) -> Setup {
        let setup = Setup::new().journal("store = \"redis\"").journal(&format!("url = \"{}\"", redis.url()));
        setup.journal("lease = \"2s\"").server("drain = \"100ms\"")
    }

    #[tokio::test]
    async fn a_replica_that_restarts_under_its_reader_is_gone_on_with() {
        let redis = Redis::start().await;
        let (_writer, upstream, mut call, id) = begin(replica(&redis), free_port()).await;
        let port = free_port();
        let beside = async || {
            let setup = replica(&redis).server(&format!("listen = \"127.0.0.1:{port}\""));
            setup.backend("one", "openai", &upstream.url()).start().await
        };
        let mut gateway = beside().await;
        let mut run = Running::start(&format!("http://127.0.0.1:{port}"), &["tail", &id]);
        run.letters("Rhine").await;
        gateway.signal("TERM");
        gateway.exit().await;
        run.complaint("cannot be reached").await;
        call.sse(&openai::text(" and Rhône")).await;
        let _gateway = beside().await;
        call.end().await;
        let run = run.end().await;
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), "Rhine\n and Rhône\n"), "{}", run.all);
        assert!(run.all.contains(&format!("going on behind {id}.")), "{}", run.all);
    }

    #[tokio::test]
    async fn a_stream_whose_replica_died_has_failed_and_says_why() {
        let redis = Redis::start().await;
        let (mut writer, upstream, _call, id) = begin(replica(&redis), free_port()).await;
        let setup = replica(&redis).backend("one", "openai", &upstream.url());
        let reader = setup.start().await;
        let mut run = Running::start(&format!("http://{}", reader.public), &["tail", &id]);
        run.letters("Rhine").await;
        writer.signal("KILL");
        writer.exit().await;
        let run = run.end().await;
        assert_eq!((run.code, run.stdout.as_str()), (Some(3), "Rhine\n"), "{}", run.all);
        assert!(run.all.contains("producer_lost"), "{}", run.all);
    }
}
