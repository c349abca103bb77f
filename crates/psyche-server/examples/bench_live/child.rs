//! A process of ours: started on the server's core, ended by its id, never left behind.

use std::io::Read as _;
use std::process::{ChildStdout, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

use crate::Outcome;
use crate::machine::{self, MS, SECOND, SERVER_CORE, TOOL_CORE};

const STARTS_WITHIN: u64 = 60 * SECOND;

pub struct Child {
    process: std::process::Child,
    /// Held open: a child that prints to a closed pipe would fail.
    output: ChildStdout,
    name: &'static str,
}

impl Child {
    /// The child inherits the core of the thread that starts it, and so do all its threads.
    pub fn on_server_core(mut command: Command, name: &'static str) -> Outcome<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        machine::pin(SERVER_CORE)?;
        let started = command.spawn();
        machine::pin(TOOL_CORE)?;
        let mut process = started.map_err(|e| format!("start {name}: {e}"))?;
        let output = process.stdout.take().ok_or("the child has no output")?;
        Ok(Self { process, output, name })
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Reads what the child prints until a line holds `words`.
    pub fn line_with(&mut self, words: &str) -> Outcome<String> {
        let deadline = machine::now() + STARTS_WITHIN;
        let mut said = String::new();
        let mut piece = [0; 4096];
        loop {
            let lines = said.rfind('\n').map_or("", |end| &said[..end]);
            if let Some(line) = lines.lines().find(|line| line.contains(words)) {
                return Ok(line.to_owned());
            }
            let left = deadline.saturating_sub(machine::now());
            let patience = Timespec { tv_sec: (left / SECOND) as i64, tv_nsec: (left % SECOND) as i64 };
            if poll(&mut [PollFd::new(&self.output, PollFlags::IN)], Some(&patience))? == 0 {
                return Err(format!("{} did not say {words:?} within 60 s", self.name).into());
            }
            match self.output.read(&mut piece)? {
                0 => return Err(format!("{} ended before it said {words:?}", self.name).into()),
                n => said.push_str(&String::from_utf8_lossy(&piece[..n])),
            }
        }
    }

    pub fn terminate(&self) -> Outcome {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).ok_or("a process id out of range")?;
        Ok(kill_process(pid, Signal::TERM)?)
    }

    pub fn has_ended(&mut self) -> Outcome<bool> {
        Ok(self.process.try_wait()?.is_some())
    }

    /// Waits for the end of a process that was asked to leave; its closed output says when.
    pub fn wait_for_end(mut self, within: u64) -> Outcome {
        let deadline = machine::now() + within;
        while !self.has_ended()? {
            if machine::now() > deadline {
                return Err(format!("{} did not end within {} s", self.name, within / SECOND).into());
            }
            let patience = Timespec { tv_sec: 0, tv_nsec: 20 * MS as i64 };
            poll(&mut [], Some(&patience))?;
        }
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(Some(_))) {
            // It may end by itself in between: then there is nothing to kill.
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}
