//! The producers' state at an offset: the newest usable snapshot below it, and the batches in between.

use std::{io, path::Path};

use bytes::Bytes;
use protocol::{
    Offset,
    records::{Batch, BatchHeader, parse_marker},
};

use super::files::Files;
use crate::{
    checkpoint::read_at_most,
    error::IoFailure,
    fs::{Fs, OpenMode},
    producers::{CompletedTransaction, Producers, apply_windows, decode_snapshot},
    segment::{
        name::{self, FileKind},
        scan::{Depth, Scanner, Step},
    },
};

/// Longest file of producers that is read: some twenty times what [`crate::StorageConfig::producer_ids_max`] makes of it
/// by default. A longer one is not of ours.
const PRODUCER_FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Computes the producers' state below `offset`, `ids_max` of them. A snapshot that cannot be used costs time, never the
/// log.
pub(super) fn producers_at(
    fs: &dyn Fs,
    dir: &Path,
    files: &Files,
    offset: Offset,
    ids_max: usize,
) -> Result<Producers, IoFailure> {
    let (from, mut producers) = newest_snapshot(fs, dir, files, offset, ids_max);
    if from == offset {
        return Ok(producers);
    }
    for (slot, base) in files.bases.iter().enumerate() {
        let ended_before = files.next_base(slot).is_some_and(|next| next <= from);
        if ended_before || offset <= *base {
            continue;
        }
        let path = name::path(dir, *base, FileKind::Log);
        replay(fs, &path, *base, from..offset, &mut producers)
            .map_err(|error| IoFailure::new("replay", path, error))?;
    }
    Ok(producers)
}

/// Enters one stored batch into the producers' state; control batches say what they end. `bytes` is the whole batch.
/// Returns the transaction that it ends.
pub(super) fn apply_batch(
    producers: &mut Producers,
    header: &BatchHeader,
    bytes: &[u8],
) -> Option<CompletedTransaction> {
    if !header.is_control() {
        producers.apply_data(header);
        return None;
    }
    let batch = Batch {
        header: *header,
        bytes: Bytes::copy_from_slice(bytes),
    };
    let marker = parse_marker(&batch).ok()?;
    producers.apply_marker(&marker, header.base_offset)
}

fn newest_snapshot(fs: &dyn Fs, dir: &Path, files: &Files, offset: Offset, ids_max: usize) -> (Offset, Producers) {
    for snapshot in files.snapshots.iter().rev().filter(|snapshot| **snapshot <= offset) {
        let path = name::path(dir, *snapshot, FileKind::Snapshot);
        let Some(bytes) = read_producers(fs, &path) else {
            continue;
        };
        match decode_snapshot(&bytes, ids_max) {
            Ok(mut producers) => {
                fill_windows(fs, dir, *snapshot, &mut producers);
                return (*snapshot, producers);
            }
            Err(error) => tracing::warn!(path = %path.display(), %error, "producer snapshot not used"),
        }
    }
    let first = files.bases.first().copied().unwrap_or(0);
    (first, Producers::new(ids_max))
}

fn fill_windows(fs: &dyn Fs, dir: &Path, snapshot: Offset, producers: &mut Producers) {
    let path = name::path(dir, snapshot, FileKind::ProducerWindows);
    let Some(bytes) = read_producers(fs, &path) else { return };
    if !apply_windows(producers, &bytes) {
        tracing::warn!(path = %path.display(), "producer windows are damaged, only the last batch of each is known");
    }
}

/// A file of producers; `None` when there is none or it cannot be read.
fn read_producers(fs: &dyn Fs, path: &Path) -> Option<Vec<u8>> {
    read_at_most(fs, path, PRODUCER_FILE_BYTES_MAX).unwrap_or_else(|error| {
        tracing::warn!(%error, "a file of producers is not used");
        None
    })
}

fn replay(
    fs: &dyn Fs,
    path: &Path,
    base: Offset,
    range: std::ops::Range<Offset>,
    producers: &mut Producers,
) -> io::Result<()> {
    let file = fs.open(path, OpenMode::Read)?;
    let len = file.metadata()?.len;
    let mut scanner = Scanner::new(&*file, 0, len, base..Offset::MAX);
    loop {
        match scanner.step(Depth::Headers)? {
            Step::End => return Ok(()),
            Step::Batch { header, .. } if range.end <= header.base_offset => return Ok(()),
            Step::Batch { header, .. } if header.next_offset() <= range.start => {}
            Step::Batch { position, header } => {
                let bytes = if header.is_control() {
                    scanner.batch_bytes(position, &header)?
                } else {
                    &[]
                };
                apply_batch(producers, &header, bytes);
            }
            Step::Bad { .. } => {
                if scanner.resync()?.is_none() {
                    return Ok(());
                }
            }
        }
    }
}
