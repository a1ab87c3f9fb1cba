//! TLS settings: this machine's trusted certificates, a file with more, and client certificates by name.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::certificates;
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
        let fail =
            |flag, path: &Path, reason| ConfigError::Certificate { flag, path: path.to_owned(), reason };
        let mut roots = certificates::system();
        if let Some(path) = &targets.ca_file {
            certificates::trust(&mut roots, path).map_err(|reason| fail("--ca-file", path, reason))?;
        }
        let mut tls = Self::new(roots.clone());
        let Some(folder) = &targets.client_cert_dir else { return Ok(tls) };
        let fail = |path: &Path, reason| fail("--client-cert-dir", path, reason);
        for entry in std::fs::read_dir(folder).map_err(|error| fail(folder, error.to_string()))? {
            let path = entry.map_err(|error| fail(folder, error.to_string()))?.path();
            let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
            if path.extension().is_some_and(|extension| extension == "pem") {
                let settings = certificates::settings().with_root_certificates(roots.clone());
                let config =
                    certificates::introduce(settings, &path, &path).map_err(|reason| fail(&path, reason))?;
                tls.named.insert(name.to_owned(), connector(config));
            }
        }
        Ok(tls)
    }

    /// Trusts these and has no client certificates.
    #[must_use]
    pub fn new(roots: RootCertStore) -> Self {
        let config = certificates::settings().with_root_certificates(roots).with_no_client_auth();
        Self { plain: connector(config), named: HashMap::new() }
    }

    /// What to connect with; none when there is no client certificate of that name.
    pub(super) fn connector(&self, client_cert: Option<&str>) -> Option<&TlsConnector> {
        match client_cert {
            None => Some(&self.plain),
            Some(name) => self.named.get(name),
        }
    }
}

fn connector(mut config: ClientConfig) -> TlsConnector {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}
