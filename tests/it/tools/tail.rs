//! `streamgate tail`: the whole text whatever happens to the connection, and an exit code that says how it ended.

use serde_json::{Value, json};
use tokio::join;

use super::{Cutter, Running, tool, tool_at};
use crate::door::Certificates;
use crate::support::hops::bare;
use crate::support::{Answer, Call, Gateway, Request, Setup, Upstream, openai, prompt};

const CHAT: &str = "/v1/chat/completions";

/// A stream of the conversation `talk` with `Rhine` through, its head, and the backend's end of it.
async fn begin(stream: &[&str], journal: &[&str]) -> (Gateway, Upstream, Answer, Call) {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().lines(stream).backend("one", "openai", &upstream.url());
    let setup = journal.iter().fold(setup, |setup, line| setup.journal(line));
    let gateway = setup.start().await;
    let request = Request::post(CHAT, &prompt("m", true)).header("x-conversation-id", "talk");
    let asked = gateway.ask(&request).await;
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    let answer = asked.answer().await;
    (gateway, upstream, answer, call)
}

fn id_of(answer: &Answer) -> String {
    answer.header("stream-id").unwrap().to_owned()
}

#[tokio::test]
async fn the_text_of_a_stream_comes_to_its_end() {
    let (gateway, _upstream, answer, mut call) = begin(&[], &[]).await;
    let id = id_of(&answer);
    let arguments = ["tail", &id];
    let (by_id, by_name, ()) =
        join!(tool(&gateway, &arguments), tool(&gateway, &["tail", "conversation:talk"]), async {
            call.sse(&openai::text(" and Rhône")).await;
            call.end().await;
        });
    for run in [by_id, by_name] {
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), "Rhine and Rhône\n"), "{}", run.all);
    }
}

#[tokio::test]
async fn after_a_cut_it_goes_on_behind_the_last_event() {
    let (gateway, _upstream, mut answer, mut call) = begin(&[], &[]).await;
    for number in 0..40 {
        call.sse(&openai::text(&format!(" {number}"))).await;
    }
    call.end().await;
    answer.rest().await;
    let whole = tool(&gateway, &["tail", &id_of(&answer)]).await;
    for bytes in [30, 700, 2500, 4001] {
        let cutter = Cutter::start(gateway.public, bytes).await;
        let run = tool_at(&cutter.url(), &["tail", &id_of(&answer)]).await;
        // Cut in its head, before anything was read, it is no stream that could be gone on with.
        if bytes > 500 {
            assert_eq!(
                (run.code, &run.stdout.replace('\n', "")),
                (Some(0), &whole.stdout.replace('\n', "")),
                "{bytes}: {}",
                run.all
            );
            assert!(run.all.contains("going on behind"), "{bytes}: {}", run.all);
        } else {
            assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{bytes}: {}", run.all);
        }
    }
}

#[tokio::test]
async fn a_stream_that_fails_is_told_by_the_code() {
    let (gateway, _upstream, answer, call) = begin(&[], &[]).await;
    let id = id_of(&answer);
    call.cut().await;
    let run = tool(&gateway, &["tail", &id]).await;
    assert_eq!((run.code, run.stdout.as_str()), (Some(3), "Rhine\n"), "{}", run.all);
    assert!(run.all.contains("upstream_truncated"), "{}", run.all);
}

#[tokio::test]
async fn a_stream_that_was_cancelled_is_told_by_the_code() {
    let (gateway, _upstream, answer, _call) = begin(&[], &[]).await;
    let id = id_of(&answer);
    assert_eq!(gateway.send(&Request::new("DELETE", &format!("/v1/streams/{id}"))).await.status, 200);
    let run = tool(&gateway, &["tail", &id]).await;
    assert_eq!(run.code, Some(4), "{}", run.all);
}

#[tokio::test]
async fn nothing_left_to_read_is_an_end() {
    let (gateway, _upstream, mut answer, call) = begin(&[], &[]).await;
    call.end().await;
    answer.rest().await;
    let id = id_of(&answer);
    let run = tool(&gateway, &["tail", &id, "--after", "1000"]).await;
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{}", run.all);
}

#[tokio::test]
async fn what_is_no_longer_kept_is_told() {
    let (gateway, _upstream, mut answer, mut call) = begin(&[], &["max_stream_bytes = \"4KiB\""]).await;
    for _ in 0..60 {
        call.sse(&openai::text("a word ")).await;
    }
    call.end().await;
    answer.rest().await;
    let run = tool(&gateway, &["tail", &id_of(&answer)]).await;
    assert_eq!(run.code, Some(5), "{}", run.all);
    assert!(run.all.contains("events 1 to ") && run.all.contains("no longer kept"), "{}", run.all);
    assert!(run.stdout.ends_with("a word \n") && !run.stdout.contains("Rhine"), "{}", run.stdout);
}

