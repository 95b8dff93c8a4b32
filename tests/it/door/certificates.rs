//! Certificates of our own making, and clients that trust them.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::{Gateway, Setup, within};

/// The files of a certificate for `localhost`, which can be replaced.
pub(crate) struct Certificates {
    folder: TempDir,
    pub(super) der: CertificateDer<'static>,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let mut certificates = Self { folder: TempDir::new().unwrap(), der: Vec::new().into() };
        certificates.replace();
        certificates
    }

    /// Writes a new pair.
    pub(super) fn replace(&mut self) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(self.file("cert.pem"), cert.pem()).unwrap();
        std::fs::write(self.file("key.pem"), signing_key.serialize_pem()).unwrap();
        self.der = cert.der().clone();
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `[server] tls` with these files.
    pub(crate) fn line(&self) -> String {
        let (cert, key) = (self.file("cert.pem"), self.file("key.pem"));
        format!("tls = {{ cert = \"{}\", key = \"{}\" }}", cert.display(), key.display())
    }

    pub(super) async fn gateway(&self, upstream: &str) -> Gateway {
        Setup::new().server(&self.line()).backend("one", "openai", upstream).start().await
    }

    /// A connection that trusts this certificate alone, and offers these protocols.
    pub(super) async fn try_connect(
        &self,
        gateway: &Gateway,
        alpn: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(gateway.public).await?;
        self.secure(stream, alpn).await
    }

    /// The same with a receive buffer that is soon full.
    pub(super) async fn connect_narrow(&self, gateway: &Gateway) -> TlsStream<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(8 * 1024).unwrap();
        let stream = socket.connect(gateway.public).await.unwrap();
        Box::pin(self.secure(stream, &[b"http/1.1"])).await.unwrap()
    }

    async fn secure(&self, stream: TcpStream, alpn: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").unwrap();
        within("the handshake", TlsConnector::from(Arc::new(config)).connect(name, stream)).await
    }

    pub(super) async fn connect(&self, gateway: &Gateway, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
        Box::pin(self.try_connect(gateway, alpn)).await.unwrap()
    }
}
