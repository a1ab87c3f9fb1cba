use proptest::prelude::*;
use webhook_wire::target::{CheckedUrl, Url};

#[test]
fn urls_are_normalised() {
    let long_label = format!("https://{}.example/", "a".repeat(63));
    let cases = [
        ("https://example.com", "https://example.com/", "example.com", 443),
        ("HTTPS://EXAMPLE.com:443/A?b=C", "https://example.com/A?b=C", "example.com", 443),
        ("http://example.com:80/", "http://example.com/", "example.com", 80),
        ("http://localhost:9000/hook", "http://localhost:9000/hook", "localhost", 9000),
        ("https://example.com./x", "https://example.com./x", "example.com.", 443),
        (
            "https://bücher.example/ü?ö",
            "https://xn--bcher-kva.example/%C3%BC?%C3%B6",
            "xn--bcher-kva.example",
            443,
        ),
        ("https://ex\u{ad}ample.com/", "https://example.com/", "example.com", 443),
        ("https://example.com/a/../b", "https://example.com/b", "example.com", 443),
        ("https://example.com/a@b", "https://example.com/a@b", "example.com", 443),
        ("https://example.com/?x=a@b", "https://example.com/?x=a@b", "example.com", 443),
        ("https://[2606:4700::1]:8443/", "https://[2606:4700::1]:8443/", "[2606:4700::1]", 8443),
        (&long_label, &long_label, &long_label[8..long_label.len() - 1], 443),
        // Private addresses are the relay's affair; but each has one spelling only.
        ("http://10.0.0.5/", "http://10.0.0.5/", "10.0.0.5", 80),
        ("http://0x7f.1/", "http://127.0.0.1/", "127.0.0.1", 80),
        ("http://2130706433/", "http://127.0.0.1/", "127.0.0.1", 80),
        ("http://0177.0.0.1/", "http://127.0.0.1/", "127.0.0.1", 80),
        ("http://127.1/", "http://127.0.0.1/", "127.0.0.1", 80),
        ("http://127.0.0.1./", "http://127.0.0.1/", "127.0.0.1", 80),
        ("http://１２７.０.０.１/", "http://127.0.0.1/", "127.0.0.1", 80),
        ("http://①②⑦.⓪.⓪.①/", "http://127.0.0.1/", "127.0.0.1", 80),
        ("http://127。0。0。1/", "http://127.0.0.1/", "127.0.0.1", 80),
        ("http://%31%32%37.0.0.1/", "http://127.0.0.1/", "127.0.0.1", 80),
        ("http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "[::ffff:7f00:1]", 80),
    ];
    for (text, normal, host, port) in cases {
        let url = Url::parse(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((url.as_str(), url.host(), url.port()), (normal, host, port), "{text}");
        assert_eq!(url.scheme(), &normal[..normal.find(':').expect("a scheme")]);
        assert_eq!(
            url.ip().is_some(),
            host.starts_with('[') || host.starts_with("127.") || host.starts_with("10.")
        );
        assert_eq!(CheckedUrl::parse(url.as_str()), Ok(url), "parsing again changes nothing");
    }
}

#[test]
fn what_no_client_should_get_is_refused() {
    let long = format!("https://example.com/{}", "a".repeat(2048));
    let long_host = format!("https://{}example.com/", "abcdefg.".repeat(32));
    let cases = [
        ("", "it is not absolute"),
        ("example.com", "it is not absolute"),
        ("/hook", "it is not absolute"),
        ("//example.com/", "it is not absolute"),
        ("ftp://example.com/", "only http and https"),
        ("file:///etc/passwd", "only http and https"),
        ("gopher://example.com:70/_x", "only http and https"),
        ("unix:/var/run/docker.sock", "only http and https"),
        ("javascript:alert(1)", "only http and https"),
        ("localhost:9000", "only http and https"),
        ("http:10.0.0.1", "names no host"),
        ("http:/10.0.0.1", "names no host"),
        ("https:///example.com", "names no host"),
        ("https://", "empty host"),
        ("https://?x", "empty host"),
        ("https://:443/", "empty host"),
        ("https://user@example.com/", "user name or password"),
        ("https://user:pw@example.com/", "user name or password"),
        ("https://@example.com/", "user name or password"),
        ("https://:@example.com/", "user name or password"),
        ("https://example.com%40evil.example@10.0.0.1/", "user name or password"),
        ("https://example.com\\@10.0.0.1/", "character '\\\\'"),
        ("https:\\\\example.com/", "character '\\\\'"),
        ("https://example.com/a b", "character ' '"),
        (" https://example.com/", "character ' '"),
        ("https://example.com/\n", "character '\\n'"),
        ("http://10.0.0.1\t/", "character '\\t'"),
        ("https://exa\r\nmple.com/", "character '\\r'"),
        ("https://example.com/\u{0}", "character '\\0'"),
        ("https://example.com/\u{7f}", "character '\\u{7f}'"),
        ("https://example.com/\u{2003}", "character '\\u{2003}'"),
        ("https://example.com/\u{3000}", "character '\\u{3000}'"),
        ("https://example.com/#top", "a fragment"),
        ("https://example.com/#", "a fragment"),
        ("https://example.com:0/", "port 0"),
        ("https://example.com:22/", "port 22"),
        ("https://example.com:25/", "port 25"),
        ("https://example.com:6667/", "port 6667"),
        ("https://example.com:10080/", "port 10080"),
        ("https://example.com:65536/", "invalid port"),
        ("https://example.com:-1/", "invalid port"),
        ("https://example.com:abc/", "invalid port"),
        ("https://256.0.0.1/", "invalid IPv4 address"),
        ("https://[::1/", "invalid IPv6 address"),
        ("https://[fe80::1%25eth0]/", "invalid IPv6 address"),
        ("https://exa<mple.com/", "invalid international domain name"),
        ("https://xn--/", "invalid international domain name"),
        ("https://./", "names no host"),
        (&long, "longer than 2048"),
        (&long_host, "longer than 253"),
    ];
    for (text, fault) in cases {
        let error = Url::parse(text).expect_err(text);
        assert!(error.to_string().contains(fault), "{text}: {error}");
        assert!(error.to_string().starts_with("invalid URL \"") && !error.hint().is_empty());
    }
}

#[test]
fn errors_and_debug_hide_what_may_be_secret() {
    for text in [
        "https://jane:canary@example.com/",
        "https://example.com:0/?token=canary",
        "https://e.com/#canary",
        "https://jane:can@ary@example.com/",
        "https://jane:canary@",
        "ftp://jane:canary@x/",
        "https:jane:canary@example.com",
    ] {
        let error = Url::parse(text).expect_err(text);
        let shown = format!("{error} {error:?} {}", error.hint());
        assert!(!shown.contains("canary") && !shown.contains("ary@"), "{shown}");
    }
    let url = Url::parse("https://example.com/hook?token=canary").expect("a URL");
    assert_eq!(format!("{url:?} {}", url.redacted()), "https://example.com/hook https://example.com/hook");
}

proptest! {
    #[test]
    fn whatever_is_accepted_is_tame(text in "(https?://)?[\\PC\\t\\n]{0,30}") {
        if let Ok(url) = Url::parse(&text) {
            prop_assert!(url.as_str().is_ascii() && !url.as_str().contains(['\\', ' ', '#']));
            prop_assert!(!url.host().is_empty() && url.host().len() <= 253 && url.port() != 0);
            prop_assert_eq!(Url::parse(url.as_str()), Ok(url));
        }
    }
}
