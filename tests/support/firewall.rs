//! A network of a thread's own, with nothing but loopback, in which packets can be dropped without a word to either side.

use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The network's firewall; the network goes with the last that is in it.
#[derive(Debug)]
pub struct Firewall(());

/// Which of two ends does not hear the other any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deaf {
    /// What is sent to an address is dropped.
    There,
    /// What is sent from it.
    Here,
    /// Both.
    Both,
}

impl Firewall {
    /// Moves this thread, and what it starts from now on, into a new network; none where this process may not make one.
    pub fn enter() -> Option<Self> {
        let make = "ip link set lo up && nft add table inet harness && echo made && exec cat";
        let mut maker = Command::new("unshare");
        maker.args(["--net", "sh", "-c", make]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut maker = maker.stderr(Stdio::null()).spawn().ok()?;
        let mut said = [0; 5];
        let made = maker.stdout.as_mut()?.read_exact(&mut said).is_ok();
        let entered = made
            && File::open(format!("/proc/{}/ns/net", maker.id())).is_ok_and(|network| {
                move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).is_ok()
            });
        drop(maker.stdin.take());
        let _ = maker.wait();
        entered.then_some(Self(()))
    }

    /// Drops packets from and to an address (port 0: any), under a name by which they pass again.
    ///
    /// # Panics
    /// If the firewall does not take the rule.
    pub fn silence(&self, name: &str, end: SocketAddr, deaf: Deaf) {
        let port = |side: &str| {
            if end.port() == 0 { String::new() } else { format!("tcp {side}port {} ", end.port()) }
        };
        let rule = |side: &str, of: &str| {
            format!("add rule inet harness {name} ip {side} {} {}counter drop\n", end.ip(), port(of))
        };
        let (there, here) = (rule("daddr", "d"), rule("saddr", "s"));
        let rules = match deaf {
            Deaf::There => there,
            Deaf::Here => here,
            Deaf::Both => there + &here,
        };
        nft(&format!("add chain inet harness {name} {{ type filter hook input priority 0; }}\n{rules}"));
    }

    /// Lets them pass; returns how many were dropped.
    ///
    /// # Panics
    /// If there is no such name.
    pub fn pass(&self, name: &str) -> u64 {
        let chain = nft(&format!("list chain inet harness {name}\n"));
        nft(&format!("flush chain inet harness {name}\ndelete chain inet harness {name}\n"));
        let counts =
            chain.split("packets ").skip(1).filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok());
        counts.sum()
    }
}

fn nft(script: &str) -> String {
    let mut nft = Command::new("nft");
    nft.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut nft = nft.spawn().expect("start nft");
    nft.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("tell nft");
    let output = nft.wait_with_output().expect("wait for nft");
    assert!(output.status.success(), "nft refused: {script}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
