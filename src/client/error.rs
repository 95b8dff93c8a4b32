//! Why a server could not be asked, with what to do about it.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use tokio_rustls::rustls::{self, CertificateError};

/// A request that brought no stream.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("`{0}` is no address of a server\n\nhint: write it like http://127.0.0.1:8080")]
    Address(String),
    #[error("the key holds a character that no header can carry")]
    Key,
    #[error("{0}")]
    Usage(String),
    #[error(
        "https takes CA certificates: install them (the package `ca-certificates`), or name a file of them in SSL_CERT_FILE"
    )]
    Certificates(#[source] reqwest::Error),
    #[error("{url} {missing}: {reason}\n\nhint: {hint}")]
    Unreachable {
        url: String,
        missing: Missing,
        /// In the words of the system.
        reason: String,
        hint: &'static str,
    },
    #[error("{0}")]
    Refused(Refused),
    #[error("{url} answered {what}, which is no stream")]
    NoStream { url: String, what: String },
    #[error("{connections} connections in a row brought nothing of {url}: {why}")]
    GaveUp {
        url: String,
        connections: u32,
        /// What became of the last one.
        why: String,
    },
}

impl ClientError {
    /// Was the command written wrongly, so that nothing was asked at all?
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Address(_) | Self::Key | Self::Usage(_))
    }

    /// Why a request did not get as far as an answer: the innermost reason, for the outer ones only repeat each other.
    pub(super) fn unreachable(error: &reqwest::Error, url: &reqwest::Url) -> Self {
        let missing = if error.is_connect() { Missing::Connection } else { Missing::Answer };
        Self::Unreachable {
            url: shown(url),
            missing,
            reason: innermost(error),
            hint: hint(error).unwrap_or(RUNNING),
        }
    }
}

/// What there was not, so that a request brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Connection,
    /// The connection stood, and there was no head of an answer.
    Answer,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection => "cannot be reached",
            Self::Answer => "gave no answer",
        })
    }
}

/// What to look at where nothing that was asked for is spoken or listened to; nothing for who hangs up.
pub fn hint(error: &reqwest::Error) -> Option<&'static str> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        match error.downcast_ref() {
            Some(rustls::Error::InvalidCertificate(why)) => return Some(about_certificate(why)),
            Some(rustls::Error::InvalidMessage(_)) => {
                return Some("no TLS is spoken there: is it an address by http?");
            }
            Some(_) | None => {}
        }
        if error.downcast_ref().is_some_and(hyper::Error::is_parse) {
            return Some("no such HTTP is spoken there: is it an address by https?");
        }
        // What an `io::Error` wraps is not its source, but itself.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source());
    }
    error.is_connect().then_some(RUNNING)
}

/// What to do about a certificate. An authority's own is what `openssl req -x509` makes unless it is told otherwise.
fn about_certificate(why: &CertificateError) -> &'static str {
    use CertificateError::{Expired, ExpiredContext, NotValidForName, NotValidForNameContext, Other};
    if matches!(why, Expired | ExpiredContext { .. }) {
        "renew the certificate; `--insecure` trusts any"
    } else if matches!(why, NotValidForName | NotValidForNameContext { .. }) {
        "ask by a name that stands in the certificate (subjectAltName); `--insecure` trusts any"
    } else if matches!(why, Other(other) if other.to_string().contains("CaUsedAsEndEntity")) {
        "it is an authority's: make the server's with `-addext basicConstraints=critical,CA:FALSE`; `--insecure` trusts any"
    } else {
        "`--cacert FILE` trusts the authorities in a file, `--insecure` any certificate"
    }
}

const RUNNING: &str = "is the server running there?";

/// An answer that is an error.
#[derive(Clone, Debug)]
pub struct Refused {
    pub status: u16,
    /// What was asked, without its query.
    pub url: String,
    /// What the server says.
    pub message: String,
    /// When it may be asked again.
    pub retry_after: Option<Duration>,
    /// `Stream-Earliest-Id`: the first event that is still kept.
    pub earliest: Option<String>,
}

impl Refused {
    /// May the same request fare better a little later?
    pub fn is_passing(&self) -> bool {
        matches!(self.status, 408 | 429) || self.status >= 500
    }

    fn hint(&self) -> Option<&'static str> {
        match self.status {
            401 => Some("give an API key with --key or in STREAMGATE_KEY"),
            403 => Some("the scopes of a key stand in its [[key]] table"),
            300..=399 => Some("give the address that it leads to: a key is not carried there"),
            404 if self.message.starts_with("there is no route") => Some("is the address right?"),
            404 => Some(
                "the records of another key, and those that are no longer kept, are as unknown as what never was",
            ),
            421 => Some("list this host under `server.allowed_hosts`"),
            429 | 503 => Some("try again later"),
            _ => None,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered {}: {}", self.url, self.status, self.message)?;
        self.hint().map_or(Ok(()), |hint| write!(f, "\n\nhint: {hint}"))
    }
}

/// An address without its query and password, which may open something.
pub fn shown(url: &reqwest::Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    // An address that can have none keeps none.
    url.set_username("").ok();
    url.set_password(None).ok();
    url.to_string()
}

/// The reason behind all reasons.
pub(super) fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
