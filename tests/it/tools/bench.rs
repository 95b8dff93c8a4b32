//! `streamgate bench`: what is counted, and that no stream is taken for a good one that did not say so.

use serde_json::{Value, json};
use tokio::join;

use super::{Running, tool, tool_at};
use crate::door::Certificates;
use crate::support::{Gateway, Run, Setup, Upstream, openai, refusing_address};

async fn demo() -> (Gateway, String) {
    let gateway = Setup::new().demo().start().await;
    let url = format!("http://{}", gateway.public);
    (gateway, url)
}

fn measured(run: &Run) -> Value {
    let report: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{}", run.all));
    report["results"][0]["measured"].clone()
}

const FAST: [&str; 6] = ["--model", "demo:words=5,pace=5ms", "--requests", "6", "--streams", "3"];

async fn bench(gateway: &Gateway, url: &str, more: &[&str]) -> Run {
    let mut arguments = vec!["bench", url];
    arguments.extend(more);
    tool(gateway, &arguments).await
}

#[tokio::test]
async fn streams_of_every_api_are_measured() {
    let (gateway, url) = demo().await;
    for api in ["openai", "anthropic", "ollama"] {
        let run = bench(&gateway, &url, &[&FAST[..], &["--json", "--api", api]].concat()).await;
        let report = measured(&run);
        assert_eq!(run.code, Some(0), "{api}: {}", run.all);
        assert_eq!(report["streams"]["done"], 6, "{api}: {report}");
        assert!(report["events"].as_u64().unwrap() >= 30, "{api}: {report}");
        assert_eq!(report["tokens"]["streams"], 6, "{api}: {report}");
        assert!(report["tokens"]["output"].as_u64().unwrap() > 0, "{api}: {report}");
        let (first, total) = (&report["first_token_ms"], &report["total_ms"]);
        assert_eq!((&first["count"], &total["count"]), (&json!(6), &json!(6)), "{api}: {report}");
        assert!(first["p50"].as_f64() <= total["p50"].as_f64(), "{api}: {report}");
        assert!(total["p50"].as_f64().unwrap() >= 20.0, "five words, 5 ms apart: {report}");
    }
}

#[tokio::test]
async fn the_report_is_for_people_too() {
    let (gateway, url) = demo().await;
    let run = bench(&gateway, &url, &FAST).await;
    assert_eq!(run.code, Some(0), "{}", run.all);
    assert_eq!(run.all, run.stdout, "no bar where nobody looks");
    for words in [
        "first token",
        "gap",
        "total",
        "rate",
        "streams: 6 begun, 6 ended well, 0 failed",
        "events: ",
        "tokens: ",
    ] {
        assert!(run.stdout.contains(words), "{words}: {}", run.stdout);
    }
}

#[tokio::test]
async fn two_servers_are_asked_in_turns_and_compared() {
    let (gateway, url) = demo().await;
    let (_other, against) = demo().await;
    let run = bench(&gateway, &url, &[&FAST[..], &["--against", &against]].concat()).await;
    assert_eq!(run.code, Some(0), "{}", run.all);
    assert_eq!(run.stdout.matches("streams: 3 begun, 3 ended well").count(), 2, "{}", run.stdout);
    assert!(run.stdout.contains("as a multiple of"), "{}", run.stdout);
}

#[tokio::test]
async fn what_goes_wrong_is_counted_by_its_kind() {
    let (gateway, url) = demo().await;
    for (model, kind) in
        [("demo:words=9,pace=5ms,cut", "error upstream_truncated"), ("demo:status=503", "status 503")]
    {
        let run =
            bench(&gateway, &url, &["--model", model, "--requests", "2", "--streams", "1", "--json"]).await;
        let report = measured(&run);
        assert_eq!((run.code, &report["errors"][kind]), (Some(3), &json!(2)), "{model}: {report}");
        assert_eq!(report["streams"]["done"], 0, "{report}");
    }
}

/// One stream of a server that does what it likes, measured directly.
async fn judged(play: impl AsyncFnOnce(crate::support::Call), more: &[&str]) -> (Option<i32>, Value) {
    let mut upstream = Upstream::start().await;
    let url = format!("{}/v1", upstream.url().trim_end_matches("/v1"));
    let arguments = [&["bench", &url, "--requests", "1", "--streams", "1", "--json"], more].concat();
    let driver = async {
        let mut call = upstream.call().await;
        assert_eq!(call.path, "/v1/chat/completions");
        call.say(&["Rhine", " and", " Rhône"]).await;
        play(call).await;
    };
    let (run, ()) = join!(tool_at("http://127.0.0.1:9", &arguments), driver);
    (run.code, measured(&run))
}

