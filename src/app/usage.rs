//! What keys have used, where replicas that share a store count it together.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::app::Shared;
use crate::edge::{Balance, Draw, Drawn, Keys, Share};
use crate::journal::Journal;

/// How they count together; `None` where each counts for itself.
pub(super) fn share(journal: &Journal) -> Option<Share> {
    let journal = journal.clone();
    let shared = journal.is_shared();
    let share = move |Draw { digest, charge, budget, settles }| -> BoxFuture<'static, Option<Drawn>> {
        let journal = journal.clone();
        Box::pin(async move {
            let amounts = [charge.requests, charge.tokens, charge.today];
            let (taken, [requests, tokens, today]) = journal.draw(&digest, amounts, budget, settles).await?;
            Some(Drawn { taken, balance: Balance { requests, tokens, today } })
        })
    };
    shared.then(|| Arc::new(share) as Share)
}

/// Tells the others what was used here, for as long as the gateway runs.
pub(super) async fn tell(shared: &Shared) {
    newest(shared).run(|| newest(shared)).await;
}

/// The keys in force.
pub(super) fn newest(shared: &Shared) -> Keys {
    shared.generations.borrow().keys.clone()
}
