//! A worker: one single-threaded runtime with its own listener, clients and stack. The stack is that of the newest configuration.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use bytesize::ByteSize;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::runtime::Runtime;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder};

use crate::api::{Api, Bounds, MemoryLimits, Parts, Serving};
use crate::app::Shared;
use crate::app::generation::Generation;
use crate::config::Config;
use crate::downstream::{self, Body};
use crate::edge::{
    AdmitLayer, AuthLayer, CorsLayer, GuardLayer, Names, OperatorLayer, RouteLayer, Routes, Spawn, TraceLayer,
};
use crate::server::{Proxies, Server, Shutdown, Tasks, Terms, Unstarted};
use crate::upstream::{self, Backend, Catalog, ClientError, Offload, Pool, build_client};

/// Connections of operators at a time.
const OPERATORS: usize = 32;

/// Whom a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Public,
    Admin,
}

/// What a request passes, from the outside in. Each layer takes what the one before it made.
type Stack = BoxCloneSyncService<Request<Incoming>, Response<Body>, Infallible>;

/// The stack of the newest configuration, and its pool: each request passes the one that is the newest when it comes.
#[derive(Clone)]
struct Newest(Arc<ArcSwap<(Stack, Pool)>>);

/// Everything of one single-threaded runtime that is not shared.
pub(super) struct Worker {
    shared: Shared,
    door: Door,
    tasks: Tasks,
    shutdown: Shutdown,
    newest: Newest,
}

impl Worker {
    pub(super) fn new(
        shared: &Shared,
        shutdown: Shutdown,
        door: Door,
        runtime: &Runtime,
    ) -> Result<Self, ClientError> {
        let _on = runtime.enter();
        let tasks = Tasks::new(shared.work.clone());
        let generation = shared.generations.borrow().clone();
        let newest = stack(shared, &generation, door, &tasks)?;
        let newest = Newest(Arc::new(ArcSwap::from_pointee(newest)));
        Ok(Self { shared: shared.clone(), door, tasks, shutdown, newest })
    }

    /// Takes another configuration for the requests to come.
    pub(super) fn renew(&self, generation: &Generation) -> Result<(), ClientError> {
        let newest = stack(&self.shared, generation, self.door, &self.tasks)?;
        self.newest.0.store(Arc::new(newest));
        Ok(())
    }

    /// The backends of the newest configuration.
    pub(super) fn pool(&self) -> Pool {
        self.newest.0.load().1.clone()
    }

    /// Serves until the gateway drains, and then until the last stream has ended.
    pub(super) async fn run(&self, listener: Unstarted) {
        if let Err(error) = Server(Arc::new(self.terms())).run(listener, self.newest.clone()).await {
            tracing::error!(%error, "cannot listen");
        }
    }

    /// Operators come without TLS, and without load balancers.
    fn terms(&self) -> Terms {
        let (shared, generation) = (&self.shared, self.shared.generations.borrow());
        let (server, public) = (&generation.config.server, self.door == Door::Public);
        Terms {
            tasks: self.tasks.clone(),
            shutdown: self.shutdown.clone(),
            metrics: shared.metrics.clone(),
            // operators have room of their own, for they want to see why there is none
            connections: if public { Arc::clone(&shared.connections) } else { Arc::default() },
            max_connections: if public {
                server.max_connections.min(shared.room.connections)
            } else {
                OPERATORS
            },
            spare: (!public).then(|| shared.spare.clone()),
            addresses: shared.addresses.clone(),
            max_per_address: server.max_connections_per_address.filter(|_| public),
            max_age: server.max_connection_age.filter(|_| public),
            header_timeout: server.header_timeout,
            write_timeout: server.write_timeout,
            max_header_bytes: bytes(server.max_header_bytes),
            tls: shared.tls.clone().filter(|_| public),
            h2c: server.h2c && public,
            proxy_protocol: server.proxy_protocol && public,
            proxies: Proxies { trusted: server.trusted_proxies.clone(), header: server.forwarded_header },
        }
    }

    /// Follows the configuration, for as long as the gateway runs.
    pub(super) async fn follow(&self) {
        let mut generations = self.shared.generations.subscribe();
        while generations.changed().await.is_ok() {
            let generation = generations.borrow_and_update().clone();
            if let Err(error) = self.renew(&generation) {
                tracing::error!(%error, "a worker stays with the configuration before");
            }
        }
    }
}

