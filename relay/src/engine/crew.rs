//! Tasks that carry requests. Each carries many, one after the other: their memory is asked for once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::client::{Client, Terms};
use crate::context::Context;
use crate::failpoint;
use crate::outcome::{Exchange, Failure};
use crate::post::Launch;
use crate::request;

/// A request that ended.
#[derive(Debug)]
pub struct Landed {
    /// Which flight.
    pub(super) flight: usize,
    /// Who carried it; none if that one will not carry another.
    pub(super) courier: Option<usize>,
    /// What came of it.
    pub(super) exchange: Exchange,
    /// When it started.
    pub(super) started: Instant,
    /// How long it took.
    pub(super) took: Duration,
}

/// All couriers.
#[derive(Debug)]
pub(super) struct Crew {
    context: Arc<Context>,
    client: Client,
    couriers: Vec<mpsc::UnboundedSender<Launch>>,
    idle: Vec<usize>,
    landed: mpsc::UnboundedSender<Landed>,
}

impl Crew {
    pub(super) fn new(context: Arc<Context>, client: Client, landed: mpsc::UnboundedSender<Landed>) -> Self {
        Self { context, client, couriers: Vec::new(), idle: Vec::new(), landed }
    }

    /// Sends an idle courier, or a new one.
    pub(super) fn send(&mut self, launch: Launch) {
        let courier = self.idle.pop().unwrap_or_else(|| {
            self.couriers.push(self.hire(self.couriers.len()));
            self.couriers.len() - 1
        });
        // Idle couriers listen.
        let _ = self.couriers[courier].send(launch);
    }

    /// A courier is back.
    pub(super) fn is_back(&mut self, courier: Option<usize>) {
        self.idle.extend(courier);
    }

    fn hire(&self, courier: usize) -> mpsc::UnboundedSender<Launch> {
        let (sender, mut launches) = mpsc::unbounded_channel::<Launch>();
        let (context, client, landed) = (self.context.clone(), self.client.clone(), self.landed.clone());
        tokio::spawn(async move {
            while let Some(launch) = launches.recv().await {
                let report = Report::new(&landed, courier, launch.flight);
                carry(&context, &client, &launch, report).await;
            }
        });
        sender
    }
}

/// Makes sure that every request is reported, also when carrying it panics.
struct Report<'a> {
    landed: &'a mpsc::UnboundedSender<Landed>,
    courier: Option<usize>,
    flight: Option<usize>,
    started: Instant,
}

impl<'a> Report<'a> {
    fn new(landed: &'a mpsc::UnboundedSender<Landed>, courier: usize, flight: usize) -> Self {
        Self { landed, courier: Some(courier), flight: Some(flight), started: Instant::now() }
    }

    fn send(&mut self, exchange: Exchange) {
        if let Some(flight) = self.flight.take() {
            let Self { courier, started, .. } = *self;
            // Nobody listens any more when the relay has stopped.
            let _ = self.landed.send(Landed { flight, courier, exchange, started, took: started.elapsed() });
        }
    }
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        self.courier = None;
        self.send(Err(Failure::Internal));
    }
}

async fn carry(context: &Context, client: &Client, launch: &Launch, mut report: Report<'_>) {
    let Launch { delivery, hook, .. } = launch;
    let exchange = match request::sign(hook, &delivery.event, &delivery.id, context.clock.seconds()) {
        Ok(signed) => {
            failpoint::pass("send");
            failpoint::begin("sending");
            let (limit, store) = (hook.timeout(), hook.options().store_response);
            client.exchange(signed, Terms { limit, store, reading: launch.reading }).await
        }
        Err(failure) => Err(failure),
    };
    failpoint::pass("answered");
    report.send(exchange);
}
