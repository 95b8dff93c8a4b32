//! A WebSocket on its way to one client (RFC 6455): messages go out, and nothing that comes in is listened to but a pong, a close,
//! and that it is lawful.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, Response, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::downstream::body::Body;
use crate::downstream::tail::Tail;
use crate::telemetry::Listener;

/// What a client that asks for a WebSocket has wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHandshake {
    /// It asks for none.
    Unasked,
    /// It speaks another version than 13.
    Version,
    /// Its key is not sixteen bytes in base64.
    Key,
}

/// The largest message of a client.
const MESSAGE_BYTES: usize = 64 << 10;
/// How much may wait to be written.
const WRITE_BYTES: usize = 4 << 20;
/// How long a client may take to read that the WebSocket is closed, and how much is read over meanwhile: what is left unread
/// would have the system throw away what was written.
const LAST_WORDS: Duration = Duration::from_secs(1);
const UNREAD_BYTES: usize = 64 << 20;

/// Answers the handshake. `protocol` is the one of the client's that is spoken.
pub fn handshake(headers: &HeaderMap, protocol: Option<HeaderValue>) -> Result<Response<Body>, NoHandshake> {
    let has = |name, word: &str| {
        let mut words = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        words.any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    };
    if !has(UPGRADE, "websocket") || !has(CONNECTION, "upgrade") {
        return Err(NoHandshake::Unasked);
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(NoHandshake::Version);
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    let lawful = key.len() == 24
        && key.ends_with(b"==")
        && key.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte));
    let accept = HeaderValue::try_from(derive_accept_key(key)).ok().filter(|_| lawful);
    let accept = accept.ok_or(NoHandshake::Key)?;
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol {
        answer.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(response)
}

/// Why a WebSocket is closed.
enum Ending {
    /// The client closed it, or is gone, or does not answer.
    Gone,
    /// By us: with a code, and words for people.
    Close(CloseCode, &'static str),
}

/// Tells a client what it listens to until it leaves or `draining` resolves. A ping goes out every `keep_alive`, and a client that
/// has answered none by the next is taken for gone.
pub async fn tell(
    upgraded: Upgraded,
    mut listener: Listener,
    keep_alive: Duration,
    draining: impl Future<Output = ()>,
) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES))
        .max_frame_size(Some(MESSAGE_BYTES))
        .max_write_buffer_size(WRITE_BYTES);
    let mut socket =
        WebSocketStream::from_raw_socket(Tail::new(TokioIo::new(upgraded)), Role::Server, Some(config)).await;
    let ending = tokio::select! {
        biased;
        () = draining => Ending::Close(CloseCode::Away, "the gateway is being restarted"),
        ending = converse(&mut socket, &mut listener, keep_alive) => ending,
    };
    drop(listener);
    if let Ending::Close(code, reason) = ending {
        drop(timeout(LAST_WORDS, close(socket, code, reason)).await); // it was told, or it does not listen
    }
}

type Socket = WebSocketStream<Tail<TokioIo<Upgraded>>>;

async fn converse(socket: &mut Socket, listener: &mut Listener, keep_alive: Duration) -> Ending {
    let mut pings = interval_at(Instant::now() + keep_alive, keep_alive);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay); // a ping must have its time
    let mut unanswered = false;
    loop {
        let message = tokio::select! {
            biased;
            came = socket.next() => match came {
                Some(Ok(Message::Pong(_))) => {
                    unanswered = false;
                    continue;
                }
                // A ping was answered already; what is said is not for us.
                Some(Ok(Message::Ping(_) | Message::Text(_) | Message::Binary(_) | Message::Frame(_))) => {
                    continue;
                }
                Some(Ok(Message::Close(_))) => {
                    drop(timeout(LAST_WORDS, socket.flush()).await); // the answer to it
                    return Ending::Gone;
                }
                None => return Ending::Gone,
                Some(Err(error)) => return ending_of(&error),
            },
            _ = pings.tick() => {
                if std::mem::replace(&mut unanswered, true) {
                    return Ending::Gone;
                }
                Message::Ping(bytes::Bytes::new())
            }
            message = listener.next() => Message::Text(message.as_ref().into()),
        };
        // A client that does not read would not answer a ping either.
        match timeout(keep_alive, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Ending::Gone,
        }
    }
}

/// What a client is told that does not keep to the protocol (RFC 6455 section 7.4.1).
fn ending_of(error: &Error) -> Ending {
    match error {
        Error::Protocol(_) | Error::AttackAttempt => Ending::Close(CloseCode::Protocol, "not a lawful frame"),
        Error::Utf8(_) => Ending::Close(CloseCode::Invalid, "not UTF-8"),
        Error::Capacity(_) => Ending::Close(CloseCode::Size, "the message is too large"),
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Tls(_)
        | Error::WriteBufferFull(_)
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => Ending::Gone,
    }
}

async fn close<I>(mut socket: WebSocketStream<Tail<I>>, code: CloseCode, reason: &'static str)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let frame = CloseFrame { code, reason: reason.into() };
    if socket.send(Message::Close(Some(frame))).await.is_err() {
        return;
    }
    // Both have said it now, and then the connection ends at once (RFC 6455 sections 5.5.1 and 7.1.1). What came with a frame that is
    // not lawful is not read as frames any more, but the Close is the last that a client sends.
    let mut rest = socket.into_inner();
    let (mut left, mut buffer) = (UNREAD_BYTES, [0; 4096]);
    while !rest.ends_with_close() && left > 0 {
        match rest.read(&mut buffer).await {
            Ok(read @ 1..) => left = left.saturating_sub(read),
            Ok(0) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    /// A client that has sent these bytes, and how long the connection stays behind the Close that it is sent for them.
    async fn stays(client: impl AsyncFnOnce(&mut DuplexStream)) -> Duration {
        let (mut theirs, ours) = duplex(1 << 20);
        let mut socket = WebSocketStream::from_raw_socket(Tail::new(ours), Role::Server, None).await;
        theirs.write_all(&[0x81, 0x01, b'a']).await.unwrap(); // not masked
        let error = socket.next().await.unwrap().unwrap_err();
        let Ending::Close(code, reason) = ending_of(&error) else { panic!("{error}") };
        client(&mut theirs).await;
        let start = Instant::now();
        drop(timeout(LAST_WORDS, close(socket, code, reason)).await);
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_at_once_behind_the_second_close() {
        let answer = [0x88, 0x82, 1, 2, 3, 4, 0x02, 0xe8];
        for pieces in
            [&[&answer[..]][..], &[&answer[..3], &answer[3..]], &[&[0x82, 0x81, 1, 2, 3, 4, 9], &answer]]
        {
            let client = async |stream: &mut DuplexStream| {
                for piece in pieces {
                    stream.write_all(piece).await.unwrap();
                }
            };
            assert_eq!(stays(client).await, Duration::ZERO, "{pieces:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_answer_a_close_has_its_time_to_read_it() {
        assert_eq!(stays(async |_| {}).await, LAST_WORDS);
        let more = async |stream: &mut DuplexStream| stream.write_all(&[7; 5000]).await.unwrap();
        assert_eq!(stays(more).await, LAST_WORDS);
    }
}
