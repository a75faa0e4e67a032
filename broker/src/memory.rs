//! Memory as a number of bytes that is lent: to the large requests, and to the fetch responses, of all connections.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A bounded number of bytes. Clones share it.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    free: Arc<Semaphore>,
    total: usize,
}

/// A part of a budget, which gets it back when this is dropped.
#[derive(Debug)]
pub struct Reservation(OwnedSemaphorePermit);

impl MemoryBudget {
    /// A budget of `total` bytes.
    pub fn new(total: usize) -> Self {
        let total = total.min(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(total)),
            total,
        }
    }

    /// All of its bytes, free or not.
    pub fn total_bytes(&self) -> usize {
        self.total
    }

    /// Bytes that nobody holds.
    pub fn free_bytes(&self) -> usize {
        self.free.available_permits()
    }

    /// Takes `bytes`; `None` when they are not free now. What somebody waits for is not free.
    pub fn try_reserve(&self, bytes: usize) -> Option<Reservation> {
        let free = Arc::clone(&self.free);
        free.try_acquire_many_owned(self.permits(bytes)).ok().map(Reservation)
    }

    /// Waits until `bytes` are free and takes them, first come first served. Cancel safe.
    pub async fn reserve(&self, bytes: usize) -> Reservation {
        let free = Arc::clone(&self.free);
        let permit = free.acquire_many_owned(self.permits(bytes)).await;
        Reservation(permit.expect("the semaphore is never closed"))
    }

    /// More than the whole is cut to it: whoever needs that much waits for all others and no longer, instead of for ever.
    /// The 4 GiB that one call can ask of a semaphore are more than any request or batch has.
    fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.total)).unwrap_or(u32::MAX)
    }
}

impl Reservation {
    /// How much it is.
    pub fn bytes(&self) -> usize {
        self.0.num_permits()
    }

    /// Gives back what it has beyond `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.bytes().saturating_sub(bytes);
        drop(self.0.split(surplus));
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_budget_may_be_larger_than_one_reservation_can_be() {
        const GIB: usize = 1 << 30;
        let budget = MemoryBudget::new(64 * GIB);
        let held = budget.try_reserve(2 * GIB).expect("free");
        assert_eq!(
            (budget.total_bytes(), held.bytes(), budget.free_bytes()),
            (64 * GIB, 2 * GIB, 62 * GIB)
        );
    }

    #[test]
    fn more_than_the_whole_waits_for_the_whole() {
        let budget = MemoryBudget::new(100);
        let mut held = budget.try_reserve(60).expect("free");
        let mut all = Box::pin(budget.reserve(1000));
        assert!(all.as_mut().now_or_never().is_none());
        held.shrink_to(10);
        assert!(all.as_mut().now_or_never().is_none());
        drop(held);
        assert_eq!(all.as_mut().now_or_never().map(|all| all.bytes()), Some(100));
    }
}
