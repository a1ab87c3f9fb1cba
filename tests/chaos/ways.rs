//! Ways that packets go along no more, and a primary that is left behind.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use webhook_tests::firewall::Deaf;

use crate::faults::{Landed, Scene};
use crate::plan::{Standby, Takeover};

/// For so long a relay that is cut off goes on sending what it has read: `TRUST` in relay/src/context.rs, and one request.
pub(crate) const TRUST: Duration = Duration::from_secs(12);

/// A relay sends what it claimed for so long after that: half of a lease.
const CLAIMED: Duration = Duration::from_secs(16);

/// Something that packets go along.
#[derive(Debug)]
pub enum Way {
    /// The proxy of a relay.
    Link(usize),
    /// Packets for which the firewall has a name.
    Packets(String),
}

impl Scene<'_> {
    /// It is free again.
    pub(crate) fn mend(&mut self, way: Way) {
        match way {
            Way::Link(place) => self.fleet.place(place).pass(),
            Way::Packets(name) => {
                let count = self.firewall.map_or(0, |firewall| firewall.pass(&name));
                if count > 0 {
                    let _ = writeln!(self.dropped, "{name}: {count} packets were dropped");
                }
            }
        }
        self.note("the way is free again", SystemTime::now());
    }

    /// Has the firewall drop packets.
    pub(crate) fn silence(&mut self, name: &str, end: SocketAddr, deaf: Deaf, time: Duration) {
        let Some(firewall) = self.firewall else { return };
        let name = format!("{name}_{}", self.landed.len());
        firewall.silence(&name, end, deaf);
        self.broken.push((Way::Packets(name), Instant::now() + time));
        let began = SystemTime::now();
        // The relay may go on for a while, and the server has another one lead meanwhile; what is on its way to a receiver may come
        // when packets pass again.
        self.landed.push(Landed { name: "packets are dropped".into(), began, ended: began + TRUST });
    }

    /// The standby takes over, having fallen behind for so long.
    pub(crate) async fn fail_over(&mut self, to: Standby, behind: Duration, how: Takeover) {
        let began = SystemTime::now();
        self.postgres_runs().await;
        if matches!(how, Takeover::CutOff(_)) {
            self.fleet.cut_off(self.servers.primary().address());
        }
        self.servers.hold_up_standby();
        self.wait(behind).await;
        self.servers.fail_over(how).await;
        let mut note = |name: &str, ended| self.landed.push(Landed { name: name.into(), began, ended });
        if matches!(how, Takeover::CutOff(_)) {
            note("the primary is cut off", began + TRUST);
        }
        if to == Standby::Asynchronous {
            note("claims may be unknown to the standby", SystemTime::now() + CLAIMED);
        }
    }
}
