//! Why the program ends before it is told to.

use std::fmt;
use std::net::SocketAddr;

use crate::config::ConfigError;
use crate::store::StoreError;

/// An error the program ends with.
#[derive(Debug)]
pub enum Error {
    /// The configuration cannot be used.
    Config(ConfigError),
    /// The extension in the database is of a version this relay does not know.
    Version {
        /// The extension's.
        extension: String,
    },
    /// An address could not be listened on.
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The runtime or the signal handlers could not be set up.
    System(std::io::Error),
    /// A part of the running relay panicked; its log says where.
    Panicked,
    /// The database could not be asked (`check` only; `run` waits instead).
    Store(StoreError),
    /// `check` found problems, all printed already.
    Problems(usize),
}

impl Error {
    /// The process's exit status: 78 (`EX_CONFIG`) where only another configuration or version helps.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Version { .. } => 78,
            Self::Listen { .. } | Self::System(_) | Self::Panicked | Self::Store(_) | Self::Problems(_) => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "{error}"),
            Self::Version { extension } => write!(
                f,
                "this is webhook-relay {}, and the database has pg_webhook {extension}: \
                 install the relay of the same version, or run ALTER EXTENSION pg_webhook UPDATE",
                env!("CARGO_PKG_VERSION")
            ),
            Self::Listen { address, source } => write!(f, "cannot listen on {address}: {source}"),
            Self::System(source) => write!(f, "cannot start: {source}"),
            Self::Panicked => {
                f.write_str("a part of the relay panicked; what was under way will be sent again")
            }
            Self::Store(error) => write!(f, "{error}"),
            Self::Problems(count) => write!(f, "{count} problem{} found", if *count == 1 { "" } else { "s" }),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Listen { source, .. } | Self::System(source) => Some(source),
            Self::Store(error) => Some(error),
            Self::Version { .. } | Self::Panicked | Self::Problems(_) => None,
        }
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
