use proptest::prelude::*;
use serde_json::{Value, json};
use webhook_wire::{
    body::{EventRef, write},
    options::Options,
    request::{Endpoint, Request, USER_AGENT, names_a_secret, redacted, render},
    secret::Secret,
    signature::{Scheme, hex_hmac, standard, verify},
    target::CheckedUrl,
};

const DELIVERY: &str = "del_01h455vb4pex5vsknk084sn02q";
const TIME: i64 = 1_767_323_045;
const EVENT: EventRef<'_> = EventRef {
    id: "evt_01h455vb4pex5vsknk084sn02q",
    kind: "user.created",
    created_at_ms: 1_767_323_045_678,
    data: br#"{"name":"Jane"}"#,
    previous: None,
    key: Some("a \"é\" 100%"),
    source: None,
};

fn endpoint(url: &str, options: Value, secrets: &[&str]) -> Endpoint {
    Endpoint {
        id: "wh_01h455vb4pex5vsknk084sn02q".to_owned(),
        url: CheckedUrl::parse(url).expect("a URL"),
        options: Options::parse(&options).expect("options"),
        secrets: secrets.iter().map(|&text| Secret::new(text).expect("a secret")).collect(),
    }
}

fn request(options: Value, secrets: &[&str]) -> (Request, Vec<u8>) {
    let endpoint = endpoint("https://example.com/hook", options, secrets);
    let body = write(endpoint.options.format, &EVENT).expect("JSON");
    (render(&endpoint, &EVENT, DELIVERY, &body, TIME), body)
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let mut found = request.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    let value = found.next().map(|(_, value)| value.as_str());
    assert!(found.next().is_none(), "{name} twice");
    value
}

#[test]
fn the_default_request() {
    let (request, body) = request(json!({}), &["your_webhook_secret"]);
    assert_eq!((request.method, request.url.as_str()), ("POST", "https://example.com/hook"));
    let digest = hex_hmac(b"your_webhook_secret", &body);
    let expected = [
        ("Content-Type", "application/json"),
        ("User-Agent", USER_AGENT),
        ("X-Webhook-Id", "wh_01h455vb4pex5vsknk084sn02q"),
        ("X-Webhook-Event", "user.created"),
        ("X-Webhook-Delivery", DELIVERY),
        ("webhook-id", EVENT.id),
        ("webhook-timestamp", "1767323045"),
        ("X-Webhook-Signature", &format!("sha256={digest}")),
    ];
    let headers: Vec<_> =
        request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(headers, expected);
    assert!(USER_AGENT.starts_with("pg_webhook/"));
}

#[test]
fn signatures_by_scheme() {
    let own = "your_webhook_secret";
    let newest = Secret::generate([1; 32]);
    let older = Secret::generate([2; 32]);
    let both = [newest.expose(), older.expose()];
    let cases: [(&str, &[&str], bool, usize); 9] = [
        ("sha256", &[own], true, 0),
        ("sha256", &both, true, 2),
        ("sha256", &[both[0], own, both[1]], true, 2),
        ("hex", &[own], true, 0),
        ("hex", &both[..1], true, 1),
        ("standard", &both, false, 2),
        ("standard", &[own], false, 1), // never unsigned
        ("none", &both, false, 0),
        ("sha256", &[], false, 0),
    ];
    for (option, secrets, plain, count) in cases {
        let (request, body) = request(json!({"signature": option}), secrets);
        let signature = header(&request, "X-Webhook-Signature");
        assert_eq!(signature.is_some(), plain, "{option}");
        if let Some(signature) = signature {
            let scheme = Scheme::parse(option).expect("a scheme");
            assert_eq!(verify(&body, signature, secrets[0], scheme), Ok(true));
        }
        let list = header(&request, "webhook-signature");
        assert_eq!(list.map_or(0, |list| list.split(' ').count()), count, "{option}");
    }
    let (request, body) = request(json!({"signature": "standard"}), &both);
    let expected = [&newest, &older]
        .map(|secret| standard(secret.standard_key().expect("a key"), EVENT.id, TIME, &body))
        .map(|signature| signature.expect("a signature"));
    assert_eq!(header(&request, "webhook-signature"), Some(expected.join(" ").as_str()));
}

#[test]
fn a_private_key_signs_v1a_and_the_plain_header_is_as_before() {
    // RFC 8032, 7.1, TEST 1.
    let private = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
    let newest = Secret::new(private).expect("a secret");
    let older = Secret::generate([2; 32]);
    for (option, plain) in [("sha256", true), ("hex", true), ("standard", false)] {
        let (request, body) =
            request(json!({"signature": option}), &[private, "your_webhook_secret", older.expose()]);
        let signature = header(&request, "X-Webhook-Signature");
        let digest = plain.then(|| hex_hmac(private.as_bytes(), &body));
        assert_eq!(signature.map(|text| text.trim_start_matches("sha256=").to_owned()), digest);
        let list: Vec<_> = header(&request, "webhook-signature").expect("a signature").split(' ').collect();
        let signed = |secret: &Secret| standard(secret.standard_key().expect("a key"), EVENT.id, TIME, &body);
        assert!(list[0].starts_with("v1a,"), "{list:?}");
        assert_eq!(Some(list[0].to_owned()), signed(&newest));
        assert_eq!(list.last().map(|&last| last.to_owned()), signed(&older));
        // A secret without a key signs where nothing else would, and only there.
        assert_eq!(list.len(), if plain { 2 } else { 3 });
        let shown = redacted(&request);
        let masked = ["v1a,[redacted] v1,[redacted]", "v1a,[redacted] v1,[redacted] v1,[redacted]"];
        assert!(shown.contains(&("webhook-signature".to_owned(), masked[list.len() - 2].to_owned())));
    }
}

