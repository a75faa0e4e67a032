//! Group commit: appends of many logs become durable in rounds.
//!
//! An append marks its log as dirty. A round begins when somebody awaits a ticket, or [`flush_delay_max`] after the first
//! append of a quiet time; while one round is at the device, the next one gathers. Logs whose appends nobody awaits
//! ([`Durability::Async`]) join the first round after [`async_flush_delay`]. Within a round the logs are flushed side by
//! side, never one after another, and above a threshold by one `syncfs`. A log that fails is poisoned; a failed
//! `syncfs` poisons every log of its round, because nobody can tell whose pages were lost.
//!
//! [`flush_delay_max`]: crate::StorageConfig::flush_delay_max
//! [`async_flush_delay`]: crate::StorageConfig::async_flush_delay
//! [`Durability::Async`]: crate::Durability::Async

mod gate;
mod job;
mod pool;
mod scheduler;
mod ticket;

#[cfg(test)]
mod tests;

pub(crate) use gate::FlushGate;
pub(crate) use job::{FlushJob, sync_file};
pub(crate) use scheduler::{FlushEnv, Scheduler, Urgency};
pub use ticket::FlushTicket;

use std::fmt::Debug;

/// What one flush round did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlushRound {
    /// Logs that were flushed, failed ones included.
    pub logs: usize,
    /// Bytes of batches that became durable.
    pub bytes: u64,
    /// Whether one `syncfs` stood for all files.
    pub used_syncfs: bool,
    /// Logs that failed and are poisoned now.
    pub failed: usize,
}

/// Watches flush rounds, for metrics. Both calls come from the flush thread, one after the other; they must not block.
///
/// Storage reads no clock, so the time between the two is for the observer to take.
pub trait FlushObserver: Send + Sync + Debug {
    /// A round goes to the device.
    fn round_started(&self);
    /// It came back.
    fn round_finished(&self, round: &FlushRound);
}
