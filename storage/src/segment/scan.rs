//! Walking the batches of a file, whatever its bytes are.

use std::{io, ops::Range};

use protocol::{
    Offset,
    records::{BatchError, BatchHeader, CrcMismatch, HEADER_LEN, MAGIC, MAGIC_OFFSET, batch_crc},
};

use crate::fs::{File, read_vec_at};

/// Bytes read at a time while only headers are looked at and batches are small.
const HEADER_CHUNK_BYTES: usize = 64 * 1024;
/// The same while batches are large, so that most of their bytes are never read.
const SPARSE_CHUNK_BYTES: usize = 4 * 1024;
/// What counts as large.
const LARGE_BATCH_BYTES: usize = 2 * SPARSE_CHUNK_BYTES;
/// Bytes read at a time while whole batches are checked.
const WHOLE_CHUNK_BYTES: usize = 1024 * 1024;

/// How much of each batch is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Header fields and order.
    Headers,
    /// The checksum too.
    Checksums,
}

/// Why bytes at a place are not the batch that belongs there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadBatch {
    #[error(transparent)]
    Malformed(#[from] BatchError),
    #[error(transparent)]
    Crc(#[from] CrcMismatch),
    #[error("offset {found} where {expected} or more was expected")]
    OutOfOrder { found: Offset, expected: Offset },
    #[error("last offset delta {0} is negative")]
    NegativeDelta(i32),
}

/// What lies at the scanner's position.
#[derive(Debug)]
pub(crate) enum Step {
    /// The end of what was to be scanned.
    End,
    /// A batch; the scanner has moved behind it.
    Batch { position: u64, header: BatchHeader },
    /// Something else; the scanner stays in front of it.
    Bad { position: u64, reason: BadBatch },
}

/// Checks what a header alone can tell: that its offsets lie in `allowed` and that it takes no more than `room` bytes.
pub(crate) fn check_header(bytes: &[u8], allowed: &Range<Offset>, room: u64) -> Result<BatchHeader, BadBatch> {
    let header = BatchHeader::parse(bytes)?;
    if room < header.total_len() as u64 {
        let available = usize::try_from(room).unwrap_or(usize::MAX);
        return Err(BatchError::Truncated {
            needed: header.total_len(),
            available,
        }
        .into());
    }
    if header.last_offset_delta < 0 {
        return Err(BadBatch::NegativeDelta(header.last_offset_delta));
    }
    if header.base_offset < allowed.start || allowed.end < header.next_offset() {
        return Err(BadBatch::OutOfOrder {
            found: header.base_offset,
            expected: allowed.start,
        });
    }
    Ok(header)
}

/// Whether the header behind a batch denies the batch's offsets: base offsets lie outside the checksum, so one that jumps
/// ahead is only believed when what follows agrees.
pub(crate) fn is_contradicted(header: &BatchHeader, behind: &[u8]) -> bool {
    BatchHeader::parse(behind).is_ok_and(|next| next.base_offset < header.next_offset())
}

/// Compares a whole batch with its checksum.
pub(crate) fn check_crc(header: &BatchHeader, batch: &[u8]) -> Result<(), BadBatch> {
    let (stored, computed) = (header.crc, batch_crc(batch));
    if stored == computed {
        Ok(())
    } else {
        Err(CrcMismatch { stored, computed }.into())
    }
}

/// Walks batches from a position to an end, reading in chunks.
#[derive(Debug)]
pub(crate) struct Scanner<'f> {
    file: &'f dyn File,
    position: u64,
    end: u64,
    allowed: Range<Offset>,
    header_chunk: usize,
    buf: Vec<u8>,
    buf_at: u64,
}

impl<'f> Scanner<'f> {
    /// Starts at `position`, where a batch should begin; offsets lie in `allowed`.
    pub(crate) fn new(file: &'f dyn File, position: u64, end: u64, allowed: Range<Offset>) -> Self {
        Self {
            file,
            position,
            end,
            allowed,
            header_chunk: SPARSE_CHUNK_BYTES,
            buf: Vec::new(),
            buf_at: 0,
        }
    }

