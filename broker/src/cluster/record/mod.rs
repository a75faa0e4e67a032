//! Metadata records: what the cluster's metadata log holds.
//!
//! Each record travels as the value of one record in a Kafka record batch, whose CRC-32C covers it; batches are atomic.
//! A change that needs several records is written as one batch. Layout of a value, big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 2 | record type |
//! | 1 | version of that type's layout |
//! | rest | fields in the order of the Rust definition |
//!
//! Texts and byte strings carry a 4-byte length; an optional one has length -1 for none; lists carry a 4-byte count.
//! **Versioning:** fields are never removed or reordered within a version; a new version may add fields at the end, and
//! every version ever written stays readable. An unknown type or version is an error: a newer program wrote it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use protocol::ids::{ProducerId, TimestampMs, TopicId};
use uuid::Uuid;

use super::image::{NodeId, PartitionImage, TopicImage};

/// One fact in the metadata log.
#[derive(Clone, Debug, PartialEq)]
pub enum MetadataRecord {
    /// Type 1: a node began a run; all its leaderships get a new epoch.
    NodeStarted {
        /// The node.
        node: NodeId,
        /// When.
        at: TimestampMs,
    },
    /// Type 2: a topic came to be, with all its partitions and settings.
    TopicCreated(TopicCreated),
    /// Type 3: a topic is gone, with its settings.
    TopicDeleted {
        /// The topic.
        id: TopicId,
    },
    /// Type 4: a topic got more partitions, numbered on from the ones it had.
    PartitionsAdded {
        /// The topic.
        id: TopicId,
        /// Replicas of each new partition.
        assignments: Vec<Vec<NodeId>>,
    },
    /// Type 5: a topic's setting; no value takes it away.
    TopicConfig {
        /// The topic.
        id: TopicId,
        /// Kafka's name of the key.
        key: String,
        /// Canonical value.
        value: Option<String>,
    },
    /// Type 6: a broker key changed while running; no value takes it away.
    BrokerConfig {
        /// Kafka's name of the key.
        key: String,
        /// Canonical value.
        value: Option<String>,
    },
    /// Type 7: all producer ids below `end` are given out.
    ProducerIdBlock {
        /// First id that is still free.
        end: ProducerId,
    },
    /// Type 8: the definition of a SQL object; no payload takes it away.
    SqlObject {
        /// Name chosen by the catalog.
        name: String,
        /// Opaque definition.
        payload: Option<Bytes>,
    },
}

/// A new topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicCreated {
    /// Its id.
    pub id: TopicId,
    /// Its name.
    pub name: String,
    /// Replicas of each partition, preferred leader first.
    pub partitions: Vec<Vec<NodeId>>,
    /// Its settings.
    pub configs: BTreeMap<String, String>,
    /// Whether clients may neither write nor change it.
    pub internal: bool,
    /// The query that writes it.
    pub owner: Option<String>,
    /// When it was created.
    pub created_at: TimestampMs,
}

/// Why bytes are no metadata record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A type that this program does not know.
    #[error("unknown metadata record type {0}")]
    UnknownType(i16),
    /// A version that this program does not know.
    #[error("unknown version {version} of metadata record type {record_type}")]
    UnknownVersion {
        /// The type.
        record_type: i16,
        /// The version.
        version: i8,
    },
    /// The bytes end inside a field.
    #[error("the metadata record ends early")]
    Truncated,
    /// Bytes behind the last field.
    #[error("{0} bytes behind the metadata record")]
    Trailing(usize),
    /// A length or count that cannot be.
    #[error("the metadata record holds the impossible length {0}")]
    Length(i32),
    /// A text that is not UTF-8.
    #[error("the metadata record holds a text that is not UTF-8")]
    Utf8,
}

/// The only version of every type so far.
const VERSION: i8 = 0;

impl TopicCreated {
    /// The topic as it stands right after its creation.
    pub(super) fn into_image(self) -> TopicImage {
        TopicImage {
            id: self.id,
            name: Arc::from(self.name),
            partitions: self.partitions.into_iter().map(PartitionImage::first).collect(),
            configs: self.configs,
            internal: self.internal,
            owner: self.owner.map(Arc::from),
            created_at: self.created_at,
        }
    }
}

