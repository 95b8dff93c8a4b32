//! Who may come in without a key: nobody from other machines, and behind a reload nobody who needed a key before, unless the
//! configuration says `allow_anonymous = true`.

use crate::config::check::Report;
use crate::config::{Config, Problem};
use crate::edge::digest;
use crate::server::Listen;

/// Checks what a configuration says by itself.
pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    let Config { server, admin, .. } = config;
    if server.listen.is_public() && config.is_open() {
        let message = format!("`listen = \"{}\"` is beyond loopback, without API keys", server.listen);
        let hint = "add a [[key]], listen on 127.0.0.1 behind a proxy that checks who calls, or let anybody in: \
            allow_anonymous = true";
        report(("server", 0, "listen"), message, Some(hint));
    }
    if Listen::Tcp(admin.listen).is_public() && config.is_admin_open() {
        let message = format!("`listen = \"{}\"` of [admin] is beyond loopback, without a key", admin.listen);
        let hint = "sha256 = \"…\" of a key that `streamgate key` makes, listen on 127.0.0.1, or let anybody read: \
            allow_anonymous = true";
        report(("admin", 0, "listen"), message, Some(hint));
    }
    if admin.sha256.as_deref().is_some_and(|sha256| digest(sha256).is_none()) {
        let message = "the `sha256` of [admin] is not 64 hexadecimal digits".into();
        report(("admin", 0, "sha256"), message, Some("printf %s \"$KEY\" | sha256sum"));
    }
}

/// Checks what takes the place of the configuration that is in force. `config` has the addresses that are listened on, whatever
/// its file says.
pub(super) fn check_reload(in_force: &Config, config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut report = |message: &str, hint: &str| {
        problems.push(Problem { line: 0, message: message.into(), hint: Some(hint.into()) });
    };
    let hint = "where that is meant: allow_anonymous = true in [server]";
    if config.is_open() && !in_force.keys.is_empty() {
        report("the last [[key]] is gone, and everybody would be let in", hint);
    } else if config.is_open() && config.server.listen.is_public() {
        report("without API keys, the gateway listens beyond loopback until it is restarted", hint);
    }
    let hint = "where that is meant: allow_anonymous = true in [admin]";
    if config.is_admin_open() && in_force.admin.sha256.is_some() {
        report("the `sha256` of [admin] is gone, and everybody could read the metrics", hint);
    } else if config.is_admin_open() && Listen::Tcp(config.admin.listen).is_public() {
        report("without a key, [admin] listens beyond loopback until the gateway is restarted", hint);
    }
    problems
}

impl Config {
    /// Is everybody let in, and does the file not say so?
    fn is_open(&self) -> bool {
        self.keys.is_empty() && !self.server.allow_anonymous
    }

    /// May everybody read the metrics, and does the file not say so?
    fn is_admin_open(&self) -> bool {
        self.admin.sha256.is_none() && !self.admin.allow_anonymous
    }
}
