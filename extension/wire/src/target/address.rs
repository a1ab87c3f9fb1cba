//! What kind of address an IP address is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Reason;

/// Why nobody's webhook can live at this address; `None` for a public one.
///
/// An allow-list: IPv4 without the IANA special-purpose registry, and of IPv6 only the global unicast space
/// without its special parts.
pub(super) fn classify(ip: IpAddr) -> Option<Reason> {
    match ip {
        IpAddr::V4(ip) => classify_v4(ip),
        IpAddr::V6(ip) => classify_v6(ip),
    }
}

fn classify_v4(ip: Ipv4Addr) -> Option<Reason> {
    match ip.octets() {
        [0, 0, 0, 0] => Some(Reason::Unspecified),
        [127, ..] => Some(Reason::Loopback),
        // The metadata services of the clouds (AWS and many others; ECS; EKS; Alibaba; Azure).
        [169, 254, 169, 254] | [169, 254, 170, 2 | 23] | [100, 100, 100, 200] | [168, 63, 129, 16] => {
            Some(Reason::Metadata)
        }
        [169, 254, ..] => Some(Reason::LinkLocal),
        // RFC 1918, and RFC 6598 for carriers.
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Some(Reason::Private),
        [224..=239, ..] => Some(Reason::Multicast),
        // This network and class E with the broadcast address; protocol assignments; documentation (three);
        // 6to4 relays; AMT; AS112 (two); benchmarks.
        [0 | 240..=255, ..]
        | [192, 0, 0 | 2, _]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [192, 88, 99, _]
        | [192, 52, 193, _]
        | [192, 31, 196, _]
        | [192, 175, 48, _]
        | [198, 18 | 19, ..] => Some(Reason::Reserved),
        _ => None,
    }
}

fn classify_v6(ip: Ipv6Addr) -> Option<Reason> {
    let segments = ip.segments();
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(Reason::Unspecified),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Reason::Loopback),
        // Mapped (::ffff:0:0/96) and NAT64 (64:ff9b::/96) are the IPv4 address they hold.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            classify_v4(embedded(high, low))
        }
        // 6to4 and the IPv4-compatible form (::/96) are dead, so a public address in them is no better.
        [0x2002, high, low, ..] | [0, 0, 0, 0, 0, 0, high, low] => {
            classify_v4(embedded(high, low)).or(Some(Reason::Reserved))
        }
        // The metadata services of AWS (two) and Google on IPv6.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x23] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => {
            Some(Reason::Metadata)
        }
        // Unique local, and site-local, its forerunner.
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Some(Reason::Private),
        [0xfe80..=0xfebf, ..] => Some(Reason::LinkLocal),
        [0xff00..=0xffff, ..] => Some(Reason::Multicast),
        // Protocol assignments with Teredo (2001::/23), documentation (two), AS112.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] | [0x2620, 0x4f, 0x8000, ..] => {
            Some(Reason::Reserved)
        }
        [0x2000..=0x3fff, ..] => None,
        _ => Some(Reason::Reserved),
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}
