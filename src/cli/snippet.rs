//! `streamgate snippet`.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::config::{Config, Overrides};
use crate::snippet::{Place, Program, public_host, snippet};

/// Prints the configuration of a program in front of this gateway; what else is to be done is said beside it.
pub(super) fn run(program: Program, file: &Path, place: &Place) -> anyhow::Result<()> {
    let config = Config::load(file, Overrides::default())?;
    if place.certificate.is_some() && !program.speaks_tls() {
        anyhow::bail!("Varnish speaks no TLS: have another program decrypt in front of it");
    }
    let text = snippet(program, &config, place)
        .context("`server.listen` is a Unix socket: name the gateway with `--gateway HOST:PORT`")?;
    write!(anstream::stdout(), "{text}")?;
    for hint in hints(&config) {
        writeln!(anstream::stderr(), "hint: {hint}")?;
    }
    Ok(())
}

/// What the gateway's configuration lacks behind a program.
fn hints(config: &Config) -> Vec<&'static str> {
    let server = &config.server;
    let hints = [
        (
            public_host(config).is_none() && server.allowed_hosts.is_empty(),
            "`server.allowed_hosts` is empty: another Host than a loopback name gets 421; list the public name there",
        ),
        (
            server.trusted_proxies.is_empty(),
            "`server.trusted_proxies` is empty: all clients have the program's address; list that address there",
        ),
        (
            server.tls.is_some(),
            "`server.tls` is set, and the program speaks plain HTTP to the gateway: let one of them speak TLS",
        ),
    ];
    hints.into_iter().filter(|(lacking, _)| *lacking).map(|(_, hint)| hint).collect()
}
