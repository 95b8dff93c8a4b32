//! The only builder of clients: nothing between the gateway and its backends but the socket.

use std::sync::OnceLock;
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, HeaderMap};
use http::uri::Scheme;
use http::{HeaderValue, Uri};
use reqwest::{Client, redirect, retry};

use crate::upstream::backend::Config;
use crate::upstream::reuse::Served;

/// No client for this backend. All that can be missing is what it takes to trust the other side.
#[derive(Debug, thiserror::Error)]
#[error(
    "backend `{backend}` is reached by https, which takes CA certificates: install them (the package `ca-certificates`), \
     or name a file of them in SSL_CERT_FILE"
)]
pub struct ClientError {
    backend: String,
    source: reqwest::Error,
}

/// The client of one backend.
#[derive(Debug)]
pub struct Connector {
    pub(super) client: Client,
    /// Which of its connections have served.
    pub(super) served: Served,
    config: Config,
    connect_timeout: Duration,
    /// The same without connections that are kept; made when it is needed.
    fresh: OnceLock<Option<Client>>,
}

impl Connector {
    /// A client that asks on a new connection.
    pub(super) fn fresh(&self) -> Option<&Client> {
        let fresh = || client(&self.config, self.connect_timeout, 0, &self.served).ok();
        self.fresh.get_or_init(fresh).as_ref()
    }
}

/// Builds the connector of one backend. `idle` connections are kept for later, each of which is an open file.
pub fn build(config: &Config, connect_timeout: Duration, idle: usize) -> Result<Connector, ClientError> {
    let served = Served::default();
    let client = client(config, connect_timeout, idle, &served)?;
    Ok(Connector { client, served, config: config.clone(), connect_timeout, fresh: OnceLock::new() })
}

/// Builds the client of one backend. Redirects would carry keys to other hosts, proxies of the environment would see local
/// backends, retries would generate twice, and compression would buffer: all are off.
fn client(
    config: &Config,
    connect_timeout: Duration,
    idle: usize,
    served: &Served,
) -> Result<Client, ClientError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let client = Client::builder()
        .connector_layer(served.clone())
        .user_agent(concat!("streamgate/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .connect_timeout(connect_timeout)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .tcp_nodelay(true)
        .pool_max_idle_per_host(idle)
        .pool_idle_timeout(Duration::from_secs(30));
    let secure = config.url.parse::<Uri>().is_ok_and(|url| url.scheme() == Some(&Scheme::HTTPS));
    // Slim containers have no CA certificates. A backend by plain http does without: it is told that there are none to look for.
    let client = if secure { client } else { client.tls_certs_only([]) };
    client.build().map_err(|source| ClientError { backend: config.name.clone(), source })
}
