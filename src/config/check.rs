//! What a type cannot say: that names are there and unique, that addresses are addresses, that keys can be read.

use std::collections::HashSet;
use std::time::Duration;

use http::Uri;
use secrecy::SecretString;

use crate::config::access;
use crate::config::sections::Lines;
use crate::config::{Config, Problem};
use crate::edge::KeyConfig;
use crate::journal::StoreUrl;
use crate::server::{Certificate, Config as Server, Listen};
use crate::telemetry::{Secret, SecretSource};
use crate::upstream::{Api, Balance, Config as Backend, PoolConfig, is_version};

/// Checks `config`, and reads the keys that it names. `complete`: every section could be read, so that a name that is missing
/// is really missing.
pub(super) fn check(config: &mut Config, lines: &Lines, complete: bool, problems: &mut Vec<Problem>) {
    let mut report = |(section, at, key): Place<'_>, message: String, hint: Option<&str>| {
        problems.push(Problem { line: lines.of(section, at, key), message, hint: hint.map(String::from) });
    };
    access::check(config, &mut report);
    check_server(config, &mut report);
    check_journal(config, &mut report);
    check_pool(&config.pool, &mut report);
    for (at, key) in config.keys.iter().enumerate() {
        if key.digest().is_none() {
            let message = format!("the `sha256` of key `{}` is not 64 hexadecimal digits", key.name);
            report(("key", at, "sha256"), message, Some("printf %s \"$KEY\" | sha256sum"));
        }
    }
    for at in repeated(config.keys.iter().map(|key: &KeyConfig| key.name.as_str())) {
        report(("key", at, "name"), "the name of this key is taken by an earlier one".into(), None);
    }
    let digests: Vec<String> = config.keys.iter().map(|key| key.sha256.to_ascii_lowercase()).collect();
    for at in repeated(digests.iter().map(String::as_str)) {
        report(("key", at, "sha256"), "this key is there already, under another name".into(), None);
    }
    for (at, backend) in config.backends.iter_mut().enumerate() {
        for (key, message, hint) in check_backend(backend) {
            report(("backend", at, key), message, hint);
        }
    }
    for at in repeated(config.backends.iter().map(|backend| backend.name.as_str())) {
        report(("backend", at, "name"), "the name of this backend is taken by an earlier one".into(), None);
    }
    if complete {
        check_routes(config, &mut report);
    }
}

/// A section, which of them, and a key in it.
type Place<'p> = (&'p str, usize, &'p str);
pub(super) type Report<'r> = dyn FnMut(Place<'_>, String, Option<&str>) + 'r;

fn check_server(config: &Config, report: &mut Report<'_>) {
    if config.server.listen == Listen::Tcp(config.admin.listen) && config.admin.listen.port() != 0 {
        report(("admin", 0, "listen"), "`listen` is the address of [server] too".into(), None);
    }
    if config.server.max_header_bytes.as_u64() < 8192 {
        report(("server", 0, "max_header_bytes"), "`max_header_bytes` must be 8KiB or more".into(), None);
    }
    if let Some(why) = config.log.problem() {
        report(
            ("log", 0, "level"),
            format!("`level` is not a level: {why}"),
            Some("one of error, warn, info, debug, trace"),
        );
    }
    let server = &config.server;
    check_door(server, report);
    let times = [
        ("header_timeout", server.header_timeout),
        ("body_timeout", server.body_timeout),
        ("write_timeout", server.write_timeout),
    ];
    check_times(("server", 0), times.map(|(name, time)| (name, Some(time))), report);
    for (name, value) in
        [("max_connections", server.max_connections), ("max_json_depth", server.max_json_depth)]
    {
        if value == 0 {
            report(("server", 0, name), format!("`{name}` must be more than 0"), None);
        }
    }
    let stream = &config.stream;
    let times = [
        ("keep_alive", stream.keep_alive),
        ("connect_timeout", stream.connect_timeout),
        ("first_token_timeout", stream.first_token_timeout),
        ("queue_timeout", stream.queue_timeout),
        ("idle_timeout", stream.idle_timeout),
        ("max_duration", stream.max_duration),
    ];
    check_times(("stream", 0), times.map(|(name, time)| (name, Some(time))), report);
    if stream.max_event_bytes.as_u64() == 0 {
        report(("stream", 0, "max_event_bytes"), "`max_event_bytes` must be more than 0".into(), None);
    }
}

