//! What `docker/compose.yml` starts, from its own files with other addresses: two gateways that share their streams, nginx in front,
//! and Prometheus. Either gateway may be killed.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use bytes::BytesMut;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::support::hops::{Hop, found, nginx_around};
use super::super::support::port::free_port;
use super::super::support::redis::Redis;
use super::super::support::{Call, Gateway, Request, Upstream, ollama, until, within};
use super::guides::commands;
use super::http2::{client, make_certificate};

/// A file of `docker/`.
pub(super) fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{error}: {}", path.display()))
}

/// The file with these words replaced, all of which must be in it.
fn replaced(name: &str, words: &[(&str, String)]) -> String {
    words.iter().fold(file(name), |text, (old, new)| {
        assert!(text.contains(old), "{old} in {name}");
        text.replace(old, new)
    })
}

struct Topology {
    gateways: Vec<Gateway>,
    nginx: Hop,
    upstream: Upstream,
    client: Client,
    _redis: Redis,
}

impl Topology {
    async fn start() -> Self {
        let (redis, upstream) = (Redis::start().await, Upstream::start().await);
        let config = replaced(
            "proxy.toml",
            &[
                ("0.0.0.0:8080", "127.0.0.1:0".to_owned()),
                ("0.0.0.0:9090", "127.0.0.1:0".to_owned()),
                ("redis://valkey:6379", redis.url()),
                ("http://ollama:11434", upstream.url()),
                // So that the end of a gateway is soon told.
                ("store = \"redis\"", "store = \"redis\"\nlease = \"2s\"".to_owned()),
            ],
        );
        let gateways = vec![Gateway::start(&config).await, Gateway::start(&config).await];
        let nginx = start_nginx(&gateways);
        let topology = Self { gateways, nginx, upstream, client: client(), _redis: redis };
        until("nginx to listen", async || {
            let answer = topology.client.get(topology.url("/healthz")).send().await;
            answer.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
        topology
    }

    /// As clients call it: through nginx.
    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.nginx.address.port())
    }

    /// A stream that this gateway has begun, and whose first word is out.
    async fn begin(&mut self, gateway: usize, conversation: &str) -> (String, Call) {
        let body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
        let request = Request::post("/v1/chat/completions", &body)
            .header("x-conversation-id", conversation)
            .header("authorization", KEY);
        let asked = self.gateways[gateway].ask(&request).await;
        let mut call = self.upstream.call().await;
        call.lines().await;
        call.line(&ollama::text("word0 ")).await;
        let answer = asked.answer().await;
        assert_eq!(answer.status, 200);
        (answer.header("stream-id").unwrap().to_owned(), call)
    }

    /// What a reader behind nginx is answered.
    async fn open(&self, id: &str, after: Option<&str>) -> reqwest::Result<Response> {
        let request = self.client.get(self.url(&format!("/v1/streams/{id}")));
        let request = request.header("authorization", KEY).header("accept", "text/event-stream");
        match after {
            Some(after) => request.header("last-event-id", after).send().await,
            None => request.send().await,
        }
    }
}

fn start_nginx(gateways: &[Gateway]) -> Hop {
    let folder = TempDir::new().unwrap();
    make_certificate(folder.path());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let tls = folder.path().display().to_string();
    let text = replaced(
        "nginx.conf",
        &[
            ("gateway-1:8080", gateways[0].public.to_string()),
            ("gateway-2:8080", gateways[1].public.to_string()),
            ("listen 443", format!("listen {address}")),
            ("/etc/nginx/tls", tls),
        ],
    );
    let config = folder.path().join("nginx.conf");
    std::fs::write(&config, nginx_around(folder.path(), &text)).unwrap();
    let mut command = Command::new(found("nginx"));
    command.arg("-p").arg(folder.path()).args(["-e", "error.log", "-c"]).arg(config);
    Hop::launch(command, address, folder)
}

/// A reader that comes back when it is cut off, as an `EventSource` does.
struct Reader {
    id: String,
    /// The events that came whole, with their blank lines; comments are left out.
    events: Vec<String>,
    answer: Option<Response>,
    rest: BytesMut,
    cuts: usize,
}

impl Reader {
    fn new(id: &str) -> Self {
        Self { id: id.to_owned(), events: Vec::new(), answer: None, rest: BytesMut::new(), cuts: 0 }
    }

    /// Reads until an event has these words.
    async fn read_to(&mut self, topology: &Topology, words: &str) {
        let what = format!("{words:?} in a stream");
        within(&what, async {
            while !self.events.iter().any(|event| event.contains(words)) {
                self.read(topology).await;
            }
        })
        .await;
    }

    /// Some more of the stream; another connection if this one is at its end.
    async fn read(&mut self, topology: &Topology) {
        let Some(answer) = &mut self.answer else {
            let after = self.events.iter().rev().find_map(|event| id_of(event)).map(str::to_owned);
            let answer = topology.open(&self.id, after.as_deref()).await;
            let status = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
            assert_ne!(status, 204, "it has not heard how the stream ended");
            self.answer = answer.ok().filter(|_| status == 200);
            return;
        };
        match answer.chunk().await {
            Ok(Some(chunk)) => self.rest.extend_from_slice(&chunk),
            Ok(None) | Err(_) => {
                self.cuts += 1;
                self.rest.clear();
                self.answer = None;
            }
        }
        while let Some(end) = self.rest.windows(2).position(|two| two == b"\n\n") {
            let block = self.rest.split_to(end + 2);
            let lines = std::str::from_utf8(&block).unwrap().split_inclusive('\n');
            self.events.push(lines.filter(|line| !line.starts_with(':')).collect());
        }
    }
}

