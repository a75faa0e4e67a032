//! Running queries.
//!
//! ```text
//! supervisor   one thread per query: start, restart with back-off, stop
//!   start      topics, fencing, recovery, checks of the source's offsets
//!   run        the loop: read, process, barrier, wait
//!     source     partitions of the source topic, decoded in turn
//!     pipeline   operators over one state store
//!     epochs     what a barrier writes, and the one epoch in flight
//! view         rows of a keyed view at the last committed epoch, for readers on other threads
//! ```
//!
//! A query is one pipeline on a thread of its own, so that it never holds a network reactor. Every epoch is one
//! transaction of the broker; while one is being committed the next is being processed, and its changes stay in memory
//! until the one before is durable. What fails in a query, a panic included, stays in that query: it starts again from
//! its last committed epoch, or stops with the reason where another try would end the same way.

mod build;
mod dead_letter;
mod epochs;
mod error;
mod pipeline;
mod run;
mod source;
mod start;
mod supervisor;
mod view;
mod wake;

use std::sync::Arc;

use crate::plan::graph::StreamPlan;

pub use error::{MemoryExceeded, RunError, SourceError};
pub use supervisor::{QueryHandle, Supervisor};
pub use view::{ViewError, ViewRows};

/// A query to run.
#[derive(Debug, Clone)]
pub struct QuerySpec {
    /// Name of the view or sink.
    pub name: String,
    /// Identity of the definition.
    pub id: String,
    /// Changes with the definition, not with a restart.
    pub generation: u32,
    /// What to compute.
    pub plan: Arc<StreamPlan>,
    /// The topic that holds the query's state; created when it does not exist.
    pub changelog_topic: String,
    /// The transactional id under which epochs are written.
    pub transactional_id: String,
    /// The consumer group that mirrors the source offsets.
    pub group: String,
}

impl QuerySpec {
    /// Name of the query's folder below the state folder.
    pub fn state_folder(&self) -> String {
        format!("{}-{}", self.id, self.generation)
    }
}

/// Whether a query runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryStatus {
    /// It runs, or is about to.
    Running,
    /// It failed and will start again.
    Restarting {
        /// Why it failed.
        reason: String,
    },
    /// It has stopped for good.
    Failed {
        /// Why.
        reason: String,
    },
    /// It has read all of a bounded source.
    Finished,
}

impl QueryStatus {
    /// The status as one word, as metrics show it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Restarting { .. } => "RESTARTING",
            Self::Failed { .. } => "FAILED",
            Self::Finished => "FINISHED",
        }
    }
}

#[cfg(test)]
mod tests;
