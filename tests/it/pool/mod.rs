//! A pool that can be trusted: several backends of unequal health behind one name.

mod affinity;
mod budget;
mod catalog;
mod causes;
mod ejection;
mod hedge;
mod probes;
mod shares;

use futures_util::future::join_all;

use crate::support::{Gateway, Heard, Manner, Server, Setup, chat};

/// Backends that behave like this, called `a`, `b` and so on.
async fn servers(manners: &[Manner]) -> Vec<Server> {
    join_all(manners.iter().map(|manner| Server::start(*manner))).await
}

/// A gateway before them, with these lines in its route. Nobody is probed, so that requests alone tell of health.
fn setup(servers: &[Server], route: &str) -> Setup {
    let names = ["a", "b", "c", "d"];
    let setup = Setup::new().pool("probe_interval = \"0s\"");
    let setup = setup.route(&format!("model = \"*\"\nbackends = {:?}\n{route}", &names[..servers.len()]));
    let named = names.iter().zip(servers);
    named.fold(setup, |setup, (name, server)| setup.backend(name, "openai", &server.url()))
}

/// Streams one answer; was it a success?
async fn succeeds(gateway: &Gateway) -> bool {
    let mut answer = gateway.post("/v1/chat/completions", &chat()).await;
    answer.status == 200 && Heard::of(&mut answer).await.succeeded()
}

/// Streams so many answers, so many at a time; tells how many were a success.
async fn ask(gateway: &Gateway, requests: usize, at_a_time: usize) -> usize {
    let some = async || {
        let mut succeeded = 0;
        for _ in 0..requests / at_a_time {
            succeeded += usize::from(succeeds(gateway).await);
        }
        succeeded
    };
    join_all((0..at_a_time).map(|_| some())).await.into_iter().sum()
}

fn seen(servers: &[Server]) -> Vec<usize> {
    servers.iter().map(Server::seen).collect()
}

/// Do the metrics show this backend in this state?
async fn is(gateway: &Gateway, backend: &str, state: &str) -> bool {
    let (backend, state) = (format!("backend=\"{backend}\""), format!("state=\"{state}\""));
    gateway.metric("streamgate_backend_state", &[&backend, &state]).await > 0.5
}
