//! Hops that nobody can install here, as each was measured or described: what they do is told, and whose fault it is.

use std::time::Duration;

use serde_json::json;

use crate::doctor::{Diagnosis, examine, gateway};
use crate::support::hops::{Habit, Scripted};

/// What is said of a hop with this habit before a gateway, under this name.
async fn said(name: &str, habit: Habit) -> Diagnosis {
    let gateway = gateway().await;
    let hop = Scripted::start(gateway.public, habit).await;
    let public = if name.is_empty() { hop.url() } else { format!("{name}={}", hop.url()) };
    examine(&[&public, &format!("gateway=http://{}", gateway.public)]).await
}

const fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

#[tokio::test]
async fn a_hop_that_gathers_the_whole_answer() {
    let said = said("", Habit::Gathers).await;
    said.blames(1, "", "buffers_whole_answer", "buffering off");
    assert!(said.all.contains("`Content-Length` was added"), "{}", said.all);
}

#[tokio::test]
async fn a_hop_that_fills_a_buffer() {
    said("", Habit::Fills(1024)).await.blames(1, "", "buffers_by_size", "buffering off");
}

#[tokio::test]
async fn a_hop_that_hands_on_by_the_clock() {
    said("traefik", Habit::Ticks(ms(400))).await.blames(1, "Traefik", "batches_by_time", "flushInterval");
}

#[tokio::test]
async fn a_hop_that_keeps_everything_for_a_while() {
    said("", Habit::Lags(ms(205))).await.blames(1, "HAProxy", "delays_every_event", "option http-no-delay");
}

#[tokio::test]
async fn a_hop_that_is_one_event_behind() {
    said("iis", Habit::Trails).await.blames(1, "IIS", "one_event_behind", "responseBufferLimit");
}

#[tokio::test]
async fn a_hop_that_keeps_the_head() {
    said("", Habit::HidesHead).await.blames(1, "", "head_late", "buffering off");
}

#[tokio::test]
async fn a_hop_that_gathers_what_is_read_by_get() {
    said("cloudflared", Habit::GathersGet).await.blames(1, "Cloudflare", "get_buffers", "POST");
}

#[tokio::test]
async fn a_hop_that_cuts_silence_off() {
    said("alb", Habit::CutsIdle(ms(1000))).await.blames(1, "AWS ALB", "idle_cut", "idle_timeout");
}

#[tokio::test]
async fn a_hop_that_cuts_everything_off() {
    let said = said("envoy", Habit::CutsAfter(ms(1580))).await;
    said.blames(1, "Envoy", "lifetime_cut", "timeout: 0s");
}

#[tokio::test]
async fn a_hop_that_does_not_tell_that_a_client_left() {
    let said = said("haproxy", Habit::ReadsOn).await;
    said.blames(1, "HAProxy", "abort_lost", "abortonclose");
    assert_eq!(said.report["hops"][0]["leaving"]["noticed"], json!(true), "{}", said.all);
}

#[tokio::test]
async fn a_hop_that_does_nothing_is_clean() {
    said("", Habit::Nothing).await.is_clean();
}

#[tokio::test]
async fn a_hop_that_is_late_once_is_clean_and_that_it_was_is_told() {
    let said = said("", Habit::Stumbles(ms(220))).await;
    said.is_clean();
    let hop = &said.report["hops"][1];
    assert!(hop["probes"][0]["asked"].as_u64() >= Some(2), "{}", said.all);
    assert!(hop["notes"].to_string().contains("`plain` was asked"), "{}", said.all);
}

#[tokio::test]
async fn two_hops_that_are_wrong_in_two_ways_are_both_named() {
    let gateway = gateway().await;
    let inner = Scripted::start(gateway.public, Habit::Lags(ms(205))).await;
    let outer = Scripted::start(inner.address, Habit::Gathers).await;
    let path = [outer.url(), format!("inner={}", inner.url()), format!("gateway=http://{}", gateway.public)];
    let said = examine(&[&path[0], &path[1], &path[2]]).await;
    assert_eq!(said.report["hops"][1]["findings"][0]["cause"], "delays_every_event", "{}", said.all);
    assert_eq!(said.report["hops"][2]["findings"][0]["cause"], "buffers_whole_answer", "{}", said.all);
}
