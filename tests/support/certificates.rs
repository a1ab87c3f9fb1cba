//! A certificate authority of the test's own, and the certificates it issues.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};

use crate::cluster::owner;
use crate::run;

/// An authority. What it issues lies in a folder of its own, as PEM files that also Postgres can read.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
    /// Both in one file.
    pub both: PathBuf,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// If its certificate cannot be made or written.
    pub fn new() -> Self {
        let folder = run::subfolder("certificates");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // No two have the same name, or a wrong one would be told by its signature only.
        let name = folder.file_name().expect("a name").to_string_lossy();
        params.distinguished_name.push(DnType::CommonName, &*name);
        let key = KeyPair::generate().expect("make a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("sign the authority");
        let authority = Self { issuer, folder };
        give(&authority.folder, 0o711);
        fs::write(authority.file(), authority.issuer.pem()).expect("write a certificate");
        authority
    }

    /// Its own certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Where its files are: `<name>.pem` holds an identity's certificate and key.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A certificate for `name`, which is also its common name.
    pub fn certify(&self, name: &str) -> Identity {
        self.issue(name, CertificateParams::new([name.to_owned()]).expect("a name"))
    }

    /// One that was good until the year 2000.
    pub fn certify_expired(&self, name: &str) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(1999, 1, 1), date_time_ymd(2000, 1, 1));
        self.issue(name, params)
    }

    fn issue(&self, name: &str, mut params: CertificateParams) -> Identity {
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("make a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("sign a certificate").pem();
        let key = key.serialize_pem();
        let put = |file: String, text: String| {
            let path = self.folder.join(file);
            fs::write(&path, text).expect("write a PEM file");
            give(&path, 0o600);
            path
        };
        Identity {
            both: put(format!("{name}.pem"), format!("{certificate}{key}")),
            certificate: put(format!("{name}.crt"), certificate),
            key: put(format!("{name}.key"), key),
        }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes a file the property of whom Postgres runs as, which wants its key to be nobody else's.
fn give(path: &Path, mode: u32) {
    if let Some((uid, gid)) = owner() {
        chown(path, Some(uid), Some(gid)).expect("give a file to postgres");
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set a file's mode");
}
