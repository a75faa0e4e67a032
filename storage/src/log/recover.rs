//! Recovery of the tail: the segments that reach above what is known to be durable.
//!
//! Below the floor (the durable mark) bytes were on the device, so a bad batch there is damage: it is skipped, noted, and
//! nothing behind it is cut. At or above the floor nothing was promised, and the log is cut at the first bad batch, at
//! the first batch that does not continue the one before, or at zeros. What is left above the floor is written again and
//! synced: a page that a failed fsync marked as clean passes its checksum and is still not on the disk.

use std::{io, mem, sync::Arc};

use protocol::{Offset, records::BatchHeader};

use super::load::{Folder, Rebuild};
use crate::{
    epochs::EpochHistory,
    error::{CorruptRange, IoFailure},
    fs::{File, OpenMode, read_vec_at, write_all_at},
    producers::Producers,
    segment::{
        Loaded, Segment, TimesSeen,
        name::FileKind,
        scan::{BadBatch, Depth, Scanner, Step},
    },
};

/// Bytes that are written again at a time.
const REWRITE_CHUNK_BYTES: u64 = 1024 * 1024;

/// What a start after an unclean stop found in the tail.
#[derive(Debug, Default)]
pub(super) struct TailReport {
    pub(super) segments: Vec<Segment>,
    pub(super) next_offset: Offset,
    pub(super) damaged: Vec<CorruptRange>,
    pub(super) bytes_dropped: u64,
    pub(super) bytes_rewritten: u64,
}

/// The walk over the tail.
#[derive(Debug)]
pub(super) struct TailWalk<'a> {
    pub(super) folder: Folder<'a>,
    /// Offsets below were durable.
    pub(super) floor: Offset,
    /// Whether offsets above the floor are known to have no gaps: they have none unless another broker wrote them.
    pub(super) without_gaps: bool,
    pub(super) producers: &'a mut Producers,
    pub(super) epochs: &'a mut EpochHistory,
}

/// Where one segment's walk has come to.
struct Walked {
    next_offset: Offset,
    end: u64,
    first_time: Option<i64>,
    rewrite_from: Option<u64>,
    damaged: Vec<CorruptRange>,
    behind_damage: bool,
    cut: bool,
}

