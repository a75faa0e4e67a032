//! The transaction index: the aborted transactions whose marker lies in a segment.
//!
//! 34 bytes an entry, big-endian: version (i16, 0), producer id (i64), first offset of the transaction (i64), offset of
//! its abort marker (i64), last stable offset when the marker was written (i64). Kafka: `TransactionIndex`.
//!
//! Kafka makes the file with the first abort; here every segment has one, so that a missing file is known to be lost.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use protocol::{Offset, ProducerId};

use crate::{
    flush::sync_file,
    fs::{Fs, OpenMode, read_vec_at, write_all_at},
};

const ENTRY_SIZE: usize = 34;
const VERSION: i16 = 0;

const _: () = assert!(2 + 8 + 8 + 8 + 8 == ENTRY_SIZE);

/// One aborted transaction on one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AbortedRange {
    pub(crate) producer_id: ProducerId,
    /// Offset of its first record.
    pub(crate) first_offset: Offset,
    /// Offset of its abort marker.
    pub(crate) last_offset: Offset,
    /// Nothing below this offset was undecided once the marker was written.
    pub(crate) last_stable_offset: Offset,
}

impl AbortedRange {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&VERSION.to_be_bytes());
        for field in [
            self.producer_id,
            self.first_offset,
            self.last_offset,
            self.last_stable_offset,
        ] {
            out.extend_from_slice(&field.to_be_bytes());
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, fields) = bytes.split_first_chunk::<2>()?;
        if i16::from_be_bytes(*version) != VERSION {
            return None;
        }
        let field = |slot: usize| {
            fields
                .get(slot * 8..)?
                .first_chunk::<8>()
                .map(|bytes| i64::from_be_bytes(*bytes))
        };
        Some(Self {
            producer_id: field(0)?,
            first_offset: field(1)?,
            last_offset: field(2)?,
            last_stable_offset: field(3)?,
        })
    }
}

/// The aborted transactions of one segment, in the order of their markers. Few, so they stay in memory.
#[derive(Debug)]
pub(crate) struct TransactionIndex {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    ranges: RwLock<Vec<AbortedRange>>,
}

impl TransactionIndex {
    /// An empty index; an old file of that name is emptied.
    pub(crate) fn create(fs: &Arc<dyn Fs>, path: &Path) -> io::Result<Self> {
        fs.open(path, OpenMode::CreateEmpty)?;
        Ok(Self {
            fs: Arc::clone(fs),
            path: path.to_owned(),
            ranges: RwLock::new(Vec::new()),
        })
    }

    /// Reads a file; `None` when it is missing or cannot be what it should be: broken length, another version, or
    /// markers out of order or outside `base..next_offset`.
    pub(crate) fn open(fs: &Arc<dyn Fs>, path: &Path, base: Offset, next_offset: Offset) -> io::Result<Option<Self>> {
        let file = match fs.open(path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let len = usize::try_from(file.metadata()?.len).unwrap_or(usize::MAX);
        let bytes = read_vec_at(&*file, 0, len)?;
        let Some(ranges) = decode_all(&bytes, base, next_offset) else {
            return Ok(None);
        };
        Ok(Some(Self {
            fs: Arc::clone(fs),
            path: path.to_owned(),
            ranges: RwLock::new(ranges),
        }))
    }

    /// Notes an aborted transaction in memory and in the file.
    pub(crate) fn push(&self, range: AbortedRange) -> io::Result<()> {
        let mut ranges = self.ranges.write().unwrap_or_else(PoisonError::into_inner);
        let position = ranges.len() * ENTRY_SIZE;
        // In memory first: readers need it at once, and a file that misses it is rebuilt after a crash.
        ranges.push(range);
        let mut bytes = Vec::with_capacity(ENTRY_SIZE);
        range.encode(&mut bytes);
        write_all_at(&*self.fs.open(&self.path, OpenMode::Create)?, &bytes, position as u64)
    }

    /// Adds the ranges that overlap `from..to` to `out`; true when no later segment can hold another one.
    pub(crate) fn collect(&self, from: Offset, to: Offset, out: &mut Vec<AbortedRange>) -> bool {
        let ranges = self.ranges.read().unwrap_or_else(PoisonError::into_inner);
        for range in ranges.iter() {
            if from <= range.last_offset && range.first_offset < to {
                out.push(*range);
            }
            if to <= range.last_stable_offset {
                return true;
            }
        }
        false
    }

    /// Makes the file durable. One that retention took away has nothing to lose.
    pub(crate) fn sync(&self) -> io::Result<()> {
        sync_file(&*self.fs, &self.path)
    }

    /// Writes the whole file from memory: at the seal, so that a failed write in between leaves no hole.
    pub(crate) fn write_out(&self) -> io::Result<()> {
        let ranges = self.ranges.read().unwrap_or_else(PoisonError::into_inner);
        let file = self.fs.open(&self.path, OpenMode::Create)?;
        let mut bytes = Vec::with_capacity(ranges.len() * ENTRY_SIZE);
        ranges.iter().for_each(|range| range.encode(&mut bytes));
        if file.metadata()?.len != bytes.len() as u64 {
            file.truncate(bytes.len() as u64)?;
        }
        if bytes.is_empty() {
            return Ok(());
        }
        write_all_at(&*file, &bytes, 0)
    }
}

fn decode_all(bytes: &[u8], base: Offset, next_offset: Offset) -> Option<Vec<AbortedRange>> {
    if !bytes.len().is_multiple_of(ENTRY_SIZE) {
        return None;
    }
    let ranges: Vec<AbortedRange> = bytes
        .chunks_exact(ENTRY_SIZE)
        .map(AbortedRange::decode)
        .collect::<Option<_>>()?;
    let inside = ranges.iter().all(|range| {
        range.first_offset <= range.last_offset && base <= range.last_offset && range.last_offset < next_offset
    });
    let in_order = ranges.windows(2).all(|pair| pair[0].last_offset < pair[1].last_offset);
    (inside && in_order).then_some(ranges)
}
