//! What the measured server itself used, read from `/proc/<pid>` (Linux).

use std::fs;
use std::time::Duration;

use crate::cli::error::CliError;

/// The unit of CPU time in `/proc` (`USER_HZ`), which is the same on every Linux that we run on.
const TICKS_PER_SECOND: u64 = 100;

/// CPU time and memory of a process at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerUsage {
    /// User and system time since the process started.
    pub(super) cpu: Duration,
    /// Resident memory in bytes.
    pub(super) resident_bytes: u64,
    /// The most that was ever resident, in bytes.
    pub(super) resident_peak_bytes: u64,
}

impl ServerUsage {
    /// Reads the figures of process `pid`.
    pub(super) fn read(pid: u32) -> Result<ServerUsage, CliError> {
        let stat = read(pid, "stat")?;
        let status = read(pid, "status")?;
        let cpu = cpu_time(&stat).ok_or_else(|| unreadable(pid, "stat"))?;
        let resident_bytes = kibibytes(&status, "VmRSS:").ok_or_else(|| unreadable(pid, "status"))?;
        let resident_peak_bytes = kibibytes(&status, "VmHWM:").unwrap_or(resident_bytes);
        Ok(ServerUsage {
            cpu,
            resident_bytes,
            resident_peak_bytes,
        })
    }
}

fn read(pid: u32, file: &str) -> Result<String, CliError> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).map_err(|error| CliError::not_found(format!("cannot read {path}: {error}")))
}

fn unreadable(pid: u32, file: &str) -> CliError {
    CliError::failed(format!("/proc/{pid}/{file} has an unknown form"))
}

/// Fields 14 and 15 of `stat` (user and system ticks); the command's name before them may hold spaces.
fn cpu_time(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND))
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with(name))?;
    let count: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(count * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_spaces_and_brackets_is_skipped() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 100 1000 10";
        assert_eq!(cpu_time(stat), Some(Duration::from_secs(2)));
    }

    #[test]
    fn this_process_has_memory() {
        let usage = ServerUsage::read(std::process::id()).expect("own /proc entry");
        assert!(usage.resident_bytes > 0);
        assert!(usage.resident_peak_bytes >= usage.resident_bytes);
    }
}
