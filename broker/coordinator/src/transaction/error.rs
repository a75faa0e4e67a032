//! What the calls of the machine can meet.

use protocol::ids::{ProducerEpoch, ProducerId, TopicPartition};

use super::{TransactionState, TransactionalId};

/// A producer that may not speak for its transactional id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// The partition's records are still being read (`COORDINATOR_LOAD_IN_PROGRESS`).
    #[error("transactional ids are still being loaded")]
    Loading,
    /// Nobody has opened this id (`INVALID_PRODUCER_ID_MAPPING`).
    #[error("transactional id `{transactional_id}` is unknown")]
    Unknown {
        /// The id.
        transactional_id: TransactionalId,
    },
    /// The id belongs to another producer id (`INVALID_PRODUCER_ID_MAPPING`).
    #[error("transactional id `{transactional_id}` belongs to producer id {current}, not {asked}")]
    WrongProducerId {
        /// The id.
        transactional_id: TransactionalId,
        /// Who asked.
        asked: ProducerId,
        /// Who holds it.
        current: ProducerId,
    },
    /// Another incarnation has taken over (`PRODUCER_FENCED`).
    #[error("producer epoch {asked} of transactional id `{transactional_id}` is fenced by {current}")]
    Fenced {
        /// The id.
        transactional_id: TransactionalId,
        /// Who asked.
        asked: ProducerEpoch,
        /// Who holds it.
        current: ProducerEpoch,
    },
}

/// Why a transactional id was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The partition's records are still being read (`COORDINATOR_LOAD_IN_PROGRESS`).
    #[error("transactional ids are still being loaded")]
    Loading,
    /// The name does not fit a record (`INVALID_REQUEST`).
    #[error("transactional id of {bytes} bytes is too long")]
    NameTooLong {
        /// Length of the name.
        bytes: usize,
    },
}

/// Why a transaction was not begun or extended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeginError {
    /// The producer may not.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// The transaction before is not done with yet (`CONCURRENT_TRANSACTIONS`): come again.
    #[error("transactional id `{transactional_id}` is still in {}", state.name())]
    Concurrent {
        /// The id.
        transactional_id: TransactionalId,
        /// Where it stands.
        state: TransactionState,
    },
}

/// Why a transaction was not decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecideError {
    /// The producer may not.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// There is no open transaction, or it was decided the other way (`INVALID_TXN_STATE`).
    #[error("transactional id `{transactional_id}` cannot be decided in {}", state.name())]
    WrongState {
        /// The id.
        transactional_id: TransactionalId,
        /// Where it stands.
        state: TransactionState,
    },
    /// A commit of ours without the end of each partition: after a crash it could not be told from what follows it.
    #[error("end offset of {partition} is missing in the commit of transactional id `{transactional_id}`")]
    EndMissing {
        /// The id.
        transactional_id: TransactionalId,
        /// The partition.
        partition: TopicPartition,
    },
}

/// Why a transaction was not completed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompleteError {
    /// The producer may not.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// Nothing was decided.
    #[error("transactional id `{transactional_id}` has nothing to complete in {}", state.name())]
    WrongState {
        /// The id.
        transactional_id: TransactionalId,
        /// Where it stands.
        state: TransactionState,
    },
    /// Not all markers are durable yet.
    #[error("markers of transactional id `{transactional_id}` are not durable yet")]
    MarkersOutstanding {
        /// The id.
        transactional_id: TransactionalId,
    },
}

/// Why a transactional id was not removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoveError {
    /// The partition's records are still being read.
    #[error("transactional ids are still being loaded")]
    Loading,
    /// A transaction is open or not carried out yet.
    #[error("transactional id `{transactional_id}` cannot be removed in {}", state.name())]
    Busy {
        /// The id.
        transactional_id: TransactionalId,
        /// Where it stands.
        state: TransactionState,
    },
}
