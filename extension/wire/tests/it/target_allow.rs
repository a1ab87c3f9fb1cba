use std::net::IpAddr;

use proptest::prelude::*;
use webhook_wire::target::{Allow, Policy, Reason};

fn check(allow: &[&str], scheme: &str, host: &str, port: u16, ip: &str) -> Option<Reason> {
    let allow =
        allow.iter().map(|text| Allow::parse(text).unwrap_or_else(|error| panic!("{error}"))).collect();
    let ip: IpAddr = ip.parse().expect("an address");
    Policy { allow, allow_http: false }.check(scheme, host, port, ip).err().map(|blocked| blocked.reason)
}

#[test]
fn an_entry_opens_what_it_names_and_no_more() {
    let cases: [(&str, &str, u16, &str, Option<Reason>); 32] = [
        ("10.0.0.0/8", "a.example", 443, "10.1.2.3", None),
        ("10.0.0.0/8", "a.example", 8080, "10.1.2.3", None),
        ("10.0.0.0/8", "a.example", 443, "11.1.2.3", None),
        ("10.0.0.0/8", "a.example", 443, "192.168.0.1", Some(Reason::Private)),
        ("10.0.0.0/8", "a.example", 443, "::ffff:10.0.0.1", None),
        ("10.0.0.0/8", "a.example", 443, "64:ff9b::a00:1", Some(Reason::Private)),
        ("10.0.0.5:8080", "a.example", 8080, "10.0.0.5", None),
        ("10.0.0.5:8080", "a.example", 8081, "10.0.0.5", Some(Reason::Private)),
        ("10.0.0.5:8080", "a.example", 8080, "10.0.0.6", Some(Reason::Private)),
        ("10.0.0.0/8:8080", "a.example", 8080, "10.9.9.9", None),
        ("10.0.0.0/8:8080", "a.example", 443, "10.9.9.9", Some(Reason::Private)),
        ("10.1.2.3/8", "a.example", 443, "10.9.9.9", None),
        ("::1", "a.example", 443, "::1", None),
        ("[::1]:9000", "a.example", 9000, "::1", None),
        ("[::1]:9000", "a.example", 9001, "::1", Some(Reason::Loopback)),
        ("fd00::/8", "a.example", 443, "fd12::1", None),
        ("[fd00::/8]:443", "a.example", 443, "fd12::1", None),
        ("::ffff:127.0.0.1", "a.example", 443, "127.0.0.1", None),
        ("localhost", "localhost", 9000, "127.0.0.1", None),
        ("localhost", "LOCALHOST.", 9000, "::1", None),
        ("localhost", "other", 9000, "127.0.0.1", Some(Reason::Loopback)),
        ("localhost", "127.0.0.1", 9000, "127.0.0.1", Some(Reason::Loopback)),
        ("Internal.Example:9000", "internal.example", 9000, "10.0.0.1", None),
        ("internal.example:9000", "internal.example", 9001, "10.0.0.1", Some(Reason::Private)),
        ("*.corp.example", "a.corp.example", 443, "10.0.0.1", None),
        ("*.corp.example", "a.b.CORP.example.", 443, "10.0.0.1", None),
        ("*.corp.example", "corp.example", 443, "10.0.0.1", Some(Reason::Private)),
        ("*.corp.example", "evilcorp.example", 443, "10.0.0.1", Some(Reason::Private)),
        ("*.corp.example:8443", "a.corp.example", 443, "10.0.0.1", Some(Reason::Private)),
        // Names open no metadata service: whoever can set a name's address could reach it.
        ("*.corp.example", "a.corp.example", 443, "169.254.169.254", Some(Reason::Metadata)),
        ("169.254.169.254", "a.corp.example", 443, "169.254.169.254", None),
        ("bücher.example", "xn--bcher-kva.example", 443, "10.0.0.1", None),
    ];
    for (allow, host, port, ip, expected) in cases {
        assert_eq!(check(&[allow], "https", host, port, ip), expected, "{allow} {host}:{port} {ip}");
        assert_eq!(
            check(&["203.0.113.1", allow], "https", host, port, ip),
            expected,
            "{allow} {host}:{port} {ip}"
        );
    }
}