fn check_pool(pool: &PoolConfig, report: &mut Report<'_>) {
    let times = [
        ("probe_timeout", pool.probe_timeout),
        ("eject_for", pool.eject_for),
        ("eject_for_max", pool.eject_for_max),
    ];
    check_times(("pool", 0), times.map(|(name, time)| (name, Some(time))), report);
    let counts = [
        ("probe_failures", pool.probe_failures),
        ("probe_successes", pool.probe_successes),
        ("eject_after", pool.eject_after),
    ];
    for (name, _) in counts.iter().filter(|(_, count)| *count == 0) {
        report(("pool", 0, name), format!("`{name}` must be more than 0"), None);
    }
    if !(pool.eject_error_rate > 0.0 && pool.eject_error_rate <= 1.0) {
        let message = "`eject_error_rate` must be more than 0 and at most 1".into();
        report(("pool", 0, "eject_error_rate"), message, None);
    }
    if !(pool.retry_ratio >= 0.0 && pool.retry_ratio.is_finite()) {
        report(("pool", 0, "retry_ratio"), "`retry_ratio` must be 0 or more".into(), None);
    }
}

/// What stands between clients and the server: TLS, and proxies.
fn check_door(server: &Server, report: &mut Report<'_>) {
    if let Some(files) = &server.tls
        && let Err(error) = Certificate::load(files.clone())
    {
        let hint = "tls = { cert = \"fullchain.pem\", key = \"privkey.pem\" }";
        report(("server", 0, "tls"), error.to_string(), Some(hint));
    }
    if server.h2c && server.tls.is_some() {
        let message = "`h2c` is HTTP/2 without TLS, and there is TLS, which offers HTTP/2 by itself";
        report(("server", 0, "h2c"), message.into(), None);
    }
    if server.proxy_protocol && server.trusted_proxies.is_empty() && server.listen.ip().is_some() {
        let hint = Some("trusted_proxies = [\"127.0.0.0/8\"]");
        report(("server", 0, "proxy_protocol"), "`proxy_protocol` needs `trusted_proxies`".into(), hint);
    }
    if server.listen_mode > 0o777 {
        report(
            ("server", 0, "listen_mode"),
            "`listen_mode` is not a mode".into(),
            Some("listen_mode = 0o660"),
        );
    }
    if server.min_body_rate.as_u64() == 0 {
        report(("server", 0, "min_body_rate"), "`min_body_rate` must be more than 0".into(), None);
    }
    check_memory(server, report);
    let age = [("max_connection_age", server.max_connection_age)];
    check_times(("server", 0), age, report);
}

/// A body as large as a body may be must have room, also where others take their shares.
fn check_memory(server: &Server, report: &mut Report<'_>) {
    let rooms = [
        ("max_body_memory", Some(server.max_body_memory)),
        ("max_body_memory_per_key", server.max_body_memory_per_key),
    ];
    for (name, room) in rooms {
        if room.is_some_and(|room| room < server.max_body_bytes) {
            let words =
                format!("`{name}` has no room for one body of {} (`max_body_bytes`)", server.max_body_bytes);
            report(("server", 0, name), words, Some("four times as much lets others in beside it"));
        }
    }
}

