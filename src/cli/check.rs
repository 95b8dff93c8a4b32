//! `streamgate check`.

use std::io::Write as _;
use std::path::Path;

use crate::config::{Config, Overrides};

/// Reads a configuration and says what is in it, or everything that is wrong with it.
pub(super) fn run(file: &Path) -> anyhow::Result<()> {
    let config = Config::load(file, Overrides::default())?;
    let count = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let backends = count(config.backends.len(), "backend");
    let (routes, keys) = (count(config.routes.len(), "route"), count(config.keys.len(), "key"));
    writeln!(anstream::stdout(), "{}: {backends}, {routes}, {keys}, no problems", file.display())?;
    Ok(())
}
