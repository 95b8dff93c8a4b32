//! How a server is reached: whose certificates are trusted, and over which HTTP.

use reqwest::{Certificate, ClientBuilder};

use crate::client::ClientError;

/// How a server is reached.
#[derive(Clone, Debug, Default)]
pub struct Transport {
    /// Trusted in place of the system's.
    authorities: Option<Vec<Certificate>>,
    insecure: bool,
    version: Option<HttpVersion>,
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    Http1,
    /// Without TLS, from the first byte on.
    Http2,
}

impl Transport {
    /// These certificates of authorities, in PEM, are trusted, and no others.
    pub fn trusting(mut self, pem: &[u8]) -> Result<Self, ClientError> {
        let none = || ClientError::Usage("no certificate in PEM stands in the file of `--cacert`".into());
        let authorities = Certificate::from_pem_bundle(pem).map_err(|_| none())?;
        if authorities.is_empty() {
            return Err(none());
        }
        self.authorities = Some(authorities);
        Ok(self)
    }

    /// Certificates are not verified.
    #[must_use]
    pub fn insecure(mut self, insecure: bool) -> Self {
        self.insecure = insecure;
        self
    }

    /// This version and no other; `None`: HTTP/2 where https offers it, else HTTP/1.1.
    #[must_use]
    pub fn version(mut self, version: Option<HttpVersion>) -> Self {
        self.version = version;
        self
    }

    /// The client with all that.
    pub fn apply(&self, client: ClientBuilder, is_secure: bool) -> ClientBuilder {
        let client = match self.version {
            Some(HttpVersion::Http1) => client.http1_only(),
            Some(HttpVersion::Http2) => client.http2_prior_knowledge(),
            None => client,
        };
        match &self.authorities {
            // Who needs no CA certificates does without them: slim containers have none.
            _ if !is_secure => client.tls_certs_only([]),
            _ if self.insecure => client.tls_certs_only([]).tls_danger_accept_invalid_certs(true),
            Some(authorities) => client.tls_certs_only(authorities.iter().cloned()),
            None => client,
        }
    }
}