fn check_journal(config: &mut Config, report: &mut Report<'_>) {
    let journal = &mut config.journal;
    let mut unread = None;
    if let Some(StoreUrl::Named(secret)) = &mut journal.url {
        match read(secret) {
            Ok(value) => secret.value = Some(value),
            Err(why) => unread = Some(format!("the `url` of the store cannot be read: {why}")),
        }
    }
    if let Some(problem) = unread.or_else(|| journal.url_problem().map(String::from)) {
        report(("journal", 0, "url"), problem, Some("url = \"redis://127.0.0.1:6379\""));
    }
    if journal.lease < Duration::from_millis(500) {
        report(("journal", 0, "lease"), "`lease` must be 500ms or more".into(), None);
    }
    let Some(key) = &mut journal.seal_key else { return };
    let problem = match read(key) {
        Ok(value) => {
            key.value = Some(value);
            journal.seal().err().map(String::from)
        }
        Err(why) => Some(format!("the `seal_key` cannot be read: {why}")),
    };
    if let Some(problem) = problem {
        report(("journal", 0, "seal_key"), problem, Some("openssl rand -hex 32"));
    }
}

/// Times that make no sense as nothing at all.
fn check_times<const N: usize>(
    (section, at): (&str, usize),
    times: [(&str, Option<Duration>); N],
    report: &mut Report<'_>,
) {
    for (name, time) in times {
        if time == Some(Duration::ZERO) {
            report((section, at, name), format!("`{name}` must be longer than nothing"), None);
        }
    }
}

/// A key of a backend, what is wrong with it, and how it may be mended.
type Wrong = (&'static str, String, Option<&'static str>);

fn check_slots(backend: &Backend) -> Vec<Wrong> {
    let (name, mut problems) = (&backend.name, Vec::new());
    if let Some(reserve) = backend.reserve
        && backend.max_concurrent.is_none_or(|slots| slots.get() <= reserve)
    {
        let message = format!("the `reserve` of backend `{name}` is not less than its `max_concurrent`");
        problems.push(("reserve", message, Some("max_concurrent = 8")));
    }
    if backend.queue.is_some() && backend.max_concurrent.is_none() {
        let message = format!("the `queue` of backend `{name}` is never used: it has no `max_concurrent`");
        problems.push(("queue", message, Some("max_concurrent = 4")));
    }
    problems
}

/// Keys that mean nothing to the API that it speaks.
fn check_foreign(backend: &Backend) -> Vec<Wrong> {
    let name = &backend.name;
    let foreign = [
        ("responses", backend.responses, Api::OpenAi),
        ("reasoning_field", backend.reasoning_field.is_some(), Api::OpenAi),
        ("reasoned_calls", backend.reasoned_calls.is_some(), Api::OpenAi),
        ("default_max_tokens", backend.default_max_tokens.is_some(), Api::Anthropic),
        ("thinking", backend.thinking.is_some(), Api::Anthropic),
        ("anthropic_version", backend.anthropic_version.is_some(), Api::Anthropic),
        ("unsigned_thinking", backend.unsigned_thinking.is_some(), Api::Anthropic),
        ("billing_header", backend.billing_header.is_some(), Api::Anthropic),
    ];
    let set = foreign.into_iter().filter(|(_, set, api)| *set && backend.api != *api);
    let told =
        set.map(|(key, ..)| (key, format!("`{key}` of backend `{name}` means nothing to its `api`"), None));
    told.collect()
}

