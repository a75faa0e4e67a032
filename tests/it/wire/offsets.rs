//! OffsetCommit (8) and OffsetFetch (9). Version 10 names topics by id; the codec lacks its requests, which differ from
//! version 9 in that one field.

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    ApiKey, GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};
use kafka_protocol::protocol::{Decodable, HeaderVersion, Request};
use tests::requests::{self, Topic, text};
use tests::wait;
use uuid::Uuid;

use super::{Wire, cut};

const BY_ID: i16 = 10;
const GROUPS_SINCE: i16 = 8;
pub(crate) const COORDINATOR_NOT_READY: [i16; 3] = [
    ResponseError::CoordinatorLoadInProgress.code(),
    ResponseError::CoordinatorNotAvailable.code(),
    ResponseError::NotCoordinator.code(),
];

pub(crate) fn good_commit(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let topic = requests::create_topic(&mut connection, "offset-commit", 1, &[]);
    let group = requests::unique("offset-commit");
    let response = commit(wire, version, &group, &topic);
    assert_eq!(response, commit_answer(version, &topic, 0));
    assert_eq!(
        fetch(wire, 9, &group, &topic),
        fetch_answer(9, &group, &topic, committed())
    );
}

pub(crate) fn bad_commit(wire: &Wire, version: i16) {
    let topic = Topic::unknown();
    let response = commit(wire, version, &requests::unique("offset-commit"), &topic);
    assert_eq!(response, commit_answer(version, &topic, unknown_topic(version)));
}

pub(crate) fn good_fetch(wire: &Wire, version: i16) {
    let mut connection = wire.connect();
    let topic = requests::create_topic(&mut connection, "offset-fetch", 1, &[]);
    let group = requests::unique("offset-fetch");
    assert_eq!(commit(wire, 9, &group, &topic), commit_answer(9, &topic, 0));
    assert_eq!(
        fetch(wire, version, &group, &topic),
        fetch_answer(version, &group, &topic, committed())
    );
}

/// An id that no topic has. Before topics had ids, Kafka has an answer for every group, topic, partition, and member
/// that can be named: nothing is committed. What is bad there is to name no group at all.
pub(crate) fn bad_fetch(wire: &Wire, version: i16) {
    if version < BY_ID {
        cut::null_closes(wire, ApiKey::OffsetFetch, version, no_group(version));
        assert_nothing_committed(wire, version, 0);
        return;
    }
    assert_nothing_committed(wire, version, ResponseError::UnknownTopicId.code());
}

/// A request with a null group id and no topics.
fn no_group(version: i16) -> &'static [u8] {
    match version {
        ..=5 => &[0xff, 0xff, 0, 0, 0, 0],
        6 => &[0, 1, 0],
        // With require_stable.
        7 => &[0, 1, 0, 0],
        8 => &[2, 0, 1, 0, 0, 0],
        // With a member and its epoch.
        _ => &[2, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0],
    }
}

fn assert_nothing_committed(wire: &Wire, version: i16, code: i16) {
    let topic = Topic::unknown();
    let group = requests::unique("offset-fetch");
    let nothing = OffsetFetchResponsePartitions::default()
        .with_committed_offset(-1)
        .with_committed_leader_epoch(-1)
        .with_metadata(Some(text("")))
        .with_error_code(code);
    assert_eq!(
        fetch(wire, version, &group, &topic),
        fetch_answer(version, &group, &topic, nothing)
    );
}

fn commit(wire: &Wire, version: i16, group: &str, topic: &Topic) -> OffsetCommitResponse {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(5)
        .with_committed_metadata(Some(text("note")));
    let of_topic = OffsetCommitRequestTopic::default()
        .with_name(topic.topic_name())
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(vec![of_topic]);
    requests::find_coordinator(&mut wire.connect(), group);
    wait::until_some("the group coordinator", || {
        let response = call(wire, version, topic, &request);
        let code = response.topics[0].partitions[0].error_code;
        (!COORDINATOR_NOT_READY.contains(&code)).then_some(response)
    })
}

