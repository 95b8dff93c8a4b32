//! How a limited key stands, for the headers of every answer to it: in OpenAI's form, or in Anthropic's at its door.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::{ACCESS_CONTROL_EXPOSE_HEADERS, HeaderName, HeaderValue};

use crate::edge::Door;
use crate::edge::limit::Allowance;

/// Whose limits a request counts for: found out on the way in, told on the way out.
#[derive(Clone, Debug, Default)]
pub struct Standing(Arc<OnceLock<Arc<Allowance>>>);

impl Standing {
    /// The caller is known.
    pub(in crate::edge) fn of(&self, allowance: &Arc<Allowance>) {
        drop(self.0.set(Arc::clone(allowance))); // it is the same caller
    }

    /// Says what is left of what the key may use.
    pub(in crate::edge) fn tell(&self, door: Door, headers: &mut HeaderMap) {
        let Some(allowance) = self.0.get() else { return };
        let clock = allowance.clock();
        let balance = allowance.book.lock().balance(clock);
        let rows = [
            ("requests", allowance.terms.requests(balance)),
            ("tokens", allowance.terms.tokens(balance, clock.unix)),
        ];
        let mut names = Vec::new();
        for (what, row) in rows {
            let Some((limit, left, reset)) = row else { continue };
            let (limit, left) = (limit.to_string(), left.to_string());
            let anthropic = door == Door::Anthropic;
            let reset = if anthropic {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                humantime::format_rfc3339_seconds(UNIX_EPOCH + up(since + reset)).to_string()
            } else {
                seconds(reset)
            };
            for (part, value) in [("limit", limit), ("remaining", left), ("reset", reset)] {
                let name = if anthropic {
                    format!("anthropic-ratelimit-{what}-{part}")
                } else {
                    format!("x-ratelimit-{part}-{what}")
                };
                if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                    names.push(name.to_string());
                    headers.insert(name, value);
                }
            }
        }
        // A page of an allowed origin may read them, too.
        if headers.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS)
            && let Ok(names) = HeaderValue::try_from(names.join(", "))
        {
            headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, names);
        }
    }
}

/// To the next second.
fn up(time: Duration) -> Duration {
    Duration::from_secs(time.as_micros().div_ceil(1_000_000).try_into().unwrap_or(u64::MAX))
}

/// As OpenAI writes it: `250ms`, `1s`, `6m0s`, `1h2m3s`.
fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        return format!("{}ms", time.as_micros().div_ceil(1000));
    }
    let all = up(time).as_secs();
    let (hours, minutes, seconds) = (all / 3600, all / 60 % 60, all % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        (_, _) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_written_as_openai_writes_it() {
        for (micros, words) in [
            (0, "0ms"),
            (20_000, "20ms"),
            (999_999, "1000ms"),
            (1_000_000, "1s"),
            (59_000_001, "1m0s"),
            (360_000_000, "6m0s"),
            (3_723_000_000, "1h2m3s"),
        ] {
            assert_eq!(seconds(Duration::from_micros(micros)), words);
        }
    }
}
