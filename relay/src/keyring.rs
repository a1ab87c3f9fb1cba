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

/// What is to stand in a secret's place.
#[derive(Debug)]
pub struct Resealed {
    /// `wh_…`
    pub webhook: String,
    /// When the secret was made.
    pub at: i64,
    /// The key that it is sealed for until now; none of a plain one.
    pub former: Option<String>,
    /// Sealed for the key in use.
    pub sealed: String,
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
            // The extension of the version before tells no times; it has no key in use either, so nothing is sealed again.
            let times = row.secrets_at.iter().chain(std::iter::repeat(&0));
            for (place, at) in row.secrets.iter_mut().zip(times) {
                let secret = match self.secret(place, &row.id, &mut known) {
                    Ok(secret) => secret,
                    Err(locked) => {
                        row.locked = Some(locked);
                        continue;
                    }
                };
                let stored = std::mem::replace(place, secret.expose().to_owned());
                if let Some(key) = key.as_ref().filter(|_| seal::key_id(&stored) != in_use) {
                    resealed.push(Resealed {
                        webhook: row.id.clone(),
                        at: *at,
                        former: seal::key_id(&stored).map(str::to_owned),
                        sealed: key.public().seal(&secret, &row.id, key_file::random()),
                    });
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "your_webhook_secret";

    fn ring(keys: &[u8]) -> Keyring {
        Keyring::new(keys.iter().map(|n| PrivateKey::generate([*n; 32])).collect())
    }

    fn row(stored: &[&str]) -> HookRow {
        HookRow {
            id: "wh_1".into(),
            secrets: stored.iter().map(ToString::to_string).collect(),
            secrets_at: (1..).take(stored.len()).collect(),
            ..HookRow::default()
        }
    }

    /// Opens one row; what it holds then, why it is locked, and what is sealed again.
    fn open(ring: &mut Keyring, stored: &[&str]) -> (Vec<String>, Option<Locked>, Vec<Resealed>) {
        let mut rows = [row(stored)];
        let in_use = ring.ids().first().map(ToString::to_string);
        let resealed = ring.open(&mut rows, in_use.as_deref(), true);
        let [row] = rows;
        (row.secrets, row.locked, resealed)
    }

    #[test]
    fn what_is_plain_is_sealed_and_then_opened() {
        let mut old = ring(&[1]);
        let (secrets, locked, resealed) = open(&mut old, &[SECRET]);
        assert_eq!((secrets, locked), (vec![SECRET.to_owned()], None));
        assert_eq!((resealed.len(), resealed[0].at, &resealed[0].former), (1, 1, &None));
        let sealed = &*resealed[0].sealed;
        for _ in 0..2 {
            let (secrets, locked, resealed) = open(&mut old, &[sealed]);
            assert_eq!((secrets, locked, resealed.len()), (vec![SECRET.to_owned()], None, 0));
        }
        let mut new = ring(&[2, 1]);
        let (secrets, _, resealed) = open(&mut new, &[sealed]);
        assert_eq!(
            (secrets, resealed[0].former.as_deref()),
            (vec![SECRET.to_owned()], old.ids().first().copied())
        );
        assert_eq!(new.unused(new.ids()[0]), Vec::<String>::new());
        open(&mut new, &[&resealed[0].sealed]);
        assert_eq!(new.unused(new.ids()[0]), old.ids());
    }

    #[test]
    fn what_cannot_be_opened_locks_the_webhook() {
        let (_, _, resealed) = open(&mut ring(&[1]), &[SECRET]);
        let sealed = &*resealed[0].sealed;
        let id = seal::key_id(sealed).unwrap().to_owned();
        for mut other in [ring(&[]), ring(&[2])] {
            let (_, locked, resealed) = open(&mut other, &[SECRET, sealed]);
            assert_eq!(locked, Some(Locked::NoKey(id.clone())));
            assert!(resealed.iter().all(|one| one.at == 1), "what can be read can be sealed");
        }
        let broken = format!("{}AAAA", &sealed[..sealed.len() - 4]);
        let (_, locked, _) = open(&mut ring(&[1]), &[&broken]);
        assert_eq!(locked, Some(Locked::Broken(id, SealError::Broken)));
        assert!(matches!(open(&mut ring(&[1]), &["short"]).1, Some(Locked::Plain(_))));
    }
}