#[test]
fn plain_http_and_low_ports_need_an_entry() {
    let public = "93.184.215.14";
    assert_eq!(check(&[], "https", "example.com", 443, public), None);
    assert_eq!(check(&[], "https", "example.com", 8443, public), None);
    assert_eq!(check(&[], "http", "example.com", 80, public), Some(Reason::PlainHttp));
    assert_eq!(check(&["example.com"], "http", "example.com", 80, public), None);
    assert_eq!(check(&["93.184.215.0/24"], "http", "example.com", 81, public), None);
    assert_eq!(check(&[], "https", "example.com", 81, public), Some(Reason::Port));
    // The address matters more than how it is called.
    assert_eq!(check(&[], "http", "localhost", 22, "127.0.0.1"), Some(Reason::Loopback));
    let open = Policy { allow_http: true, ..Policy::default() };
    let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
    assert_eq!(open.check("http", "example.com", 80, ip(public)), Ok(()));
    assert!(open.check("http", "localhost", 80, ip("127.0.0.1")).is_err());
}

#[test]
fn refusals_say_what_and_what_to_do() {
    let ip = "10.0.0.7".parse::<IpAddr>().expect("an address");
    let blocked = Policy::default().check("https", "db.internal", 443, ip).expect_err("private");
    assert_eq!(blocked.to_string(), "db.internal:443 is at 10.0.0.7, which is not allowed (private)");
    assert!(blocked.hint().contains("--allow-target db.internal:443"));
    let public = "93.184.215.14".parse::<IpAddr>().expect("an address");
    let blocked = Policy::default().check("http", "example.com", 80, public).expect_err("plain");
    assert_eq!(blocked.to_string(), "plain http to example.com:80 is not allowed");
    let ip = "fd00::7".parse::<IpAddr>().expect("an address");
    let blocked = Policy::default().check("https", "fd00::7", 443, ip).expect_err("private");
    assert_eq!(blocked.to_string(), "[fd00::7]:443 is at fd00::7, which is not allowed (private)");
    let advised = blocked.hint().trim_end_matches('.').rsplit_once(' ').expect("words").1.to_owned();
    assert_eq!(check(&[&advised], "https", "fd00::7", 443, "fd00::7"), None, "{advised}");
    assert_eq!(check(&[&advised], "https", "fd00::7", 444, "fd00::7"), Some(Reason::Private));
}

#[test]
fn what_opens_nothing_is_refused() {
    let refused = [
        "",
        "*",
        "*.",
        "*.*",
        "a.*.b",
        "*corp.example",
        "**.corp.example",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/8/8",
        "10.0.0.5:",
        "10.0.0.5:0",
        "10.0.0.5:65536",
        "localhost:http",
        ":8080",
        "[::1",
        "[localhost]:80",
        "fd00::/129",
        "http://localhost",
        "localhost/path",
        "a b",
        "user@host",
        "127.1",
        "a..b",
        ".example",
        "300.0.0.1",
        "::ffff:0:0/96",
    ];
    for text in refused {
        let error = Allow::parse(text).expect_err(text);
        assert!(error.to_string().contains(text) && error.hint().contains("10.0.0.0/8"));
    }
}

proptest! {
    #[test]
    fn entries_round_trip(ip: IpAddr, port in 1_u16.., bits in 0_u8..=32) {
        let ip = ip.to_canonical();
        let network = match ip {
            IpAddr::V4(_) => format!("{ip}/{bits}"),
            IpAddr::V6(_) => format!("{ip}/{}", u32::from(bits) * 4),
        };
        let bracket = |text: &str| if ip.is_ipv6() { format!("[{text}]") } else { text.to_owned() };
        for text in [ip.to_string(), network.clone(), format!("{}:{port}", bracket(&network))] {
            if let Ok(allow) = Allow::parse(&text) {
                prop_assert_eq!(&Allow::parse(&allow.to_string()), &Ok(allow.clone()), "{}", text);
                let open = Policy { allow: vec![allow], allow_http: false };
                prop_assert_eq!(open.check("http", "h", port, ip), Ok(()));
            } else {
                prop_assert!(ip.is_ipv6());
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text: String, host: String, ip: IpAddr) {
        if let Ok(allow) = Allow::parse(&text) {
            let _ = Policy { allow: vec![allow], allow_http: true }.check("https", &host, 443, ip);
        }
    }
}
