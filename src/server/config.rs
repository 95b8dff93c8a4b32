//! `[server]`: where clients come in, and what they may take.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;
use serde::Deserialize;

use crate::server::{Forwarding, Listen};

/// `[server]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub listen: Listen,
    /// Of a Unix socket's file.
    pub listen_mode: u32,
    /// Speak TLS, and HTTP/2 with those who ask for it.
    pub tls: Option<TlsFiles>,
    /// Speak HTTP/2 without TLS with those who begin with it.
    pub h2c: bool,
    /// Single-threaded runtimes, each with its own listener; 0: one per core.
    pub workers: usize,
    /// Listen beyond loopback without any API key.
    pub allow_anonymous: bool,
    /// Names beside the loopback ones by which the gateway may be called.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may call.
    pub allowed_origins: Vec<String>,
    /// Addresses of proxies that are believed when they say who calls.
    pub trusted_proxies: Vec<IpNet>,
    /// In which header they say it.
    pub forwarded_header: Forwarding,
    /// They begin every connection with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    pub max_connections: usize,
    /// Of one client address; of IPv6, of one /64. Proxies that are trusted are not counted.
    pub max_connections_per_address: Option<NonZeroUsize>,
    /// A connection that is older is closed behind the answers it is at, give or take a tenth.
    #[serde(with = "humantime_serde")]
    pub max_connection_age: Option<Duration>,
    pub max_streams: usize,
    /// For a request's head, and for the handshake of TLS.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// For a request's body, and a second more for every `min_body_rate` that came.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// A second.
    pub min_body_rate: ByteSize,
    /// How long a client may leave an answer in the socket without taking anything of it.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    pub max_header_bytes: ByteSize,
    pub max_body_bytes: ByteSize,
    /// Of the bodies of all requests together, in every form that they are held in.
    pub max_body_memory: ByteSize,
    /// Of those of one key; unset: a quarter of that, or one body where that is more. Where there are no keys: all of it.
    pub max_body_memory_per_key: Option<ByteSize>,
    pub max_json_depth: usize,
    /// How long running streams may go on after the first SIGTERM.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
}

/// A certificate, with those that lead to its authority, and its key, in PEM.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            listen_mode: 0o660,
            tls: None,
            h2c: false,
            workers: 0,
            allow_anonymous: false,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            forwarded_header: Forwarding::default(),
            proxy_protocol: false,
            max_connections: 20_000,
            max_connections_per_address: None,
            max_connection_age: None,
            max_streams: 10_000,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            min_body_rate: ByteSize::kib(16),
            write_timeout: Duration::from_secs(30),
            max_header_bytes: ByteSize::kib(64),
            max_body_bytes: ByteSize::mib(20),
            max_body_memory: ByteSize::mib(256),
            max_body_memory_per_key: None,
            max_json_depth: 128,
            drain: Duration::from_secs(30),
        }
    }
}
