//! What the endpoints do.

mod alive;
mod body;
mod conversation;
mod count;
mod cursor;
mod downloads;
mod errand;
mod events;
mod forward;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod generate;
mod health;
mod label;
mod line;
mod llama_cpp;
mod look;
mod manage;
mod memory;
mod models;
mod plan;
mod publish;
mod pull;
mod reading;
mod recorded;
mod request;
mod responses;
mod retry;
mod room;
mod serving;
mod stopped;
mod streams;
mod transcript;
mod view;
mod visitor;
mod whole;
mod wishes;

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Response;
use http::header::HeaderName;
use tower::Service;

use crate::api::look::Look;
use crate::api::visitor::Visitor;
use crate::downstream::Body;
use crate::edge::{ANTHROPIC_VERSION, Admitted, Endpoint, Refusal, Routed, Signer};
use crate::journal::Journal;
use crate::server::{Closing, Shutdown, Tasks};
use crate::telemetry::Metrics;
use crate::upstream::{Catalog, Pool};
use crate::wire::Code;

pub use downloads::follow as follow_downloads;
pub use memory::{BodyMemory, MemoryLimits};
pub use pull::Pulls;
pub use serving::{ReasoningField, RouteConfig, Serving, StreamConfig, Target};
pub use transcript::Transcripts;

/// Everything an endpoint may need.
#[derive(Debug)]
pub struct Parts {
    pub pool: Pool,
    pub catalog: Catalog,
    pub serving: Serving,
    pub bounds: Bounds,
    /// For the bodies of requests.
    pub memory: BodyMemory,
    pub tasks: Tasks,
    pub shutdown: Shutdown,
    pub metrics: Metrics,
    pub journal: Journal,
    pub pulls: Pulls,
    pub signer: Signer,
    /// How long a reader of a record may see nothing.
    pub keep_alive: Duration,
    pub transcripts: Arc<Transcripts>,
}

/// How large and slow a request may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub body_bytes: usize,
    pub body_timeout: Duration,
    /// Bytes of a body that buy it a second more.
    pub body_rate: usize,
    pub json_depth: usize,
    pub event_bytes: usize,
}

/// What of the API is still being tried out that the client wants.
const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// The innermost service.
#[derive(Clone, Debug)]
pub struct Api(pub Arc<Parts>);

impl Service<Admitted> for Api {
    type Response = Response<Body>;
    type Error = Refusal;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, admitted: Admitted) -> Self::Future {
        if is_closing(&admitted.routed) {
            return Box::pin(ready(Err(closing().unread(admitted.routed.traced.request))));
        }
        let Routed { query, traced, .. } = &admitted.routed;
        let (request, access) = (&traced.request, traced.access.clone());
        match alive::wished(query, request.headers()) {
            Ok(alive) => {
                let visitor = Visitor::new(admitted.caller.clone(), request, access, alive);
                self.dispatch(admitted, visitor)
            }
            Err(refusal) => Box::pin(ready(Err(refusal.unread_of_caller(admitted.routed.traced.request)))),
        }
    }
}

/// The future of an answer.
type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Refusal>> + Send>>;

impl Api {
    /// The only dispatcher.
    fn dispatch(&self, admitted: Admitted, visitor: Visitor) -> Answering {
        let parts = Arc::clone(&self.0);
        let Admitted { slot, caller, routed } = admitted;
        let Routed { endpoint, query, traced, .. } = routed;
        let anthropic = traced.request.headers().contains_key(ANTHROPIC_VERSION);
        let admitted = (slot, caller.clone());
        let look = || Look::new(traced.request.method(), &query, traced.request.headers());
        match endpoint {
            Endpoint::Generate(dialect) => {
                Box::pin(generate::generate(parts, dialect, (traced, visitor.alive), admitted))
            }
            Endpoint::Streams => Box::pin(async move { streams::list(&parts, &query, &visitor).await }),
            Endpoint::Stream(id) => {
                let look = look();
                Box::pin(async move { streams::one(&parts, &id, look, visitor).await })
            }
            Endpoint::Conversation { id, raw } => {
                let look = look();
                Box::pin(async move { streams::by_name(&parts, (&id, raw), look, visitor).await })
            }
            Endpoint::StreamOfConversation => {
                let look = look();
                Box::pin(async move { llama_cpp::stream(&parts, &query, look, visitor).await })
            }
            Endpoint::LookUpStreams => Box::pin(llama_cpp::lookup(parts, traced.request, visitor)),
            Endpoint::CancelStream(id) => {
                Box::pin(async move { streams::cancel_one(&parts, &id, &visitor).await })
            }
            Endpoint::SignStream(id) => Box::pin(async move { streams::sign(&parts, &id, &visitor).await }),
            Endpoint::Response(id) => Box::pin(async move {
                responses::one(&parts, &id, (traced.request.method(), &query), visitor).await
            }),
            Endpoint::CancelResponse(id) => {
                Box::pin(async move { responses::cancel(&parts, &id, &visitor).await })
            }
            Endpoint::CountTokens => Box::pin(count::count_tokens(parts, traced, admitted)),
            Endpoint::Forward(forwarded) => Box::pin(forward::forward(parts, forwarded, traced, admitted)),
            Endpoint::Models => Box::pin(async move { Ok(models::list(&parts, &caller, anthropic).await) }),
            Endpoint::Model(id) => Box::pin(models::one(parts, id, caller, anthropic)),
            Endpoint::Tags => Box::pin(async move { Ok(models::tags(&parts, &caller).await) }),
            Endpoint::Running => Box::pin(async move { Ok(models::running(&parts, &caller).await) }),
            Endpoint::Version => Box::pin(async move { Ok(models::version(&parts).await) }),
            Endpoint::Channel(name) => {
                Box::pin(
                    async move { publish::channel(&parts, &name, (traced.request, &query), visitor).await },
                )
            }
            Endpoint::SignChannel(name) => {
                Box::pin(async move { publish::sign(&parts, &name, &visitor).await })
            }
            Endpoint::Events => Box::pin(async move { events::events(&parts, traced, &query, &caller) }),
            Endpoint::PullTask => Box::pin(async move { pull::task(&parts, traced.request, visitor).await }),
            Endpoint::Manage(managed) => {
                Box::pin(async move { manage::manage(&parts, managed, traced.request, visitor).await })
            }
            Endpoint::Root => Box::pin(async { Ok(health::root()) }),
            Endpoint::Healthz => Box::pin(async { Ok(health::healthz()) }),
            Endpoint::Readyz => Box::pin(async move { health::readyz(&parts.shutdown) }),
            Endpoint::Metrics => Box::pin(async move { Ok(health::metrics(&parts)) }),
        }
    }
}

/// Did the request come on a connection that takes no new ones? Probes are answered on it all the same.
fn is_closing(routed: &Routed) -> bool {
    !matches!(routed.endpoint, Endpoint::Healthz | Endpoint::Readyz)
        && routed.traced.request.extensions().get::<Closing>().is_some()
}

fn closing() -> Refusal {
    Refusal::new(Code::Draining, "this connection is about to close; open another one").retry_after(1)
}
