//! `/events`: what the gateway and its backends do, as messages on a WebSocket or as Server-Sent Events.

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HeaderValue, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;

use crate::api::Parts;
use crate::api::retry::{RETRY, RETRY_LATER, spread};
use crate::api::stopped::dismissed;
use crate::downstream::{Body, Manner, NoHandshake, StreamBody, handshake, retry_later, stream, tell};
use crate::edge::{Caller, KEY_PROTOCOL, Parameter, Query, Refusal, Traced};
use crate::journal::{self, Backlog, Writer};
use crate::telemetry::{Access, Interest, Listener, Taken};
use crate::wire::{Code, Framing};

/// How many bytes may wait for a reader before it begins to lag.
const READER_BYTES: usize = 64 << 10;

/// Tells the caller what goes on, for as long as it listens.
pub(super) fn events(
    parts: &Parts,
    traced: Traced,
    query: &Query,
    caller: &Caller,
) -> Result<Response<Body>, Refusal> {
    let Traced { access, request, .. } = traced;
    let interest = interest(query, caller)?;
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let comes_back = accept.is_some_and(|accept| accept.contains("text/event-stream"));
    match handshake(request.headers(), protocol(request.headers())) {
        Ok(response) => {
            let listener = listen(parts, interest)?;
            upgrade(parts, request, listener, (access, caller.clone()));
            Ok(response)
        }
        Err(NoHandshake::Unasked) if comes_back => {
            if parts.shutdown.is_draining() {
                return Ok(retry_later(spread(RETRY_LATER)));
            }
            let listener = listen(parts, interest)?;
            Ok(follow(parts, listener, (access, caller.clone())))
        }
        Err(why) => Err(refused(why)),
    }
}

fn listen(parts: &Parts, interest: Interest) -> Result<Listener, Refusal> {
    if parts.shutdown.is_draining() {
        return Err(Refusal::new(Code::Draining, "the gateway is being restarted").retry_after(1));
    }
    parts.pool.board().listen(interest).map_err(|taken| match taken {
        Taken::All => Refusal::new(Code::QueueFull, "as many listen to the events as may").retry_after(5),
        Taken::Share => {
            let words = "as many listen to the events with this key as may with one";
            Refusal::new(Code::RateLimited, words).retry_after(5)
        }
    })
}

/// `?only=downloads,backends,streams`.
fn interest(query: &Query, caller: &Caller) -> Result<Interest, Refusal> {
    let mut interest = Interest::all(caller.owner().map(String::from));
    let Some(only) = query.get(Parameter::Only) else { return Ok(interest) };
    (interest.backends, interest.downloads, interest.streams) = (false, false, false);
    for kind in only.split(',') {
        match kind {
            "backends" => interest.backends = true,
            "downloads" => interest.downloads = true,
            "streams" => interest.streams = true,
            _ => {
                let words = "`only` is a list of `backends`, `downloads` and `streams`";
                return Err(Refusal::new(Code::InvalidRequest, words));
            }
        }
    }
    Ok(interest)
}

/// The first protocol of the client's list that is not its key. A browser gives up if none is chosen of those it offered.
fn protocol(headers: &HeaderMap) -> Option<HeaderValue> {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut offered = offered.flat_map(|value| value.split(',')).map(str::trim);
    let chosen = offered.find(|protocol| !protocol.is_empty() && !protocol.starts_with(KEY_PROTOCOL))?;
    HeaderValue::try_from(chosen).ok()
}

fn refused(why: NoHandshake) -> Refusal {
    let refuse = |words: &str, status| Refusal::new(Code::InvalidRequest, words).with_status(status);
    match why {
        NoHandshake::Unasked => {
            let words = "events are told on a WebSocket, or with `Accept: text/event-stream`";
            let upgrade = refuse(words, 426).header(UPGRADE, HeaderValue::from_static("websocket"));
            upgrade.header(CONNECTION, HeaderValue::from_static("upgrade"))
        }
        NoHandshake::Version => refuse("the only version of WebSocket that is spoken is 13", 426)
            .header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
            .header(UPGRADE, HeaderValue::from_static("websocket")),
        NoHandshake::Key => refuse("`Sec-WebSocket-Key` must be sixteen bytes in base64", 400),
    }
}

fn upgrade(
    parts: &Parts,
    request: Request<Incoming>,
    listener: Listener,
    (access, caller): (Access, Caller),
) {
    let (shutdown, keep_alive) = (parts.shutdown.clone(), parts.keep_alive);
    parts.tasks.spawn(async move {
        let _access = access; // its line is written when the WebSocket is closed
        match hyper::upgrade::on(request).await {
            Ok(upgraded) => Box::pin(tell(upgraded, listener, keep_alive, dismissed(shutdown, caller))).await,
            Err(error) => tracing::debug!(%error, "no WebSocket"),
        }
    });
}

fn follow(parts: &Parts, listener: Listener, (access, caller): (Access, Caller)) -> Response<Body> {
    let (writer, reader) = journal::open(READER_BYTES);
    parts.tasks.spawn(pump(listener, writer, dismissed(parts.shutdown.clone(), caller)));
    let manner = Manner::plain(b": keep-alive\n", parts.keep_alive);
    stream(Framing::Sse, StreamBody::new(reader, access, manner))
}

/// Hands messages on until nobody reads them, or the listener may listen no longer.
async fn pump(mut listener: Listener, writer: Writer, dismissed: impl Future<Output = ()>) {
    let mut retry = format!("retry: {}\n", spread(RETRY)); // within the first block that has data
    let telling = async {
        loop {
            let message = tokio::select! {
                biased;
                _ = writer.abandoned() => return,
                message = listener.next() => message,
            };
            let frame = format!("{}data: {message}\n\n", std::mem::take(&mut retry));
            match writer.append([Bytes::from(frame)]) {
                Backlog::Room => {}
                Backlog::Full => writer.room().await,
                Backlog::Abandoned => return,
            }
        }
    };
    tokio::select! {
        biased;
        () = dismissed => {}
        () = telling => {}
    }
    writer.close();
}
