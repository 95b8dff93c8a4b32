//! A raw HTTP/1.1 client: one connection, which sends what it is told to, and reads the heads of answers.

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::answer::Answer;
use super::pieces::find;
use super::request::Request;
use super::within;

/// One connection to the gateway, with no answer under way.
pub(crate) struct Client {
    pub(super) stream: TcpStream,
    /// What has arrived and was not looked at.
    pub(super) buffer: BytesMut,
    host: String,
    /// The answer will have no body: HEAD was asked.
    pub(super) bodyless: bool,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).await.unwrap()
    }

    /// A connection, where nobody may be listening any more.
    pub(crate) async fn try_connect(address: SocketAddr) -> io::Result<Self> {
        Self::connect_with(address, None).await
    }

    /// A connection whose receive buffer is small, so that a reader that does not read is soon felt.
    pub(crate) async fn connect_narrow(address: SocketAddr) -> Self {
        Self::connect_with(address, Some(128 * 1024)).await.unwrap()
    }

    async fn connect_with(address: SocketAddr, receive_buffer: Option<u32>) -> io::Result<Self> {
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(size) = receive_buffer {
            socket.set_recv_buffer_size(size).unwrap();
        }
        let stream = within("a connection to the gateway", socket.connect(address)).await?;
        stream.set_nodelay(true).unwrap();
        Ok(Self { stream, buffer: BytesMut::new(), host: address.to_string(), bodyless: false })
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        within("the gateway to take request bytes", self.stream.write_all(bytes)).await.unwrap();
    }

    /// Writes a request; the answer is read with [`Client::answer`].
    pub(crate) async fn ask(&mut self, request: &Request) {
        self.bodyless = request.is_head();
        self.send(&request.to_bytes(&self.host)).await;
    }

    /// Writes a request; false if the connection is closed already.
    pub(crate) async fn try_ask(&mut self, request: &Request) -> bool {
        let bytes = request.to_bytes(&self.host);
        within("the gateway to take request bytes", self.stream.write_all(&bytes)).await.is_ok()
    }

    /// Writes a body that the gateway need not take, and reads the answer; `None` if it closed without one.
    pub(crate) async fn send_all_and_answer(mut self, body: &[u8]) -> Option<Answer> {
        // What is refused early may be answered, or closed upon, before all is written.
        drop(within("the gateway to take or refuse a body", self.stream.write_all(body)).await);
        self.answer_or_close().await
    }

    /// Goes away with a RST, as a crashed client does.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// Reads the head of the answer to what was asked.
    pub(crate) async fn answer(self) -> Answer {
        within("the head of an answer", self.read_head())
            .await
            .expect("the gateway closed before the head of an answer")
    }

    /// The answer, or `None` if the gateway closed the connection without one.
    pub(crate) async fn answer_or_close(self) -> Option<Answer> {
        within("an answer or the end of the connection", self.read_head()).await
    }

    async fn read_head(mut self) -> Option<Answer> {
        let end = loop {
            match find(&self.buffer, b"\r\n\r\n") {
                Some(end) => break end,
                None if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 => return None,
                None => {}
            }
        };
        let head = self.buffer.split_to(end + 4);
        let head = std::str::from_utf8(&head).expect("a head in UTF-8").to_owned();
        let mut lines = head.trim_end().split("\r\n");
        let status: u16 = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').expect("a header line with a colon"))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Some(Answer::new(status, headers, self))
    }
}
