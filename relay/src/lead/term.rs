//! One term of leadership: reading, handing over, and waiting for more.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::{End, Leader, News, RENEW};
use crate::failpoint;
use crate::read::{self, Chunk};
use crate::store::{Lead, Session, StoreError, Way};
use crate::wake::{Found, Step, Wakefulness};

/// How often an idle leader tells the dispatcher how far the outbox is read.
const REPORT: Duration = Duration::from_secs(600);
/// So many pages fit into half of the payload memory.
const PAGES_IN_MEMORY: i64 = 8;

impl Leader {
    /// Reads until the term is over.
    pub(super) async fn term(
        &mut self,
        session: &Session,
        term: u64,
        lead: Lead,
        chunks: mpsc::Sender<Chunk>,
    ) -> Result<(), End> {
        let max_bytes = i64::from(self.context.config.max_payload_mib) * 1024 * 1024 / (2 * PAGES_IN_MEMORY);
        let mut position = lead.position;
        let mut reported = Instant::now();
        let mut rung = true;
        let poll = self.context.config.poll_interval;
        let mut wake = match session.way() {
            Way::Own => Wakefulness::new(poll),
            Way::Lent => Wakefulness::deaf(poll.min(RENEW)),
        };
        loop {
            if !self.wanted(term).await || !self.keep(session).await? {
                return Ok(());
            }
            if self.lines.orders.borrow().refresh > self.refreshed || Instant::now() >= self.reload {
                self.refresh(session).await?;
            }
            let asked = Instant::now();
            let config = self.config.clone().unwrap_or_default();
            let page = session.read(&position, read::PAGE_ROWS, max_bytes, &config).await?;
            self.proved(session, asked);
            failpoint::pass("read");
            let changed = page.config_changed;
            if changed {
                self.refresh(session).await?;
            }
            let full = read::is_full(&page, max_bytes);
            position = read::end_of(&page, full);
            let found = Found { transactions: read::transactions(&page), full };
            if found.transactions > 0 || reported.elapsed() > REPORT {
                reported = Instant::now();
                self.context.metrics.events.add(page.rows.len() as u64);
                let mut items = read::matched(page, &self.registry, &self.context.budget);
                read::leave_out_recorded(&mut items, lead.ahead, session).await?;
                let registry = self.registry.clone();
                let chunk = Chunk { registry, items, end: position.clone() };
                if !self.hand_over(session, term, &chunks, chunk).await? {
                    return Ok(());
                }
                failpoint::pass("handed");
            }
            if rung && (changed || found.transactions == 0) {
                self.tell(News::Rang)?;
            }
            rung = self.until_next_read(session, &mut wake, found).await?;
        }
    }

    /// True while the term goes on. Told to stop, we read nothing more but lead until the dispatcher has recorded
    /// what it has.
    async fn wanted(&mut self, term: u64) -> bool {
        let orders = *self.lines.orders.borrow_and_update();
        if orders.stop {
            let _ = self.lines.orders.wait_for(|orders| orders.over >= term).await;
            return false;
        }
        orders.over < term
    }

    /// Gives a chunk to the dispatcher when it has room; until then keeps the webhooks up to date, which also proves
    /// that the session, and with it the lead, still stands. False: the dispatcher did not get it, so the term is over.
    async fn hand_over(
        &mut self,
        session: &Session,
        term: u64,
        chunks: &mpsc::Sender<Chunk>,
        chunk: Chunk,
    ) -> Result<bool, End> {
        loop {
            let mut orders = self.lines.orders.clone();
            tokio::select! {
                permit = chunks.reserve() => {
                    let Ok(permit) = permit else { return Ok(false) };
                    permit.send(chunk);
                    return Ok(true);
                }
                () = async {
                    let _ = orders.wait_for(|orders| orders.stop || orders.over >= term).await;
                } => return Ok(self.wanted(term).await),
                () = sleep(self.context.config.poll_interval.min(RENEW)) => {
                    if !self.keep(session).await? {
                        return Ok(false);
                    }
                    self.refresh(session).await?;
                }
                () = session.rings().notified() => {
                    self.refresh(session).await?;
                    self.tell(News::Rang)?;
                }
            }
        }
    }

    /// Waits as the protocol says; true when somebody rang.
    async fn until_next_read(
        &mut self,
        session: &Session,
        wake: &mut Wakefulness,
        found: Found,
    ) -> Result<bool, End> {
        let mut step = wake.after_read(found, Instant::now());
        if step == Step::Disarm {
            session.disarm().await?;
            wake.disarmed(Instant::now());
            step = wake.after_read(found, Instant::now());
        }
        match step {
            Step::Read | Step::Disarm => {}
            Step::Pause { least, most } => {
                sleep(least).await;
                let _ = timeout(most.saturating_sub(least), self.lines.hungry.notified()).await;
                // Awake, only what is no event rings.
                return Ok(timeout(Duration::ZERO, session.rings().notified()).await.is_ok());
            }
            Step::Arm => {
                let now = Instant::now();
                wake.armed(session.arm().await?, now);
            }
            Step::Sleep(time) | Step::Doze(time) => {
                if session.is_closed() {
                    return Err(StoreError::Lost("the server closed the connection".to_owned()).into());
                }
                let mut orders = self.lines.orders.clone();
                let rung = tokio::select! {
                    () = session.rings().notified() => true,
                    () = sleep(time) => false,
                    _ = orders.changed() => false,
                };
                wake.woke(rung);
                if matches!(step, Step::Doze(_)) {
                    wake.asked(session.committing().await?);
                }
                return Ok(rung);
            }
        }
        Ok(false)
    }
}
