//! `[journal]` of the configuration.

use std::time::Duration;

use bytesize::ByteSize;
use secrecy::SecretString;
use serde::Deserialize;

use crate::telemetry::Secret;

/// `[journal]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the streams are kept.
    pub store: StoreKind,
    /// Of the store.
    pub url: Option<StoreUrl>,
    /// What is stored is sealed with this key.
    pub seal_key: Option<Secret>,
    /// How long a replica may be silent before the others take it for dead.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// How long a stream can be read again behind its end.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    /// How much is kept of one stream; of a longer one, the newest.
    pub max_stream_bytes: ByteSize,
    /// How much is kept of all streams.
    pub max_bytes: ByteSize,
    /// How many may read one stream at a time.
    pub max_readers: usize,
    /// How long a signed address is good for.
    #[serde(with = "humantime_serde")]
    pub url_lifetime: Duration,
}

/// The address of a store. It may hold a password, so it may be named as other secrets are.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected an address, { env = \"NAME\" } or { file = \"path\" }")]
pub enum StoreUrl {
    Plain(SecretString),
    Named(Secret),
}

/// Where the streams are kept.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// In this process alone.
    Memory,
    /// In Redis or Valkey too, for all replicas that share it.
    Redis,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            store: StoreKind::Memory,
            url: None,
            seal_key: None,
            lease: Duration::from_secs(15),
            retention: Duration::from_mins(10),
            max_stream_bytes: ByteSize::mib(8),
            max_bytes: ByteSize::mib(256),
            max_readers: 64,
            url_lifetime: Duration::from_hours(1),
        }
    }
}

impl StoreUrl {
    /// What it is, if it has been read.
    pub fn value(&self) -> Option<&SecretString> {
        match self {
            Self::Plain(url) => Some(url),
            Self::Named(secret) => secret.value.as_ref(),
        }
    }

    /// Does the configuration itself hold a password?
    pub fn is_plain_password(&self) -> bool {
        use secrecy::ExposeSecret as _;
        match self {
            Self::Plain(url) => url.expose_secret().contains('@'),
            Self::Named(_) => false,
        }
    }
}

impl Config {
    /// What is wrong with the store's `url`, if anything is; never what it says.
    pub fn url_problem(&self) -> Option<&'static str> {
        use secrecy::ExposeSecret as _;
        match (self.store, self.url.as_ref().and_then(StoreUrl::value)) {
            (StoreKind::Redis, _) if !cfg!(feature = "redis") => {
                Some("`store = \"redis\"` is not built in: build with `--features redis`")
            }
            (StoreKind::Redis, None) => Some("`store = \"redis\"` needs a `url`"),
            (_, Some(url)) if !crate::journal::store::is_url(url.expose_secret()) => {
                Some("the `url` of the store is not one")
            }
            _ => None,
        }
    }

    /// The 32 bytes of the seal key; an error where it is something else.
    pub fn seal(&self) -> Result<Option<[u8; 32]>, &'static str> {
        use secrecy::ExposeSecret as _;
        let Some(value) = self.seal_key.as_ref().and_then(|key| key.value.as_ref()) else { return Ok(None) };
        let digits = value.expose_secret();
        let mut key = [0; 32];
        let unlawful = "the `seal_key` is not 64 hexadecimal digits";
        if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(unlawful);
        }
        for (byte, pair) in key.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| unlawful)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| unlawful)?;
        }
        Ok(Some(key))
    }
}
