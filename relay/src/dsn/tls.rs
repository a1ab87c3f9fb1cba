//! `sslmode`, `sslrootcert`, `sslcert` and `sslkey`, with libpq's meaning.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::parameters::Parameters;
use super::{DsnError, bad};
use crate::certificates;

/// How much TLS is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Mode {
    /// None.
    Disable,
    /// Where the server insists.
    Allow,
    /// Where the server can.
    Prefer,
    /// Always; whoever the server is.
    Require,
    /// Always, with a certificate of a trusted authority.
    VerifyCa,
    /// Always, with a certificate of a trusted authority for this very host.
    VerifyFull,
}

/// Whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// Whom this machine trusts.
    System,
    /// The certificates of a file.
    File(PathBuf),
}

/// How connections are encrypted.
#[derive(Debug, Clone)]
pub struct Encryption {
    /// How much TLS is wanted.
    pub mode: Mode,
    /// With what.
    pub settings: ClientConfig,
}

impl Encryption {
    pub(super) fn take(parameters: &mut Parameters) -> Result<Self, DsnError> {
        let (mode, root) = wish(parameters.take("sslmode").as_deref(), parameters.take("sslrootcert"))?;
        let verified = certificates::settings()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::new(mode, root.as_ref())?));
        let chain = parameters.take("sslcert").filter(|path| !path.is_empty()).map(PathBuf::from);
        let key = parameters.take("sslkey").filter(|path| !path.is_empty()).map(PathBuf::from);
        let mut settings = match (chain, key) {
            (None, None) => verified.with_no_client_auth(),
            (Some(chain), key) => {
                certificates::introduce(verified, &chain, key.as_ref().unwrap_or(&chain))
                    .map_err(|reason| DsnError::Certificate { key: "sslcert", path: chain, reason })?
            }
            (None, Some(_)) => return Err(DsnError::Combination("sslkey is of no use without sslcert")),
        };
        settings.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(Self { mode, settings })
    }
}

/// What the parameters together mean.
pub(super) fn wish(mode: Option<&str>, root: Option<String>) -> Result<(Mode, Option<Root>), DsnError> {
    let root = root.filter(|root| !root.is_empty()).map(|root| match &*root {
        "system" => Root::System,
        _ => Root::File(root.into()),
    });
    let mode = match mode {
        None if root == Some(Root::System) => Mode::VerifyFull,
        None | Some("prefer") => Mode::Prefer,
        Some("disable") => Mode::Disable,
        Some("allow") => Mode::Allow,
        Some("require") => Mode::Require,
        Some("verify-ca") => Mode::VerifyCa,
        Some("verify-full") => Mode::VerifyFull,
        Some(_) => {
            return Err(bad("sslmode", "disable, allow, prefer, require, verify-ca or verify-full"));
        }
    };
    match (mode, &root) {
        // Anybody can get a certificate from a public authority.
        (mode, Some(Root::System)) if mode < Mode::VerifyFull => {
            Err(DsnError::Combination("sslrootcert=system is of no use without sslmode=verify-full"))
        }
        (Mode::VerifyCa | Mode::VerifyFull, None) => Err(DsnError::Combination(
            "sslmode=verify-ca and verify-full want sslrootcert: a file with the authority's certificate, or system",
        )),
        // As libpq has always done it.
        (Mode::Require, Some(_)) => Ok((Mode::VerifyCa, root)),
        _ => Ok((mode, root)),
    }
}

/// Judges the server's certificate as far as the mode asks for it.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// None: anybody will do.
    authority: Option<Arc<WebPkiServerVerifier>>,
    /// Whether the certificate has to name the host.
    named: bool,
}

impl Verifier {
    fn new(mode: Mode, root: Option<&Root>) -> Result<Self, DsnError> {
        let provider = certificates::provider();
        let authority = match root.filter(|_| mode >= Mode::VerifyCa) {
            None => None,
            Some(root) => Some(authority(root, provider.clone())?),
        };
        Ok(Self { provider, authority, named: mode == Mode::VerifyFull })
    }
}

fn authority(root: &Root, provider: Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, DsnError> {
    let fail =
        |path: &Path, reason| DsnError::Certificate { key: "sslrootcert", path: path.to_owned(), reason };
    let (roots, path) = match root {
        Root::System => (certificates::system(), Path::new("system")),
        Root::File(path) => {
            let mut roots = RootCertStore::empty();
            certificates::trust(&mut roots, path).map_err(|reason| fail(path, reason))?;
            (roots, &**path)
        }
    };
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| fail(path, error.to_string()))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authority) = &self.authority else { return Ok(ServerCertVerified::assertion()) };
        match authority.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last, when everything else is in order.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.named => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
