//! A silence that is longer than the patience that proxies come with, behind all of them at once: of a stream, which the gateway
//! keeps alive, and of an answer that is not streamed, which is silent until it is whole.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use super::super::support::hops::{Hop, Program, bare};
use super::super::support::{Call, Gateway, Upstream, gateway_over, openai, prompt, until, within};
use super::http2::{client, make_certificate};

/// nginx, Apache, Varnish and load balancers give up after 60 s, Envoy after 15 s.
const SILENCE: Duration = Duration::from_secs(70);
/// The gateway's `keep_alive` is 10 s; a machine that is busy may be late.
const BETWEEN: Duration = Duration::from_secs(15);

#[tokio::test]
async fn seventy_seconds_of_silence_are_no_end_behind_any_program() {
    let (gateway, mut upstream) = gateway_over("openai", &[]).await;
    let mut ways = Vec::new();
    for program in Program::ALL {
        ways.push(Way::new(&format!("{program:?}"), vec![program.start(&[gateway.public]).await]));
        if program != Program::Varnish {
            ways.push(over_tls(program, &gateway).await);
        }
    }
    let inner = Program::Nginx.start(&[gateway.public]).await;
    let outer = Program::Nginx.start(&[inner.address]).await;
    ways.push(Way::new("nginx behind nginx", vec![outer, inner]));
    let node = bare::node("proxy.mjs", &[&format!("http://{}", gateway.public)]).await;
    ways.push(Way::new("Node with compression", vec![node]));
    let nginx = bare::nginx(gateway.public, "").await;
    ways.push(Way { only_streams: true, ..Way::new("nginx by default", vec![nginx]) });

    let mut begun = Vec::new();
    for way in &ways {
        begun.push(way.begin(&mut upstream).await);
    }
    let ends = join_all(begun.into_iter().map(Begun::end)).await;
    for end in &ends {
        match end {
            Ok(words) => eprintln!("{words}"),
            Err(words) => eprintln!("FAILED {words}"),
        }
    }
    let failed: Vec<&String> = ends.iter().filter_map(|end| end.as_ref().err()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// One way to the gateway.
struct Way {
    name: String,
    /// Nobody has told the program that an answer which is not streamed may take long.
    only_streams: bool,
    client: reqwest::Client,
    url: String,
    _hops: Vec<Hop>,
    _certificate: Option<TempDir>,
}

/// Through a program that speaks HTTP/2 over TLS.
async fn over_tls(program: Program, gateway: &Gateway) -> Way {
    let folder = TempDir::new().unwrap();
    make_certificate(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let certificate = path(program.certificate());
    let more = ["--certificate", &certificate, "--key", &path("key.pem")];
    let hop = program.start_with(&[gateway.public], &more, |text| text).await;
    let (client, url) = (client(), format!("https://localhost:{}", hop.address.port()));
    until("the program to listen", async || {
        let answer = client.get(format!("{url}/healthz")).send().await;
        answer.is_ok_and(|answer| answer.status() == 200 && answer.version() == http::Version::HTTP_2)
    })
    .await;
    Way {
        client,
        url,
        _certificate: Some(folder),
        ..Way::new(&format!("{program:?} over HTTP/2"), vec![hop])
    }
}

impl Way {
    /// Through the first of these.
    fn new(name: &str, hops: Vec<Hop>) -> Self {
        let url = hops[0].url();
        Self {
            name: name.to_owned(),
            only_streams: false,
            client: client(),
            url,
            _hops: hops,
            _certificate: None,
        }
    }

    fn ask(&self, stream: bool) -> reqwest::RequestBuilder {
        let request = self.client.post(format!("{}/v1/chat/completions", self.url));
        // As browsers ask; an answer that is not streamed may be compressed.
        let codings = if stream { "gzip, deflate, br, zstd" } else { "identity" };
        let request = request.header("content-type", "application/json").header("accept-encoding", codings);
        request.body(prompt("m", stream).to_string())
    }

    /// A stream whose first word is out, and an answer that is worked on.
    async fn begin(&self, upstream: &mut Upstream) -> Begun {
        let speak = async {
            let mut call = upstream.call().await;
            call.stream().await;
            call.sse(&openai::text("before")).await;
            call
        };
        let (answer, call) = tokio::join!(within("the head of an answer", self.ask(true).send()), speak);
        let (answer, mut heard) = (answer.unwrap(), String::new());
        let mut stream = Stream { answer, call };
        while !heard.contains("before") {
            let chunk = within("the first word", stream.answer.chunk()).await.unwrap().expect("a word");
            heard.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        let mut whole = None;
        if !self.only_streams {
            let (client, request) = (self.client.clone(), self.ask(false).build().unwrap());
            let answer = tokio::task::JoinSet::from_iter([async move { client.execute(request).await }]);
            whole = Some(Whole { answer, call: upstream.call().await });
        }
        Begun { name: self.name.clone(), stream, whole }
    }
}

/// Both answers through one way, in the middle.
struct Begun {
    name: String,
    stream: Stream,
    whole: Option<Whole>,
}

struct Stream {
    answer: reqwest::Response,
    call: Call,
}

struct Whole {
    answer: tokio::task::JoinSet<reqwest::Result<reqwest::Response>>,
    call: Call,
}

impl Begun {
    /// What became of them, or what went wrong.
    async fn end(self) -> Result<String, String> {
        let Self { name, stream, whole } = self;
        let whole = async {
            match whole {
                Some(whole) => whole.end().await,
                None => Ok("not asked".to_owned()),
            }
        };
        let (stream, whole) = tokio::join!(stream.end(), whole);
        let words = format!("{name}: stream {stream:?}; not streamed {whole:?}");
        if stream.is_ok() && whole.is_ok() { Ok(words) } else { Err(words) }
    }
}

impl Stream {
    /// The backend is silent, says the rest, and ends well.
    async fn end(self) -> Result<String, String> {
        let Self { mut answer, mut call } = self;
        let speak = async {
            sleep(SILENCE).await;
            call.sse(&openai::text("behind")).await;
            call.sse(&openai::finish("stop")).await;
            call.done().await;
            std::future::pending::<()>().await;
        };
        let (began, mut heard, mut longest) = (Instant::now(), String::new(), Duration::ZERO);
        let listen = async {
            let mut last = began;
            loop {
                let chunk = timeout(BETWEEN, answer.chunk()).await;
                let after = || format!("{:.1} s", began.elapsed().as_secs_f64());
                match chunk {
                    Err(_) => return Err(format!("nothing came for {BETWEEN:?}, after {}", after())),
                    Ok(Err(error)) => return Err(format!("cut after {}: {error:?}", after())),
                    Ok(Ok(None)) => return Ok(()),
                    Ok(Ok(Some(chunk))) => heard.push_str(std::str::from_utf8(&chunk).unwrap()),
                }
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
        };
        tokio::select! {
            ended = listen => ended?,
            () = speak => {}
        }
        let keep_alives = heard.lines().filter(|line| line.starts_with(':')).count();
        let (silence, rest) = heard.split_once("data:").ok_or_else(|| format!("no rest in {heard:?}"))?;
        if !silence.lines().all(|line| line.starts_with(':')) || keep_alives < 6 {
            return Err(format!("{keep_alives} keep-alives in {silence:?}"));
        }
        if !rest.contains("behind") || !rest.trim_end().ends_with("[DONE]") {
            return Err(format!("no proper end in {rest:?}"));
        }
        Ok(format!("{keep_alives} keep-alives, {:.1} s between two at most", longest.as_secs_f64()))
    }
}

impl Whole {
    async fn end(self) -> Result<String, String> {
        let Self { mut answer, call } = self;
        let message = json!({"role": "assistant", "content": "behind"});
        let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
        let body =
            json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]});
        let began = Instant::now();
        let speak = async {
            sleep(SILENCE).await;
            call.answer(200, &body).await;
            std::future::pending::<()>().await;
        };
        let listen = async { timeout(SILENCE + BETWEEN, answer.join_next()).await };
        let answer = tokio::select! {
            answer = listen => answer,
            () = speak => unreachable!(),
        };
        let after = format!("{:.1} s", began.elapsed().as_secs_f64());
        let answer = answer.map_err(|_| format!("nothing after {after}"))?.unwrap().unwrap();
        let answer = answer.map_err(|error| format!("cut after {after}: {error:?}"))?;
        let status = answer.status();
        let text =
            answer.text().await.map_err(|error| format!("cut in the body after {after}: {error:?}"))?;
        if status != 200 || !text.contains("behind") {
            return Err(format!("{status} after {after}: {text}"));
        }
        Ok(format!("whole after {after}"))
    }
}
