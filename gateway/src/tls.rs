//! TLS in front of a listener: one certificate for all of a venue's doors, and the socket that a connection is then.
//!
//! rustls with ring's cryptography, TLS 1.2 and 1.3, no client certificates: who somebody is, his signatures say. A
//! certificate may be replaced while connections are open; those keep what they began with.
//! Bounds: a handshake has the listener's time for it, and what is not yet sent of a connection is at most 64 KiB.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The certificates are no PEM.
    #[error("the certificates cannot be read: {0}")]
    Certificates(rustls::pki_types::pem::Error),
    /// There is no certificate in the text.
    #[error("there is no certificate")]
    NoCertificate,
    /// The key is no PEM, or there is none.
    #[error("the private key cannot be read: {0}")]
    PrivateKey(rustls::pki_types::pem::Error),
    /// Key and certificate do not fit each other, or are of a kind that is not supported.
    #[error("certificate and private key cannot be used: {0}")]
    Unusable(rustls::Error),
}

/// A certificate with its key, for any number of listeners.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
}

impl std::fmt::Debug for Tls {
    /// Leaves out the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// The certificate that new connections are shown.
struct Certificate(RwLock<Arc<CertifiedKey>>);

impl std::fmt::Debug for Certificate {
    /// Leaves out the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}

impl Tls {
    /// From PEM: the certificates, the venue's own first and those that lead to its root behind it, and its private key
    /// (PKCS #8, PKCS #1 or SEC 1).
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn from_pem(certificates: &[u8], private_key: &[u8]) -> Result<Self, TlsError> {
        let certificate = Arc::new(Certificate(RwLock::new(certified_key(certificates, private_key)?)));
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(TlsError::Unusable)?;
        let mut config =
            builder.with_no_client_auth().with_cert_resolver(Arc::clone(&certificate) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Tickets instead of a table: who comes back saves a signature, and nothing is kept for him.
        config.ticketer = ring::Ticketer::new().map_err(TlsError::Unusable)?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate })
    }

    /// Shows another certificate to whoever connects from here on. On an error nothing changes.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn replace(&self, certificates: &[u8], private_key: &[u8]) -> Result<(), TlsError> {
        let replacement = certified_key(certificates, private_key)?;
        *self.certificate.0.write() = replacement;
        Ok(())
    }
}

fn certified_key(certificates: &[u8], private_key: &[u8]) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
    let chain = chain.map_err(TlsError::Certificates)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(private_key).map_err(TlsError::PrivateKey)?;
    // Also refuses a key that is not the certificate's.
    let certified = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(TlsError::Unusable)?;
    Ok(Arc::new(certified))
}

/// How a listener's connections begin.
#[derive(Clone, Debug)]
pub enum Transport {
    /// With the first byte of the protocol itself: for loopback only.
    Plain,
    /// With a TLS handshake.
    Tls(Tls),
}

impl Transport {
    /// Makes a socket of an accepted connection. Small writes are not held back.
    ///
    /// # Errors
    /// When the handshake fails, or is not done within `time`.
    pub async fn accept(&self, stream: TcpStream, time: Duration) -> io::Result<Socket> {
        // Without it an answer would wait for the acknowledgement of the one before.
        stream.set_nodelay(true)?;
        match self {
            Self::Plain => Ok(Socket::Plain(stream)),
            Self::Tls(tls) => {
                let shaken = timeout(time, tls.acceptor.accept(stream)).await;
                let stream = shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
                Ok(Socket::Tls(Box::new(stream)))
            }
        }
    }
}

/// A connection, with TLS or without.
#[derive(Debug)]
pub enum Socket {
    /// Without.
    Plain(TcpStream),
    /// With; boxed, since it is some hundred times as large.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
