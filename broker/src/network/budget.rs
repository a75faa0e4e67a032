//! Memory that all connections share: large request frames reserve theirs here before they are read.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes per permit of the semaphore: its counts are 32 bits wide.
const GRAIN: usize = 1024;

/// A bounded amount of memory. Clones share it.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    permits: Arc<Semaphore>,
    total: usize,
}

/// Reserved memory; returned when dropped.
#[derive(Debug)]
pub struct Reservation {
    _permit: OwnedSemaphorePermit,
}

impl MemoryBudget {
    /// A budget of `bytes`.
    pub fn new(bytes: usize) -> Self {
        let total = bytes.div_ceil(GRAIN).min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Self {
            permits: Arc::new(Semaphore::new(total)),
            total,
        }
    }

    /// Waits until `bytes` are free and takes them, first come first served. More than the whole budget is cut to it,
    /// so that a single large frame waits for all others and no longer.
    pub async fn reserve(&self, bytes: usize) -> Reservation {
        let count = bytes.div_ceil(GRAIN).min(self.total);
        let count = u32::try_from(count).expect("the total fits 32 bits");
        let permits = Arc::clone(&self.permits);
        let permit = permits
            .acquire_many_owned(count)
            .await
            .expect("the semaphore is never closed");
        Reservation { _permit: permit }
    }

    /// Bytes that are free now.
    pub fn free_bytes(&self) -> usize {
        self.permits.available_permits() * GRAIN
    }
}
