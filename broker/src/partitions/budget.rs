//! The memory that fetch responses of all connections may take together (`kafka.fetch_memory`).
//!
//! A read takes its share before it starts and gives back at once what it did not use. The rest is tied to the bytes
//! themselves: it returns when the last handle to them is gone, which is when the response has left or its connection
//! is closed.
//!
//! A client that does not read its responses holds what they take, and what was given to its requests that wait in line.
//! That is why every connection has a bound of its own, a part of the whole: nobody else's reads fail for one client.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The part of the budget that one connection may hold, as a divisor. By default it is 64 MiB, more than the largest
/// response (`fetch.max.bytes`).
const CONNECTION_PART: usize = 4;

/// The budget of the node; cheap to clone.
#[derive(Clone, Debug)]
pub struct FetchBudget {
    node: Pool,
}

/// One connection's access to the budget; cheap to clone.
#[derive(Clone, Debug)]
pub struct ConnectionBudget {
    connection: Pool,
    node: Pool,
}

/// A number of bytes that can be lent.
#[derive(Clone, Debug)]
struct Pool {
    free: Arc<Semaphore>,
    total: usize,
}

impl FetchBudget {
    /// A budget of `total` bytes.
    pub fn new(total: usize) -> Self {
        Self { node: Pool::new(total) }
    }

    /// Bytes that nobody holds.
    pub fn free_bytes(&self) -> usize {
        self.node.free.available_permits()
    }

    /// What one connection works with. Its requests share it.
    pub fn connection(&self) -> ConnectionBudget {
        ConnectionBudget {
            connection: Pool::new((self.node.total / CONNECTION_PART).max(1)),
            node: self.node.clone(),
        }
    }
}

impl ConnectionBudget {
    /// The most that the connection may hold, in bytes. A single batch above it is still read.
    pub(crate) fn part(&self) -> usize {
        self.connection.total
    }

    /// Takes `bytes`, or everything there is if that is less than asked for; `None` when they are not free now.
    pub(crate) fn try_take(&self, bytes: usize) -> Option<Held> {
        Some(Held {
            connection: self.connection.try_take(bytes)?,
            node: self.node.try_take(bytes)?,
        })
    }

    /// Waits for `bytes`. First come, first served. Cancel safe.
    ///
    /// The connection's part comes first: what waits for the node's is given memory even while nobody polls it.
    pub(crate) async fn take(&self, bytes: usize) -> Option<Held> {
        Some(Held {
            connection: self.connection.take(bytes).await?,
            node: self.node.take(bytes).await?,
        })
    }
}

impl Pool {
    fn new(total: usize) -> Self {
        let total = total.min(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(total)),
            total,
        }
    }

    fn try_take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.free.clone().try_acquire_many_owned(self.permits(bytes)).ok()
    }

    async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.free.clone().acquire_many_owned(self.permits(bytes)).await.ok()
    }

    /// A single read larger than all there is is let through alone: refusing it would stop its reader for ever. The
    /// 4 GiB that one call can ask of a semaphore are more than any batch has.
    fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.total)).unwrap_or(u32::MAX)
    }
}

/// A share of the budget.
#[derive(Debug)]
pub(crate) struct Held {
    connection: OwnedSemaphorePermit,
    node: OwnedSemaphorePermit,
}

impl Held {
    /// How much it is.
    pub(crate) fn bytes(&self) -> usize {
        self.node.num_permits()
    }

    /// Ties as much of the share to `bytes` as they are long, and gives the rest back.
    pub(crate) fn attach(mut self, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        // Fewer permits than bytes happen for a first batch above the limits only; it is then held by what there is.
        for permit in [&mut self.connection, &mut self.node] {
            let surplus = permit.num_permits().saturating_sub(bytes.len());
            drop(permit.split(surplus));
        }
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
        let budget = FetchBudget::new(400);
        let connection = budget.connection();
        let bytes = connection
            .try_take(80)
            .expect("free")
            .attach(Bytes::from_static(b"0123456789"));
        assert_eq!(budget.free_bytes(), 390);
        let part = bytes.slice(2..4);
        drop(bytes);
        assert_eq!(budget.free_bytes(), 390, "a slice keeps the whole alive");
        assert!(connection.try_take(100).is_none());
        drop(part);
        assert_eq!(budget.free_bytes(), 400);
        assert!(connection.try_take(100).is_some());
    }

    #[test]
    fn nothing_is_lent_twice_and_the_largest_read_still_runs() {
        let budget = FetchBudget::new(100);
        let held = budget.connection().try_take(60).expect("free");
        assert!(budget.connection().try_take(50).is_none());
        drop(held);
        let all = budget
            .connection()
            .try_take(1_000_000)
            .expect("a read above the budget runs alone");
        assert_eq!((all.bytes(), budget.free_bytes()), (100, 0));
    }

    #[test]
    fn a_budget_may_be_larger_than_one_read_can_be() {
        const GIB: usize = 1 << 30;
        let budget = FetchBudget::new(64 * GIB);
        assert_eq!((budget.free_bytes(), budget.connection().part()), (64 * GIB, 16 * GIB));
        let held = budget.connection().try_take(2 * GIB).expect("free");
        assert_eq!((held.bytes(), budget.free_bytes()), (2 * GIB, 62 * GIB));
    }

    #[test]
    fn one_connection_leaves_memory_to_the_others() {
        let budget = FetchBudget::new(400);
        let connection = budget.connection();
        let bytes = connection.try_take(60).expect("free").attach(Bytes::from(vec![0; 60]));
        assert!(connection.try_take(60).is_none(), "a quarter is 100");
        // Requests that nobody polls any more, as behind a full outbox: what comes back goes to them first.
        let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(connection.take(60))).collect();
        for request in &mut waiting {
            assert!(futures::FutureExt::now_or_never(request).is_none());
        }
        drop(bytes);
        assert!(300 <= budget.free_bytes());
        assert!(budget.connection().try_take(100).is_some());
    }

    #[test]
    fn empty_records_hold_nothing() {
        let budget = FetchBudget::new(400);
        let bytes = budget.connection().try_take(80).expect("free").attach(Bytes::new());
        assert_eq!(budget.free_bytes(), 400);
        drop(bytes);
    }
}
