//! What `--allow-target` opens.

use std::{
    error::Error,
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use ipnet::IpNet;
use url::Host;

use crate::text::excerpt;

/// One entry: a network or a host name, on one port or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    target: Target,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Network(IpNet),
    /// In lower case, without a trailing dot.
    Name(String),
    /// `.corp.example`: everything below.
    Below(String),
}

impl Allow {
    /// Reads `10.0.0.0/8`, `10.0.0.5:8080`, `[fd00::/8]:8080`, `localhost`, `internal.example:9000` or
    /// `*.corp.example` (which does not include `corp.example` itself).
    ///
    /// # Errors
    /// [`AllowError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, AllowError> {
        Self::read(text).ok_or_else(|| AllowError(excerpt(text)))
    }

    fn read(text: &str) -> Option<Self> {
        // A bare IPv6 address or network is all colons, so it is tried before a port is split off.
        if let Some(network) = network(text) {
            return Some(Self { target: Target::Network(network), port: None });
        }
        let (target, port) = match text.rsplit_once(':') {
            Some((target, port)) => (target, Some(port.parse().ok().filter(|&port| port != 0)?)),
            None => (text, None),
        };
        let inner = target.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let target = match (inner, network(inner.unwrap_or(target))) {
            (_, Some(network)) => Target::Network(network),
            (Some(_), None) => return None,
            (None, None) => match target.strip_prefix("*.") {
                Some(parent) => Target::Below(format!(".{}", name(parent)?)),
                None => Target::Name(name(target)?),
            },
        };
        Some(Self { target, port })
    }

    /// Whether the address itself is opened. An IPv4 address mapped into IPv6 is that IPv4 address.
    pub(super) fn matches_ip(&self, ip: IpAddr, port: u16) -> bool {
        match &self.target {
            Target::Network(network) => self.matches_port(port) && network.contains(&ip.to_canonical()),
            Target::Name(_) | Target::Below(_) => false,
        }
    }

    /// Whether the host is opened by its name.
    pub(super) fn matches_host(&self, host: &str, port: u16) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        self.matches_port(port)
            && match &self.target {
                Target::Network(_) => false,
                Target::Name(name) => host.eq_ignore_ascii_case(name),
                Target::Below(suffix) => {
                    host.len() > suffix.len()
                        && host
                            .get(host.len() - suffix.len()..)
                            .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
                }
            }
    }

    fn matches_port(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }
}

impl FromStr for Allow {
    type Err = AllowError;

    fn from_str(text: &str) -> Result<Self, AllowError> {
        Self::parse(text)
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.target, self.port) {
            (Target::Network(IpNet::V6(network)), Some(_)) => write!(f, "[{network}]")?,
            (Target::Network(network), _) => network.fmt(f)?,
            (Target::Name(name), _) => f.write_str(name)?,
            (Target::Below(suffix), _) => write!(f, "*{suffix}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A network, or an address as a network of one; mapped IPv4 as IPv4.
fn network(text: &str) -> Option<IpNet> {
    let network = match text.parse::<IpAddr>() {
        Ok(ip) => IpNet::from(ip.to_canonical()),
        Err(_) => text.parse::<IpNet>().ok()?.trunc(),
    };
    let mapped = |ip: Ipv6Addr| ip.to_ipv4_mapped().is_some();
    // `::ffff:0:0/96` would never be asked for; `contains` sees canonical addresses only.
    (!matches!(network, IpNet::V6(network) if mapped(network.addr()))).then_some(network)
}

/// A host name in the form that URLs have.
fn name(text: &str) -> Option<String> {
    match Host::parse(text).ok()? {
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(&name);
            let valid = |part: &str| !part.is_empty() && !part.contains('*');
            (name.len() <= 253 && name.split('.').all(valid)).then(|| name.to_owned())
        }
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

/// A text that opens nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowError(String);

impl AllowError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        "Give a network (10.0.0.0/8), an address (10.0.0.5:8080, [fd00::1]:8080), a host (localhost, \
         internal.example:9000) or *.corp.example; 0.0.0.0/0 and ::/0 open every address."
            .to_owned()
    }
}

impl fmt::Display for AllowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is no target that could be allowed", self.0)
    }
}

impl Error for AllowError {}