fn commit_answer(version: i16, topic: &Topic, code: i16) -> OffsetCommitResponse {
    let partition = OffsetCommitResponsePartition::default().with_error_code(code);
    let mut of_topic = OffsetCommitResponseTopic::default().with_partitions(vec![partition]);
    if version < BY_ID {
        of_topic.name = topic.topic_name();
    } else {
        of_topic.topic_id = topic.id;
    }
    OffsetCommitResponse::default().with_topics(vec![of_topic])
}

fn fetch(wire: &Wire, version: i16, group: &str, topic: &Topic) -> OffsetFetchResponse {
    let mut request = OffsetFetchRequest::default();
    let id = GroupId(text(group));
    if version < GROUPS_SINCE {
        let of_topic = OffsetFetchRequestTopic::default()
            .with_name(topic.topic_name())
            .with_partition_indexes(vec![0]);
        request = request.with_group_id(id).with_topics(Some(vec![of_topic]));
    } else {
        let of_topic = OffsetFetchRequestTopics::default()
            .with_name(topic.topic_name())
            .with_partition_indexes(vec![0]);
        let of_group = OffsetFetchRequestGroup::default()
            .with_group_id(id)
            .with_topics(Some(vec![of_topic]));
        request = request.with_groups(vec![of_group]);
    }
    requests::find_coordinator(&mut wire.connect(), group);
    call(wire, version, topic, &request)
}

fn fetch_answer(
    version: i16,
    group: &str,
    topic: &Topic,
    partition: OffsetFetchResponsePartitions,
) -> OffsetFetchResponse {
    if version < GROUPS_SINCE {
        let partition = OffsetFetchResponsePartition::default()
            .with_committed_offset(partition.committed_offset)
            .with_committed_leader_epoch(partition.committed_leader_epoch)
            .with_metadata(partition.metadata)
            .with_error_code(partition.error_code);
        let of_topic = OffsetFetchResponseTopic::default()
            .with_name(topic.topic_name())
            .with_partitions(vec![partition]);
        return OffsetFetchResponse::default().with_topics(vec![of_topic]);
    }
    let mut of_topic = OffsetFetchResponseTopics::default().with_partitions(vec![partition]);
    if version < BY_ID {
        of_topic.name = topic.topic_name();
    } else {
        of_topic.topic_id = topic.id;
    }
    let of_group = OffsetFetchResponseGroup::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(vec![of_topic]);
    OffsetFetchResponse::default().with_groups(vec![of_group])
}

fn committed() -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions::default()
        .with_committed_offset(5)
        .with_committed_leader_epoch(-1)
        .with_metadata(Some(text("note")))
}

fn unknown_topic(version: i16) -> i16 {
    if version < BY_ID {
        ResponseError::UnknownTopicOrPartition.code()
    } else {
        ResponseError::UnknownTopicId.code()
    }
}

/// Sends version 10 as version 9 with the topic's name replaced by its id.
fn call<R: Request + std::fmt::Debug>(wire: &Wire, version: i16, topic: &Topic, request: &R) -> R::Response {
    let mut connection = wire.connect();
    if version < BY_ID {
        return connection.call(version, request);
    }
    let mut body = BytesMut::new();
    request.encode(&mut body, BY_ID - 1).expect("version 9 encodes");
    let body = name_to_id(&body, &topic.name, topic.id);
    let correlation_id = connection.send_body(R::KEY, version, R::header_version(BY_ID - 1), &body);
    let mut answer = connection.receive_body(R::Response::header_version(version), correlation_id);
    let response = R::Response::decode(&mut answer, version).expect("version 10 decodes");
    assert_eq!(answer, Bytes::new(), "bytes left over");
    response
}

fn name_to_id(body: &[u8], name: &str, id: Uuid) -> Vec<u8> {
    let mut compact = vec![u8::try_from(name.len() + 1).expect("test names are short")];
    compact.extend_from_slice(name.as_bytes());
    let at = body
        .windows(compact.len())
        .position(|window| window == compact)
        .expect("the name is in the request");
    [&body[..at], id.as_bytes(), &body[at + compact.len()..]].concat()
}
