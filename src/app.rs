//! From a configuration to a running gateway: every part is built here, in the order of what it needs, and the stack that a
//! request passes is put together here, once.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::Duration;

use bytesize::ByteSize;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::task::TaskTracker;
use tower::ServiceBuilder;
use tower::util::BoxCloneService;

use crate::api::{Api, Bounds, Channels, Parts, Pulls, Serving, Transcripts};
use crate::config::Config;
use crate::downstream::{self, Body};
use crate::edge::{
    AdmitLayer, AuthLayer, CorsLayer, GuardLayer, Keys, Limits, Names, RouteLayer, Routes, Signer, TraceLayer,
};
use crate::journal::Journal;
use crate::server::{
    Addresses, Bound, Certificate, CertificateError, Listen, Proxies, Server, Shutdown, Tasks, Terms,
    Unstarted, room,
};
use crate::telemetry::{self, Board, Metrics, random_id};
use crate::upstream::{Backend, Catalog, ClientError, Pool, build_client};

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: Listen, source: io::Error },
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// A gateway whose sockets are bound.
#[derive(Debug)]
pub struct App {
    config: Config,
    bound: Bound,
    admin: Bound,
    shared: Shared,
    /// Of the admin listener and the signals.
    runtime: Runtime,
    signals: Signals,
}

/// What all workers have in common.
#[derive(Clone, Debug)]
struct Shared {
    metrics: Metrics,
    shutdown: Shutdown,
    keys: Keys,
    limits: Limits,
    journal: Journal,
    channels: Channels,
    pulls: Pulls,
    board: Board,
    signer: Signer,
    connections: Arc<AtomicUsize>,
    addresses: Addresses,
    certificate: Option<Certificate>,
    tls: Option<Arc<ServerConfig>>,
}

/// The signals that end a gateway.
#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl App {
    /// Starts the log, listens to signals and binds the sockets: from here on clients may connect, and they are answered
    /// once it runs.
    pub fn bind(mut config: Config) -> Result<Self, StartError> {
        telemetry::start(&config.log);
        let room = room()?;
        if room < config.server.max_connections {
            tracing::info!(max_connections = room, "the limit of open files leaves no room for more");
            config.server.max_connections = room;
        }
        let workers = match config.server.workers {
            0 => thread::available_parallelism()?.get(),
            workers => workers,
        };
        let listen = |address: &Listen, count| {
            let bound = address.bind(count, config.server.listen_mode);
            bound.map_err(|source| StartError::Listen { address: address.clone(), source })
        };
        let certificate = config.server.tls.clone().map(Certificate::load).transpose()?;
        let bound = listen(&config.server.listen, workers)?;
        let admin = listen(&Listen::Tcp(config.admin.listen), 1)?;
        let metrics = Metrics::new();
        let secret = random_id();
        let shared = Shared {
            metrics: metrics.clone(),
            shutdown: Shutdown::default(),
            keys: Keys::new(&config.keys),
            limits: Limits::new(config.server.max_streams),
            journal: Journal::new(&config.journal, metrics, secret.clone().into()),
            channels: Channels::default(),
            pulls: Pulls::default(),
            board: Board::new(config.backends.iter().map(|backend| backend.name.clone())),
            signer: Signer::new(secret.as_bytes(), config.journal.url_lifetime),
            connections: Arc::default(),
            addresses: Addresses::default(),
            tls: certificate.as_ref().map(Certificate::server_config).transpose()?,
            certificate,
        };
        let runtime = new_runtime()?;
        let signals = runtime.block_on(async {
            shared.journal.connect().await;
            shared.share_secret(); // that of the other replicas, if there are any
            Signals::new()
        })?;
        Ok(Self { config, bound, admin, shared, runtime, signals })
    }

    /// Where clients come in, and where operators do.
    pub fn addresses(&self) -> (&Listen, &Listen) {
        (&self.bound.listen, &self.admin.listen)
    }

    /// Do clients have to speak TLS?
    pub fn speaks_tls(&self) -> bool {
        self.shared.tls.is_some()
    }

    /// Serves until a signal ends it: the first lets running streams come to their end, the second does not wait.
    pub fn run(self) -> Result<(), StartError> {
        let Self { config, mut bound, mut admin, shared, runtime, mut signals } = self;
        let running = TaskTracker::new();
        for (number, listener) in std::mem::take(&mut bound.listeners).into_iter().enumerate() {
            let own = new_runtime()?;
            let worker = Worker::new(&config, &shared, shared.shutdown.clone(), Listener::Public, &own)?;
            let token = running.token();
            let thread = thread::Builder::new().name(format!("worker-{number}"));
            thread.spawn(move || {
                let _running = token;
                worker.run(listener, &own);
            })?;
        }
        running.close();
        // The admin listener stays to the end, so that operators can watch a drain.
        let operators = Worker::new(&config, &shared, Shutdown::default(), Listener::Admin, &runtime)?;
        let Worker { server, parts, stack } = operators;
        runtime.block_on(async {
            let admin = async {
                for listener in admin.listeners.drain(..) {
                    server.clone().run(listener, stack.clone()).await?;
                }
                Ok::<(), io::Error>(())
            };
            let probe = async {
                probe(&parts.pool).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                ended = admin => ended?,
                () = probe => {}
                () = sweep(&shared.journal, &shared.channels) => {}
                () = shared.journal.run() => {}
                () = follow_secret(&shared) => {}
                () = follow_certificate(&shared) => {}
                () = signals.end(&shared, config.server.drain, &running) => {}
            }
            // The workers have ended, and with them their streams: the other replicas are told how.
            shared.journal.flush().await;
            Ok(())
        })
    }
}

