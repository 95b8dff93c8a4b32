//! `[pool]`: how the health of backends is watched, and how much may be tried again.

use std::time::Duration;

use serde::Deserialize;

/// `[pool]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoolConfig {
    /// Between two probes of a backend; zero: none is probed.
    #[serde(with = "humantime_serde")]
    pub probe_interval: Duration,
    /// How long a backend may take to answer a probe.
    #[serde(with = "humantime_serde")]
    pub probe_timeout: Duration,
    /// So many probes in a row must fail before a backend is down. The first one of all counts alone.
    pub probe_failures: u32,
    /// So many probes in a row must succeed before a backend that was down is up.
    pub probe_successes: u32,
    /// So many requests in a row must fail before a backend is ejected.
    pub eject_after: u32,
    /// The share of the requests of the last seconds, more than 0 and at most 1, that must fail before a backend is ejected.
    pub eject_error_rate: f64,
    /// How long a backend is ejected the first time; twice as long the next time, and so on.
    #[serde(with = "humantime_serde")]
    pub eject_for: Duration,
    /// The longest ejection.
    #[serde(with = "humantime_serde")]
    pub eject_for_max: Duration,
    /// The longest time for which a backend's `Retry-After` is heeded.
    #[serde(with = "humantime_serde")]
    pub retry_after_max: Duration,
    /// How many retries and hedges there may be to one request, over ten seconds.
    pub retry_ratio: f64,
    /// How many retries and hedges there may be a second beside those.
    pub retries_per_second: u32,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            probe_interval: Duration::from_secs(10),
            probe_timeout: Duration::from_secs(2),
            probe_failures: 2,
            probe_successes: 1,
            eject_after: 5,
            eject_error_rate: 0.5,
            eject_for: Duration::from_secs(5),
            eject_for_max: Duration::from_mins(5),
            retry_after_max: Duration::from_mins(1),
            retry_ratio: 0.2,
            retries_per_second: 10,
        }
    }
}
