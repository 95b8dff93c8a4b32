//! `streamgate check`.

use std::io::Write as _;
use std::path::Path;

use crate::config::{Config, Overrides};

/// Reads a configuration and says what is in it, or everything that is wrong with it.
pub(super) fn run(file: &Path) -> anyhow::Result<()> {
    let config = Config::load(file, Overrides::default())?;
    let (backends, routes, keys) = (config.backends.len(), config.routes.len(), config.keys.len());
    writeln!(
        anstream::stdout(),
        "{}: {backends} backends, {routes} routes, {keys} keys, no problems",
        file.display()
    )?;
    Ok(())
}