fn check_backend(backend: &mut Backend) -> Vec<Wrong> {
    let mut problems = Vec::new();
    let name = &backend.name;
    let url: Option<Uri> = backend.url.parse().ok();
    let scheme = url.as_ref().and_then(|url| url.scheme_str());
    let host = url.as_ref().and_then(|url| url.host()).unwrap_or_default();
    let authority = url.as_ref().map(|url| url.authority().map_or("", |authority| authority.as_str()));
    let credentials = authority.unwrap_or(&backend.url).contains('@');
    let query = backend.url.contains('?');
    match backend.api {
        Api::Demo if !backend.url.is_empty() => {
            problems.push(("url", format!("backend `{name}` is built in and has no `url`"), None));
        }
        // Before it is repeated: it may hold what must not be told.
        Api::Ollama | Api::OpenAi | Api::Anthropic if credentials || query => {
            let what = if query { "a query" } else { "credentials" };
            let message = format!("the `url` of backend `{name}` holds {what}");
            problems.push(("url", message, Some("api_key = { env = \"NAME\" }")));
        }
        Api::Ollama | Api::OpenAi | Api::Anthropic
            if !matches!(scheme, Some("http" | "https")) || host.is_empty() =>
        {
            let message = format!("the `url` of backend `{name}` is not one: \"{}\"", backend.url);
            problems.push(("url", message, Some("url = \"http://127.0.0.1:11434\"")));
        }
        Api::Demo | Api::Ollama | Api::OpenAi | Api::Anthropic => {}
    }
    problems.extend(check_slots(backend));
    problems.extend(check_foreign(backend));
    if let Some(version) = backend.anthropic_version.as_deref().filter(|version| !is_version(version)) {
        let message = format!("the `anthropic_version` of backend `{name}` is no date: \"{version}\"");
        problems.push(("anthropic_version", message, Some("anthropic_version = \"2023-06-01\"")));
    }
    if let Some(probe) = &backend.probe
        && probe != "none"
        && !probe.starts_with('/')
    {
        let message = format!("the `probe` of backend `{name}` is neither a path nor `none`");
        problems.push(("probe", message, Some("probe = \"/health\"")));
    }
    if let Some(key) = &mut backend.api_key {
        match read(key) {
            Ok(value) => key.value = Some(value),
            Err(why) => problems.push((
                "api_key",
                format!("the `api_key` of backend `{name}` cannot be read: {why}"),
                None,
            )),
        }
    }
    problems
}

/// The only place that reads the environment.
#[expect(clippy::disallowed_methods, reason = "this is where it is allowed")]
fn read(key: &Secret) -> Result<SecretString, String> {
    let text = match &key.source {
        SecretSource::Env(name) => std::env::var(name).map_err(|_| format!("{} is not set", key.source))?,
        SecretSource::File(path) => {
            std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", key.source))?
        }
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("{} holds no key", key.source));
    }
    if !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err(format!("{} holds something that is no key", key.source));
    }
    Ok(SecretString::from(text))
}

fn check_routes(config: &Config, report: &mut Report<'_>) {
    for (at, route) in config.routes.iter().enumerate() {
        if route.backends.is_empty() {
            report(
                ("route", at, "backends"),
                format!("the route for `{}` has no backends", route.model),
                None,
            );
        }
        let times = [
            ("keep_alive", route.keep_alive),
            ("first_token_timeout", route.first_token_timeout),
            ("queue_timeout", route.queue_timeout),
            ("idle_timeout", route.idle_timeout),
            ("max_duration", route.max_duration),
            ("hedge_after", route.hedge_after),
        ];
        check_times(("route", at), times, report);
        let weighs = route.backends.iter().any(|target| target.weight.is_some());
        if weighs && route.balance == Some(Balance::Ordered) {
            let message = format!("the route for `{}` has weights, which mean nothing in order", route.model);
            report(("route", at, "balance"), message, Some("balance = \"weighted\" or \"least_loaded\""));
        }
        for target in &route.backends {
            if target.weight == Some(0) {
                let message = format!("the `weight` of `{}` must be more than 0", target.name);
                report(("route", at, "backends"), message, None);
            }
            if !config.backends.iter().any(|backend| backend.name == target.name) {
                let message = format!(
                    "the route for `{}` names a backend that is not there: `{}`",
                    route.model, target.name
                );
                let known: Vec<&str> = config.backends.iter().map(|backend| backend.name.as_str()).collect();
                report(("route", at, "backends"), message, Some(&format!("there are {}", known.join(", "))));
            }
        }
        let hidden = config
            .routes
            .iter()
            .take(at)
            .find(|earlier| earlier.model == "*" || earlier.model == route.model);
        if let Some(earlier) = hidden {
            let message = format!(
                "the route for `{}` is never reached: `{}` stands before it",
                route.model, earlier.model
            );
            report(("route", at, "model"), message, Some("the first route that fits serves"));
        }
    }
}

/// The places of names that stand there a second time.
fn repeated<'n>(names: impl Iterator<Item = &'n str>) -> Vec<usize> {
    let mut seen: HashSet<&'n str> = HashSet::new();
    names.enumerate().filter(|(_, name)| !seen.insert(*name)).map(|(at, _)| at).collect()
}
