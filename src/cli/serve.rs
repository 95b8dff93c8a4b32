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
    // Whoever started it may have closed its output, or read one line of it: that is no reason not to serve.
    drop(write!(anstream::stdout(), "{}", greeting(&app, demo)));
    Ok(app.run(source)?)
}

/// Where it listens, and what to try.
fn greeting(app: &App, demo: bool) -> String {
    let (clients, operators) = app.addresses();
    let scheme = if app.speaks_tls() { "https" } else { "http" };
    let (flags, url, place) = match clients {
        Listen::Tcp(address) => {
            let url = format!("{scheme}://{address}");
            (String::new(), url.clone(), url)
        }
        Listen::Unix(path) => {
            let flags = format!(" --unix-socket {}", path.display());
            (flags, format!("{scheme}://localhost"), clients.to_string())
        }
    };
    let mut lines = vec![
        format!("streamgate {}", env!("CARGO_PKG_VERSION")),
        format!("listening on {place}"),
        format!("admin on http://{operators}"),
    ];
    if demo {
        let body = r#"{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;
        lines.push(format!(
            "try: curl -N{flags} {url}/v1/chat/completions -H 'content-type: application/json' -d '{body}'"
        ));
    }
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}
