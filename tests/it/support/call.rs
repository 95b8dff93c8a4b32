//! One request to the scripted model server, and everything that a test may do with it.

use std::time::Duration;

use bytes::{Buf, Bytes};
use serde_json::Value;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{GUARD, script, within};

/// One request, and the right to answer it. Dropping it closes the connection.
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// Which connection of this upstream it came on, counted from 0.
    pub(crate) connection: usize,
    /// The texts that went out.
    pub(super) said: Vec<String>,
    pub(super) stream: TcpStream,
    /// Where the connection goes when it is to serve again.
    pub(super) back: oneshot::Sender<TcpStream>,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    /// Raw bytes, as they are.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        within("the gateway to read from its backend", self.stream.write_all(bytes))
            .await
            .expect("the gateway closed the backend's connection");
    }

    /// Raw bytes, to a gateway that may have closed the connection.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        within("the gateway to read from its backend", self.stream.write_all(bytes)).await
    }

    /// A head with a chunked body to come.
    pub(crate) async fn head(&mut self, status: u16, content_type: &str) {
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        self.send(head.as_bytes()).await;
    }

    /// The head of an OpenAI stream.
    pub(crate) async fn stream(&mut self) {
        self.head(200, "text/event-stream").await;
    }

    /// The head of an Ollama stream.
    pub(crate) async fn lines(&mut self) {
        self.head(200, "application/x-ndjson").await;
    }

    /// One HTTP chunk.
    pub(crate) async fn chunk(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
        framed.extend_from_slice(bytes);
        framed.extend_from_slice(b"\r\n");
        self.send(&framed).await;
    }

    /// One SSE event in a chunk of its own.
    pub(crate) async fn sse(&mut self, data: &Value) {
        self.chunk(format!("data: {data}\n\n")).await;
    }

    /// One SSE event with the name of its type, in a chunk of its own.
    pub(crate) async fn event(&mut self, data: &Value) {
        self.chunk(format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap())).await;
    }

    /// One NDJSON line in a chunk of its own.
    pub(crate) async fn line(&mut self, line: &Value) {
        self.chunk(format!("{line}\n")).await;
    }

    /// The head of a stream and these texts, in the dialect of the route that was called.
    pub(crate) async fn say(&mut self, texts: &[&str]) {
        let ndjson = self.path.starts_with("/api/");
        if ndjson {
            self.lines().await;
        } else {
            self.stream().await;
        }
        self.said.extend(texts.iter().map(|text| (*text).to_owned()));
        for frame in script::opening(&self.path, texts) {
            self.chunk(frame).await;
        }
    }

    /// The end of a stream that went well, in the dialect of the route that was called.
    pub(crate) async fn end(mut self) {
        for frame in script::ending(&self.path, &self.said) {
            self.chunk(frame).await;
        }
        self.finish().await;
    }

    /// The head of a stream, these frames, each in a chunk of its own, and the clean end. The gateway need not take what
    /// comes behind a terminator.
    pub(crate) async fn play(mut self, frames: &[String]) {
        self.say(&[]).await;
        let chunks = frames.iter().map(|frame| format!("{:x}\r\n{frame}\r\n", frame.len()));
        for chunk in chunks.chain(["0\r\n\r\n".to_owned()]) {
            if self.try_send(chunk.as_bytes()).await.is_err() {
                return;
            }
        }
        self.keep();
    }

    /// The clean last chunk; the connection is kept.
    pub(crate) async fn finish(mut self) {
        self.send(b"0\r\n\r\n").await;
        self.keep();
    }

    /// `data: [DONE]` and the clean last chunk.
    pub(crate) async fn done(mut self) {
        self.chunk("data: [DONE]\n\n").await;
        self.finish().await;
    }

    /// FIN without the last chunk.
    pub(crate) async fn cut(mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// RST.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// A whole answer in JSON; the connection is kept.
    pub(crate) async fn answer(self, status: u16, body: &Value) {
        self.answer_with(status, &[], &body.to_string()).await;
    }

    /// A whole answer with further headers; the connection is kept.
    pub(crate) async fn answer_with(mut self, status: u16, headers: &[(&str, &str)], body: &str) {
        self.send(whole(status, headers, body).as_bytes()).await;
        self.keep();
    }

    /// A whole answer of this type; the connection is kept.
    pub(crate) async fn answer_as(mut self, status: u16, content_type: &str, body: &str) {
        self.send(typed(status, content_type, &[], body).as_bytes()).await;
        self.keep();
    }

    /// Resolves when the gateway has closed its side; tells when that was.
    pub(crate) async fn closed(&mut self) -> Instant {
        self.closed_in(GUARD).await
    }

    /// The same for what may take long.
    pub(crate) async fn closed_in(&mut self, time: Duration) -> Instant {
        let mut scrap = [0; 1024];
        let closes = async { while self.stream.read(&mut scrap).await.unwrap_or(0) > 0 {} };
        let closed = tokio::time::timeout(time, closes).await;
        closed
            .unwrap_or_else(|_| panic!("waited {time:?} for the gateway to close the backend's connection"));
        Instant::now()
    }

    /// The gateway keeps this connection for so long, in which the backend is silent.
    pub(crate) async fn stays(&mut self, time: Duration) {
        let closed = tokio::time::timeout(time, self.closed()).await;
        assert!(closed.is_err(), "the gateway closed the backend's connection within {time:?}");
    }

    /// Sends this chunk again and again until the gateway has taken nothing for a second, or `limit` bytes are out.
    /// Tells how many bytes went out in whole chunks, and keeps what is left of the last one to be sent next.
    pub(crate) async fn flood(&mut self, chunk: &[u8], limit: usize) -> Flood {
        // A small send buffer, so that what the kernel takes on this side says little.
        SockRef::from(&self.stream).set_send_buffer_size(64 * 1024).unwrap();
        let mut framed = format!("{:x}\r\n", chunk.len()).into_bytes();
        framed.extend_from_slice(chunk);
        framed.extend_from_slice(b"\r\n");
        let mut sent = 0;
        while sent < limit {
            let mut left = Bytes::copy_from_slice(&framed);
            while left.has_remaining() {
                match tokio::time::timeout(Duration::from_secs(1), self.stream.write_buf(&mut left)).await {
                    Ok(written) => assert!(written.expect("the gateway closed the backend's connection") > 0),
                    Err(_) => {
                        return Flood { chunks: sent / chunk.len(), bytes: sent, unsent: left };
                    }
                }
            }
            sent += chunk.len();
        }
        Flood { chunks: sent / chunk.len(), bytes: sent, unsent: Bytes::new() }
    }

    fn keep(self) {
        // Nobody waits for the connection if the upstream is gone already.
        drop(self.back.send(self.stream));
    }
}

/// What became of [`Call::flood`].
pub(crate) struct Flood {
    /// Chunks that went out whole.
    pub(crate) chunks: usize,
    pub(crate) bytes: usize,
    /// The rest of one more chunk: empty if nothing ever blocked.
    pub(crate) unsent: Bytes,
}

/// A whole answer in JSON.
pub(super) fn whole(status: u16, headers: &[(&str, &str)], body: &str) -> String {
    typed(status, "application/json", headers, body)
}

fn typed(status: u16, content_type: &str, headers: &[(&str, &str)], body: &str) -> String {
    let headers: String = headers.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
    let length = body.len();
    format!(
        "HTTP/1.1 {status} x\r\ncontent-type: {content_type}\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
}
