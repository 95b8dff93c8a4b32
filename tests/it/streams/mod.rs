//! Streams that survive: recorded, read again from any event on, followed by many, taken over, cancelled, kept and forgotten.

mod addresses;
mod aliases;
mod asynchronous;
mod cancelling;
mod conflicts;
mod continuing;
mod crowds;
mod cuts;
mod follow;
mod ids;
mod keys;
mod pages;
mod polls;
mod repeats;
mod room;
mod state;
mod tenants;
mod viewers;

use serde_json::Value;

use crate::support::pairs::{DOORS, request};
use crate::support::{Answer, Call, Client, Event, Gateway, Request, Setup, Upstream};

const CHAT: &str = "/v1/chat/completions";
const TALK: &str = "x-conversation-id";

/// A gateway before one backend of this API, with lines of `[stream]` and of `[journal]`.
async fn gateway(api: &str, stream: &[&str], journal: &[&str]) -> (Gateway, Upstream) {
    let upstream = Upstream::start().await;
    let setup = Setup::new().lines(stream).backend("one", api, &upstream.url());
    let setup = journal.iter().fold(setup, |setup, line| setup.journal(line));
    (setup.start().await, upstream)
}

fn door_of(api: &str) -> &'static str {
    DOORS.into_iter().find(|(_, own)| *own == api).unwrap().0
}

/// A streamed request at this door, with these headers.
fn wish(door: &str, headers: &[(&str, &str)]) -> Request {
    with(Request::post(door, &request(door, "m", true)), headers)
}

fn with(request: Request, headers: &[(&str, &str)]) -> Request {
    headers.iter().fold(request, |request, (name, value)| request.header(name, value))
}

/// What was asked, the backend's call with the text `Rhine` through, and the head of the answer.
async fn begin(gateway: &Gateway, upstream: &mut Upstream, request: &Request) -> (Answer, Call) {
    let (asked, mut call) = ask(gateway, upstream, request).await;
    call.say(&["Rhine"]).await;
    (asked.answer().await, call)
}

async fn ask(gateway: &Gateway, upstream: &mut Upstream, request: &Request) -> (Client, Call) {
    let asked = gateway.ask(request).await;
    (asked, upstream.call().await)
}

/// A stream of this conversation at the door of its backend's API.
async fn named(api: &str, stream: &[&str], journal: &[&str]) -> (Gateway, Upstream, Answer, Call) {
    let (gateway, mut upstream) = gateway(api, stream, journal).await;
    let (answer, call) = begin(&gateway, &mut upstream, &wish(door_of(api), &[(TALK, "talk")])).await;
    (gateway, upstream, answer, call)
}

/// The same, read to its end; also its id.
async fn finished(api: &str, journal: &[&str]) -> (Gateway, Upstream, Vec<Event>, String) {
    let (gateway, upstream, mut answer, call) = named(api, &[], journal).await;
    call.end().await;
    let id = stream_id(&answer);
    (gateway, upstream, answer.events().await.0, id)
}

fn stream_id(answer: &Answer) -> String {
    answer.header("stream-id").expect("a Stream-Id").to_owned()
}

/// A reader as a browser's `EventSource` is one.
fn source(id: &str, last: Option<&str>) -> Request {
    let request = Request::get(&format!("/v1/streams/{id}")).header("accept", "text/event-stream");
    match last {
        Some(last) => request.header("last-event-id", last),
        None => request,
    }
}

fn json_view(path: &str) -> Request {
    Request::get(path).header("accept", "application/json")
}

async fn described(gateway: &Gateway, id: &str) -> Value {
    let mut answer = gateway.send(&json_view(&format!("/v1/streams/{id}"))).await;
    assert_eq!(answer.status, 200);
    answer.json().await
}

/// Waits until a stream is in this state.
async fn becomes(gateway: &Gateway, id: &str, state: &str) -> Value {
    crate::support::until(&format!("{id} to be {state}"), async || {
        described(gateway, id).await["state"] == state
    })
    .await;
    described(gateway, id).await
}

/// The `id:` of an event.
fn id_of(event: &Event) -> Option<&str> {
    let text = std::str::from_utf8(&event.raw).unwrap();
    text.lines().find_map(|line| line.strip_prefix("id: "))
}

/// The number in the `id:` of an event.
fn number_of(event: &Event) -> u64 {
    let id = id_of(event).expect("an event with an id");
    id.rsplit_once('.').unwrap().1.parse().unwrap()
}

fn raws(events: &[Event]) -> Vec<u8> {
    events.iter().flat_map(|event| event.raw.to_vec()).collect()
}

/// Random numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}
