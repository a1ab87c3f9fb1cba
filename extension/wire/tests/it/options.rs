use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use webhook_wire::{
    body::Format,
    options::{KEYS, Method, OnFailed, Options, OptionsError, StoreResponse},
    signature::Scheme,
};

fn parse(value: Value) -> Options {
    Options::parse(&value).unwrap_or_else(|error| panic!("{value}: {error}"))
}

fn refuse(value: Value) -> OptionsError {
    Options::parse(&value).expect_err(&value.to_string())
}

#[test]
fn defaults() {
    let nulls: Value =
        KEYS.iter().map(|&key| (key.to_owned(), Value::Null)).collect::<serde_json::Map<_, _>>().into();
    for value in [json!({}), Value::Null, nulls] {
        let options = parse(value);
        assert_eq!(
            (options.method, options.format, options.signature),
            (Method::Post, Format::Event, Scheme::Sha256)
        );
        assert_eq!(options.timeout, Duration::from_secs(15));
        assert_eq!(options.retry_schedule, [60, 300, 1800, 3600, 21_600].map(Duration::from_secs));
        assert_eq!((options.max_in_flight, options.rate_limit), (None, None));
        assert_eq!((options.ordered, options.keep_backlog), (false, false));
        assert_eq!((options.on_failed, options.store_response), (OnFailed::Continue, StoreResponse::Body));
        assert!(options.headers.is_empty() && options.params.is_empty());
        assert!(options.auth.is_none() && options.static_header.is_none() && options.client_cert.is_none());
    }
}

#[test]
fn everything_set() {
    let options = parse(json!({
        "method": "put", "headers": {"X-Team": "billing", "X-Build": 7}, "params": {"source": "db", "v": 2, "dry": false},
        "auth": {"username": "jane", "password": ""}, "format": "cloudevents", "signature": "static",
        "timeout_ms": 100, "retry_schedule": [], "max_in_flight": 10_000, "rate_limit": 0.5, "ordered": true,
        "on_failed": "block", "store_response": "none", "header_name": "X-Api-Key", "header_value": "s3cret",
        "keep_backlog": true, "client_cert": "partner-a.pem",
    }));
    assert_eq!((options.method, options.format), (Method::Put, Format::CloudEvents));
    let shown = |pairs: &[(String, webhook_wire::secret::Secret)]| -> Vec<String> {
        pairs.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect()
    };
    assert_eq!(shown(&options.headers), ["X-Team=billing", "X-Build=7"]);
    assert_eq!(shown(&options.params), ["source=db", "v=2", "dry=false"]);
    assert_eq!(shown(&[options.static_header.clone().expect("a header")]), ["X-Api-Key=s3cret"]);
    let auth = options.auth.as_ref().expect("credentials");
    assert_eq!((auth.username.as_str(), auth.password.expose()), ("jane", ""));
    assert_eq!((options.timeout, options.retry_schedule.len()), (Duration::from_millis(100), 0));
    assert_eq!((options.max_in_flight, options.rate_limit), (Some(10_000), Some(0.5)));
    assert_eq!((options.on_failed, options.store_response), (OnFailed::Block, StoreResponse::None));
    assert_eq!(options.client_cert.as_deref(), Some("partner-a.pem"));
    let debug = format!("{options:?}");
    assert!(!debug.contains("s3cret") && !debug.contains("billing"), "{debug}");
}

