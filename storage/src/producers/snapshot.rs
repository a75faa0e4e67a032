//! Producer snapshots in Kafka's own schema, version 1.
//!
//! `<offset in 20 digits>.snapshot` holds the state below that offset, big-endian: version (i16), CRC-32C of everything
//! behind it (u32), number of entries (i32), then for each entry producer id (i64), epoch (i16), last sequence (i32),
//! last offset (i64), offset delta (i32), timestamp (i64), coordinator epoch (i32), first offset of the open transaction
//! (i64, -1 for none). A producer without a batch under its epoch has -1 for sequence and offset. Kafka:
//! `ProducerStateManager.writeSnapshot`.

use bytes::Buf;

use super::{BatchMeta, ProducerEntry, Producers};

const VERSION: i16 = 1;
const ENTRY_SIZE: usize = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8;

const _: () = assert!(ENTRY_SIZE == 46);

/// Why a snapshot is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("version {0} is not supported")]
    Version(i16),
    #[error("checksum does not fit")]
    Crc,
    #[error("length does not fit the number of entries")]
    Length,
}

/// The bytes of a snapshot.
pub(crate) fn encode_snapshot(producers: &Producers) -> Vec<u8> {
    let mut body = Vec::with_capacity(4 + producers.len() * ENTRY_SIZE);
    body.extend_from_slice(&count(producers.len()).to_be_bytes());
    let mut entries: Vec<&ProducerEntry> = producers.iter().collect();
    entries.sort_unstable_by_key(|entry| entry.producer_id);
    for entry in entries {
        let last = entry.last_batch();
        body.extend_from_slice(&entry.producer_id.to_be_bytes());
        body.extend_from_slice(&entry.epoch.to_be_bytes());
        body.extend_from_slice(&last.map_or(-1, |batch| batch.last_sequence).to_be_bytes());
        body.extend_from_slice(&last.map_or(-1, |batch| batch.last_offset).to_be_bytes());
        body.extend_from_slice(&last.map_or(0, |batch| batch.offset_delta).to_be_bytes());
        body.extend_from_slice(&entry.last_timestamp.to_be_bytes());
        body.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
        body.extend_from_slice(&entry.txn_first_offset.unwrap_or(-1).to_be_bytes());
    }
    let mut bytes = Vec::with_capacity(6 + body.len());
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// Reads a snapshot, of which the `ids_max` youngest producers are kept. Windows hold only the last batch until
/// [`super::apply_windows`] fills them.
pub(crate) fn decode_snapshot(mut bytes: &[u8], ids_max: usize) -> Result<Producers, SnapshotError> {
    if bytes.len() < 10 {
        return Err(SnapshotError::Length);
    }
    let version = bytes.get_i16();
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    let crc = bytes.get_u32();
    if crc != crc32c::crc32c(bytes) {
        return Err(SnapshotError::Crc);
    }
    let count = usize::try_from(bytes.get_i32()).map_err(|_| SnapshotError::Length)?;
    if count.checked_mul(ENTRY_SIZE) != Some(bytes.len()) {
        return Err(SnapshotError::Length);
    }
    Ok(Producers::from_entries(
        ids_max,
        bytes.chunks_exact(ENTRY_SIZE).map(decode_entry),
    ))
}

fn decode_entry(mut bytes: &[u8]) -> ProducerEntry {
    let mut entry = ProducerEntry::new(bytes.get_i64(), bytes.get_i16());
    let (last_sequence, last_offset, offset_delta) = (bytes.get_i32(), bytes.get_i64(), bytes.get_i32());
    entry.last_timestamp = bytes.get_i64();
    entry.coordinator_epoch = bytes.get_i32();
    entry.txn_first_offset = Some(bytes.get_i64()).filter(|offset| 0 <= *offset);
    if 0 <= last_sequence && 0 <= last_offset {
        entry.push(BatchMeta {
            last_sequence,
            last_offset,
            offset_delta,
            timestamp: entry.last_timestamp,
        });
    }
    entry
}

fn count(entries: usize) -> i32 {
    i32::try_from(entries).expect("fewer producers than fit memory")
}
