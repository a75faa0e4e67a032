//! One producer on one log: its epoch, its last batches, its open transaction.

use protocol::{
    Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs, ids::NO_PRODUCER_EPOCH, records::BatchHeader,
};

use super::Verdict;
use crate::error::{AppendError, DuplicateSequence, InvalidProducerEpoch, InvalidTxnState, OutOfOrderSequence};

/// Batches of a producer whose offsets are known when they come again (Kafka: `NUM_BATCHES_TO_RETAIN`). Clients keep
/// this many in flight.
pub const WINDOW_BATCHES: usize = 5;

/// Half of the ring of sequence numbers: what lies less than this behind the last one came before it.
const SEQUENCE_HALF: i64 = 1 << 30;
const SEQUENCE_RING: i64 = 1 << 31;

/// One batch of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchMeta {
    /// Sequence of its last record.
    pub last_sequence: Sequence,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Last offset minus first offset; the sequences span as much.
    pub offset_delta: i32,
    /// Its largest timestamp.
    pub timestamp: TimestampMs,
}

impl BatchMeta {
    /// Offset of its first record.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        self.last_offset - Offset::from(self.offset_delta)
    }

    /// Sequence of its first record.
    #[must_use]
    pub fn base_sequence(&self) -> Sequence {
        let base = (i64::from(self.last_sequence) - i64::from(self.offset_delta)).rem_euclid(SEQUENCE_RING);
        Sequence::try_from(base).expect("the ring fits a sequence")
    }
}

/// What a log remembers about one producer id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerEntry {
    /// The producer.
    pub producer_id: ProducerId,
    /// Newest epoch seen.
    pub epoch: ProducerEpoch,
    /// Epoch of the coordinator that wrote the last marker, or -1.
    pub coordinator_epoch: i32,
    /// Largest timestamp of its last batch or marker.
    pub last_timestamp: TimestampMs,
    /// Where its open transaction begins.
    pub txn_first_offset: Option<Offset>,
    window: [Option<BatchMeta>; WINDOW_BATCHES],
}

impl ProducerEntry {
    /// A producer that has written nothing.
    pub(crate) fn new(producer_id: ProducerId, epoch: ProducerEpoch) -> Self {
        Self {
            producer_id,
            epoch,
            coordinator_epoch: -1,
            last_timestamp: -1,
            txn_first_offset: None,
            window: [None; WINDOW_BATCHES],
        }
    }

    /// Its last batches under the current epoch, newest first.
    pub fn batches(&self) -> impl DoubleEndedIterator<Item = &BatchMeta> {
        self.window.iter().flatten()
    }

    /// Its newest batch under the current epoch.
    #[must_use]
    pub fn last_batch(&self) -> Option<&BatchMeta> {
        self.batches().next()
    }

    /// Puts a batch in front of the window.
    pub(crate) fn push(&mut self, batch: BatchMeta) {
        self.window.rotate_right(1);
        self.window[0] = Some(batch);
    }

    /// Takes over the window of the same producer from elsewhere.
    pub(super) fn window_from(&mut self, other: &Self) {
        self.window = other.window;
    }

    /// Moves to a newer epoch, under which nothing has been written yet.
    pub(crate) fn advance_epoch(&mut self, epoch: ProducerEpoch) {
        if epoch != self.epoch {
            self.epoch = epoch;
            self.window = [None; WINDOW_BATCHES];
        }
    }

    pub(super) fn apply_data(&mut self, header: &BatchHeader) {
        self.advance_epoch(header.producer_epoch);
        self.last_timestamp = header.max_timestamp;
        self.push(BatchMeta {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        });
    }

    /// Kafka: `ProducerAppendInfo`, with `DUPLICATE_SEQUENCE_NUMBER` for what lies behind the window: that batch was
    /// appended, only its offset is no longer known, and a client that hears "out of order" would give up.
    pub(super) fn check(&self, header: &BatchHeader) -> Result<Verdict, AppendError> {
        let producer_id = self.producer_id;
        if header.producer_epoch < self.epoch {
            return Err(InvalidProducerEpoch {
                producer_id,
                current: self.epoch,
                found: header.producer_epoch,
            }
            .into());
        }
        if let Some(duplicate) = self.duplicate(header) {
            return Ok(Verdict::Duplicate(*duplicate));
        }
        self.check_sequence(header)?;
        match self.txn_first_offset {
            Some(first_offset) if !header.is_transactional() => Err(InvalidTxnState {
                producer_id,
                first_offset,
            }
            .into()),
            _ => Ok(Verdict::New),
        }
    }

    fn duplicate(&self, header: &BatchHeader) -> Option<&BatchMeta> {
        if header.producer_epoch != self.epoch {
            return None;
        }
        self.batches().find(|batch| {
            batch.base_sequence() == header.base_sequence && batch.last_sequence == header.last_sequence()
        })
    }

    fn check_sequence(&self, header: &BatchHeader) -> Result<(), AppendError> {
        let (producer_id, found) = (self.producer_id, header.base_sequence);
        let out_of_order = |expected| {
            let producer_epoch = header.producer_epoch;
            Err(OutOfOrderSequence {
                producer_id,
                producer_epoch,
                expected,
                found,
            }
            .into())
        };
        if header.producer_epoch != self.epoch {
            // A new incarnation begins at 0, unless nothing but its name is known of the old one.
            return if found == 0 || self.epoch == NO_PRODUCER_EPOCH {
                Ok(())
            } else {
                out_of_order(0)
            };
        }
        let Some(last) = self.last_batch() else {
            return if found == 0 { Ok(()) } else { out_of_order(0) };
        };
        let expected = last.last_sequence.checked_add(1).unwrap_or(0);
        if found == expected {
            return Ok(());
        }
        let behind = (i64::from(last.last_sequence) - i64::from(header.last_sequence())).rem_euclid(SEQUENCE_RING);
        let oldest_known = self.batches().last().map_or(0, BatchMeta::base_sequence);
        let before_window = (i64::from(oldest_known) - i64::from(header.last_sequence())).rem_euclid(SEQUENCE_RING);
        let window_is_full = self.batches().count() == WINDOW_BATCHES;
        if window_is_full && behind < SEQUENCE_HALF && 0 < before_window && before_window < SEQUENCE_HALF {
            return Err(DuplicateSequence {
                producer_id,
                base_sequence: found,
            }
            .into());
        }
        out_of_order(expected)
    }
}
