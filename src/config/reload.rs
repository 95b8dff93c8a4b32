//! A changed file that takes the place of the configuration in force: it is refused where it seems to be cut off, or would let in
//! who was kept out, and what is taken only when the gateway starts stays as it is.

use crate::config::access;
use crate::config::sections;
use crate::config::{Config, Problem};
use crate::server;

/// What a running gateway makes of a changed file.
#[derive(Clone, Debug)]
pub struct Reloaded {
    pub config: Config,
    /// Keys that the file has otherwise than they are in force: they are taken when the gateway starts.
    pub kept: Vec<&'static str>,
}

impl Config {
    /// Takes the place of `in_force`, or says why not.
    pub(super) fn replaces(mut self, in_force: &Self) -> Result<Reloaded, Vec<Problem>> {
        let pairs = in_force.fixed().into_iter().zip(self.fixed());
        let kept = pairs.filter(|((_, was), (_, is))| was != is).map(|((key, _), _)| key).collect();
        let before = in_force.server.clone();
        self.server = server::Config {
            listen: before.listen,
            listen_mode: before.listen_mode,
            workers: before.workers,
            max_connections: before.max_connections,
            max_connections_per_address: before.max_connections_per_address,
            max_connection_age: before.max_connection_age,
            header_timeout: before.header_timeout,
            write_timeout: before.write_timeout,
            max_header_bytes: before.max_header_bytes,
            tls: before.tls,
            h2c: before.h2c,
            proxy_protocol: before.proxy_protocol,
            trusted_proxies: before.trusted_proxies,
            forwarded_header: before.forwarded_header,
            ..self.server
        };
        self.admin.listen = in_force.admin.listen;
        self.log = in_force.log.clone();
        self.journal = in_force.journal.clone();
        let problems = access::check_reload(in_force, &self);
        if problems.is_empty() { Ok(Reloaded { config: self, kept }) } else { Err(problems) }
    }

