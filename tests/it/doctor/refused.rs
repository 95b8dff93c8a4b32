//! Hops that refuse, or answer with something else: the doctor says why, and what to do.

use crate::doctor::{Diagnosis, doctor, examine, gateway};
use crate::support::Gateway;
use crate::support::hops::{Hop, bare};

/// What is said of nginx with these lines before a gateway.
async fn said(gateway: &Gateway, lines: &str) -> (Hop, Diagnosis) {
    let hop = bare::nginx_listening(gateway.public, "", lines).await;
    let said = examine(&[&hop.url(), &format!("gateway=http://{}", gateway.public)]).await;
    (hop, said)
}

#[tokio::test]
async fn a_hop_that_refuses_is_told_with_its_reason_and_a_cure() {
    let gateway = gateway().await;
    for (lines, sign, cure) in [
        ("return 301 https://chat.example.org$request_uri;", "`location: https://chat.", "that it leads to"),
        ("auth_basic inner; auth_basic_user_file /dev/null;", "Basic realm=", "USER:PASSWORD@HOST"),
        ("client_max_body_size 10;", "Too Large", "client_max_body_size 20m;"),
        ("rewrite ^ /elsewhere break;", "there is no route POST /elsewhere", "proxy_pass"),
        ("proxy_pass http://127.0.0.1:9;", "nginx", "proxy_pass reaches nothing"),
    ] {
        let lines = if lines.contains("proxy_pass") {
            format!("error_page 418 = @away; return 418; }} location @away {{ {lines}")
        } else {
            lines.to_owned()
        };
        let (_hop, said) = said(&gateway, &lines).await;
        said.blames(1, "nginx", "refused", cure);
        assert!(said.all.contains(sign), "{sign}: {}", said.all);
    }
}

#[tokio::test]
async fn a_page_in_place_of_the_stream_is_no_stream_that_was_cut_off() {
    let gateway = gateway().await;
    let (hop, said) = said(&gateway, "default_type text/html; return 200 '<html>Log in';").await;
    said.blames(1, "nginx", "no_stream", "try_files");
    let (code, _, log) = doctor(&[&hop.url()]).await;
    assert!(code == Some(1) && log.contains("`text/html`, which is no stream"), "{log}");
}

#[tokio::test]
async fn a_path_that_is_not_passed_on_is_told_with_the_way_to_ask() {
    let gateway = gateway().await;
    let page = "proxy_http_version 1.1; } location /v1/streams/ { default_type text/html; return 200 '<html>Welcome';";
    let (_hop, said) = said(&gateway, page).await;
    said.blames(1, "nginx", "no_stream", "pass /v1/*");
    assert!(said.all.contains("no stream, when a stream is read by GET"), "{}", said.all);
}

#[tokio::test]
async fn a_stream_by_another_name_is_noted() {
    let gateway = gateway().await;
    let lines = "proxy_http_version 1.1; proxy_hide_header Content-Type; add_header Content-Type text/html;";
    let (_hop, said) = said(&gateway, lines).await;
    said.is_clean();
    assert!(said.all.contains("it calls the stream `text/html`"), "{}", said.all);
}

#[tokio::test]
async fn a_hop_that_never_answers_cannot_be_reached() {
    let gateway = gateway().await;
    let (_hop, said) = said(&gateway, "proxy_pass_request_body off;").await;
    assert_eq!((said.code, &said.report["verdict"]), (Some(1), &"unreachable".into()), "{}", said.all);
    assert!(said.all.contains("no answer came in 10.0 s"), "{}", said.all);
}

#[tokio::test]
async fn who_is_asked_alone_says_what_was_asked_and_what_it_says() {
    let gateway = gateway().await;
    let hop = bare::nginx_listening(gateway.public, "", "return 307 https://chat.example.org/;").await;
    let (code, _, log) = doctor(&[&hop.url()]).await;
    for words in ["/v1/chat/completions answers with status 307", "`location: https://chat.example.org/`"] {
        assert!(code == Some(1) && log.contains(words), "{words}: {log}");
    }
    let (public, inner) = (format!("{}/chat/", hop.url()), format!("gateway=http://{}", gateway.public));
    let (code, _, log) = doctor(&[&public, "--hop", &inner]).await;
    for words in ["there is no route POST /chat/v1/chat/completions", "unless its own address names one"] {
        assert!(code == Some(1) && log.contains(words), "{words}: {log}");
    }
}

#[tokio::test]
async fn the_wrong_protocol_is_told_with_the_right_one() {
    let gateway = gateway().await;
    let (public, inner) = (gateway.public, format!("gateway=http://{}", gateway.public));
    let said = examine(&[&format!("https://{public}"), &inner]).await;
    assert_eq!((said.code, &said.report["verdict"]), (Some(1), &"unreachable".into()), "{}", said.all);
    assert!(said.all.contains("is it an address by http?"), "{}", said.all);
}

#[tokio::test]
async fn a_password_in_an_address_is_shown_nowhere() {
    let gateway = gateway().await;
    let url = format!("http://user:secret@{}", gateway.public);
    let said = examine(&[&url, &url]).await;
    said.is_clean();
    assert!(!said.all.contains("secret"), "{}", said.all);
    let (_, said, log) = doctor(&["http://user:secret@127.0.0.1:9/?token=secret"]).await;
    assert!(log.contains("127.0.0.1:9") && !(said + &log).contains("secret"), "{log}");
}
