//! The logs of one node: durable order, and nothing above it.
//!
//! This crate knows batches and offsets. It refuses to know requests, sessions, SQL, other nodes, and the time: whoever
//! calls says what time it is. Its API blocks (page-cache operations take microseconds); only a flush is awaited, by a
//! [`FlushTicket`].
//!
//! # On disk
//!
//! ```text
//! <data>/
//!   LOCK                                one process at a time
//!   durable-marks                       what each flush round made durable           durable_marks.rs
//!   clean-shutdown                      there while nothing runs, after a clean stop
//!   topics/<topic>-<partition>/         Apache Kafka's own layout
//!     00000000000000000000.log          batches, byte for byte as they are served    segment/
//!     00000000000000000000.index        offset to position                           index/offset.rs
//!     00000000000000000000.timeindex    timestamp to offset                          index/time.rs
//!     00000000000000000000.txnindex     aborted transactions                         index/transaction.rs
//!     00000000000000000000.snapshot     producers below that offset                  producers/snapshot.rs
//!     00000000000000000000.producers    their duplicate windows (ours)               producers/windows.rs
//!     leader-epoch-checkpoint           which epoch began where                      epochs.rs
//!     partition.metadata                topic id                                     checkpoint.rs
//!     log-start                         first offset, once records were deleted (ours)
//! ```
//!
//! Files of ours may be missing: a Kafka broker ignores them, and they are rebuilt or done without.
//!
//! # Crash rules
//!
//! - An offset that was acknowledged (its ticket resolved) is never lost and never given to another record.
//! - The high watermark follows the flush, so nobody has seen what a power cut takes back (but under
//!   [`Durability::Async`]).
//! - A failed fsync stops its log: no retry, no more writes.
//! - A start after an unclean stop checks what lies above the durable mark, cuts the log at the first bad batch there,
//!   and writes the rest again. Below the mark nothing is ever cut: a bad batch there is damage, reported to who reads it.
//! - Indexes, producer state and epochs are rebuilt from the batches where they are missing or cannot be right.

mod cache;
mod checkpoint;
mod clock;
mod config;
mod deletion;
mod directory;
mod durable_marks;
mod epochs;
mod error;
mod flush;
pub mod fs;
mod index;
mod log;
mod manager;
mod node;
mod producers;
mod segment;
mod space;
mod trash;
mod visible;

#[cfg(test)]
mod testing;
#[cfg(test)]
extern crate self as storage;
#[cfg(test)]
#[path = "../../tests/src/faulty_fs/mod.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "shared with the integration tests, which use more of it"
)]
mod faulty_fs;

pub use clock::MonotonicClock;
pub use config::{Durability, LogConfig, StorageConfig, TimestampType};
pub use epochs::EpochStart;
pub use error::{
    AppendError, BatchTooLarge, CoordinatorFenced, CorruptBatch, CorruptRange, DeleteRecordsError, DuplicateSequence,
    FlushError, InvalidProducerEpoch, InvalidRecord, InvalidTimestamp, InvalidTxnState, IoFailure, NoSpace,
    OffsetOutOfRange, OpenError, OutOfOrderSequence, Poisoned, ReadError,
};
pub use flush::{FlushObserver, FlushRound, FlushTicket};
pub use fs::DiskFs;
pub use log::{
    AbortedTransaction, AppendOrigin, Appended, Isolation, Log, Marks, Pin, ReadSlice, Recovery, Retained,
    TimestampOffset,
};
pub use manager::{LogManager, RetentionReport, StorageStats};
pub use producers::{BatchMeta, ProducerEntry, WINDOW_BATCHES};
pub use visible::VisibleReader;
