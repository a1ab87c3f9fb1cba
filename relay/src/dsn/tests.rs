//! What URLs mean, and which are refused.

use super::*;

fn servers_of(text: &str) -> Vec<(String, u16)> {
    let dsn = Dsn::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    dsn.servers().into_iter().map(|server| (server.host, server.port)).collect()
}

#[test]
fn servers_and_ports() {
    for (text, expected) in [
        ("postgresql://db/app", &[("db", 5432)][..]),
        ("postgres://u:p@db:6000/app?sslmode=disable", &[("db", 6000)]),
        ("postgresql://u@[::1]:6000/app", &[("::1", 6000)]),
        ("postgresql://u@a:1,b,[2001:db8::1]:3/app", &[("a", 1), ("b", 5432), ("2001:db8::1", 3)]),
        ("postgresql://%2Fvar%2Frun/app", &[("/var/run", 5432)]),
        ("postgresql:///app?host=/var/run&port=6000", &[("/var/run", 6000)]),
        ("postgresql://u:p%40%2F@db", &[("db", 5432)]),
        ("host=a,b port=6000", &[("a", 6000), ("b", 6000)]),
        ("host=a,b port=1,", &[("a", 1), ("b", 5432)]),
        ("host = 'a' port='6000' dbname=it\\'s", &[("a", 6000)]),
    ] {
        let expected: Vec<_> = expected.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect();
        assert_eq!(servers_of(text), expected, "{text}");
    }
}

#[test]
fn the_rest_reaches_the_driver() {
    for text in [
        "postgresql://us%65r:p%40ss%20'\\@db/app?connect_timeout=7&options=-c%20a%3Db",
        r"host=db user=user password='p@ss \'\\' dbname=app connect_timeout=7 options='-c a=b'",
    ] {
        let dsn = Dsn::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let config = dsn.config(&dsn.servers()[0]);
        assert_eq!(config.get_user(), Some("user"));
        assert_eq!(config.get_password(), Some(&b"p@ss '\\"[..]));
        assert_eq!((config.get_dbname(), config.get_options()), (Some("app"), Some("-c a=b")));
        assert_eq!(dsn.connect_timeout(), Some(Duration::from_secs(7)));
    }
}

#[test]
fn an_address_is_dialled_and_the_name_is_for_the_certificate() {
    let dsn = Dsn::parse("host=db,c hostaddr=127.0.0.1,::1").unwrap();
    let config = dsn.config(&dsn.servers()[1]);
    assert_eq!(config.get_hosts(), [tokio_postgres::config::Host::Tcp("c".to_owned())]);
    assert_eq!(config.get_hostaddrs(), ["::1".parse::<IpAddr>().unwrap()]);
    let dsn = Dsn::parse("hostaddr=127.0.0.1").unwrap();
    let config = dsn.config(&dsn.servers()[0]);
    assert_eq!(config.get_hosts(), [tokio_postgres::config::Host::Tcp("127.0.0.1".to_owned())]);
}

#[test]
fn how_much_tls() {
    let file = || Some("ca.pem".to_owned());
    let system = || Some("system".to_owned());
    for (mode, root, expected) in [
        (None, None, Some((Mode::Prefer, None))),
        (Some("disable"), None, Some((Mode::Disable, None))),
        (Some("allow"), None, Some((Mode::Allow, None))),
        (Some("prefer"), file(), Some((Mode::Prefer, Some(Root::File("ca.pem".into()))))),
        (Some("require"), None, Some((Mode::Require, None))),
        (Some("require"), file(), Some((Mode::VerifyCa, Some(Root::File("ca.pem".into()))))),
        (Some("verify-ca"), file(), Some((Mode::VerifyCa, Some(Root::File("ca.pem".into()))))),
        (Some("verify-full"), file(), Some((Mode::VerifyFull, Some(Root::File("ca.pem".into()))))),
        (Some("verify-full"), system(), Some((Mode::VerifyFull, Some(Root::System)))),
        (None, system(), Some((Mode::VerifyFull, Some(Root::System)))),
        (Some("verify-ca"), None, None),
        (Some("verify-full"), None, None),
        (Some("require"), system(), None),
        (Some("verify-ca"), system(), None),
        (Some("Require"), None, None),
    ] {
        assert_eq!(tls::wish(mode, root).ok(), expected, "{mode:?}");
    }
}

#[test]
fn which_server() {
    for (text, expected) in [
        ("host=a", Wanted::Any),
        ("host=a,b", Wanted::ReadWrite),
        ("host=a,b target_session_attrs=any", Wanted::Any),
        ("postgresql://a,b/app?target_session_attrs=primary", Wanted::Primary),
        ("postgresql://a/app?target_session_attrs=read-write&load_balance_hosts=random", Wanted::ReadWrite),
    ] {
        assert_eq!(Dsn::parse(text).unwrap().wanted, expected, "{text}");
    }
}

#[test]
fn a_random_order_has_every_server() {
    let dsn = Dsn::parse("host=a,b,c,d load_balance_hosts=random").unwrap();
    let mut orders = std::collections::HashSet::new();
    // One order a thousand times is not chance.
    for _ in 0..1000 {
        let order: Vec<_> = dsn.servers().into_iter().map(|server| server.host).collect();
        orders.insert(order.concat());
        let mut sorted = order;
        sorted.sort();
        assert_eq!(sorted, ["a", "b", "c", "d"]);
    }
    assert!(orders.len() > 1);
}

#[test]
fn what_cannot_be_used_is_named_without_its_value() {
    for (text, named) in [
        ("", "names no host"),
        ("s3cret", "no value"),
        ("postgresql://u:s3cret@[", "bracket"),
        ("postgresql://u:s3cret@db/app?x", "no value"),
        ("postgresql://u:s3cret@db:s3cret", "port"),
        ("postgresql://u:s3cret@a,,b", "empty"),
        ("host=a password='s3cret", "quote"),
        ("host=a,b port=1,2,3", "one port"),
        ("host=a,b hostaddr=127.0.0.1", "as many"),
        ("host=a hostaddr=s3cret", "hostaddr"),
        ("host=a passwort=s3cret", "passwort"),
        ("host=a connect_timeout=s3cret", "connect_timeout"),
        ("host=a target_session_attrs=standby", "target_session_attrs"),
        ("host=a load_balance_hosts=s3cret", "load_balance_hosts"),
        ("host=a sslmode=s3cret", "sslmode"),
        ("host=a sslmode=verify-full", "sslrootcert"),
        ("host=a sslmode=verify-full sslrootcert=/nowhere/ca.pem", "/nowhere/ca.pem"),
        ("host=a sslcert=/nowhere/me.pem", "/nowhere/me.pem"),
        ("host=a sslkey=/nowhere/me.pem", "sslcert"),
        ("postgresql://u:%ff@a", "UTF-8"),
    ] {
        let error = Dsn::parse(text).expect_err(text).to_string();
        assert!(error.contains(named), "{text}: {error}");
        assert!(!error.contains("s3cret"), "{text}: {error}");
    }
}

#[test]
fn a_password_is_not_in_debug_output() {
    let dsn = Dsn::parse("postgresql://u:s3cret@db/app").unwrap();
    assert!(!format!("{dsn:?}").contains("s3cret"));
}
