//! `webhook-relay check`: says what is wrong with a set-up, and what to do.

use tokio::time::Instant;
use webhook_wire::seal;

use crate::config::Check;
use crate::dsn::Dsn;
use crate::error::Error;
use crate::keyring::Keyring;
use crate::lead::is_spoken;
use crate::matching::{HookRow, Registry};
use crate::store::{Session, StoreError, Way};

/// Looks at everything a relay needs; an error when something is missing.
pub async fn check(config: Check) -> Result<(), Error> {
    let database = config.database.load()?;
    let keyring = Keyring::new(config.keys.load()?);
    let mut report = Report { problems: 0 };
    report.session(&database, keyring).await;
    match report.problems {
        0 => Ok(()),
        problems => Err(Error::Problems(problems)),
    }
}

struct Report {
    problems: usize,
}

impl Report {
    fn good(what: &str) {
        println!("ok       {what}");
    }

    fn bad(&mut self, what: &str, hint: &str) {
        self.problems += 1;
        println!("PROBLEM  {what}");
        println!("         {hint}");
    }

    async fn session(&mut self, database: &Dsn, keyring: Keyring) {
        let begun = Instant::now();
        let session = match Session::explore(database).await {
            Ok(session) => session,
            Err(error) => {
                return self.bad(&error.to_string(), "Check --database-url, pg_hba.conf and the network.");
            }
        };
        Self::good(&format!("connected in {:.0?}", begun.elapsed()));
        if !self.hello(&session, &keyring).await {
            return;
        }
        Self::way(session.way());
        match session.webhooks(None).await {
            Ok(webhooks) => {
                let active = webhooks.rows.iter().filter(|row| row.active).count();
                Self::good(&format!("{} webhooks, {active} of them active", webhooks.rows.len()));
                self.secrets(webhooks.rows, keyring);
            }
            Err(error) => self.denied(&error),
        }
    }

    /// Opens the secrets of all webhooks.
    fn secrets(&mut self, mut rows: Vec<HookRow>, mut keyring: Keyring) {
        let sealed =
            rows.iter().flat_map(|row| &row.secrets).filter(|stored| seal::key_id(stored).is_some()).count();
        keyring.open(&mut rows, None, true);
        let mut registry = Registry::default();
        for (webhook, error) in registry.apply(rows, true) {
            self.bad(
                &format!("webhook {webhook} cannot be used: {error}"),
                "Change it with webhook_update().",
            );
        }
        let mut locked = registry.locked();
        match locked.next() {
            None => Self::good(&format!("secrets can be read ({sealed} of them sealed)")),
            Some((webhook, why)) => {
                let what = format!(
                    "the secrets of {} webhooks cannot be read: of {webhook}, {why}",
                    1 + locked.count()
                );
                self.bad(
                    &what,
                    "Give the relay the --secret-key-file with that key. Until then their deliveries wait.",
                );
            }
        }
    }

    /// Asks for versions, identity and other relays; false when asking further is useless.
    async fn hello(&mut self, session: &Session, keyring: &Keyring) -> bool {
        let instance = format!("check_{:016x}", rand::random::<u64>());
        let hello = match session.hello(&instance, "").await {
            Ok(hello) => hello,
            Err(error) => {
                self.denied(&error);
                return false;
            }
        };
        let own = env!("CARGO_PKG_VERSION");
        if is_spoken(&hello.extension_version, keyring) {
            Self::good(&format!("extension {} (relay {own})", hello.extension_version));
        } else {
            let what = format!("the extension is {} and this relay {own}", hello.extension_version);
            self.bad(
                &what,
                "Install the relay of the extension's version, or run ALTER EXTENSION pg_webhook UPDATE.",
            );
        }
        if hello.library_version != hello.extension_version {
            let what =
                format!("the library is {}, its SQL {}", hello.library_version, hello.extension_version);
            self.bad(&what, "Run ALTER EXTENSION pg_webhook UPDATE.");
        }
        if hello.in_recovery {
            self.bad("this server is a standby", "Point the relay at the primary.");
        } else if hello.adopted {
            Self::good(&format!("this database may send ({})", hello.identity));
        } else {
            let hint =
                "If it is to send, run SELECT webhook_adopt(); what is unread and pending then goes out.";
            self.bad("this database is a copy of another one, or was restored: nothing is sent", hint);
        }
        // Saying hello counted us as a relay.
        let alive = session.beat(&instance, false, 0, 0).await.map(|beat| beat.alive - 1);
        let _ = session.bye(&instance).await;
        match alive {
            Ok(0) => Self::good("no relay is running"),
            Ok(1) => Self::good("1 relay is running"),
            Ok(alive) => Self::good(&format!("{alive} relays are running")),
            Err(error) => self.denied(&error),
        }
        true
    }

    fn way(way: Way) {
        match way {
            Way::Own => Self::good("notifications arrive"),
            Way::Lent => {
                println!("slow     notifications do not arrive, so events wait for the next poll");
                println!("         Connect directly or through a pooler in session mode.");
            }
        }
    }

    fn denied(&mut self, error: &StoreError) {
        let hint = match error {
            StoreError::Missing(_) => "Run CREATE EXTENSION pg_webhook in this database.",
            StoreError::NotAllowed(_) => "Run SELECT webhook_grant('the relay''s role', 'relay').",
            _ => "See the message of the server.",
        };
        self.bad(&error.to_string(), hint);
    }
}
