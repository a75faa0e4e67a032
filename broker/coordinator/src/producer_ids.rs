//! Arithmetic of producer ids and epochs: ids come in blocks that the controller hands out, epochs run out.
//!
//! The controller writes down the first id after the block it gave away; whoever got a block uses it up from the front
//! and loses the rest with a restart. So no id is ever given twice, and there is one metadata record per thousand.
//! Source: Kafka's `ProducerIdsBlock`, `ProducerIdControlManager`, `TransactionMetadata.isEpochExhausted`.

use protocol::ids::{ProducerEpoch, ProducerId};

/// Ids in a block, as in Kafka.
pub const PRODUCER_ID_BLOCK_SIZE: i64 = 1_000;

/// The last epoch that a producer is given. One more is kept in hand, so that its holder can still be fenced.
pub const PRODUCER_EPOCH_MAX: ProducerEpoch = ProducerEpoch::MAX - 1;

/// A range of producer ids that belongs to one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// The first id.
    pub first: ProducerId,
    /// How many follow each other.
    pub count: i64,
}

/// All producer ids have been given away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("producer ids are used up at {next}")]
pub struct ProducerIdsExhausted {
    /// The next id that would have been given.
    pub next: ProducerId,
}

impl ProducerIdBlock {
    /// The block that begins at `next`, the controller's first id that nobody has. Its last id plus one is the
    /// controller's new `next`, see [`Self::end`].
    pub const fn starting_at(next: ProducerId) -> Result<Self, ProducerIdsExhausted> {
        if next < 0 || ProducerId::MAX - PRODUCER_ID_BLOCK_SIZE < next {
            return Err(ProducerIdsExhausted { next });
        }
        Ok(Self {
            first: next,
            count: PRODUCER_ID_BLOCK_SIZE,
        })
    }

    /// The first id behind the block.
    pub const fn end(&self) -> ProducerId {
        self.first + self.count
    }
}

/// Gives out the ids of blocks one by one. Asks for the next block before the current one is used up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerIdAllocator {
    current: Option<ProducerIdBlock>,
    next: Option<ProducerIdBlock>,
}

impl ProducerIdAllocator {
    /// An allocator without ids.
    pub const fn new() -> Self {
        Self {
            current: None,
            next: None,
        }
    }

    /// The next id, or nothing when a block must be fetched first.
    pub fn take(&mut self) -> Option<ProducerId> {
        if self.current.is_none_or(|block| block.count == 0) {
            self.current = self.next.take();
        }
        let block = self.current.as_mut().filter(|block| 0 < block.count)?;
        let id = block.first;
        block.first += 1;
        block.count -= 1;
        Some(id)
    }

    /// Whether it is time to fetch a block: none is in reserve, and of the current one at most a tenth is left.
    pub fn wants_block(&self) -> bool {
        self.next.is_none()
            && self
                .current
                .is_none_or(|block| block.count <= PRODUCER_ID_BLOCK_SIZE / 10)
    }

    /// Takes a block in. Blocks that come unasked are used after those that are there; what would be a third one
    /// replaces the second and its ids are lost, which costs nothing but numbers.
    pub const fn add(&mut self, block: ProducerIdBlock) {
        self.next = Some(block);
    }
}

/// The epoch after `epoch`, or nothing when a new producer id is needed.
pub const fn next_epoch(epoch: ProducerEpoch) -> Option<ProducerEpoch> {
    if PRODUCER_EPOCH_MAX <= epoch {
        None
    } else {
        Some(epoch + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::{ProducerIdAllocator, ProducerIdBlock, ProducerIdsExhausted, next_epoch};

    #[test]
    fn blocks_follow_each_other_until_the_numbers_end() {
        let first = ProducerIdBlock::starting_at(0).expect("ids are left");
        assert_eq!((first.first, first.end()), (0, 1_000));
        assert_eq!(
            ProducerIdBlock::starting_at(first.end()).map(|block| block.end()),
            Ok(2_000)
        );
        assert_eq!(
            ProducerIdBlock::starting_at(i64::MAX - 1_000).map(|block| block.end()),
            Ok(i64::MAX)
        );
        assert_eq!(
            ProducerIdBlock::starting_at(i64::MAX - 999),
            Err(ProducerIdsExhausted { next: i64::MAX - 999 })
        );
    }

    #[test]
    fn an_allocator_asks_early_and_gives_every_id_once() {
        let mut allocator = ProducerIdAllocator::new();
        assert_eq!((allocator.take(), allocator.wants_block()), (None, true));
        allocator.add(ProducerIdBlock {
            first: 5_000,
            count: 1_000,
        });
        for expected in 5_000..5_900 {
            assert_eq!(allocator.take(), Some(expected));
        }
        assert!(allocator.wants_block());
        allocator.add(ProducerIdBlock {
            first: 9_000,
            count: 1_000,
        });
        assert!(!allocator.wants_block());
        let rest: Vec<_> = std::iter::from_fn(|| allocator.take()).collect();
        assert_eq!(rest, (5_900..6_000).chain(9_000..10_000).collect::<Vec<_>>());
    }

    #[test]
    fn the_last_epoch_is_kept_for_fencing() {
        assert_eq!(next_epoch(0), Some(1));
        assert_eq!(next_epoch(32_765), Some(32_766));
        assert_eq!(next_epoch(32_766), None);
        assert_eq!(next_epoch(32_767), None);
    }
}