    /// What is taken only when the gateway starts, key by key.
    fn fixed(&self) -> [(&'static str, String); 17] {
        let Self { server, admin, log, journal, .. } = self;
        [
            ("server.listen", server.listen.to_string()),
            ("server.listen_mode", server.listen_mode.to_string()),
            ("server.workers", server.workers.to_string()),
            ("server.max_connections", server.max_connections.to_string()),
            ("server.max_connections_per_address", format!("{:?}", server.max_connections_per_address)),
            ("server.max_connection_age", format!("{:?}", server.max_connection_age)),
            ("server.header_timeout", format!("{:?}", server.header_timeout)),
            ("server.write_timeout", format!("{:?}", server.write_timeout)),
            ("server.max_header_bytes", server.max_header_bytes.to_string()),
            ("server.tls", format!("{:?}", server.tls)),
            ("server.h2c", server.h2c.to_string()),
            ("server.proxy_protocol", server.proxy_protocol.to_string()),
            ("server.trusted_proxies", format!("{:?}", server.trusted_proxies)),
            ("server.forwarded_header", format!("{:?}", server.forwarded_header)),
            ("admin.listen", admin.listen.to_string()),
            ("log", format!("{log:?}")),
            ("journal", format!("{journal:?}")),
        ]
    }
}

/// Does this seem to be a part of a file, which somebody has not finished to write (a full disk, a template that failed)? Only what
/// changes the text in force is asked.
pub(super) fn cut_off(in_force: &str, text: &str) -> Option<Problem> {
    let problem = |message: &str, hint: Option<&str>| {
        Some(Problem { line: 0, message: message.into(), hint: hint.map(String::from) })
    };
    if sections::is_empty(text) {
        return problem("there is no section in it: it seems to be cut off", None);
    }
    let says = |line: &str| !matches!(line.trim().chars().next(), None | Some('#'));
    if in_force.strip_prefix(text).is_some_and(|rest| rest.lines().any(says)) {
        let message =
            "it is the beginning of the configuration in force, which goes on: it seems to be cut off";
        return problem(message, Some("where that is meant, change something else too: a comment will do"));
    }
    if in_force.ends_with('\n') && !text.ends_with('\n') {
        let message = "its last line has no line break, unlike that of the configuration in force: it seems to be cut off";
        return problem(message, Some("end it with a line break"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    const WHOLE: &str = "[server]\nmax_streams = 10\n\n[[key]]\nname = \"a\"\nmodels = [\"m\"]\n# the end\n";

    #[test]
    fn every_part_of_a_file_that_misses_something_is_known_by_its_end() {
        let end = WHOLE.find("\n# the end").unwrap() + 1;
        for at in 0..end - 1 {
            let part = WHOLE.get(..at).unwrap();
            let is_toml = toml::from_str::<toml::Table>(part).is_ok();
            assert!(!is_toml || cut_off(WHOLE, part).is_some(), "{part:?}");
        }
        assert_eq!(cut_off(WHOLE, WHOLE.get(..end).unwrap()), None, "only a comment is missing");
        assert_eq!(cut_off(WHOLE, WHOLE), None);
    }

    #[test]
    fn a_file_with_other_words_is_whole_unless_its_last_line_is_not() {
        let less = "[server]\nmax_streams = 2\n";
        assert_eq!(cut_off("[server]\nmax_streams = 20\n", less), None, "a smaller number");
        assert_eq!(cut_off(WHOLE, less), None);
        assert!(cut_off(WHOLE, less.trim_end()).is_some());
        assert_eq!(cut_off(WHOLE.trim_end(), less.trim_end()), None);
        assert!(cut_off("[log]\n", "# nothing\n").is_some());
    }

    /// The problems of putting `after` in the place of `before`.
    fn replaced(before: &str, after: &str) -> Result<Reloaded, Vec<Problem>> {
        let parse = |text: &str| Config::parse(text, Overrides::default()).unwrap();
        parse(after).replaces(&parse(before))
    }

    const KEY: &str = "[[key]]\nname = \"a\"\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n";
    const PUBLIC: &str = "[server]\nlisten = \"0.0.0.0:8080\"\n";

    #[test]
    fn what_was_closed_is_opened_by_nothing_but_the_word_for_it() {
        let (keyed, anonymous) = (format!("{PUBLIC}{KEY}"), format!("{PUBLIC}allow_anonymous = true\n"));
        for (before, after) in [(keyed.as_str(), "[log]\n"), (KEY, "[log]\n"), (&anonymous, "[log]\n")] {
            assert!(replaced(before, after).is_err(), "{before} {after}");
            let word = "[server]\nallow_anonymous = true\n";
            assert!(replaced(before, word).is_ok(), "{before} {word}");
        }
        assert!(replaced("[log]\n", "[stream]\n").is_ok(), "it was open, to this machine");
        let digest = "0".repeat(64);
        let admin = |more: &str| format!("[admin]\nlisten = \"0.0.0.0:9090\"\n{more}\n");
        let (closed, open) = (admin(&format!("sha256 = \"{digest}\"")), admin("allow_anonymous = true"));
        let local = format!("[admin]\nsha256 = \"{digest}\"\n");
        for before in [&closed, &open, &local] {
            assert!(replaced(before, "[log]\n").is_err(), "{before}");
            assert!(replaced(before, "[admin]\nallow_anonymous = true\n").is_ok(), "{before}");
        }
    }

    #[test]
    fn what_is_taken_at_the_start_stays_and_is_named() {
        let after = format!(
            "[server]\nlisten = \"10.0.0.1:80\"\nmax_header_bytes = \"9KiB\"\nmax_streams = 7\n{KEY}"
        );
        let Reloaded { config, kept } = replaced(KEY, &after).unwrap();
        assert_eq!(kept, ["server.listen", "server.max_header_bytes"]);
        assert_eq!(config.server.listen, Config::default().server.listen);
        assert_eq!(config.server.max_header_bytes, Config::default().server.max_header_bytes);
        assert_eq!(config.server.max_streams, 7);
    }
}
