//! Readers that stop reading while events flow.

use crate::Outcome;
use crate::machine::{self, MS, SECOND};
use crate::measure::{Bench, Figures, Plan};
use crate::member::Role;
use crate::product::Installation;

/// The server must have cut the stalled readers off this long after the load ended.
const CUT_WITHIN: u64 = 40 * SECOND;
const CUT_METRIC: &str = "psyche_websocket_slow_readers_cut_total";

/// Some readers stop reading while events flow; afterwards they are cut off, and told so when they read again.
pub fn stall(installation: &Installation, plan: &Plan) -> Outcome<Figures> {
    let mut bench = Bench::open(installation, plan)?;
    let mut figures = bench.load(plan)?;
    let stalled: Vec<usize> = (0..plan.readers).filter(|n| bench.swarm.members[*n].role == Role::Stalled).collect();
    if !stalled.is_empty() {
        let deadline = machine::now() + CUT_WITHIN;
        bench.swarm.may_go = true;
        while figures.stalled_cut < stalled.len() as u64 && machine::now() < deadline {
            let cut = bench.server.metric(CUT_METRIC)?.ok_or("the server does not count the readers it cuts off")?;
            if cut > figures.stalled_cut as f64 {
                figures.stalled_cut = cut as u64;
                // Within its patience for goodbyes: what it says can still be read.
                bench.swarm.read_again(&stalled)?;
            }
            bench.swarm.turn(machine::now() + 200 * MS)?;
        }
        while stalled.iter().any(|n| bench.swarm.members[*n].stream.is_some()) && machine::now() < deadline {
            bench.swarm.turn(machine::now() + 200 * MS)?;
        }
        figures.stalled_told = bench.swarm.tally.closes.get(&4010).copied().unwrap_or(0);
    }
    bench.close()?;
    Ok(figures)
}
