//! Positional reads of whole batches, checked against their checksums before anybody sees them.

use std::{io, ops::Range, sync::PoisonError};

use bytes::Bytes;
use protocol::{
    Offset,
    records::{BatchHeader, HEADER_LEN},
};

use super::{
    Segment,
    scan::{Depth, Scanner, Step, check_crc, check_header, is_contradicted},
};
use crate::error::CorruptRange;

/// Bytes read beyond the limit to reach the first wanted batch from an index entry without a second read.
const SEEK_SLACK_BYTES: u64 = 8 * 1024;

/// A slice keeps no more memory beyond its own than this part of it, as a divisor; below that a copy costs more than it
/// gives back.
const SURPLUS_PART: usize = 8;

/// Whole batches of one segment.
#[derive(Debug)]
pub(crate) struct SegmentSlice {
    /// The batches, back to back. Empty when the limit is smaller than the first batch and none was demanded.
    pub(crate) bytes: Bytes,
    /// Offset behind the last of them; what was asked for when there is none.
    pub(crate) next_offset: Offset,
}

/// Why a segment gave nothing.
#[derive(Debug)]
pub(crate) enum SegmentReadError {
    /// The wanted offset lies in damaged bytes.
    Corrupt(CorruptRange),
    /// The device answered with an error.
    Io(io::Error),
}

