//! The memory that fetch responses of all connections may take together (`kafka.fetch_memory_bytes`).
//!
//! A read takes its share before it starts and gives back at once what it did not use. The rest is tied to the bytes
//! themselves: it returns when the last handle to them is gone, which is when the response has left or its connection
//! is closed. A client that does not read its responses therefore holds its own share and nobody else's.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Shared by all connections; cheap to clone.
#[derive(Clone, Debug)]
pub struct FetchBudget {
    free: Arc<Semaphore>,
    total: usize,
}

impl FetchBudget {
    /// A budget of `total` bytes; at most 4 GiB, the most that one semaphore call can name.
    pub fn new(total: usize) -> Self {
        let total = total.min(u32::MAX as usize).min(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(total)),
            total,
        }
    }

    /// Bytes that nobody holds.
    pub fn free_bytes(&self) -> usize {
        self.free.available_permits()
    }

    /// Takes `bytes`, or everything there is if that is less than asked for; `None` when they are not free now.
    pub(crate) fn try_take(&self, bytes: usize) -> Option<Held> {
        let permit = self.free.clone().try_acquire_many_owned(self.permits(bytes)).ok()?;
        Some(Held { permit })
    }

    /// Waits for `bytes`. First come, first served. Cancel safe.
    pub(crate) async fn take(&self, bytes: usize) -> Option<Held> {
        let permit = self.free.clone().acquire_many_owned(self.permits(bytes)).await.ok()?;
        Some(Held { permit })
    }

    /// A single read larger than the whole budget is let through alone: refusing it would stop its reader for ever.
    fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.total)).unwrap_or(u32::MAX)
    }
}

/// A share of the budget.
#[derive(Debug)]
pub(crate) struct Held {
    permit: OwnedSemaphorePermit,
}

impl Held {
    /// How much it is.
    pub(crate) fn bytes(&self) -> usize {
        self.permit.num_permits()
    }

    /// Ties as much of the share to `bytes` as they are long, and gives the rest back.
    pub(crate) fn attach(mut self, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        let surplus = self.bytes().saturating_sub(bytes.len());
        // Fewer permits than bytes happen for a first batch above the limits only; it is then held by what there is.
        drop(self.permit.split(surplus));
        Bytes::from_owner(Accounted { bytes, _held: self })
    }
}

/// Bytes that hold their share of the budget while they live.
struct Accounted {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Accounted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_lives_as_long_as_its_bytes() {
        let budget = FetchBudget::new(100);
        let bytes = budget
            .try_take(80)
            .expect("free")
            .attach(Bytes::from_static(b"0123456789"));
        assert_eq!(budget.free_bytes(), 90);
        let part = bytes.slice(2..4);
        drop(bytes);
        assert_eq!(budget.free_bytes(), 90, "a slice keeps the whole alive");
        drop(part);
        assert_eq!(budget.free_bytes(), 100);
    }

    #[test]
    fn nothing_is_lent_twice_and_the_largest_read_still_runs() {
        let budget = FetchBudget::new(100);
        let held = budget.try_take(60).expect("free");
        assert!(budget.try_take(50).is_none());
        drop(held);
        let all = budget.try_take(1_000_000).expect("a read above the budget runs alone");
        assert_eq!((all.bytes(), budget.free_bytes()), (100, 0));
    }

    #[test]
    fn empty_records_hold_nothing() {
        let budget = FetchBudget::new(100);
        let bytes = budget.try_take(80).expect("free").attach(Bytes::new());
        assert_eq!(budget.free_bytes(), 100);
        drop(bytes);
    }
}
