//! From a configuration to a running gateway: every part is built here, in the order of what it needs, and the stack that a
//! request passes is put together here, once.

mod generation;
mod panics;
mod signals;
mod usage;
mod worker;

use std::io;
use std::mem::take;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::task::TaskTracker;

use crate::api::{BodyMemory, Pulls, follow_downloads};
use crate::app::generation::{Generation, Reload};
use crate::app::signals::Signals;
use crate::app::worker::{Door, Worker, memory_limits};
use crate::config::{Config, Source};
use crate::edge::Signer;
use crate::journal::Journal;
use crate::server::{
    Addresses, Bound, Certificate, CertificateError, Listen, Room, Shutdown, Spare, WorkLimits, room,
};
use crate::telemetry::{self, Board, Log, Metrics, random_id};
use crate::upstream::{ClientError, Slots};

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}")]
    Listen { address: Listen, source: io::Error },
    #[error("cannot start")]
    Start(#[from] io::Error),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// A gateway whose sockets are bound.
#[derive(Debug)]
pub struct App {
    bound: Bound,
    admin: Bound,
    shared: Shared,
    /// Of the admin listener and the signals.
    runtime: Runtime,
    signals: Signals,
    /// The last to go, so that everything before is still logged.
    log: Log,
}

/// What all workers have in common.
#[derive(Clone, Debug)]
struct Shared {
    metrics: Metrics,
    shutdown: Shutdown,
    /// The configuration in force; a new one is told to everybody.
    generations: watch::Sender<Arc<Generation>>,
    journal: Journal,
    pulls: Pulls,
    memory: BodyMemory,
    /// How much long work is done at a time.
    work: WorkLimits,
    /// How many requests the backends work on.
    slots: Slots,
    board: Board,
    signer: Signer,
    connections: Arc<AtomicUsize>,
    /// What there may be before there are no files left.
    room: Room,
    spare: Spare,
    workers: usize,
    addresses: Addresses,
    certificate: Option<Certificate>,
    tls: Option<Arc<ServerConfig>>,
}

impl App {
    /// Starts the log, listens to signals and binds the sockets: from here on clients may connect, and they are answered
    /// once it runs.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        let log = telemetry::start(&config.log);
        let cores = thread::available_parallelism()?.get();
        // One is left to the workers, whose streams must go on meanwhile.
        let work_cores = (cores - 1).max(1);
        let workers = match config.server.workers {
            0 => cores,
            workers => workers,
        };
        let room = room(workers)?;
        if room.connections < config.server.max_connections || room.streams < config.server.max_streams {
            let Room { connections, streams, .. } = room;
            tracing::info!(connections, streams, "the limit of open files leaves no room for more");
        }
        let listen = |address: &Listen, count| {
            let bound = address.bind(count, config.server.listen_mode);
            bound.map_err(|source| StartError::Listen { address: address.clone(), source })
        };
        let certificate = config.server.tls.clone().map(Certificate::load).transpose()?;
        let bound = listen(&config.server.listen, workers)?;
        let admin = listen(&Listen::Tcp(config.admin.listen), 1)?;
        let metrics = Metrics::with_log(log.dropped.clone());
        panics::count(metrics.clone());
        let secret = random_id();
        let board = Board::new(config.backends.iter().map(|backend| backend.name.clone()));
        let journal = Journal::new(&config.journal, metrics.clone(), secret.clone().into());
        let shared = Shared {
            metrics: metrics.clone(),
            shutdown: Shutdown::default(),
            slots: Slots::new(&config.backends, metrics.clone()),
            journal: journal.clone(),
            pulls: Pulls::default(),
            memory: BodyMemory::new(memory_limits(&config), work_cores.div_ceil(2), metrics.clone()),
            work: WorkLimits::new(work_cores),
            board: board.clone(),
            signer: Signer::new(secret.as_bytes(), config.journal.url_lifetime),
            connections: Arc::default(),
            room,
            spare: Spare::new(),
            workers,
            addresses: Addresses::default(),
            tls: certificate.as_ref().map(Certificate::server_config).transpose()?,
            certificate,
            generations: watch::Sender::new(Arc::new(Generation::first(
                config,
                (usage::share(&journal), room.streams),
                &metrics,
                &board,
            ))),
        };
        let runtime = new_runtime()?;
        let signals = runtime.block_on(async {
            shared.journal.connect().await;
            shared.share_secret(); // that of the other replicas, if there are any
            Signals::new()
        })?;
        Ok(Self { bound, admin, shared, runtime, signals, log })
    }

    /// Where clients come in, and where operators do.
    pub fn addresses(&self) -> (&Listen, &Listen) {
        (&self.bound.listen, &self.admin.listen)
    }

    /// Do clients have to speak TLS?
    pub fn speaks_tls(&self) -> bool {
        self.shared.tls.is_some()
    }

    /// Serves until a signal ends it: the first lets running streams come to their end, the second does not wait. Follows the
    /// file of its configuration.
    pub fn run(self, source: Source) -> Result<(), StartError> {
        let Self { mut bound, mut admin, shared, runtime, mut signals, log: _log } = self;
        let running = TaskTracker::new();
        for (number, listener) in take(&mut bound.listeners).into_iter().enumerate() {
            let own = new_runtime()?;
            let worker = Worker::new(&shared, shared.shutdown.clone(), Door::Public, &own)?;
            let token = running.token();
            let thread = thread::Builder::new().name(format!("worker-{number}"));
            thread.spawn(move || {
                let _running = token;
                own.block_on(async {
                    tokio::select! {
                        () = worker.run(listener) => {}
                        () = worker.follow() => {}
                    }
                });
            })?;
        }
        running.close();
        // The admin listener stays to the end, so that operators can watch a drain.
        let operators = Worker::new(&shared, Shutdown::default(), Door::Admin, &runtime)?;
        let mut hangup = signals.hangup.take();
        let asked = async || {
            if let Some(signal) = &mut hangup
                && signal.recv().await.is_some()
            {
                return;
            }
            std::future::pending::<()>().await;
        };
        runtime.block_on(async {
            let administer = async {
                for listener in admin.listeners.drain(..) {
                    operators.run(listener).await;
                }
            };
            let reload = Reload { shared: &shared, operators: &operators };
            tokio::select! {
                () = administer => {}
                () = probe(&shared, &operators) => {}
                () = sweep(&shared.journal) => {}
                () = shared.journal.run() => {}
                never = follow_downloads(&shared.journal, &shared.pulls, &shared.board) => match never {},
                () = usage::tell(&shared) => {}
                () = follow_secret(&shared) => {}
                () = follow_certificate(&shared) => {}
                () = reload.run(source, asked) => {}
                () = signals.end(&shared, &running) => {}
            }
            // The workers have ended, and with them their streams: the other replicas are told how.
            usage::newest(&shared).tell().await;
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
async fn sweep(journal: &Journal) {
    loop {
        sleep(Duration::from_secs(1)).await;
        journal.sweep();
    }
}

/// Probes the backends of the newest configuration, for as long as the gateway runs.
async fn probe(shared: &Shared, operators: &Worker) {
    let mut generations = shared.generations.subscribe();
    loop {
        let config = Arc::clone(&generations.borrow_and_update().config);
        let pool = operators.pool();
        tokio::select! {
            biased;
            changed = generations.changed() => if changed.is_err() {
                return std::future::pending().await;
            },
            () = pool.watch(&config.pool) => {}
        }
    }
}

fn new_runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}
