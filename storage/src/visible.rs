//! What a reader sees: the one place that decides it for SQL, on the same marks and the same index of aborted
//! transactions as [`Log::read`].

use std::sync::Arc;

use bytes::Bytes;
use protocol::{
    Offset,
    records::{Batch, BatchIter},
};

use crate::{
    error::ReadError,
    index::AbortedRange,
    log::{Isolation, Log},
    segment::{
        Segment,
        scan::{check_crc, check_header, is_contradicted},
    },
};

/// Reads the data batches of a log in order: control batches are skipped, aborted transactions dropped (under
/// [`Isolation::Committed`]), batches that compaction emptied left out.
///
/// Sealed segments come out of a memory map without a copy, where that is configured; everything else as
/// [`Log::read`] serves it. Not shared between threads; blocks for the disk, so never on an async thread.
#[derive(Debug)]
pub struct VisibleReader {
    log: Arc<Log>,
    position: Offset,
    until: Option<Offset>,
    isolation: Isolation,
    cursor: Option<Cursor>,
}

/// A place in a mapped segment.
#[derive(Debug)]
struct Cursor {
    segment: Arc<Segment>,
    bytes: Bytes,
    offset: Offset,
    at: usize,
}

/// Batches of one step, not yet filtered.
struct Run {
    batches: Vec<Batch>,
    next_offset: Offset,
}

impl VisibleReader {
    /// Reads from `from` on; batches that begin at or above `until` are not read.
    ///
    /// Batches are never cut: the first may begin below `from`, and the last may reach beyond `until`.
    #[must_use]
    pub fn new(log: Arc<Log>, from: Offset, until: Option<Offset>, isolation: Isolation) -> Self {
        Self {
            log,
            position: from,
            until,
            isolation,
            cursor: None,
        }
    }

    /// Offset that will be looked at next: everything below has been yielded or is invisible for good.
    #[must_use]
    pub fn position(&self) -> Offset {
        self.position
    }

    /// Reads on from another offset, for instance behind a damaged range.
    pub fn seek(&mut self, offset: Offset) {
        self.position = offset;
    }

    /// The log that is read.
    #[must_use]
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// The next visible batches, about `max_bytes` of them and at least one; `None` when there is nothing more to see at
    /// the moment, or the end (`until`) is reached.
    ///
    /// # Errors
    /// [`ReadError`]; the position stays in front of what could not be read.
    pub fn next_batches(&mut self, max_bytes: usize) -> Result<Option<Vec<Batch>>, ReadError> {
        loop {
            let marks = self.log.marks();
            let bound = self
                .until
                .map_or(Offset::MAX, |until| until)
                .min(self.isolation.bound(&marks));
            if bound <= self.position && self.position <= marks.log_end {
                return Ok(None);
            }
            self.log.check_range(self.position, &marks)?;
            let run = match self.mapped_run(bound, max_bytes)? {
                Some(run) => run,
                None => self.read_run(bound, max_bytes)?,
            };
            if run.next_offset <= self.position {
                return Ok(None);
            }
            let visible = self.visible(run.batches, run.next_offset);
            self.position = run.next_offset;
            if !visible.is_empty() {
                return Ok(Some(visible));
            }
        }
    }

    fn visible(&self, batches: Vec<Batch>, next_offset: Offset) -> Vec<Batch> {
        let aborted = match self.isolation {
            Isolation::Committed => self.log.aborted_in(self.position, next_offset),
            Isolation::Uncommitted | Isolation::LogEnd => Vec::new(),
        };
        let keep = |batch: &Batch| {
            let header = &batch.header;
            !header.is_control() && 0 < header.record_count && !is_aborted(batch, &aborted)
        };
        batches.into_iter().filter(keep).collect()
    }

    fn read_run(&self, bound: Offset, max_bytes: usize) -> Result<Run, ReadError> {
        let slice = self.log.read(self.position, self.isolation, max_bytes, true)?;
        let mut run = Run {
            batches: Vec::new(),
            next_offset: self.position,
        };
        for batch in BatchIter::new(slice.bytes).map_while(Result::ok) {
            if bound <= batch.header.base_offset {
                break;
            }
            run.next_offset = batch.header.next_offset();
            run.batches.push(batch);
        }
        Ok(run)
    }

    /// Batches out of a mapped segment; `None` where there is none, or where something is wrong that the ordinary read
    /// will tell.
    fn mapped_run(&mut self, bound: Offset, max_bytes: usize) -> Result<Option<Run>, ReadError> {
        if !self.log.node().config.mmap || !self.place_cursor()? {
            self.cursor = None;
            return Ok(None);
        }
        let Some(cursor) = &mut self.cursor else {
            return Ok(None);
        };
        let mut run = Run {
            batches: Vec::new(),
            next_offset: self.position,
        };
        let (mut taken, mut allowed) = (
            0,
            self.position.min(cursor.segment.base_offset())..cursor.segment.next_offset(),
        );
        while taken < max_bytes.max(1) {
            let rest = &cursor.bytes[cursor.at..];
            let Ok(header) = check_header(rest, &allowed, rest.len() as u64) else {
                break;
            };
            let size = header.total_len();
            let misplaced = allowed.start < header.base_offset && is_contradicted(&header, &rest[size..]);
            if misplaced || bound <= header.base_offset || check_crc(&header, &rest[..size]).is_err() {
                break;
            }
            run.batches.push(Batch {
                header,
                bytes: cursor.bytes.slice(cursor.at..cursor.at + size),
            });
            run.next_offset = header.next_offset();
            (allowed.start, cursor.offset) = (run.next_offset, run.next_offset);
            cursor.at += size;
            taken += size;
        }
        Ok((!run.batches.is_empty()).then_some(run))
    }

    /// Puts the cursor at the position; false when its segment is not mapped.
    fn place_cursor(&mut self) -> Result<bool, ReadError> {
        let position = self.position;
        let in_place = |cursor: &Cursor| cursor.offset == position && cursor.at < cursor.bytes.len();
        if self.cursor.as_ref().is_some_and(in_place) {
            return Ok(true);
        }
        let segment = self.log.segment_for(position);
        let Some(bytes) = segment.mapped() else {
            return Ok(false);
        };
        let at = segment
            .position_of(position)
            .map_err(|error| self.log.read_failed(&segment, error))?;
        let at = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        self.cursor = Some(Cursor {
            segment,
            bytes,
            offset: position,
            at,
        });
        Ok(true)
    }
}

/// Whether a batch belongs to a transaction that was aborted.
fn is_aborted(batch: &Batch, aborted: &[AbortedRange]) -> bool {
    let header = &batch.header;
    header.is_transactional()
        && aborted.iter().any(|range| {
            range.producer_id == header.producer_id
                && range.first_offset <= header.base_offset
                && header.base_offset <= range.last_offset
        })
}
