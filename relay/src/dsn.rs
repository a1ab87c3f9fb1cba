//! The database URL (or key=value pairs), as libpq reads it: what `tokio-postgres` does not know is taken out here.
//!
//! Unlike libpq it reads no environment variables and no files in the home directory, and the relay, which writes,
//! takes the first server of several that can be written to.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use rand::seq::SliceRandom;
use tokio_postgres::Config;

mod parameters;
mod tls;

use parameters::Parameters;
pub use tls::{Encryption, Mode, Root};

/// Where the database is and how to get there.
#[derive(Debug, Clone)]
pub struct Dsn {
    servers: Vec<Server>,
    shuffled: bool,
    /// What the server has to be.
    pub wanted: Wanted,
    /// Whether and how the connection is encrypted.
    pub encryption: Encryption,
    rest: Config,
}

/// One of the servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name, or the folder of its Unix socket.
    pub host: String,
    /// Its address, if it is not to be looked up.
    pub address: Option<IpAddr>,
    /// Its port.
    pub port: u16,
}

/// What a server has to be (`target_session_attrs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Whatever answers.
    Any,
    /// One that sessions can write to.
    ReadWrite,
    /// One that is no standby.
    Primary,
}

/// Why a database URL cannot be used. Holds no values: one of them may be a password.
#[derive(Debug, PartialEq, Eq)]
pub enum DsnError {
    /// Not of the form.
    Form(&'static str),
    /// A parameter's value is not one of those it may have.
    Value {
        /// Which.
        key: &'static str,
        /// What it may be.
        expected: &'static str,
    },
    /// Parameters that do not fit together.
    Combination(&'static str),
    /// What `tokio-postgres` says of the rest.
    Rest(String),
    /// A certificate or key cannot be used.
    Certificate {
        /// The parameter that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for DsnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(why) => write!(f, "not of the form postgresql://user@host:port/database: {why}"),
            Self::Value { key, expected } => write!(f, "{key} must be {expected}"),
            Self::Combination(why) => f.write_str(why),
            Self::Rest(why) => f.write_str(why),
            Self::Certificate { key, path, reason } => write!(f, "{key} {}: {reason}", path.display()),
        }
    }
}

impl std::error::Error for DsnError {}

impl Server {
    /// True when it is reached by a Unix socket, which needs no encryption.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.host.starts_with('/') && self.address.is_none()
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, &*self.host) {
            (Some(address), "") => write!(f, "{address} port {}", self.port),
            (_, host) => write!(f, "{host} port {}", self.port),
        }
    }
}

impl Dsn {
    /// Reads a database URL and the certificates it names.
    pub fn parse(text: &str) -> Result<Self, DsnError> {
        let mut parameters = Parameters::parse(text)?;
        let servers = servers(&mut parameters)?;
        let wanted = match parameters.take("target_session_attrs").as_deref() {
            // A standby is of no use to the relay, so among several servers it looks for the other one.
            None if servers.len() > 1 => Wanted::ReadWrite,
            None | Some("any") => Wanted::Any,
            Some("read-write") => Wanted::ReadWrite,
            Some("primary") => Wanted::Primary,
            Some(_) => {
                let expected = "any, read-write or primary: the relay writes";
                return Err(DsnError::Value { key: "target_session_attrs", expected });
            }
        };
        let shuffled = match parameters.take("load_balance_hosts").as_deref() {
            None | Some("disable") => false,
            Some("random") => true,
            Some(_) => {
                return Err(DsnError::Value { key: "load_balance_hosts", expected: "disable or random" });
            }
        };
        let encryption = Encryption::take(&mut parameters)?;
        Ok(Self { servers, shuffled, wanted, encryption, rest: parameters.rest()? })
    }

    /// The servers in the order in which they are to be tried.
    #[must_use]
    pub fn servers(&self) -> Vec<Server> {
        let mut servers = self.servers.clone();
        if self.shuffled {
            servers.shuffle(&mut rand::rng());
        }
        servers
    }

    /// How to connect to one of them.
    #[must_use]
    pub fn config(&self, server: &Server) -> Config {
        let mut config = self.rest.clone();
        config.application_name("webhook-relay").keepalives_idle(Duration::from_secs(10));
        // A server without a name is known by its address, also to TLS.
        match (server.address, &*server.host) {
            (Some(address), "") => config.host(address.to_string()).hostaddr(address),
            (Some(address), host) => config.host(host).hostaddr(address),
            (None, host) => config.host(host),
        };
        config.port(server.port);
        config
    }

    /// What the URL says of how long connecting may take.
    #[must_use]
    pub fn connect_timeout(&self) -> Option<Duration> {
        self.rest.get_connect_timeout().copied()
    }
}

fn servers(parameters: &mut Parameters) -> Result<Vec<Server>, DsnError> {
    let mut list = |key| {
        let text = parameters.take(key).unwrap_or_default();
        if text.is_empty() { Vec::new() } else { text.split(',').map(str::to_owned).collect() }
    };
    let (hosts, addresses, ports): (Vec<_>, Vec<_>, Vec<_>) = (list("host"), list("hostaddr"), list("port"));
    let count = hosts.len().max(addresses.len());
    if count == 0 {
        return Err(DsnError::Form("it names no host"));
    }
    if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
        return Err(DsnError::Combination("host and hostaddr must be as many"));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(DsnError::Combination("there must be one port, or as many as hosts"));
    }
    let server = |n: usize| {
        let host = hosts.get(n).cloned().unwrap_or_default();
        let address = match addresses.get(n).map(String::as_str) {
            None | Some("") => None,
            Some(text) => Some(text.parse().map_err(|_| bad("hostaddr", "an IP address"))?),
        };
        if host.is_empty() && address.is_none() {
            return Err(DsnError::Form("a host is empty"));
        }
        let port = match ports.get(n).or(ports.first()).map_or("", String::as_str) {
            "" => 5432,
            text => text.parse().ok().filter(|port| *port > 0).ok_or(bad("port", "a number up to 65535"))?,
        };
        Ok(Server { host, address, port })
    };
    (0..count).map(server).collect()
}

fn bad(key: &'static str, expected: &'static str) -> DsnError {
    DsnError::Value { key, expected }
}

#[cfg(test)]
mod tests;
