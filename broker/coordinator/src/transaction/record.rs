//! The records of `__transaction_state` in Kafka's own schema, so that Kafka's tools read the topic.
//!
//! A key is an int16 record type (0) and the transactional id as a string in the fixed form. A null value is a
//! tombstone. Any other value is an int16 version and:
//!
//! | field | type | versions |
//! |---|---|---|
//! | producer id | int64 | 0, 1 |
//! | producer epoch | int16 | 0, 1 |
//! | transaction timeout in ms | int32 | 0, 1 |
//! | status | int8, see [`TransactionState`] | 0, 1 |
//! | partitions | nullable array of (topic string, array of int32) | 0, 1 |
//! | time of the last update | int64 | 0, 1 |
//! | time of the start | int64, -1 without a transaction | 0, 1 |
//! | previous producer id | int64, tag 0, absent for -1 | 1 |
//! | next producer id | int64, tag 1, absent for -1 | 1 |
//! | transaction version of the client | int16, tag 2, absent for 0 | 1 |
//! | next producer epoch | int16, tag 3, absent for -1 | 1 |
//! | **end offsets (ours)** | int64 per partition, tag 10,000, absent without any | 1 |
//!
//! Version 1 is the flexible form; it is the one we write. The end offsets stand in the order of the partitions field
//! and say -1 where none was noted. Kafka skips tags that it does not know. A record whose end offsets do not match
//! its partitions in number is refused.
//!
//! Source: Kafka's `TransactionLogKey` and `TransactionLogValue` message definitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use protocol::codec::DecodeError;
use protocol::ids::{
    NO_PRODUCER_EPOCH, NO_PRODUCER_ID, Offset, PartitionId, ProducerEpoch, ProducerId, TimestampMs, TopicPartition,
};

use super::{TransactionState, TransactionalId};
use crate::wire::{Reader, Writer};

/// Key type of a transactional id.
const TRANSACTION_LOG: i16 = 0;
const HIGHEST_VERSION: i16 = 1;
const WRITTEN_VERSION: i16 = 1;

const PREVIOUS_PRODUCER_ID_TAG: u32 = 0;
const NEXT_PRODUCER_ID_TAG: u32 = 1;
const CLIENT_VERSION_TAG: u32 = 2;
const NEXT_PRODUCER_EPOCH_TAG: u32 = 3;
/// Far beyond what Kafka's own fields will ever count up to.
const END_OFFSETS_TAG: u32 = 10_000;
/// "None noted" among the end offsets.
const NO_END: Offset = -1;

/// One record of `__transaction_state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransactionRecord {
    /// The state of a transactional id, or its end.
    State {
        /// The id.
        transactional_id: TransactionalId,
        /// Its state; nothing removes it.
        value: Option<TransactionLogValue>,
    },
    /// A key type that this version does not know. Applying it changes nothing.
    Unknown {
        /// The number at the front of the key.
        key_type: i16,
    },
}

/// A transactional id as `__transaction_state` keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionLogValue {
    /// The producer id in use.
    pub producer_id: ProducerId,
    /// Producer id of the last committed transaction, -1 where it is not kept.
    pub previous_producer_id: ProducerId,
    /// Producer id that was given to the client last, -1 where it is the one in use.
    pub next_producer_id: ProducerId,
    /// The incarnation in use.
    pub producer_epoch: ProducerEpoch,
    /// Epoch that was given to the client last, -1 where it is the one in use.
    pub next_producer_epoch: ProducerEpoch,
    /// How long a transaction may stay open.
    pub timeout_ms: i32,
    /// Where the id stands.
    pub state: TransactionState,
    /// Partitions of the transaction, ascending. Empty outside of one.
    pub partitions: Vec<TransactionPartition>,
    /// When this was written.
    pub last_update: TimestampMs,
    /// When the transaction began, -1 outside of one.
    pub started: TimestampMs,
    /// Transaction protocol of the client: 0 and 1 keep the epoch, 2 bumps it per transaction (KIP-890).
    pub client_version: i16,
}

/// One partition of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionPartition {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset behind the transaction's last record, noted with the decision.
    pub end: Option<Offset>,
}

/// A record as it lies in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedRecord {
    /// Never null: the topic is compacted by it.
    pub key: Bytes,
    /// Null for a tombstone.
    pub value: Option<Bytes>,
}

