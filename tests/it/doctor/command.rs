//! The command: what it asks for, what it prints, and how it exits.

use crate::doctor::{command, doctor, examine, examine_with, gateway, setup};
use crate::door::Certificates;
use crate::support::hops::{Habit, Scripted, bare};
use crate::support::{Gateway, refusing_address, within};

#[tokio::test]
async fn people_are_told_the_hop_the_cause_and_the_cure_with_a_picture() {
    let gateway = gateway().await;
    let hop = Scripted::start(gateway.public, Habit::Gathers).await;
    let inner = format!("gateway=http://{}", gateway.public);
    let public = format!("varnish={}", hop.url());
    let (code, said, log) = doctor(&[&public, "--hop", &inner, "--silence", "1s"]).await;
    assert_eq!(code, Some(3), "{said}{log}");
    for words in
        ["gateway  http://", "  clean", "FAULTY", "[buffers_whole_answer]", "set beresp.do_stream = true;"]
    {
        assert!(said.contains(words), "{words} in\n{said}");
    }
    let pictures: Vec<&str> = said.lines().filter(|line| line.trim_start().starts_with("plain ")).collect();
    assert!(pictures[0].matches('|').count() > 15, "one by one: {}", pictures[0]);
    assert!(
        pictures[1].matches('|').count() == 0 && pictures[1].contains('#'),
        "all at once: {}",
        pictures[1]
    );
    assert_eq!(log, "", "no bar where nobody looks");
}

#[tokio::test]
async fn a_gateway_that_nobody_listens_for_is_1() {
    let (_socket, address) = refusing_address();
    let (code, said, log) = doctor(&[&address]).await;
    assert_eq!(code, Some(1), "{said}{log}");
    assert!(log.contains("cannot be reached"), "{log}");
}

#[tokio::test]
async fn a_public_address_that_nobody_listens_for_is_1_and_the_rest_is_told() {
    let gateway = gateway().await;
    let (_socket, address) = refusing_address();
    let said = examine(&[&address, &format!("gateway=http://{}", gateway.public)]).await;
    assert_eq!(said.code, Some(1), "{}", said.all);
    assert_eq!(said.report["hops"][0]["verdict"], "clean");
    assert_eq!(said.report["hops"][1]["verdict"], "unreachable");
}

#[tokio::test]
async fn wrong_usage_is_2() {
    for arguments in [
        &["not a url"][..],
        &[],
        &["ftp://a"],
        &["http://a", "--events", "1"],
        &["http://a", "--hop", "b="],
        &["http://a", "--silence", "2h"],
        &["http://a", "--early", "500000000000years"],
        &["http://a", "--watch", "500000000000years"],
        &["http://a", "--key", "a\nb"],
    ] {
        let (code, said, log) = doctor(arguments).await;
        assert_eq!(code, Some(2), "{arguments:?}: {said}{log}");
    }
    for address in ["127.0.0.1:8080", "localhost:8080", "nginx="] {
        let (_, _, log) = doctor(&[address]).await;
        assert!(log.contains("write it like http://127.0.0.1:8080"), "{address}: {log}");
    }
}