#[tokio::test]
async fn a_clean_end_without_a_terminator_is_a_cut() {
    let (code, report) = judged(async |call| call.finish().await, &[]).await;
    assert_eq!((code, &report["errors"]["cut"]), (Some(3), &json!(1)), "{report}");
    let (code, report) = judged(async |call| call.cut().await, &[]).await;
    assert_eq!((code, &report["errors"]["cut"]), (Some(3), &json!(1)), "{report}");
    let (code, report) = judged(async |call| call.done().await, &[]).await;
    assert_eq!((code, &report["streams"]["done"]), (Some(0), &json!(1)), "{report}");
}

#[tokio::test]
async fn a_stream_that_falls_silent_has_stalled() {
    let play = async |mut call: crate::support::Call| {
        call.closed().await;
    };
    let (code, report) = judged(play, &["--stall", "200ms"]).await;
    assert_eq!((code, &report["errors"]["stall"]), (Some(3), &json!(1)), "{report}");
}

#[tokio::test]
async fn what_still_runs_when_the_time_is_over_is_no_error() {
    let play = async |mut call: crate::support::Call| {
        call.sse(&openai::text("!")).await;
        call.closed().await;
    };
    let (code, report) = judged(play, &["--duration", "300ms"]).await;
    assert_eq!((code, &report["streams"]["unfinished"]), (Some(1), &json!(1)), "{report}");
    assert_eq!(report["gap_ms"]["count"], 3, "{report}");
}

#[tokio::test]
async fn an_open_loop_does_not_wait_for_what_runs() {
    let (gateway, url) = demo().await;
    let arguments = [
        "--rate",
        "50",
        "--streams",
        "2",
        "--requests",
        "10",
        "--model",
        "demo:words=100,pace=20ms", // all arrive while two run
        "--json",
    ];
    let run = bench(&gateway, &url, &arguments).await;
    let report = measured(&run);
    assert_eq!(report["streams"]["begun"], 2, "{report}");
    assert_eq!((run.code, &report["streams"]["skipped"]), (Some(3), &json!(8)), "{report}");
}

#[tokio::test]
async fn any_event_stream_is_measured_until_the_event_that_ends_it() {
    let (gateway, url) = demo().await;
    for data in ["\"one\"", "\"two\""] {
        assert_eq!(gateway.post("/v1/channels/c", &serde_json::from_str(data).unwrap()).await.status, 200);
    }
    let channel = format!("{url}/v1/channels/c");
    let load = ["--api", "sse", "--requests", "1", "--streams", "1", "--json", "--duration", "500ms"];
    // A channel has no end of its own.
    let report = measured(&bench(&gateway, &channel, &load).await);
    assert_eq!((&report["streams"]["unfinished"], &report["events"]), (&json!(1), &json!(3)), "{report}");
}

#[tokio::test]
async fn wrong_usage_is_told_before_anything_is_asked() {
    for arguments in [
        &["bench", "localhost"][..],
        &["bench", "http://127.0.0.1:9/a/b"],
        &["bench", "http://127.0.0.1:9", "--rate", "0"],
        &["bench", "http://127.0.0.1:9", "--duration", "soon"],
        &["bench", "http://127.0.0.1:9", "--duration", "500000000000years"],
        &["bench", "http://127.0.0.1:9", "--stall", "500000000000years"],
        &["bench", "http://127.0.0.1:9", "--rate", "1e-30"],
        &["bench", "https://127.0.0.1:9", "--cacert", "/no/such/file"],
        &["bench", "https://127.0.0.1:9", "--cacert", "/proc/version"],
        &["bench", "http://127.0.0.1:9", "--until", "x"],
    ] {
        let run = tool_at("http://127.0.0.1:9", arguments).await;
        assert_eq!(run.code, Some(2), "{arguments:?}: {}", run.all);
    }
    let away = ["bench", "http://127.0.0.1:9", "--requests", "2", "--json"];
    let run = tool_at("http://127.0.0.1:9", &away).await;
    assert_eq!((run.code, &measured(&run)["errors"]["connect"]), (Some(3), &json!(2)), "{}", run.all);
}

/// What was said of the first stream that failed in this way.
fn first_error(run: &Run, kind: &str) -> String {
    let report = measured(run);
    report["first_errors"][kind].as_str().unwrap_or_else(|| panic!("{kind} in {report}")).to_owned()
}

