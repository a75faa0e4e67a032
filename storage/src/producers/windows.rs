//! The sidecar of a producer snapshot: the whole duplicate windows, of which Kafka's schema holds only the newest batch.
//!
//! `<offset in 20 digits>.producers`, big-endian: magic `TMPW`, version (u16, 1), CRC-32C of everything behind it (u32),
//! then for each producer its id (i64), epoch (i16), number of batches (u8), and for each batch, newest first, last
//! sequence (i32), last offset (i64), offset delta (i32), timestamp (i64). Without the file, or with a damaged one, a
//! start knows one batch a producer: what a Kafka broker knows.

use std::collections::HashMap;

use bytes::Buf;

use super::{BatchMeta, ProducerEntry, Producers, WINDOW_BATCHES};

const MAGIC: [u8; 4] = *b"TMPW";
const VERSION: u16 = 1;
const BATCH_SIZE: usize = 4 + 8 + 4 + 8;

/// The bytes of the sidecar.
pub(crate) fn encode_windows(producers: &Producers) -> Vec<u8> {
    let mut body = Vec::new();
    for entry in producers.iter() {
        body.extend_from_slice(&entry.producer_id.to_be_bytes());
        body.extend_from_slice(&entry.epoch.to_be_bytes());
        body.push(u8::try_from(entry.batches().count()).expect("a window holds five batches"));
        for batch in entry.batches() {
            body.extend_from_slice(&batch.last_sequence.to_be_bytes());
            body.extend_from_slice(&batch.last_offset.to_be_bytes());
            body.extend_from_slice(&batch.offset_delta.to_be_bytes());
            body.extend_from_slice(&batch.timestamp.to_be_bytes());
        }
    }
    let mut bytes = Vec::with_capacity(10 + body.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// Fills the windows of a snapshot's producers from its sidecar. Entries that do not continue what the snapshot says are
/// left as they are. Returns false when the sidecar is damaged; nothing is changed then.
pub(crate) fn apply_windows(producers: &mut Producers, bytes: &[u8]) -> bool {
    let Some(windows) = decode(bytes) else {
        return false;
    };
    for entry in producers.entries.values_mut() {
        if let Some(full) = windows.get(&entry.producer_id)
            && full.epoch == entry.epoch
            && full.last_batch().map(key) == entry.last_batch().map(key)
        {
            entry.window_from(full);
        }
    }
    true
}

fn key(batch: &BatchMeta) -> (i32, i64, i32) {
    (batch.last_sequence, batch.last_offset, batch.offset_delta)
}

fn decode(bytes: &[u8]) -> Option<HashMap<i64, ProducerEntry>> {
    let mut bytes = bytes.strip_prefix(&MAGIC)?;
    if bytes.len() < 6 || bytes.get_u16() != VERSION || bytes.get_u32() != crc32c::crc32c(bytes) {
        return None;
    }
    let mut windows = HashMap::new();
    while !bytes.is_empty() {
        if bytes.len() < 11 {
            return None;
        }
        let mut entry = ProducerEntry::new(bytes.get_i64(), bytes.get_i16());
        let count = usize::from(bytes.get_u8());
        if WINDOW_BATCHES < count || bytes.len() < count * BATCH_SIZE {
            return None;
        }
        let (mut batches, rest) = bytes.split_at(count * BATCH_SIZE);
        bytes = rest;
        let mut newest_first = Vec::with_capacity(count);
        while !batches.is_empty() {
            newest_first.push(BatchMeta {
                last_sequence: batches.get_i32(),
                last_offset: batches.get_i64(),
                offset_delta: batches.get_i32(),
                timestamp: batches.get_i64(),
            });
        }
        newest_first.into_iter().rev().for_each(|batch| entry.push(batch));
        windows.insert(entry.producer_id, entry);
    }
    Some(windows)
}
