//! Signed addresses: what was verified is what is opened, for as long as the address and the key that made it are good.

use serde_json::json;

use super::{CHAT, ask, wish};
use crate::support::{Answer, Ending, Gateway, Request, Setup, Upstream, until};

const ALICE: (&str, &str) = ("authorization", "Bearer sk-it-alice-1");
const BOB: (&str, &str) = ("authorization", "Bearer sk-it-bob-2");
const RELOADS: &str = "streamgate_config_reloads_total";

fn setup(upstream: &Upstream) -> Setup {
    Setup::new().server("workers = 1").backend("one", "openai", &upstream.url())
}

fn both(setup: Setup) -> Setup {
    setup.key("alice", "sk-it-alice-1", PUBLISHES).key("bob", "sk-it-bob-2", PUBLISHES)
}

const PUBLISHES: &str = "scopes = [\"inference\", \"publish\"]";

fn by(key: (&str, &str), request: Request) -> Request {
    request.header(key.0, key.1)
}

/// Publishes on a channel of this key; gives the id of its record.
async fn publish(gateway: &Gateway, key: (&str, &str), channel: &str, text: &str) -> String {
    let request = Request::post(&format!("/v1/channels/{channel}"), &json!({"data": text}));
    let said = gateway.send(&by(key, request)).await.json().await;
    said["id"].as_str().unwrap().split('.').next().unwrap().to_owned()
}

/// The signed address of a channel of this key.
async fn address(gateway: &Gateway, key: (&str, &str), channel: &str) -> String {
    let token = Request::post(&format!("/v1/channels/{channel}/token"), &json!({}));
    let told = gateway.send(&by(key, token)).await.json().await;
    told["stream_url"].as_str().unwrap().to_owned()
}

/// The addresses of a stream that runs by itself.
async fn detached(
    gateway: &Gateway,
    upstream: &mut Upstream,
    key: (&str, &str),
) -> (serde_json::Value, crate::support::Call) {
    let (asked, mut call) =
        ask(gateway, upstream, &by(key, wish(CHAT, &[("prefer", "respond-async")]))).await;
    call.say(&["Rhine"]).await;
    (asked.answer().await.json().await, call)
}

fn text_of<'t>(told: &'t serde_json::Value, name: &str) -> &'t str {
    told[name].as_str().unwrap()
}

async fn status(gateway: &Gateway, method: &'static str, path: &str) -> u16 {
    gateway.send(&Request::new(method, path)).await.status
}

#[tokio::test]
async fn an_address_opens_the_record_under_its_signature_and_no_other() {
    let mut upstream = Upstream::start().await;
    let gateway = both(setup(&upstream)).start().await;
    let pay = publish(&gateway, ALICE, "pay", "for alice only").await;
    let own = address(&gateway, BOB, "mine").await;
    let (told, _call) = detached(&gateway, &mut upstream, BOB).await;
    let queries = [own.split_once('?').unwrap().1, text_of(&told, "stream_url").split_once('?').unwrap().1];
    for query in queries {
        for (path, refused) in [
            (format!("/v1/channels/pay?{query}"), 401),
            (format!("/v1/channels/pay?{query}&id={pay}"), 400),
            (format!("/v1/channels/pay?id={pay}&{query}"), 400),
            (format!("/v1/channels/pay?{query}&%69d={pay}"), 400),
            (format!("/v1/channels/pay?{query}&last_event_id={pay}.0"), 401),
            (format!("/v1/streams/{pay}?{query}"), 401),
        ] {
            // The query of a stream has no id of its own: then there is one, and the signature is not for it.
            let refused = if refused == 400 && !query.contains("id=") { 401 } else { refused };
            for method in ["GET", "HEAD"] {
                assert_eq!(status(&gateway, method, &path).await, refused, "{method} {path}");
            }
        }
    }
    // With its own name it opens what it names, and nothing by a cursor of another.
    assert_eq!(status(&gateway, "HEAD", &own).await, 200);
    assert_eq!(status(&gateway, "GET", &format!("{own}&last_event_id={pay}.0")).await, 400);
}

