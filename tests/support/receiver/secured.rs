//! What a receiver shows and asks for by TLS.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::certificates::{Authority, Identity};

/// The TLS of a receiver: a certificate, HTTP/2 and 1.1.
#[derive(Debug)]
pub struct Secured {
    identity: Identity,
    protocols: Vec<Vec<u8>>,
    clients: Option<RootCertStore>,
}

impl Secured {
    /// Shows this certificate.
    pub fn by(identity: Identity) -> Self {
        Self { identity, protocols: vec![b"h2".to_vec(), b"http/1.1".to_vec()], clients: None }
    }

    /// Does not speak HTTP/2.
    #[must_use]
    pub fn only_http1(mut self) -> Self {
        self.protocols.remove(0);
        self
    }

    /// Wants to see a certificate of this authority.
    #[must_use]
    pub fn for_clients_of(mut self, authority: &Authority) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&authority.file())).expect("a root certificate");
        self.clients = Some(roots);
        self
    }

    pub(super) fn acceptor(self) -> TlsAcceptor {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("the default versions");
        let builder = match self.clients {
            None => builder.with_no_client_auth(),
            Some(roots) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let key = PrivateKeyDer::from_pem_file(&self.identity.key).expect("a key");
        let chain = vec![certificate(&self.identity.certificate)];
        let mut config = builder.with_single_cert(chain, key).expect("a certificate and its key");
        config.alpn_protocols = self.protocols;
        TlsAcceptor::from(Arc::new(config))
    }
}

fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).expect("a certificate")
}
