//! Hops that nobody can install here, as each was measured or described: what they do is told, and whose fault it is.

use std::time::Duration;

use serde_json::json;

use crate::doctor::{Diagnosis, examine, gateway};
use crate::support::hops::{Habit, Scripted, bare};

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
async fn a_client_that_leaves_before_the_answer_begins_is_tried_too() {
    for (habit, noticed) in [(Habit::Nothing, true), (Habit::HidesCut, true), (Habit::ReadsOn, false)] {
        let said = said("", habit).await;
        let prefill = &said.report["hops"][1]["leaving_in_prefill"];
        assert_eq!(prefill["noticed"], json!(noticed), "{habit:?}: {}", said.all);
        assert_eq!(said.report["hops"][0]["leaving_in_prefill"]["noticed"], json!(true), "{}", said.all);
    }
}

#[tokio::test]
async fn a_hop_that_does_nothing_is_clean() {
    let said = said("", Habit::Nothing).await;
    said.is_clean();
    for hop in 0..2 {
        let cut = &said.report["hops"][hop]["cut"];
        let told = (&cut["ended"], &cut["events"], &cut["expected"], &cut["error"]);
        assert_eq!(told, (&json!("broken_off"), &json!(6), &json!(6), &json!(true)), "{}", said.all);
    }
}

/// What became of the answer that broke off, behind the second hop.
fn cut(said: &Diagnosis) -> (&str, bool) {
    let cut = &said.report["hops"][1]["cut"];
    (cut["ended"].as_str().unwrap_or_default(), cut["error"] == json!(true))
}

#[tokio::test]
async fn a_hop_that_ends_well_what_broke_off() {
    let said = said("h2o", Habit::HidesCut).await;
    said.blames(1, "h2o", "cut_hidden", "without its terminator");
    assert_eq!(cut(&said), ("whole", true));
}

#[tokio::test]
async fn a_hop_behind_which_what_broke_off_never_ends() {
    let said = said("vite", Habit::HangsAtCut).await;
    said.blames(1, "Vite", "cut_hangs", "proxyRes");
    assert_eq!(cut(&said), ("never", true));
}

#[tokio::test]
async fn a_hop_that_loses_the_last_words_of_what_broke_off() {
    let said = said("nghttpx", Habit::DropsTail).await;
    said.blames(1, "nghttpx", "cut_loses_tail", "300 ms");
    assert_eq!(cut(&said), ("broken_off", false));
}

#[tokio::test]
async fn a_hop_that_compresses_every_event_by_itself() {
    let said = said("django", Habit::Members).await;
    said.blames(1, "Django", "gzip_members", "GZipMiddleware");
    assert!(said.all.contains("httpx"), "{}", said.all);
}

#[tokio::test]
async fn a_hop_that_answers_in_place_of_what_broke_off_is_told_beside_that_it_gathers() {
    let said = said("mitmproxy", Habit::ReplacesCut).await;
    said.blames(1, "mitmproxy", "buffers_whole_answer", "stream_large_bodies=1");
    assert_eq!(cut(&said), ("replaced", false));
    assert!(
        said.all.contains("answers with status 502 in place of a stream that breaks off"),
        "{}",
        said.all
    );
}

#[tokio::test]
async fn what_a_hop_makes_of_an_end_is_not_the_next_ones_fault() {
    let gateway = gateway().await;
    let inner = Scripted::start(gateway.public, Habit::HidesCut).await;
    let outer = bare::nginx(inner.address, "proxy_http_version 1.1;").await;
    let path = [outer.url(), format!("inner={}", inner.url()), format!("gateway=http://{}", gateway.public)];
    examine(&[&path[0], &path[1], &path[2]]).await.blames(1, "", "cut_hidden", "without the last chunk");
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
