//! The machine: its clock, its cores, and what the kernel knows about a process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use crate::Outcome;

/// The core of the server and of the floors.
pub const SERVER_CORE: usize = 0;
/// The core of this tool.
pub const TOOL_CORE: usize = 1;

pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1_000 * MS;

/// Nanoseconds of the monotonic clock, which all processes share.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * SECOND + time.tv_nsec as u64
}

/// Puts this thread, and what it starts from now on, on one core.
pub fn pin(core: usize) -> Outcome {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).map_err(|e| format!("pin to core {core}: {e}; two cores are needed"))?;
    Ok(())
}

/// Every reader is a descriptor here and one in the server: takes as many as the system allows.
pub fn raise_descriptors() -> Outcome {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(())
}

/// Processor time of a process so far, thread by thread.
#[derive(Clone, Debug)]
pub struct CpuTime {
    /// Nanoseconds on a core, from the scheduler.
    threads: BTreeMap<u32, u64>,
    /// User and system time of the whole process, ended threads included, in ticks of 10 ms.
    ticks: u64,
}

impl CpuTime {
    pub fn of(pid: u32) -> Outcome<Self> {
        let mut threads = BTreeMap::new();
        for entry in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            let path = entry?.path();
            let id: Option<u32> = path.file_name().and_then(|name| name.to_str()?.parse().ok());
            // A thread may end between the listing and the look at it.
            let Ok(text) = std::fs::read_to_string(path.join("schedstat")) else { continue };
            let ran = text.split(' ').next().and_then(|word| word.parse().ok());
            threads.extend(id.zip(ran));
        }
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let field = |n: usize| after_name.split(' ').nth(n).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        Ok(Self { threads, ticks: field(12) + field(13) })
    }

    /// Nanoseconds spent since `earlier`. Exact while no thread ended meanwhile; else to 20 ms.
    pub fn since(&self, earlier: &Self) -> u64 {
        if earlier.threads.keys().all(|id| self.threads.contains_key(id)) {
            let before = |id| earlier.threads.get(id).copied().unwrap_or(0);
            return self.threads.iter().map(|(id, ran)| ran.saturating_sub(before(id))).sum();
        }
        (self.ticks - earlier.ticks) * 10 * MS
    }
}

/// Time both cores were busy so far, with whatever, in nanoseconds to the next 10 ms.
pub fn busy() -> Outcome<u64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let of = |core: usize| -> Option<u64> {
        let line = stat.lines().find_map(|line| line.strip_prefix(&format!("cpu{core} ")))?;
        let ticks: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        // User, nice, system, (idle, waiting,) interrupts, soft interrupts, stolen.
        Some([0, 1, 2, 5, 6, 7].iter().filter_map(|n| ticks.get(*n)).sum())
    };
    let cores = of(SERVER_CORE).zip(of(TOOL_CORE)).ok_or("/proc/stat names no such cores")?;
    Ok((cores.0 + cores.1) * 10 * MS)
}

/// Memory of a process in KiB, from `/proc/PID/status`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    pub resident: u64,
    pub peak: u64,
}

impl Memory {
    pub fn of(pid: u32) -> Outcome<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse().ok()).unwrap_or(0)
        };
        Ok(Self { resident: field("VmRSS:"), peak: field("VmHWM:") })
    }
}

/// Where throw-away data directories are made: beside this program, on the disk of the checkout and never in memory.
pub fn scratch() -> PathBuf {
    let own = std::env::current_exe().ok();
    own.as_deref().and_then(Path::parent).map_or_else(|| PathBuf::from("."), Path::to_owned)
}
