//! `GroupMetadataValue`: a classic group with its members, as of its last completed rebalance.
//!
//! | field | type | versions |
//! |---|---|---|
//! | protocol type | string | 0 to 4 |
//! | generation | int32 | 0 to 4 |
//! | protocol | nullable string | 0 to 4 |
//! | leader | nullable string | 0 to 4 |
//! | current state timestamp | int64 | 2 to 4 |
//! | members | array | 0 to 4 |
//!
//! A member: id (string), instance id (nullable string, 3 and 4), client id (string), client host (string), rebalance
//! timeout (int32, 1 to 4), session timeout (int32), subscription (bytes), assignment (bytes).

use std::sync::Arc;

use bytes::Bytes;
use protocol::codec::DecodeError;
use protocol::ids::TimestampMs;

use super::{GroupRecordError, value_version};
use crate::group::{InstanceId, MemberId};
use crate::wire::{Reader, Writer};

const NAME: &str = "GroupMetadataValue";
const HIGHEST_VERSION: i16 = 4;
const WRITTEN_VERSION: i16 = 3;

/// A classic group as `__consumer_offsets` keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadataValue {
    /// `consumer`, `connect`, ..., or empty for a group that never had a member.
    pub protocol_type: Arc<str>,
    /// Number of the last completed rebalance.
    pub generation: i32,
    /// The protocol that all members use; nothing for an empty group.
    pub protocol: Option<Arc<str>>,
    /// The leader; nothing for an empty group.
    pub leader: Option<MemberId>,
    /// When the group came into its state; nothing in records older than Kafka 2.1.
    pub current_state_timestamp: Option<TimestampMs>,
    /// Everybody with an assignment.
    pub members: Vec<MemberMetadata>,
}

/// One member of a classic group as `__consumer_offsets` keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberMetadata {
    /// The member.
    pub member: MemberId,
    /// `group.instance.id` of a static member.
    pub instance: Option<InstanceId>,
    /// Client id from the request header.
    pub client_id: Arc<str>,
    /// Address of the client.
    pub client_host: Arc<str>,
    /// How long a rebalance waits for the member. Version 0 has none and means the session timeout.
    pub rebalance_timeout_ms: i32,
    /// How long the member may be silent.
    pub session_timeout_ms: i32,
    /// The member's metadata for the protocol in use.
    pub subscription: Bytes,
    /// What the leader gave to the member.
    pub assignment: Bytes,
}

impl GroupMetadataValue {
    /// Reads any version.
    pub fn decode(bytes: &[u8]) -> Result<Self, GroupRecordError> {
        let mut reader = Reader::new(bytes);
        let version = value_version(&mut reader, NAME, HIGHEST_VERSION)?;
        Self::read(&mut reader, version).map_err(|source| GroupRecordError::Value {
            record: NAME,
            version: Some(version),
            source,
        })
    }

    /// Writes version 3.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::new();
        writer.i16(WRITTEN_VERSION);
        writer.string(&self.protocol_type);
        writer.i32(self.generation);
        writer.nullable_string(self.protocol.as_deref());
        writer.nullable_string(self.leader.as_deref());
        writer.i64(self.current_state_timestamp.unwrap_or(-1));
        writer.array_length(Some(self.members.len()));
        for member in &self.members {
            member.write(&mut writer);
        }
        writer.finish()
    }

    fn read(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        reader.set_flexible(4 <= version);
        let value = Self {
            protocol_type: reader.string()?,
            generation: reader.i32()?,
            protocol: reader.nullable_string()?,
            leader: reader.nullable_string()?,
            current_state_timestamp: if 2 <= version {
                Some(reader.i64()?).filter(|at| *at != -1)
            } else {
                None
            },
            members: reader.array_of(|reader| MemberMetadata::read(reader, version))?,
        };
        reader.skip_tagged_fields()?;
        Ok(value)
    }
}

impl MemberMetadata {
    fn read(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let member = reader.string()?;
        let instance = if 3 <= version { reader.nullable_string()? } else { None };
        let client_id = reader.string()?;
        let client_host = reader.string()?;
        let rebalance_timeout_ms = if 1 <= version { Some(reader.i32()?) } else { None };
        let session_timeout_ms = reader.i32()?;
        let subscription = reader.bytes()?;
        let assignment = reader.bytes()?;
        reader.skip_tagged_fields()?;
        Ok(Self {
            member,
            instance,
            client_id,
            client_host,
            rebalance_timeout_ms: rebalance_timeout_ms
                .filter(|ms| *ms != -1)
                .unwrap_or(session_timeout_ms),
            session_timeout_ms,
            subscription,
            assignment,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.string(&self.member);
        writer.nullable_string(self.instance.as_deref());
        writer.string(&self.client_id);
        writer.string(&self.client_host);
        writer.i32(self.rebalance_timeout_ms);
        writer.i32(self.session_timeout_ms);
        writer.bytes(&self.subscription);
        writer.bytes(&self.assignment);
    }
}
