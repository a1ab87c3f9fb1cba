//! Flags; each can also be set by an environment variable `WEBHOOK_RELAY_…`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use webhook_wire::seal::PrivateKey;
use webhook_wire::target::{Allow, Policy};

use crate::dsn::{Dsn, DsnError};
use crate::key_file::{self, KeyFileError};

/// Delivers the events of pg_webhook to the webhooks that want them.
#[derive(Debug, Parser)]
#[command(name = "webhook-relay", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Deliver events until told to stop
    Run(Run),
    /// Receive webhooks on this machine: verify and print each request
    Listen(Listen),
    /// Say what is wrong with a set-up
    Check(Check),
    /// Make a key that secrets are sealed with: a file of its own, or the first line of one that is there
    NewKey(NewKey),
}

/// Where the database is.
#[derive(Debug, Clone, Args)]
pub struct Database {
    /// postgresql://user@host:port/database?sslmode=verify-full&sslrootcert=FILE, or key=value pairs; as libpq reads it, several hosts included
    #[arg(long, env = "WEBHOOK_RELAY_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<Hidden>,
    /// A file that holds the database URL; read again at every connection, so that passwords can change
    #[arg(
        long,
        env = "WEBHOOK_RELAY_DATABASE_URL_FILE",
        conflicts_with = "database_url",
        value_name = "FILE"
    )]
    database_url_file: Option<PathBuf>,
}

/// What sealed secrets are opened with.
#[derive(Debug, Clone, Args)]
pub struct Keys {
    /// Seal webhooks' secrets in the database with the first key of this file; the others open what is sealed for them still
    #[arg(long, env = "WEBHOOK_RELAY_SECRET_KEY_FILE", value_name = "FILE")]
    secret_key_file: Option<PathBuf>,
}

/// How logs look.
#[derive(Debug, Clone, Args)]
pub struct Log {
    /// How log lines look
    #[arg(long, env = "WEBHOOK_RELAY_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug or trace, also by module
    #[arg(long, env = "WEBHOOK_RELAY_LOG", default_value = "info", value_name = "LEVEL")]
    pub log: String,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines, one object a line.
    Json,
}

/// What the relay may call.
#[derive(Debug, Clone, Args)]
pub struct Targets {
    /// Let webhooks point at this network, address or host (10.0.0.0/8, 10.0.0.5:8080, localhost, *.corp.example)
    #[arg(long, env = "WEBHOOK_RELAY_ALLOW_TARGET", value_delimiter = ',', value_parser = allow, value_name = "TARGET")]
    allow_target: Vec<Allow>,
    /// Let webhooks use plain http on the public internet
    #[arg(long, env = "WEBHOOK_RELAY_ALLOW_HTTP", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    allow_http: bool,
    /// Trust the certificates in this PEM file as well
    #[arg(long, env = "WEBHOOK_RELAY_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Client certificates: the folder's NAME.pem (certificate and key) for webhooks with the option `client_cert` NAME
    #[arg(long, env = "WEBHOOK_RELAY_CLIENT_CERT_DIR", value_name = "FOLDER")]
    pub client_cert_dir: Option<PathBuf>,
}

/// `webhook-relay run`
#[derive(Debug, Clone, Args)]
pub struct Run {
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub database: Database,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub targets: Targets,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub log: Log,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub keys: Keys,
    /// Serve /healthz, /readyz and /metrics here; port 0: any, the log says which
    #[arg(long, env = "WEBHOOK_RELAY_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Requests under way at the same time
    #[arg(long, env = "WEBHOOK_RELAY_MAX_IN_FLIGHT", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=100_000), value_name = "N")]
    pub max_in_flight: u32,
    /// Deliveries waiting in memory at the same time
    #[arg(long, env = "WEBHOOK_RELAY_MAX_QUEUED", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "N")]
    pub max_queued: u32,
    /// Memory for event payloads, in MiB
    #[arg(long, env = "WEBHOOK_RELAY_MAX_PAYLOAD_MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(4..=65_536), value_name = "MIB")]
    pub max_payload_mib: u32,
    /// Look for events at least this often, rung for or not
    #[arg(long, env = "WEBHOOK_RELAY_POLL_INTERVAL", default_value = "1s", value_parser = duration, value_name = "TIME")]
    pub poll_interval: Duration,
    /// When told to stop, wait so long for requests under way
    #[arg(long, env = "WEBHOOK_RELAY_SHUTDOWN_TIMEOUT", default_value = "30s", value_parser = duration, value_name = "TIME")]
    pub shutdown_timeout: Duration,
}