#[tokio::test]
async fn beside_a_kind_of_errors_stands_what_was_said_of_the_first() {
    let once = ["--requests", "1", "--streams", "1", "--json"];
    let (gateway, url) = demo().await;
    let run = bench(&gateway, &url, &[&once[..], &["--model", "demo:status=503"]].concat()).await;
    assert!(first_error(&run, "status 503").contains("status 503"), "{}", run.all);
    let run = bench(&gateway, &format!("{url}/healthz"), &[&once[..], &["--api", "sse"]].concat()).await;
    assert!(first_error(&run, "no stream").contains("text/plain"), "{}", run.all);
    let (_socket, away) = refusing_address();
    let run = bench(&gateway, &away, &once).await;
    assert!(first_error(&run, "connect").contains("refused"), "{}", run.all);
    let text = bench(&gateway, &away, &once[..4]).await;
    assert!(text.stdout.contains("error: connect: 1 (Connection refused"), "{}", text.stdout);
}

#[tokio::test]
async fn a_server_that_hangs_up_gave_no_answer() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let arguments = ["bench", &url, "--requests", "1", "--streams", "1", "--json"];
    let hang_up = async {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        tokio::io::AsyncReadExt::read(&mut client, &mut head).await.unwrap();
    };
    let (run, ()) = join!(tool_at("http://127.0.0.1:9", &arguments), hang_up);
    assert_eq!((run.code, &measured(&run)["errors"]), (Some(3), &json!({"no answer": 1})), "{}", run.all);
}

#[tokio::test]
async fn the_names_of_the_report_stay() {
    let (gateway, url) = demo().await;
    let run = bench(&gateway, &url, &[&FAST[..], &["--json"]].concat()).await;
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(names(&report), "interrupted results");
    assert_eq!(names(&report["results"][0]), "measured url");
    let report = measured(&run);
    assert_eq!(
        names(&report),
        "errors events events_per_second first_errors first_token_ms gap_ms http rate_per_second seconds streams tokens total_ms"
    );
    for times in ["first_token_ms", "gap_ms", "total_ms"] {
        assert_eq!(names(&report[times]), "count max p50 p90 p99");
    }
    assert_eq!(names(&report["rate_per_second"]), "count min p50 p90 p99");
    assert_eq!(names(&report["streams"]), "begun done failed skipped unfinished");
    let rate = &report["rate_per_second"];
    assert!(rate["count"] == 6 && rate["p99"].as_f64() <= rate["p50"].as_f64(), "{rate}");
}

#[tokio::test]
async fn ctrl_c_prints_what_was_measured_until_then() {
    let (gateway, url) = demo().await;
    let arguments = ["bench", &url, "--streams", "2", "--model", "demo:words=2,pace=5ms", "--json"];
    let run = Running::start(&url, &arguments);
    gateway.metric_reaches("streamgate_stream_ends_total", &[], 4.0).await;
    run.interrupt();
    let run = run.end().await;
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &report["interrupted"]), (Some(130), &json!(true)), "{}", run.all);
    assert!(report["results"][0]["measured"]["streams"]["done"].as_u64().unwrap() >= 2, "{report}");
}

/// A gateway that speaks TLS, and its address.
async fn secure() -> (Certificates, Gateway, String) {
    let certificates = Certificates::new();
    let gateway = Setup::new().server(&certificates.line()).demo().start().await;
    let url = format!("https://localhost:{}", gateway.public.port());
    (certificates, gateway, url)
}

#[tokio::test]
async fn https_is_measured_with_its_authority_or_without_looking_and_over_either_http() {
    let (certificates, gateway, url) = secure().await;
    let authority = certificates.file("cert.pem").display().to_string();
    let load = [&FAST[..], &["--json"]].concat();
    for (more, version) in [
        (&["--insecure"][..], "2"),
        (&["--cacert", &authority], "2"),
        (&["--cacert", &authority, "--http", "1.1"], "1.1"),
    ] {
        let run = bench(&gateway, &url, &[&load[..], more].concat()).await;
        let report = measured(&run);
        assert_eq!((run.code, &report["http"]), (Some(0), &json!({version: 6})), "{more:?}: {report}");
    }
    let run = bench(&gateway, &url, &load).await;
    assert!(first_error(&run, "connect").contains("certificate"), "{}", run.all);
}

#[tokio::test]
async fn streams_over_http_2_do_not_wait_for_each_other() {
    let (_certificates, gateway, url) = secure().await;
    // More than one connection carries; none ends before all have begun.
    let load = ["--streams", "140", "--duration", "4s", "--model", "demo:words=2,pace=20s", "--json"];
    let run = bench(&gateway, &url, &[&load[..], &["--insecure"]].concat()).await;
    let report = measured(&run);
    assert_eq!(
        (&report["http"], &report["first_token_ms"]["count"]),
        (&json!({"2": 140}), &json!(140)),
        "{report}"
    );
}
