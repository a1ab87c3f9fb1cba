//! The keys that sealed secrets are opened with.

use std::collections::{HashMap, HashSet};
use std::fmt;

use webhook_wire::seal::{self, PrivateKey, SealError};
use webhook_wire::secret::{Secret, SecretError};

use crate::key_file;
use crate::matching::HookRow;

/// Why the secrets of a webhook cannot be used for now: its deliveries wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locked {
    /// One is sealed for a key that we have not.
    NoKey(String),
    /// One is sealed for this key of ours, and yet cannot be opened.
    Broken(String, SealError),
    /// One is not sealed, and is none.
    Plain(SecretError),
}

impl fmt::Display for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey(key) => {
                write!(f, "its secret is sealed for key {key}, which is not in --secret-key-file")
            }
            Self::Broken(key, error) => write!(f, "its secret is sealed for key {key}: {error}"),
            Self::Plain(error) => write!(f, "its secret cannot be used: {error}"),
        }
    }
}

/// A stored secret and what is to stand in its place.
pub struct Resealed {
    /// `wh_…`
    pub webhook: String,
    /// As it is stored now.
    pub stored: String,
    /// Sealed for the key in use.
    pub sealed: String,
}

impl fmt::Debug for Resealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resealed({})", self.webhook)
    }
}

/// Private keys by their ids, the current one first.
#[derive(Debug, Default)]
pub struct Keyring {
    keys: Vec<(String, PrivateKey)>,
    /// What was opened before, by what is stored: a full load would open everything again.
    opened: HashMap<String, Secret>,
    /// Keys that something was sealed for at the last full load.
    used: HashSet<String>,
}

impl Keyring {
    /// With these keys; without any, sealed secrets stay closed.
    #[must_use]
    pub fn new(keys: Vec<PrivateKey>) -> Self {
        let keys = keys.into_iter().map(|key| (key.public().id(), key)).collect();
        Self { keys, ..Self::default() }
    }

    /// The keys' ids, the current one first.
    #[must_use]
    pub fn ids(&self) -> Vec<&str> {
        self.keys.iter().map(|(id, _)| &**id).collect()
    }

    /// What the database may seal with.
    #[must_use]
    pub fn public_key(&self) -> Option<String> {
        self.keys.first().map(|(_, key)| key.public().to_string())
    }

    /// The keys that nothing was sealed for at the last full load, but for the one in use.
    #[must_use]
    pub fn unused(&self, in_use: &str) -> Vec<String> {
        let unused = |id: &&str| *id != in_use && !self.used.contains(*id);
        self.ids().into_iter().filter(unused).map(str::to_owned).collect()
    }

    /// Opens the secrets of rows in place, or notes why that cannot be. Returns what is to be sealed again with the key
    /// `in_use`. `fresh`: the rows are all there are.
    pub fn open(&mut self, rows: &mut [HookRow], in_use: Option<&str>, fresh: bool) -> Vec<Resealed> {
        let mut known = HashMap::new();
        if fresh {
            known = std::mem::take(&mut self.opened);
            self.used.clear();
        }
        let key = in_use.and_then(|id| self.key(id)).cloned();
        let mut resealed = Vec::new();
        for row in rows {
            for place in &mut row.secrets {
                let secret = match self.secret(place, &row.id, &mut known) {
                    Ok(secret) => secret,
                    Err(locked) => {
                        row.locked = Some(locked);
                        continue;
                    }
                };
                let stored = std::mem::replace(place, secret.expose().to_owned());
                if let Some(key) = key.as_ref().filter(|_| seal::key_id(&stored) != in_use) {
                    let sealed = key.public().seal(&secret, &row.id, key_file::random());
                    resealed.push(Resealed { webhook: row.id.clone(), stored, sealed });
                }
            }
        }
        resealed
    }

    /// The secret that is stored so.
    fn secret(
        &mut self,
        stored: &str,
        webhook: &str,
        known: &mut HashMap<String, Secret>,
    ) -> Result<Secret, Locked> {
        let Some(id) = seal::key_id(stored) else { return Secret::new(stored).map_err(Locked::Plain) };
        self.used.insert(id.to_owned());
        if let Some(secret) = self.opened.get(stored) {
            return Ok(secret.clone());
        }
        let secret = match known.remove(stored) {
            Some(secret) => secret,
            None => {
                let key = self.key(id).ok_or_else(|| Locked::NoKey(id.to_owned()))?;
                key.open(stored, webhook).map_err(|error| Locked::Broken(id.to_owned(), error))?
            }
        };
        self.opened.insert(stored.to_owned(), secret.clone());
        Ok(secret)
    }

    fn key(&self, id: &str) -> Option<&PrivateKey> {
        self.keys.iter().find(|(other, _)| other == id).map(|(_, key)| key)
    }
}
