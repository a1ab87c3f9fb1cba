//! The decision at connect.

use std::{borrow::Cow, error::Error, fmt, net::IpAddr};

use super::{Allow, address::classify};

/// What an operator lets the relay call, beyond the public internet over https. The default adds nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// `--allow-target`: these may be called whatever their address, port and scheme.
    pub allow: Vec<Allow>,
    /// `--allow-http`: plain http to any public address.
    pub allow_http: bool,
}

impl Policy {
    /// Whether the address that a host resolved to may be connected to. Ask for every address and every
    /// attempt, and connect to that address alone.
    ///
    /// # Errors
    /// [`Blocked`] with the reason.
    pub fn check(&self, scheme: &str, host: &str, port: u16, ip: IpAddr) -> Result<(), Blocked> {
        let address = classify(ip);
        let by_name = !matches!(address, Some(Reason::Metadata | Reason::Multicast | Reason::Unspecified));
        if self
            .allow
            .iter()
            .any(|allow| allow.matches_ip(ip, port) || (by_name && allow.matches_host(host, port)))
        {
            return Ok(());
        }
        let reason = address
            .or((port < 1024 && port != 80 && port != 443).then_some(Reason::Port))
            .or((scheme != "https" && !self.allow_http).then_some(Reason::PlainHttp));
        match reason {
            Some(reason) => Err(Blocked { reason, host: host.to_owned(), port, ip }),
            None => Ok(()),
        }
    }
}

/// Why a target may not be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// This machine.
    Loopback,
    /// A private network.
    Private,
    /// The link, `169.254.0.0/16` and `fe80::/10`.
    LinkLocal,
    /// A cloud's metadata service, which hands out credentials. No host name opens it, only its address.
    Metadata,
    /// Many receivers.
    Multicast,
    /// `0.0.0.0` and `::`, this machine on many systems.
    Unspecified,
    /// Documentation, benchmarks, tunnels and all that is not assigned.
    Reserved,
    /// A port below 1024 other than 80 and 443.
    Port,
    /// http where only https may be used.
    PlainHttp,
}

impl Reason {
    /// A word for logs, metrics and tables.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link_local",
            Self::Metadata => "metadata",
            Self::Multicast => "multicast",
            Self::Unspecified => "unspecified",
            Self::Reserved => "reserved",
            Self::Port => "port",
            Self::PlainHttp => "plain_http",
        }
    }
}

/// A target that may not be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Why.
    pub reason: Reason,
    /// The host of the URL.
    pub host: String,
    /// The port of the URL.
    pub port: u16,
    /// The address the host resolved to.
    pub ip: IpAddr,
}

impl Blocked {
    /// What to do about it.
    pub fn hint(&self) -> String {
        let (host, Self { port, ip, .. }) = (self.bracketed(), self);
        match self.reason {
            Reason::PlainHttp => {
                format!("Use https, or start the relay with --allow-target {host}:{port} or --allow-http.")
            }
            Reason::Metadata | Reason::Multicast | Reason::Unspecified => {
                format!("If this is meant, start the relay with --allow-target {ip}.")
            }
            _ => format!("If this is meant, start the relay with --allow-target {host}:{port}."),
        }
    }

    /// The host so that a port can follow: bare, an IPv6 address would swallow it.
    fn bracketed(&self) -> Cow<'_, str> {
        match self.host.contains(':') && !self.host.starts_with('[') {
            true => Cow::Owned(format!("[{}]", self.host)),
            false => Cow::Borrowed(&self.host),
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, Self { reason, port, ip, .. }) = (self.bracketed(), self);
        match reason {
            Reason::PlainHttp => write!(f, "plain http to {host}:{port} is not allowed"),
            Reason::Port => write!(f, "port {port} of {host} is not allowed"),
            _ => write!(f, "{host}:{port} is at {ip}, which is not allowed ({})", reason.code()),
        }
    }
}

impl Error for Blocked {}
