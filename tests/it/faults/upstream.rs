//! Backends that break the rules of names, TLS, HTTP and SSE: none of it reaches a client, or the next request.

use std::io::Write;
use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair, date_time_ymd};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::{
    Heard, Manner, Request, Server, Setup, Upstream, begun, chat, gateway_over, openai, prompt, within,
};

const CHAT: &str = "/v1/chat/completions";

/// The status and the code that a client gets whose only backend is there; streamed and whole.
async fn told(url: &str, environment: &[(&str, &str)]) -> Vec<(u16, String)> {
    let setup = Setup::new().stream("connect_timeout = \"5s\"").backend("one", "openai", url);
    let setup = environment.iter().fold(setup, |setup, (name, value)| setup.environment(name, value));
    let gateway = setup.start().await;
    let mut told = Vec::new();
    for stream in [true, false] {
        let mut answer = gateway.post(CHAT, &prompt("m", stream)).await;
        told.push((answer.status, answer.json().await["error"]["code"].as_str().unwrap().to_owned()));
    }
    told
}

fn all_502(told: &[(u16, String)]) -> bool {
    told.iter().all(|(status, code)| *status == 502 && code.starts_with("upstream_"))
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_502() {
    let told = told("http://no-such-backend.invalid:11434", &[]).await;
    assert!(all_502(&told), "{told:?}");
}

/// A certificate authority, and the file that names it.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: NamedTempFile,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(issuer.pem().as_bytes()).unwrap();
        Self { issuer, file }
    }

    /// A backend that speaks TLS with a certificate for this name, and answers every request well.
    async fn backend(&self, name: &str, last_day: i32) -> (String, JoinSet<()>) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(last_day, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let body = format!(
                    "data: {}\n\ndata: {}\n\ndata: [DONE]\n\n",
                    openai::text("Safe"),
                    openai::finish("stop")
                );
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
                let mut scrap = [0; 8192];
                drop(stream.read(&mut scrap).await);
                drop(stream.write_all(format!("{head}{body}").as_bytes()).await);
                drop(stream.shutdown().await);
            }
        });
        (url, tasks)
    }

    fn environment(&self) -> [(&'static str, &str); 1] {
        [("SSL_CERT_FILE", self.file.path().to_str().unwrap())]
    }
}

#[tokio::test]
async fn a_backend_with_a_wrong_certificate_is_a_502() {
    let authority = Authority::new();
    let (good, _tasks) = authority.backend("localhost", 2099).await;
    let [(name, file)] = authority.environment();
    let gateway = Setup::new().environment(name, file).backend("one", "openai", &good).start().await;
    let heard = Heard::of(&mut gateway.post(CHAT, &chat()).await).await;
    assert_eq!(heard.text, "Safe", "with a good certificate it is served");
    for (what, name, last_day) in [("another name", "elsewhere.test", 2099), ("expired", "localhost", 2021)] {
        let (url, _tasks) = authority.backend(name, last_day).await;
        let told = told(&url, &authority.environment()).await;
        assert!(all_502(&told), "{what}: {told:?}");
    }
    let (url, _tasks) = Authority::new().backend("localhost", 2099).await;
    let told = told(&url, &authority.environment()).await;
    assert!(all_502(&told), "signed by nobody we know: {told:?}");
}

#[tokio::test]
async fn a_backend_by_https_is_never_asked_in_plain_text() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let mut hears = JoinSet::new();
    hears.spawn(async move {
        let mut heard = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).await.unwrap();
            heard.extend_from_slice(&bytes[..read]);
            drop(stream.write_all(b"HTTP/1.1 400 plain text, please\r\ncontent-length: 0\r\n\r\n").await);
        }
        heard
    });
    let authority = Authority::new();
    let told = told(&url, &authority.environment()).await;
    assert!(all_502(&told), "{told:?}");
    let heard = within("two attempts", hears.join_next()).await.unwrap().unwrap();
    assert_eq!(heard[0], 0x16, "a TLS handshake");
    assert!(!String::from_utf8_lossy(&heard).contains("POST"));
}

