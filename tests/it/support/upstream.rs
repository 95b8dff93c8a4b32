//! The scripted model server: it accepts, reads a request, and hands it to the test, which decides what is sent and when.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::call::{Call, whole};
use super::pieces::{cut_chunk, find};
use super::within;

pub(crate) struct Upstream {
    address: SocketAddr,
    calls: mpsc::Receiver<Call>,
    seen: Arc<AtomicUsize>,
    gets: Arc<Mutex<Vec<String>>>,
    pages: Pages,
    _tasks: JoinSet<()>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        Self::on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap())
    }

    /// Begins to listen where so far connections were refused.
    pub(crate) fn at(refusing: Socket) -> Self {
        refusing.listen(128).unwrap();
        refusing.set_nonblocking(true).unwrap();
        Self::on(TcpListener::from_std(refusing.into()).unwrap())
    }

    fn on(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let (sender, calls) = mpsc::channel(64);
        let (seen, pages) = (Arc::new(AtomicUsize::new(0)), Pages::default());
        let gets = Arc::<Mutex<Vec<String>>>::default();
        let desk =
            Desk { sender, seen: Arc::clone(&seen), gets: Arc::clone(&gets), pages: Arc::clone(&pages) };
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, desk));
        Self { address, calls, seen, gets, pages, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, `GET path` is answered with this document, without the test's doing.
    pub(crate) fn page(&self, path: &str, document: &Value) {
        self.pages.lock().insert(path.to_owned(), (200, document.to_string()));
    }

    /// From now on, `GET path` is answered with this status.
    pub(crate) fn status(&self, path: &str, status: u16) {
        self.pages.lock().insert(path.to_owned(), (status, "{}".to_owned()));
    }

    /// The next request other than a GET.
    pub(crate) async fn call(&mut self) -> Call {
        within("a call of the gateway to its backend", self.calls.recv()).await.unwrap()
    }

    /// The same however long it takes; `None` when the server is gone.
    pub(super) async fn any_call(&mut self) -> Option<Call> {
        self.calls.recv().await
    }

    /// How many requests other than a GET came so far.
    pub(crate) fn calls_seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }

    /// How often `GET path` came so far.
    pub(crate) fn gets_seen(&self, path: &str) -> usize {
        self.gets.lock().iter().filter(|seen| *seen == path).count()
    }
}

/// An address where nobody listens, and nobody else can begin to while the socket is kept.
pub(crate) fn refusing_address() -> (Socket, String) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, format!("http://{address}"))
}

/// An address where a connection attempt hangs: the queue of its listener is full, so that SYNs are dropped.
pub(crate) fn deaf_address() -> (Vec<Socket>, String) {
    let (listener, url) = refusing_address();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut kept = vec![listener];
    for _ in 0..2 {
        let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        filler.set_nonblocking(true).unwrap();
        // "In progress" is the expected answer of a connect that does not block.
        drop(filler.connect(&address));
        kept.push(filler);
    }
    (kept, url)
}

/// A status and a document for every path.
type Pages = Arc<Mutex<HashMap<String, (u16, String)>>>;

#[derive(Clone)]
struct Desk {
    sender: mpsc::Sender<Call>,
    seen: Arc<AtomicUsize>,
    gets: Arc<Mutex<Vec<String>>>,
    pages: Pages,
}

async fn accept(listener: TcpListener, desk: Desk) {
    let mut connections = JoinSet::new();
    let mut number = 0;
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        connections.spawn(converse(stream, number, desk.clone()));
        number += 1;
    }
}

/// One connection: request after request, as long as the test gives it back.
async fn converse(mut stream: TcpStream, connection: usize, desk: Desk) {
    while let Some(asked) = read_request(&mut stream).await {
        if asked.method == "GET" {
            desk.gets.lock().push(asked.path.clone());
            let page = desk.pages.lock().get(&asked.path).cloned();
            let answer = match page {
                Some((status, document)) => whole(status, &[], &document),
                None => whole(404, &[], &json!({"error": "no such page"}).to_string()),
            };
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
            continue;
        }
        let (back, returned) = oneshot::channel();
        let Asked { method, path, headers, body } = asked;
        desk.seen.fetch_add(1, Ordering::SeqCst);
        let said = Vec::new();
        let call = Call { method, path, headers, body, connection, said, stream, back };
        if desk.sender.send(call).await.is_err() {
            return;
        }
        match returned.await {
            Ok(kept) => stream = kept,
            Err(_) => return,
        }
    }
}

struct Asked {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

/// `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> Option<Asked> {
    let mut buffer = BytesMut::new();
    let end = loop {
        if let Some(end) = find(&buffer, b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = buffer.split_to(end + 4);
    let head = std::str::from_utf8(&head).expect("a head in UTF-8");
    let mut lines = head.trim_end().split("\r\n");
    let (method, rest) = lines.next()?.split_once(' ').expect("a request line");
    let (path, _) = rest.split_once(' ').expect("a request line");
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(':').expect("a header line with a colon"))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let chunked = headers.iter().any(|(name, _)| name == "transfer-encoding");
    let body = match length {
        Some((_, length)) => read_length(stream, &mut buffer, length.parse().unwrap()).await?,
        None if chunked => read_chunks(stream, &mut buffer).await?,
        None => Bytes::new(),
    };
    assert!(buffer.is_empty(), "bytes behind a request: {buffer:?}");
    Some(Asked { method: method.to_owned(), path: path.to_owned(), headers, body })
}

async fn read_length(stream: &mut TcpStream, buffer: &mut BytesMut, length: usize) -> Option<Bytes> {
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    Some(buffer.split_to(length).freeze())
}

async fn read_chunks(stream: &mut TcpStream, buffer: &mut BytesMut) -> Option<Bytes> {
    let mut body = BytesMut::new();
    loop {
        while let Some(piece) = cut_chunk(buffer) {
            if piece.is_empty() {
                return Some(body.freeze());
            }
            body.extend_from_slice(&piece);
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}
