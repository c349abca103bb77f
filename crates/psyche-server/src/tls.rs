//! Certificate and key of this server, as rustls takes them, and their renewal under way (TLS-01).

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use psyche_core::Timestamp;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, RootCertStore, ServerConfig};

/// Why certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("read {}, named by {setting}: {source}", file.display())]
    File { setting: &'static str, file: PathBuf, source: std::io::Error },
    #[error("{}, named by {setting}, is no PEM file: {why}", file.display())]
    NotPem { setting: &'static str, file: PathBuf, why: String },
    #[error("{}, named by tls_cert, holds no certificate (a block that begins with BEGIN CERTIFICATE)", .0.display())]
    NoCertificate(PathBuf),
    #[error("{}, named by tls_key, holds no private key (PKCS#8, PKCS#1 or SEC1, without a passphrase)", .0.display())]
    NoKey(PathBuf),
    #[error(
        "the key in {} does not fit the certificate in {}; the server's own certificate comes first in its file",
        key.display(), certificate.display()
    )]
    Mismatch { certificate: PathBuf, key: PathBuf },
    #[error("certificate {} and key {} cannot be used: {source}", certificate.display(), key.display())]
    Unusable { certificate: PathBuf, key: PathBuf, source: rustls::Error },
}

/// What connections are encrypted with. Clones share it, so that a renewal reaches all of them.
#[derive(Clone)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads a chain of certificates, the server's own first, and its key. Warns in the log of what works and should not
    /// stay: a certificate out of its time, a key that others may read.
    pub fn read(certificate: PathBuf, key: PathBuf, now: Timestamp) -> Result<Self, TlsError> {
        let current = Arc::new(RwLock::new(read(&certificate, &key, now)?));
        Ok(Self { certificate, key, current })
    }

    /// Reads the files again. Connections that stand stay as they are; with an error everything does.
    pub fn reload(&self, now: Timestamp) -> Result<(), TlsError> {
        let fresh = read(&self.certificate, &self.key, now)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// For the next connection.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn read(certificate: &Path, key: &Path, now: Timestamp) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = contents("tls_cert", certificate)?;
    let chain = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|why| not_pem("tls_cert", certificate, &why))?;
    let Some(own) = chain.first() else { return Err(TlsError::NoCertificate(certificate.to_owned())) };
    let lasts = in_its_time(own, now);
    let secret = PrivateKeyDer::from_pem_slice(&contents("tls_key", key)?).map_err(|why| match why {
        pem::Error::NoItemsFound => TlsError::NoKey(key.to_owned()),
        why => not_pem("tls_key", key, &why),
    })?;
    let builder =
        ServerConfig::builder_with_provider(Arc::new(default_provider())).with_protocol_versions(&[&TLS13, &TLS12]);
    let made = builder.and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret));
    let mut config = made.map_err(|source| {
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        match source {
            rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { certificate, key },
            source => TlsError::Unusable { certificate, key, source },
        }
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if let Err(why) = lasts {
        tracing::warn!("the certificate in {} {why}: browsers refuse it; renew it", certificate.display());
    }
    if others_may_read(key) {
        tracing::warn!("the key in {} may be read by every user of this machine: chmod 600 it", key.display());
    }
    Ok(Arc::new(config))
}

fn contents(setting: &'static str, file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|source| TlsError::File { setting, file: file.to_owned(), source })
}

fn not_pem(setting: &'static str, file: &Path, why: &pem::Error) -> TlsError {
    TlsError::NotPem { setting, file: file.to_owned(), why: why.to_string() }
}

/// Whether a client with the right clock takes the certificate today. Nobody is trusted here: who signed it is for
/// clients to judge, and a verifier looks at the time first.
fn in_its_time(certificate: &CertificateDer<'_>, now: Timestamp) -> Result<(), &'static str> {
    let now = UnixTime::since_unix_epoch(Duration::from_micros(u64::try_from(now.0).unwrap_or(0)));
    let Ok(parsed) = ParsedCertificate::try_from(certificate) else { return Ok(()) };
    let algorithms = default_provider().signature_verification_algorithms.all;
    match verify_server_cert_signed_by_trust_anchor(&parsed, &RootCertStore::empty(), &[], now, algorithms) {
        Err(rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            Err("has expired")
        }
        Err(rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) => Err("is not valid yet"),
        _ => Ok(()),
    }
}

fn others_may_read(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).is_ok_and(|about| about.permissions().mode() & 0o004 != 0)
}
