//! TLS: the certificate, which may be replaced while the gateway runs, and what is spoken with it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::time::sleep;
use tokio_rustls::rustls;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ServerConfig, version};

use crate::server::TlsFiles;

/// A certificate and its key; a clone is a handle.
#[derive(Clone, Debug)]
pub struct Certificate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    files: TlsFiles,
    key: RwLock<Arc<CertifiedKey>>,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{file} cannot be read: {source}", file = .0.display(), source = .1)]
    Read(PathBuf, std::io::Error),
    #[error("{file} holds no {what} in PEM: {source}", file = .0.display(), what = .1, source = .2)]
    Pem(PathBuf, &'static str, pem::Error),
    #[error("the certificate and the key cannot be used: {0}")]
    Pair(#[from] rustls::Error),
}

/// What the files hold.
#[derive(PartialEq, Eq)]
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
}

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

impl Certificate {
    pub fn load(files: TlsFiles) -> Result<Self, CertificateError> {
        let contents = Contents::read(&files)?;
        let key = RwLock::new(Arc::new(contents.certified(&files)?));
        Ok(Self(Arc::new(Shared { files, key })))
    }

    /// What a listener with this certificate speaks: TLS 1.2 and 1.3, and on them HTTP/2 and HTTP/1.1.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        Ok(Arc::new(config))
    }

    /// Takes what the files hold whenever it changes, for ever. What cannot be used changes nothing, and is logged.
    pub async fn follow(&self) {
        let files = &self.0.files;
        let mut seen = Contents::read(files).ok();
        loop {
            sleep(LOOK).await;
            let now = Contents::read(files);
            let unchanged = match (&now, &seen) {
                (Ok(now), Some(seen)) => now == seen,
                (Err(_), None) => true,
                (Ok(_), None) | (Err(_), Some(_)) => false,
            };
            if unchanged {
                continue;
            }
            let key = now
                .as_ref()
                .map_err(ToString::to_string)
                .and_then(|contents| contents.certified(files).map_err(|error| error.to_string()));
            match key {
                Ok(key) => {
                    *self.0.key.write() = Arc::new(key);
                    tracing::info!(cert = %files.cert.display(), "a new certificate is used");
                }
                Err(error) => tracing::warn!(%error, "the certificate stays as it was"),
            }
            seen = now.ok();
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.key.read()))
    }
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, CertificateError> {
        let read = |file: &PathBuf| {
            std::fs::read(file).map_err(|source| CertificateError::Read(file.clone(), source))
        };
        Ok(Self { cert: read(&files.cert)?, key: read(&files.key)? })
    }

    fn certified(&self, files: &TlsFiles) -> Result<CertifiedKey, CertificateError> {
        let no_cert = |source| CertificateError::Pem(files.cert.clone(), "certificate", source);
        let chain = CertificateDer::pem_slice_iter(&self.cert).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(no_cert)?;
        if chain.is_empty() {
            return Err(no_cert(pem::Error::NoItemsFound));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|source| CertificateError::Pem(files.key.clone(), "private key", source))?;
        Ok(CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())?)
    }
}
