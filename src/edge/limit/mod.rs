//! What a key may use: requests and tokens a minute, tokens a day. It is reserved before a backend is asked, by an estimate, and
//! settled with what was really used when the last of the work is over.

mod book;
mod standing;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use http::header::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::edge::limit::book::{Book, Clock, Short};
use crate::edge::{KeyConfig, Refusal};
use crate::telemetry::{Access, Spent};
use crate::wire::{Code, Demand, fits};

pub use book::{Balance, Charge, Terms};
pub use standing::Standing;

/// What replicas share of their keys' usage: takes a charge from the key with this digest, all of it or nothing, or settles one,
/// and says how the key stands then. `None`: nobody can be asked now.
pub type Share = Arc<dyn Fn(Draw) -> BoxFuture<'static, Option<Drawn>> + Send + Sync>;

/// A charge for all replicas.
#[derive(Clone, Debug)]
pub struct Draw {
    /// Of the key.
    pub digest: String,
    pub charge: Charge,
    /// Tokens that it may use today, at most.
    pub budget: Option<i64>,
    /// Is it taken even if there is not enough left?
    pub settles: bool,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Drawn {
    pub taken: bool,
    pub balance: Balance,
}

/// What one key may use, and has used.
pub struct Allowance {
    digest: String,
    terms: Terms,
    models: Option<Vec<String>>,
    book: Arc<Mutex<Book>>,
    /// What the other replicas do not know yet.
    owed: Arc<Mutex<Charge>>,
    share: Option<Share>,
    owes: Arc<Notify>,
    began: Instant,
}

impl std::fmt::Debug for Allowance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Allowance").field("terms", &self.terms).finish_non_exhaustive()
    }
}

impl Terms {
    fn of(config: &KeyConfig) -> Self {
        Self {
            requests_per_minute: config.requests_per_minute,
            tokens_per_minute: config.tokens_per_minute,
            tokens_per_day: config.tokens_per_day,
        }
    }
}

/// Tokens that are put aside for a request that does not say how many it wants.
const OUTPUT: u64 = 1024;
const MOMENT: Duration = Duration::from_secs(1);
/// Letters in a token, about.
const LETTERS: u64 = 4;
/// OpenAI's clients come back too soon where they need not come back today.
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

impl Allowance {
    pub(super) fn new(config: &KeyConfig, share: Option<Share>, owes: Arc<Notify>) -> Self {
        Self {
            digest: config.sha256.to_ascii_lowercase(),
            terms: Terms::of(config),
            models: config.models.clone(),
            book: Arc::default(),
            owed: Arc::default(),
            share,
            owes,
            began: Instant::now(),
        }
    }

    /// Other terms for the same key: what it has used stays used, and what was put aside is settled here too.
    pub(super) fn renewed(&self, config: &KeyConfig) -> Self {
        Self {
            digest: self.digest.clone(),
            terms: Terms::of(config),
            models: config.models.clone(),
            book: Arc::clone(&self.book),
            owed: Arc::clone(&self.owed),
            share: self.share.clone(),
            owes: Arc::clone(&self.owes),
            began: self.began,
        }
    }

    /// Those who count with it, if it counts at all.
    fn share(&self) -> Option<&Share> {
        self.share.as_ref().filter(|_| self.terms != Terms::default())
    }

    /// May the key use this model?
    pub fn allows(&self, model: &str) -> bool {
        // Ollama's names have a tag, and its clients leave the usual one out.
        let names = [Some(model), model.strip_suffix(":latest")];
        let fit = |pattern: &String| names.iter().flatten().any(|name| fits(pattern, name));
        self.models.as_ref().is_none_or(|patterns| patterns.iter().any(fit))
    }

    /// Are there models that the key may not use?
    pub fn confines(&self) -> bool {
        self.models.is_some()
    }

    /// Are its requests limited?
    pub(super) fn counts(&self) -> bool {
        self.terms.requests_per_minute.is_some()
    }

    /// Takes one of the requests that the key may send; nothing gives it back.
    pub(super) async fn count(&self, access: &Access) -> Result<(), Refusal> {
        self.take(self.terms.request()).await.map_err(|short| self.refused(short, access))
    }

    /// Puts aside the tokens that a request asks for. The request itself was counted when it came.
    pub async fn reserve(self: &Arc<Self>, demand: Demand, access: &Access) -> Result<Reservation, Refusal> {
        let charge = self.terms.work(self.tokens(demand));
        if !charge.is_nothing()
            && let Err(short) = self.take(charge).await
        {
            return Err(self.refused(short, access));
        }
        let prompt = demand.prompt;
        let charge = Arc::new(Mutex::new(charge));
        // An answer without a bound of its own ends with the day's budget.
        if self.terms.tokens_per_day.is_some() && demand.output.is_none() {
            let (allowance, charge) = (Arc::clone(self), Arc::clone(&charge));
            access.limit(move |letters| allowance.extend(&charge, prompt + letters / LETTERS));
        }
        Ok(Reservation { allowance: Arc::clone(self), access: access.clone(), prompt, charge })
    }