fn id_of(event: &str) -> Option<&str> {
    event.lines().find_map(|line| line.strip_prefix("id: "))
}

/// What one read that is never cut off gives.
async fn whole(gateway: &Gateway, id: &str) -> Vec<String> {
    let request = Request::get(&format!("/v1/streams/{id}"));
    let request = request.header("authorization", KEY).header("accept", "text/event-stream");
    let (events, _) = gateway.send(&request).await.events().await;
    events.iter().map(|event| String::from_utf8(event.raw.to_vec()).unwrap()).collect()
}

async fn say(call: &mut Call, word: &str) {
    call.line(&ollama::text(word)).await;
}

/// Two streams, each read by several through nginx, and the gateway of one of them is killed.
async fn every_reader_outlives(lost: usize) {
    let mut topology = Topology::start().await;
    let left = 1 - lost;
    let (doomed, mut doomed_call) = topology.begin(lost, "doomed").await;
    let (kept, mut kept_call) = topology.begin(left, "kept").await;
    let mut readers: Vec<Reader> =
        [&doomed, &kept].into_iter().cycle().take(8).map(|id| Reader::new(id)).collect();
    for call in [&mut doomed_call, &mut kept_call] {
        say(call, "word1 ").await;
    }
    for reader in &mut readers {
        reader.read_to(&topology, "word1 ").await;
    }
    // Frames are stored behind their readers, at most 100 ms later: what the lost gateway has told, the other must know.
    let other = &topology.gateways[left];
    let path = format!("/v1/streams/{doomed}");
    let look = || Request::get(&path).header("authorization", KEY).header("accept", "application/json");
    until("the other gateway to have it all", async || {
        other.send(&look()).await.json().await["text"] == "word0 word1 "
    })
    .await;
    topology.gateways[lost].signal("KILL");
    topology.gateways[lost].exit().await;
    say(&mut kept_call, "word2 ").await;
    kept_call.line(&ollama::done("stop")).await;
    kept_call.finish().await;
    let mut cuts = 0;
    for reader in &mut readers {
        let last = if reader.id == doomed { "producer_lost" } else { "[DONE]" };
        reader.read_to(&topology, last).await;
        assert_eq!(reader.events, whole(&topology.gateways[left], &reader.id).await);
        cuts += reader.cuts;
    }
    assert!(cuts > 0, "some readers were on the gateway that was lost");
    // And new ones are served.
    let models = topology.client.get(topology.url("/v1/models")).header("authorization", KEY).send().await;
    assert_eq!(within("an answer", async { models }).await.unwrap().status(), 200);
}

#[tokio::test]
async fn readers_outlive_the_first_gateway() {
    every_reader_outlives(0).await;
}

#[tokio::test]
async fn readers_outlive_the_second_gateway() {
    every_reader_outlives(1).await;
}

#[tokio::test]
async fn the_request_of_the_guide_streams() {
    let topology = Topology::start().await;
    let line = commands("Docker").into_iter().find(|line| line.starts_with("curl ")).expect("a request");
    let line = line.replace("https://localhost/", &topology.url("/"));
    let output = tokio::process::Command::new("sh").args(["-c", &line]).output();
    let output = within(&line, output).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.ends_with("data: [DONE]\n\n"), "{line}: {said}");
}

/// Prometheus with the files of `docker/`, in front of these gateways.
fn start_prometheus(gateways: &[Gateway]) -> Hop {
    let folder = TempDir::new().unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let text = replaced(
        "prometheus.yml",
        &[
            ("gateway-1:9090", gateways[0].admin.to_string()),
            ("gateway-2:9090", gateways[1].admin.to_string()),
            (": 10s", ": 1s".to_owned()),
        ],
    );
    std::fs::write(folder.path().join("prometheus.yml"), text).unwrap();
    std::fs::write(folder.path().join("alerts.yml"), file("alerts.yml")).unwrap();
    let mut command = Command::new(found("prometheus"));
    command.arg(format!("--web.listen-address={address}"));
    command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
    Hop::launch(command, address, folder)
}

/// The samples of a query, once it has some.
async fn samples(client: &Client, prometheus: &Hop, query: &str) -> Vec<Value> {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
    let url = format!("http://{}/api/v1/query?{query}", prometheus.address);
    let Ok(answer) = client.get(url).send().await else {
        return Vec::new();
    };
    let text = answer.text().await.unwrap_or_default();
    // It says in plain text that it is not ready.
    let Ok(answer) = serde_json::from_str::<Value>(&text) else {
        return Vec::new();
    };
    assert_eq!(answer["status"], "success", "{query}: {answer}");
    answer["data"]["result"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn prometheus_sees_both_gateways_and_knows_every_query_of_the_dashboard() {
    let topology = Topology::start().await;
    let prometheus = start_prometheus(&topology.gateways);
    let client = &topology.client;
    until("both gateways to be up", async || {
        let up = samples(client, &prometheus, "up{job=\"streamgate\"}").await;
        up.len() == 2 && up.iter().all(|sample| sample["value"][1] == "1")
    })
    .await;
    let dashboard: Value = serde_json::from_str(&file("grafana.json")).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap().replace("$__rate_interval", "1m");
            samples(client, &prometheus, &query).await;
        }
    }
    topology.gateways[0].signal("KILL");
    let address = topology.gateways[0].admin.to_string();
    until("an alert", async || {
        let alerts = samples(client, &prometheus, "ALERTS{alertname=\"StreamgateDown\"}").await;
        alerts.iter().any(|alert| alert["metric"]["instance"] == address.as_str())
    })
    .await;
}

const KEY: &str = "Bearer try-streamgate";
