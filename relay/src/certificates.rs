//! Certificates and keys out of PEM files, and the TLS settings that begin with them.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

/// The certificates of a file, at least one.
pub fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    match found.is_empty() {
        true => Err("it holds no certificate".to_owned()),
        false => Ok(found),
    }
}

/// Adds the certificates of a file to the trusted ones.
pub fn trust(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    for certificate in read(path)? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// What this machine trusts.
#[must_use]
pub fn system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// Whom to say we are: the certificate chain of one file, the key of another (or the same).
pub fn introduce(
    settings: ConfigBuilder<ClientConfig, WantsClientCert>,
    chain: &Path,
    key: &Path,
) -> Result<ClientConfig, String> {
    let chain = read(chain)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| error.to_string())?;
    settings.with_client_auth_cert(chain, key).map_err(|error| error.to_string())
}

/// TLS settings that lack only whom to trust.
#[must_use]
pub fn settings() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap_or_else(|error| unreachable!("ring supports the default protocol versions: {error}"))
}

/// The cryptography.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