    /// Where the next batch should begin.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Looks at the next batch.
    pub(crate) fn step(&mut self, depth: Depth) -> io::Result<Step> {
        let position = self.position;
        if self.end <= position {
            return Ok(Step::End);
        }
        let (allowed, room) = (self.allowed.clone(), self.end - position);
        let header = match check_header(self.window(position, HEADER_LEN, depth)?, &allowed, room) {
            Ok(header) => header,
            Err(reason) => return Ok(Step::Bad { position, reason }),
        };
        let behind = position + header.total_len() as u64;
        if allowed.start < header.base_offset && behind < self.end {
            let window = self.window(behind, HEADER_LEN, depth)?;
            if is_contradicted(&header, window) {
                let reason = BadBatch::OutOfOrder {
                    found: header.base_offset,
                    expected: allowed.start,
                };
                return Ok(Step::Bad { position, reason });
            }
        }
        if depth == Depth::Checksums {
            let batch = self.window(position, header.total_len(), depth)?;
            if let Err(reason) = check_crc(&header, batch) {
                return Ok(Step::Bad { position, reason });
            }
        }
        self.header_chunk = if LARGE_BATCH_BYTES <= header.total_len() {
            SPARSE_CHUNK_BYTES
        } else {
            HEADER_CHUNK_BYTES
        };
        self.position += header.total_len() as u64;
        self.allowed.start = header.next_offset();
        Ok(Step::Batch { position, header })
    }

    /// Moves past bytes that are no batch, to the next whole and intact batch with offset `expected` or more; `None`
    /// when there is none up to the end.
    pub(crate) fn resync(&mut self) -> io::Result<Option<u64>> {
        let mut position = self.position + 1;
        while position + HEADER_LEN as u64 <= self.end {
            let window = self.window(position, HEADER_LEN, Depth::Checksums)?;
            if window.len() < HEADER_LEN {
                break;
            }
            // The magic byte is the cheap sieve; what passes it is parsed and checksummed.
            let skip = window[MAGIC_OFFSET..]
                .iter()
                .position(|byte| byte.cast_signed() == MAGIC);
            match skip {
                Some(0) => {}
                Some(skip) => {
                    position += skip as u64;
                    continue;
                }
                None => {
                    position += (window.len() - MAGIC_OFFSET) as u64;
                    continue;
                }
            }
            if self.is_batch_at(position)? {
                self.position = position;
                return Ok(Some(position));
            }
            position += 1;
        }
        Ok(None)
    }

    /// The whole batch that [`Step::Batch`] reported.
    pub(crate) fn batch_bytes(&mut self, position: u64, header: &BatchHeader) -> io::Result<&[u8]> {
        self.window(position, header.total_len(), Depth::Checksums)
    }

    fn is_batch_at(&mut self, position: u64) -> io::Result<bool> {
        let (allowed, room) = (self.allowed.clone(), self.end - position);
        let window = self.window(position, HEADER_LEN, Depth::Checksums)?;
        let Ok(header) = check_header(window, &allowed, room) else {
            return Ok(false);
        };
        let batch = self.window(position, header.total_len(), Depth::Checksums)?;
        Ok(check_crc(&header, batch).is_ok())
    }

    /// Bytes from `position` on: at least `needed` unless the file ends before.
    fn window(&mut self, position: u64, needed: usize, depth: Depth) -> io::Result<&[u8]> {
        let have = self.buf_at..self.buf_at + self.buf.len() as u64;
        if !have.contains(&position) || have.end < position + needed as u64 {
            let chunk = match depth {
                Depth::Headers => self.header_chunk,
                Depth::Checksums => WHOLE_CHUNK_BYTES,
            };
            let room = usize::try_from(self.end - position).unwrap_or(usize::MAX);
            self.buf = read_vec_at(self.file, position, needed.max(chunk).min(room))?;
            self.buf_at = position;
        }
        let start = usize::try_from(position - self.buf_at).expect("the position lies in the buffer");
        let window = self.buf.get(start..).unwrap_or_default();
        // Whole-batch callers checksum what they get, so they must not get more than the batch.
        Ok(if needed == HEADER_LEN {
            window
        } else {
            &window[..needed.min(window.len())]
        })
    }
}
