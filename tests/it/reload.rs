//! Reload: a changed configuration is checked, then taken whole, and no stream is cut; a wrong one changes nothing.

use serde_json::json;

use crate::support::{Gateway, Heard, Request, Setup, Upstream, begin, chat, openai, until};

const CHAT: &str = "/v1/chat/completions";
const RELOADS: &str = "streamgate_config_reloads_total";

fn over(upstream: &Upstream, more: &str) -> Setup {
    Setup::new().server(&format!("workers = 2\n{more}")).backend("one", "openai", &upstream.url())
}

async fn taken(gateway: &Gateway, times: f64) {
    gateway.metric_reaches(RELOADS, &["outcome=\"taken\""], times).await;
}

/// Waits until this many fresh connections in a row, and so all workers, get this status.
async fn all_answer(gateway: &Gateway, request: &Request, status: u16) {
    until(&format!("every worker to answer {status}"), async || {
        for _ in 0..16 {
            if gateway.send(request).await.status != status {
                return false;
            }
        }
        true
    })
    .await;
}

#[tokio::test]
async fn a_changed_file_is_taken_by_every_worker_and_no_stream_is_cut() {
    let (mut old, mut new) = (Upstream::start().await, Upstream::start().await);
    let gateway = over(&old, "").start().await;
    let (mut answer, mut call) = begin(&gateway, &mut old, "openai").await;
    gateway.rewrite(&over(&new, "max_json_depth = 3").toml());
    taken(&gateway, 1.0).await;
    let deep = Request::post(CHAT, &json!({"model": "m", "messages": [], "x": [[[[1]]]]}));
    all_answer(&gateway, &deep, 400).await;
    for _ in 0..8 {
        let asked = gateway.ask_post(CHAT, &chat()).await;
        new.call().await.say(&["New"]).await;
        assert_eq!(asked.answer().await.status, 200);
    }
    assert_eq!(old.calls_seen(), 1, "nothing new goes to what is gone");
    call.sse(&openai::text("on")).await;
    assert_eq!(answer.next_event().await.json(), openai::text("on"));
    call.end().await;
    assert!(Heard::of(&mut answer).await.succeeded());
}

#[tokio::test]
async fn a_signal_has_the_file_read() {
    let upstream = Upstream::start().await;
    let gateway = over(&upstream, "").start().await;
    gateway.signal("HUP");
    taken(&gateway, 1.0).await;
    gateway.signal("HUP");
    taken(&gateway, 2.0).await;
}

#[tokio::test]
async fn a_connection_that_stays_lives_under_the_new_one_too() {
    let upstream = Upstream::start().await;
    let gateway = over(&upstream, "").start().await;
    let mut answer = gateway.get("/v1/models/none").await;
    assert_eq!(answer.status, 404);
    answer.rest().await;
    let mut kept = answer.reuse();
    gateway.rewrite(&over(&upstream, "").key("alice", "sk-canary", "").toml());
    taken(&gateway, 1.0).await;
    all_answer(&gateway, &Request::get("/v1/models/none"), 401).await;
    kept.ask(&Request::get("/v1/models/none")).await;
    assert_eq!(kept.answer().await.status, 401);
}

#[tokio::test]
async fn a_wrong_file_changes_nothing_and_says_why() {
    let mut upstream = Upstream::start().await;
    let gateway = over(&upstream, "").start().await;
    gateway.rewrite(&over(&upstream, "max_stream = 1").toml());
    gateway.metric_reaches(RELOADS, &["outcome=\"refused\""], 1.0).await;
    gateway.logged("unknown key `max_stream` in [server]").await;
    gateway.logged("did you mean `max_streams`?").await;
    let asked = gateway.ask_post(CHAT, &chat()).await;
    upstream.call().await.say(&["As", "before"]).await;
    assert_eq!(asked.answer().await.status, 200);
    gateway.rewrite("[[backend]]\nname = \"half");
    gateway.metric_reaches(RELOADS, &["outcome=\"refused\""], 2.0).await;
    assert!(gateway.metric(RELOADS, &["outcome=\"taken\""]).await < 1.0);
}

