//! TLS settings: this machine's trusted certificates, a file with more, and client certificates by name.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

use crate::certificates;
use crate::config::{ConfigError, Targets};

/// What TLS connections are made with.
#[derive(Clone)]
pub struct Tls {
    plain: TlsConnector,
    named: HashMap<String, TlsConnector>,
}

/// No client certificate, but a note that the receiver asked for one.
#[derive(Debug)]
struct Nobody;

thread_local! {
    /// Set while a handshake is polled: the only way from the resolver, which all connections share, to one of them.
    static ASKED: Cell<bool> = const { Cell::new(false) };
}

impl ResolvesClientCert for Nobody {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        ASKED.set(true);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Shakes hands, and says whether we were asked for a client certificate and had none.
pub(super) async fn noticing<T>(handshake: impl Future<Output = T>) -> (T, bool) {
    let mut handshake = pin!(handshake);
    let mut asked = false;
    let done = poll_fn(|cx| {
        ASKED.set(false);
        let polled = handshake.as_mut().poll(cx);
        asked |= ASKED.get();
        polled
    })
    .await;
    (done, asked)
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
        let settings = certificates::settings().with_root_certificates(roots);
        let config = settings.with_client_cert_resolver(Arc::new(Nobody));
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
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}
