//! The `OffsetCommit` request of version 10 (KIP-848): as version 9, with a topic id in place of the topic name.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        OffsetCommitRequest,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    },
    protocol::StrBytes,
};

use super::text;
use crate::codec::{DecodeError, Reader, compact, tagged};

const FLEXIBLE: bool = true;

pub(super) fn decode(body: &mut Bytes, _version: i16) -> Result<OffsetCommitRequest, String> {
    let mut reader = Reader::new(body);
    let request = read(body, &mut reader).map_err(|error| error.to_string())?;
    let length = reader.position();
    let _ = body.split_to(length);
    Ok(request)
}

pub(super) fn encode(request: &OffsetCommitRequest, out: &mut BytesMut, _version: i16) -> Result<(), String> {
    if request.retention_time_ms != -1 {
        return Err("retention time is not part of this version".to_owned());
    }
    compact::put_string(out, FLEXIBLE, &request.group_id);
    out.put_i32(request.generation_id_or_member_epoch);
    compact::put_string(out, FLEXIBLE, &request.member_id);
    compact::put_nullable_string(out, FLEXIBLE, request.group_instance_id.as_deref());
    compact::put_count(out, FLEXIBLE, request.topics.len());
    for topic in &request.topics {
        if !topic.name.is_empty() {
            return Err("topic names are not part of this version".to_owned());
        }
        out.put_slice(topic.topic_id.as_bytes());
        compact::put_count(out, FLEXIBLE, topic.partitions.len());
        for partition in &topic.partitions {
            out.put_i32(partition.partition_index);
            out.put_i64(partition.committed_offset);
            out.put_i32(partition.committed_leader_epoch);
            compact::put_nullable_string(out, FLEXIBLE, partition.committed_metadata.as_deref());
            tagged::put_no_tags(out);
        }
        tagged::put_no_tags(out);
    }
    tagged::put_no_tags(out);
    Ok(())
}

fn read(body: &Bytes, reader: &mut Reader<'_>) -> Result<OffsetCommitRequest, DecodeError> {
    let group_id = text(body, reader.string(FLEXIBLE)?);
    let generation = reader.i32()?;
    let member_id = text(body, reader.string(FLEXIBLE)?);
    let instance_id = reader.nullable_string(FLEXIBLE)?.map(|id| text(body, id));
    let count = reader.count(FLEXIBLE)?;
    let mut topics = Vec::with_capacity(count);
    for _ in 0..count {
        topics.push(read_topic(body, reader)?);
    }
    reader.skip_tags()?;
    Ok(OffsetCommitRequest::default()
        .with_group_id(group_id.into())
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(member_id)
        .with_group_instance_id(instance_id)
        .with_topics(topics))
}

fn read_topic(body: &Bytes, reader: &mut Reader<'_>) -> Result<OffsetCommitRequestTopic, DecodeError> {
    let topic_id = reader.uuid()?;
    let count = reader.count(FLEXIBLE)?;
    let mut partitions = Vec::with_capacity(count);
    for _ in 0..count {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(reader.i32()?)
            .with_committed_offset(reader.i64()?)
            .with_committed_leader_epoch(reader.i32()?)
            .with_committed_metadata(read_metadata(body, reader)?);
        reader.skip_tags()?;
        partitions.push(partition);
    }
    reader.skip_tags()?;
    Ok(OffsetCommitRequestTopic::default()
        .with_topic_id(topic_id)
        .with_partitions(partitions))
}

fn read_metadata(body: &Bytes, reader: &mut Reader<'_>) -> Result<Option<StrBytes>, DecodeError> {
    Ok(reader.nullable_string(FLEXIBLE)?.map(|metadata| text(body, metadata)))
}
