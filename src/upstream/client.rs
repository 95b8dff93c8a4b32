//! The only builder of clients: nothing between the gateway and its backends but the socket.

use std::time::Duration;

use http::HeaderValue;
use http::header::{ACCEPT_ENCODING, HeaderMap};
use reqwest::{Client, redirect, retry};

/// Builds the client of one backend. Redirects would carry keys to other hosts, proxies of the environment would see local
/// backends, retries would generate twice, and compression would buffer: all are off.
pub fn build(connect_timeout: Duration) -> reqwest::Result<Client> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Client::builder()
        .user_agent(concat!("streamgate/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .connect_timeout(connect_timeout)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .tcp_nodelay(true)
        .pool_idle_timeout(Duration::from_secs(30))
        .build()
}
