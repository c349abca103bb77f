//! What the process uses of the machine: sampled when asked, at most once a second.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use utoipa::ToSchema;

#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct ResourceUsage {
    /// Of all processors together, 0 to 100.
    pub cpu_percent: f64,
    /// Of the machine's memory, 0 to 100.
    pub memory_percent: f64,
    /// Resident memory of this process, in MiB.
    pub memory_mb: f64,
    pub active_threads: usize,
}

pub struct Monitor(Mutex<Sampler>);

struct Sampler {
    /// `None` where the machine tells nothing.
    system: Option<System>,
    sampled_at: Option<u64>,
    last: ResourceUsage,
}

impl Default for Monitor {
    fn default() -> Self {
        Self(Mutex::new(Sampler { system: System::new().ok(), sampled_at: None, last: ResourceUsage::default() }))
    }
}

impl Monitor {
    /// Processor use counts from the sample before; the first one reads 0.
    pub fn usage(&self, now_ms: u64) -> ResourceUsage {
        let mut sampler = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sampler.sampled_at.is_none_or(|at| now_ms.saturating_sub(at) >= 1_000) {
            sampler.sample();
            sampler.sampled_at = Some(now_ms);
        }
        sampler.last
    }
}

impl Sampler {
    fn sample(&mut self) {
        let pid = Pid::from_u32(std::process::id());
        let Some(system) = &mut self.system else { return };
        system.refresh_memory();
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory().with_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, what);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
        let Some(process) = system.process(pid) else { return };
        let memory = process.memory() as f64;
        self.last = ResourceUsage {
            cpu_percent: (f64::from(process.cpu_usage()) / cores).clamp(0.0, 100.0),
            memory_percent: 100.0 * memory / (system.total_memory().max(1) as f64),
            memory_mb: memory / f64::from(1 << 20),
            active_threads: process.tasks().map_or(1, std::collections::HashSet::len).max(1),
        };
    }
}
