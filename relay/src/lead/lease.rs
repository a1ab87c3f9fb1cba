//! Keeping the lead: it comes with a session of our own, and has to be renewed where the session is lent.

use tokio::time::Instant;

use super::{End, LEASE, Leader, RENEW};
use crate::context::TRUST;
use crate::store::{Session, Way};

impl Leader {
    /// The session answered what was asked at `asked`. If it is our own, that proves that we still lead.
    pub(super) fn proved(&self, session: &Session, asked: Instant) {
        if session.way() == Way::Own {
            self.context.pulse.beat(asked);
        }
    }

    /// Renews a lease when it is time; false when it was too long ago that this succeeded, and another may lead.
    pub(super) async fn keep(&mut self, session: &Session) -> Result<bool, End> {
        if session.way() == Way::Own || self.leased.elapsed() < RENEW {
            return Ok(true);
        }
        let asked = Instant::now();
        if session.renew_lease(&self.context.instance, LEASE).await? {
            self.leased = asked;
            self.context.pulse.beat(asked);
        }
        Ok(self.leased.elapsed() < TRUST)
    }
}
