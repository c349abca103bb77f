//! The server is asked to leave while everybody reads, and started again: how long until every reader has everything.

use crate::Outcome;
use crate::drive::{Drive, Via};
use crate::machine::{self, MS, Memory, SECOND};
use crate::measure::{Bench, Plan};
use crate::member::Phase;
use crate::product::Installation;
use crate::swarm::Swarm;

/// Events every session gets before the restart, and again while its readers are away.
const EVENTS: usize = 4;
const RESUMED_WITHIN: u64 = 180 * SECOND;

#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Restarted {
    /// From the signal until every reader has every event.
    pub seconds: f64,
    /// Of this, until the old server had ended and the new one was ready.
    pub away_seconds: f64,
    /// The longest pause before coming back that a `bye` asked for, which the readers keep to.
    pub longest_retry_ms: u64,
    pub peak_mib: f64,
    /// `None` when the server does not count them.
    pub log_reads_per_session: Option<f64>,
    pub lost: u64,
    pub doubled: u64,
    pub reordered: u64,
    pub broken: u64,
    pub snapshots: u64,
}

/// What the row promises besides its time.
const PEAK_MIB: f64 = 512.0;

impl Restarted {
    pub fn notes(&self) -> Vec<(&'static str, f64)> {
        let mut notes = vec![
            ("away s", self.away_seconds),
            ("longest retry_after_ms", self.longest_retry_ms as f64),
            ("peak MiB", self.peak_mib),
        ];
        notes.extend(self.log_reads_per_session.map(|reads| ("log reads a session", reads)));
        notes
    }

    pub fn faults(&self) -> Vec<String> {
        let counted = [
            ("lost", self.lost),
            ("doubled", self.doubled),
            ("reordered", self.reordered),
            ("with a wrong prev", self.broken),
            ("snapshots instead of going on", self.snapshots),
        ];
        let mut faults: Vec<_> =
            counted.into_iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}")).collect();
        match self.log_reads_per_session {
            None => faults.push("log reads: not counted by the server".to_owned()),
            Some(reads) if reads > 1.0 => faults.push(format!("{reads:.1} log reads a session, 1 is promised")),
            Some(_) => {}
        }
        if self.peak_mib > PEAK_MIB {
            faults.push(format!("{:.0} MiB at most, {PEAK_MIB:.0} are promised", self.peak_mib));
        }
        faults
    }
}

pub fn restart(installation: &Installation) -> Outcome<Restarted> {
    let plan = Plan {
        readers: installation.readers.len(),
        sessions: installation.sessions.len(),
        via: Via::Http,
        ..Plan::plain(0.0)
    };
    let Bench { mut server, mut swarm, mut drive, .. } = Bench::open(installation, &plan)?;
    let send_round = |swarm: &mut Swarm, drive: &mut Drive| -> Outcome {
        let deadline = machine::now() + 30 * SECOND;
        for _ in 0..EVENTS {
            for session in 0..plan.sessions {
                while !drive.send(swarm, session)? {
                    swarm.turn(deadline)?;
                    if machine::now() > deadline {
                        return Err("an annotation was not answered within 30 s".into());
                    }
                }
            }
        }
        Ok(())
    };
    send_round(&mut swarm, &mut drive)?;
    let deadline = machine::now() + 30 * SECOND;
    while swarm.tally.in_flight() > 0 {
        swarm.turn(deadline)?;
        swarm.tally.check()?;
        if machine::now() > deadline {
            return Err("events before the restart did not arrive within 30 s".into());
        }
    }

    swarm.patient = true;
    let began = machine::now();
    server.terminate()?;
    let deadline = began + 60 * SECOND;
    while !server.has_ended()? {
        swarm.turn(machine::now() + 10 * MS)?;
        if machine::now() > deadline {
            return Err("the server did not leave within 60 s".into());
        }
    }
    let server = installation.serve()?;
    swarm.port = server.port;
    let away = machine::now() - began;

    let drivers = plan.readers..swarm.members.len();
    let deadline = machine::now() + RESUMED_WITHIN;
    while !drivers.clone().all(|n| swarm.members[n].phase == Phase::Live) && machine::now() < deadline {
        swarm.turn(machine::now() + 10 * MS)?;
    }
    send_round(&mut swarm, &mut drive)?;
    while (swarm.tally.in_flight() > 0 || swarm.live < swarm.members.len()) && machine::now() < deadline {
        swarm.turn(machine::now() + 50 * MS)?;
        swarm.tally.check()?;
    }
    let seconds = (machine::now() - began) as f64 / 1e9;
    let peak = Memory::of(server.pid())?.peak;
    let reads = server.metric("psyche_log_reads_total")?;
    let tally = &swarm.tally;
    let restarted = Restarted {
        seconds,
        away_seconds: away as f64 / 1e9,
        longest_retry_ms: swarm.longest_retry_ms,
        peak_mib: peak as f64 / 1024.0,
        log_reads_per_session: reads.map(|reads| reads / plan.sessions as f64),
        lost: tally.missing(),
        doubled: tally.doubled,
        reordered: tally.reordered,
        broken: tally.broken,
        snapshots: tally.snapshots,
    };
    drop(swarm);
    server.stop()?;
    Ok(restarted)
}
