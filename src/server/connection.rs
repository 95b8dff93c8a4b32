//! One connection, from its first byte to its last: hyper speaks HTTP on it, and beside it stand the client's leaving, the
//! client's slowness, and the end of the gateway.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::server::Held;
use crate::server::phase::{Expired, Phase};
use crate::server::shutdown::Shutdown;
use crate::server::socket::Socket;

/// What holds for every connection of a listener.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) shutdown: Shutdown,
    pub(super) header_timeout: Duration,
    pub(super) max_header_bytes: usize,
}

/// Ends the connection that a request came on, when it does not end by itself: it may hang in a write. Among the extensions of
/// every request.
#[derive(Clone, Debug)]
pub struct Hangup(pub CancellationToken);

/// How long the last words of streams may take when their connection is to end.
const LAST_WORDS: Duration = Duration::from_secs(2);
const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Serves one connection to its end.
pub(super) async fn run<S, B>((stream, held): (TcpStream, Held), service: S, terms: Terms)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let phase = Phase::new();
    let (socket, watch) = Socket::new(stream, phase.clone(), held);
    let hangup = CancellationToken::new();
    let answer = {
        let phase = phase.clone();
        let hangup = hangup.clone();
        service_fn(move |mut request| {
            phase.serves();
            request.extensions_mut().insert(Hangup(hangup.clone()));
            let (answer, phase) = (service.clone().call(request), phase.clone());
            async move { answer.await.map(|response| response.map(|body| phase.answers(body))) }
        })
    };
    let connection = http1::Builder::new()
        .header_read_timeout(None) // hyper's would count the time between two requests too
        .max_buf_size(terms.max_header_bytes)
        .writev(true) // frames are written where they lie; the last words of a stream rely on it
        .serve_connection(TokioIo::new(socket), answer)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        result = connection.as_mut() => log(result),
        () = watch.closed(&phase) => {}
        () = async { hangup.cancelled().await; sleep(LAST_WORDS).await } => {}
        expired = phase.expired(terms.header_timeout) => if expired == Expired::Head {
            watch.say(TOO_SLOW);
        },
        () = terms.shutdown.draining() => tokio::select! {
            biased;
            result = drain(connection, &phase) => log(result),
            () = watch.closed(&phase) => {}
            () = async { terms.shutdown.drained().await; sleep(LAST_WORDS).await } => {}
        },
    }
}

/// Lets a connection end behind the answer it is at. Not before the head of that answer is out: hyper would write `Connection:
/// close` into it, and behind that Node's clients take a cut for an end.
async fn drain<I, B, S>(
    mut connection: Pin<&mut http1::UpgradeableConnection<I, S>>,
    phase: &Phase,
) -> hyper::Result<()>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let ended = poll_fn(|cx| match connection.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending if phase.is_serving() => Poll::Pending,
        Poll::Pending => Poll::Ready(None),
    });
    if let Some(result) = ended.await {
        return result;
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

fn log(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(error = ?error, "connection ended");
    }
}