#[tokio::test]
async fn what_was_counted_stays_counted() {
    let mut upstream = Upstream::start().await;
    let keyed = |depth: u32| {
        over(&upstream, &format!("max_json_depth = {depth}")).key("alice", "sk-canary", "max_streams = 1")
    };
    let with_key = |request: Request| request.header("authorization", "Bearer sk-canary");
    let (before, after) = (keyed(64), keyed(3).toml());
    let gateway = before.start().await;
    let asked = gateway.ask(&with_key(Request::post(CHAT, &chat()))).await;
    let mut call = upstream.call().await;
    call.say(&["one"]).await;
    let mut answer = asked.answer().await;
    gateway.rewrite(&after);
    let deep = Request::post(CHAT, &json!({"model": "m", "messages": [], "x": [[[[1]]]]}));
    taken(&gateway, 1.0).await;
    all_answer(&gateway, &with_key(deep), 429).await;
    call.end().await;
    assert!(Heard::of(&mut answer).await.succeeded());
    let asked = gateway.ask(&with_key(Request::post(CHAT, &chat()))).await;
    upstream.call().await.say(&["Free"]).await;
    assert_eq!(asked.answer().await.status, 200);
}

#[tokio::test]
async fn where_there_are_more_slots_who_waits_is_let_in() {
    let mut upstream = Upstream::start().await;
    let limited = |slots: u32| {
        let more = format!("max_concurrent = {slots}");
        Setup::new().server("workers = 2").backend_with("one", "openai", &upstream.url(), &more)
    };
    let after = limited(2).toml();
    let gateway = limited(1).start().await;
    let (mut first, call) = begin(&gateway, &mut upstream, "openai").await;
    let waits = gateway.ask_post(CHAT, &chat()).await;
    gateway.metric_reaches("streamgate_queue_length", &[], 1.0).await;
    gateway.rewrite(&after);
    let mut room = upstream.call().await;
    room.say(&["Room"]).await;
    room.end().await;
    assert!(Heard::of(&mut waits.answer().await).await.succeeded());
    call.end().await;
    assert!(Heard::of(&mut first).await.succeeded());
}

#[tokio::test]
async fn what_needs_a_restart_is_named() {
    let upstream = Upstream::start().await;
    let gateway = over(&upstream, "").start().await;
    gateway.rewrite(&over(&upstream, "max_connections = 7").toml());
    taken(&gateway, 1.0).await;
    gateway.logged("server.max_connections").await;
}

/// Waits until this many reloads were refused.
async fn refused(gateway: &Gateway, times: f64) {
    gateway.metric_reaches(RELOADS, &["outcome=\"refused\""], times).await;
}

fn list() -> Request {
    Request::get("/v1/models").header("host", "localhost")
}

/// A keyed gateway, its text without keys and with other words, and with the word that lets everybody in.
fn keyless(public: &str) -> (Setup, String, String) {
    let of = |more: &str| Setup::new().server("workers = 2").server(public).server(more).demo();
    let keyed = of("").key("alice", "sk-canary", "");
    (keyed, of("max_json_depth = 3").toml(), of("allow_anonymous = true").toml())
}

#[tokio::test]
async fn a_key_that_is_taken_back_lets_nobody_in_unless_the_file_says_so() {
    for public in ["listen = \"127.0.0.1:0\"", "listen = \"0.0.0.0:0\""] {
        let (keyed, without, anybody) = keyless(public);
        let gateway = keyed.start().await;
        gateway.rewrite(&without.replace("0.0.0.0", "127.0.0.1"));
        refused(&gateway, 1.0).await;
        gateway.logged("everybody would be let in").await;
        all_answer(&gateway, &list(), 401).await;
        let with_key = list().header("authorization", "Bearer sk-canary");
        all_answer(&gateway, &with_key, 200).await;
        gateway.rewrite(&anybody);
        taken(&gateway, 1.0).await;
        all_answer(&gateway, &list(), 200).await;
    }
}

#[tokio::test]
async fn an_address_is_judged_by_where_the_gateway_listens_not_by_what_the_file_says_now() {
    let open = |listen: &str, more: &str| {
        Setup::new()
            .server(&format!("listen = \"{listen}\"\n{more}"))
            .admin("listen = \"127.0.0.1:0\"")
            .demo()
    };
    let gateway = open("0.0.0.0:0", "allow_anonymous = true").start().await;
    gateway.rewrite(&open("127.0.0.1:0", "").toml());
    refused(&gateway, 1.0).await;
    gateway.logged("listens beyond loopback until it is restarted").await;
    // Its name stays that of the address that is bound, too.
    let named = |listen: &str| open(listen, "").key("alice", "sk-canary", "");
    let gateway = named("127.0.0.1:0").start().await;
    gateway.rewrite(&named("10.1.2.3:80").toml());
    taken(&gateway, 1.0).await;
    gateway.logged("server.listen").await;
    let foreign = Request::new("GET", "/healthz").header("host", "10.1.2.3");
    all_answer(&gateway, &foreign, 421).await;
}

