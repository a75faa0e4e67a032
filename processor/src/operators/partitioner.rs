//! Which partition a key belongs to: the default partitioner of Kafka's producers, so that our topics line up with
//! theirs (`org.apache.kafka.common.utils.Utils.murmur2`, `BuiltInPartitioner`).

use protocol::ids::PartitionId;

const SEED: u32 = 0x9747_b28c;
const M: u32 = 0x5bd1_e995;
const R: u32 = 24;

/// The partition of a key among `partitions`, which must be above 0.
pub fn partition_of(key: &[u8], partitions: PartitionId) -> PartitionId {
    assert!(0 < partitions, "a topic has partitions");
    let positive = murmur2(key).cast_signed() & i32::MAX;
    positive % partitions
}

fn murmur2(data: &[u8]) -> u32 {
    // The length takes part modulo 2^32, as in Kafka.
    let mut hash = SEED ^ (data.len() & 0xffff_ffff) as u32;
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let word = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ (word ^ (word >> R)).wrapping_mul(M);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of Kafka's own unit test for murmur2.
    #[test]
    fn hashes_as_kafka_does() {
        let cases: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn negative_hashes_have_a_partition() {
        assert_eq!(partition_of(b"21", 1), 0);
        assert!((0..7).contains(&partition_of(b"21", 7)));
    }
}
