//! The threats: what is promised against each, and the tests that hold it.

use serde_json::json;
use tokio::net::TcpListener;

use super::By::{NotRun, Tests};
use super::{Row, row};
use crate::support::{Heard, Manner, Request, Server, Setup, Upstream, counts, openai};

pub(super) const ROWS: &[Row] = &[
    row(
        "M1",
        "smuggling behind a proxy",
        "bytes by hand, nginx, HAProxy",
        "400 and a close; backends are asked anew, never passed bytes",
        Tests(&[
            "door::strict::a_request_that_can_be_read_in_two_ways_is_refused_and_closed_upon",
            "door::hops::nothing_is_smuggled_through_nginx",
            "door::hops::nothing_is_smuggled_through_haproxy",
        ]),
    ),
    row(
        "M2",
        "floods of HTTP/1 and HTTP/2",
        "frames by hand",
        "ended; bounded memory; connections are bounded by address",
        Tests(&[
            "door::floods::floods_are_ended_and_a_good_client_goes_on",
            "door::limits::connections_of_one_address_are_bounded",
        ]),
    ),
    row(
        "M3",
        "slow heads, bodies and readers",
        "bytes now and then",
        "closed at their limits",
        Tests(&[
            "refuse::a_head_that_does_not_come_ends_the_connection",
            "door::slow::a_body_that_drips_is_a_408",
            "door::refused::an_answer_does_not_wait_for_a_body_that_does_not_come",
            "door::refused::a_wrong_key_is_not_read_for_long",
            "door::slow::a_client_that_takes_nothing_loses_its_stream_and_others_do_not_notice",
        ]),
    ),
    row(
        "M4",
        "large and bombing bodies",
        "zstd, depth, length",
        "413, 415, 400; bounded memory",
        Tests(&[
            "coding::a_body_that_unfolds_to_more_than_a_body_may_have_is_a_413",
            "refuse::a_depth_of_a_thousand_is_a_400",
            "refuse::a_whole_body_of_25_mib_harms_nothing",
        ]),
    ),
    row(
        "M5",
        "guessing keys",
        "wrong keys",
        "401, the same for all; looked up by digest",
        Tests(&[
            "keys::a_wrong_key_is_a_401_that_does_not_repeat_it",
            "src/edge/auth.rs::a_key_is_found_by_its_digest",
            "src/edge/credentials.rs::a_key_is_found_in_either_header",
            "door::ambiguous::two_keys_are_one_or_none",
        ]),
    ),
    row(
        "M6",
        "reading another's stream by its id",
        "two keys at every route",
        "as unknown as one that never was",
        Tests(&[
            "streams::tenants::what_belongs_to_another_key_is_as_unknown_as_what_never_was",
            "streams::tenants::no_canary_is_ever_seen_by_the_other_tenant",
            "streams::addresses::an_address_opens_the_record_under_its_signature_and_no_other",
            "streams::addresses::an_address_ends_with_the_key_that_made_it",
            "streams::addresses::another_key_of_a_name_inherits_nothing",
        ]),
    ),
    row(
        "M7",
        "crosstalk through pools and the store",
        "callers that leave at any time",
        "nobody ever reads another's",
        Tests(&[
            "replicas::storm::callers_that_leave_in_the_middle_never_leave_their_answers_to_others",
            "faults::upstream::bytes_behind_an_answer_are_nobodys",
        ]),
    ),
    row(
        "M8",
        "beating the budget",
        "races, cancelling, lies, n=100",
        "never more than it has",
        Tests(&[
            "limits::budgets::two_hundred_calls_that_race_for_the_tokens_of_ten_are_ten",
            "limits::budgets::those_who_leave_at_once_get_no_more_out_of_it",
            "limits::routes::every_route_that_does_work_counts_against_the_requests_of_its_key_and_once",
            "limits::budgets::a_backend_that_tells_of_less_than_it_said_is_not_believed",
            "limits::budgets::who_asks_for_a_hundred_answers_or_for_ever_so_many_tokens_pays_for_them",
        ]),
    ),
    row(
        "M9",
        "having the gateway call an address",
        "api_base, headers, URLs in bodies, redirects",
        "nobody is called but the backends",
        Tests(&[
            "faults::threats::nothing_in_a_request_chooses_whom_the_gateway_calls",
            "failover::a_redirect_of_the_backend_is_never_followed",
        ]),
    ),
    row(
        "M10",
        "headers and keys that go up or come down",
        "canaries in headers",
        "only what is meant for a backend",
        Tests(&[
            "keys::the_clients_credentials_never_go_up_and_the_backends_key_does",
            "keys::an_open_gateway_keeps_credentials_to_itself_too",
        ]),
    ),
    row(
        "M11",
        "web pages against a gateway on this machine",
        "Host and Origin",
        "421, and nothing granted",
        Tests(&[
            "edge::a_foreign_host_is_a_421",
            "edge::a_preflight_of_another_origin_is_granted_nothing",
            "door::origins::over_tls_a_page_without_it_is_another_origin",
            "edge::pages_that_may_call_the_gateway_may_not_call_the_admin_listener",
        ]),
    ),
    row(
        "M12",
        "hijacking a WebSocket",
        "Origin, no key",
        "403, 401",
        Tests(&[
            "websocket::pages_of_strangers_get_no_websocket",
            "websocket::a_websocket_needs_a_key_where_there_are_keys",
        ]),
    ),
    row(
        "M13",
        "backends that poison",
        "bytes behind, bad frames, secrets in errors",
        "parsed and written anew; scrubbed",
        Tests(&[
            "faults::upstream::bytes_behind_an_answer_are_nobodys",
            "faults::upstream::heads_that_break_the_rules_are_a_502",
            "keys::no_key_is_ever_logged_told_or_counted",
            "keys::a_backends_key_is_told_in_no_writing_of_a_refusal",
            "keys::a_backends_key_is_told_in_no_writing_of_a_frame",
            "keys::a_backends_key_is_told_in_no_whole_answer_header_or_line",
            "ends::nothing_behind_done_is_passed_on",
        ]),
    ),
    row(
        "M14",
        "forging events",
        "line ends in fields",
        "one event each, whatever is in it",
        Tests(&["channels::no_field_can_forge_another", "framing::bare_cr_gives_the_same_events"]),
    ),
    row(
        "M15",
        "reading along in log and metrics",
        "canaries in prompts, answers, keys and names",
        "found nowhere",
        Tests(&[
            "faults::threats::canaries_are_in_no_log_and_no_metric",
            "keys::no_key_is_ever_logged_told_or_counted",
            "keys::a_prompt_and_an_answer_are_not_logged",
            "faults::resource::names_that_clients_choose_make_no_series_and_are_no_labels",
        ]),
    ),
    row(
        "M16",
        "reading in Redis",
        "a dump",
        "sealed: nothing to read",
        Tests(&[
            "replicas::sealed::what_is_sealed_cannot_be_read_in_a_dump",
            "replicas::sealed::another_seal_key_reads_nothing",
            "replicas::sealed::the_password_of_redis_is_told_to_nobody",
        ]),
    ),
    row(
        "M17",
        "sizes on the wire",
        "lengths of TLS records",
        "events padded to buckets",
        NotRun("the gateway does not pad events: nothing of it is promised"),
    ),
    row(
        "M18",
        "weak TLS, old certificates",
        "handshakes, other files",
        "TLS 1.2 and newer, new certificates without a restart",
        Tests(&[
            "door::tls::a_new_certificate_is_used_by_new_handshakes_and_a_broken_one_by_none",
            "door::tls::a_handshake_that_does_not_come_is_ended_and_plain_http_is_no_handshake",
        ]),
    ),
    row(
        "M19",
        "reaching what is for operators",
        "the public listener, no keys",
        "404, 401; no public start without keys",
        Tests(&[
            "edge::metrics_are_for_the_admin_listener_only",
            "edge::a_public_listener_without_keys_is_refused",
            "cli::an_operators_listener_beyond_loopback_needs_a_key_or_the_word_for_none",
            "reload::the_metrics_have_a_key_of_their_own_and_probes_have_none",
            "pull::changing_models_needs_its_scope",
            "limits::routes::every_route_asks_for_its_scope_and_for_no_other",
            "limits::models::another_model_is_not_changed_either",
        ]),
    ),
    row(
        "M20",
        "lying about one's address",
        "X-Forwarded-For",
        "only trusted hops are believed",
        Tests(&["door::proxies::nobody_else_is_believed", "door::proxies::a_stranger_cannot_name_another"]),
    ),
    row(
        "M21",
        "tricks with paths",
        "dots, escapes, double slashes",
        "404 or 400, nothing is opened",
        Tests(&[
            "faults::threats::tricks_with_paths_lead_nowhere",
            "http::a_target_with_bytes_beyond_ascii_is_a_400",
        ]),
    ),
    row(
        "M22",
        "dependencies",
        "cargo audit",
        "locked, none with a known hole",
        NotRun(
            "needs the advisory database from the network; Cargo.lock is committed, and `tests/run` builds with --locked",
        ),
    ),
    row(
        "M23",
        "starving others",
        "a key that asks a hundred times as often",
        "a quiet key waits no longer",
        Tests(&[
            "admission::fair::a_key_that_asks_a_hundred_times_as_often_does_not_push_a_quiet_one_back",
            "limits::budgets::the_limits_of_one_key_are_not_those_of_another",
        ]),
    ),
    row(
        "M24",
        "a panic",
        "a model that panics, of debug builds alone",
        "an error event in that stream, panics, the process lives",
        Tests(&["faults::process::a_panic_ends_its_own_stream_with_an_error_and_no_other"]),
    ),
];

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn nothing_in_a_request_chooses_whom_the_gateway_calls() {
    let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = stranger.local_addr().unwrap().port();
    let server = Server::start(Manner::Well).await;
    let gateway = Setup::new().backend("one", "openai", &server.url()).start().await;
    let hosts = [
        "127.0.0.1",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0177.0.0.1",
        "0x7f.1",
        "localhost",
        "127.1",
    ];
    let mut asked = 0;
    for url in hosts.map(|host| format!("http://{host}:{port}/v1")) {
        let image = json!({"type": "image_url", "image_url": {"url": url}});
        let mut body =
            json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": [image]}]});
        for field in ["api_base", "base_url", "endpoint", "url", "host", "proxy", "callback_url", "webhook"] {
            body[field] = json!(url);
        }
        let mut request = Request::post(CHAT, &body);
        for header in [
            "x-api-base",
            "x-base-url",
            "x-upstream",
            "x-forwarded-host",
            "x-portkey-custom-host",
            "forwarded",
            "x-original-url",
            "x-rewrite-url",
            "referer",
            "proxy",
            "callback",
        ] {
            request = request.header(header, &url);
        }
        assert!(Heard::of(&mut gateway.send(&request).await).await.succeeded(), "{url}");
        asked += 1;
    }
    assert_eq!(server.seen(), asked);
    // A connection that was made stands in the queue of the listener.
    let came = tokio::time::timeout(std::time::Duration::from_millis(50), stranger.accept()).await;
    assert!(came.is_err(), "somebody was called");
}

