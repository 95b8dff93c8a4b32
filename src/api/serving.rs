//! Which backends serve which model, and how its streams are treated: the routes of the configuration, in their order.

use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;

use crate::api::generate::unknown_model;
use crate::edge::{Caller, Refusal};
use crate::relay::{Limits, OnDisconnect};
use crate::upstream::{Api, Backend, Balance, Budget, Choice, Pool, Share, Ticket};
use crate::wire::{KeepAliveAs, fits};

/// `[stream]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamConfig {
    /// How long the head of an answer waits for its first content.
    #[serde(with = "humantime_serde")]
    pub commit_after: Duration,
    /// How long a client may see nothing.
    #[serde(with = "humantime_serde")]
    pub keep_alive: Duration,
    /// As what: `auto`, `comment` or `event`.
    pub keep_alive_as: KeepAliveAs,
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long a request waits for a slot of a backend.
    #[serde(with = "humantime_serde")]
    pub queue_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub first_token_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub max_duration: Duration,
    pub max_event_bytes: ByteSize,
    /// Unset: `continue:60s` for a stream that the client named, else `cancel`.
    pub on_disconnect: Option<OnDisconnect>,
    pub record: Record,
    pub reasoning_field: ReasoningField,
    /// Does a stream of Responses end with `data: [DONE]`, for clients that wait for it? OpenAI's own does not.
    pub responses_done: bool,
}

/// Which streams are recorded.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    /// Those whose client says that it wants to.
    Asked,
    Always,
}

/// The field for reasoning in OpenAI's dialect.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningField {
    ReasoningContent,
    Reasoning,
}

impl ReasoningField {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ReasoningContent => "reasoning_content",
            Self::Reasoning => "reasoning",
        }
    }
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            commit_after: Duration::from_secs(2),
            keep_alive: Duration::from_secs(5),
            keep_alive_as: KeepAliveAs::Auto,
            connect_timeout: Duration::from_secs(5),
            queue_timeout: Duration::from_mins(2),
            first_token_timeout: Duration::from_mins(5),
            idle_timeout: Duration::from_mins(2),
            max_duration: Duration::from_mins(30),
            max_event_bytes: ByteSize::mib(16), // a picture is one event
            on_disconnect: None,
            record: Record::Asked,
            reasoning_field: ReasoningField::ReasoningContent,
            responses_done: false,
        }
    }
}

/// `[[route]]`: a model's name or pattern, its backends in order, and what of `[stream]` is different for it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Exact, or with `*` for anything.
    pub model: String,
    pub backends: Vec<Target>,
    /// How it chooses among its backends; unset: by weight if one has a weight, else in order.
    #[serde(default)]
    pub balance: Option<Balance>,
    /// How long a stream may go without content until a second backend is asked beside the first.
    #[serde(default, with = "humantime_serde")]
    pub hedge_after: Option<Duration>,
    #[serde(default, with = "humantime_serde")]
    pub commit_after: Option<Duration>,
    #[serde(default, with = "humantime_serde")]
    pub keep_alive: Option<Duration>,
    #[serde(default)]
    pub keep_alive_as: Option<KeepAliveAs>,
    #[serde(default, with = "humantime_serde")]
    pub queue_timeout: Option<Duration>,
    #[serde(default, with = "humantime_serde")]
    pub first_token_timeout: Option<Duration>,
    #[serde(default, with = "humantime_serde")]
    pub idle_timeout: Option<Duration>,
    #[serde(default, with = "humantime_serde")]
    pub max_duration: Option<Duration>,
    #[serde(default)]
    pub on_disconnect: Option<OnDisconnect>,
    #[serde(default)]
    pub record: Option<Record>,
    #[serde(default)]
    pub reasoning_field: Option<ReasoningField>,
    #[serde(default)]
    pub responses_done: Option<bool>,
}

impl RouteConfig {
    /// Does the route serve this model?
    pub fn serves(&self, model: &str) -> bool {
        fits(&self.model, model)
    }

    fn balance(&self) -> Balance {
        let weighs = self.backends.iter().any(|target| target.weight.is_some());
        self.balance.unwrap_or(if weighs { Balance::Weighted } else { Balance::Ordered })
    }
}