#[tokio::test]
async fn what_cannot_be_read_is_told_with_what_to_do() {
    let gateway = Setup::new().demo().key("alice", "sk-it-alice", "").start().await;
    let id = "a".repeat(26);
    let run = tool(&gateway, &["tail", &id]).await;
    assert_eq!(run.code, Some(1), "{}", run.all);
    assert!(run.all.contains("401") && run.all.contains("STREAMGATE_KEY"), "{}", run.all);
    let run = tool(&gateway, &["tail", &id, "--key", "sk-it-alice"]).await;
    assert_eq!(run.code, Some(1), "{}", run.all);
    assert!(run.all.contains("404") && !run.all.contains("sk-it-alice"), "{}", run.all);
    let run = tool(&gateway, &["tail", "job-7"]).await;
    assert_eq!(run.code, Some(2), "{}", run.all);
    assert!(run.all.contains("channel:job-7"), "{}", run.all);
    let run = tool_at("http://127.0.0.1:9", &["tail", &id]).await;
    assert_eq!(run.code, Some(1), "{}", run.all);
    assert!(run.all.contains("127.0.0.1:9"), "{}", run.all);
}

#[tokio::test]
async fn events_are_printed_raw_or_as_json() {
    let (gateway, _upstream, mut answer, call) = begin(&[], &[]).await;
    call.end().await;
    answer.rest().await;
    let id = id_of(&answer);
    let raw = tool(&gateway, &["tail", &id, "--raw"]).await;
    assert!(raw.stdout.starts_with(&format!("id: {id}.1\nretry: ")), "{}", raw.stdout);
    assert!(raw.stdout.ends_with("data: [DONE]\n\n"), "{}", raw.stdout);
    let lines = tool(&gateway, &["tail", &id, "--json"]).await;
    let lines: Vec<Value> = lines.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["id"], format!("{id}.1"));
    assert_eq!(lines.last().unwrap()["data"], "[DONE]");
}

#[tokio::test]
async fn a_channel_is_followed_until_it_is_deleted() {
    let gateway = Setup::new().demo().start().await;
    let job = "/v1/channels/job-7";
    assert_eq!(gateway.post(job, &json!({"event": "progress", "data": {"done": 3}})).await.status, 200);
    let mut run = Running::start(&format!("http://{}", gateway.public), &["tail", "channel:job-7"]);
    assert_eq!(run.line().await, "{\"done\":3}");
    gateway.post(job, &json!({"data": "last"})).await;
    assert_eq!(run.line().await, "last");
    assert_eq!(gateway.send(&Request::new("DELETE", job)).await.status, 204);
    let run = run.end().await;
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "{\"done\":3}\nlast\n"), "{}", run.all);
}

#[tokio::test]
async fn ctrl_c_ends_the_line_and_says_how_to_go_on() {
    let (gateway, _upstream, answer, _call) = begin(&[], &[]).await;
    let mut run = Running::start(&format!("http://{}", gateway.public), &["tail", &id_of(&answer)]);
    run.letters("Rhine").await;
    run.interrupt();
    let run = run.end().await;
    assert_eq!((run.code, run.stdout.as_str()), (Some(130), "Rhine\n"), "{}", run.all);
    let hint = run.all.split("`--after ").nth(1).unwrap_or_else(|| panic!("{}", run.all));
    assert!(hint.starts_with(&format!("{}.", id_of(&answer))), "{hint}");
}

#[tokio::test]
async fn what_cannot_be_reached_comes_with_a_hint_that_fits() {
    let certificates = Certificates::new();
    let gateway = Setup::new().server(&certificates.line()).demo().start().await;
    let (port, id) = (gateway.public.port(), "a".repeat(26));
    let tail = async |server: String, more: &[&str]| {
        let run = tool_at(&server, &[&["tail", &id], more].concat()).await;
        assert_eq!(run.code, Some(1), "{}", run.all);
        run.all
    };
    let said = tail(format!("https://localhost:{port}"), &[]).await;
    assert!(said.contains("`--cacert FILE`") && said.contains("`--insecure`"), "{said}");
    let said = tail(format!("http://localhost:{port}"), &[]).await;
    assert!(said.contains("by https?"), "{said}");
    let said = tail(format!("https://{}", gateway.admin), &[]).await;
    assert!(said.contains("by http?"), "{said}");
    let authority = certificates.file("cert.pem").display().to_string();
    for trust in [&["--insecure"][..], &["--cacert", &authority]] {
        let said = tail(format!("https://localhost:{port}"), trust).await;
        assert!(said.contains("404"), "{said}");
    }
}

#[tokio::test]
async fn a_name_that_is_empty_is_wrong_usage() {
    for target in ["", "channel:", "conversation:"] {
        let run = tool_at("http://127.0.0.1:9", &["tail", target]).await;
        assert!(run.code == Some(2) && run.all.contains("no stream is named"), "{target}: {}", run.all);
    }
}

#[tokio::test]
async fn a_redirect_is_told_with_where_it_leads() {
    let gateway = Setup::new().demo().start().await;
    let hop =
        bare::nginx_listening(gateway.public, "", "return 301 https://chat.example.org$request_uri;").await;
    let run = tool_at(&hop.url(), &["tail", "conversation:my-chat"]).await;
    let place = "https://chat.example.org/v1/conversations/my-chat/stream";
    assert!(run.code == Some(1) && run.all.contains(place) && run.all.contains("hint: give"), "{}", run.all);
}
