//! `streamgate serve`.

use std::io::Write as _;
use std::path::Path;

use crate::app::App;
use crate::config::{Listen, Overrides, Source};

/// Serves until a signal ends it.
pub(super) fn run(file: &Path, listen: Option<Listen>) -> anyhow::Result<()> {
    let mut source = Source::new(file.to_owned(), Overrides { listen });
    let config = source.load()?;
    let demo = config.serves_demo();
    let app = App::bind(config)?;
    let (clients, operators) = app.addresses();
    let scheme = if app.speaks_tls() { "https" } else { "http" };
    let mut out = anstream::stdout();
    writeln!(out, "streamgate {}", env!("CARGO_PKG_VERSION"))?;
    let (flags, url) = match clients {
        Listen::Tcp(address) => (String::new(), format!("{scheme}://{address}")),
        Listen::Unix(path) => (format!(" --unix-socket {}", path.display()), format!("{scheme}://localhost")),
    };
    match clients {
        Listen::Tcp(_) => writeln!(out, "listening on {url}")?,
        Listen::Unix(_) => writeln!(out, "listening on {clients}")?,
    }
    writeln!(out, "admin on http://{operators}")?;
    if demo {
        let body = r#"{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;
        writeln!(
            out,
            "try: curl -N{flags} {url}/v1/chat/completions -H 'content-type: application/json' -d '{body}'"
        )?;
    }
    out.flush()?;
    Ok(app.run(source)?)
}