#[tokio::test]
async fn canaries_are_in_no_log_and_no_metric() {
    const CANARY: &str = "c4n4ry";
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().key("alice", "sk-c4n4ry-key", "").environment("IT_UPWARD", "sk-c4n4ry-upward");
    let gateway = setup
        .backend_with("one", "openai", &upstream.url(), "api_key = { env = \"IT_UPWARD\" }")
        .start()
        .await;
    let ask = |stream: bool| {
        let messages = json!([{"role": "user", "content": format!("{CANARY} prompt")}]);
        let tool = json!({"type": "function", "function": {"name": "c4n4ry_tool", "parameters": {}}});
        let body =
            json!({"model": "m", "stream": stream, "messages": messages, "tools": [tool], "user": CANARY});
        let request = Request::post(CHAT, &body).header("authorization", "Bearer sk-c4n4ry-key");
        request.header("cookie", CANARY).header("x-conversation-id", CANARY).header("referer", CANARY)
    };
    let well = gateway.ask(&ask(true)).await;
    let mut call = upstream.call().await;
    call.say(&[CANARY]).await;
    call.end().await;
    assert!(Heard::of(&mut well.answer().await).await.text.contains(CANARY));
    let ill = gateway.ask(&ask(true)).await;
    let mut call = upstream.call().await;
    call.say(&[CANARY]).await;
    call.sse(&openai::error(&format!("{CANARY} sk-c4n4ry-upward"))).await;
    call.finish().await;
    let heard = Heard::of(&mut ill.answer().await).await;
    assert!(heard.failed() && !heard.message().contains("sk-c4n4ry-upward"), "{heard:?}");
    let refused = gateway.ask(&ask(false)).await;
    upstream.call().await.answer(500, &openai::error(&format!("{CANARY} sk-c4n4ry-upward"))).await;
    assert!(!refused.answer().await.text().await.contains("sk-c4n4ry-upward"));
    let mut strange = gateway.send(&ask(true).header("authorization", "Bearer sk-c4n4ry-wrong")).await;
    assert!(strange.status == 401 && !strange.text().await.contains(CANARY));
    gateway.metric_reaches("streamgate_requests_total", &[], 4.0).await;
    let shown = format!("{}\n{}\n{}", gateway.metrics().await, gateway.log(), gateway.said());
    assert!(!shown.contains(CANARY) && !shown.contains("sk-c4n4ry"), "{shown}");
    counts(&gateway, "streamgate_panics_total", &[], 0).await;
}

#[tokio::test]
async fn tricks_with_paths_lead_nowhere() {
    let upstream = Upstream::start().await;
    let gateway = Setup::new().backend("one", "openai", &upstream.url()).start().await;
    for path in [
        "/../metrics",
        "/v1/../metrics",
        "/%2e%2e/metrics",
        "/v1/%2e%2e%2fmetrics",
        "//metrics",
        "/./metrics",
        "/metrics/",
        "/metrics%00",
        "/v1//models",
        "/%6detrics",
        "/..%5cmetrics",
        "/v1/streams/../../metrics",
        "/v1/streams/..%2f..%2fetc%2fpasswd",
        "/etc/passwd",
        "/v1/models/../../../../etc/passwd",
        "/metrics;x=1",
        "/METRICS",
    ] {
        let mut answer = gateway.get(path).await;
        let text = answer.text().await;
        assert!(answer.status == 404 || answer.status == 400, "{path} gave {}", answer.status);
        assert!(!text.contains("streamgate_") && !text.contains("root:"), "{path}: {text}");
    }
    assert_eq!(upstream.calls_seen(), 0);
}
