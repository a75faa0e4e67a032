//! Names for the numbers that travel through the whole system.
//!
//! The plain aliases say what an integer means; the structs are identities that must not be mixed up.
//! Widths are those of the Kafka protocol, where "none" is -1 in every case.

use std::{fmt, str::FromStr, sync::Arc};

use uuid::Uuid;

/// Position of a record in a partition's log, counted from 0.
pub type Offset = i64;
/// Number of a leader's term; it grows with every start of the log's leader. -1 where unknown.
pub type LeaderEpoch = i32;
/// Identity that the broker hands to an idempotent or transactional producer. -1 where there is none.
pub type ProducerId = i64;
/// Number of a producer's incarnation under one [`ProducerId`]. -1 where there is none.
pub type ProducerEpoch = i16;
/// Number of a record within one producer id and epoch; wraps from `i32::MAX` to 0. -1 where there is none.
pub type Sequence = i32;
/// Index of a partition within its topic, counted from 0.
pub type PartitionId = i32;
/// Milliseconds since 1970-01-01 UTC. -1 where there is none.
pub type TimestampMs = i64;

/// "No producer": the producer id of batches that are not idempotent.
pub const NO_PRODUCER_ID: ProducerId = -1;
/// "No producer": the producer epoch of batches that are not idempotent.
pub const NO_PRODUCER_EPOCH: ProducerEpoch = -1;
/// "No sequence": the base sequence of batches that are not idempotent, and of control batches.
pub const NO_SEQUENCE: Sequence = -1;
/// "No epoch known".
pub const NO_LEADER_EPOCH: LeaderEpoch = -1;
/// "No timestamp".
pub const NO_TIMESTAMP: TimestampMs = -1;

/// Identity of a topic that survives neither deletion nor re-creation under the same name (KIP-516).
///
/// Written as Kafka writes it: 16 bytes in URL-safe base64 without padding, 22 characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TopicId(pub Uuid);

impl TopicId {
    /// The all-zero id, which means "none" on the wire.
    pub const NIL: Self = Self(Uuid::nil());

    /// Whether this is [`TopicId::NIL`].
    #[must_use]
    pub const fn is_nil(&self) -> bool {
        self.0.is_nil()
    }
}

impl From<Uuid> for TopicId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl From<TopicId> for Uuid {
    fn from(id: TopicId) -> Self {
        id.0
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_base64(&self.0, f)
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicId({self})")
    }
}

impl FromStr for TopicId {
    type Err = InvalidTopicId;

    /// Reads the 22 characters that [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidTopicId { text: text.to_owned() };
        if text.len() != 22 {
            return Err(invalid());
        }
        let mut value: u128 = 0;
        for (index, byte) in text.bytes().enumerate() {
            let six = u128::from(base64_value(byte).ok_or_else(invalid)?);
            value = match index {
                // 22 characters carry 132 bits: the last one gives its upper two and four zeros.
                21 if six & 0x0f != 0 => return Err(invalid()),
                21 => (value << 2) | (six >> 4),
                _ => (value << 6) | six,
            };
        }
        Ok(Self(Uuid::from_u128(value)))
    }
}

/// A text that is no topic id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a topic id (22 characters of URL-safe base64)")]
pub struct InvalidTopicId {
    /// The text as it was given.
    pub text: String,
}

/// One partition of one topic, by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Topic name.
    pub topic: Arc<str>,
    /// Partition index.
    pub partition: PartitionId,
}

impl TopicPartition {
    /// Names a partition.
    pub fn new(topic: impl Into<Arc<str>>, partition: PartitionId) -> Self {
        Self {
            topic: topic.into(),
            partition,
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

fn fmt_base64(uuid: &Uuid, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let value = uuid.as_u128();
    let mut text = String::with_capacity(22);
    for index in 0..22_u32 {
        let six = if index == 21 {
            (value << 4) & 0x3f
        } else {
            (value >> (122 - 6 * index)) & 0x3f
        };
        text.push(base64_char(six as u8));
    }
    f.pad(&text)
}

const fn base64_char(six: u8) -> char {
    (match six {
        0..=25 => b'A' + six,
        26..=51 => b'a' + six - 26,
        52..=61 => b'0' + six - 52,
        62 => b'-',
        _ => b'_',
    }) as char
}

fn base64_value(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn topic_id_reads_like_kafkas() {
        // The id of Kafka's own metadata topic, 0...01, is a fixed point of its documentation.
        assert_eq!(TopicId(Uuid::from_u128(1)).to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(TopicId::NIL.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(
            TopicId(Uuid::from_u128(u128::MAX)).to_string(),
            "_____________________w"
        );
    }

    #[test]
    fn topic_id_refuses_other_text() {
        for text in [
            "",
            "AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAR",
            "AAAAAAAAAAA+AAAAAAAAAQ",
            "AAAAAAAAAAAAAAAAAAAAAQ=",
        ] {
            assert!(text.parse::<TopicId>().is_err(), "{text}");
        }
    }

    #[test]
    fn topic_partition_reads_like_its_folder() {
        assert_eq!(TopicPartition::new("orders", 3).to_string(), "orders-3");
    }

    proptest! {
        #[test]
        fn topic_id_text_round_trips(value: u128) {
            let id = TopicId(Uuid::from_u128(value));
            prop_assert_eq!(id.to_string().parse::<TopicId>(), Ok(id));
        }
    }
}
