//! The keys that secrets are sealed with, and sealing them again.

use super::{LONG, SHORT, Session, StoreError};
use crate::keyring::{Keyring, Resealed};

impl Session {
    /// Says which keys we have, and offers the first. Returns the key in use.
    pub async fn secret_key(&self, instance: &str, keys: &Keyring) -> Result<Option<String>, StoreError> {
        let row = self
            .row(
                SHORT,
                "SELECT webhook._relay_secret_key($1, $2, $3)",
                &[&instance, &keys.ids(), &keys.public_key()],
            )
            .await?;
        Ok(row.try_get(0)?)
    }

    /// Puts sealed secrets in the place of what is stored. Returns how many there still were.
    pub async fn reseal(&self, secrets: &[Resealed]) -> Result<i64, StoreError> {
        let webhooks: Vec<_> = secrets.iter().map(|one| &*one.webhook).collect();
        let at: Vec<_> = secrets.iter().map(|one| one.at).collect();
        let former: Vec<_> = secrets.iter().map(|one| one.former.as_deref()).collect();
        let sealed: Vec<_> = secrets.iter().map(|one| &*one.sealed).collect();
        let row = self
            .row(LONG, "SELECT webhook._relay_reseal($1, $2, $3, $4)", &[&webhooks, &at, &former, &sealed])
            .await?;
        Ok(row.try_get(0)?)
    }
}
