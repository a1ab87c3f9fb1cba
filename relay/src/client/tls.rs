//! TLS settings: this machine's trusted certificates, a file with more, and client certificates by name.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier, client::WantsClientCert};
use tokio_rustls::TlsConnector;

use crate::config::{ConfigError, Targets};

/// What TLS connections are made with.
#[derive(Clone)]
pub struct Tls {
    plain: TlsConnector,
    named: HashMap<String, TlsConnector>,
}

impl Tls {
    /// Reads the certificates that the flags name.
    pub fn load(targets: &Targets) -> Result<Self, ConfigError> {
        let roots = roots(targets.ca_file.as_deref())?;
        let mut tls = Self::new(roots.clone());
        let Some(folder) = &targets.client_cert_dir else { return Ok(tls) };
        let fail = |path: &Path, reason: String| ConfigError::Certificate {
            flag: "--client-cert-dir",
            path: path.to_owned(),
            reason,
        };
        for entry in std::fs::read_dir(folder).map_err(|error| fail(folder, error.to_string()))? {
            let path = entry.map_err(|error| fail(folder, error.to_string()))?.path();
            let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
            if path.extension().is_some_and(|extension| extension == "pem") {
                let config = with_client_cert(&path, roots.clone()).map_err(|reason| fail(&path, reason))?;
                tls.named.insert(name.to_owned(), connector(config));
            }
        }
        Ok(tls)
    }

    /// Trusts these and has no client certificates.
    #[must_use]
    pub fn new(roots: RootCertStore) -> Self {
        Self { plain: connector(verifying(roots).with_no_client_auth()), named: HashMap::new() }
    }

    /// What to connect with; none when there is no client certificate of that name.
    pub(super) fn connector(&self, client_cert: Option<&str>) -> Option<&TlsConnector> {
        match client_cert {
            None => Some(&self.plain),
            Some(name) => self.named.get(name),
        }
    }
}

fn roots(extra: Option<&Path>) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let Some(path) = extra else { return Ok(roots) };
    let fail = |reason: String| ConfigError::Certificate { flag: "--ca-file", path: path.to_owned(), reason };
    for certificate in certificates(path).map_err(fail)? {
        roots.add(certificate).map_err(|error| fail(error.to_string()))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    match found.is_empty() {
        true => Err("it holds no certificate".to_owned()),
        false => Ok(found),
    }
}

fn with_client_cert(path: &Path, roots: RootCertStore) -> Result<ClientConfig, String> {
    let chain = certificates(path)?;
    let key = PrivateKeyDer::from_pem_file(path).map_err(|error| error.to_string())?;
    verifying(roots).with_client_auth_cert(chain, key).map_err(|error| error.to_string())
}

fn verifying(roots: RootCertStore) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let builder: ConfigBuilder<ClientConfig, WantsVerifier> =
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap_or_else(|error| unreachable!("ring supports the default protocol versions: {error}"));
    builder.with_root_certificates(roots)
}

fn connector(mut config: ClientConfig) -> TlsConnector {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}
