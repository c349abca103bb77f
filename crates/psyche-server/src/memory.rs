//! Memory that is left. A process that the kernel ends for want of it leaves its sessions to the next one, which then has
//! more to carry: so whoever has little goes on with what is there and takes on nothing new.

use std::time::Duration;

use axum::Extension;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use tokio::time::Instant;

use crate::app::{App, Shared};
use crate::error::{Answer, ApiError};

const EVERY: Duration = Duration::from_millis(250);
/// Memory is short for as long as this at least: what is given back at once is asked for at once.
pub const AT_LEAST: Duration = Duration::from_secs(5);
/// Less than a tenth of all is short, but this is always enough.
const ENOUGH: u64 = 128 << 20;

/// Bytes that may be had, and those of them that nobody has.
#[derive(Clone, Copy, Debug)]
struct Room {
    all: u64,
    free: u64,
}

impl Room {
    fn reserve(self) -> u64 {
        (self.all / 10).min(ENOUGH)
    }

    /// Who was short is so until there is half as much again: else the first that is let in would be one too many.
    fn is_short(self, before: bool) -> bool {
        let reserve = self.reserve();
        self.free < if before { reserve + reserve / 2 } else { reserve }
    }
}

/// Looks at the memory of the process's control group, if that has a limit, and of the machine.
struct Gauge {
    system: System,
    pid: Pid,
}

impl Gauge {
    /// `None` where the machine tells nothing.
    fn new() -> Option<Self> {
        let (mut system, pid) = (System::new().ok()?, Pid::from_u32(std::process::id()));
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, ProcessRefreshKind::nothing());
        Some(Self { system, pid })
    }

    fn rooms(&mut self) -> Vec<Room> {
        self.system.refresh_memory();
        let machine = Room { all: self.system.total_memory(), free: self.system.available_memory() };
        let limits = self.system.process(self.pid).and_then(sysinfo::Process::cgroup_limits);
        // Pages of files are not counted, since the kernel takes them back before it ends anybody; nor is its own memory, such
        // as buffers of sockets.
        let group = limits.map(|l| Room { all: l.total_memory, free: l.total_memory.saturating_sub(l.rss) });
        group.into_iter().chain([machine]).filter(|room| room.all > 0).collect()
    }
}

/// Tells the engine whether memory is short, until the server leaves.
pub async fn watch(app: Shared) {
    let Some(mut gauge) = Gauge::new() else { return };
    let mut since: Option<Instant> = None;
    loop {
        let short = gauge.rooms().into_iter().find(|room| room.is_short(since.is_some()));
        match (short, since) {
            (Some(Room { all, free }), None) => {
                since = Some(Instant::now());
                app.ports.engine.short_of_memory(true);
                app.analyses.clear();
                tracing::warn!(
                    free_mib = free >> 20,
                    of_mib = all >> 20,
                    "memory is short: nothing new is taken on until there is more; give it more, or run more replicas"
                );
            }
            (None, Some(at)) if at.elapsed() >= AT_LEAST => {
                since = None;
                app.ports.engine.short_of_memory(false);
                tracing::info!("there is memory again");
            }
            _ => {}
        }
        tokio::select! {
            () = app.leaving.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// An error while memory is short.
pub fn is_there(app: &App) -> Answer<()> {
    if app.ports.engine.is_short_of_memory() {
        return Err(ApiError::short_of_memory());
    }
    Ok(())
}

/// Runs in front of what would take much memory, or some for long; before anything of the request is read.
pub async fn spare(Extension(app): Extension<Shared>, request: Request, next: Next) -> Response {
    match is_there(&app) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_is_kept_and_a_little_more_until_it_is_enough_again() {
        let small = |free: u64| Room { all: 1_000, free };
        assert!(!small(100).is_short(false));
        assert!(small(99).is_short(false));
        assert!(small(149).is_short(true));
        assert!(!small(150).is_short(true));
        let large = |free: u64| Room { all: 64 << 30, free };
        assert!(!large(ENOUGH).is_short(false), "6 GiB need not be free");
        assert!(large(ENOUGH - 1).is_short(false));
    }

    #[test]
    fn this_machine_tells_how_much_there_is() {
        let rooms = Gauge::new().unwrap().rooms();
        assert!(rooms.iter().all(|room| room.free > 0 && room.free < room.all), "{rooms:?}");
        assert!(!rooms.is_empty());
    }
}
