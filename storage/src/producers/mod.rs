//! What a log knows about the producers that wrote to it: the duplicate window and the open transaction of each.
//!
//! Pure state: the log feeds it every batch in order, replay after a start the same way. Kafka: `ProducerStateManager`.

mod entry;
mod idle;
mod snapshot;
#[cfg(test)]
mod tests;
mod windows;

use std::collections::HashMap;

use protocol::{
    Offset, ProducerEpoch, ProducerId, TimestampMs,
    records::{BatchHeader, ControlType, Marker},
};

pub use entry::{BatchMeta, ProducerEntry, WINDOW_BATCHES};
pub(crate) use snapshot::{decode_snapshot, encode_snapshot};
pub(crate) use windows::{apply_windows, encode_windows};

use self::idle::IdleOrder;
use crate::error::{AppendError, CoordinatorFenced, InvalidProducerEpoch};

/// What the state says about a batch that wants in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is new.
    New,
    /// It was appended before, there.
    Duplicate(BatchMeta),
}

/// A transaction on this log that its marker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CompletedTransaction {
    pub(crate) producer_id: ProducerId,
    pub(crate) first_offset: Offset,
    /// Offset of the marker.
    pub(crate) last_offset: Offset,
    pub(crate) aborted: bool,
}

/// The producers of one log. Belongs to the log's critical section.
///
/// Clients choose their producer ids, so the number that is remembered has a bound. At the bound the id that was silent
/// for longest makes room, as if it had expired; one with an open transaction never does, because readers of committed
/// data wait for its end.
#[derive(Debug, Clone)]
pub(crate) struct Producers {
    entries: HashMap<ProducerId, ProducerEntry>,
    idle: IdleOrder,
    ids_max: usize,
}

impl Producers {
    /// Nobody yet, and no more than `ids_max` later.
    pub(crate) fn new(ids_max: usize) -> Self {
        Self {
            entries: HashMap::new(),
            idle: IdleOrder::default(),
            ids_max,
        }
    }

    /// What a snapshot holds. Its schema does not say who was silent for how long; the last offset of each says nearly
    /// the same.
    pub(crate) fn from_entries(ids_max: usize, entries: impl IntoIterator<Item = ProducerEntry>) -> Self {
        let mut entries: Vec<ProducerEntry> = entries.into_iter().collect();
        let last_offset = |entry: &ProducerEntry| entry.last_batch().map_or(-1, |batch| batch.last_offset);
        entries.sort_by_key(|entry| (last_offset(entry), entry.producer_id));
        let mut producers = Self::new(ids_max);
        for entry in entries {
            let producer_id = entry.producer_id;
            producers.make_room_for(producer_id);
            producers.entries.insert(producer_id, entry);
            producers.note_use(producer_id);
        }
        producers
    }

    pub(crate) fn get(&self, producer_id: ProducerId) -> Option<&ProducerEntry> {
        self.entries.get(&producer_id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ProducerEntry> {
        self.entries.values()
    }

    /// Number of producers that are remembered.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Judges a data batch before it is appended.
    pub(crate) fn check_data(&self, header: &BatchHeader) -> Result<Verdict, AppendError> {
        if !header.has_producer_id() {
            return Ok(Verdict::New);
        }
        match self.entries.get(&header.producer_id) {
            Some(entry) => entry.check(header),
            None => Ok(Verdict::New),
        }
    }

    /// Judges a transaction marker before it is appended.
    pub(crate) fn check_marker(&self, marker: &Marker) -> Result<(), AppendError> {
        let Some(entry) = self.entries.get(&marker.producer_id) else {
            return Ok(());
        };
        let producer_id = marker.producer_id;
        if marker.producer_epoch < entry.epoch {
            let (current, found) = (entry.epoch, marker.producer_epoch);
            return Err(InvalidProducerEpoch {
                producer_id,
                current,
                found,
            }
            .into());
        }
        if marker.coordinator_epoch < entry.coordinator_epoch {
            let (current, found) = (entry.coordinator_epoch, marker.coordinator_epoch);
            return Err(CoordinatorFenced {
                producer_id,
                current,
                found,
            }
            .into());
        }
        Ok(())
    }

    /// Takes note of a data batch that was appended. Returns the first offset of the transaction that it opens, if it
    /// opens one.
    pub(crate) fn apply_data(&mut self, header: &BatchHeader) -> Option<Offset> {
        if !header.has_producer_id() {
            return None;
        }
        let entry = self.entry(header.producer_id, header.producer_epoch);
        entry.apply_data(header);
        let opens = header.is_transactional() && entry.txn_first_offset.is_none();
        if opens {
            entry.txn_first_offset = Some(header.base_offset);
        }
        self.note_use(header.producer_id);
        opens.then_some(header.base_offset)
    }

    /// Takes note of a marker that was appended at `offset`. Returns the transaction that it ended, if one was open.
    pub(crate) fn apply_marker(&mut self, marker: &Marker, offset: Offset) -> Option<CompletedTransaction> {
        let entry = self.entry(marker.producer_id, marker.producer_epoch);
        entry.advance_epoch(marker.producer_epoch);
        entry.coordinator_epoch = marker.coordinator_epoch;
        entry.last_timestamp = marker.timestamp;
        let ended = entry.txn_first_offset.take();
        self.note_use(marker.producer_id);
        let first_offset = ended?;
        let aborted = marker.kind == ControlType::Abort;
        Some(CompletedTransaction {
            producer_id: marker.producer_id,
            first_offset,
            last_offset: offset,
            aborted,
        })
    }

    /// First offset of each open transaction.
    pub(crate) fn open_transactions(&self) -> impl Iterator<Item = (ProducerId, Offset)> {
        self.entries
            .values()
            .filter_map(|entry| entry.txn_first_offset.map(|offset| (entry.producer_id, offset)))
    }

    /// Forgets producers that wrote nothing for `expiration_ms` and have no open transaction.
    pub(crate) fn expire(&mut self, now: TimestampMs, expiration_ms: i64) {
        self.entries.retain(|producer_id, entry| {
            let stays = entry.txn_first_offset.is_some() || now.saturating_sub(entry.last_timestamp) < expiration_ms;
            if !stays {
                self.idle.remove(*producer_id);
            }
            stays
        });
    }

    fn entry(&mut self, producer_id: ProducerId, epoch: ProducerEpoch) -> &mut ProducerEntry {
        self.make_room_for(producer_id);
        self.entries
            .entry(producer_id)
            .or_insert_with(|| ProducerEntry::new(producer_id, epoch))
    }
    /// Forgets who was silent for longest where a new id would be one too many.
    fn make_room_for(&mut self, producer_id: ProducerId) {
        if self.entries.contains_key(&producer_id) {
            return;
        }
        while self.ids_max <= self.entries.len() {
            let Some(oldest) = self.idle.pop_oldest() else { return };
            self.entries.remove(&oldest);
        }
    }

    fn note_use(&mut self, producer_id: ProducerId) {
        let is_busy = self
            .entries
            .get(&producer_id)
            .is_some_and(|entry| entry.txn_first_offset.is_some());
        match is_busy {
            true => self.idle.remove(producer_id),
            false => self.idle.touch(producer_id),
        }
    }
}
