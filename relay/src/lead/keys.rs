//! The keys of secrets: which one is in use, what waits for another, what is to be sealed again.

use super::{End, Leader};
use crate::keyring::Resealed;
use crate::store::Session;

/// So many secrets are sealed again at a time.
const CHUNK: usize = 1000;

impl Leader {
    /// Offers our current key and learns which one is in use; false when it is not ours though it should be.
    pub(super) async fn agree_on_key(&mut self, session: &Session) -> Result<bool, End> {
        let ids = self.keyring.ids();
        let Some(own) = ids.first() else { return Ok(true) };
        let in_use = session.secret_key(&self.context.instance, &self.keyring).await?;
        let agreed = in_use.as_deref() == Some(own);
        if in_use != self.key_in_use {
            match &in_use {
                Some(key) if agreed => tracing::info!(key, "secrets are sealed with this key"),
                Some(key) if ids.contains(&&**key) => {
                    tracing::warn!(
                        key,
                        "secrets are sealed with this key, not with the first of --secret-key-file"
                    );
                }
                Some(key) => {
                    tracing::error!(
                        key,
                        "secrets are sealed with this key, which is not in --secret-key-file"
                    );
                }
                None => tracing::warn!("secrets are not sealed: the key could not be put in use yet"),
            }
        }
        self.key_in_use = in_use;
        Ok(agreed)
    }

    /// Says how many webhooks wait for a key, when that changes.
    pub(super) fn tell_locked(&mut self) {
        let count = self.registry.locked().count();
        self.context.metrics.locked.set(count as u64);
        if count == self.locked {
            return;
        }
        match self.registry.locked().next() {
            Some((webhook, why)) => {
                tracing::error!(count, webhook, %why, "deliveries wait: secrets of webhooks cannot be read");
            }
            None => tracing::info!("all secrets can be read again"),
        }
        self.locked = count;
    }

    /// Seals again what is plain or sealed for a former key; true when there was something.
    pub(super) async fn reseal(&mut self, session: &Session, secrets: Vec<Resealed>) -> Result<bool, End> {
        let mut count = 0;
        for chunk in secrets.chunks(CHUNK) {
            count += session.reseal(chunk).await?;
        }
        if count > 0 {
            tracing::info!(count, key = self.key_in_use, "secrets were sealed");
        }
        Ok(!secrets.is_empty())
    }

    /// Says once of each former key that it can go.
    pub(super) fn tell_unused(&mut self) {
        let Some(in_use) = &self.key_in_use else { return };
        for key in self.keyring.unused(in_use) {
            if self.told_unused.insert(key.clone()) {
                tracing::info!(
                    key,
                    "no secret is sealed for this key any more: its line in --secret-key-file can go"
                );
            }
        }
    }
}