#[test]
fn intervals() {
    let cases = [
        (json!("5 minutes"), 300_000),
        (json!("1 minute"), 60_000),
        (json!("90s"), 90_000),
        (json!("1h 30m"), 5_400_000),
        (json!("1 day"), 86_400_000),
        (json!("2 weeks"), 1_209_600_000),
        (json!("100 milliseconds"), 100),
        (json!("250ms"), 250),
        (json!("1.5 seconds"), 1500),
        (json!("00:05:00"), 300_000),
        (json!("00:00:00.5"), 500),
        (json!("01:30"), 5_400_000),
        (json!("1 day 02:00:00"), 93_600_000),
        (json!("30 days"), 2_592_000_000),
        (json!("@ 5 mins"), 300_000),
        (json!("PT5M"), 300_000),
        (json!("P1DT2H"), 93_600_000),
        (json!("PT0.1S"), 100),
        (json!("  1 HOUR  "), 3_600_000),
        (json!("30"), 30_000),
        (json!(30), 30_000),
        (json!(0.25), 250),
        (json!(0), 0),
    ];
    for (pause, millis) in cases {
        let options = parse(json!({"retry_schedule": [pause]}));
        assert_eq!(options.retry_schedule, [Duration::from_millis(millis)], "{pause}");
    }
    let refused = [
        "",
        " ",
        "soon",
        "5 parsecs",
        "-5 minutes",
        "-00:05:00",
        "1 mon",
        "1 month",
        "1 year",
        "P1M",
        "P",
        "PT",
        "P1H",
        "PT1D",
        "31 days",
        "1:2:3:4",
        "1:2.5",
        "00:60:00",
        "00:00:61",
        "1..5 s",
        ".",
        "5 minutes ago",
        "1e3 s",
        "infinity",
        "NaN",
        "99999999999999999999999 days",
        "1 day 2",
        "minutes",
        "02:00:00 1 day",
    ];
    for text in refused {
        let error = refuse(json!({"retry_schedule": ["1 min", text]}));
        assert!(error.to_string().starts_with("invalid option retry_schedule: "), "{text}: {error}");
        assert!(error.hint().contains("5 minutes"));
    }
    for value in [json!(-1), json!(2_592_001), json!(null), json!(true), json!(["1 min"])] {
        refuse(json!({"retry_schedule": [value]}));
    }
    assert_eq!(parse(json!({"retry_schedule": vec![1; 64]})).retry_schedule.len(), 64);
    refuse(json!({"retry_schedule": vec![1; 65]}));
    refuse(json!({"retry_schedule": "1 minute"}));
}

#[test]
fn values_out_of_range_are_named() {
    let cases = [
        (json!({"timeout_ms": 99}), "invalid option timeout_ms: 99"),
        (json!({"timeout_ms": 60_001}), "invalid option timeout_ms: 60001"),
        (json!({"timeout_ms": "5000"}), "invalid option timeout_ms: \"5000\""),
        (json!({"timeout_ms": 1000.5}), "invalid option timeout_ms: 1000.5"),
        (json!({"max_in_flight": 0}), "invalid option max_in_flight: 0"),
        (json!({"max_in_flight": 10_001}), "invalid option max_in_flight: 10001"),
        (json!({"rate_limit": 0}), "invalid option rate_limit: 0"),
        (json!({"rate_limit": -1}), "invalid option rate_limit: -1"),
        (json!({"rate_limit": "fast"}), "invalid option rate_limit: \"fast\""),
        (json!({"method": "BREW"}), "invalid option method: \"BREW\""),
        (json!({"method": "CONNECT"}), "invalid option method: \"CONNECT\""),
        (json!({"format": "xml"}), "invalid option format: \"xml\""),
        (json!({"signature": "md5"}), "invalid option signature: \"md5\""),
        (json!({"ordered": 1}), "invalid option ordered: 1"),
        (json!({"on_failed": "stop"}), "invalid option on_failed: \"stop\""),
        (json!({"store_response": "all"}), "invalid option store_response: \"all\""),
        (json!({"keep_backlog": "yes"}), "invalid option keep_backlog: \"yes\""),
        (json!({"timeout": 5}), "unknown option \"timeout\""),
        (json!([]), "options are not a JSON object"),
        (json!("fast"), "options are not a JSON object"),
    ];
    for (value, message) in cases {
        assert_eq!(refuse(value).to_string(), message);
    }
    let hint = refuse(json!({"timout_ms": 5})).hint();
    assert!(KEYS.iter().all(|key| hint.contains(key)), "{hint}");
}