#[tokio::test]
async fn an_expired_address_is_not_renewed_by_the_signature_of_another() {
    let upstream = Upstream::start().await;
    let gateway = both(setup(&upstream)).start().await;
    let (old, fresh) = (address(&gateway, BOB, "job").await, address(&gateway, BOB, "other").await);
    let expires = |url: &str| url.split("expires=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let expired = old.replace(&format!("expires={}", expires(&old)), "expires=1");
    assert_eq!(status(&gateway, "HEAD", &expired).await, 401);
    for more in [format!("expires={}", expires(&fresh)), fresh.split_once('?').unwrap().1.to_owned()] {
        assert_eq!(status(&gateway, "HEAD", &format!("{expired}&{more}")).await, 400, "{more}");
    }
    let signature = fresh.split("signature=").nth(1).unwrap();
    assert_eq!(status(&gateway, "HEAD", &format!("{old}&signature={signature}")).await, 400);
    assert_eq!(status(&gateway, "HEAD", &format!("{old}&owner=x")).await, 400);
    assert_eq!(status(&gateway, "HEAD", &format!("{old}&%73cope=read")).await, 400);
}

/// Takes another configuration.
async fn reload(gateway: &Gateway, setup: &Setup, times: f64) {
    gateway.rewrite(&setup.toml());
    gateway.metric_reaches(RELOADS, &["outcome=\"taken\""], times).await;
}

async fn becomes(gateway: &Gateway, path: &str, status: u16) {
    until(&format!("{path} to be a {status}"), async || {
        gateway.send(&Request::new("HEAD", path)).await.status == status
    })
    .await;
}

/// The first event of a channel, read by its address.
async fn listen(gateway: &Gateway, url: &str) -> Answer {
    let mut answer = gateway.send(&Request::get(url).header("accept", "text/event-stream")).await;
    assert_eq!(answer.next_event().await.name.as_deref(), Some("connected"));
    answer
}

#[tokio::test]
async fn an_address_ends_with_the_key_that_made_it() {
    let mut upstream = Upstream::start().await;
    let gateway = both(setup(&upstream)).start().await;
    let (told, _call) = detached(&gateway, &mut upstream, ALICE).await;
    let (stream, channel) = (text_of(&told, "stream_url"), address(&gateway, ALICE, "job").await);
    let bobs = address(&gateway, BOB, "job").await;
    let mut reader = gateway.get(stream).await;
    assert!(reader.next_event().await.data.contains("Rhine"));
    let (mut page, mut other) = (listen(&gateway, &channel).await, listen(&gateway, &bobs).await);
    reload(&gateway, &setup(&upstream).key("bob", "sk-it-bob-2", PUBLISHES), 1.0).await;
    let (events, ending) = reader.events().await;
    assert_eq!(
        (events.last().unwrap().json()["error"]["code"].as_str(), ending),
        (Some("unauthorized"), Ending::Aborted)
    );
    let last = page.next_event().await;
    assert_eq!(
        (last.name.as_deref(), &last.json()["error"]["code"]),
        (Some("revoked"), &json!("unauthorized"))
    );
    for path in [stream, &channel] {
        becomes(&gateway, path, 401).await;
    }
    assert_eq!(status(&gateway, "POST", text_of(&told, "cancel_url")).await, 401);
    // The key of another under the same name is another key.
    let next = setup(&upstream).key("alice", "sk-it-alice-3", PUBLISHES).key("bob", "sk-it-bob-2", PUBLISHES);
    reload(&gateway, &next, 2.0).await;
    for path in [stream, &channel] {
        assert_eq!(status(&gateway, "HEAD", path).await, 401, "{path}");
    }
    publish(&gateway, BOB, "job", "on").await;
    assert_eq!(other.next_event().await.data, "on");
}

#[tokio::test]
async fn a_reader_ends_when_its_address_expires() {
    let mut upstream = Upstream::start().await;
    let gateway = both(setup(&upstream)).journal("url_lifetime = \"4s\"").start().await;
    let (told, _call) = detached(&gateway, &mut upstream, ALICE).await;
    let stream = text_of(&told, "stream_url");
    let mut reader = gateway.get(stream).await;
    assert!(reader.next_event().await.data.contains("Rhine"));
    let channel = address(&gateway, ALICE, "job").await;
    let mut page = listen(&gateway, &channel).await;
    let poll =
        Request::get(&format!("{stream}&wait=60s&starting_after=99")).header("accept", "application/json");
    let mut poll = gateway.send(&poll).await;
    assert_eq!((poll.status, &poll.json().await["error"]["code"]), (401, &json!("unauthorized")));
    let (events, ending) = reader.events().await;
    let error = events.last().unwrap().json()["error"].clone();
    assert_eq!((&error["code"], ending), (&json!("unauthorized"), Ending::Aborted));
    assert!(error["message"].as_str().unwrap().contains("expired"), "{error}");
    let last = page.next_event().await;
    assert_eq!(
        (last.name.as_deref(), &last.json()["error"]["code"]),
        (Some("expired"), &json!("unauthorized"))
    );
    for path in [stream, &channel] {
        assert_eq!(status(&gateway, "HEAD", path).await, 401, "{path}");
    }
}

#[tokio::test]
async fn an_address_opens_no_more_than_its_key_may_now() {
    let upstream = Upstream::start().await;
    let gateway = both(setup(&upstream)).start().await;
    let url = address(&gateway, ALICE, "job").await;
    assert_eq!(status(&gateway, "HEAD", &url).await, 200);
    let less = setup(&upstream).key("alice", "sk-it-alice-1", "scopes = [\"models\"]");
    reload(&gateway, &less, 1.0).await;
    becomes(&gateway, &url, 401).await;
}

#[tokio::test]
async fn without_keys_an_address_is_nobodys_and_ends_when_there_are_some() {
    let upstream = Upstream::start().await;
    let gateway = setup(&upstream).start().await;
    let url = address(&gateway, ("x-nothing", "x"), "job").await;
    let _page = listen(&gateway, &url).await;
    assert_eq!(status(&gateway, "HEAD", &url).await, 200);
    reload(&gateway, &both(setup(&upstream)), 1.0).await;
    becomes(&gateway, &url, 401).await;
}

#[tokio::test]
async fn an_address_for_reading_takes_over_from_nobody() {
    let mut upstream = Upstream::start().await;
    let gateway = both(setup(&upstream)).start().await;
    let (told, mut call) = detached(&gateway, &mut upstream, ALICE).await;
    let (url, id) = (text_of(&told, "stream_url"), text_of(&told, "id"));
    let view =
        |viewer: &str| by(ALICE, Request::get(&format!("/v1/streams/{id}?viewer={viewer}&exclusive=1")));
    let mut phone = gateway.send(&view("phone")).await;
    phone.next_event().await;
    for path in [format!("{url}&viewer=x&exclusive=1"), format!("{url}&viewer=phone&exclusive=true")] {
        let mut refused = gateway.get(&path).await;
        assert_eq!((refused.status, &refused.json().await["error"]["code"]), (403, &json!("forbidden")));
    }
    call.sse(&crate::support::openai::text("Main")).await;
    assert!(phone.next_event().await.data.contains("Main"), "it has kept its place");
    // A guest of the same name is not the viewer, and takes nothing along when it has to go.
    let mut guest = gateway.get(&format!("{url}&viewer=desk")).await;
    guest.next_event().await;
    let mut laptop = gateway.send(&view("laptop")).await;
    laptop.next_event().await;
    assert!(guest.events().await.0.last().unwrap().data.contains("superseded"));
    assert_eq!(gateway.send(&view("desk")).await.status, 200);
}

#[tokio::test]
async fn another_key_of_a_name_inherits_nothing() {
    let mut upstream = Upstream::start().await;
    let gateway = both(setup(&upstream)).start().await;
    let named = |key| by(key, wish(CHAT, &[("x-conversation-id", "talk"), ("idempotency-key", "k")]));
    let (asked, mut call) = ask(&gateway, &mut upstream, &named(ALICE)).await;
    call.say(&["Rhine"]).await;
    call.end().await;
    let mut answer = asked.answer().await;
    let id = super::stream_id(&answer);
    answer.events().await;
    let pay = publish(&gateway, ALICE, "pay", "for alice only").await;
    let heir = ("authorization", "Bearer sk-it-alice-3");
    reload(&gateway, &setup(&upstream).key("alice", "sk-it-alice-3", PUBLISHES), 1.0).await;
    until("the new key", async || gateway.send(&by(heir, Request::get("/v1/streams"))).await.status == 200)
        .await;
    let list = gateway.send(&by(heir, Request::get("/v1/streams"))).await.json().await;
    assert_eq!(list["data"], json!([]));
    for (method, path) in [
        ("GET", format!("/v1/streams/{id}")),
        ("GET", "/v1/conversations/talk/stream".to_owned()),
        ("GET", "/v1/stream/talk".to_owned()),
        ("DELETE", format!("/v1/streams/{id}")),
        ("HEAD", "/v1/channels/pay".to_owned()),
        ("DELETE", "/v1/channels/pay".to_owned()),
    ] {
        assert_eq!(gateway.send(&by(heir, Request::new(method, &path))).await.status, 404, "{method} {path}");
    }
    let cursor = by(heir, Request::get("/v1/channels/pay")).header("last-event-id", &format!("{pay}.0"));
    assert_eq!(gateway.send(&cursor).await.status, 410);
    let (_asked, _call) = ask(&gateway, &mut upstream, &named(heir)).await; // its key stands for nothing yet
}
