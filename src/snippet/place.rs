//! Where a program stands: what it listens on, with which certificate, and the gateways behind it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Where a program stands.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Unset: all addresses, port 80, or 443 with a certificate.
    pub listen: Option<Bind>,
    pub certificate: Option<Certificate>,
    /// None: the one whose configuration is read.
    pub gateways: Vec<Gateway>,
}

/// What a program listens on: a port, or an address with its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind {
    /// Unset: all of them.
    pub ip: Option<IpAddr>,
    pub port: u16,
}

/// The files of a certificate and its key.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub certificate: String,
    pub key: String,
}

/// A gateway as it is found from where the program stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// A name or an address.
    pub host: String,
    pub port: u16,
}

/// Why a text is no place.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    #[error("`{0}` is neither a port nor an address with its port")]
    Bind(String),
    #[error("`{0}` is no host with its port, like 10.0.0.7:8080")]
    Gateway(String),
}

/// Where a listener on this address is reached from its own machine.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

impl Bind {
    pub(super) fn values(self) -> Vec<(&'static str, String)> {
        let Self { ip, port } = self;
        let exact = ip.map(|ip| SocketAddr::new(ip, port).to_string());
        vec![
            ("{{listen}}", exact.clone().unwrap_or_else(|| port.to_string())),
            ("{{bind}}", exact.clone().unwrap_or_else(|| format!(":{port}"))),
            ("{{virtual}}", exact.unwrap_or_else(|| format!("*:{port}"))),
            ("{{ip}}", ip.map_or_else(|| Ipv4Addr::UNSPECIFIED.to_string(), |ip| ip.to_string())),
            ("{{port}}", port.to_string()),
        ]
    }
}

impl FromStr for Bind {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        if let Ok(port) = text.parse() {
            return Ok(Self { ip: None, port });
        }
        let address: SocketAddr = text.parse().map_err(|_| PlaceError::Bind(text.to_owned()))?;
        Ok(Self { ip: Some(address.ip()), port: address.port() })
    }
}

impl Certificate {
    pub(super) fn values(&self) -> [(&'static str, String); 2] {
        [("{{certificate}}", self.certificate.clone()), ("{{key}}", self.key.clone())]
    }
}

impl Gateway {
    pub(super) fn values(&self, number: usize) -> [(&'static str, String); 4] {
        [
            ("{{gateway}}", self.to_string()),
            ("{{gateway_host}}", self.host.clone()),
            ("{{gateway_port}}", self.port.to_string()),
            ("{{number}}", number.to_string()),
        ]
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl FromStr for Gateway {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let wrong = || PlaceError::Gateway(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let lawful = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(lawful) {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), port: port.parse().map_err(|_| wrong())? })
    }
}