impl MetadataRecord {
    /// The record as bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        out.put_i16(self.type_number());
        out.put_i8(VERSION);
        match self {
            Self::NodeStarted { node, at } => {
                out.put_i32(*node);
                out.put_i64(*at);
            }
            Self::TopicCreated(topic) => put_topic(&mut out, topic),
            Self::TopicDeleted { id } => put_id(&mut out, *id),
            Self::PartitionsAdded { id, assignments } => {
                put_id(&mut out, *id);
                put_assignments(&mut out, assignments);
            }
            Self::TopicConfig { id, key, value } => {
                put_id(&mut out, *id);
                put_text(&mut out, key);
                put_optional(&mut out, value.as_deref().map(str::as_bytes));
            }
            Self::BrokerConfig { key, value } => {
                put_text(&mut out, key);
                put_optional(&mut out, value.as_deref().map(str::as_bytes));
            }
            Self::ProducerIdBlock { end } => out.put_i64(*end),
            Self::SqlObject { name, payload } => {
                put_text(&mut out, name);
                put_optional(&mut out, payload.as_deref());
            }
        }
        out.freeze()
    }

    /// Reads what [`MetadataRecord::encode`] wrote, in this or an earlier version of the program.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader { rest: bytes };
        let record_type = reader.int16()?;
        let version = reader.int8()?;
        let record = match record_type {
            1..=8 if version != VERSION => return Err(RecordError::UnknownVersion { record_type, version }),
            1 => Self::NodeStarted {
                node: reader.int32()?,
                at: reader.int64()?,
            },
            2 => Self::TopicCreated(reader.topic()?),
            3 => Self::TopicDeleted { id: reader.id()? },
            4 => Self::PartitionsAdded {
                id: reader.id()?,
                assignments: reader.assignments()?,
            },
            5 => Self::TopicConfig {
                id: reader.id()?,
                key: reader.text()?,
                value: reader.optional_text()?,
            },
            6 => Self::BrokerConfig {
                key: reader.text()?,
                value: reader.optional_text()?,
            },
            7 => Self::ProducerIdBlock { end: reader.int64()? },
            8 => Self::SqlObject {
                name: reader.text()?,
                payload: reader.optional_bytes()?.map(Bytes::copy_from_slice),
            },
            unknown => return Err(RecordError::UnknownType(unknown)),
        };
        match reader.rest.len() {
            0 => Ok(record),
            trailing => Err(RecordError::Trailing(trailing)),
        }
    }

    fn type_number(&self) -> i16 {
        match self {
            Self::NodeStarted { .. } => 1,
            Self::TopicCreated(_) => 2,
            Self::TopicDeleted { .. } => 3,
            Self::PartitionsAdded { .. } => 4,
            Self::TopicConfig { .. } => 5,
            Self::BrokerConfig { .. } => 6,
            Self::ProducerIdBlock { .. } => 7,
            Self::SqlObject { .. } => 8,
        }
    }
}

fn put_topic(out: &mut BytesMut, topic: &TopicCreated) {
    put_id(out, topic.id);
    put_text(out, &topic.name);
    put_assignments(out, &topic.partitions);
    put_count(out, topic.configs.len());
    for (key, value) in &topic.configs {
        put_text(out, key);
        put_text(out, value);
    }
    out.put_u8(u8::from(topic.internal));
    put_optional(out, topic.owner.as_deref().map(str::as_bytes));
    out.put_i64(topic.created_at);
}

fn put_id(out: &mut BytesMut, id: TopicId) {
    out.put_slice(id.0.as_bytes());
}

fn put_count(out: &mut BytesMut, count: usize) {
    out.put_i32(i32::try_from(count).expect("metadata lists are far below 2^31 entries"));
}

fn put_text(out: &mut BytesMut, text: &str) {
    put_count(out, text.len());
    out.put_slice(text.as_bytes());
}

fn put_optional(out: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            put_count(out, bytes.len());
            out.put_slice(bytes);
        }
        None => out.put_i32(-1),
    }
}

fn put_assignments(out: &mut BytesMut, assignments: &[Vec<NodeId>]) {
    put_count(out, assignments.len());
    for replicas in assignments {
        put_count(out, replicas.len());
        for replica in replicas {
            out.put_i32(*replica);
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn int8(&mut self) -> Result<i8, RecordError> {
        Ok(self.take(1)?.get_i8())
    }

    fn int16(&mut self) -> Result<i16, RecordError> {
        Ok(self.take(2)?.get_i16())
    }

    fn int32(&mut self) -> Result<i32, RecordError> {
        Ok(self.take(4)?.get_i32())
    }

    fn int64(&mut self) -> Result<i64, RecordError> {
        Ok(self.take(8)?.get_i64())
    }

    fn id(&mut self) -> Result<TopicId, RecordError> {
        let bytes: [u8; 16] = self.take(16)?.try_into().map_err(|_| RecordError::Truncated)?;
        Ok(TopicId(Uuid::from_bytes(bytes)))
    }

    fn optional_bytes(&mut self) -> Result<Option<&'a [u8]>, RecordError> {
        match self.int32()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| RecordError::Length(length))?;
                self.take(length).map(Some)
            }
        }
    }

    fn optional_text(&mut self) -> Result<Option<String>, RecordError> {
        let Some(bytes) = self.optional_bytes()? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(bytes).map_err(|_| RecordError::Utf8)?;
        Ok(Some(text.to_owned()))
    }

    fn text(&mut self) -> Result<String, RecordError> {
        self.optional_text()?.ok_or(RecordError::Length(-1))
    }

    /// A count of elements of at least `size` bytes each, which must fit into what is left.
    fn count(&mut self, size: usize) -> Result<usize, RecordError> {
        let count = self.int32()?;
        match usize::try_from(count) {
            Ok(fitting) if fitting <= self.rest.len() / size => Ok(fitting),
            _ => Err(RecordError::Length(count)),
        }
    }

    fn assignments(&mut self) -> Result<Vec<Vec<NodeId>>, RecordError> {
        let count = self.count(4)?;
        (0..count)
            .map(|_| {
                let replicas = self.count(4)?;
                (0..replicas).map(|_| self.int32()).collect()
            })
            .collect()
    }

    fn configs(&mut self) -> Result<BTreeMap<String, String>, RecordError> {
        let count = self.count(8)?;
        (0..count).map(|_| Ok((self.text()?, self.text()?))).collect()
    }

    fn topic(&mut self) -> Result<TopicCreated, RecordError> {
        Ok(TopicCreated {
            id: self.id()?,
            name: self.text()?,
            partitions: self.assignments()?,
            configs: self.configs()?,
            internal: self.int8()? != 0,
            owner: self.optional_text()?,
            created_at: self.int64()?,
        })
    }
}

#[cfg(test)]
mod tests;
