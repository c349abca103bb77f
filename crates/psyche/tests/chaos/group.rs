//! A control group of the kernel: its processes have so much memory and no more, and one of them is killed when they need
//! more. Root alone may make one.
//!
//! Also used by `xtask`, which includes this file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where groups are made, the file of their limit, and the one that tells how often a process was killed; version 1 first.
const KINDS: [(&str, &str, &str); 2] = [
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.oom_control"),
    ("/sys/fs/cgroup", "memory.max", "memory.events"),
];

pub struct Group {
    path: PathBuf,
    limit: &'static str,
    killed: &'static str,
}

impl Group {
    /// `None` where none can be made.
    pub fn make() -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("psyche-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        for (root, limit, killed) in KINDS {
            // Groups of version 2 have what their parent hands down.
            let _ = fs::write(Path::new(root).join("cgroup.subtree_control"), "+memory");
            let path = Path::new(root).join(&name);
            if fs::create_dir(&path).is_ok() {
                let group = Self { path, limit, killed };
                if group.path.join(limit).exists() {
                    // What is swapped out is not used less; where nothing is swapped these may be missing.
                    let _ = fs::write(group.path.join("memory.swappiness"), "0");
                    let _ = fs::write(group.path.join("memory.swap.max"), "0");
                    return Some(group);
                }
            }
        }
        None
    }

    /// The same program, in the group from its first moment on.
    pub fn within(&self, command: &Command) -> Command {
        let mut within = Command::new("sh");
        within.args(["-c", r#"echo $$ >"$0" && exec "$@""#]).arg(self.path.join("cgroup.procs"));
        within.arg(command.get_program()).args(command.get_args());
        within.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        within
    }

    pub fn limit(&self, bytes: u64) -> std::io::Result<()> {
        fs::write(self.path.join(self.limit), bytes.to_string())
    }

    /// Processes of it that the kernel has killed for want of memory.
    pub fn killed(&self) -> Option<u64> {
        let told = fs::read_to_string(self.path.join(self.killed)).ok()?;
        told.lines().find_map(|line| line.strip_prefix("oom_kill "))?.parse().ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}