/// `webhook-relay listen`
#[derive(Debug, Clone, Args)]
pub struct Listen {
    /// Port on 127.0.0.1
    #[arg(long, env = "WEBHOOK_RELAY_PORT", default_value_t = 9000)]
    pub port: u16,
    /// The webhook's secret or its public key (`whpk_…`), to verify signatures with
    #[arg(long, env = "WEBHOOK_RELAY_SECRET", hide_env_values = true)]
    pub secret: Option<Hidden>,
    /// Fail the first N requests
    #[arg(long, env = "WEBHOOK_RELAY_FAIL_FIRST", default_value_t = 0, value_name = "N")]
    pub fail_first: u64,
    /// The status those get
    #[arg(long, env = "WEBHOOK_RELAY_FAIL_STATUS", default_value_t = 503, value_parser = clap::value_parser!(u16).range(200..=599), value_name = "STATUS")]
    pub fail_status: u16,
    /// Print one JSON object a request
    #[arg(long, env = "WEBHOOK_RELAY_JSON", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub json: bool,
}

/// `webhook-relay check`
#[derive(Debug, Clone, Args)]
pub struct Check {
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub database: Database,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub keys: Keys,
}

/// `webhook-relay new-key`
#[derive(Debug, Clone, Args)]
pub struct NewKey {
    /// The file; of one that is there nothing is lost
    #[arg(long, env = "WEBHOOK_RELAY_SECRET_KEY_FILE", value_name = "FILE")]
    pub secret_key_file: PathBuf,
}

/// A flag's value that must not be seen.
#[derive(Clone)]
pub struct Hidden(String);

impl Hidden {
    /// The value.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What cannot be used of the configuration.
#[derive(Debug)]
pub enum ConfigError {
    /// Neither flag is given.
    NoDatabase,
    /// The database URL's file cannot be read.
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database URL cannot be used.
    DatabaseUrl(DsnError),
    /// The log level does not parse.
    LogLevel(String),
    /// A certificate file cannot be used.
    Certificate {
        /// The flag it belongs to.
        flag: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The key file cannot be used.
    SecretKeyFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: KeyFileError,
    },
    /// The secret cannot be one.
    Secret(webhook_wire::secret::SecretError),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDatabase => {
                f.write_str("give --database-url or --database-url-file (or WEBHOOK_RELAY_DATABASE_URL)")
            }
            Self::File { path, source } => write!(f, "--database-url-file {}: {source}", path.display()),
            Self::DatabaseUrl(error) => write!(f, "--database-url: {error}"),
            Self::LogLevel(text) => write!(f, "--log {text}: not a log level"),
            Self::Certificate { flag, path, reason } => write!(f, "{flag} {}: {reason}", path.display()),
            Self::SecretKeyFile { path, source } => {
                write!(f, "--secret-key-file {}: {source}", path.display())
            }
            Self::Secret(error) => write!(f, "--secret: {error}"),
        }
    }
}

impl std::error::Error for ConfigError {}

impl Database {
    /// The connection's settings, read afresh.
    pub fn load(&self) -> Result<Dsn, ConfigError> {
        let text = match (&self.database_url, &self.database_url_file) {
            (Some(url), _) => url.expose().to_owned(),
            (None, Some(path)) => std::fs::read_to_string(path)
                .map_err(|source| ConfigError::File { path: path.clone(), source })?,
            (None, None) => return Err(ConfigError::NoDatabase),
        };
        Dsn::parse(text.trim()).map_err(ConfigError::DatabaseUrl)
    }
}

