//! What lies in a partition's folder when a log is opened, and tidying it.

use std::{io, path::Path};

use protocol::Offset;

use crate::{
    error::{IoFailure, OpenError},
    fs::Fs,
    segment::name::{self, DELETED_SUFFIX, FileKind, TEMPORARY_SUFFIX},
};

/// A partition folder's files, as far as recovery is concerned.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Base offsets of the segments, ascending.
    pub(super) bases: Vec<Offset>,
    /// Offsets of the producer snapshots, ascending.
    pub(super) snapshots: Vec<Offset>,
}

impl Files {
    /// Where the segment at `slot` ends at the latest.
    pub(super) fn next_base(&self, slot: usize) -> Option<Offset> {
        self.bases.get(slot + 1).copied()
    }
}

/// Lists a folder and removes what earlier runs left: half-written files, files waiting to be unlinked, segments wholly
/// below the log start, empty segments that a failed roll left inside another one.
pub(super) fn list_files(fs: &dyn Fs, dir: &Path, log_start: Offset) -> Result<Files, OpenError> {
    let failed = |error: io::Error| IoFailure::new("list", dir, error);
    let mut files = Files::default();
    for entry in fs.list(dir).map_err(failed)? {
        if entry.is_dir {
            continue;
        }
        if entry.name.ends_with(DELETED_SUFFIX) || entry.name.ends_with(TEMPORARY_SUFFIX) {
            fs.remove_file(&dir.join(&entry.name)).map_err(failed)?;
            continue;
        }
        match name::parse(&entry.name) {
            Some((offset, FileKind::Log)) => files.bases.push(offset),
            Some((offset, FileKind::Snapshot)) => files.snapshots.push(offset),
            _ => {}
        }
    }
    files.bases.sort_unstable();
    files.snapshots.sort_unstable();
    let below = files.bases.windows(2).take_while(|pair| pair[1] <= log_start).count();
    for base in files.bases.drain(..below) {
        remove_segment(fs, dir, base).map_err(failed)?;
    }
    drop_empty_end(fs, dir, &mut files).map_err(failed)?;
    prune_snapshots(fs, dir, &mut files);
    Ok(files)
}

/// Drops segments without a byte at the end, but for the only one. A roll that failed may have left one whose name came
/// back with a crash, inside what the segment before it holds by now; and one that a roll left on purpose is made again
/// by the next append. Producer snapshots of that name stay: they are right.
fn drop_empty_end(fs: &dyn Fs, dir: &Path, files: &mut Files) -> io::Result<()> {
    while let [.., _, last] = files.bases[..] {
        if 0 < fs.metadata(&name::path(dir, last, FileKind::Log))?.len {
            break;
        }
        for kind in [
            FileKind::OffsetIndex,
            FileKind::TimeIndex,
            FileKind::TransactionIndex,
            FileKind::Log,
        ] {
            match fs.remove_file(&name::path(dir, last, kind)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        files.bases.pop();
    }
    Ok(())
}

/// Keeps the snapshots at segment borders and the newest one, as Kafka does.
fn prune_snapshots(fs: &dyn Fs, dir: &Path, files: &mut Files) {
    let newest = files.snapshots.last().copied();
    let bases = &files.bases;
    let stray = files.snapshots.extract_if(.., |offset| {
        Some(*offset) != newest && bases.binary_search(offset).is_err()
    });
    for offset in stray {
        for kind in [FileKind::Snapshot, FileKind::ProducerWindows] {
            // A stray snapshot is right, only superfluous; a failure to remove it changes nothing.
            let _ = fs.remove_file(&name::path(dir, offset, kind));
        }
    }
}

fn remove_segment(fs: &dyn Fs, dir: &Path, base: Offset) -> io::Result<()> {
    for kind in FileKind::OF_SEGMENT {
        match fs.remove_file(&name::path(dir, base, kind)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_ends_where_the_next_begins() {
        let files = Files {
            bases: vec![0, 10],
            snapshots: Vec::new(),
        };
        assert_eq!((files.next_base(0), files.next_base(1)), (Some(10), None));
    }
}
