//! Transactions of one `__transaction_state` partition, by Kafka's states and records.
//!
//! ```text
//!            begin                decide                markers durable
//!   Empty ─────────▶ Ongoing ───────────────▶ Prepare… ─────────────────▶ Complete…
//!                       ▲                                                     │
//!                       └─────────────────────────── begin ───────────────────┘
//! ```
//!
//! [`Transactions`] is the machine. Its callers see to the world: they append the records that a call returns, apply
//! them, and keep the order that makes a transaction atomic:
//!
//! 1. [`Transactions::open`] once per run of a producer: fences the run before by a new epoch.
//! 2. [`Transactions::begin`]: its record may share a flush with the data.
//! 3. [`Transactions::decide`], when the data is durable in every partition: its record is *the* decision, once durable.
//!    It notes each partition's end offset, the offset behind the transaction's last record there.
//! 4. Markers go to every partition, each behind the data.
//! 5. [`Transactions::markers_durable`]. The record of completion is written by the next `begin`, in the same batch, or
//!    by [`Transactions::complete`] when there is none to come. It says nothing that markers and decision do not.
//!
//! The producer keeps its epoch from one transaction to the next, so that after a crash a log can hold an open
//! transaction that is newer than the last decision. The end offset tells them apart: [`Transactions::recover`] writes
//! the decision's marker only where the open transaction begins below it, and aborts everything else. That is for
//! producers of our own (their names begin with [`RESERVED_PREFIX`](crate::RESERVED_PREFIX)); a client's ongoing
//! transaction outlives a restart of the broker.

mod error;
mod machine;
pub mod record;
mod recovery;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use protocol::ids::{Offset, ProducerEpoch, ProducerId, TopicPartition};

pub use error::{BeginError, CompleteError, DecideError, OpenError, ProducerError, RemoveError};
pub use machine::{Begun, Decided, Opened, Transactions};
pub use record::{TransactionLogValue, TransactionPartition, TransactionRecord};
pub use recovery::{OpenTransaction, Recovery};
pub use state::TransactionState;

/// Name that a transactional producer keeps over restarts.
pub type TransactionalId = Arc<str>;

/// One incarnation of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Producer {
    /// The producer.
    pub id: ProducerId,
    /// Its incarnation.
    pub epoch: ProducerEpoch,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Its records count.
    Commit,
    /// Its records never were.
    Abort,
}

/// A control batch to write to one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Where.
    pub partition: TopicPartition,
    /// Whose transaction it ends.
    pub producer: Producer,
    /// How.
    pub decision: Decision,
    /// The offset behind the transaction's last record, where it was noted. A marker written again, because it is not
    /// known whether the first one got there, belongs only where an open transaction begins below it.
    pub end: Option<Offset>,
}

impl Marker {
    /// Whether this marker is still due in a log in which the producer's open transaction begins at `first_offset`.
    pub fn is_due(&self, first_offset: Option<Offset>) -> bool {
        first_offset.is_some_and(|first| self.end.is_none_or(|end| first < end))
    }
}