#[test]
fn static_and_basic_authentication() {
    let (request, _) = request(
        json!({"signature": "static", "header_name": "X-Airstack", "header_value": "v4lue",
               "auth": {"username": "Aladdin", "password": "open sesame"}}),
        &["your_webhook_secret"],
    );
    assert_eq!(header(&request, "X-Airstack"), Some("v4lue"));
    assert_eq!(header(&request, "Authorization"), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
    assert_eq!(header(&request, "webhook-signature"), None);
    let shown = redacted(&request);
    assert!(shown.contains(&("X-Airstack".to_owned(), "[redacted]".to_owned())));
    assert!(shown.contains(&("Authorization".to_owned(), "[redacted]".to_owned())));
}

#[test]
fn own_headers_win_where_they_may() {
    let (request, _) = request(
        json!({"method": "PATCH", "headers": {"content-TYPE": "application/vnd.x+json", "user-agent": "acme", "X-A": "b"}}),
        &[],
    );
    assert_eq!(request.method, "PATCH");
    assert_eq!(header(&request, "Content-Type"), Some("application/vnd.x+json"));
    assert_eq!(header(&request, "User-Agent"), Some("acme"));
    assert_eq!(header(&request, "X-A"), Some("b"));
}

#[test]
fn parameters_are_appended_and_encoded() {
    let cases = [
        ("https://example.com", json!({"a": "b"}), "https://example.com/?a=b"),
        (
            "https://example.com/x?y=%41+z",
            json!({"a b": "c&d=é/?#+"}),
            "https://example.com/x?y=%41+z&a%20b=c%26d%3D%C3%A9%2F%3F%23%2B",
        ),
        ("https://example.com/x?", json!({"n": 5, "t": true}), "https://example.com/x?n=5&t=true"),
        ("https://example.com/x?y", json!({}), "https://example.com/x?y"),
    ];
    for (url, params, expected) in cases {
        let endpoint = endpoint(url, json!({"params": params}), &[]);
        assert_eq!(render(&endpoint, &EVENT, DELIVERY, b"{}", TIME).url, expected);
    }
}

#[test]
fn cloud_events() {
    let (structured, _) = request(json!({"format": "cloudevents"}), &[]);
    assert_eq!(header(&structured, "Content-Type"), Some("application/cloudevents+json"));
    assert_eq!(header(&structured, "ce-id"), None);
    let (binary, body) = request(json!({"format": "cloudevents_binary"}), &[]);
    assert_eq!(body, br#"{"name":"Jane"}"#);
    let expected = [
        ("Content-Type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", EVENT.id),
        ("ce-source", "pg_webhook"),
        ("ce-type", "user.created"),
        ("ce-time", "2026-01-02T03:04:05.678Z"),
        ("ce-partitionkey", "a%20%22%C3%A9%22%20100%25"),
    ];
    for (name, value) in expected {
        assert_eq!(header(&binary, name), Some(value));
    }
    assert!(
        redacted(&binary).contains(&("ce-partitionkey".to_owned(), "a%20%22%C3%A9%22%20100%25".to_owned()))
    );
}

#[test]
fn nothing_secret_is_shown() {
    let secret = Secret::generate([9; 32]);
    let endpoint = endpoint(
        "https://example.com/hook?token=canary",
        json!({"headers": {"Authorization": "Bearer canary", "X-Auth-Thing": "canary", "x-api-KEY": "canary",
                           "Cookie": "canary", "X-Team": "billing", "My-Secret": "canary", "GitLab-Token": "canary"},
               "params": {"api_key": "canary"}}),
        &[secret.expose(), secret.expose()],
    );
    let request = render(&endpoint, &EVENT, DELIVERY, b"{}", TIME);
    let shown = redacted(&request);
    let find = |name: &str| shown.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
    assert_eq!(find("X-Webhook-Signature"), Some("sha256=[redacted]"));
    assert_eq!(find("webhook-signature"), Some("v1,[redacted] v1,[redacted]"));
    assert_eq!(find("X-Team"), Some("billing"));
    assert_eq!(find("webhook-id"), Some(EVENT.id));
    let names =
        |headers: &[(String, String)]| headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&shown), names(&request.headers));
    let debug = format!("{shown:?} {request:?} {endpoint:?}");
    assert!(!debug.contains("canary"), "{debug}");
    assert!(!debug.contains(&secret.expose()[6..]), "{debug}");
    assert!(debug.contains("https://example.com/hook"));
}

proptest! {
    #[test]
    fn headers_are_single_lines_whatever_the_key(key: String, source: String, value: String) {
        let event = EventRef { key: Some(&key), source: Some(&source), ..EVENT };
        let endpoint = endpoint("https://example.com", json!({"format": "cloudevents_binary", "params": {"p": value}}), &[]);
        let request = render(&endpoint, &event, DELIVERY, b"{}", TIME);
        for (_, value) in &request.headers {
            prop_assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{}", value);
        }
        prop_assert!(CheckedUrl::parse(&request.url).is_ok_and(|url| url.as_str() == request.url));
    }
}

#[test]
fn names_tell_secrets() {
    for name in
        ["Authorization", "X-Api-Key", "X-Passphrase", "passwd", "X-Session-Id", "Credentials", "X-Bearer"]
    {
        assert!(names_a_secret(name), "{name}");
    }
    for name in
        ["X-Team", "X-Custom", "Accept-Language", "Content-Type", "webhook-id", "ce-partitionkey", "page"]
    {
        assert!(!names_a_secret(name), "{name}");
    }
}
