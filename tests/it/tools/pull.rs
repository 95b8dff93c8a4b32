//! `streamgate pull`: one pull however often it is asked for, joined after a cut, left running by Ctrl-C.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::join;

use super::{Cutter, Running, tool};
use crate::support::{Call, Gateway, Setup, Upstream, gateway_over};

async fn gateway() -> (Gateway, Upstream) {
    gateway_over("ollama", &[]).await
}

fn line(status: &str) -> Value {
    json!({"status": status})
}

async fn begin(upstream: &mut Upstream) -> Call {
    let mut call = upstream.call().await;
    call.lines().await;
    call.line(&line("pulling manifest")).await;
    call
}

async fn succeed(mut call: Call) {
    call.line(&json!({"status": "pulling ab", "digest": "sha256:ab", "total": 10, "completed": 4})).await;
    call.line(&line("success")).await;
    call.finish().await;
}

#[tokio::test]
async fn a_model_is_pulled_once_for_two_who_ask() {
    let (gateway, mut upstream) = gateway().await;
    let url = format!("http://{}", gateway.public);
    let one = Running::start(&url, &["pull", "m"]);
    let call = begin(&mut upstream).await;
    let mut two = Running::start(&url, &["pull", "m", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&two.line().await).unwrap(), line("pulling manifest"));
    succeed(call).await;
    let (one, two) = join!(one.end(), two.end());
    assert_eq!((one.code, one.stdout.as_str()), (Some(0), "pulled m\n"), "{}", one.all);
    assert!(one.all.contains("pulling manifest"), "{}", one.all);
    assert_eq!(two.code, Some(0), "{}", two.all);
    let last: Value = serde_json::from_str(two.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last, line("success"));
}

#[tokio::test]
async fn a_pull_that_fails_is_told_by_the_code() {
    let (gateway, mut upstream) = gateway().await;
    let driver = async {
        let mut call = begin(&mut upstream).await;
        call.line(&json!({"error": "no space left on device"})).await;
        call.finish().await;
    };
    let (run, ()) = join!(tool(&gateway, &["pull", "m"]), driver);
    assert_eq!((run.code, run.stdout.as_str()), (Some(3), ""), "{}", run.all);
    assert!(run.all.contains("no space left on device"), "{}", run.all);
}

#[tokio::test]
async fn after_a_cut_the_pull_is_joined_again() {
    let (gateway, mut upstream) = gateway().await;
    let cutter = Cutter::start(gateway.public, 600).await;
    let mut run = Running::start(&cutter.url(), &["pull", "m", "--json"]);
    let mut call = begin(&mut upstream).await;
    for completed in 0..20 {
        let layer =
            json!({"status": "pulling ab", "digest": "sha256:ab", "total": 100, "completed": completed});
        call.line(&layer).await;
    }
    let manifest = line("pulling manifest").to_string();
    assert_eq!(run.line().await, manifest);
    while run.line().await != manifest {} // again, from the first line on
    succeed(call).await;
    let run = run.end().await;
    assert_eq!(run.code, Some(0), "{}", run.all);
    assert!(run.all.contains("asking again"), "{}", run.all);
    assert_eq!(upstream.calls_seen(), 1);
}

#[tokio::test]
async fn ctrl_c_leaves_the_pull_running_and_says_so() {
    let (gateway, mut upstream) = gateway().await;
    let mut run = Running::start(&format!("http://{}", gateway.public), &["pull", "m", "--json"]);
    let mut call = begin(&mut upstream).await;
    run.line().await;
    run.interrupt();
    let run = run.end().await;
    assert_eq!(run.code, Some(130), "{}", run.all);
    assert!(run.all.contains("goes on"), "{}", run.all);
    call.stays(Duration::from_millis(200)).await;
}

#[tokio::test]
async fn who_may_not_pull_is_told_so() {
    let upstream = Upstream::start().await;
    let setup = Setup::new().key("alice", "sk-it-alice", "").backend("one", "ollama", &upstream.url());
    let gateway = setup.start().await;
    let run = tool(&gateway, &["pull", "m", "--key", "sk-it-alice"]).await;
    assert_eq!(run.code, Some(1), "{}", run.all);
    assert!(run.all.contains("403") && run.all.contains("scopes"), "{}", run.all);
    assert_eq!(upstream.calls_seen(), 0);
}