#[tokio::test]
async fn a_file_that_is_empty_or_cut_off_changes_nothing_and_is_named() {
    let mut upstream = Upstream::start().await;
    let setup =
        || over(&upstream, "").key("alice", "sk-canary", "").key("bob", "sk-other", "max_streams = 1");
    let whole = setup().toml();
    let gateway = setup().start().await;
    let asked = Request::post(CHAT, &chat()).header("authorization", "Bearer sk-canary");
    let asked = gateway.ask(&asked).await;
    let mut call = upstream.call().await;
    call.say(&["one"]).await;
    let mut answer = asked.answer().await;
    let (head, _) = whole.split_once("[[key]]").unwrap();
    let (no_limit, _) = whole.split_once("max_streams = 1").unwrap();
    let (no_route, _) = whole.split_once("[[route]]").unwrap();
    let (half_line, _) = whole.split_once("[\"one\"]").unwrap();
    let unended = format!("# other words\n{}", whole.trim_end());
    let mut times = 0.0;
    for part in ["", "# a comment\n", head, no_limit, no_route, half_line, &unended] {
        gateway.rewrite(part);
        times += 1.0;
        refused(&gateway, times).await;
        all_answer(&gateway, &list(), 401).await;
        all_answer(&gateway, &list().header("authorization", "Bearer sk-other"), 200).await;
    }
    assert_eq!(gateway.log().matches("it seems to be cut off").count(), 7, "{}", gateway.log());
    assert!(gateway.metric(RELOADS, &["outcome=\"taken\""]).await < 1.0);
    call.end().await;
    assert!(Heard::of(&mut answer).await.succeeded(), "a stream of a key goes on");
    gateway.rewrite(&format!("# other words\n{whole}"));
    taken(&gateway, 1.0).await;
}

#[tokio::test]
async fn a_signal_in_the_middle_of_writing_waits_for_the_end() {
    let (keyed, ..) = keyless("");
    let whole = keyed.toml();
    let gateway = keyed.start().await;
    gateway.write_in_place("[log]\nlevel = \"debug\"\n");
    gateway.signal("HUP");
    gateway.logged("the configuration is read").await;
    gateway.write_in_place(format!("# other words\n{whole}"));
    taken(&gateway, 1.0).await;
    all_answer(&gateway, &list(), 401).await;
    assert!(gateway.metric(RELOADS, &["outcome=\"taken\""]).await < 2.0, "the half was taken");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_as_text_is_named() {
    let gateway = Setup::new().demo().start().await;
    gateway.write_in_place(b"[server]\n# \xff\n");
    refused(&gateway, 1.0).await;
    gateway.logged("cannot be read").await;
}

#[tokio::test]
async fn the_metrics_have_a_key_of_their_own_and_probes_have_none() {
    let admin = |more: &str| Setup::new().admin(more).demo();
    let digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"; // of "secret"
    let gateway = admin(&format!("sha256 = \"{digest}\"")).start().await;
    let metrics = || Request::get("/metrics");
    let status = async |request: &Request| gateway.ask_admin(request).await.status;
    for (header, value) in [("x", "y"), ("authorization", "Bearer wrong"), ("authorization", "Basic secret")]
    {
        let mut answer = gateway.ask_admin(&metrics().header(header, value)).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert!(!answer.text().await.contains("streamgate_"));
    }
    assert_eq!(status(&metrics().header("authorization", "Bearer secret")).await, 200);
    for probe in ["/healthz", "/readyz"] {
        assert_eq!(status(&Request::get(probe)).await, 200);
    }
    // A reload takes it away only if the file says so.
    gateway.rewrite(&admin("").toml());
    gateway.logged("everybody could read the metrics").await;
    assert_eq!(status(&metrics()).await, 401);
    gateway.rewrite(&admin("allow_anonymous = true").toml());
    gateway.logged("was taken anew").await;
    assert_eq!(status(&metrics()).await, 200);
}