/// Why a record of `__transaction_state` cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionRecordError {
    /// The key does not follow its schema.
    #[error("key is unreadable: {source}")]
    Key {
        /// What is wrong.
        source: DecodeError,
    },
    /// The value does not follow its schema.
    #[error("value is unreadable: {source}")]
    Value {
        /// What is wrong.
        source: DecodeError,
    },
    /// The value has a version that did not exist when this was written.
    #[error("value has the unknown version {version}")]
    Version {
        /// The version.
        version: i16,
    },
    /// The value has a status without meaning.
    #[error("value has the unknown status {status}")]
    Status {
        /// The status.
        status: i8,
    },
    /// There is not one end offset per partition.
    #[error("{partitions} partitions have {ends} end offsets")]
    Ends {
        /// Number of partitions.
        partitions: usize,
        /// Number of end offsets.
        ends: usize,
    },
}

impl TransactionRecord {
    /// Reads a record as it lies in the log.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, TransactionRecordError> {
        let bad_key = |source| TransactionRecordError::Key { source };
        let mut reader = Reader::new(key);
        let key_type = reader.i16().map_err(bad_key)?;
        if key_type != TRANSACTION_LOG {
            return Ok(Self::Unknown { key_type });
        }
        let transactional_id = reader.string().map_err(bad_key)?;
        let value = value.map(TransactionLogValue::decode).transpose()?;
        Ok(Self::State {
            transactional_id,
            value,
        })
    }

    /// Writes the record as it lies in the log.
    ///
    /// Panics on [`TransactionRecord::Unknown`]: the machine never emits one.
    pub fn encode(&self) -> EncodedRecord {
        let Self::State {
            transactional_id,
            value,
        } = self
        else {
            panic!("a record of unknown key type is never written");
        };
        let mut key = Writer::new();
        key.i16(TRANSACTION_LOG);
        key.string(transactional_id);
        EncodedRecord {
            key: key.finish(),
            value: value.as_ref().map(TransactionLogValue::encode),
        }
    }
}

impl TransactionLogValue {
    /// Reads any version.
    pub fn decode(bytes: &[u8]) -> Result<Self, TransactionRecordError> {
        let bad_value = |source| TransactionRecordError::Value { source };
        let mut reader = Reader::new(bytes);
        let version = reader.i16().map_err(bad_value)?;
        if !(0..=HIGHEST_VERSION).contains(&version) {
            return Err(TransactionRecordError::Version { version });
        }
        reader.set_flexible(1 <= version);
        let fields = Fields::read(&mut reader).map_err(bad_value)?;
        fields.into_value()
    }

    /// Writes version 1.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::new();
        writer.i16(WRITTEN_VERSION);
        writer.set_flexible(true);
        writer.i64(self.producer_id);
        writer.i16(self.producer_epoch);
        writer.i32(self.timeout_ms);
        writer.i8(self.state.id());
        self.write_partitions(&mut writer);
        writer.i64(self.last_update);
        writer.i64(self.started);
        writer.tagged_fields(&self.tagged_fields());
        writer.finish()
    }

    /// Kafka writes null in the state without a transaction, and the partitions grouped by topic in all others.
    fn write_partitions(&self, writer: &mut Writer) {
        if self.state == TransactionState::Empty {
            return writer.array_length(None);
        }
        let mut by_topic: BTreeMap<&str, Vec<PartitionId>> = BTreeMap::new();
        for TransactionPartition { partition, .. } in &self.partitions {
            by_topic.entry(&partition.topic).or_default().push(partition.partition);
        }
        writer.array_length(Some(by_topic.len()));
        for (topic, partitions) in by_topic {
            writer.string(topic);
            writer.array_length(Some(partitions.len()));
            for partition in partitions {
                writer.i32(partition);
            }
            writer.tagged_fields(&[]);
        }
    }

    fn tagged_fields(&self) -> Vec<(u32, Bytes)> {
        let mut fields = Vec::new();
        if self.previous_producer_id != NO_PRODUCER_ID {
            fields.push((
                PREVIOUS_PRODUCER_ID_TAG,
                field(|field| field.i64(self.previous_producer_id)),
            ));
        }
        if self.next_producer_id != NO_PRODUCER_ID {
            fields.push((NEXT_PRODUCER_ID_TAG, field(|field| field.i64(self.next_producer_id))));
        }
        if self.client_version != 0 {
            fields.push((CLIENT_VERSION_TAG, field(|field| field.i16(self.client_version))));
        }
        if self.next_producer_epoch != NO_PRODUCER_EPOCH {
            fields.push((
                NEXT_PRODUCER_EPOCH_TAG,
                field(|field| field.i16(self.next_producer_epoch)),
            ));
        }
        if self.partitions.iter().any(|partition| partition.end.is_some()) {
            let ends = field(|field| self.partitions.iter().for_each(|p| field.i64(p.end.unwrap_or(NO_END))));
            fields.push((END_OFFSETS_TAG, ends));
        }
        fields
    }
}

