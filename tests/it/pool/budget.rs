//! The retry budget: failover never multiplies the load.

use super::{ask, seen, servers, setup};
use crate::support::Manner::{Status, Well};
use crate::support::prompt;

const TIGHT: [&str; 2] = ["retry_ratio = 0.2", "retries_per_second = 1"];

#[tokio::test]
async fn in_a_total_outage_attempts_stay_within_the_budget() {
    let servers = servers(&[Status(503), Status(500), Status(502)]).await;
    let gateway = TIGHT.iter().fold(setup(&servers, ""), |setup, line| setup.pool(line)).start().await;
    assert_eq!(ask(&gateway, 400, 4).await, 0);
    let attempts: usize = seen(&servers).iter().sum();
    // A fifth of the requests, and one for each of the last ten seconds.
    assert!((400..=400 + 80 + 10).contains(&attempts), "{attempts}");
    let denied = gateway.metric("streamgate_retries_denied_total", &["kind=\"failover\""]).await;
    assert!(denied > 300.0, "{denied}");
}

#[tokio::test]
async fn whole_answers_keep_to_it_too() {
    let servers = servers(&[Status(503), Status(500)]).await;
    let gateway = TIGHT.iter().fold(setup(&servers, ""), |setup, line| setup.pool(line)).start().await;
    for (path, body) in [
        ("/v1/chat/completions", prompt("m", false)),
        ("/v1/embeddings", serde_json::json!({"model": "m", "input": "Douro"})),
    ] {
        for _ in 0..100 {
            assert!(gateway.post(path, &body).await.status >= 500);
        }
    }
    let attempts: usize = seen(&servers).iter().sum();
    assert!((200..=200 + 40 + 10).contains(&attempts), "{attempts}");
}

#[tokio::test]
async fn without_any_budget_the_first_failure_is_the_answer() {
    let servers = servers(&[Status(503), Well]).await;
    let none = ["retry_ratio = 0.0", "retries_per_second = 0"];
    let gateway = none.iter().fold(setup(&servers, ""), |setup, line| setup.pool(line)).start().await;
    assert_eq!(ask(&gateway, 4, 1).await, 0);
    assert_eq!(seen(&servers), [4, 0]);
    assert_eq!(ask(&gateway, 4, 1).await, 3, "ejected after the fifth");
    assert_eq!(seen(&servers), [5, 3]);
}

#[tokio::test]
async fn a_crowd_fails_over_when_one_backend_of_two_dies() {
    let servers = servers(&[Status(503), Well]).await;
    let gateway = setup(&servers, "").start().await;
    assert_eq!(ask(&gateway, 64, 64).await, 64, "all at once, before anybody is ejected");
}
