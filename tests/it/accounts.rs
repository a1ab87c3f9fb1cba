//! No event of one account ever reaches a webhook of another: thousands of combinations through the real relay.

use std::collections::HashSet;

use webhook_tests::database::Database;
use webhook_tests::receiver::Receiver;
use webhook_tests::relay::Relay;

/// A small generator of its own, so that a failing run can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len() as u64) as usize]
    }
}

#[tokio::test]
async fn sixty_webhooks_and_three_hundred_events_in_every_combination() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let seed =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos()
            as u64;
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut sources = Vec::new();
    for name in ["one", "two"] {
        sources.push(db.value(&format!("SELECT webhook_source_create('{name}')")).await);
    }
    // Names that a careless comparison would mix up.
    let accounts = ["", "a", "A", "a ", "aa", "a%", "a*", "ä", "NULL"];
    let types = ["user.created", "user.updated", "user.role.changed", "order.paid"];
    let mut webhooks = Vec::new();
    for n in 0..60 {
        let account = if random.below(8) == 0 { "*" } else { random.of(&accounts) };
        let pattern = random.of(&["*", "user.*", "user.created", "user.role.*", "order.paid", ""]);
        let rest = format!(
            "events => ARRAY[{}]::text[], account => nullif('{account}', '')",
            if pattern.is_empty() { String::new() } else { format!("'{pattern}'") }
        );
        let (id, _) = db.webhook(&receiver.url(&format!("/{n}")), &rest).await;
        let mut listens = None;
        if random.below(2) == 0 {
            let (emitter, event) = (
                random.of(&[&sources[0], &sources[1], "src_*"]),
                random.of(&["", "user.created", "order.paid"]),
            );
            db.run(&format!("SELECT webhook_subscribe('{emitter}', '{id}', '{event}')")).await;
            listens = Some((emitter.to_owned(), event));
        }
        webhooks.push((id, account, pattern, listens));
    }
    let mut expected = HashSet::new();
    for n in 0..300 {
        let (account, kind, source) =
            (random.of(&accounts), random.of(&types), random.of(&["", &sources[0], &sources[1]]));
        let event = db
            .value(&format!(
                "SELECT webhook_emit('{kind}', '{n}', account => nullif('{account}', ''), source => nullif('{source}', ''))"
            ))
            .await;
        for (webhook, theirs, pattern, listens) in &webhooks {
            let by_pattern = match pattern.strip_suffix(".*") {
                Some(root) => kind.starts_with(&format!("{root}.")),
                None => *pattern == "*" || *pattern == kind,
            };
            let by_subscription = listens.as_ref().is_some_and(|(emitter, name)| {
                !source.is_empty()
                    && (emitter == "src_*" || emitter == source)
                    && (name.is_empty() || *name == kind)
            });
            if (*theirs == "*" || *theirs == account) && (by_pattern || by_subscription) {
                expected.insert((event.clone(), webhook.clone()));
            }
        }
    }
    // What SQL says of them beforehand, …
    let rows = db
        .rows("SELECT e.id, w.id FROM webhook.events e, webhook.webhooks w WHERE webhook._mismatch(w, e) IS NULL")
        .await;
    let pairs = |rows: Vec<Vec<String>>| -> HashSet<(String, String)> {
        rows.into_iter().map(|row| (row[0].clone(), row[1].clone())).collect()
    };
    assert!(pairs(rows) == expected, "SQL's rules differ");
    // … and what the relay does.
    let _relay = Relay::start(&db.url()).await;
    db.until("SELECT backlog || ' ' || pending FROM webhook_stats()", "0 0").await;
    let rows =
        db.rows("SELECT event_id, webhook_id FROM webhook.deliveries WHERE status = 'delivered'").await;
    assert!(pairs(rows) == expected, "the relay's rules differ");
    let arrived: HashSet<_> = receiver
        .requests()
        .iter()
        .map(|request| (request.header("webhook-id").to_owned(), request.header("x-webhook-id").to_owned()))
        .collect();
    assert!(arrived == expected, "what arrived differs");
}

#[tokio::test]
async fn replay_and_explain_keep_to_it() {
    let (db, receiver) = (Database::new().await, Receiver::start());
    let _relay = Relay::start(&db.url()).await;
    let event = db.value("SELECT webhook_emit('user.created', '{}', account => 'acme')").await;
    let (stranger, _) = db.webhook(&receiver.url("/stranger"), "account => 'other'").await;
    let (none, _) = db.webhook(&receiver.url("/none"), "").await;
    let (own, _) = db.webhook(&receiver.url("/own"), "account => 'acme'").await;
    let (every, _) = db.webhook(&receiver.url("/every"), "account => '*'").await;
    for (webhook, count) in [(&stranger, "0"), (&none, "0"), (&own, "1"), (&every, "1")] {
        let sql = format!("SELECT webhook_replay('{webhook}', now() - interval '1 day', status => 'all')");
        assert_eq!(db.value(&sql).await, count);
    }
    receiver.wait_for(2).await;
    db.until("SELECT pending FROM webhook_stats()", "0").await;
    let results =
        db.rows(&format!("SELECT result FROM webhook_explain('{event}') ORDER BY webhook_id")).await.concat();
    assert_eq!(results, ["other_account", "other_account", "delivered", "delivered"]);
}