/// What a client is told whose backend answers with these bytes; streamed and whole.
async fn answered(bytes: &[u8]) -> Vec<(u16, String)> {
    let (gateway, mut upstream) = gateway_over("openai", &["commit_after = \"30s\""]).await;
    let mut told = Vec::new();
    for stream in [true, false] {
        let asked = gateway.ask_post(CHAT, &prompt("m", stream)).await;
        let mut call = upstream.call().await;
        drop(call.try_send(bytes).await); // it may close as soon as it has seen enough
        let mut answer = asked.answer().await;
        told.push((
            answer.status,
            answer.json().await["error"]["code"].as_str().unwrap_or_default().to_owned(),
        ));
        drop(call);
    }
    assert!(gateway.metric("streamgate_panics_total", &[]).await < 0.5);
    told
}

#[tokio::test]
async fn a_flood_of_1xx_is_bounded() {
    let (gateway, mut upstream) =
        gateway_over("openai", &["commit_after = \"30s\"", "first_token_timeout = \"5s\""]).await;
    let before = gateway.resident();
    let asked = gateway.ask_post(CHAT, &chat()).await;
    let mut call = upstream.call().await;
    let flood = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(2000);
    for _ in 0..100 {
        if call.try_send(flood.as_bytes()).await.is_err() {
            break;
        }
    }
    assert_eq!(asked.answer().await.status / 100, 5);
    let grown = gateway.resident().saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB");
    let again = gateway.ask_post(CHAT, &chat()).await;
    upstream.call().await.say(&["Elbe"]).await;
    assert_eq!(again.answer().await.status, 200);
}

#[tokio::test]
async fn another_protocol_that_nobody_asked_for_is_a_502() {
    let told =
        answered(b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nx").await;
    assert!(all_502(&told), "{told:?}");
}

#[tokio::test]
async fn heads_that_break_the_rules_are_a_502() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
    let flood = "x-many: 1\r\n".repeat(50_000);
    let heads = [
        ("two lengths", format!("{ok}content-length: 5\r\ncontent-length: 7\r\n\r\nhello")),
        ("a bare CR in a value", format!("{ok}x-odd: a\rb: c\r\ncontent-length: 0\r\n\r\n")),
        ("a NUL in a value", format!("{ok}x-odd: a\0b\r\ncontent-length: 0\r\n\r\n")),
        ("50,000 headers", format!("{ok}{flood}content-length: 0\r\n\r\n")),
        ("a header of 2 MB", format!("{ok}x-long: {}\r\ncontent-length: 0\r\n\r\n", "x".repeat(2 << 20))),
        ("no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned()),
    ];
    for (what, head) in heads {
        let told = answered(head.as_bytes()).await;
        assert!(all_502(&told), "{what}: {told:?}");
    }
}

#[tokio::test]
async fn a_chunk_that_is_none_breaks_the_stream_off_with_an_error() {
    for bad in
        ["zz\r\ndata: x\n\n\r\n", "-5\r\nhello\r\n", "fffffffffffffffff\r\nx\r\n", "5\r\nhelloworld\r\n"]
    {
        let (_gateway, _upstream, mut answer, mut call) = begun("openai", &[]).await;
        call.send(bad.as_bytes()).await;
        let heard = Heard::of(&mut answer).await;
        assert!(heard.failed() && heard.code() == Some("upstream_truncated"), "{bad:?}: {heard:?}");
        call.closed().await;
    }
}

#[tokio::test]
async fn bytes_behind_an_answer_are_nobodys() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let asked = gateway.ask_post(CHAT, &prompt("m", false)).await;
    let mut call = upstream.call().await;
    let body = openai::whole("Weser").to_string();
    let poison = openai::whole("poison").to_string();
    let whole = |body: &str| {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    call.send(format!("{}{}", whole(&body), whole(&poison)).as_bytes()).await;
    assert!(asked.answer().await.text().await.contains("Weser"));
    let first = call.connection;
    call.closed().await;
    let asked = gateway.ask_post(CHAT, &prompt("m", false)).await;
    let call = upstream.call().await;
    assert_ne!(call.connection, first, "what a backend has lied on is not used again");
    call.answer(200, &openai::whole("Werra")).await;
    let text = asked.answer().await.text().await;
    assert!(text.contains("Werra") && !text.contains("poison"), "{text}");
}

#[tokio::test]
async fn an_answer_that_is_coded_though_none_was_asked_for_is_a_502() {
    // "data: {}\n\n" by gzip
    let coded = [
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b, 0x49, 0x2c, 0x49, 0xb4, 0x52, 0xa8, 0xae, 0xe5, 0xe2, 2, 0,
    ];
    for kind in ["text/event-stream", "application/json"] {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
            coded.len()
        );
        let told = answered(&[head.as_bytes(), &coded].concat()).await;
        assert!(all_502(&told), "{kind}: {told:?}");
    }
}

