//! The configuration: one file, read once, checked whole. Every part has its own `Config`; here they are put together, with
//! every problem named at once.

mod access;
mod check;
mod reload;
mod sections;
mod source;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::api::{RouteConfig, StreamConfig};
use crate::config::sections::Sections;
use crate::edge::{KeyConfig, digest};
use crate::journal;
use crate::server;
use crate::telemetry;
use crate::upstream;

pub use crate::server::Listen;
pub use reload::Reloaded;
pub use source::{Source, Text};

/// The whole configuration.
#[derive(Clone, Debug, Default)]
pub struct Config {
    pub server: server::Config,
    pub admin: Admin,
    pub log: telemetry::Config,
    pub stream: StreamConfig,
    pub journal: journal::Config,
    pub pool: upstream::PoolConfig,
    pub keys: Vec<KeyConfig>,
    pub backends: Vec<upstream::Config>,
    pub routes: Vec<RouteConfig>,
}

/// `[admin]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    pub listen: SocketAddr,
    /// The SHA-256 of the key that opens the metrics, 64 hexadecimal digits. Unset: they need none.
    pub sha256: Option<String>,
    /// Listen beyond loopback without such a key.
    pub allow_anonymous: bool,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9090)), sha256: None, allow_anonymous: false }
    }
}

impl Admin {
    /// The digest of the key that opens the metrics, if they need one.
    pub fn digest(&self) -> Option<[u8; 32]> {
        self.sha256.as_deref().and_then(digest)
    }
}

/// Something that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1; 0 if it is about no line.
    pub line: usize,
    pub message: String,
    pub hint: Option<String>,
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, thiserror::Error)]
pub struct Problems {
    pub file: PathBuf,
    pub list: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.list.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", self.file.display())?;
            if problem.line > 0 {
                write!(f, ":{}", problem.line)?;
            }
            write!(f, ": {}", problem.message)?;
            if let Some(hint) = &problem.hint {
                write!(f, "\n  hint: {hint}")?;
            }
        }
        Ok(())
    }
}

/// What the command line says over the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub listen: Option<Listen>,
}

impl Config {
    /// Reads and checks a file.
    pub fn load(file: &Path, overrides: Overrides) -> Result<Self, Problems> {
        let problems = |list| Problems { file: file.to_owned(), list };
        let text =
            std::fs::read_to_string(file).map_err(|error| problems(vec![unreadable(&error.to_string())]))?;
        Self::parse(&text, overrides).map_err(problems)
    }

    /// Does the file itself hold a password?
    pub fn holds_password(&self) -> bool {
        self.journal.url.as_ref().is_some_and(journal::StoreUrl::is_plain_password)
    }

    /// Does a request for the model `demo` lead to the built-in one?
    pub fn serves_demo(&self) -> bool {
        let built_in = |name: &str| {
            self.backends.iter().any(|backend| backend.name == name && backend.api == upstream::Api::Demo)
        };
        let route = self.routes.iter().find(|route| route.serves("demo"));
        route.is_some_and(|route| route.backends.iter().any(|target| built_in(&target.name)))
    }

    /// Parses and checks the text of a file.
    pub fn parse(text: &str, overrides: Overrides) -> Result<Self, Vec<Problem>> {
        let mut sections = Sections::parse(text)?;
        let mut config = Self {
            server: sections.one("server"),
            admin: sections.one("admin"),
            log: sections.one("log"),
            stream: sections.one("stream"),
            journal: sections.one("journal"),
            pool: sections.one("pool"),
            keys: sections.many("key"),
            backends: sections.many("backend"),
            routes: sections.many("route"),
        };
        if let Some(listen) = overrides.listen {
            config.server.listen = listen;
        }
        let found = sections.finish();
        let mut problems = found.problems;
        check::check(&mut config, &found.lines, problems.is_empty(), &mut problems);
        problems.sort_by_key(|problem| problem.line);
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }
}

