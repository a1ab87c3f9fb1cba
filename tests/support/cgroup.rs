//! A share of the processor, where control groups can be made.

use std::fs;
use std::path::{Path, PathBuf};

/// A control group that may use a part of one processor; it goes when dropped, after its processes.
#[derive(Debug)]
pub struct Share(PathBuf);

impl Share {
    /// So many percent of one processor; none where this process may not make control groups.
    pub fn of(percent: u32) -> Option<Self> {
        let name = format!("pg_webhook_{}_{percent}", std::process::id());
        let quota = percent * 1000;
        let root = Path::new("/sys/fs/cgroup");
        // Version 2, and version 1.
        let limits =
            [("", "cpu.max", format!("{quota} 100000")), ("cpu", "cpu.cfs_quota_us", quota.to_string())];
        limits.into_iter().find_map(|(controller, file, limit)| {
            let share = Self(root.join(controller).join(&name));
            let is_there = root.join(controller).join("cgroup.procs").exists();
            let made =
                is_there && fs::create_dir(&share.0).is_ok() && fs::write(share.0.join(file), limit).is_ok();
            made.then_some(share)
        })
    }

    /// Takes a process in.
    ///
    /// # Panics
    /// If it cannot be taken in.
    pub fn take(&self, pid: u32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).expect("move a process");
    }

    /// How often its processes had to stop.
    pub fn stops(&self) -> u64 {
        let stat = fs::read_to_string(self.0.join("cpu.stat")).unwrap_or_default();
        let line = stat.lines().find_map(|line| line.strip_prefix("nr_throttled "));
        line.and_then(|count| count.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