#[tokio::test]
async fn frames_that_are_no_json_are_an_error_where_they_must_be_understood() {
    for bad in [
        &b"data: {bad\n\n"[..],
        b"data: \xff\xfe\n\n",
        b"data: {\"choices\": 7}\n\n",
        b"data: [[[[\n\n",
        b"data: \0\n\n",
    ] {
        let (gateway, mut upstream) = gateway_over("openai", &[]).await;
        let asked = gateway.ask_post("/api/chat", &chat()).await;
        let mut call = upstream.call().await;
        call.say(&["Saar"]).await;
        let mut answer = asked.answer().await;
        call.chunk(bad).await;
        let heard = Heard::of(&mut answer).await;
        assert!(heard.error.is_some() && heard.aborted && heard.done == 0, "{bad:?}: {heard:?}");
        assert!(gateway.metric("streamgate_panics_total", &[]).await < 0.5);
    }
}

#[tokio::test]
async fn a_flood_of_comments_and_an_event_of_many_lines_cost_a_bounded_amount_of_memory() {
    let (gateway, _upstream, mut answer, mut call) = begun("openai", &[]).await;
    let before = gateway.resident();
    let comments = ": nothing at all\n".repeat(4000);
    for _ in 0..250 {
        call.chunk(&comments).await;
    }
    call.chunk(format!("{}\n", "data: \n".repeat(100_000))).await;
    let grown = gateway.resident().saturating_sub(before);
    assert!(grown < 24 * 1024, "{grown} KiB");
    call.sse(&openai::text("on")).await;
    while !answer.next_event().await.data.contains("on") {}
}

#[tokio::test]
async fn connections_to_a_backend_are_used_again() {
    let mut upstream = Upstream::start().await;
    let gateway = Setup::new().server("workers = 1").backend("one", "openai", &upstream.url()).start().await;
    let mut client = gateway.client().await;
    let mut connections = 0;
    for _ in 0..100 {
        client.ask(&Request::post(CHAT, &prompt("m", false))).await;
        let call = upstream.call().await;
        connections = connections.max(call.connection + 1);
        call.answer(200, &openai::whole("Main")).await;
        let mut answer = client.answer().await;
        answer.rest().await;
        client = answer.reuse();
    }
    assert!(connections <= 4, "{connections} connections for 100 requests, one behind the other");
    let server = Server::start(Manner::Well).await; // and streams give theirs back, too
    let gateway = Setup::new().server("workers = 1").backend("one", "openai", &server.url()).start().await;
    for _ in 0..20 {
        assert!(Heard::of(&mut gateway.post(CHAT, &chat()).await).await.succeeded());
    }
    assert_eq!(server.seen(), 20);
}
