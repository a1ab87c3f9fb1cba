//! One round: everything started, work under faults, everything healed, drained and judged.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep};
use webhook_tests::firewall::Firewall;
use webhook_tests::receiver::Receiver;
use webhook_tests::run;
use webhook_tests::session::Session;

use crate::evidence::Evidence;
use crate::faults::Scene;
use crate::fleet::Fleet;
use crate::generator::{Generator, Webhooks};
use crate::plan::{Kind, Plan, Standby};
use crate::servers::Servers;
use crate::verdict::{self, Account};

/// Leases of the dead run for 30 s, and a drain may need two of them.
const PATIENCE: Duration = Duration::from_secs(150);
const PATHS: [&str; 7] = ["/plain", "/ordered", "/both", "/pauses", "/keeps", "/turns", "/new"];

/// Plays the round of a seed; an error is the report.
pub async fn run(seed: u64, firewall: Option<&Firewall>) -> Result<Account, String> {
    let plan = Plan::of(seed);
    let mut servers = Servers::start(&plan).await;
    let receiver = Receiver::start();
    let db = servers.session().await;
    db.run(include_str!("journal.sql")).await;
    // Its first run moves rows, and the time of a record is that of the transaction that wrote its row.
    db.run("SELECT webhook._relay_maintain()").await;
    db.run("SELECT webhook_watch('chaos.thing', 'thing')").await;
    db.run("SELECT webhook_event_type_create('note.said')").await;
    let create = async |path: &str, options: &str| {
        let types = if path == "/plain" { "{thing.*}" } else { "{thing.*,note.*}" };
        db.value(&format!("SELECT chaos.create_webhook('{}', '{types}', '{options}')", receiver.url(path)))
            .await
    };
    let plain = create("/plain", "{}").await;
    let ordered = create("/ordered", r#"{"ordered": true}"#).await;
    let both = create("/both", r#"{"ordered": true, "max_in_flight": 4}"#).await;
    let pauses = create("/pauses", "{}").await;
    let keeps = create("/keeps", r#"{"keep_backlog": true}"#).await;
    let turns = create("/turns", r#"{"ordered": true}"#).await;
    let webhooks = Webhooks {
        target: receiver.url(""),
        steady: vec![plain.clone(), ordered, both],
        fickle: vec![pauses.clone(), keeps.clone(), turns.clone()],
        unordered: vec![plain, pauses.clone(), keeps.clone()],
    };

    if let Some(standby) = plan.standby {
        servers.add(standby).await;
    }
    let clock = (plan.kind == Kind::Everything).then(|| run::subfolder("clock").join("offset"));
    let mut random = StdRng::seed_from_u64(seed ^ 0x5eed);
    let mut fleet = Fleet::new(servers.addresses(), clock.as_deref());
    for _ in 0..plan.relays {
        fleet.join(&mut random, None).await;
    }
    let generator = Generator::start(seed, &servers.url(), webhooks);
    let mut scene = Scene {
        servers,
        forgetful: plan.forgetful,
        fleet,
        receiver: &receiver,
        paths: &PATHS,
        random,
        landed: Vec::new(),
        broken: Vec::new(),
        firewall,
        dropped: String::new(),
    };
    scene.play(&plan).await;
    generator.end();
    scene.heal().await;
    let (committed, mut acknowledged) = generator.ended().await;
    if plan.may_lose() {
        acknowledged.clear();
    }

    // The session of before may have died with the server.
    let session = scene.servers.session().await;
    for webhook in [pauses, keeps, turns] {
        session.run(&format!("SELECT chaos.update_webhook('{webhook}', '{{\"status\": \"active\"}}')")).await;
    }
    // What was put aside while its webhook was deleted goes now rather than in ten minutes.
    session.run("SELECT webhook._relay_maintain()").await;
    let begun = Instant::now();
    let left = drain(&session).await;
    let drained = begun.elapsed();
    scene.fleet.end().await;
    if plan.standby == Some(Standby::Asynchronous) {
        scene.servers.account().await;
    }
    let session = scene.servers.session().await;
    let verdict = verdict::judge(&session, &receiver, &scene.landed, &acknowledged).await;
    let (relays, server) = (scene.fleet.logs(), scene.servers.logs());
    let evidence = Evidence::of(&[&relays, &server, &scene.dropped]);
    let account = Account { kind: plan.name(), committed, drained, evidence, ..verdict.account };
    if left.is_none() && verdict.broken.is_empty() {
        return Ok(account);
    }
    let steps: Vec<_> = plan.steps.iter().map(|(_, fault)| fault.to_string()).collect();
    let log = verdict::keep(seed, &session, &relays, &server).await;
    Err(format!(
        "{account}\n{} relays; {}\n{}{}\nlogs: {}",
        plan.relays,
        steps.join(", "),
        left.map_or(String::new(), |left| format!("not drained: {left}\n")),
        verdict.broken.join("\n"),
        log.display()
    ))
}

/// Waits until everything is read and nothing is pending; says what is left when that takes too long.
async fn drain(session: &Session) -> Option<String> {
    let begun = Instant::now();
    loop {
        let sql = "SELECT backlog || ' unread, ' || pending || ' pending' FROM webhook_stats()";
        let left = session.value(sql).await;
        if left == "0 unread, 0 pending" {
            return None;
        } else if begun.elapsed() > PATIENCE {
            return Some(left);
        }
        sleep(Duration::from_millis(500)).await;
    }
}