#[tokio::test]
async fn the_help_says_what_the_exit_codes_mean() {
    let (code, said, _) = doctor(&["--help"]).await;
    assert_eq!(code, Some(0));
    for words in ["Exit codes: 0 clean", "3 something is wrong", "instead of 13s"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[tokio::test]
async fn a_gateway_with_keys_is_asked_with_one() {
    let gateway = setup().key("alice", "sk-alice", "").start().await;
    let url = format!("http://{}", gateway.public);
    let (code, _, log) = doctor(&[&url, "--json"]).await;
    assert!(code == Some(1) && log.contains("401") && log.contains("--key"), "{log}");
    examine_with(&[&url], &["--key", "sk-alice"]).await.is_clean();
    let hop = bare::nginx_listening(gateway.public, "", PASSWORD).await;
    let public = hop.url().replace("http://", "http://anna:secret@");
    examine_with(&[&public, &format!("gateway={url}")], &["--key", "sk-alice"]).await.is_clean();
}

/// `Basic` for `anna:secret`, the way `auth_basic` looks at it.
const PASSWORD: &str =
    "proxy_http_version 1.1; if ($http_authorization != \"Basic YW5uYTpzZWNyZXQ=\") { return 401; }";

#[tokio::test]
async fn what_is_no_stream_is_told_with_what_to_do() {
    let gateway = gateway().await;
    let url = format!("http://{}", gateway.public);
    let (_socket, away) = refusing_address();
    for (address, words) in [
        (format!("{url}/healthz"), "answers with `text/plain"),
        (format!("{url}/nothing"), "`--model`"),
        (away.replace("http", "https"), "cannot be reached"),
    ] {
        let (code, said, log) = doctor(&[&address]).await;
        assert!(code == Some(1) && said.is_empty() && log.contains(words), "{address}: {said}{log}");
    }
    let certificates = Certificates::new();
    let gateway = setup().server(&certificates.line()).start().await;
    let (code, _, log) = doctor(&[&format!("https://localhost:{}", gateway.public.port())]).await;
    assert!(code == Some(1) && log.contains("certificate") && log.contains("`--insecure`"), "{log}");
}

#[tokio::test]
async fn the_address_of_an_api_is_as_good_as_that_of_its_server() {
    let gateway = gateway().await;
    examine(&[&format!("http://{}/v1", gateway.public)]).await.is_clean();
}

/// What the doctor prints when it is interrupted as soon as this gateway's metric has this value, and its log.
async fn interrupted(
    gateway: &Gateway,
    arguments: &[&str],
    metric: (&str, &[&str], f64),
) -> (String, String) {
    let process = command(arguments).spawn().unwrap();
    let (name, labels, value) = metric;
    gateway.metric_reaches(name, labels, value).await;
    let id = process.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let output = within("the doctor to end", process.wait_with_output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (said, log) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(130), "{said}{log}");
    (said, log)
}

#[tokio::test]
async fn ctrl_c_prints_what_is_known_by_then() {
    for (json, words) in [(&["--json"][..], "\"interrupted\": true"), (&[], "interrupted: this is what")] {
        let gateway = gateway().await;
        let url = format!("http://{}", gateway.public);
        let arguments = ["--silence", "60s", "--early", "2s", "--events", "12", url.as_str()];
        // The last of the four that end is the one with a silence before its first event.
        let ends = ("streamgate_stream_ends_total", &["done"][..], 4.0);
        let (said, log) = interrupted(&gateway, &[&arguments[..], json].concat(), ends).await;
        assert!(said.contains(words) && said.contains("plain"), "{said}{log}");
        assert!(!said.contains("silence 60s") && !said.contains("clean: every hop"), "{said}");
    }
}

#[tokio::test]
async fn ctrl_c_before_there_is_anything_to_judge_says_so() {
    let gateway = gateway().await;
    let url = format!("http://{}", gateway.public);
    let (said, log) = interrupted(&gateway, &[&url], ("streamgate_upstream_attempts_total", &[], 1.0)).await;
    assert!(said.is_empty() && log.contains("before there was anything to judge"), "{said}{log}");
}

#[tokio::test]
async fn every_door_can_be_asked() {
    let gateway = gateway().await;
    for door in ["/v1/responses", "/v1/messages", "/api/chat"] {
        let said = examine(&[&format!("http://{}{door}", gateway.public)]).await;
        said.is_clean();
        let plain = &said.report["hops"][0]["probes"][0];
        assert_eq!((&plain["events"], &plain["expected"]), (&24.into(), &24.into()), "{door}: {}", said.all);
    }
}

/// A gateway whose model `real` is like any other: its events carry no stamps.
async fn real() -> Gateway {
    let route = "model = \"*\"\nbackends = [{ name = \"demo\", model = \"demo:words=30,pace=60ms\" }]";
    setup().route(route).start().await
}

#[tokio::test]
async fn another_model_is_judged_by_what_came_together() {
    let gateway = real().await;
    let hop = Scripted::start(gateway.public, Habit::Gathers).await;
    let inner = format!("gateway=http://{}", gateway.public);
    let said = examine_with(&[&hop.url(), &inner], &["--model", "real"]).await;
    assert_eq!(said.report["evidence"], "clusters");
    said.blames(1, "", "buffers_whole_answer", "buffering off");
    let said = examine_with(&[&inner], &["--model", "real"]).await;
    said.is_clean();
    let (_, said, _) = doctor(&[&inner, "--model", "real"]).await;
    assert!(said.contains("weaker evidence"), "{said}");
}

#[tokio::test]
async fn an_endless_stream_that_never_arrives_is_told_by_what_arrives_further_in() {
    let gateway = gateway().await;
    let hop = Scripted::start(gateway.public, Habit::Gathers).await;
    let (public, inner) =
        (format!("{}/v1/channels/job-7", hop.url()), format!("gateway=http://{}", gateway.public));
    let publish = async {
        loop {
            gateway.post("/v1/channels/job-7", &serde_json::json!({"done": 3})).await.text().await;
            tokio::time::sleep(std::time::Duration::from_millis(60)).await; // the pace of a job
        }
    };
    let path = [public.as_str(), inner.as_str()];
    tokio::select! {
        () = publish => {}
        said = examine_with(&path, &["--watch", "2s"]) => {
            said.blames(1, "", "buffers_whole_answer", "buffering off");
        }
    }
    let silent = format!("http://{}/v1/channels/nobody", gateway.public);
    let (code, said, log) = doctor(&[&silent, "--watch", "300ms"]).await;
    assert!(code == Some(1) && log.contains("too few to judge"), "{said}{log}");
}
