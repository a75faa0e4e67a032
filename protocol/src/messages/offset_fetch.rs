//! The `OffsetFetch` request of version 10 (KIP-848): as version 9, with a topic id in place of the topic name.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    OffsetFetchRequest,
    offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
};

use super::text;
use crate::codec::{DecodeError, Reader, compact, tagged};

const FLEXIBLE: bool = true;

pub(super) fn decode(body: &mut Bytes, _version: i16) -> Result<OffsetFetchRequest, String> {
    let mut reader = Reader::new(body);
    let request = read(body, &mut reader).map_err(|error| error.to_string())?;
    let length = reader.position();
    let _ = body.split_to(length);
    Ok(request)
}

pub(super) fn encode(request: &OffsetFetchRequest, out: &mut BytesMut, _version: i16) -> Result<(), String> {
    if !request.group_id.is_empty() || request.topics.as_ref().is_some_and(|topics| !topics.is_empty()) {
        return Err("a single group is not part of this version".to_owned());
    }
    compact::put_count(out, FLEXIBLE, request.groups.len());
    for group in &request.groups {
        compact::put_string(out, FLEXIBLE, &group.group_id);
        compact::put_nullable_string(out, FLEXIBLE, group.member_id.as_deref());
        out.put_i32(group.member_epoch);
        compact::put_nullable_count(out, FLEXIBLE, group.topics.as_ref().map(Vec::len));
        for topic in group.topics.iter().flatten() {
            put_topic(out, topic)?;
        }
        tagged::put_no_tags(out);
    }
    out.put_u8(u8::from(request.require_stable));
    tagged::put_no_tags(out);
    Ok(())
}

fn put_topic(out: &mut BytesMut, topic: &OffsetFetchRequestTopics) -> Result<(), String> {
    if !topic.name.is_empty() {
        return Err("topic names are not part of this version".to_owned());
    }
    out.put_slice(topic.topic_id.as_bytes());
    compact::put_count(out, FLEXIBLE, topic.partition_indexes.len());
    for index in &topic.partition_indexes {
        out.put_i32(*index);
    }
    tagged::put_no_tags(out);
    Ok(())
}

fn read(body: &Bytes, reader: &mut Reader<'_>) -> Result<OffsetFetchRequest, DecodeError> {
    let count = reader.count(FLEXIBLE)?;
    let mut groups = Vec::with_capacity(count);
    for _ in 0..count {
        groups.push(read_group(body, reader)?);
    }
    let require_stable = reader.bool()?;
    reader.skip_tags()?;
    Ok(OffsetFetchRequest::default()
        .with_groups(groups)
        .with_require_stable(require_stable))
}

fn read_group(body: &Bytes, reader: &mut Reader<'_>) -> Result<OffsetFetchRequestGroup, DecodeError> {
    let group_id = text(body, reader.string(FLEXIBLE)?);
    let member_id = reader.nullable_string(FLEXIBLE)?.map(|id| text(body, id));
    let member_epoch = reader.i32()?;
    let topics = match reader.nullable_count(FLEXIBLE)? {
        Some(count) => Some(read_topics(reader, count)?),
        None => None,
    };
    reader.skip_tags()?;
    Ok(OffsetFetchRequestGroup::default()
        .with_group_id(group_id.into())
        .with_member_id(member_id)
        .with_member_epoch(member_epoch)
        .with_topics(topics))
}

fn read_topics(reader: &mut Reader<'_>, count: usize) -> Result<Vec<OffsetFetchRequestTopics>, DecodeError> {
    let mut topics = Vec::with_capacity(count);
    for _ in 0..count {
        let topic_id = reader.uuid()?;
        let partitions = reader.count(FLEXIBLE)?;
        let mut indexes = Vec::with_capacity(partitions);
        for _ in 0..partitions {
            indexes.push(reader.i32()?);
        }
        reader.skip_tags()?;
        topics.push(
            OffsetFetchRequestTopics::default()
                .with_topic_id(topic_id)
                .with_partition_indexes(indexes),
        );
    }
    Ok(topics)
}
