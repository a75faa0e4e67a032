//! What all logs of a node share.

use std::sync::{Arc, atomic::AtomicU64};

use crate::{
    cache::CacheBudget, config::StorageConfig, durable_marks::DurableMarks, flush::Scheduler, fs::Fs,
    space::SpaceGuard, trash::Trash,
};

/// The shared parts of a node. Logs hold it; it holds no log (the scheduler's queue does, until the next round).
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) config: StorageConfig,
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) scheduler: Arc<Scheduler>,
    pub(crate) marks: Arc<DurableMarks>,
    pub(crate) cache: Arc<CacheBudget>,
    pub(crate) space: Arc<SpaceGuard>,
    pub(crate) trash: Trash,
    /// Reads that met damage since the start.
    pub(crate) corrupt_reads: AtomicU64,
    /// Numbers the pins.
    pub(crate) next_pin: AtomicU64,
}
