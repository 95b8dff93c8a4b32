//! Servers and proxies that people have and that have no snippet: what the doctor says of plain events, silence, leaving and the
//! end of what breaks off, with the real programs.

use serde_json::json;

use crate::doctor::{Diagnosis, examine, gateway};
use crate::support::Gateway;
use crate::support::hops::{Hop, servers};

async fn said(gateway: &Gateway, hop: &Hop) -> Diagnosis {
    examine(&[&hop.url(), &format!("gateway=http://{}", gateway.public)]).await
}

/// Whether the gateway was told of a client that left while events came, in a silence and in prefill.
fn noticed(said: &Diagnosis) -> [bool; 3] {
    let hop = &said.report["hops"][1];
    ["leaving", "leaving_in_silence", "leaving_in_prefill"].map(|moment| {
        hop[moment]["noticed"].as_bool().unwrap_or_else(|| panic!("{moment} is not known: {}", said.all))
    })
}

/// What broke off came so, with all its events, and with its error or without.
fn cut(said: &Diagnosis, ended: &str) {
    let cut = &said.report["hops"][1]["cut"];
    let told = [&cut["ended"], &cut["events"], &cut["error"]];
    assert_eq!(told, [&json!(ended), &json!(6), &json!(true)], "{}", said.all);
}

fn is(said: &Diagnosis, program: &str) {
    assert_eq!(said.report["hops"][1]["program"], json!(program), "{}", said.all);
}

#[tokio::test]
async fn lighttpd_as_it_comes_gathers_tells_nobody_who_left_and_ends_well_what_breaks_off() {
    let gateway = gateway().await;
    let hop = servers::lighttpd(gateway.public, "").await;
    let said = said(&gateway, &hop).await;
    said.blames(1, "lighttpd", "buffers_whole_answer", "server.stream-response-body = 1");
    cut(&said, "whole");
    assert_eq!(noticed(&said), [false; 3], "{}", said.all);
    assert!(said.all.contains("it ends a stream that breaks off as if it were whole"), "{}", said.all);
}

#[tokio::test]
async fn lighttpd_with_the_line_that_cures_it() {
    let gateway = gateway().await;
    let hop = servers::lighttpd(gateway.public, "server.stream-response-body = 1").await;
    let said = said(&gateway, &hop).await;
    said.is_clean();
    is(&said, "lighttpd");
    cut(&said, "broken_off");
}

#[tokio::test]
async fn h2o_ends_well_what_breaks_off() {
    let gateway = gateway().await;
    let hop = servers::h2o(gateway.public).await;
    let said = said(&gateway, &hop).await;
    said.blames(1, "h2o", "cut_hidden", "without its terminator");
    cut(&said, "whole");
    assert!(noticed(&said)[0], "while events come: {}", said.all);
}

#[tokio::test]
async fn nghttpx_hands_on_the_last_words_because_the_gateway_waits() {
    let gateway = gateway().await;
    let hop = servers::nghttpx(gateway.public).await;
    let said = said(&gateway, &hop).await;
    said.is_clean();
    is(&said, "nghttpx");
    cut(&said, "broken_off");
    assert_eq!(noticed(&said), [true; 3], "{}", said.all);
}

#[tokio::test]
async fn squid_hands_everything_on_and_tells_who_left() {
    let gateway = gateway().await;
    let hop = servers::squid(gateway.public).await;
    let said = said(&gateway, &hop).await;
    said.is_clean();
    is(&said, "Squid");
    cut(&said, "broken_off");
    assert_eq!(noticed(&said), [true; 3], "{}", said.all);
}

#[tokio::test]
async fn traffic_server_tells_who_left_with_the_next_write_and_at_once_with_the_line_that_cures_it() {
    for (lines, wanted) in
        [("", [true, false, false]), ("CONFIG proxy.config.http.allow_half_open INT 0", [true, true, true])]
    {
        let gateway = gateway().await;
        let hop = servers::traffic_server(gateway.public, lines).await;
        let said = said(&gateway, &hop).await;
        said.is_clean();
        is(&said, "Apache Traffic Server");
        cut(&said, "broken_off");
        assert_eq!(noticed(&said), wanted, "{lines}: {}", said.all);
        let notes = said.report["hops"][1]["notes"].to_string();
        assert_eq!(notes.contains("leaves before the answer begins"), !wanted[2], "{notes}");
    }
}
