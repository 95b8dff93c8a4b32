//! What API keys have used on all replicas: one script takes it or says that there is not enough, within one round trip.

use crate::journal::store::{QUICK, Store};

impl Store {
    /// See [`Journal::draw`](crate::journal::Journal::draw).
    pub(in crate::journal) async fn draw(
        &self,
        key: &str,
        amounts: [i64; 3],
        budget: Option<i64>,
        settles: bool,
    ) -> Option<(bool, [i64; 3])> {
        if !self.is_up() {
            return None;
        }
        let mut connection = self.connection().ok()?;
        let mut script = self.0.scripts.draw.prepare_invoke();
        script.key(self.0.names.budget(key));
        for amount in amounts {
            script.arg(amount);
        }
        script.arg(budget.unwrap_or(-1)).arg(u8::from(settles));
        let drawn = self.within(QUICK, script.invoke_async::<(bool, i64, i64, i64)>(&mut connection)).await;
        let (taken, requests, tokens, today) = drawn.ok()?;
        Some((taken, [requests, tokens, today]))
    }
}
