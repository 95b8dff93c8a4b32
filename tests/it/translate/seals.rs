//! Histories that are passed on in the backend's own dialect: byte for byte, but for what only another vendor can read.

use crate::support::{Api, Bench, Request, addressed};

/// What the backend of this API is sent of a request that its own client wrote just so, and what was dropped.
async fn passed(bench: &mut Bench, api: Api, request: &str) -> (String, Vec<String>) {
    let sent = bench.pass(api, &Request::raw(api.door(), addressed(api, request).as_bytes())).await;
    let rest = sent.text.strip_prefix(&addressed(api, "{")).expect("what is before the client's members");
    (format!("{{{rest}"), sent.dropped)
}

/// A request of Anthropic's client with this content of an assistant, spaced as no serializer does it.
fn said(content: &str) -> String {
    format!(
        r#"{{ "max_tokens" : 9.0,"x":[1e3], "messages": [ {{"role":"user","content":"Q"}} ,{{ "role":"assistant","content":[{content}]}}, {{"role":"user","content":"Go on."}} ] }}"#
    )
}

const TEXT: &str = r#"{"text" : "Ink \u0072uns.","type":"text"}"#;
const SIGNED: &str = r#"{"type":"thinking","thinking":"Hm.","signature":"EqQB\/+=="}"#;
const CLOSED: &str = r#"{"type":"redacted_thinking","data":"EmwK"}"#;

#[tokio::test]
async fn what_anthropic_sealed_itself_is_passed_on_byte_for_byte() {
    let mut bench = Bench::start().await;
    for content in [TEXT.to_owned(), format!("{SIGNED} , {CLOSED}, {TEXT}"), SIGNED.to_owned()] {
        let request = said(&content);
        assert_eq!(passed(&mut bench, Api::Anthropic, &request).await, (request, Vec::new()));
    }
}

#[tokio::test]
async fn thinking_that_anthropic_did_not_sign_is_not_passed_on_to_it() {
    let mut bench = Bench::start().await;
    for foreign in [
        r#"{"type":"thinking","thinking":"Hm."}"#,
        r#"{"type":"thinking","thinking":"Hm.","signature":""}"#,
        r#"{"type":"thinking","thinking":"Hm.","signature":null}"#,
        r#"{"type":"thinking","thinking":"Hm.","signature":"sg1:openai:gAAAA"}"#,
        r#"{"type":"redacted_thinking","data":"sg1:openai:gAAAA"}"#,
    ] {
        for (content, wanted) in [
            (format!("{foreign} , {TEXT}"), TEXT.to_owned()),
            (format!("{TEXT} , {foreign}"), TEXT.to_owned()),
            (format!("{SIGNED}, {foreign},{foreign} ,{TEXT}"), format!("{SIGNED} ,{TEXT}")),
        ] {
            let (text, dropped) = passed(&mut bench, Api::Anthropic, &said(&content)).await;
            assert_eq!((text, dropped), (said(&wanted), vec!["reasoning".to_owned()]), "{content}");
        }
    }
}

#[tokio::test]
async fn a_turn_that_was_nothing_but_such_thinking_is_left_out() {
    let mut bench = Bench::start().await;
    let foreign = r#"{"type":"thinking","thinking":"Hm.","signature":""}"#;
    let (text, dropped) = passed(&mut bench, Api::Anthropic, &said(foreign)).await;
    let wanted = r#"{ "max_tokens" : 9.0,"x":[1e3], "messages": [ {"role":"user","content":"Q"}, {"role":"user","content":"Go on."} ] }"#;
    assert_eq!((text.as_str(), &dropped[..]), (wanted, &["reasoning".to_owned()][..]));
}

#[tokio::test]
async fn a_mark_on_what_anthropic_sealed_is_taken_off() {
    let mut bench = Bench::start().await;
    for own in [SIGNED, CLOSED] {
        let marked = own.replace("EqQB", "sg1:signature:EqQB").replace("EmwK", "sg1:redacted:EmwK");
        let sent = passed(&mut bench, Api::Anthropic, &said(&format!("{marked},{TEXT}"))).await;
        assert_eq!(sent, (said(&format!("{own},{TEXT}")), Vec::new()));
    }
}

#[tokio::test]
async fn reasoning_that_another_vendor_sealed_is_not_passed_on_to_openai() {
    let input =
        |items: &str| format!(r#"{{ "x" : 1.0,"input":[ {{"role":"user","content":"Q"}}{items} ] }}"#);
    let reasoning = |seal: &str| {
        format!(r#" , {{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":{seal}}}"#)
    };
    let mut bench = Bench::start().await;
    for seal in [r#""sg1:signature:EqQB""#, r#""sg1:redacted:EmwK""#] {
        let (own, foreign) = (reasoning(r#""gAAAA""#), reasoning(seal));
        let request = input(&[foreign.as_str(), &own, &foreign].concat());
        let sent = passed(&mut bench, Api::Responses, &request).await;
        assert_eq!(sent, (input(&own), vec!["reasoning".to_owned()]), "{seal}");
    }
    let marked = input(&reasoning(r#""sg1:openai:gAA\/A""#));
    let sent = passed(&mut bench, Api::Responses, &marked).await;
    assert_eq!(sent, (input(&reasoning(r#""gAA\/A""#)), Vec::new()));
    for seal in [r#""gAAAA""#, "null"] {
        let request = input(&reasoning(seal)).replace("\"Q\"", "\"about sg1:signature: marks\"");
        assert_eq!(passed(&mut bench, Api::Responses, &request).await, (request, Vec::new()));
    }
}

#[tokio::test]
async fn tokens_are_counted_of_what_would_be_sent() {
    let mut bench = Bench::start().await;
    let foreign = r#"{"type":"thinking","thinking":"Hm.","signature":"sg1:openai:gAAAA"}"#;
    let body = addressed(Api::Anthropic, &said(&format!("{foreign},{TEXT}")));
    let (call, _asked) =
        bench.call(Api::Anthropic, &Request::raw("/v1/messages/count_tokens", body.as_bytes())).await;
    assert_eq!(call.body, addressed(Api::Anthropic, &said(TEXT)).as_bytes());
}
