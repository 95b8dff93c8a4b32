//! HTTP/2 on one connection, to its end.

use std::pin::{Pin, pin};
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

use crate::server::connection::{Client, LAST_WORDS};
use crate::server::inspect::Inspected;
use crate::server::phase::IDLE;
use crate::server::streams::{Overdue, Streams};
use crate::server::{Closing, Hangup, RequestService};

/// Requests at a time.
const STREAMS: u32 = 128;
/// Streams that the client has reset and that are not forgotten yet; more end the connection (CVE-2023-44487).
const PENDING_RESETS: usize = 20;
/// Streams that were reset for the client's errors; more end the connection.
const ERROR_RESETS: usize = 256;
/// What a client may send of one body before it is read, and of all.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What waits for a client in each stream, beside what it has room for.
const SEND_BUFFER: usize = 64 * 1024;
/// A client that has been silent for so long is asked whether it is there, and has as long to answer.
const PING: Duration = Duration::from_secs(20);
/// How often it is looked whether the client keeps its times.
const LOOK: Duration = Duration::from_secs(2);

/// Serves one connection to its end.
pub(super) async fn serve<T, S>(io: T, service: S, client: Client<'_>)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: RequestService,
{
    let Client { watch, origin, terms } = &client;
    let streams = Streams::new(terms.tasks.clone());
    let book = streams.clone();
    let answer = service_fn(move |mut request| {
        let stream = book.open();
        request.extensions_mut().insert(Hangup(stream.hangup()));
        if book.is_closing() {
            request.extensions_mut().insert(Closing);
        }
        origin.stamp(&mut request);
        let answer = service.clone().call(request);
        async move { answer.await.map(|response| response.map(|body| stream.answers(body))) }
    });
    let connection = http2::Builder::new(streams.clone())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(terms.max_header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(ERROR_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .serve_connection(TokioIo::new(Inspected::http2(io, streams.clone())), answer);
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        result = connection.as_mut() => log(result, &streams, &client),
        () = watch.stuck(terms.write_timeout) => {
            client.refused("slow_read");
        }
        overdue = overdue(&streams, &client) => match overdue {
            Overdue::Head => {
                client.refused("slow_head");
            }
            Overdue::Idle => {
                connection.as_mut().graceful_shutdown();
                drop(timeout(LAST_WORDS, connection).await); // it was told, or it does not listen
            }
        },
        () = client.ending() => {
            leave(connection, http2::Connection::graceful_shutdown, &streams, &client).await;
        }
    }
}

/// Ends a connection behind its last stream.
async fn leave<C: Future<Output = hyper::Result<()>>>(
    mut connection: Pin<&mut C>,
    goaway: impl Fn(Pin<&mut C>),
    streams: &Streams,
    client: &Client<'_>,
) {
    let Client { watch, terms, .. } = client;
    let (mut patience, mut told) = (pin!(client.patience()), false);
    loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => break log(result, streams, client),
            () = watch.stuck(terms.write_timeout) => {
                client.refused("slow_read");
                break;
            }
            overdue = overdue(streams, client) => break tracing::debug!(?overdue, "connection ended"),
            () = async { terms.shutdown.drained().await; sleep(LAST_WORDS).await } => break,
            // h2 of Python, on which the SDKs of OpenAI and Anthropic stand, fails all streams of a connection at a GOAWAY,
            // whatever it says: it goes out when none is left.
            () = streams.unoccupied(), if !told => {
                goaway(connection.as_mut());
                told = true;
            }
            () = patience.as_mut(), if !streams.is_closing() => streams.close(),
        }
    }
}

/// Ends streams whose clients take nothing, until the whole connection is overdue.
async fn overdue(streams: &Streams, client: &Client<'_>) -> Overdue {
    loop {
        sleep(LOOK).await;
        for _ in 0..streams.end_stuck(client.terms.write_timeout) {
            client.refused("slow_read");
        }
        if let Some(overdue) = streams.overdue(client.terms.header_timeout, IDLE) {
            return overdue;
        }
    }
}

fn log(result: hyper::Result<()>, streams: &Streams, client: &Client<'_>) {
    if streams.is_flooded() {
        client.refused("flood");
    }
    if let Err(error) = result {
        tracing::debug!(error = ?error, "connection ended");
    }
}
