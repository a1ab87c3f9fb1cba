//! Addresses against a second table, written as CIDR blocks from the IANA registries and not from the code.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use ipnet::IpNet;
use proptest::prelude::*;
use webhook_wire::target::{Policy, Reason};

/// IANA IPv4 Special-Purpose Address Registry, multicast, class E, and metadata services outside of them.
const V4: [&str; 22] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "168.63.129.16/32",
    "100.100.100.200/32",
    "169.254.169.254/32",
];
/// Inside the global unicast space.
const V6: [&str; 5] = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "2620:4f:8000::/48"];

/// Embedded IPv4: mapped and NAT64.
const EMBEDDED: [&str; 2] = ["::ffff:0:0/96", "64:ff9b::/96"];

type Blocks = LazyLock<Vec<IpNet>>;

fn parse(blocks: &[&str]) -> Vec<IpNet> {
    blocks.iter().map(|block| block.parse().expect("a block")).collect()
}

fn within(blocks: &Blocks, ip: IpAddr) -> bool {
    blocks.iter().any(|block| block.contains(&ip))
}

/// Whether the second table refuses the address.
fn refused(ip: IpAddr) -> bool {
    static SPECIAL_V4: Blocks = LazyLock::new(|| parse(&V4));
    static SPECIAL_V6: Blocks = LazyLock::new(|| parse(&V6));
    static GLOBAL_V6: Blocks = LazyLock::new(|| parse(&["2000::/3"]));
    static OF_V4: Blocks = LazyLock::new(|| parse(&EMBEDDED));
    match ip {
        IpAddr::V4(_) => within(&SPECIAL_V4, ip),
        IpAddr::V6(v6) if within(&OF_V4, ip) => {
            within(&SPECIAL_V4, Ipv4Addr::from_bits(v6.to_bits() as u32).into())
        }
        IpAddr::V6(_) => !within(&GLOBAL_V6, ip) || within(&SPECIAL_V6, ip),
    }
}

fn reason(ip: impl Into<IpAddr>) -> Option<Reason> {
    Policy::default().check("https", "h.example", 443, ip.into()).err().map(|blocked| blocked.reason)
}

#[test]
fn kinds_of_addresses() {
    let cases = [
        ("127.0.0.1", "loopback"),
        ("127.255.255.255", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::127.0.0.1", "loopback"),
        ("64:ff9b::7f00:1", "loopback"),
        ("2002:7f00:1::", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("::ffff:0.0.0.0", "unspecified"),
        ("0.1.2.3", "reserved"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "private"),
        ("100.127.255.255", "private"),
        ("fc00::1", "private"),
        ("fdff::1", "private"),
        ("fec0::1", "private"),
        ("::ffff:10.0.0.1", "private"),
        ("2002:a00:1::", "private"),
        ("64:ff9b::c0a8:1", "private"),
        ("169.254.1.1", "link_local"),
        ("fe80::1", "link_local"),
        ("febf::1", "link_local"),
        ("169.254.169.254", "metadata"),
        ("169.254.170.2", "metadata"),
        ("168.63.129.16", "metadata"),
        ("100.100.100.200", "metadata"),
        ("fd00:ec2::254", "metadata"),
        ("fd20:ce::254", "metadata"),
        ("64:ff9b::a9fe:a9fe", "metadata"),
        ("::ffff:169.254.169.254", "metadata"),
        ("2002:a9fe:a9fe::", "metadata"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("ff02::1", "multicast"),
        ("192.0.0.1", "reserved"),
        ("198.18.0.1", "reserved"),
        ("198.19.255.255", "reserved"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("192.88.99.1", "reserved"),
        ("2001::1", "reserved"),
        ("2001:1ff::", "reserved"),
        ("2001:db8::1", "reserved"),
        ("2002:808:808::", "reserved"),
        ("3fff::1", "reserved"),
        ("100::1", "reserved"),
        ("5f00::1", "reserved"),
        ("64:ff9b:1::1", "reserved"),
        ("::8.8.8.8", "reserved"),
        ("4000::1", "reserved"),
    ];
    for (ip, code) in cases {
        let ip: IpAddr = ip.parse().expect(ip);
        assert_eq!(reason(ip).map(Reason::code), Some(code), "{ip}");
        assert!(refused(ip), "{ip}");
    }
    let public = [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700::1111",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2003::1",
        "3ffe::1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
    ];
    for ip in public {
        let ip: IpAddr = ip.parse().expect(ip);
        assert_eq!(reason(ip), None, "{ip}");
        assert!(!refused(ip), "{ip}");
    }
}

#[test]
fn both_tables_agree_at_every_border() {
    for block in V4.iter().chain(&V6) {
        let block: IpNet = block.parse().expect("a block");
        let step = |ip: IpAddr, by: i128| match ip {
            IpAddr::V4(ip) => IpAddr::from(Ipv4Addr::from_bits((i128::from(ip.to_bits()) + by) as u32)),
            IpAddr::V6(ip) => IpAddr::from(Ipv6Addr::from_bits(ip.to_bits().wrapping_add_signed(by))),
        };
        let (first, last) = (block.network(), block.broadcast());
        for ip in [first, last, step(first, -1), step(first, 1), step(last, -1), step(last, 1)] {
            assert_eq!(reason(ip).is_some(), refused(ip), "{ip}");
        }
    }
}

#[test]
fn both_tables_agree_on_every_16_bits() {
    for high in 0..=u16::MAX {
        let v4 = Ipv4Addr::from_bits(u32::from(high) << 16 | 0x0105);
        assert_eq!(reason(v4).is_some(), refused(v4.into()), "{v4}");
        for rest in [[0, 0], [0xdb8, 0], [0x1ff, 0xffff], [0x200, 0], [0x4f, 0x8000], [0xffff, 0xffff]] {
            let v6 = Ipv6Addr::new(high, rest[0], rest[1], 0, 0, 0, 0x5db8, 0x0105);
            assert_eq!(reason(v6).is_some(), refused(v6.into()), "{v6}");
        }
    }
}

proptest! {
    #[test]
    fn both_tables_agree(v4: u32, v6: u128, low: u32) {
        let embedded = [0, 0xffff_u128 << 32, 0x64_ff9b_u128 << 96].map(|prefix| prefix | u128::from(low));
        let six_to_four = 0x2002_u128 << 112 | u128::from(low) << 80;
        let global = v6 >> 3 | 1 << 125;
        for bits in embedded.into_iter().chain([v6, six_to_four, global]) {
            let ip = IpAddr::from(Ipv6Addr::from_bits(bits));
            prop_assert_eq!(reason(ip).is_some(), refused(ip), "{}", ip);
        }
        let ip = IpAddr::from(Ipv4Addr::from_bits(v4));
        prop_assert_eq!(reason(ip).is_some(), refused(ip), "{}", ip);
    }

    #[test]
    fn an_embedded_address_is_no_better_than_itself(low: u32) {
        if let Some(own) = reason(Ipv4Addr::from_bits(low)) {
            let mapped = Ipv4Addr::from_bits(low).to_ipv6_mapped();
            let nat64 = Ipv6Addr::from_bits(0x64_ff9b_u128 << 96 | u128::from(low));
            let six_to_four = Ipv6Addr::from_bits(0x2002_u128 << 112 | u128::from(low) << 80);
            for ip in [mapped, nat64, six_to_four] {
                prop_assert_eq!(reason(ip), Some(own), "{}", ip);
            }
        }
    }
}
