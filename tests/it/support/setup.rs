//! A `proxy.toml` in pieces: what a test leaves unsaid is a loopback listener and one route to all backends in order.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::gateway::Gateway;

#[derive(Default)]
pub(crate) struct Setup {
    server: String,
    admin: String,
    stream: String,
    journal: String,
    pool: String,
    keys: String,
    backends: String,
    names: Vec<String>,
    routes: String,
    environment: Vec<(String, String)>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A line of `[server]`.
    pub(crate) fn server(mut self, line: &str) -> Self {
        self.server.extend([line, "\n"]);
        self
    }

    /// A line of `[admin]`.
    pub(crate) fn admin(mut self, line: &str) -> Self {
        self.admin.extend([line, "\n"]);
        self
    }

    /// A line of `[stream]`.
    pub(crate) fn stream(mut self, line: &str) -> Self {
        self.stream.extend([line, "\n"]);
        self
    }

    /// A line of `[journal]`.
    pub(crate) fn journal(mut self, line: &str) -> Self {
        self.journal.extend([line, "\n"]);
        self
    }

    /// A line of `[pool]`.
    pub(crate) fn pool(mut self, line: &str) -> Self {
        self.pool.extend([line, "\n"]);
        self
    }

    /// Lines of `[stream]`.
    pub(crate) fn lines(self, lines: &[&str]) -> Self {
        lines.iter().fold(self, |setup, line| setup.stream(line))
    }

    /// A caller's key, with further lines of its table.
    pub(crate) fn key(mut self, name: &str, secret: &str, more: &str) -> Self {
        let mut digest = String::new();
        for byte in Sha256::digest(secret) {
            write!(digest, "{byte:02x}").unwrap();
        }
        writeln!(self.keys, "[[key]]\nname = \"{name}\"\nsha256 = \"{digest}\"\n{more}").unwrap();
        self
    }

    /// The built-in model, as a backend called `demo`.
    pub(crate) fn demo(mut self) -> Self {
        self.backends.push_str("[[backend]]\nname = \"demo\"\napi = \"demo\"\n");
        self.names.push("demo".to_owned());
        self
    }

    pub(crate) fn backend(self, name: &str, api: &str, url: &str) -> Self {
        self.backend_with(name, api, url, "")
    }

    /// A backend with further lines of its table. `responses` is OpenAI's API in its other form.
    pub(crate) fn backend_with(mut self, name: &str, api: &str, url: &str, more: &str) -> Self {
        let (api, form) = if api == "responses" { ("openai", "responses = true\n") } else { (api, "") };
        writeln!(
            self.backends,
            "[[backend]]\nname = \"{name}\"\napi = \"{api}\"\nurl = \"{url}\"\n{form}{more}"
        )
        .unwrap();
        self.names.push(name.to_owned());
        self
    }

    /// A `[[route]]` in place of the one to all backends.
    pub(crate) fn route(mut self, lines: &str) -> Self {
        writeln!(self.routes, "[[route]]\n{lines}").unwrap();
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn toml(&self) -> String {
        let routes = match self.routes.as_str() {
            "" => format!("[[route]]\nmodel = \"*\"\nbackends = {:?}\n", self.names),
            routes => routes.to_owned(),
        };
        let listen = |lines: &str| if lines.contains("listen =") { "" } else { "listen = \"127.0.0.1:0\"\n" };
        let (public, admin) = (listen(&self.server), listen(&self.admin));
        format!(
            "[server]\n{public}{}\n[admin]\n{admin}{}\n[log]\nlevel = \"debug\"\n[stream]\n{}\n[journal]\n{}\n[pool]\n{}\n{}{}{routes}",
            self.server, self.admin, self.stream, self.journal, self.pool, self.keys, self.backends
        )
    }

    pub(crate) async fn start(self) -> Gateway {
        Gateway::start_with(&self.toml(), &self.environment).await
    }
}