/// The fields as they stand, before they are held against each other.
struct Fields {
    value: TransactionLogValue,
    status: i8,
    partitions: Vec<TopicPartition>,
    ends: Option<Vec<Offset>>,
}

impl Fields {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let producer_id = reader.i64()?;
        let producer_epoch = reader.i16()?;
        let timeout_ms = reader.i32()?;
        let status = reader.i8()?;
        let topics = reader.nullable_array(read_topic)?.unwrap_or_default();
        let value = TransactionLogValue {
            producer_id,
            previous_producer_id: NO_PRODUCER_ID,
            next_producer_id: NO_PRODUCER_ID,
            producer_epoch,
            next_producer_epoch: NO_PRODUCER_EPOCH,
            timeout_ms,
            state: TransactionState::Empty,
            partitions: Vec::new(),
            last_update: reader.i64()?,
            started: reader.i64()?,
            client_version: 0,
        };
        let mut fields = Self {
            value,
            status,
            partitions: topics.into_iter().flatten().collect(),
            ends: None,
        };
        reader.tagged_fields(|tag, content| fields.read_tagged(tag, content))?;
        Ok(fields)
    }

    fn read_tagged(&mut self, tag: u32, content: &mut Reader<'_>) -> Result<(), DecodeError> {
        match tag {
            PREVIOUS_PRODUCER_ID_TAG => self.value.previous_producer_id = content.i64()?,
            NEXT_PRODUCER_ID_TAG => self.value.next_producer_id = content.i64()?,
            CLIENT_VERSION_TAG => self.value.client_version = content.i16()?,
            NEXT_PRODUCER_EPOCH_TAG => self.value.next_producer_epoch = content.i16()?,
            END_OFFSETS_TAG => {
                let mut ends = Vec::new();
                while !content.is_empty() {
                    ends.push(content.i64()?);
                }
                self.ends = Some(ends);
            }
            _ => {}
        }
        Ok(())
    }

    fn into_value(self) -> Result<TransactionLogValue, TransactionRecordError> {
        let status = self.status;
        let state = TransactionState::from_id(status).ok_or(TransactionRecordError::Status { status })?;
        let ends = self.ends.unwrap_or_else(|| vec![NO_END; self.partitions.len()]);
        if ends.len() != self.partitions.len() {
            return Err(TransactionRecordError::Ends {
                partitions: self.partitions.len(),
                ends: ends.len(),
            });
        }
        let partitions = self.partitions.into_iter().zip(ends);
        let mut partitions: Vec<_> = partitions
            .map(|(partition, end)| TransactionPartition {
                partition,
                end: Some(end).filter(|end| *end != NO_END),
            })
            .collect();
        // Kafka writes them in no order.
        partitions.sort_by(|a, b| a.partition.cmp(&b.partition));
        Ok(TransactionLogValue {
            state,
            partitions,
            ..self.value
        })
    }
}

fn read_topic(reader: &mut Reader<'_>) -> Result<Vec<TopicPartition>, DecodeError> {
    let topic: Arc<str> = reader.string()?;
    let partitions = reader.array_of(Reader::i32)?;
    reader.skip_tagged_fields()?;
    Ok(partitions
        .into_iter()
        .map(|partition| TopicPartition {
            topic: topic.clone(),
            partition,
        })
        .collect())
}

fn field(write: impl FnOnce(&mut Writer)) -> Bytes {
    let mut writer = Writer::new();
    write(&mut writer);
    writer.finish()
}