impl Shared {
    /// Signs addresses with what all replicas sign with, as far as it is known.
    fn share_secret(&self) {
        if let Some(secret) = self.journal.secret() {
            self.signer.adopt(&secret.borrow());
        }
    }
}

/// Signs addresses with what all replicas sign with, for as long as the gateway runs.
async fn follow_secret(shared: &Shared) {
    let Some(mut secret) = shared.journal.secret() else { return std::future::pending().await };
    while secret.changed().await.is_ok() {
        shared.share_secret();
    }
}

/// Takes new certificates as they come, for as long as the gateway runs.
async fn follow_certificate(shared: &Shared) {
    match &shared.certificate {
        Some(certificate) => certificate.follow().await,
        None => std::future::pending().await,
    }
}

/// Throws away what is over its time, for as long as the gateway runs.
async fn sweep(journal: &Journal, channels: &Channels) {
    loop {
        sleep(Duration::from_secs(1)).await;
        channels.sweep(journal).await;
        journal.sweep();
    }
}

/// Says once which backends are not there. They may come later.
async fn probe(pool: &Pool) {
    for backend in pool.backends() {
        let answers = backend.answers().await;
        pool.board().backend(&backend.name, answers);
        if !answers {
            tracing::info!(
                backend = backend.name,
                "is not there yet; it will be asked again with every request"
            );
        }
    }
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for the first signal, then for the workers, at most until the time to drain is over or the second signal.
    async fn end(&mut self, shared: &Shared, drain: Duration, running: &TaskTracker) {
        let shutdown = &shared.shutdown;
        self.next().await;
        tracing::info!(limit = %humantime::format_duration(drain), "draining");
        shutdown.drain();
        shared.channels.end_all().await; // they have no end of their own
        tokio::select! {
            biased;
            () = running.wait() => return,
            () = self.next() => return tracing::info!("a second signal: ending at once"),
            () = sleep(drain) => {}
        }
        tracing::info!("the time to drain is over");
        shutdown.end();
        tokio::select! {
            biased;
            () = running.wait() => {}
            () = self.next() => {}
            () = sleep(LAST_WORDS) => {}
        }
    }
}

/// How long streams that were ended may take to say so.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Connections of operators at a time.
const OPERATORS: usize = 32;

/// Whom a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listener {
    Public,
    Admin,
}

