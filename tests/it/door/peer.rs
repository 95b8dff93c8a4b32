//! A client that speaks HTTP/2, frame by frame, and clients whose bytes are all that matters.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::within;

/// One connection of HTTP/2.
pub(super) struct Http2 {
    pub(super) requests: SendRequest<Bytes>,
    connection: JoinSet<Result<(), h2::Error>>,
}

impl Http2 {
    pub(super) async fn over<T>(io: T) -> Self
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (requests, connection) = within("the preface", h2::client::handshake(io)).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        Self { requests, connection: tasks }
    }

    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    /// Asks for a chat; the stream of the request resets it.
    pub(super) async fn post(&mut self, body: &Value) -> (ResponseFuture, SendStream<Bytes>) {
        let request = Request::post("http://localhost/v1/chat/completions");
        self.send(request.header("content-type", "application/json").body(()).unwrap(), Some(body)).await
    }

    pub(super) async fn get(&mut self, uri: &str) -> Response<RecvStream> {
        self.answer(Request::get(uri).body(()).unwrap()).await
    }

    pub(super) async fn answer(&mut self, request: Request<()>) -> Response<RecvStream> {
        let (answer, _) = self.send(request, None).await;
        within("an answer", answer).await.unwrap()
    }

    async fn send(
        &mut self,
        request: Request<()>,
        body: Option<&Value>,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let requests = self.requests.clone();
        let mut requests = within("room for a request", requests.ready()).await.unwrap();
        let (answer, mut stream) = requests.send_request(request, body.is_none()).unwrap();
        if let Some(body) = body {
            stream.send_data(body.to_string().into(), true).unwrap();
        }
        (answer, stream)
    }

    /// How the connection ended.
    pub(super) async fn ended(mut self) -> Result<(), h2::Error> {
        drop(self.requests);
        within("the connection's end", self.connection.join_next()).await.unwrap().unwrap()
    }
}

/// A connection whose incoming bytes are kept, to look at the frames that a library does not show.
pub(super) struct Tap {
    stream: TcpStream,
    came: Frames,
}

/// The frames that have come.
#[derive(Clone, Default)]
pub(super) struct Frames(Arc<Mutex<Vec<u8>>>);

impl Tap {
    pub(super) async fn connect(address: SocketAddr) -> (Self, Frames) {
        let came = Frames::default();
        (Self { stream: TcpStream::connect(address).await.unwrap(), came: came.clone() }, came)
    }
}

impl Frames {
    /// How many of them are a GOAWAY (RFC 9113 section 6.8).
    pub(super) fn goaways(&self) -> usize {
        const HEAD: usize = 9;
        const GOAWAY: u8 = 7;
        let bytes = self.0.lock();
        let (mut rest, mut count) = (bytes.as_slice(), 0);
        while let Some((head, behind)) = rest.split_at_checked(HEAD) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            count += usize::from(head[3] == GOAWAY);
            rest = behind.get(length..).unwrap_or_default();
        }
        count
    }
}

impl AsyncRead for Tap {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = to.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, to);
        this.came.0.lock().extend_from_slice(&to.filled()[before..]);
        polled
    }
}

impl AsyncWrite for Tap {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, from)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// The next bytes of an answer, which are room for more.
pub(super) async fn piece(body: &mut RecvStream) -> Option<Result<String, h2::Error>> {
    let piece = within("a piece of an answer", body.data()).await?;
    Some(piece.map(|piece| {
        body.flow_control().release_capacity(piece.len()).unwrap();
        String::from_utf8(piece.to_vec()).unwrap()
    }))
}

/// All that comes until the stream ends: its text, and the reason if it was reset.
pub(super) async fn rest(body: &mut RecvStream) -> (String, Option<Reason>) {
    let mut text = String::new();
    while let Some(next) = piece(body).await {
        match next {
            Ok(piece) => text += &piece,
            Err(error) => return (text, Some(error.reason().expect("a reset"))),
        }
    }
    (text, None)
}

/// Writes these bytes, and reads all that comes until the gateway closes. A close with a reset counts, too.
pub(super) async fn told(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may be closed upon before all is written.
    drop(within("the gateway to take bytes", stream.write_all(bytes)).await);
    read_all(&mut stream).await
}

/// All that comes until the end.
pub(super) async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut heard = Vec::new();
    let mut buffer = vec![0; 4096];
    loop {
        match within("the gateway to close", stream.read(&mut buffer)).await {
            Ok(0) | Err(_) => return String::from_utf8_lossy(&heard).into_owned(),
            Ok(read) => heard.extend_from_slice(&buffer[..read]),
        }
    }
}

/// Reads until this text has come.
pub(super) async fn read_until(stream: &mut (impl AsyncRead + Unpin), text: &str) -> String {
    let mut heard = String::new();
    let mut buffer = vec![0; 4096];
    while !heard.contains(text) {
        let read = within(&format!("{text:?}"), stream.read(&mut buffer)).await.unwrap();
        assert!(read > 0, "the end before {text:?}: {heard}");
        heard += std::str::from_utf8(&buffer[..read]).unwrap();
    }
    heard
}
