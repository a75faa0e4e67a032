//! The three indexes of a segment. All of them can be rebuilt from the log, so a damaged one is never an error.
//!
//! While a segment is active its index entries are in memory and reach the file in blocks; nothing relies on the file
//! before the segment is sealed, because a start after an unclean stop rebuilds the indexes of every segment that was
//! not known to be durable. A sealed segment's offset and time index stay on disk and are searched by positional reads.

mod entries;
mod offset;
mod time;
mod transaction;

#[cfg(test)]
mod tests;

pub(crate) use entries::{Entry, EntryFile};
pub(crate) use offset::OffsetEntry;
pub(crate) use time::TimeEntry;
pub(crate) use transaction::{AbortedRange, TransactionIndex};
