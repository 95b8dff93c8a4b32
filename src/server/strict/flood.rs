//! The frames of an HTTP/2 client that cost it nothing and us an answer: a client that sends them for their own sake is cut off.
//! h2 bounds the other floods (resets, CONTINUATION, empty DATA), and answers every one of these.

use std::time::Duration;

use tokio::time::Instant;

/// The frames of one HTTP/2 connection, in pieces of any size.
#[derive(Debug)]
pub struct Flood {
    /// Bytes of the preface, or of a frame's payload, that are still to come.
    skip: u64,
    /// The header that is coming in.
    header: [u8; HEADER],
    filled: usize,
    /// How many more control frames may come now.
    allowance: u32,
    since: Instant,
    /// Since when a request's head, or the connection's, is coming.
    head_since: Option<Instant>,
    /// The frame whose payload is skipped ends that head.
    ends_head: bool,
}

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
/// What starts a connection (RFC 9113 section 3.4).
const PREFACE: u64 = 24;
const HEADER: usize = 9;
/// Control frames that may come at once.
const BURST: u32 = 1000;
/// How often the allowance grows by one.
const EVERY: Duration = Duration::from_millis(5);

impl Flood {
    pub fn new(now: Instant) -> Self {
        let (header, head_since) = ([0; HEADER], Some(now));
        Self { skip: PREFACE, header, filled: 0, allowance: BURST, since: now, head_since, ends_head: false }
    }

    /// Since when a head is coming that is not complete.
    pub fn head_since(&self) -> Option<Instant> {
        self.head_since
    }

    /// Looks at the next bytes. Is it too much?
    pub fn look(&mut self, mut bytes: &[u8], now: Instant) -> bool {
        while !bytes.is_empty() {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            self.skip -= skipped as u64;
            bytes = bytes.get(skipped..).unwrap_or_default();
            if self.skip == 0 && std::mem::take(&mut self.ends_head) {
                self.head_since = None;
            }
            let wanted = (HEADER - self.filled).min(bytes.len());
            let (start, rest) = bytes.split_at_checked(wanted).unwrap_or((bytes, &[]));
            if let Some(free) = self.header.get_mut(self.filled..self.filled + wanted) {
                free.copy_from_slice(start);
            }
            self.filled += wanted;
            bytes = rest;
            if self.filled == HEADER {
                self.filled = 0;
                let [a, b, c, kind, flags, ..] = self.header;
                self.skip = u64::from(u32::from_be_bytes([0, a, b, c]));
                self.ends_head = !matches!(kind, HEADERS | CONTINUATION) || flags & END_HEADERS != 0;
                if matches!(kind, HEADERS) {
                    self.head_since.get_or_insert(now);
                }
                if self.skip == 0 && std::mem::take(&mut self.ends_head) {
                    self.head_since = None;
                }
                if is_cheap(kind) && !self.spend(now) {
                    return true;
                }
            }
        }
        false
    }

    fn spend(&mut self, now: Instant) -> bool {
        let grown = (now - self.since).as_millis() / EVERY.as_millis();
        if let Ok(grown) = u32::try_from(grown)
            && grown > 0
        {
            self.allowance = self.allowance.saturating_add(grown).min(BURST);
            self.since = now;
        }
        self.allowance = match self.allowance.checked_sub(1) {
            Some(left) => left,
            None => return false,
        };
        true
    }
}

/// Everything but DATA, HEADERS, `WINDOW_UPDATE` and CONTINUATION, which come with the work.
fn is_cheap(kind: u8) -> bool {
    !matches!(kind, 0 | HEADERS | 8 | CONTINUATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    const DATA: [u8; 12] = [0, 0, 3, 0, 0, 0, 0, 0, 1, 6, 6, 6];

    fn opened(now: Instant) -> Flood {
        let mut flood = Flood::new(now);
        assert!(!flood.look(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", now));
        flood
    }

    #[tokio::test(start_paused = true)]
    async fn pings_without_end_are_too_much_however_they_are_cut() {
        let now = Instant::now();
        for cut in [1, 7, 17, 4096] {
            let mut flood = opened(now);
            let sent = PING.repeat(BURST as usize);
            assert!(!sent.chunks(cut).any(|piece| flood.look(piece, now)), "{cut}");
            assert!(flood.look(&PING, now), "{cut}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pings_now_and_then_are_not() {
        let mut now = Instant::now();
        let mut flood = opened(now);
        for _ in 0..10_000 {
            now += Duration::from_millis(10);
            assert!(!flood.look(&PING, now));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_is_open_until_its_last_frame() {
        let now = Instant::now();
        let mut flood = opened(now);
        assert!(flood.head_since().is_some());
        assert!(!flood.look(&[0, 0, 0, 4, 0, 0, 0, 0, 0], now)); // SETTINGS
        assert!(flood.head_since().is_none());
        assert!(!flood.look(&[0, 0, 1, HEADERS, 0, 0, 0, 0, 1, 7], now));
        assert!(flood.head_since().is_some());
        assert!(!flood.look(&[0, 0, 2, CONTINUATION, END_HEADERS, 0, 0, 0, 1, 7], now));
        assert!(flood.head_since().is_some());
        assert!(!flood.look(&[7], now));
        assert!(flood.head_since().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn data_is_never_too_much() {
        let now = Instant::now();
        let mut flood = opened(now);
        assert!(!flood.look(&DATA.repeat(5000), now));
    }
}