/// What a request passes, from the outside in. Each layer takes what the one before it made.
type Stack = BoxCloneService<Request<Incoming>, Response<Body>, Infallible>;

/// Everything of one single-threaded runtime that is not shared.
struct Worker {
    server: Server,
    parts: Arc<Parts>,
    stack: Stack,
}

impl Worker {
    fn new(
        config: &Config,
        shared: &Shared,
        shutdown: Shutdown,
        door: Listener,
        runtime: &Runtime,
    ) -> Result<Self, StartError> {
        let tasks = Tasks::default();
        let pool = {
            let _on = runtime.enter();
            let client = |backend| {
                let client = build_client(backend, config.stream.connect_timeout)?;
                Ok(Arc::new(Backend::new(backend, client)))
            };
            let backends = config.backends.iter().map(client).collect::<Result<_, ClientError>>()?;
            Pool::new(backends, shared.metrics.clone(), shared.board.clone())
        };
        let parts = Arc::new(Parts {
            catalog: Catalog::new(pool.clone()),
            serving: Serving::new(&config.routes, &config.stream, &pool),
            pool,
            bounds: Bounds {
                body_bytes: bytes(config.server.max_body_bytes),
                body_timeout: config.server.body_timeout,
                body_rate: bytes(config.server.min_body_rate),
                json_depth: config.server.max_json_depth,
                event_bytes: bytes(config.stream.max_event_bytes),
            },
            tasks: tasks.clone(),
            shutdown: shared.shutdown.clone(),
            metrics: shared.metrics.clone(),
            journal: shared.journal.clone(),
            channels: shared.channels.clone(),
            pulls: shared.pulls.clone(),
            signer: shared.signer.clone(),
            keep_alive: config.stream.keep_alive,
            transcripts: Transcripts::default(),
        });
        let server = Server(Arc::new(terms(config, shared, door, (tasks, shutdown))));
        Ok(Self { server, stack: stack(config, shared, door, Arc::clone(&parts)), parts })
    }

    fn run(self, listener: Unstarted, runtime: &Runtime) {
        let Self { server, stack, parts: _ } = self;
        if let Err(error) = runtime.block_on(server.run(listener, stack)) {
            tracing::error!(%error, "cannot listen");
        }
    }
}

fn terms(config: &Config, shared: &Shared, door: Listener, (tasks, shutdown): (Tasks, Shutdown)) -> Terms {
    let server = &config.server;
    let public = door == Listener::Public; // operators come without TLS, and without load balancers
    Terms {
        tasks,
        shutdown,
        metrics: shared.metrics.clone(),
        // operators have room of their own, for they want to see why there is none
        connections: if public { Arc::clone(&shared.connections) } else { Arc::default() },
        max_connections: if public { server.max_connections } else { OPERATORS },
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

fn stack(config: &Config, shared: &Shared, door: Listener, parts: Arc<Parts>) -> Stack {
    let (listen, routes, origins) = match door {
        Listener::Public => {
            (config.server.listen.ip(), Routes::public(), config.server.allowed_origins.clone())
        }
        // no web page has a business there
        Listener::Admin => (Some(config.admin.listen.ip()), Routes::admin(), Vec::new()),
    };
    let names = Names::new(listen, &config.server.allowed_hosts);
    let service = ServiceBuilder::new()
        // first, so that everything behind it has an id and is logged, refusals too
        .layer(TraceLayer { metrics: shared.metrics.clone(), whole: downstream::json })
        // before anything answers: a stranger's page must not even learn which routes there are
        .layer(GuardLayer { names, header_bytes: bytes(config.server.max_header_bytes) })
        .layer(CorsLayer(origins.into()))
        .layer(RouteLayer(routes))
        .layer(AuthLayer { keys: shared.keys.clone(), signer: shared.signer.clone() })
        // behind the key, whose streams it counts
        .layer(AdmitLayer(shared.limits.clone()))
        .service(Api(parts));
    BoxCloneService::new(service)
}

fn new_runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// A size of the configuration as one of memory.
fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}