impl From<io::Error> for SegmentReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Segment {
    /// Reads batches from the one that holds `from` (or the first behind it) up to `bound`, `max_bytes` at most. With
    /// `at_least_one` the first batch is returned whatever its size.
    pub(crate) fn read(
        &self,
        from: Offset,
        bound: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<SegmentSlice, SegmentReadError> {
        let len = self.len();
        let mut start = self.locate(from)?;
        let mut position = start.position;
        let mut extra = SEEK_SLACK_BYTES;
        while position < len {
            let want = (max_bytes as u64).saturating_add(extra).min(len - position);
            let window = crate::fs::read_vec_at(self.file(), position, usize::try_from(want).unwrap_or(usize::MAX))?;
            let limit = self.next_offset();
            let pick = Pick {
                from,
                bound,
                max_bytes,
                at_least_one,
                room: len - position,
                start,
                limit,
            };
            match pick.pick(&window) {
                Picked::Range {
                    start,
                    end,
                    next_offset,
                } => {
                    self.set_hint(next_offset, position + end as u64);
                    return Ok(SegmentSlice {
                        bytes: cut(window, start..end),
                        next_offset,
                    });
                }
                Picked::Nothing => break,
                Picked::Further { skipped } => position += skipped,
                Picked::NeedMore { skipped, needed } => {
                    position += skipped;
                    extra = extra.max(needed as u64);
                }
                Picked::Bad { skipped, expected } => match self.skip_damage(position + skipped, expected, from)? {
                    Some(next) => position = next,
                    None => break,
                },
            }
            if start.position != position {
                start = Start {
                    position,
                    expected: None,
                };
            }
        }
        Ok(SegmentSlice {
            bytes: Bytes::new(),
            next_offset: from,
        })
    }

    /// File position of the batch that holds `from`, or of the first one behind it; the segment's length when there is
    /// none.
    pub(crate) fn position_of(&self, from: Offset) -> Result<u64, SegmentReadError> {
        let len = self.len();
        let start = self.locate(from)?;
        let mut expected = start.expected.unwrap_or(self.base_offset());
        let mut scanner = Scanner::new(self.file(), start.position, len, expected..self.next_offset());
        loop {
            match scanner.step(Depth::Headers)? {
                Step::End => return Ok(len),
                Step::Batch { position, header } if from < header.next_offset() => return Ok(position),
                Step::Batch { header, .. } => expected = header.next_offset(),
                Step::Bad { position, .. } => match self.skip_damage(position, expected, from)? {
                    Some(next) => scanner = Scanner::new(self.file(), next, len, expected..self.next_offset()),
                    None => return Ok(len),
                },
            }
        }
    }

    /// How far the damage at `position` reaches: to the next intact batch, or to the end of the segment.
    ///
    /// A checksum that fails in a batch of believable length costs that batch alone.
    pub(crate) fn damage_at(&self, position: u64, expected: Offset) -> io::Result<(CorruptRange, u64)> {
        let len = self.len();
        let allowed = expected..self.next_offset();
        let mut scanner = Scanner::new(self.file(), position, len, allowed.clone());
        if let Step::Batch { header, .. } = scanner.step(Depth::Headers)? {
            // The header is believed when another batch follows right where it says, or the segment ends there.
            let behind = scanner.position();
            let believable = match scanner.step(Depth::Headers)? {
                Step::End => header.next_offset() == self.next_offset(),
                Step::Batch { header: next, .. } => next.base_offset == header.next_offset(),
                Step::Bad { .. } => false,
            };
            if believable {
                let (first_offset, next_offset) = (header.base_offset, header.next_offset());
                return Ok((
                    CorruptRange {
                        first_offset,
                        next_offset,
                    },
                    behind,
                ));
            }
        }
        let mut scanner = Scanner::new(self.file(), position, len, allowed);
        if let Some(next) = scanner.resync()?
            && let Step::Batch { header, .. } = scanner.step(Depth::Headers)?
        {
            return Ok((
                CorruptRange {
                    first_offset: expected,
                    next_offset: header.base_offset,
                },
                next,
            ));
        }
        Ok((
            CorruptRange {
                first_offset: expected,
                next_offset: self.next_offset(),
            },
            len,
        ))
    }

    /// Where to go on behind damage, or an error when the wanted offset lies inside it.
    fn skip_damage(&self, position: u64, expected: Offset, from: Offset) -> Result<Option<u64>, SegmentReadError> {
        let (range, next) = self.damage_at(position, expected.max(self.base_offset()))?;
        if from < range.next_offset {
            // A walk that began at an index entry does not know what came before the damage.
            let unknown = range.first_offset <= self.base_offset() && 0 < position;
            let first_offset = if unknown { from } else { range.first_offset.min(from) };
            return Err(SegmentReadError::Corrupt(CorruptRange { first_offset, ..range }));
        }
        Ok((next < self.len()).then_some(next))
    }

    /// A position at or before the batch that holds `from`, close to it.
    fn locate(&self, from: Offset) -> io::Result<Start> {
        let hint = *self.hint.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((offset, position)) = hint
            && offset == from
        {
            return Ok(Start {
                position,
                expected: Some(from),
            });
        }
        let (position, expected) = self.indexed_batch(from)?.unwrap_or((0, self.base_offset()));
        Ok(Start {
            position,
            expected: Some(expected),
        })
    }

    fn set_hint(&self, offset: Offset, position: u64) {
        *self.hint.lock().unwrap_or_else(PoisonError::into_inner) = Some((offset, position));
    }
}

/// A part of a window, in memory of about its size: who holds the slice accounts for its length, not for the window's.
fn cut(mut window: Vec<u8>, range: Range<usize>) -> Bytes {
    let surplus = window.capacity() - range.len();
    if range.len() / SURPLUS_PART < surplus {
        window.truncate(range.end);
        window.drain(..range.start);
        window.shrink_to_fit();
        return Bytes::from(window);
    }
    Bytes::from(window).slice(range)
}

/// Where to begin looking, and what is known about the batch there.
#[derive(Debug, Clone, Copy)]
struct Start {
    position: u64,
    /// The offset that it begins with, unless a gap is before it.
    expected: Option<Offset>,
}

/// What is wanted from a window of bytes that begins at a batch.
struct Pick {
    from: Offset,
    bound: Offset,
    max_bytes: usize,
    at_least_one: bool,
    /// Bytes of the segment from the window's start on.
    room: u64,
    start: Start,
    /// Offset behind the segment.
    limit: Offset,
}

/// What was found in it.
enum Picked {
    /// Wanted batches.
    Range {
        start: usize,
        end: usize,
        next_offset: Offset,
    },
    /// The first wanted batch lies at or above the bound, or above the limit while none is demanded.
    Nothing,
    /// No wanted batch in this window; the next one begins this much further.
    Further { skipped: u64 },
    /// The first wanted batch goes beyond the window.
    NeedMore { skipped: u64, needed: usize },
    /// Damage before the first wanted batch or in it.
    Bad { skipped: u64, expected: Offset },
}

impl Pick {
    fn pick(&self, window: &[u8]) -> Picked {
        let (mut at, mut start, mut expected) = (0_usize, None, self.start.expected.unwrap_or(0));
        let mut next_offset = self.from;
        loop {
            let rest = window.get(at..).unwrap_or_default();
            let room = self.room - at as u64;
            if room == 0 {
                break;
            }
            if rest.len() < HEADER_LEN && (rest.len() as u64) < room {
                // The window ends inside a header.
                match start {
                    Some(_) => break,
                    None if at == 0 => {
                        return Picked::NeedMore {
                            skipped: 0,
                            needed: HEADER_LEN,
                        };
                    }
                    None => return Picked::Further { skipped: at as u64 },
                }
            }
            let header = match check_header(rest, &(expected..self.limit), room) {
                Ok(header) if self.is_in_place(&header, at, expected, rest) => header,
                _ if start.is_some() => break,
                _ => {
                    return Picked::Bad {
                        skipped: at as u64,
                        expected,
                    };
                }
            };
            if header.next_offset() <= self.from {
                if rest.len() <= header.total_len() {
                    return Picked::Further {
                        skipped: (at + header.total_len()) as u64,
                    };
                }
                at += header.total_len();
                expected = header.next_offset();
                continue;
            }
            if self.bound <= header.base_offset {
                break;
            }
            let first = *start.get_or_insert(at);
            match self.take(&header, rest, at - first) {
                Taken::Whole => {}
                Taken::Full if at == first => return Picked::Nothing,
                Taken::Full => break,
                Taken::Torn if at == first => {
                    return Picked::NeedMore {
                        skipped: at as u64,
                        needed: header.total_len(),
                    };
                }
                Taken::Torn => break,
                Taken::Bad if at == first => {
                    return Picked::Bad {
                        skipped: at as u64,
                        expected,
                    };
                }
                Taken::Bad => break,
            }
            at += header.total_len();
            expected = header.next_offset();
            next_offset = expected;
        }
        match start {
            Some(start) if start < at => Picked::Range {
                start,
                end: at,
                next_offset,
            },
            _ => Picked::Nothing,
        }
    }

    /// Whether a batch's offsets agree with its neighbours where they leave a gap.
    fn is_in_place(&self, header: &BatchHeader, at: usize, expected: Offset, rest: &[u8]) -> bool {
        let knows_expected = 0 < at || self.start.expected.is_some();
        let leaves_gap = knows_expected && expected < header.base_offset;
        !leaves_gap || !is_contradicted(header, rest.get(header.total_len()..).unwrap_or_default())
    }

    fn take(&self, header: &BatchHeader, rest: &[u8], taken: usize) -> Taken {
        let size = header.total_len();
        let fits = taken + size <= self.max_bytes || (self.at_least_one && taken == 0);
        if !fits {
            return Taken::Full;
        }
        let Some(batch) = rest.get(..size) else {
            return Taken::Torn;
        };
        if check_crc(header, batch).is_ok() {
            Taken::Whole
        } else {
            Taken::Bad
        }
    }
}

enum Taken {
    Whole,
    Full,
    Torn,
    Bad,
}
