//! Readers join as fast as they can: connections a second, and what an idle one costs in memory.

use crate::Outcome;
use crate::machine::{self, CpuTime, Memory};
use crate::measure::{JOIN, heads, reader};
use crate::member::{Member, Role};
use crate::product::Installation;
use crate::swarm::Swarm;
use crate::tally::Tally;

/// Readers that join as fast as they can and then stay idle.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Joined {
    pub per_s: f64,
    pub server_cpu_us_each: f64,
    pub tool_cpu_share: f64,
    pub memory_kib_each: f64,
}

/// Connects, authenticates and subscribes as many readers as the installation has. `cold`: with a snapshot each.
pub fn join(installation: &Installation, cold: bool, idle_s: f64) -> Outcome<Joined> {
    let server = installation.serve()?;
    let heads = heads(installation, &server)?;
    let count = installation.readers.len();
    let members =
        (0..count).map(|n| Member { cold, ..reader(installation, &heads, n, Role::Reader) }).collect::<Vec<_>>();
    let mut swarm = Swarm::new(server.port, members, Tally::new(installation.sessions.len()))?;
    let memory = Memory::of(server.pid())?;
    let (cpu, own) = (CpuTime::of(server.pid())?, CpuTime::of(std::process::id())?);
    let began = machine::now();
    swarm.open_all(0..count, JOIN)?;
    let span = (machine::now() - began) as f64;
    let tool = CpuTime::of(std::process::id())?.since(&own) as f64;
    let spent = CpuTime::of(server.pid())?.since(&cpu) as f64;
    let until = machine::now() + (idle_s * 1e9) as u64;
    while machine::now() < until {
        swarm.turn(until)?;
    }
    swarm.tally.check()?;
    let after = Memory::of(server.pid())?;
    drop(swarm);
    server.stop()?;
    Ok(Joined {
        per_s: count as f64 / span * 1e9,
        server_cpu_us_each: spent / count as f64 / 1e3,
        tool_cpu_share: tool / span,
        memory_kib_each: (after.resident as f64 - memory.resident as f64) / count as f64,
    })
}
