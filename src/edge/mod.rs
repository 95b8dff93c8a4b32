//! The edge: what a request passes on its way in. Each stage is a type, so that a stage that was left out does not compile:
//! a request becomes [`Routed`], then [`Known`], then [`Admitted`].

mod admit;
mod auth;
mod caller;
mod cors;
mod credentials;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod handshake;
mod key;
mod limit;
mod operator;
mod query;
mod refuse;
mod revoked;
mod route;
mod sign;
mod table;
mod trace;

use http::Request;
use hyper::body::Incoming;

use crate::telemetry::Access;

pub use admit::{Admit, AdmitLayer, Limits, Slot};
pub use auth::{Auth, AuthLayer, Keys};
pub use caller::{Caller, Lapse, Signed};
pub use cors::{Cors, CorsLayer};
pub use credentials::KEY_PROTOCOL;
pub use guard::{Guard, GuardLayer, Names};
pub use key::{KeyConfig, Priority, Scope, digest};
pub use limit::{Allowance, Balance, Charge, Draw, Drawn, Reservation, Share, Standing, Terms};
pub use operator::{Operator, OperatorLayer};
pub use query::{Parameter, Query};
pub use refuse::{Refusal, read_over};
pub use route::{ANTHROPIC_VERSION, Door, Endpoint, Forwarded, Managed, Route, RouteLayer, Routes};
pub use sign::{Grant, Resource, Signer};
pub use table::Policy;
pub use trace::{Spawn, Trace, TraceLayer};

/// A request and the record of it.
#[derive(Debug)]
pub struct Traced {
    pub access: Access,
    pub request: Request<Incoming>,
    /// How its caller stands, for the headers of the answer.
    pub standing: Standing,
}

/// A request whose route is known.
#[derive(Debug)]
pub struct Routed {
    pub endpoint: Endpoint,
    pub policy: Policy,
    pub query: Query,
    pub traced: Traced,
}

/// A request whose caller is known.
#[derive(Debug)]
pub struct Known {
    pub caller: Caller,
    pub routed: Routed,
}

/// A request that may run now. The slot is freed when it is dropped: it moves along with the work.
#[derive(Debug)]
pub struct Admitted {
    pub slot: Option<Slot>,
    pub caller: Caller,
    pub routed: Routed,
}
