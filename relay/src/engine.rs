//! The dispatcher: takes what was read and claimed, sends it, judges it and has it recorded.
//!
//! One task owns all state and does no I/O itself; sessions and requests are tasks that report to it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::client::Client;
use crate::context::Context;
use crate::errand::{Errand, Errands};
use crate::lead::{News, Orders};
use crate::ledger::{Ledger, Position, Ticket};
use crate::matching::Registry;
use crate::notice::Notice;
use crate::post::Post;
use crate::read::{Chunk, Item};
use crate::record::{Batch, Recorded};

mod admit;
mod claims;
mod crew;
mod duty;
mod fence;
mod flush;
mod locked;
mod send;
mod term;

use claims::Claims;
use crew::{Crew, Landed};
use duty::Duty;
use fence::Fence;
use flush::Flush;
use locked::Locked;
use term::Orphan;

/// What comes in.
#[derive(Debug)]
pub struct Inbox {
    /// From the main session.
    pub news: mpsc::UnboundedReceiver<News>,
    /// From the recorder.
    pub recorded: mpsc::UnboundedReceiver<Recorded>,
    /// From the errand runner.
    pub errands: mpsc::UnboundedReceiver<Errands>,
    /// True when the relay is to stop.
    pub stop: watch::Receiver<bool>,
}

/// What goes out.
#[derive(Debug)]
pub struct Outbox {
    /// To the main session.
    pub orders: watch::Sender<Orders>,
    /// Tells the reader that there is little to do.
    pub hungry: Arc<Notify>,
    /// To the recorder.
    pub batches: mpsc::Sender<Batch>,
    /// To the errand runner.
    pub errands: mpsc::Sender<Errand>,
}

/// A term of leadership.
#[derive(Debug)]
struct Term {
    id: u64,
    /// Number of the last cursor row.
    n: i64,
    ledger: Ledger,
    /// What is read in it.
    chunks: mpsc::Receiver<Chunk>,
    /// The position in the last cursor row.
    written: Position,
    /// The cursor had not passed this ticket then.
    mark: (Ticket, Instant),
}

/// The next page of the term, if there is one.
async fn next_chunk(term: &mut Option<Term>) -> Option<Chunk> {
    term.as_mut()?.chunks.recv().await
}

/// The dispatcher.
#[derive(Debug)]
pub struct Engine {
    context: Arc<Context>,
    crew: Crew,
    post: Post,
    registry: Arc<Registry>,
    term: Option<Term>,
    orphans: HashMap<Box<str>, Orphan>,
    intake: VecDeque<Item>,
    end: Option<Position>,
    fence: Fence,
    relieved: Instant,
    batch: Batch,
    /// Held flights whose hold is in `batch` and not yet under way to the database: place in the batch.
    holds: HashMap<usize, usize>,
    flush: Flush,
    locked: Locked,
    claims: Claims,
    duty: Duty,
    stopping: bool,
    out: Outbox,
}

impl Engine {
    /// An idle dispatcher.
    #[must_use]
    pub fn new(
        context: Arc<Context>,
        client: Client,
        out: Outbox,
    ) -> (Self, mpsc::UnboundedReceiver<Landed>) {
        let (landed, landings) = mpsc::unbounded_channel();
        let now = Instant::now();
        let engine = Self {
            post: Post::new(context.config.max_in_flight).carrying(context.budget.most() / 4),
            crew: Crew::new(context.clone(), client, landed),
            context,
            registry: Arc::default(),
            term: None,
            orphans: HashMap::new(),
            intake: VecDeque::new(),
            end: None,
            fence: Fence::default(),
            relieved: now,
            batch: Batch::default(),
            holds: HashMap::new(),
            flush: Flush::new(now),
            locked: Locked::new(now),
            claims: Claims::new(now),
            duty: Duty::new(now),
            stopping: false,
            out,
        };
        (engine, landings)
    }

    /// Runs until told to stop and done with what was under way.
    pub async fn run(mut self, mut inbox: Inbox, mut landings: mpsc::UnboundedReceiver<Landed>) {
        let mut landed = Vec::with_capacity(256);
        while !self.stopping {
            let wake = self.wake_at();
            tokio::select! {
                biased;
                _ = inbox.stop.wait_for(|stop| *stop) => self.stopping = true,
                Some(news) = inbox.news.recv() => self.hear(news),
                Some(recorded) = inbox.recorded.recv() => self.recorded(recorded),
                Some(errands) = inbox.errands.recv() => self.errand_done(errands),
                _ = landings.recv_many(&mut landed, 256) => {}
                Some(chunk) = next_chunk(&mut self.term), if self.intake.is_empty() => self.take_in(chunk),
                () = sleep_until(wake) => {}
            }
            while landed.len() < 256
                && let Ok(one) = landings.try_recv()
            {
                landed.push(one);
            }
            for one in landed.drain(..) {
                self.land(one);
            }
            self.work();
        }
        self.stop(inbox, landings).await;
    }

    /// Everything that can be done now.
    fn work(&mut self) {
        let now = Instant::now();
        self.lift_fence();
        self.admit(now);
        self.launch(now);
        self.settle_refused();
        self.claim(now);
        self.housekeeping(now);
        self.flush(now);
        let metrics = &self.context.metrics;
        metrics.in_flight.set(self.post.in_flight() as u64);
        metrics.queued.set(self.post.queued() as u64);
        metrics.unrecorded.set((self.batch.judged.len() + self.locked.len()) as u64);
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Registry(registry) => self.configure(registry),
            News::Led { term, lead, chunks } => self.begin(term, lead, chunks),
            News::Deposed { term } => self.depose(term),
            News::Rang => self.claims.soon(Instant::now()),
        }
    }

    /// Takes over the webhooks, which come with pages and as news: a page may come after newer news.
    fn configure(&mut self, registry: Arc<Registry>) {
        if !registry.is_newer_than(&self.registry) {
            return;
        }
        self.registry = registry;
        let now = Instant::now();
        self.post.configure(&self.registry, now);
        self.duty.learn(&self.registry, self.context.clock.micros());
        self.unpark(now);
    }

    fn take_in(&mut self, chunk: Chunk) {
        self.configure(Arc::clone(&chunk.registry));
        if let Some(term) = &self.term {
            self.fence.learn(&chunk.registry, &term.ledger);
            self.intake = chunk.items.into();
            self.end = Some(chunk.end);
        }
    }

    fn errand_done(&mut self, done: Errands) {
        match done {
            Errands::Claimed { lease, asked, result } => self.claimed(lease, asked, result),
            Errands::Beat(beat) => {
                self.context.pulse.set_adopted(beat.adopted);
                self.post.share(u32::try_from(beat.alive).unwrap_or(1), Instant::now());
            }
        }
    }

    fn notice(&mut self, notice: Notice) {
        self.batch.notices.push(notice);
    }

    /// The next moment at which something has to be done without being told.
    fn wake_at(&self) -> Instant {
        let mut at = self.duty.next_beat.min(self.claims.wake_at());
        if let Some(sleeper) = self.post.wake_at() {
            at = at.min(sleeper);
        }
        if let Some(due) = self.flush.due(&self.batch) {
            at = at.min(due);
        }
        if let Some(due) = self.locked.due() {
            at = at.min(due);
        }
        if self.post.in_flight() > 0 || !self.intake.is_empty() || self.fence.len() > 0 {
            at = at.min(self.duty.next_look);
        }
        at
    }
}

#[cfg(test)]
mod tests;
