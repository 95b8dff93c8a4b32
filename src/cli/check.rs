//! `streamgate check`.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::config::{Config, Overrides};

/// Reads a configuration and says what is in it, or everything that is wrong with it.
pub(super) fn run(file: &Path) -> anyhow::Result<()> {
    let config = Config::load(file, Overrides::default())?;
    let count = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let backends = count(config.backends.len(), "backend");
    let (routes, keys) = (count(config.routes.len(), "route"), count(config.keys.len(), "key"));
    writeln!(anstream::stdout(), "{}: {backends}, {routes}, {keys}, no problems", file.display())?;
    let is_public = std::fs::metadata(file)?.permissions().mode() & 0o004 != 0;
    if is_public && config.holds_password() {
        let words = "everybody on this machine can read the file, and with it the password of the store";
        let hint = "chmod 640, or url = { env = \"NAME\" }";
        writeln!(anstream::stderr(), "{}: {words}\n  hint: {hint}", file.display())?;
    }
    Ok(())
}
