use proptest::prelude::*;
use webhook_wire::id::{self, Generator, IdError, Prefix};

const PREFIXES: [Prefix; 5] =
    [Prefix::Webhook, Prefix::Event, Prefix::Source, Prefix::Subscription, Prefix::Delivery];
/// 2026-01-02T03:04:05.678Z
const MILLIS: u64 = 1_767_323_045_678;

#[test]
fn text_is_a_type_id() {
    // From the TypeID specification: 0110c853-1d09-52d8-d73e-1194e95b5f19 is 0123456789abcdefghjkmnpqrs.
    let id = id::parse(Prefix::Event, "evt_0123456789abcdefghjkmnpqrs").expect("an id");
    assert_eq!(id.text(Prefix::Event).as_ref(), "evt_0123456789abcdefghjkmnpqrs");
    assert_eq!(id.unix_millis(), 0x0110_c853_1d09);
}

#[test]
fn generated_ids_are_version_7() {
    let id = Generator::new().next(MILLIS * 1_000_000, u64::MAX);
    let text = id.text(Prefix::Webhook).to_string();
    assert_eq!(text.len(), "wh_".len() + 26);
    // Character by character: 3 + 45 bits of time, version 7, 12 of fraction, variant 10, all random bits
    // set.
    assert_eq!(text, "wh_01kdyak3see00bzzzzzzzzzzzz");
    assert_eq!(id.unix_millis(), MILLIS);
}

#[test]
fn ids_rise_when_the_clock_stands_or_steps_back() {
    let mut generator = Generator::new();
    let clock = [5_000_000, 5_000_000, 5_000_100, 4_000_000, 4_000_000, 0, 5_000_500, 9_000_000];
    let ids: Vec<_> = clock.iter().map(|&nanos| generator.next(nanos, 0)).collect();
    assert!(ids.is_sorted_by(|a, b| a < b));
    assert_eq!(ids[7].unix_millis(), 9);
}

#[test]
fn a_full_millisecond_runs_over_into_the_next() {
    let mut generator = Generator::new();
    let last = (0..5000).map(|_| generator.next(7_000_000, 0)).max();
    assert_eq!(last.map(id::Id::unix_millis), Some(8));
}

#[test]
fn a_delivery_has_one_id_for_ever() {
    let event = "evt_01kdyak3see00bzzzzzzzzzzzz";
    let webhook = "wh_01kdyak3see00bzzzzzzzzzzzz";
    let delivery = id::delivery(event, webhook).expect("ids");
    // SHA-256 computed outside; must never change, or attempts of before an upgrade would lose their
    // delivery.
    assert_eq!(delivery, "del_01kdyak3seezmssdxkab3dyvsd");
    assert_eq!(id::unix_millis(&delivery), Ok(MILLIS));
    assert_ne!(id::delivery(event, "wh_01kdyak3see00bzzzzzzzzzzzy").as_ref(), Ok(&delivery));
    assert!(matches!(id::delivery(webhook, event), Err(IdError::Prefix { .. })));
}

#[test]
fn floor_is_below_every_id_of_its_millisecond() {
    let floor = id::floor(Prefix::Event, MILLIS);
    let mut generator = Generator::new();
    assert!(floor.as_str() <= generator.next(MILLIS * 1_000_000, 0).text(Prefix::Event).as_ref());
    let before = Generator::new().next(MILLIS * 1_000_000 - 1, u64::MAX);
    assert!(before.text(Prefix::Event).as_ref() < floor.as_str());
    assert!(floor < id::floor(Prefix::Event, u64::MAX), "no time is too far away");
}

#[test]
fn what_is_no_id_is_refused_by_name() {
    let malformed = [
        "",
        "wh",
        "wh_",
        "wh_0123456789abcdefghjkmnpqr",
        "wh_0123456789abcdefghjkmnpqrst",
        "wh_8123456789abcdefghjkmnpqrs",
        "wh_0123456789ABCDEFGHJKMNPQRS",
        "wh_0123456789abcdefghjkmnpqri",
        "wh_0123456789abcdefghjkmnpqr\u{e9}",
        "wh_0123456789abcdefghjkmnpqr'",
        "WH_0123456789abcdefghjkmnpqrs",
        "evt_0123456789abcdefghjkmnpqrs",
        "wh-0123456789abcdefghjkmnpqrs",
    ];
    for text in malformed {
        let error = id::parse(Prefix::Webhook, text).expect_err(text);
        assert!(error.to_string().contains(text), "{error}");
        assert!(error.hint().contains("26"));
    }
    assert!(id::unix_millis("foo_0123456789abcdefghjkmnpqrs").is_err());
    let long = "x".repeat(10_000);
    assert!(id::parse(Prefix::Event, &long).expect_err("long").to_string().len() < 200);
}

proptest! {
    #[test]
    fn text_round_trips_and_orders_like_ids(nanos: [u64; 2], random: [u64; 2]) {
        let ids = [0, 1].map(|at| Generator::new().next(nanos[at], random[at]));
        for prefix in PREFIXES {
            let texts = ids.map(|id| String::from(id.text(prefix)));
            prop_assert_eq!(id::parse(prefix, &texts[0]), Ok(ids[0]));
            prop_assert_eq!(id::unix_millis(&texts[0]), Ok(nanos[0] / 1_000_000));
            prop_assert_eq!(texts[0].cmp(&texts[1]), ids[0].cmp(&ids[1]));
            prop_assert!(id::floor(prefix, nanos[0] / 1_000_000) <= texts[0]);
        }
    }

    #[test]
    fn a_generator_only_rises(clock: Vec<u32>, random: u64) {
        let mut generator = Generator::new();
        let ids: Vec<_> = clock.iter().map(|&nanos| generator.next(nanos.into(), random)).collect();
        prop_assert!(ids.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn parse_never_panics(text: String) {
        let _ = id::parse(Prefix::Delivery, &text);
        let _ = id::unix_millis(&text);
        let _ = id::delivery(&text, &text);
    }

    #[test]
    fn deliveries_sort_by_their_events_time(millis in 0_u64..1 << 44, later in 1_u64..1 << 40) {
        let webhook = id::floor(Prefix::Webhook, 1);
        let [first, second] = [millis, millis + later]
            .map(|millis| id::delivery(&id::floor(Prefix::Event, millis), &webhook).expect("ids"));
        prop_assert!(first < second);
    }
}
