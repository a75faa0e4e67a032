//! One partition of `__transaction_state` with its machine: decide, append, apply, as one step.

use std::sync::{Arc, Mutex, PoisonError};

use coordinator::transaction::{
    BeginError, CompleteError, DecideError, OpenError, ProducerError, RemoveError, TransactionRecord, TransactionalId,
    Transactions as Machine,
};
use protocol::ids::TimestampMs;
use storage::AppendError;
use storage::{FlushTicket, Log};

use super::TransactionError;
use super::store::{self, LoadError};

/// A partition in use. The lock is held for the microseconds of an append to the page cache, never across an await.
pub(super) struct Shard {
    log: Arc<Log>,
    /// `None` before the first use and after a failed append: the log is then read back.
    machine: Mutex<Option<Machine>>,
}

/// What a step waits for before it counts.
#[must_use = "a record that is not durable is not there"]
pub(super) struct Durable(Option<FlushTicket>);

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShardError {
    /// Another incarnation holds the id.
    #[error("transactional id {0} is fenced")]
    Fenced(TransactionalId),
    /// The machine refuses.
    #[error("{0}")]
    Refused(String),
    /// The partition's records cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The partition's log takes no record.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl Shard {
    pub(super) fn new(log: Arc<Log>) -> Self {
        Self {
            log,
            machine: Mutex::new(None),
        }
    }

    /// Lets `decide` ask the machine for records, appends and applies them, and returns what `decide` made of it.
    pub(super) fn transact<T>(
        &self,
        now: TimestampMs,
        decide: impl FnOnce(&mut Machine) -> Result<(Vec<TransactionRecord>, T), ShardError>,
    ) -> Result<(T, Durable), ShardError> {
        let mut slot = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let machine = match &mut *slot {
            Some(machine) => machine,
            empty => empty.insert(store::load(&self.log)?),
        };
        let (records, value) = decide(machine)?;
        if records.is_empty() {
            // The answer still waits for the records that made it so.
            return Ok((value, Durable(Some(self.log.flush_through(self.log.marks().log_end)))));
        }
        match store::append(&self.log, &records, now) {
            Ok(ticket) => {
                for record in &records {
                    machine.apply(record);
                }
                Ok((value, Durable(Some(ticket))))
            }
            Err(error) => {
                *slot = None;
                Err(error.into())
            }
        }
    }
}

impl Durable {
    /// Waits until the step's records are on the disk.
    pub(super) async fn wait(self) -> Result<(), TransactionError> {
        let Some(ticket) = self.0 else {
            return Ok(());
        };
        ticket
            .await
            .map_err(|error| TransactionError::Storage(error.to_string()))
    }
}

impl From<ProducerError> for ShardError {
    fn from(error: ProducerError) -> Self {
        match error {
            ProducerError::Fenced { transactional_id, .. }
            | ProducerError::WrongProducerId { transactional_id, .. }
            | ProducerError::Unknown { transactional_id } => Self::Fenced(transactional_id),
            ProducerError::Loading => Self::Refused(error.to_string()),
        }
    }
}

impl From<BeginError> for ShardError {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Producer(producer) => producer.into(),
            other @ BeginError::Concurrent { .. } => Self::Refused(other.to_string()),
        }
    }
}

impl From<DecideError> for ShardError {
    fn from(error: DecideError) -> Self {
        match error {
            DecideError::Producer(producer) => producer.into(),
            other @ (DecideError::WrongState { .. } | DecideError::EndMissing { .. }) => {
                Self::Refused(other.to_string())
            }
        }
    }
}

impl From<CompleteError> for ShardError {
    fn from(error: CompleteError) -> Self {
        match error {
            CompleteError::Producer(producer) => producer.into(),
            other @ (CompleteError::WrongState { .. } | CompleteError::MarkersOutstanding { .. }) => {
                Self::Refused(other.to_string())
            }
        }
    }
}

impl From<OpenError> for ShardError {
    fn from(error: OpenError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<RemoveError> for ShardError {
    fn from(error: RemoveError) -> Self {
        Self::Refused(error.to_string())
    }
}
