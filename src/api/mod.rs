//! What the endpoints do.

mod body;
mod count;
mod forward;
mod generate;
mod health;
mod models;
mod plan;
mod serving;
mod whole;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Response;
use http::header::HeaderName;
use tower::Service;

use crate::downstream::Body;
use crate::edge::{ANTHROPIC_VERSION, Admitted, Endpoint, Refusal};
use crate::server::{Shutdown, Tasks};
use crate::telemetry::Metrics;
use crate::upstream::{Catalog, Pool};

pub use serving::{ReasoningField, RouteConfig, Serving, StreamConfig, Target};

/// Everything an endpoint may need.
#[derive(Debug)]
pub struct Parts {
    pub pool: Pool,
    pub catalog: Catalog,
    pub serving: Serving,
    pub bounds: Bounds,
    pub tasks: Tasks,
    pub shutdown: Shutdown,
    pub metrics: Metrics,
}

/// How large and slow a request may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub body_bytes: usize,
    pub body_timeout: Duration,
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
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Refusal>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Ok(()))
    }

    /// The only dispatcher.
    fn call(&mut self, admitted: Admitted) -> Self::Future {
        let parts = Arc::clone(&self.0);
        let Admitted { slot, routed } = admitted;
        let traced = routed.traced;
        let anthropic = traced.request.headers().contains_key(ANTHROPIC_VERSION);
        match routed.endpoint {
            Endpoint::Generate(dialect) => Box::pin(generate::generate(parts, dialect, traced, slot)),
            Endpoint::CountTokens => Box::pin(count::count_tokens(parts, traced, slot)),
            Endpoint::Forward(forwarded) => Box::pin(forward::forward(parts, forwarded, traced, slot)),
            Endpoint::Models => Box::pin(async move { Ok(models::list(&parts, anthropic).await) }),
            Endpoint::Model(id) => Box::pin(async move { models::one(&parts, &id, anthropic).await }),
            Endpoint::Tags => Box::pin(async move { Ok(models::tags(&parts).await) }),
            Endpoint::Running => Box::pin(async move { Ok(models::running(&parts).await) }),
            Endpoint::Version => Box::pin(async move { Ok(models::version(&parts).await) }),
            Endpoint::Root => Box::pin(async { Ok(health::root()) }),
            Endpoint::Healthz => Box::pin(async { Ok(health::healthz()) }),
            Endpoint::Readyz => Box::pin(async move { health::readyz(&parts.shutdown) }),
            Endpoint::Metrics => Box::pin(async move { Ok(health::metrics(&parts.metrics)) }),
        }
    }
}
