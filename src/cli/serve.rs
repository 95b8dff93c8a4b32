//! `streamgate serve`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::app::App;
use crate::config::{Overrides, Source};

/// Serves until a signal ends it.
pub(super) fn run(file: &Path, listen: Option<SocketAddr>) -> anyhow::Result<()> {
    let mut source = Source::new(file.to_owned(), Overrides { listen });
    let config = source.load()?;
    let demo = config.serves_demo();
    let app = App::bind(config)?;
    let (clients, operators) = app.addresses()?;
    let mut out = anstream::stdout();
    writeln!(out, "streamgate {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "listening on http://{clients}")?;
    writeln!(out, "admin on http://{operators}")?;
    if demo {
        let body = r#"{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;
        writeln!(
            out,
            "try: curl -N http://{clients}/v1/chat/completions -H 'content-type: application/json' -d '{body}'"
        )?;
    }
    out.flush()?;
    Ok(app.run(source)?)
}
