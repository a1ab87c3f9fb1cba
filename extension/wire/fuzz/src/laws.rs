//! The laws. They see `webhook_wire` from outside only, so that its tests can include this file.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde_json::json;
use webhook_wire::{
    body::{self, EventRef, Format},
    event_type::{self, Pattern},
    filter::Filter,
    json::{self, JsonError},
    key::Key,
    retry_after,
    seal::{PrivateKey, PublicKey},
    secret::{Secret, masked},
    signature::{self, Scheme},
    target::{Allow, CheckedUrl, Policy},
};

/// Panics where it does not hold for an input.
pub type Law = fn(&[u8]);

/// Every law by the name of its target.
pub const ALL: [(&str, Law); 7] = [
    ("body", body),
    ("canonical", canonical),
    ("event_type", event_type),
    ("filter", filter),
    ("retry_after", retry_after),
    ("secret", secret),
    ("target", target),
];

/// The text before the first line break and what follows it.
fn two(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = input.iter().position(|byte| *byte == b'\n')?;
    Some((&input[..end], &input[end + 1..]))
}

/// Data, previous, type and key, one a line: what is written is JSON, spelled as it stays, with the data in it.
pub fn body(input: &[u8]) {
    let mut lines = input.splitn(4, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (data, previous) = (line(), line());
    let (kind, key) = (String::from_utf8_lossy(line()), String::from_utf8_lossy(line()));
    let event = EventRef {
        id: "evt_01hf7yat00e0bvrc5ka7r0m3dz",
        kind: &kind,
        created_at_ms: input.len() as i64 * 1_000_003,
        data,
        previous: (!previous.is_empty()).then_some(previous),
        key: Some(&key),
        source: None,
    };
    let mut expected = Vec::new();
    let is_json = json::canonical(data, &mut expected).is_ok();
    for format in Format::ALL {
        let Ok(body) = body::write(format, &event) else {
            assert!(!is_json || !previous.is_empty(), "{format:?} refuses what is JSON");
            continue;
        };
        if format == Format::Empty {
            assert!(body.is_empty());
            continue;
        }
        assert!(is_json, "{format:?} lets pass what is no JSON");
        let mut again = Vec::new();
        match json::canonical(&body, &mut again) {
            Ok(()) => assert_eq!(body, again, "{format:?}"),
            // The envelope is one level more.
            Err(error) => {
                assert_eq!(error, JsonError::TooDeep);
                continue;
            }
        }
        let tree = json::value(&body).expect("just read");
        let data =
            if matches!(format, Format::Data | Format::CloudEventsBinary) { &tree } else { &tree["data"] };
        assert_eq!(data, &json::value(&expected).expect("canonical JSON is JSON"), "{format:?}");
    }
}

/// Any bytes as JSON: what is refused leaves nothing behind, and what is canonical stays as it is.
pub fn canonical(input: &[u8]) {
    let mut once = Vec::new();
    if json::canonical(input, &mut once).is_err() {
        assert!(once.is_empty());
        return;
    }
    let mut twice = Vec::new();
    json::canonical(&once, &mut twice).expect("canonical JSON is JSON");
    assert_eq!(once, twice);
}

/// A pattern and a type, two lines: patterns are read back as they are printed, and match what they say.
pub fn event_type(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (pattern, kind) = text.split_once('\n').unwrap_or((text, text));
    event_type::nearest(pattern, [kind, "user.created", ""].into_iter(), 2);
    let is_type = event_type::check(kind).is_ok();
    if is_type {
        assert!(kind.len() <= 128 && kind.split('.').count() <= 8);
        assert!(Pattern::parse(kind).expect("a type is a pattern").matches(kind));
        assert!(Pattern::Any.matches(kind));
    }
    let Ok(parsed) = Pattern::parse(pattern) else { return };
    assert_eq!(parsed.to_string(), pattern);
    if is_type {
        let expected = match pattern.strip_suffix('*') {
            Some(head) => kind.starts_with(head),
            None => kind == pattern,
        };
        assert_eq!(parsed.matches(kind), expected);
    }
}

/// A filter and data, two lines of JSON: the explanation agrees with the answer, and `$not` turns it round.
pub fn filter(input: &[u8]) {
    let Some((config, data)) = two(input) else { return };
    let (Ok(config), Ok(data)) = (json::value(config), json::value(data)) else { return };
    let Ok(filter) = Filter::parse(&config) else { return };
    let matches = filter.matches(&data);
    assert_eq!(filter.explain(&data).is_none(), matches);
    // One level deeper it may be too deep.
    if let Ok(not) = Filter::parse(&json!({ "$not": config })) {
        assert_eq!(not.matches(&data), !matches);
    }
}

/// A time and a header, two lines: never more than a day, seconds always understood, blanks around it of no account.
pub fn retry_after(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (now, header) = text.split_once('\n').unwrap_or(("784111777", text));
    let now = now.parse().unwrap_or(i64::MIN);
    let wait = retry_after::parse(header, now);
    assert!(wait.is_none_or(|wait| wait <= Duration::from_secs(86_400)));
    assert_eq!(wait, retry_after::parse(&format!("\t {header} "), now));
    if let Ok(seconds) = header.parse::<u32>() {
        let expected = Duration::from_secs(u64::from(seconds.min(86_400)));
        assert_eq!(wait, (!header.starts_with('+')).then_some(expected));
    }
}

/// A secret and a payload, two lines: nothing but [`Secret::expose`] shows it, and what it signs it verifies.
pub fn secret(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (text, payload) = text.split_once('\n').unwrap_or((text, "{}"));
    let _ = Key::parse(text);
    let _ = PublicKey::parse(text);
    if let Ok(key) = PrivateKey::parse(text) {
        assert!(key.open(payload, text).is_err());
    }
    assert!(PrivateKey::generate([7; 32]).open(text, payload).is_err());
    for scheme in [Scheme::Sha256, Scheme::Hex, Scheme::Standard, Scheme::Static] {
        let _ = signature::verify(payload.as_bytes(), payload, text, scheme);
    }
    let secret = match Secret::new(text) {
        Ok(secret) => secret,
        Err(error) => {
            // Shorter ones may be a piece of the sentence.
            assert!(text.len() < 24 || !format!("{error} {error:?} {}", error.hint()).contains(text));
            return;
        }
    };
    assert_eq!(secret.expose(), text);
    assert_eq!(format!("{secret:?}"), "[redacted]");
    assert!(!format!("{:?}", secret.standard_key()).contains(text));
    assert!(!masked(&secret.kind()).contains(text));
    let key = PrivateKey::generate([7; 32]);
    let sealed = key.public().seal(&secret, payload, [8; 32]);
    assert_eq!(key.open(&sealed, payload).map(|opened| opened.expose() == text), Ok(true));
    assert!(key.open(&sealed, &format!("{payload} ")).is_err());
    for scheme in [Scheme::Sha256, Scheme::Hex, Scheme::Standard] {
        let verify = |payload: &str, signature: &str| {
            signature::verify(payload.as_bytes(), signature, text, scheme).expect("the same secret")
        };
        let signed =
            signature::sign(payload.as_bytes(), text, scheme).expect("a secret signs").expect("a signature");
        assert!(verify(payload, &signed));
        assert!(!verify(&format!("{payload} "), &signed));
        assert!(!verify(payload, &signed[1..]));
    }
}

/// An `--allow-target` and a URL, two lines: URLs are read back as they are, an address is judged alike however it is
/// embedded, and opening one thing closes nothing.
pub fn target(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (allow, url) = text.split_once('\n').unwrap_or(("localhost", text));
    let Ok(url) = CheckedUrl::parse(url) else { return };
    assert_eq!(CheckedUrl::parse(url.as_str()).as_ref(), Ok(&url));
    assert!(["http", "https"].contains(&url.scheme()) && !url.host().is_empty() && url.port() != 0);
    assert!(url.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{url:?}");
    let none = Policy::default();
    let judge = |policy: &Policy, ip| policy.check(url.scheme(), url.host(), url.port(), ip).is_ok();
    let addresses: Vec<IpAddr> = match url.ip() {
        Some(ip) => vec![ip],
        None => {
            [[127, 0, 0, 1], [10, 0, 0, 1], [169, 254, 169, 254], [93, 184, 215, 14]].map(IpAddr::from).into()
        }
    };
    for ip in addresses {
        if let IpAddr::V4(v4) = ip {
            for embedded in embeddings(v4) {
                assert!(
                    !judge(&none, embedded.into()) || judge(&none, ip),
                    "{embedded} passes and {ip} does not"
                );
            }
        }
        let Ok(allow) = Allow::parse(allow) else { continue };
        let opened = Policy { allow: vec![allow], allow_http: true };
        assert!(!judge(&none, ip) || judge(&opened, ip), "opening something closed {ip}");
    }
}

/// The addresses of IPv6 that lead to one of IPv4: mapped, compatible, NAT64 and 6to4.
fn embeddings(v4: Ipv4Addr) -> [Ipv6Addr; 4] {
    let [high, low] = [
        u16::from_be_bytes([v4.octets()[0], v4.octets()[1]]),
        u16::from_be_bytes([v4.octets()[2], v4.octets()[3]]),
    ];
    [
        v4.to_ipv6_mapped(),
        Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
    ]
}