    /// Puts more of the day's budget aside if so many tokens are more than was put aside before. `false`: there is no more.
    fn extend(&self, charge: &Mutex<Charge>, seen: u64) -> bool {
        let mut charge = charge.lock();
        if u64::try_from(charge.today).is_ok_and(|aside| seen < aside) {
            return true;
        }
        let more = Charge { today: i64::try_from(OUTPUT).unwrap_or_default(), ..Charge::default() };
        if self.book.lock().take(self.terms, more, self.clock()).is_err() {
            return false;
        }
        self.owe(more);
        *charge = charge.and(more);
        true
    }

    /// A request that does not say what it wants does not ask for more than a minute has.
    fn tokens(&self, demand: Demand) -> u64 {
        let minute = self.terms.tokens_per_minute.map_or(u64::MAX, NonZeroU64::get);
        let unsaid = OUTPUT.min(minute.saturating_sub(demand.prompt)).max(1);
        demand.prompt.saturating_add(demand.output.unwrap_or(unsaid).saturating_mul(demand.choices))
    }

    async fn take(&self, charge: Charge) -> Result<(), Short> {
        let clock = self.clock();
        if let Some(Drawn { taken, balance }) = self.draw(charge, false).await {
            self.book.lock().adopt(balance, self.clock());
            // Where the store's day is not ours yet, or no longer, it is a matter of a moment.
            let short = || self.terms.short(balance, charge, clock.unix).unwrap_or(Short::Today(MOMENT));
            return if taken { Ok(()) } else { Err(short()) };
        }
        self.book.lock().take(self.terms, charge, clock)?;
        self.owe(charge);
        Ok(())
    }

    fn settle(&self, charge: Charge) {
        self.book.lock().settle(charge, self.clock());
        self.owe(charge);
    }

    async fn draw(&self, charge: Charge, settles: bool) -> Option<Drawn> {
        let share = self.share()?;
        let budget = self.terms.tokens_per_day.and_then(|limit| i64::try_from(limit.get()).ok());
        share(Draw { digest: self.digest.clone(), charge, budget, settles }).await
    }

    fn owe(&self, charge: Charge) {
        if self.share().is_some() && !charge.is_nothing() {
            let mut owed = self.owed.lock();
            *owed = owed.and(charge);
            self.owes.notify_one();
        }
    }

    /// Tells the other replicas what they do not know yet. `false`: they cannot be told now.
    pub(super) async fn tell(&self) -> bool {
        let owed = std::mem::take(&mut *self.owed.lock());
        if owed.is_nothing() {
            return true;
        }
        match self.draw(owed, true).await {
            Some(Drawn { balance, .. }) => {
                self.book.lock().adopt(balance, self.clock());
                true
            }
            None => {
                let mut later = self.owed.lock();
                *later = later.and(owed);
                false
            }
        }
    }

    fn refused(&self, short: Short, access: &Access) -> Refusal {
        let limit = |limit: Option<NonZeroU64>| limit.map_or(0, NonZeroU64::get);
        let (reason, wait, words) = match short {
            Short::Requests(wait) => {
                let words = format!("{} requests a minute", limit(self.terms.requests_per_minute));
                ("requests_per_minute", wait, words)
            }
            Short::Tokens(wait) => {
                let words = format!("{} tokens a minute", limit(self.terms.tokens_per_minute));
                ("tokens_per_minute", wait, words)
            }
            Short::Today(wait) => {
                let words =
                    format!("{} tokens a day, which ends at midnight UTC", limit(self.terms.tokens_per_day));
                ("tokens_per_day", wait, words)
            }
        };
        access.metrics().refused(reason);
        let seconds = u32::try_from(wait.as_micros().div_ceil(1_000_000)).unwrap_or(u32::MAX).max(1);
        let words = format!("this API key is limited to {words}; try again in {seconds} s");
        let refusal = Refusal::new(Code::RateLimited, words).retry_after(seconds);
        match short {
            Short::Today(_) => refusal.header(X_SHOULD_RETRY, HeaderValue::from_static("false")),
            Short::Requests(_) | Short::Tokens(_) => refusal,
        }
    }

    fn clock(&self) -> Clock {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Clock { micros: i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX / 2), unix }
    }
}

/// What was put aside for one request; settled when dropped, so it moves along with the work.
#[derive(Debug)]
pub struct Reservation {
    allowance: Arc<Allowance>,
    access: Access,
    /// The estimate of what the model reads.
    prompt: u64,
    charge: Arc<Mutex<Charge>>,
}

impl Reservation {
    /// What the request has used, as far as anybody knows; `None`: what was put aside.
    fn used(&self, spent: Spent) -> Option<u64> {
        let Spent { attempts, usage, letters, streamed, failed } = spent;
        let generated = letters.div_ceil(LETTERS);
        match usage {
            _ if attempts == 0 => Some(0),
            // A backend that tells of less than half of what was seen is not believed.
            Some((input, output)) => {
                let input = if input == 0 { self.prompt } else { input };
                Some(input.saturating_add(if output < generated / 2 { generated } else { output }))
            }
            None if failed && letters == 0 => Some(0),
            None if streamed => Some(self.prompt.saturating_add(generated)),
            // Nobody has seen how much a whole answer had of the backend when its client left.
            None => None,
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(used) = self.used(self.access.spent()) {
            let rest = self.allowance.terms.rest(*self.charge.lock(), used);
            self.allowance.settle(rest);
        }
    }
}