fn unreadable(error: &str) -> Problem {
    let hint = "name a file with `--config FILE`; the repository has a `proxy.toml` with every key";
    Problem { line: 0, message: format!("cannot be read: {error}"), hint: Some(hint.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let problems = Config::parse(text, Overrides::default()).unwrap_err();
        Problems { file: "f".into(), list: problems }.to_string().lines().map(String::from).collect()
    }

    const REFERENCE: &str = include_str!("../../proxy.toml");

    /// The reference with every commented-out key switched on.
    fn uncommented() -> String {
        let key = |line: &str| {
            line.trim_start_matches("# ").split_once('=').is_some_and(|(key, _)| {
                key.trim().chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            })
        };
        REFERENCE
            .lines()
            .map(|line| {
                if line.starts_with("# ") && (key(line) || line.starts_with("# [[")) {
                    line.trim_start_matches("# ")
                } else {
                    line
                }
            })
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn what_is_written_wrongly_is_not_missing_too() {
        let told = problems("[[backend]]\nname = \"a\"\napi = \"openapi\"\nurl = \"http://a\"\n");
        assert!(told[0].starts_with("f:3: unknown variant `openapi`"), "{told:?}");
        assert!(!told.iter().any(|line| line.contains("missing field")), "{told:?}");
        let told = problems("[stream]\nkeep_alive = \"5\"\n");
        assert!(told[0].starts_with("f:2:") && told[1].contains("a time has a unit"), "{told:?}");
    }

    #[test]
    fn what_a_backend_is_said_to_want_is_checked() {
        for (api, line, words) in [
            ("openai", "refuses = [\"stop\"]", "unknown variant `stop`"),
            ("openai", "key_header = \"cookie\"", "unknown variant `cookie`"),
            ("openai", "unsigned_thinking = true", "means nothing to its `api`"),
            ("anthropic", "reasoned_calls = true", "means nothing to its `api`"),
            ("anthropic", "anthropic_version = \"latest\"", "is no date"),
        ] {
            let text = format!("[[backend]]\nname = \"a\"\napi = \"{api}\"\nurl = \"http://a\"\n{line}\n");
            let told = problems(&text);
            assert!(told[0].starts_with("f:5:") && told[0].contains(words), "{told:?}");
        }
    }

    #[test]
    fn the_reference_names_every_key() {
        let text = uncommented();
        for (section, keys) in sections::known_keys() {
            let from = text.find(&format!("[{section}]")).unwrap_or_else(|| panic!("no [{section}]"));
            for key in keys {
                let named = text
                    .get(from..)
                    .unwrap_or_default()
                    .lines()
                    .any(|line| line.split_once('=').is_some_and(|(name, _)| name.trim() == key));
                assert!(named, "`{key}` of [{section}] is not in proxy.toml");
            }
        }
    }

    #[test]
    fn the_values_of_the_reference_are_the_defaults() {
        let config = Config::parse(REFERENCE, Overrides::default()).unwrap();
        let default = Config::default();
        assert_eq!(format!("{:?}", config.server), format!("{:?}", default.server));
        assert_eq!(format!("{:?}", config.admin), format!("{:?}", default.admin));
        assert_eq!(format!("{:?}", config.log), format!("{:?}", default.log));
        assert_eq!(format!("{:?}", config.stream), format!("{:?}", default.stream));
        assert_eq!(format!("{:?}", config.journal), format!("{:?}", default.journal));
        assert_eq!(format!("{:?}", config.pool), format!("{:?}", default.pool));
        assert!(config.keys.is_empty());
    }

    #[test]
    fn the_commented_keys_of_the_reference_are_lawful() {
        let keyless = |text: String, name: &str| {
            text.replace(&format!("{{ env = \"{name}\" }}"), "{ file = \"/dev/null\" }")
        };
        let text = ["STREAMGATE_SEAL_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"]
            .into_iter()
            .fold(uncommented(), keyless);
        if let Err(problems) = Config::parse(&text, Overrides::default()) {
            let words = Problems { file: "proxy.toml".into(), list: problems }.to_string();
            assert_eq!(words.matches("holds no key").count(), 3, "{words}");
            assert_eq!(words.matches("fullchain.pem cannot be read").count(), 1, "{words}");
            assert_eq!(words.matches("proxy.toml:").count(), 4, "{words}");
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
        let lines = problems("[server]\nlisten = \"127.0.0.1:1\"\nmax_stream = 1\n");
        assert_eq!(lines[0], "f:3: unknown key `max_stream` in [server]");
        assert_eq!(lines[1], "  hint: did you mean `max_streams`?");
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let lines = problems(
            "[server]\nlisten = 5\nworkrs = 1\n[strem]\n[stream]\nkeep_alive = \"soon\"\n\
             [[backend]]\nname = \"a\"\napi = \"ollama\"\nurl = \"nowhere\"\n[[route]]\nmodel = \"*\"\nbackends = [\"b\"]\n",
        );
        let numbers: Vec<&str> = lines
            .iter()
            .filter_map(|line| line.split(':').nth(1).filter(|_| line.starts_with("f:")))
            .collect();
        assert_eq!(numbers, ["2", "3", "4", "6", "10"], "{lines:?}");
        let lines = problems(
            "[[backend]]\nname = \"a\"\napi = \"ollama\"\nurl = \"nowhere\"\n[[backend]]\nname = \"a\"\napi = \"demo\"\n\
             [[route]]\nmodel = \"*\"\nbackends = [\"b\"]\n",
        );
        let numbers: Vec<&str> = lines
            .iter()
            .filter_map(|line| line.split(':').nth(1).filter(|_| line.starts_with("f:")))
            .collect();
        assert_eq!(numbers, ["4", "6", "10"], "{lines:?}");
    }

    #[test]
    #[cfg(feature = "redis")]
    fn a_store_needs_an_address_and_a_key_of_the_right_length_and_tells_neither() {
        let lines = problems("[journal]\nstore = \"redis\"\n");
        assert_eq!(lines[0], "f:1: `store = \"redis\"` needs a `url`");
        for url in ["http://:canary@127.0.0.1", "redis://:canary@ho st", "canary"] {
            let lines = problems(&format!("[journal]\nstore = \"redis\"\nurl = \"{url}\"\n")).join(" ");
            assert!(
                lines.starts_with("f:3: the `url` of the store is not one") && !lines.contains("canary"),
                "{lines}"
            );
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "canary").unwrap();
        let lines = problems(&format!("[journal]\nseal_key = {{ file = {:?} }}\n", file.path()));
        assert_eq!(lines[0], "f:2: the `seal_key` is not 64 hexadecimal digits");
        let right = "[journal]\nstore = \"redis\"\nurl = \"rediss://:canary@localhost:6379/1\"\n";
        let config = Config::parse(right, Overrides::default()).unwrap();
        assert!(!format!("{config:?}").contains("canary"));
    }

    #[test]
    fn the_pools_of_the_readme_are_lawful() {
        let readme = include_str!("../../README.md");
        let blocks: Vec<&str> =
            readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        let pools: Vec<_> = blocks.into_iter().filter(|block| block.contains("balance = ")).collect();
        assert!(!pools.is_empty());
        for pool in pools {
            let config = Config::parse(pool, Overrides::default()).unwrap();
            assert!(config.routes.iter().any(|route| route.balance.is_some()), "{pool}");
        }
    }

    #[test]
    fn what_makes_no_sense_in_a_pool_is_named() {
        let lines = problems(
            "[pool]\nprobe_failures = 0\neject_after = 0\neject_error_rate = 1.5\nretry_ratio = -1.0\n\
             eject_for = \"0s\"\n[[backend]]\nname = \"a\"\napi = \"ollama\"\nurl = \"http://a\"\nprobe = \"health\"\n\
             [[route]]\nmodel = \"*\"\nbackends = [{ name = \"a\", weight = 0 }]\nbalance = \"ordered\"\nhedge_after = \"0s\"\n",
        );
        let numbers: Vec<&str> = lines
            .iter()
            .filter_map(|line| line.split(':').nth(1).filter(|_| line.starts_with("f:")))
            .collect();
        assert_eq!(numbers, ["2", "3", "4", "5", "6", "11", "14", "15", "16"], "{lines:?}");
    }

    #[test]
    fn a_public_address_needs_keys() {
        let text = "[server]\nlisten = \"0.0.0.0:8080\"\n";
        assert!(problems(text)[0].contains("without API keys"));
        let keyed = format!("{text}[[key]]\nname = \"a\"\nsha256 = \"{}\"\n", "0".repeat(64));
        assert!(Config::parse(&keyed, Overrides::default()).is_ok());
    }
}
