//! What consumers tell each other through the classic group protocol: subscription and assignment blobs of protocol type
//! `consumer`, versions 0 to 3.
//!
//! To the broker these are opaque, with two exceptions: describing a group, and not expiring offsets of topics that a
//! live group still reads. Both are best effort, so a blob that cannot be read is an error value and nothing worse. Newer
//! versions only append fields, which is why a higher version is read as far as it is known.

use crate::{
    codec::{DecodeError, Reader},
    ids::PartitionId,
};

/// The protocol type whose blobs these are.
pub const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// Partitions of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPartitions {
    /// Topic name.
    pub topic: String,
    /// Partition indexes.
    pub partitions: Vec<PartitionId>,
}

/// What a member wants: the metadata of its `JoinGroup` request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subscription {
    /// Version as written.
    pub version: i16,
    /// Topics subscribed to.
    pub topics: Vec<String>,
    /// Bytes for the assignor.
    pub user_data: Option<Vec<u8>>,
    /// Partitions held so far; since version 1 (KIP-429).
    pub owned_partitions: Vec<TopicPartitions>,
    /// Generation in which they were held, or -1; since version 2 (KIP-792).
    pub generation_id: i32,
    /// Rack of the member; since version 3 (KIP-881).
    pub rack_id: Option<String>,
}

/// What a member gets: its part of the leader's `SyncGroup` request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignment {
    /// Version as written.
    pub version: i16,
    /// Partitions to read.
    pub assigned_partitions: Vec<TopicPartitions>,
    /// Bytes from the assignor.
    pub user_data: Option<Vec<u8>>,
}

impl Subscription {
    /// Reads a member's metadata.
    ///
    /// # Errors
    /// [`DecodeError`], also for a negative version.
    pub fn parse(blob: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(blob);
        let version = read_version(&mut reader)?;
        let topics = read_all(&mut reader, |reader| reader.string(false).map(str::to_owned))?;
        let user_data = reader.nullable_bytes(false)?.map(<[u8]>::to_vec);
        let mut subscription = Self {
            version,
            topics,
            user_data,
            generation_id: -1,
            ..Self::default()
        };
        if 1 <= version {
            subscription.owned_partitions = read_all(&mut reader, read_topic_partitions)?;
        }
        if 2 <= version {
            subscription.generation_id = reader.i32()?;
        }
        if 3 <= version {
            subscription.rack_id = reader.nullable_string(false)?.map(str::to_owned);
        }
        Ok(subscription)
    }
}

impl Assignment {
    /// Reads a member's assignment. No bytes at all, as members without an assignment have, is an empty one.
    ///
    /// # Errors
    /// [`DecodeError`], also for a negative version.
    pub fn parse(blob: &[u8]) -> Result<Self, DecodeError> {
        if blob.is_empty() {
            return Ok(Self::default());
        }
        let mut reader = Reader::new(blob);
        let version = read_version(&mut reader)?;
        let assigned_partitions = read_all(&mut reader, read_topic_partitions)?;
        let user_data = reader.nullable_bytes(false)?.map(<[u8]>::to_vec);
        Ok(Self {
            version,
            assigned_partitions,
            user_data,
        })
    }
}

fn read_version(reader: &mut Reader<'_>) -> Result<i16, DecodeError> {
    match reader.i16()? {
        version if version < 0 => Err(DecodeError::NegativeLength {
            length: i64::from(version),
        }),
        version => Ok(version),
    }
}

fn read_topic_partitions(reader: &mut Reader<'_>) -> Result<TopicPartitions, DecodeError> {
    let topic = reader.string(false)?.to_owned();
    let partitions = read_all(reader, Reader::i32)?;
    Ok(TopicPartitions { topic, partitions })
}

/// Reads a counted array. The count is not believed any further than the bytes reach, so nothing is reserved for it.
fn read_all<'a, T>(
    reader: &mut Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = reader.count(false)?;
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(read(reader)?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::{
        messages::{
            ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicName, consumer_protocol_assignment,
            consumer_protocol_subscription,
        },
        protocol::{Encodable, StrBytes},
    };
    use proptest::prelude::*;

    use super::*;

    fn blob(version: i16, message: &impl Encodable) -> Vec<u8> {
        let mut out = version.to_be_bytes().to_vec();
        message.encode(&mut out, version).unwrap();
        out
    }

    fn topic(name: &'static str) -> TopicName {
        TopicName(StrBytes::from_static_str(name))
    }

    #[test]
    fn every_version_of_a_subscription_is_read() {
        let owned = consumer_protocol_subscription::TopicPartition::default()
            .with_topic(topic("a"))
            .with_partitions(vec![0, 2]);
        for version in 0..=3 {
            let mut theirs = ConsumerProtocolSubscription::default()
                .with_topics(vec![StrBytes::from_static_str("a"), StrBytes::from_static_str("b")])
                .with_user_data(Some(vec![1, 2].into()));
            if 1 <= version {
                theirs = theirs.with_owned_partitions(vec![owned.clone()]);
            }
            if 2 <= version {
                theirs = theirs.with_generation_id(7);
            }
            if 3 <= version {
                theirs = theirs.with_rack_id(Some(StrBytes::from_static_str("r1")));
            }
            let ours = Subscription::parse(&blob(version, &theirs)).unwrap();
            let owned = TopicPartitions {
                topic: "a".to_owned(),
                partitions: vec![0, 2],
            };
            assert_eq!(
                ours,
                Subscription {
                    version,
                    topics: vec!["a".to_owned(), "b".to_owned()],
                    user_data: Some(vec![1, 2]),
                    owned_partitions: if 1 <= version { vec![owned] } else { vec![] },
                    generation_id: if 2 <= version { 7 } else { -1 },
                    rack_id: (3 <= version).then(|| "r1".to_owned()),
                }
            );
        }
    }

    #[test]
    fn every_version_of_an_assignment_is_read() {
        let assigned = consumer_protocol_assignment::TopicPartition::default()
            .with_topic(topic("a"))
            .with_partitions(vec![1]);
        for version in 0..=3 {
            let theirs = ConsumerProtocolAssignment::default().with_assigned_partitions(vec![assigned.clone()]);
            let ours = Assignment::parse(&blob(version, &theirs)).unwrap();
            let assigned = TopicPartitions {
                topic: "a".to_owned(),
                partitions: vec![1],
            };
            assert_eq!(
                ours,
                Assignment {
                    version,
                    assigned_partitions: vec![assigned],
                    user_data: None
                }
            );
        }
        assert_eq!(Assignment::parse(&[]), Ok(Assignment::default()));
    }

    #[test]
    fn a_newer_version_is_read_as_far_as_it_is_known() {
        let mut newer = blob(3, &ConsumerProtocolSubscription::default());
        newer[1] = 9;
        newer.extend_from_slice(b"more");
        assert_eq!(
            Subscription::parse(&newer).map(|subscription| subscription.version),
            Ok(9)
        );
        assert!(Subscription::parse(&[0xff, 0xff]).is_err());
    }

    proptest! {
        #[test]
        fn garbage_never_panics(blob: Vec<u8>) {
            let _ = Subscription::parse(&blob);
            let _ = Assignment::parse(&blob);
        }
    }
}