/// A backend of a route: its name, or a table that says also what the backend calls the model, and its weight.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "WireTarget")]
pub struct Target {
    pub name: String,
    pub model: Option<String>,
    /// Its share of the requests, next to the others' weights; unset: 1.
    pub weight: Option<u32>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WireTarget {
    Name(String),
    Table(TargetTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetTable {
    name: String,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    weight: Option<u32>,
}

impl From<WireTarget> for Target {
    fn from(wire: WireTarget) -> Self {
        match wire {
            WireTarget::Name(name) => Self { name, model: None, weight: None },
            WireTarget::Table(TargetTable { name, model, weight }) => Self { name, model, weight },
        }
    }
}

/// How the streams of a route are treated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) commit_after: Duration,
    pub(super) keep_alive: Duration,
    pub(super) keep_alive_as: KeepAliveAs,
    queue_timeout: Duration,
    pub(super) first_token_timeout: Duration,
    idle_timeout: Duration,
    max_duration: Duration,
    /// What the configuration says of it, if anything.
    on_disconnect: Option<OnDisconnect>,
    pub(super) record: Record,
    pub(super) reasoning_field: ReasoningField,
    pub(super) responses_done: bool,
}

/// How long a stream that its client named goes on without a reader.
const LINGER: Duration = Duration::from_mins(1);

impl Settings {
    /// The same for a client that says as what it wants to be kept alive.
    pub(super) fn kept_alive(self, wanted: Option<KeepAliveAs>) -> Self {
        Self { keep_alive_as: wanted.unwrap_or(self.keep_alive_as), ..self }
    }

    /// As whom a request of this caller waits for a slot.
    pub(super) fn ticket(&self, caller: &Caller) -> Ticket {
        Ticket { key: caller.key(), weight: caller.weight(), timeout: self.queue_timeout }
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            idle_timeout: self.idle_timeout,
            max_duration: self.max_duration,
            on_disconnect: self.on_disconnect.unwrap_or(OnDisconnect::Cancel),
        }
    }

    /// How long a record goes on without a reader; `None`: to its end. `named`: its client means to come back.
    pub(super) fn linger(&self, named: bool, runs_on: bool) -> Option<Duration> {
        match self.on_disconnect {
            Some(OnDisconnect::Continue(time)) => Some(time),
            _ if runs_on => None,
            None if named => Some(LINGER),
            None | Some(OnDisconnect::Cancel | OnDisconnect::Drain(_)) => Some(Duration::ZERO),
        }
    }
}

/// One route, ready for use.
#[derive(Debug)]
pub(super) struct Served {
    pattern: String,
    pub(super) targets: Vec<Destination>,
    pub(super) settings: Settings,
    balance: Balance,
    hedge_after: Option<Duration>,
    budget: Arc<Budget>,
}

/// A backend of a route.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) backend: Arc<Backend>,
    /// The model's name there, if it is another.
    pub(super) alias: Option<String>,
    weight: u32,
}

impl Served {
    /// The backends for a model, each with its share: without those that are known not to have it, if another has.
    pub(super) fn fitting(&self, model: &str) -> Vec<(&Destination, Share)> {
        let share = |target: &Destination| Share {
            weight: target.weight,
            has: target.backend.has(target.alias.as_deref().unwrap_or(model)),
        };
        let mut fitting: Vec<_> = self.targets.iter().map(|target| (target, share(target))).collect();
        if fitting.iter().any(|(_, share)| share.has == Some(true)) {
            fitting.retain(|(_, share)| share.has != Some(false));
        }
        // Vendors serve names that their lists leave out: without a better one, not to be there proves nothing.
        for (target, share) in &mut fitting {
            if share.has == Some(false) && matches!(target.backend.api, Api::OpenAi | Api::Anthropic) {
                share.has = None;
            }
        }
        fitting
    }

    /// How one request's backend is chosen. `conversation` is asked only if it matters.
    pub(super) fn choice(&self, conversation: impl FnOnce() -> u64) -> Choice {
        Choice {
            balance: self.balance,
            conversation: if self.balance == Balance::Conversation { conversation() } else { 0 },
            budget: Some(Arc::clone(&self.budget)),
            hedge_after: self.hedge_after,
        }
    }
}

/// All routes.
#[derive(Debug)]
pub struct Serving(Vec<Served>);

impl Serving {
    /// `routes` have been checked: their backends are in the pool.
    pub fn new(routes: &[RouteConfig], stream: &StreamConfig, pool: &Pool) -> Self {
        let served = |route: &RouteConfig| Served {
            pattern: route.model.clone(),
            targets: route
                .backends
                .iter()
                .filter_map(|target| {
                    Some(Destination {
                        backend: Arc::clone(pool.backend(&target.name)?),
                        alias: target.model.clone(),
                        weight: target.weight.unwrap_or(1),
                    })
                })
                .collect(),
            balance: route.balance(),
            hedge_after: route.hedge_after,
            budget: pool.standings().budget(&route.model),
            settings: Settings {
                commit_after: route.commit_after.unwrap_or(stream.commit_after),
                keep_alive: route.keep_alive.unwrap_or(stream.keep_alive),
                keep_alive_as: route.keep_alive_as.unwrap_or(stream.keep_alive_as),
                queue_timeout: route.queue_timeout.unwrap_or(stream.queue_timeout),
                first_token_timeout: route.first_token_timeout.unwrap_or(stream.first_token_timeout),
                idle_timeout: route.idle_timeout.unwrap_or(stream.idle_timeout),
                max_duration: route.max_duration.unwrap_or(stream.max_duration),
                on_disconnect: route.on_disconnect.or(stream.on_disconnect),
                record: route.record.unwrap_or(stream.record),
                reasoning_field: route.reasoning_field.unwrap_or(stream.reasoning_field),
                responses_done: route.responses_done.unwrap_or(stream.responses_done),
            },
        };
        Self(routes.iter().map(served).collect())
    }

    /// The first route that fits.
    pub(super) fn find(&self, model: &str) -> Option<&Served> {
        self.0.iter().find(|route| fits(&route.pattern, model))
    }

    /// The same for a caller: a model that it may not use is one that there is not.
    pub(super) fn find_for(&self, caller: &Caller, model: &str) -> Result<&Served, Refusal> {
        let served = self.find(model).filter(|_| caller.may_use(model));
        served.ok_or_else(|| unknown_model(model))
    }

    /// The routes for one model only, by its name.
    pub(super) fn exact(&self) -> impl Iterator<Item = (&str, &Served)> {
        self.0
            .iter()
            .filter(|route| !route.pattern.contains('*'))
            .map(|route| (route.pattern.as_str(), route))
    }
}