#[test]
fn secrets_never_appear_in_errors() {
    let values = [
        json!({"auth": {"username": "a:canary", "password": "canary"}}),
        json!({"auth": {"username": "jane", "password": "canary\n"}}),
        json!({"auth": {"username": "jane", "password": "canary", "realm": "x"}}),
        json!({"auth": "canary"}),
        json!({"auth": {"username": "canary"}}),
        json!({"headers": {"Authorization": "canary\r\nX: y"}}),
        json!({"headers": {"Authorization": ["canary"]}}),
        json!({"headers": "canary"}),
        json!({"params": {"token": {"x": "canary"}}}),
        json!({"params": ["canary"]}),
        json!({"signature": "static", "header_name": "X-Key", "header_value": "canary\n"}),
        json!({"signature": "static", "header_value": "canary"}),
        json!({"signature": "static", "header_name": "X-Key", "header_value": ["canary"]}),
        json!({"client_cert": "-----BEGIN canary"}),
    ];
    for value in values {
        let error = refuse(value);
        let shown = format!("{error} {error:?} {}", error.hint());
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[test]
fn header_names() {
    let fine = [
        "X-Team",
        "content-type",
        "User-Agent",
        "Authorization",
        "Accept",
        "Idempotency-Key",
        "!#$%&'*+-.^_`|~9",
    ];
    for name in fine {
        parse(json!({"headers": {name: "x"}}));
    }
    let long = "x".repeat(257);
    let refused = [
        "",
        " ",
        "X Team",
        "X-Team:",
        "X-Team\r\nHost",
        "X\u{0}",
        "X-Té",
        ":path",
        "X(y)",
        "a/b",
        "{",
        "Host",
        "HOST",
        "Content-Length",
        "transfer-encoding",
        "Connection",
        "TE",
        "Upgrade",
        "Trailer",
        "Expect",
        "Keep-Alive",
        "Proxy-Authorization",
        "proxy-connection",
        "Webhook-Id",
        "webhook-anything",
        "X-Webhook-Signature",
        "x-webhook-foo",
        "ce-id",
        "CE-Type",
        &long,
    ];
    for name in refused {
        let error = refuse(json!({"headers": {name: "x"}}));
        assert!(
            matches!(&error, OptionsError::Invalid { key, .. } if key.starts_with("headers.")),
            "{name}: {error}"
        );
    }
    refuse(json!({"headers": {"X-A": "1", "x-a": "2"}}));
    refuse(json!({"headers": {"authorization": "x"}, "auth": {"username": "a", "password": "b"}}));
}

#[test]
fn header_values() {
    for value in ["x", "", "Bearer abc.def", "a\"b'c;d=e, f", "~ !"] {
        parse(json!({"headers": {"X-A": value}}));
    }
    let long = "x".repeat(65_536);
    for value in
        ["a\rb", "a\nb", "a\r\nX-B: c", "a\u{0}b", "a\tb", "a\u{7f}", "é", " a", "a ", "\u{2028}", &long]
    {
        refuse(json!({"headers": {"X-A": value}}));
    }
    let many: serde_json::Map<_, _> = (0..65).map(|at| (format!("X-{at}"), json!("x"))).collect();
    refuse(json!({"headers": many}));
}

#[test]
fn the_header_of_signature_static() {
    let with = |name: &str| json!({"signature": "static", "header_name": name, "header_value": "v"});
    for name in ["Authorization", "X-Api-Key", "X-Webhook-Signature", "X-Webhook-Token", "User-Agent"] {
        parse(with(name));
    }
    for name in
        ["Host", "Content-Length", "webhook-id", "Webhook-Signature", "X-Webhook-Delivery", "bad name", ""]
    {
        refuse(with(name));
    }
    refuse(json!({"signature": "static"}));
    refuse(json!({"signature": "static", "header_name": "X-Key"}));
    refuse(json!({"header_name": 5}));
    refuse(
        json!({"signature": "static", "header_name": "x-a", "header_value": "v", "headers": {"X-A": "w"}}),
    );
    let mut both = with("Authorization");
    both["auth"] = json!({"username": "a", "password": "b"});
    refuse(both);
    // Kept for the day the signature is static again.
    assert!(parse(json!({"header_name": "X-Key", "header_value": "v"})).static_header.is_none());
}

proptest! {
    #[test]
    fn header_values_are_printable_or_refused(value: String) {
        let accepted = Options::parse(&json!({"headers": {"X-A": value}})).is_ok();
        let printable = value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && value.trim() == value;
        prop_assert_eq!(accepted, printable);
    }

    #[test]
    fn any_interval_text_is_read_or_refused(text in "\\PC{0,20}|[0-9:. dhmspPTw]{0,12}") {
        if let Ok(options) = Options::parse(&json!({"retry_schedule": [text]})) {
            prop_assert!(options.retry_schedule[0] <= Duration::from_secs(30 * 86_400));
        }
    }

    #[test]
    fn seconds_and_text_agree(seconds in 0_u32..2_592_000) {
        let (days, clock) = (seconds / 86_400, seconds % 86_400);
        let postgres = format!("{days} days {:02}:{:02}:{:02}", clock / 3600, clock / 60 % 60, clock % 60);
        let options = parse(json!({"retry_schedule": [seconds, format!("{seconds} s"), postgres]}));
        prop_assert_eq!(options.retry_schedule, [Duration::from_secs(seconds.into()); 3]);
    }
}
