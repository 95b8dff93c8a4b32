//! HTTP/1.1 on one connection, to its end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use http::header::CONNECTION;
use http::{StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::server::connection::{Client, LAST_WORDS};
use crate::server::inspect::Inspected;
use crate::server::phase::{Expired, Phase};
use crate::server::strict::Violation;
use crate::server::{Hangup, RequestService};

const TOO_SLOW: Violation = Violation { status: 408, words: "the request's head did not come in time" };
/// How long a client that is sent away may take to hear why.
const DISMISSAL: Duration = Duration::from_secs(1);

/// Serves one connection to its end.
pub(super) async fn serve<T, S>(io: T, service: S, client: Client<'_>)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: RequestService,
{
    let phase = Phase::new();
    let told = speak(Inspected::http1(io, phase.clone()), service, &client, &phase).await;
    if phase.is_broken() {
        client.refused("malformed");
    }
    if phase.is_truncated() {
        client.watch.reset();
    } else if told || phase.is_broken() || phase.is_cut_short() {
        client.watch.linger().await;
    }
}

/// Does the client have to be given time for what it was told last?
async fn speak<T, S>(io: Inspected<T>, service: S, client: &Client<'_>, phase: &Phase) -> bool
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: RequestService,
{
    let Client { watch, origin, terms } = client;
    let hangup = CancellationToken::new();
    let told = hangup.clone();
    let answer = service_fn(move |mut request| {
        phase.serves();
        request.extensions_mut().insert(Hangup(told.clone()));
        origin.stamp(&mut request);
        let unframed = request.version() == Version::HTTP_10;
        let answer = service.clone().call(request);
        async move {
            let response = answer.await?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                phase.upgrades();
            }
            if response.headers().get(CONNECTION).is_some_and(|value| value == "close") {
                phase.cuts_short();
            }
            Ok::<_, Infallible>(response.map(|body| phase.answers(body, unframed)))
        }
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None) // hyper's would count the time between two requests too
        .max_buf_size(terms.max_header_bytes)
        .writev(true) // frames are written where they lie; the last words of a stream rely on it
        .serve_connection(TokioIo::new(io), answer)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        result = connection.as_mut() => log(result),
        () = watch.closed(phase) => false,
        () = watch.stuck(terms.write_timeout) => client.refused("slow_read"),
        () = async { hangup.cancelled().await; sleep(LAST_WORDS).await } => false,
        expired = phase.expired(terms.header_timeout) => match expired {
            Expired::Idle => false,
            Expired::Head => {
                phase.dismiss(TOO_SLOW);
                drop(timeout(DISMISSAL, connection).await); // it was told, or it does not listen
                client.refused("slow_head");
                true
            }
        },
        () = client.ending() => tokio::select! {
            biased;
            result = drain(connection, phase) => log(result),
            () = watch.closed(phase) => false,
            () = watch.stuck(terms.write_timeout) => client.refused("slow_read"),
            () = async { hangup.cancelled().await; sleep(LAST_WORDS).await } => false,
            () = async { terms.shutdown.drained().await; sleep(LAST_WORDS).await } => false,
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

/// Was the client told by hyper what is wrong with its request?
fn log(result: hyper::Result<()>) -> bool {
    let Err(error) = result else { return false };
    tracing::debug!(error = ?error, "connection ended");
    error.is_parse()
}
