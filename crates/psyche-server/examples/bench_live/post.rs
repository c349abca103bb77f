//! Single annotations over HTTP, against the disk they are stored on.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use crate::Outcome;
use crate::drive::{Drive, Via};
use crate::histogram::Histogram;
use crate::machine::{self, SECOND};
use crate::measure::{JOIN, heads, reader};
use crate::member::{Member, Role};
use crate::product::Installation;
use crate::swarm::Swarm;
use crate::tally::Tally;

/// An annotation over HTTP on an idle machine, against the bare write of a block to the same disk.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Posted {
    pub seen_p50_ms: f64,
    pub fsync_p50_ms: f64,
    pub beyond_ms: f64,
}

const BLOCK: usize = 4096;
const BLOCKS: u64 = 256;

pub fn post(installation: &Installation, count: usize) -> Outcome<Posted> {
    let server = installation.serve()?;
    let heads = heads(installation, &server)?;
    let members = vec![
        reader(installation, &heads, 0, Role::Reader),
        Member { cursor: heads[0].1, ..Member::new(Role::Http, 0) },
    ];
    let mut tally = Tally::new(1);
    tally.sessions[0].audience = 1;
    let mut swarm = Swarm::new(server.port, members, tally)?;
    swarm.open_all(0..2, JOIN)?;
    let mut drive = Drive::new(Via::Http, vec![vec![1]], Some(installation), 600);
    let file = tempfile::tempfile_in(machine::scratch())?;
    file.write_all_at(&vec![0; BLOCK * BLOCKS as usize], 0)?;
    file.sync_all()?;
    let mut fsync = Histogram::default();
    // The first ones warm caches and files.
    for n in 0..count + count / 10 {
        if n == count / 10 {
            swarm.tally.window = (machine::now(), u64::MAX);
            fsync = Histogram::default();
        }
        fsync.record(write_and_sync(&file, n as u64)?);
        drive.send(&mut swarm, 0)?;
        let deadline = machine::now() + 10 * SECOND;
        while swarm.tally.in_flight() > 0 || swarm.members[1].busy {
            swarm.turn(deadline)?;
            swarm.tally.check()?;
            if machine::now() > deadline {
                return Err("an annotation did not arrive within 10 s".into());
            }
        }
    }
    let seen = swarm.tally.latency.percentile_ms(50.0).ok_or("nothing was measured")?;
    let fsync = fsync.percentile_ms(50.0).ok_or("nothing was measured")?;
    drop(swarm);
    server.stop()?;
    Ok(Posted { seen_p50_ms: seen, fsync_p50_ms: fsync, beyond_ms: seen - fsync })
}

/// Writes over a block that the disk already has: a sync without the change of a file's length is the cheapest there is.
fn write_and_sync(file: &File, n: u64) -> Outcome<u64> {
    let began = machine::now();
    file.write_all_at(&[7; BLOCK], n % BLOCKS * BLOCK as u64)?;
    file.sync_data()?;
    Ok(machine::now() - began)
}
