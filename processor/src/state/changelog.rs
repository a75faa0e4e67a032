//! Records of a query's changelog topic.
//!
//! | record | key | value |
//! |---|---|---|
//! | change | 1 (u8), then the state key | the value, null for a deletion |
//! | epoch | 0 (u8) | the epoch record |
//!
//! An epoch is the run of its changes, one per key, closed by its epoch record, all in one transaction.

use super::epoch::{EpochRecord, EpochRecordError};

/// First byte of the keys of changes.
const CHANGE: u8 = 1;

/// Key of epoch records: one byte 0, so that compaction keeps the newest.
pub const EPOCH_KEY: &[u8] = &[0];

/// What a record of the changelog says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A state entry was set, or deleted.
    Change {
        /// The state key.
        key: &'a [u8],
        /// Its value; `None` deletes it.
        value: Option<&'a [u8]>,
    },
    /// An epoch is complete.
    Epoch(EpochRecord),
}

/// Why a record is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// No key, or one of another kind.
    #[error("record of an unknown kind")]
    UnknownKind,
    /// The epoch record cannot be read.
    #[error(transparent)]
    Epoch(#[from] EpochRecordError),
}

/// Writes the record key of a change into `out`, replacing what it held.
pub fn write_change_key(out: &mut Vec<u8>, state_key: &[u8]) {
    out.clear();
    out.push(CHANGE);
    out.extend_from_slice(state_key);
}

/// Reads one record.
pub fn parse<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Result<Entry<'a>, EntryError> {
    match (key, value) {
        (Some(EPOCH_KEY), Some(value)) => Ok(Entry::Epoch(EpochRecord::decode(value)?)),
        (Some([CHANGE, key @ ..]), value) if !key.is_empty() => Ok(Entry::Change { key, value }),
        _ => Err(EntryError::UnknownKind),
    }
}