impl Service<Request<Incoming>> for Newest {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let mut stack = self.0.load().0.clone();
        stack.call(request)
    }
}

/// Everything that a configuration says of requests.
fn stack(
    shared: &Shared,
    generation: &Generation,
    door: Door,
    tasks: &Tasks,
) -> Result<(Stack, Pool), ClientError> {
    let config = &generation.config;
    let pool = pool(generation, shared, tasks)?;
    let parts = Parts {
        catalog: Catalog::new(pool.clone()),
        serving: Serving::new(&config.routes, &config.stream, &pool),
        pool: pool.clone(),
        bounds: Bounds {
            body_bytes: bytes(config.server.max_body_bytes),
            body_timeout: config.server.body_timeout,
            body_rate: bytes(config.server.min_body_rate),
            json_depth: config.server.max_json_depth,
            event_bytes: bytes(config.stream.max_event_bytes),
        },
        memory: shared.memory.renewed(memory_limits(config)),
        tasks: tasks.clone(),
        shutdown: shared.shutdown.clone(),
        metrics: shared.metrics.clone(),
        journal: shared.journal.clone(),
        pulls: shared.pulls.clone(),
        signer: shared.signer.clone(),
        keep_alive: config.stream.keep_alive,
        transcripts: Arc::default(),
    };
    let (listen, routes, origins) = match door {
        Door::Public => (config.server.listen.ip(), Routes::public(), config.server.allowed_origins.clone()),
        // no web page has a business there
        Door::Admin => (Some(config.admin.listen.ip()), Routes::admin(), Vec::new()),
    };
    let behind = tasks.clone();
    let spawn = Spawn(Arc::new(move |work| behind.spawn(work)));
    let names = Names::new(listen, &config.server.allowed_hosts);
    let service = ServiceBuilder::new()
        // first, so that everything behind it has an id and is logged, refusals too
        .layer(TraceLayer { metrics: shared.metrics.clone(), whole: downstream::json, spawn })
        // before anything answers: a stranger's page must not even learn which routes there are
        .layer(GuardLayer { names, header_bytes: bytes(config.server.max_header_bytes) })
        .layer(CorsLayer(origins.into()))
        .layer(RouteLayer(routes))
        .layer(OperatorLayer(config.admin.digest()))
        .layer(AuthLayer { keys: generation.keys.clone(), signer: shared.signer.clone() })
        // behind the key, whose streams it counts
        .layer(AdmitLayer(generation.limits.clone()))
        .service(Api(Arc::new(parts)));
    Ok((BoxCloneSyncService::new(service), pool))
}

fn pool(generation: &Generation, shared: &Shared, tasks: &Tasks) -> Result<Pool, ClientError> {
    let Generation { config, standings, .. } = generation;
    // The operators' runtime has clients too.
    let idle = (shared.room.idle / (shared.workers + 1) / config.backends.len().max(1)).max(1);
    let backend = |backend: &upstream::Config| {
        let client = build_client(backend, config.stream.connect_timeout, idle)?;
        Ok(Arc::new(Backend::new(backend, client, standings.of(&backend.name))))
    };
    let backends = config.backends.iter().map(backend).collect::<Result<_, ClientError>>()?;
    let tasks = tasks.clone();
    let offload = Offload::new(move |bytes, work| {
        let tasks = tasks.clone();
        Box::pin(async move { tasks.run_blocking(bytes, work).await })
    });
    Ok(Pool::new(
        backends,
        (standings.clone(), shared.slots.clone()),
        shared.metrics.clone(),
        shared.board.clone(),
        offload,
    ))
}

/// How much memory there is for bodies. Where there are no keys, everybody is one.
pub(super) fn memory_limits(config: &Config) -> MemoryLimits {
    let (server, all) = (&config.server, bytes(config.server.max_body_memory));
    let quarter = || (all / 4).max(bytes(server.max_body_bytes));
    let share = server.max_body_memory_per_key.map_or_else(quarter, bytes);
    MemoryLimits { all, per_key: if config.keys.is_empty() { all } else { share } }
}

/// A size of the configuration as one of memory.
fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}
