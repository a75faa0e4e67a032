//! What an epoch writes: records gathered per partition until the barrier.

use std::sync::Arc;

use protocol::ids::{PartitionId, TimestampMs, TopicPartition};
use protocol::records::{BatchBuilder, Codec};

use crate::ports::PartitionWrite;

/// Records of one batch stay below this many bytes unless a single one is larger. Well below the smallest
/// `max.message.bytes` in use (1 MiB).
const BATCH_BYTES: usize = 512 << 10;

/// A topic that a query writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port(usize);

/// A record's headers, in order.
pub type RecordHeaders<'a> = &'a [(&'a str, Option<&'a [u8]>)];

/// Gathers the records of the current epoch, in order per partition.
pub struct EpochBuffer {
    topics: Vec<BufferedTopic>,
    now: TimestampMs,
    bytes: usize,
    records: u64,
}

struct BufferedTopic {
    name: Arc<str>,
    partitions: Vec<BufferedPartition>,
    turn: usize,
}

#[derive(Default)]
struct BufferedPartition {
    full: Vec<BatchBuilder>,
    open: Option<BatchBuilder>,
}

impl EpochBuffer {
    /// A buffer without topics.
    pub fn new() -> Self {
        Self {
            topics: Vec::new(),
            now: 0,
            bytes: 0,
            records: 0,
        }
    }

    /// Adds a topic, or finds it when it is there already.
    pub fn topic(&mut self, name: &str, partitions: PartitionId) -> Port {
        if let Some(index) = self.topics.iter().position(|topic| *topic.name == *name) {
            return Port(index);
        }
        let count = usize::try_from(partitions).unwrap_or_default().max(1);
        self.topics.push(BufferedTopic {
            name: name.into(),
            partitions: (0..count).map(|_| BufferedPartition::default()).collect(),
            turn: 0,
        });
        Port(self.topics.len() - 1)
    }

    /// Number of partitions of a topic.
    pub fn partitions(&self, port: Port) -> PartitionId {
        PartitionId::try_from(self.topics[port.0].partitions.len()).expect("partitions were counted in 32 bits")
    }

    /// The partition that takes records without a key in this epoch; it moves on with every epoch.
    pub fn turn(&self, port: Port) -> PartitionId {
        let topic = &self.topics[port.0];
        PartitionId::try_from(topic.turn % topic.partitions.len()).expect("partitions were counted in 32 bits")
    }

    /// The time that records get from now on.
    pub fn set_now(&mut self, now: TimestampMs) {
        self.now = now;
    }

    /// The time that records get.
    pub fn now(&self) -> TimestampMs {
        self.now
    }

    /// Adds a record with the current time.
    pub fn append(
        &mut self,
        port: Port,
        partition: PartitionId,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: RecordHeaders<'_>,
    ) {
        let now = self.now;
        let index = usize::try_from(partition).expect("partitions are not negative");
        let target = &mut self.topics[port.0].partitions[index];
        let size = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        let is_full = |open: &BatchBuilder| !open.is_empty() && BATCH_BYTES < open.size_bytes() + size;
        if target.open.as_ref().is_some_and(is_full) {
            target.full.extend(target.open.take());
        }
        let open = target
            .open
            .get_or_insert_with(|| BatchBuilder::new(Codec::None, None, now));
        let before = open.size_bytes();
        open.append(now, key, value, headers);
        self.bytes += open.size_bytes() - before;
        self.records += 1;
    }

    /// Bytes gathered since the last [`take`](Self::take).
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Records gathered since the last [`take`](Self::take).
    pub fn records(&self) -> u64 {
        self.records
    }

    /// True when nothing was gathered since the last [`take`](Self::take).
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Takes what was gathered, and moves the turn of keyless records on.
    pub fn take(&mut self) -> Vec<PartitionWrite> {
        let mut writes = Vec::new();
        for topic in &mut self.topics {
            let mut wrote = false;
            for (index, partition) in topic.partitions.iter_mut().enumerate() {
                let batches = partition.full.drain(..).chain(partition.open.take());
                for records in batches {
                    wrote = true;
                    writes.push(PartitionWrite {
                        partition: TopicPartition {
                            topic: Arc::clone(&topic.name),
                            partition: PartitionId::try_from(index).expect("partitions were counted in 32 bits"),
                        },
                        records,
                    });
                }
            }
            topic.turn += usize::from(wrote);
        }
        self.bytes = 0;
        self.records = 0;
        writes
    }
}

impl Default for EpochBuffer {
    fn default() -> Self {
        Self::new()
    }
}