impl Keys {
    /// The keys of the file, the current one first; none without a file.
    pub fn load(&self) -> Result<Vec<PrivateKey>, ConfigError> {
        let Some(path) = &self.secret_key_file else { return Ok(Vec::new()) };
        key_file::read(path).map_err(|source| ConfigError::SecretKeyFile { path: path.clone(), source })
    }
}

impl Targets {
    /// The target policy these flags make.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy { allow: self.allow_target.clone(), allow_http: self.allow_http }
    }
}

fn allow(text: &str) -> Result<Allow, String> {
    Allow::parse(text).map_err(|error| format!("{error}. {}", error.hint()))
}

/// Reads `250ms`, `30s`, `5m`, `1h` or plain seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        other => return Err(format!("unknown unit {other}: use ms, s, m or h")),
    };
    let number: f64 = digits.parse().map_err(|_| "not a time: write 250ms, 30s, 5m or 1h".to_owned())?;
    match Duration::try_from_secs_f64(number * unit) {
        Ok(time) if time >= Duration::from_millis(10) && time <= Duration::from_secs(86_400) => Ok(time),
        _ => Err("a time from 10ms to 24h is wanted".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> Result<Run, clap::Error> {
        let all = ["webhook-relay", "run", "--database-url", "postgresql://relay:s3cret@db/app"];
        match Cli::try_parse_from(all.iter().chain(args))?.command {
            Command::Run(run) => Ok(run),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags() {
        let run = run(&[
            "--allow-target",
            "10.0.0.0/8,localhost",
            "--allow-target",
            "x:80",
            "--shutdown-timeout",
            "500ms",
        ]);
        let run = run.unwrap();
        assert_eq!(run.targets.policy().allow.len(), 3);
        assert_eq!((run.max_in_flight, run.shutdown_timeout), (512, Duration::from_millis(500)));
        assert!(!run.targets.policy().allow_http);
    }

    #[test]
    fn every_flag_has_its_variable() {
        use clap::CommandFactory;
        for command in Cli::command().get_subcommands() {
            for flag in
                command.get_arguments().filter(|flag| !["help", "version"].contains(&flag.get_id().as_str()))
            {
                let name = flag.get_long().unwrap().to_uppercase().replace('-', "_");
                assert_eq!(flag.get_env().unwrap().to_str().unwrap(), format!("WEBHOOK_RELAY_{name}"));
            }
        }
    }

    #[test]
    fn bad_values_are_refused_by_name() {
        for (args, expected) in [
            (["--max-in-flight", "0"], "--max-in-flight"),
            (["--poll-interval", "1 fortnight"], "--poll-interval"),
            (["--allow-target", "not a host"], "--allow-target"),
        ] {
            let error = run(&args).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_password_is_nowhere() {
        let run = run(&[]).unwrap();
        assert!(!format!("{run:?}").contains("s3cret"));
        assert!(!format!("{:?}", run.database.load().unwrap()).contains("s3cret"));
        let bad = Database {
            database_url: Some(Hidden("postgresql://u:s3cret@[".into())),
            database_url_file: None,
        };
        assert!(!bad.load().unwrap_err().to_string().contains("s3cret"));
    }

    #[test]
    fn durations() {
        for (text, expected) in [
            ("250ms", Some(250)),
            ("30s", Some(30_000)),
            ("2", Some(2000)),
            ("1.5m", Some(90_000)),
            ("1h", Some(3_600_000)),
            ("-1s", None),
            ("0", None),
            ("1d", None),
            ("", None),
        ] {
            assert_eq!(duration(text).ok(), expected.map(Duration::from_millis), "{text}");
        }
    }
}
