//! `streamgate key`: what it makes is taken by `check`, and opens the gateway.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::fed;
use crate::support::{Gateway, Request, Run, Setup, run};

async fn key(arguments: &[&str]) -> Run {
    let mut all = vec!["key"];
    all.extend(arguments);
    run(Path::new("/"), &all).await
}

/// The key in what was said.
fn secret(run: &Run) -> &str {
    run.all.lines().find(|line| line.starts_with("sk-sg-")).expect("a key")
}

#[tokio::test]
async fn a_new_key_passes_the_check_and_opens_the_gateway() {
    let made = key(&["--name", "alice", "--scopes", "inference,models"]).await;
    assert_eq!(made.code, Some(0), "{}", made.all);
    assert!(!made.stdout.contains("sk-sg-"), "the key goes to the terminal alone: {}", made.stdout);
    assert!(made.stdout.starts_with("\n[[key]]\nname = \"alice\"\n"), "{}", made.stdout);
    let config = format!("{}{}", Setup::new().demo().toml().trim_end(), made.stdout);
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("proxy.toml"), &config).unwrap();
    let checked = run(folder.path(), &["check"]).await;
    assert_eq!(checked.code, Some(0), "{}", checked.all);
    let gateway = Gateway::start(&config).await;
    assert_eq!(gateway.get("/v1/models").await.status, 401);
    let request = Request::get("/v1/models").header("x-api-key", secret(&made));
    assert_eq!(gateway.send(&request).await.status, 200);
    let pull = Request::post("/api/pull", &serde_json::json!({"model": "m"}));
    assert_eq!(gateway.send(&pull.header("x-api-key", secret(&made))).await.status, 403);
}

#[tokio::test]
async fn no_two_keys_are_the_same_and_each_is_long_enough() {
    let (one, two) = (key(&[]).await, key(&[]).await);
    assert_ne!(secret(&one), secret(&two));
    assert_eq!(secret(&one).len(), "sk-sg-".len() + 32, "five bits a letter");
    assert_ne!(one.stdout, two.stdout, "nor are their names");
}

#[tokio::test]
async fn the_digest_of_a_key_is_told() {
    let made: Value = serde_json::from_str(&key(&["--json"]).await.stdout).unwrap();
    let hashed = fed(&["key", "hash"], &format!("{}\n", made["key"].as_str().unwrap())).await;
    assert_eq!((hashed.code, hashed.stdout.trim()), (Some(0), made["sha256"].as_str().unwrap()));
}

#[tokio::test]
async fn without_a_key_there_is_no_digest() {
    for input in ["", "\n", "two words\n"] {
        let run = fed(&["key", "hash"], input).await;
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{input:?}: {}", run.all);
        assert!(run.all.contains("hint: "), "{}", run.all);
    }
}

#[tokio::test]
async fn a_key_has_a_name() {
    let made = key(&["--name", " "]).await;
    assert_eq!((made.code, made.stdout.as_str()), (Some(2), ""), "{}", made.all);
    assert!(!made.all.contains("sk-sg-"), "{}", made.all);
}

#[tokio::test]
async fn a_name_cannot_break_the_table() {
    let made = key(&["--name", "a\"\nmax_streams = 0"]).await;
    let table: toml::Table = made.stdout.parse().unwrap();
    assert_eq!(table["key"][0]["name"].as_str(), Some("a\"\nmax_streams = 0"));
    assert!(table["key"][0].get("max_streams").is_none());
}
