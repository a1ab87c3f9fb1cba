//! Secrets at rest: sealed by anybody with the public key, opened only with the private one, which the database never
//! sees. HPKE (RFC 9180) with X25519, HKDF-SHA256 and ChaCha20-Poly1305; a sealed secret is bound to its webhook.

use std::{convert::Infallible, error::Error, fmt};

use base64::{Engine, engine::general_purpose::STANDARD};
use hpke::{
    Deserializable, Kem as _, OpModeR, OpModeS, Serializable,
    aead::ChaCha20Poly1305,
    kdf::HkdfSha256,
    kem::X25519HkdfSha256 as Kem,
    rand_core::{TryCryptoRng, TryRng},
    single_shot_open, single_shot_seal_with_rng,
};
use sha2::{Digest, Sha256};

use crate::secret::{Secret, SecretError};

/// What a sealed secret begins with: `whsealed_<key id>_<base64>`.
pub(crate) const SEALED: &str = "whsealed_";
const PRIVATE: &str = "whsealkey_";
const PUBLIC: &str = "whsealpub_";
const INFO: &[u8] = b"pg_webhook secret";
const ENCAPSULATED: usize = 32;

/// What secrets are sealed with. Its text is `whsealpub_<base64>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(<Kem as hpke::Kem>::PublicKey);

impl PublicKey {
    /// Reads its text.
    ///
    /// # Errors
    /// [`SealError::PublicKey`].
    pub fn parse(text: &str) -> Result<Self, SealError> {
        decoded(PUBLIC, text).map(Self).ok_or(SealError::PublicKey)
    }

    /// Names the key among others: 16 hexadecimal digits.
    pub fn id(&self) -> String {
        let digest = Sha256::digest(self.0.to_bytes());
        digest[..8].iter().fold(String::with_capacity(16), |id, byte| id + &format!("{byte:02x}"))
    }

    /// Seals a webhook's secret. `random` must be fresh and secret.
    pub fn seal(&self, secret: &Secret, webhook_id: &str, random: [u8; 32]) -> String {
        let (encapsulated, text) = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeS::Base,
            &self.0,
            INFO,
            secret.expose().as_bytes(),
            webhook_id.as_bytes(),
            &mut Given(random),
        )
        .expect("a public key that was read can be sealed for");
        let bytes = [&*encapsulated.to_bytes(), &*text].concat();
        format!("{SEALED}{}_{}", self.id(), STANDARD.encode(bytes))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", STANDARD.encode(self.0.to_bytes()))
    }
}

/// What sealed secrets are opened with. Its text is `whsealkey_<base64>`; `Debug` shows its id alone.
#[derive(Clone)]
pub struct PrivateKey {
    key: <Kem as hpke::Kem>::PrivateKey,
    public: PublicKey,
}

impl PrivateKey {
    /// A new key from 32 bytes of a cryptographic random source.
    pub fn generate(random: [u8; 32]) -> Self {
        let (key, public) = Kem::derive_keypair(&random);
        Self { key, public: PublicKey(public) }
    }

    /// Reads its text.
    ///
    /// # Errors
    /// [`SealError::PrivateKey`].
    pub fn parse(text: &str) -> Result<Self, SealError> {
        let key = decoded(PRIVATE, text).ok_or(SealError::PrivateKey)?;
        let public = PublicKey(Kem::sk_to_pk(&key));
        Ok(Self { key, public })
    }

    /// Its text, for the file that keeps it.
    pub fn expose(&self) -> String {
        format!("{PRIVATE}{}", STANDARD.encode(self.key.to_bytes()))
    }

    /// What the database gets.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Opens a webhook's sealed secret.
    ///
    /// # Errors
    /// [`SealError::Broken`] when it was sealed for another key or webhook, or damaged.
    pub fn open(&self, sealed: &str, webhook_id: &str) -> Result<Secret, SealError> {
        let bytes =
            parts(sealed).and_then(|(_, text)| STANDARD.decode(text).ok()).ok_or(SealError::Broken)?;
        let (encapsulated, text) = bytes.split_at_checked(ENCAPSULATED).ok_or(SealError::Broken)?;
        let encapsulated = Deserializable::from_bytes(encapsulated).map_err(|_| SealError::Broken)?;
        let opened = single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeR::Base,
            &self.key,
            &encapsulated,
            INFO,
            text,
            webhook_id.as_bytes(),
        );
        let opened = opened.ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(SealError::Broken)?;
        Secret::new(opened).map_err(SealError::Secret)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public.id())
    }
}

/// The id of the key that a stored secret is sealed for; `None` of a plain one.
pub fn key_id(stored: &str) -> Option<&str> {
    parts(stored).map(|(id, _)| id)
}

fn parts(stored: &str) -> Option<(&str, &str)> {
    stored.strip_prefix(SEALED)?.split_once('_')
}

fn decoded<T: Deserializable>(prefix: &str, text: &str) -> Option<T> {
    T::from_bytes(&STANDARD.decode(text.strip_prefix(prefix)?).ok()?).ok()
}

/// Random bytes that the caller brings; sealing draws them once.
struct Given([u8; 32]);

impl TryRng for Given {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut word = [0; 4];
        self.try_fill_bytes(&mut word)?;
        Ok(u32::from_ne_bytes(word))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut word = [0; 8];
        self.try_fill_bytes(&mut word)?;
        Ok(u64::from_ne_bytes(word))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.0[..bytes.len()]);
        // A second draw would get other bytes, not the same ones.
        self.0 = Sha256::digest(self.0).into();
        Ok(())
    }
}

impl TryCryptoRng for Given {}

/// Why a key or a sealed secret cannot be used. Never holds any of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// Not `whsealkey_` and the base64 of a private key.
    PrivateKey,
    /// Not `whsealpub_` and the base64 of a public key.
    PublicKey,
    /// Sealed for another key or webhook, or damaged.
    Broken,
    /// What was sealed is no secret.
    Secret(SecretError),
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrivateKey => write!(f, "not a key of the form {PRIVATE}<base64 of 32 bytes>"),
            Self::PublicKey => write!(f, "not a public key of the form {PUBLIC}<base64 of 32 bytes>"),
            Self::Broken => f.write_str("it was sealed for another key or webhook, or is damaged"),
            Self::Secret(error) => error.fmt(f),
        }
    }
}

impl Error for SealError {}
