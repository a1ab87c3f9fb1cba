//! A relay in a network of its own, where any address can be had and nothing leaves the machine.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::relay::Relay;
use crate::run;
use crate::stage::Stage;

/// The address of this network from which all others are called.
pub const HOME: &str = "10.66.0.1";

/// An address that talks to itself is refused as the machine's own, so the others are reached from `HOME`.
const SCRIPT: &str = "set -e
    ip link set lo up
    ip address add $1 dev lo
    for address in $2; do
        ip address add $address dev lo
        ip route replace local $address dev lo table local src $1
    done
    mount --bind $3 /etc/resolv.conf
    shift 3
    exec \"$@\"";

/// The relay and its network, which goes with it.
#[derive(Debug)]
pub struct Island {
    relay: Relay,
}

impl Island {
    /// A relay that reads and leads, in a network that has loopback, [`HOME`] and these addresses of IPv4; it asks the name server at 127.0.0.1.
    ///
    /// # Panics
    /// Where this process may not make networks: it takes root.
    pub async fn new(url: &str, addresses: &[&str], arguments: &[&str]) -> Self {
        let names = run::subfolder("island").join("resolv.conf");
        std::fs::write(&names, "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
            .expect("write resolv.conf");
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "sh", "-c", SCRIPT, "sh", HOME, &addresses.join(" ")]);
        command.arg(&names).arg(&Stage::get().await.relay);
        let relay = Relay::run(command, &["--database-url", url], arguments).await;
        relay.logs().wait_for("this relay leads").await;
        Self { relay }
    }

    /// The relay.
    pub fn relay(&self) -> &Relay {
        &self.relay
    }

    /// Does something in this network; sockets made there stay there.
    ///
    /// # Panics
    /// If that network cannot be entered, or `work` panics.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = format!("/proc/{}/ns/net", self.relay.pid());
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let network = File::open(path).expect("the relay's network");
                move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("enter it, as root");
                work()
            });
            thread.join().expect("what is done there")
        })
    }
}
