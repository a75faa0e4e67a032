//! The disk's own ceiling: what append + fdatasync gives without any broker, printed beside every result.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::cli::error::CliError;
use crate::env::Env;

const ROUND: Duration = Duration::from_millis(700);

/// What the disk gives to one writer.
#[derive(Debug, Clone, Copy)]
pub(super) struct DiskCeiling {
    /// Appends of 4 KiB, each followed by fdatasync, per second.
    pub(super) small_syncs_per_second: f64,
    /// Bytes per second when 1 MiB is written per fdatasync.
    pub(super) large_bytes_per_second: f64,
}

impl DiskCeiling {
    /// Measures for about 1.5 seconds in a file of its own below `folder`.
    pub(super) fn measure(folder: &Path) -> Result<DiskCeiling, CliError> {
        let path = folder.join(format!(".tidemill-bench-{}", std::process::id()));
        let measured = Self::measure_in(&path);
        // The file is ours; that it cannot be removed changes nothing about the figures.
        let _ = fs::remove_file(&path);
        measured.map_err(|error| CliError::failed(format!("cannot measure the disk at {}: {error}", path.display())))
    }

    fn measure_in(path: &Path) -> std::io::Result<DiskCeiling> {
        let small = syncs_per_second(path, 4 * 1024)?;
        let large = syncs_per_second(path, 1024 * 1024)?;
        Ok(DiskCeiling {
            small_syncs_per_second: small,
            large_bytes_per_second: large * 1024.0 * 1024.0,
        })
    }
}

fn syncs_per_second(path: &Path, bytes: usize) -> std::io::Result<f64> {
    let mut file = File::create(path)?;
    let block = vec![0x5a; bytes];
    let env = Env::system();
    let mut count = 0_u32;
    while env.monotonic() < ROUND {
        file.write_all(&block)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / env.monotonic().as_secs_f64())
}
