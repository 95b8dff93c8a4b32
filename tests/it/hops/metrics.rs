//! The metrics that `docker/` names are those that the gateway has.

use serde_json::json;

use super::super::support::redis::Redis;
use super::super::support::{Heard, Setup};
use super::topology::file;

/// Every name that begins with `streamgate_` in a text, without what Prometheus adds to it.
fn names(text: &str) -> Vec<String> {
    let letter = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    let mut found: Vec<String> = text
        .split(|other: char| !letter(other))
        .filter(|word| word.starts_with("streamgate_"))
        .map(|word| {
            ["_total", "_bucket"].iter().fold(word, |word, end| word.trim_end_matches(end)).to_owned()
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

#[tokio::test]
async fn every_metric_of_the_dashboard_and_the_alerts_is_one_of_the_gateways() {
    let redis = Redis::start().await;
    let setup = Setup::new().journal("store = \"redis\"").journal(&format!("url = \"{}\"", redis.url()));
    let gateway = setup.demo().start().await;
    let body = json!({"model": "demo:words=2,pace=1ms", "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
    let mut answer = gateway.post("/v1/chat/completions", &body).await;
    assert!(Heard::of(&mut answer).await.succeeded());
    gateway.rewrite("[nonsense]\n");
    gateway.signal("HUP");
    gateway.metric_reaches("streamgate_config_reloads_total", &["outcome=\"refused\""], 1.0).await;
    let page = gateway.metrics().await;
    let known: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let asked = ["grafana.json", "alerts.yml", "kubernetes.yaml"].map(|name| names(&file(name)));
    assert!(asked.iter().all(|names| !names.is_empty()));
    let unknown: Vec<&String> =
        asked.iter().flatten().filter(|name| !known.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?} are not among {known:?}");
}
