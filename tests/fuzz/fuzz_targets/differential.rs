//! A client sends anything at all, in any pieces: of what the strict look lets through, hyper and the plainest reader read the same
//! requests, and all three see them end at the same places.

#![no_main]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use libfuzzer_sys::fuzz_target;
use streamgate::server::strict::Requests;
use streamgate_fuzz::plain::{Plain, requests};

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let (mut strict, mut wire) = (Requests::default(), Wire::default());
    for piece in bytes.chunks(usize::from(size).max(1) * 16) {
        let looked = strict.look(piece);
        let passed = looked.map_or_else(|found| found.pass, |()| piece.len());
        wire.pieces.push(Bytes::copy_from_slice(&piece[..passed]));
        wire.breaks = looked.is_err();
        if wire.breaks {
            break;
        }
    }
    let passed = wire.pieces.concat();
    let plain = requests(&passed);
    ends(&passed, &plain);
    let (read, fine) = hyper_reads(wire);
    for (read, plain) in read.iter().zip(&plain) {
        check(read, plain);
    }
    assert!(read.len() <= plain.len(), "hyper reads a request that nobody sent: {read:?}");
    if let Some(last) = plain.get(read.len().wrapping_sub(1)).or(plain.first()) {
        assert!(read.len() == plain.len() || !fine || closes(last), "hyper read over requests: {plain:?}");
    }
});

/// The strict look sees requests end where they end for the plainest reader.
fn ends(passed: &[u8], plain: &[Plain]) {
    for end in plain.iter().filter_map(|request| request.end) {
        let behind = |bytes: &[u8]| {
            let mut strict = Requests::default();
            assert_eq!(strict.look(&passed[..end]), Ok(()));
            strict.look(bytes)
        };
        assert!(behind(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").is_ok(), "{end}: it expects something else");
        assert!(behind(b"\n").is_err_and(|found| found.pass == 0 && !found.midway), "{end}: no head begins");
    }
}

/// Is it lawful to read nothing more behind it?
fn closes(request: &Plain) -> bool {
    let says = |word: &str| {
        let values = request.values("connection").into_iter();
        let text: Vec<String> =
            values.map(|value| String::from_utf8_lossy(value).to_ascii_lowercase()).collect();
        text.iter().any(|value| value.contains(word))
    };
    request.end.is_none() || request.version == "HTTP/1.0" || says("close")
}

/// What hyper has read of a request.
#[derive(Debug)]
struct Seen {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    body: Vec<u8>,
    whole: bool,
}

fn check(seen: &Seen, plain: &Plain) {
    assert_eq!(seen.method.as_str(), plain.method);
    assert_eq!(format!("{:?}", seen.version), plain.version);
    let read = seen.uri.path_and_query().map(|target| target.as_str()).unwrap_or_default();
    match plain.target.split_once("://").filter(|_| !plain.target.starts_with('/')) {
        None => assert_eq!(read, plain.target),
        Some((_, rest)) => {
            let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            assert_eq!(seen.uri.authority().map(|authority| authority.as_str()), Some(authority));
            assert!(read == rest || read.strip_prefix('/') == Some(rest), "{read} is not {rest}");
        }
    }
    let mut fields: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
    for (name, value) in &plain.fields {
        fields.entry(name).or_default().push(value);
    }
    let mut headers: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
    for (name, value) in &seen.headers {
        headers.entry(name.as_str()).or_default().push(value.as_bytes());
    }
    assert_eq!(headers, fields);
    assert!(plain.body.starts_with(&seen.body), "{seen:?} is not {plain:?}");
    if seen.whole {
        assert!(plain.end.is_some() && seen.body == plain.body, "{seen:?} is not {plain:?}");
    }
}

/// The requests, and whether it found nothing wrong.
fn hyper_reads(wire: Wire) -> (Vec<Seen>, bool) {
    let all: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let kept = Arc::clone(&all);
    let service = service_fn(move |request: Request<Incoming>| {
        let kept = Arc::clone(&kept);
        async move {
            let (head, mut incoming) = request.into_parts();
            let (mut body, mut whole) = (Vec::new(), true);
            while let Some(frame) = incoming.frame().await {
                match frame.map(|frame| frame.into_data()) {
                    Ok(data) => body.extend_from_slice(&data.unwrap_or_default()),
                    Err(_) => whole = false,
                }
            }
            let http::request::Parts { method, uri, version, headers, .. } = head;
            let seen = Seen { method, uri, version, headers, body, whole };
            kept.lock().expect("nobody panics").push(seen);
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(64 * 1024)
        .serve_connection(wire, service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut context = Context::from_waker(Waker::noop());
    let ended = (0..100_000).find_map(|_| match connection.as_mut().poll(&mut context) {
        Poll::Ready(result) => Some(result.is_ok()),
        Poll::Pending => None, // it has read much, and would let others run
    });
    let read = std::mem::take(&mut *all.lock().expect("nobody panics"));
    (read, ended.expect("nothing is waited for"))
}

/// What comes in is there already, and what goes out goes nowhere.
#[derive(Default)]
struct Wire {
    pieces: Vec<Bytes>,
    /// How many have been read.
    read: usize,
    /// Behind them stands an error.
    breaks: bool,
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let (at, breaks) = (self.read, self.breaks);
        let Some(piece) = self.pieces.get_mut(at) else {
            let broken = || Err(io::ErrorKind::InvalidData.into());
            return Poll::Ready(if breaks { broken() } else { Ok(()) });
        };
        let some = piece.split_to(buffer.remaining().min(piece.len()));
        let is_empty = piece.is_empty();
        self.read += usize::from(is_empty);
        if some.is_empty() {
            return self.poll_read(&mut Context::from_waker(Waker::noop()), buffer);
        }
        buffer.put_slice(&some);
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
