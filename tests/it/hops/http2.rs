//! TLS and HTTP/2 in front of the gateway, as browsers speak it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use super::super::support::hops::Program;
use super::super::support::{Upstream, chat, gateway_over, openai, until, within};
use super::every::LATE;
use super::times::Times;

/// The promise behind each of these programs.
macro_rules! behind {
    ($($program:ident: $kind:expr),* $(,)?) => {
        $(#[tokio::test]
        async fn $program() {
            no_event_is_held_back($kind).await;
        })*
    };
}

behind! {
    apache_holds_nothing_back: Program::Apache,
    caddy_holds_nothing_back: Program::Caddy,
    envoy_holds_nothing_back: Program::Envoy,
    haproxy_holds_nothing_back: Program::Haproxy,
    nginx_holds_nothing_back: Program::Nginx,
    traefik_holds_nothing_back: Program::Traefik,
}

async fn no_event_is_held_back(program: Program) {
    // Apache learns with the next write that its client has left, the others at once.
    let keep_alive = if program == Program::Apache { "500ms" } else { "1m" };
    let (gateway, mut upstream) = gateway_over("openai", &[&format!("keep_alive = \"{keep_alive}\"")]).await;
    let folder = TempDir::new().unwrap();
    make_certificate(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let more = ["--certificate", &path(program.certificate()), "--key", &path("key.pem")];
    let hop = program.start_with(&[gateway.public], &more, |text| text).await;
    let client = client();
    until("the program to listen", async || {
        let answer = client.get(format!("https://localhost:{}/healthz", hop.address.port())).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    // What a busy machine delays is not late three times.
    for round in 1..=3 {
        let events = lock_step(&client, hop.address, &mut upstream, program).await;
        if events.median() <= LATE {
            break;
        }
        assert!(round < 3, "{program:?}: {events}");
    }
}

/// Each event is sent only when the one before it was received.
async fn lock_step(
    client: &reqwest::Client,
    address: SocketAddr,
    upstream: &mut Upstream,
    program: Program,
) -> Times {
    let url = format!("https://localhost:{}/v1/chat/completions", address.port());
    let request = client.post(url).header("content-type", "application/json").body(chat().to_string());
    let speak = async {
        let mut call = upstream.call().await;
        let sent = Instant::now();
        call.stream().await;
        call.sse(&openai::text("word0")).await;
        (call, sent)
    };
    let head = async { (within("the head of an answer", request.send()).await, Instant::now()) };
    let ((answer, came), (mut call, sent)) = tokio::join!(head, speak);
    let (mut answer, head) = (answer.unwrap(), came - sent);
    assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2));
    let (mut heard, mut events) = (String::new(), Times::default());
    for number in 0..30 {
        let sent = Instant::now();
        let word = format!("word{number}");
        if number > 0 {
            call.sse(&openai::text(&word)).await;
        }
        while !heard.contains(&format!("{word}\"")) {
            let chunk = within("the next event", answer.chunk()).await.unwrap().expect("an event");
            heard.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        events.add(sent.elapsed());
    }
    let left = Instant::now();
    drop(answer);
    let left = call.closed().await - left;
    eprintln!("{program:?} over HTTP/2: head {head:?}; events {events}; a client left: {left:?}");
    events
}

pub(super) fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
    builder.connect_timeout(Duration::from_secs(2)).build().unwrap()
}

/// A certificate that nobody trusts, its key, and both in one file.
pub(super) fn make_certificate(folder: &Path) {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    command.args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
    command.args(["-keyout", "key.pem", "-out", "certificate.pem"]).current_dir(folder);
    assert!(command.stderr(Stdio::null()).status().expect("openssl").success());
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    std::fs::write(folder.join("both.pem"), [read("certificate.pem"), read("key.pem")].concat()).unwrap();
}