impl TailWalk<'_> {
    /// Walks the segments from `slot` on, cuts what must go, writes the rest again, and syncs all of it.
    pub(super) fn run(&mut self, slot: usize) -> Result<TailReport, IoFailure> {
        let bases = &self.folder.files.bases[slot..];
        let mut report = TailReport {
            next_offset: bases[0],
            ..TailReport::default()
        };
        for (index, base) in bases.iter().enumerate() {
            if !self.continues(&mut report, *base) {
                self.remove(&bases[index..], &mut report)?;
                break;
            }
            let path = self.folder.path(*base, FileKind::Log);
            let cut = self
                .segment(*base, &mut report)
                .map_err(|error| IoFailure::new("recover", path, error))?;
            if cut {
                self.remove(&bases[index + 1..], &mut report)?;
                break;
            }
        }
        let dir = self.folder.dir;
        self.folder
            .fs
            .sync_dir(dir)
            .map_err(|error| IoFailure::new("sync", dir, error))?;
        Ok(report)
    }

    /// Whether a segment may follow what came before it.
    fn continues(&self, report: &mut TailReport, base: Offset) -> bool {
        let expected = report.next_offset;
        if base == expected {
            return true;
        }
        if base < expected || (self.floor <= expected && self.without_gaps) {
            return false;
        }
        if !self.folder.config.compacted {
            report.damaged.push(CorruptRange {
                first_offset: expected,
                next_offset: base,
            });
        }
        true
    }

    /// Walks one segment. Returns whether the log ends in it.
    fn segment(&mut self, base: Offset, report: &mut TailReport) -> io::Result<bool> {
        let file = self
            .folder
            .fs
            .open(&self.folder.path(base, FileKind::Log), OpenMode::ReadWrite)?;
        let metadata = file.metadata()?;
        let fresh = Rebuild::begin(&self.folder, base, Arc::clone(&file))?;
        let walked = self.walk(&*file, metadata.len, base, &fresh)?;
        if walked.cut {
            tracing::warn!(
                path = %self.folder.path(base, FileKind::Log).display(),
                log_end = walked.next_offset,
                bytes = metadata.len - walked.end,
                "tail cut behind the last whole batch"
            );
            file.truncate(walked.end)?;
            report.bytes_dropped += metadata.len - walked.end;
        }
        if let Some(from) = walked.rewrite_from {
            rewrite(&*file, from, walked.end)?;
            report.bytes_rewritten += walked.end - from;
        }
        let times = TimesSeen {
            first_append: walked.first_time.map(|first| {
                if first < 0 {
                    metadata.modified
                } else {
                    first.min(metadata.modified)
                }
            }),
            last_append: metadata.modified,
            ..fresh.segment.times_seen()
        };
        let loaded = Loaded {
            len: walked.end,
            next_offset: walked.next_offset,
            times,
            bytes_since_entry: 0,
            sealed: false,
        };
        let segment = fresh.finish(loaded);
        segment.write_indexes()?;
        segment.sync_log()?;
        segment.sync_indexes()?;
        report.next_offset = walked.next_offset;
        report.damaged.extend(walked.damaged);
        report.segments.push(segment);
        Ok(walked.cut)
    }

    fn walk(&mut self, file: &dyn File, len: u64, base: Offset, fresh: &Rebuild) -> io::Result<Walked> {
        let mut scanner = Scanner::new(file, 0, len, base..Offset::MAX);
        let mut walked = Walked {
            next_offset: base,
            end: 0,
            first_time: None,
            rewrite_from: None,
            damaged: Vec::new(),
            behind_damage: false,
            cut: false,
        };
        loop {
            let above = self.floor <= walked.next_offset;
            let step = scanner.step(if above { Depth::Checksums } else { Depth::Headers })?;
            match step {
                Step::End => return Ok(walked),
                Step::Batch { position, header } => {
                    let gap = header.base_offset != walked.next_offset;
                    if above && gap && self.without_gaps {
                        let expected = walked.next_offset;
                        report_cut(&BadBatch::OutOfOrder {
                            found: header.base_offset,
                            expected,
                        });
                        walked.cut = true;
                        return Ok(walked);
                    }
                    let bytes = if header.is_control() {
                        scanner.batch_bytes(position, &header)?.to_vec()
                    } else {
                        Vec::new()
                    };
                    self.take(fresh, &mut walked, &header, position, &bytes);
                }
                Step::Bad { reason, .. } if above => {
                    report_cut(&reason);
                    walked.cut = true;
                    return Ok(walked);
                }
                Step::Bad { position, reason } => {
                    tracing::error!(position, %reason, "damage below the durable mark");
                    if scanner.resync()?.is_none() {
                        return Ok(walked);
                    }
                    walked.behind_damage = true;
                }
            }
        }
    }

    fn take(&mut self, fresh: &Rebuild, walked: &mut Walked, header: &BatchHeader, position: u64, bytes: &[u8]) {
        if mem::take(&mut walked.behind_damage) && walked.next_offset < header.base_offset {
            walked.damaged.push(CorruptRange {
                first_offset: walked.next_offset,
                next_offset: header.base_offset,
            });
        }
        fresh.note(self.folder.config, self.producers, header, position, bytes);
        self.epochs.assign(header.partition_leader_epoch, header.base_offset);
        walked.first_time.get_or_insert(header.max_timestamp);
        if self.floor <= header.base_offset {
            walked.rewrite_from.get_or_insert(position);
        }
        walked.next_offset = header.next_offset();
        walked.end = position + header.total_len() as u64;
    }

    /// Removes segments that lie behind the end of the log.
    fn remove(&self, bases: &[Offset], report: &mut TailReport) -> Result<(), IoFailure> {
        for base in bases {
            for kind in FileKind::OF_SEGMENT {
                let path = self.folder.path(*base, kind);
                if kind == FileKind::Log {
                    let len = self.folder.fs.metadata(&path).map_or(0, |metadata| metadata.len);
                    tracing::warn!(path = %path.display(), bytes = len, "segment behind the end of the log removed");
                    report.bytes_dropped += len;
                }
                match self.folder.fs.remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(IoFailure::new("remove", path, error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn report_cut(reason: &BadBatch) {
    tracing::warn!(%reason, "end of the log");
}

/// Writes a range of a file over itself, which makes its pages dirty again.
fn rewrite(file: &dyn File, from: u64, to: u64) -> io::Result<()> {
    let mut position = from;
    while position < to {
        let chunk = usize::try_from(REWRITE_CHUNK_BYTES.min(to - position)).expect("a chunk fits memory");
        let bytes = read_vec_at(file, position, chunk)?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write_all_at(file, &bytes, position)?;
        position += bytes.len() as u64;
    }
    Ok(())
}
