//! A host of its own for a replica: a network namespace, joined to this one by a pair of virtual interfaces, whose packets the
//! kernel drops or refuses. Root alone may do it; `ip` and `nft` are of the Debian packages `iproute2` and `nftables`.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// What the kernel does with packets of the connections that are cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    /// They vanish, either way.
    Dropped,
    /// Only those that come in vanish: what is asked arrives, and no answer does.
    AnswersDropped,
    /// They are refused, as by a firewall that says so.
    Refused,
}

pub struct Host {
    name: String,
    /// This end of the wire, and the replica's.
    pub here: Ipv4Addr,
    pub there: Ipv4Addr,
}

impl Host {
    pub fn new(n: usize) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let id = std::process::id();
        // Of the addresses for tests of networks (RFC 2544) four for each host, which other tests at this time do not have.
        let net = (id * 8 + MADE.fetch_add(1, Ordering::Relaxed) % 8) % 32_768;
        let first = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + 4 * net;
        let (here, there) = (Ipv4Addr::from(first + 1), Ipv4Addr::from(first + 2));
        let host = Self { name: format!("psyche-{id}-{n}"), here, there };
        // A name of an interface has 15 letters at most.
        let wire = format!("psy{net}");
        ip(&["netns", "add", &host.name]);
        ip(&["link", "add", &wire, "type", "veth", "peer", "name", "eth0", "netns", &host.name]);
        ip(&["address", "add", &format!("{here}/30"), "dev", &wire]);
        ip(&["link", "set", &wire, "up"]);
        let there = format!("{there}/30");
        for inside in [
            ["link", "set", "lo", "up"].as_slice(),
            &["address", "add", &there, "dev", "eth0"],
            &["link", "set", "eth0", "up"],
        ] {
            ip(&[&["-n", host.name.as_str()], inside].concat());
        }
        host
    }

    /// A program that runs on this host.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Cuts the connections to a server; those to its own clients stay.
    pub fn cut(&self, cut: Cut, server: SocketAddr) {
        let server = server.port();
        let mut rules = vec!["add table ip cut".to_owned()];
        for (way, port) in [("input", "sport"), ("output", "dport")] {
            rules.push(format!("add chain ip cut {way} {{ type filter hook {way} priority 0; }}"));
            let does = match (cut, way) {
                (Cut::AnswersDropped, "output") => continue,
                (Cut::Refused, "output") => "reject with tcp reset",
                _ => "drop",
            };
            rules.push(format!("add rule ip cut {way} tcp {port} {server} {does}"));
        }
        self.rules(&rules.join("; "));
    }

    pub fn mend(&self) {
        self.rules("delete table ip cut");
    }

    fn rules(&self, rules: &str) {
        finish(self.command("nft").arg(rules));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The wire goes with it.
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

fn ip(arguments: &[&str]) {
    finish(Command::new("ip").args(arguments));
}

fn finish(command: &mut Command) {
    let output = command.output();
    let output = output
        .unwrap_or_else(|error| panic!("{command:?}: {error}; install the Debian packages iproute2 and nftables"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
