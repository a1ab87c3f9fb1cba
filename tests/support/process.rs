//! A child process that cannot outlive the run.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use crate::run;

/// A running child: ended when dropped, and by the keeper if this process dies first.
#[derive(Debug)]
pub struct Process {
    child: Child,
    note: PathBuf,
    end: Signal,
}

impl Process {
    /// Starts `command`; `end` is the signal that ends it for good.
    ///
    /// # Panics
    /// If the program cannot be started.
    pub fn start(command: &mut Command, end: Signal) -> Self {
        let running = run::folder().join("running");
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let note = running.join(child.id().to_string());
        fs::write(&note, end.as_raw().to_string()).expect("note the process for the keeper");
        Self { child, note, end }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The child with its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends a signal; a process that has ended already does not mind.
    pub fn signal(&self, signal: Signal) {
        signal_to(self.pid(), signal);
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        let status = self.child.wait().expect("wait for a child");
        let _ = fs::remove_file(&self.note);
        status
    }

    /// The exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("wait for a child")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.signal(self.end);
            self.signal(Signal::CONT);
        }
        self.wait();
    }
}

/// Sends a signal to a process that is ours, or a child of one.
pub fn signal_to(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        let _ = kill_process(pid, signal);
    }
}

/// The processes whose parent is `parent`.
pub fn children(parent: u32) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| stat(*pid).is_some_and(|fields| fields[1] == parent.to_string()))
        .collect()
}

/// Processor time that a process has used, in clock ticks (hundredths of a second), with its ended children's.
pub fn ticks(pid: u32) -> u64 {
    let number = |field: &String| field.parse::<u64>().unwrap_or(0);
    stat(pid).map_or(0, |fields| fields[11..15].iter().map(number).sum())
}

/// Resident memory of a process in KiB, its peak.
pub fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}

/// The fields of `/proc/<pid>/stat` from the third (state) on.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets, and may hold spaces.
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(String::from).collect())
}
