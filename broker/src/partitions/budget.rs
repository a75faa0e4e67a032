//! The memory that fetch responses of all connections may take together (`kafka.fetch_memory`).
//!
//! A read takes its share before it starts and gives back at once what it did not use. The rest is tied to the bytes
//! themselves: it returns when the last handle to them is gone, which is when the response has left or its connection
//! is closed.
//!
//! A client that does not read its responses holds what they take, and what was given to its requests that wait in line.
//! That is why every connection has a bound of its own, a part of the whole: nobody else's reads fail for one client.

use bytes::Bytes;

use crate::memory::{MemoryBudget, Reservation};

/// The part of the budget that one connection may hold, as a divisor. By default it is 64 MiB, more than the largest
/// response (`fetch.max.bytes`).
const CONNECTION_PART: usize = 4;

/// The budget of the node; cheap to clone.
#[derive(Clone, Debug)]
pub struct FetchBudget {
    node: MemoryBudget,
}

/// One connection's access to the budget; cheap to clone.
#[derive(Clone, Debug)]
pub struct ConnectionBudget {
    connection: MemoryBudget,
    node: MemoryBudget,
}

impl FetchBudget {
    /// A budget of `total` bytes.
    pub fn new(total: usize) -> Self {
        Self {
            node: MemoryBudget::new(total),
        }
    }

    /// Bytes that nobody holds.
    pub fn free_bytes(&self) -> usize {
        self.node.free_bytes()
    }

    /// What one connection works with. Its requests share it.
    pub fn connection(&self) -> ConnectionBudget {
        ConnectionBudget {
            connection: MemoryBudget::new((self.node.total_bytes() / CONNECTION_PART).max(1)),
            node: self.node.clone(),
        }
    }
}

impl ConnectionBudget {
    /// The most that the connection may hold, in bytes. A single batch above it is still read.
    pub(crate) fn part(&self) -> usize {
        self.connection.total_bytes()
    }

    /// Takes `bytes`, or everything there is if that is less than asked for; `None` when they are not free now.
    pub(crate) fn try_take(&self, bytes: usize) -> Option<Held> {
        Some(Held {
            connection: self.connection.try_reserve(bytes)?,
            node: self.node.try_reserve(bytes)?,
        })
    }

    /// Waits for `bytes`. First come, first served. Cancel safe.
    ///
    /// The connection's part comes first: what waits for the node's is given memory even while nobody polls it.
    pub(crate) async fn take(&self, bytes: usize) -> Held {
        Held {
            connection: self.connection.reserve(bytes).await,
            node: self.node.reserve(bytes).await,
        }
    }
}

/// A share of the budget.
#[derive(Debug)]
pub(crate) struct Held {
    connection: Reservation,
    node: Reservation,
}

impl Held {
    /// How much it is.
    pub(crate) fn bytes(&self) -> usize {
        self.node.bytes()
    }

    /// Ties as much of the share to `bytes` as they are long, and gives the rest back.
    pub(crate) fn attach(mut self, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        // A share is below its bytes for a first batch above the limits only; it is then held by what there is.
        for share in [&mut self.connection, &mut self.node] {
            share.shrink_to(bytes.len());
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
