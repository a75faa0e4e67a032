//! OffsetCommit (key 8), versions 2-10.
//!
//! Versions: 2-4 retention time · 6 leader epochs (KIP-320) · 7 static members (KIP-345) · 8 flexible · 9 member epochs
//! (KIP-848) · 10 topic ids instead of names.
//!
//! Stage: pipelined. The answer waits until the offsets are durable.
//!
//! Deliberate deviation from Kafka: offsets of the groups `tidemill.*` are those of the broker's own queries; a commit
//! by a client is refused with GROUP_AUTHORIZATION_FAILED.

use std::sync::Arc;

use coordinator::ReplyTo;
use coordinator::group::{CommitOffsets, GroupCommand, GroupReply, OffsetToCommit};
use protocol::ErrorCode;
use protocol::ids::TopicId;
use protocol::messages::OffsetCommitRequest;
use protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use super::context::RequestContext;
use crate::groups::check_client_may_change;
use crate::partitions::{Directory, Topic};

/// First version that names topics by id.
const TOPIC_IDS_FROM: i16 = 10;

/// Answers one request.
pub(crate) async fn handle(ctx: &RequestContext, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let directory = ctx.services.partitions.directory();
    let mut codes = check_topics(&directory, ctx.api_version, &request);
    if let Err(code) = check_client_may_change(&request.group_id) {
        codes.iter_mut().for_each(|refusal| *refusal = Some(code));
    }
    let offsets = offsets(&directory, ctx.api_version, &request, &codes);
    let committed = match offsets.is_empty() {
        true => Ok(Vec::new()),
        false => commit(ctx, &request, offsets).await,
    };
    response(request, codes, committed)
}

/// What is wrong with each partition of the request, in its order, before the group is asked.
fn check_topics(directory: &Directory, version: i16, request: &OffsetCommitRequest) -> Vec<Option<ErrorCode>> {
    let mut codes = Vec::new();
    for wanted in &request.topics {
        let topic = find(directory, version, wanted);
        for partition in &wanted.partitions {
            codes.push(match topic {
                None if version < TOPIC_IDS_FROM => Some(ErrorCode::UnknownTopicOrPartition),
                None => Some(ErrorCode::UnknownTopicId),
                Some(topic) if !topic.has_partition(partition.partition_index) => {
                    Some(ErrorCode::UnknownTopicOrPartition)
                }
                Some(_) => None,
            });
        }
    }
    codes
}

fn find<'a>(directory: &'a Directory, version: i16, wanted: &OffsetCommitRequestTopic) -> Option<&'a Arc<Topic>> {
    match version < TOPIC_IDS_FROM {
        true => directory.topic(&wanted.name),
        false => directory.topic_by_id(TopicId(wanted.topic_id)),
    }
}

/// The partitions that passed, for the group.
fn offsets(
    directory: &Directory,
    version: i16,
    request: &OffsetCommitRequest,
    codes: &[Option<ErrorCode>],
) -> Vec<OffsetToCommit> {
    let partitions = request.topics.iter().flat_map(|topic| {
        topic
            .partitions
            .iter()
            .map(move |partition| (find(directory, version, topic), partition))
    });
    partitions
        .zip(codes)
        .filter(|(_, code)| code.is_none())
        .filter_map(|((topic, partition), _)| Some(offset(topic?.name.clone(), partition)))
        .collect()
}

fn offset(topic: Arc<str>, partition: &OffsetCommitRequestPartition) -> OffsetToCommit {
    OffsetToCommit {
        topic,
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: Arc::from(partition.committed_metadata.as_deref().unwrap_or_default()),
    }
}

/// The group's verdict on each offset, in their order.
async fn commit(
    ctx: &RequestContext,
    request: &OffsetCommitRequest,
    offsets: Vec<OffsetToCommit>,
) -> Result<Vec<ErrorCode>, ErrorCode> {
    let command = |to: ReplyTo| {
        GroupCommand::CommitOffsets(CommitOffsets {
            to,
            group: Arc::from(&**request.group_id),
            member: Arc::from(&*request.member_id),
            instance: request.group_instance_id.as_deref().map(Arc::from),
            generation: request.generation_id_or_member_epoch,
            retention_time_ms: request.retention_time_ms,
            offsets,
        })
    };
    match ctx.services.groups.call(&request.group_id, command).await? {
        GroupReply::CommitOffsets(partitions) => Ok(partitions.into_iter().map(|partition| partition.error).collect()),
        _ => unreachable!("a commit is answered as one"),
    }
}

fn response(
    request: OffsetCommitRequest,
    codes: Vec<Option<ErrorCode>>,
    committed: Result<Vec<ErrorCode>, ErrorCode>,
) -> OffsetCommitResponse {
    let (mut verdicts, for_all) = match committed {
        Ok(verdicts) => (verdicts.into_iter(), ErrorCode::UnknownServerError),
        Err(code) => (Vec::new().into_iter(), code),
    };
    let mut codes = codes
        .into_iter()
        .map(|code| code.unwrap_or_else(|| verdicts.next().unwrap_or(for_all)));
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(codes.next().unwrap_or(for_all).code())
        });
        OffsetCommitResponseTopic::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name)
            .with_topic_id(topic.topic_id)
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

#[cfg(test)]
mod tests {
    use protocol::messages::StrBytes;

    use super::*;
    use crate::partitions::fixture::Node;

    fn request() -> OffsetCommitRequest {
        let topic = |name, partitions: &[i32]| {
            let partitions = partitions
                .iter()
                .map(|index| OffsetCommitRequestPartition::default().with_partition_index(*index));
            OffsetCommitRequestTopic::default()
                .with_name(StrBytes::from_static_str(name).into())
                .with_partitions(partitions.collect())
        };
        OffsetCommitRequest::default().with_topics(vec![topic("a", &[0, 1]), topic("b", &[0])])
    }

    fn codes(response: &OffsetCommitResponse) -> Vec<i16> {
        response
            .topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|partition| partition.error_code)
            .collect()
    }

    #[test]
    fn verdicts_fall_into_the_places_that_passed() {
        let checked = vec![None, Some(ErrorCode::UnknownTopicOrPartition), None];
        let verdicts = Ok(vec![ErrorCode::None, ErrorCode::OffsetMetadataTooLarge]);
        assert_eq!(codes(&response(request(), checked, verdicts)), [0, 3, 12]);
    }

    #[test]
    fn a_coordinator_that_cannot_answer_fails_all_but_the_refused() {
        let checked = vec![None, Some(ErrorCode::UnknownTopicOrPartition), None];
        assert_eq!(
            codes(&response(request(), checked, Err(ErrorCode::NotCoordinator))),
            [16, 3, 16]
        );
    }

    #[tokio::test]
    async fn clients_commit_for_their_own_groups_only() {
        let node = Node::start();
        node.topic("a", 1).await;
        let partitions = [0, 7].map(|index| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(index)
                .with_committed_offset(1)
        });
        let topic = OffsetCommitRequestTopic::default()
            .with_name(StrBytes::from_static_str("a").into())
            .with_partitions(partitions.to_vec());
        let commit = |group| {
            OffsetCommitRequest::default()
                .with_group_id(StrBytes::from_static_str(group).into())
                .with_generation_id_or_member_epoch(-1)
                .with_topics(vec![topic.clone()])
        };
        assert_eq!(codes(&handle(&node.context(9), commit("mine")).await), [0, 3]);
        assert_eq!(
            codes(&handle(&node.context(9), commit("tidemill.query.v")).await),
            [30, 30]
        );
        let found = node
            .services
            .groups
            .fetch_offsets("tidemill.query.v")
            .await
            .expect("answered");
        assert!(found.is_empty());
    }

    #[test]
    fn unknown_topics_are_told_by_name_or_by_id() {
        let directory = Directory::default();
        let by_name = check_topics(&directory, 9, &request());
        assert_eq!(by_name, vec![Some(ErrorCode::UnknownTopicOrPartition); 3]);
        let by_id = check_topics(&directory, 10, &request());
        assert_eq!(by_id, vec![Some(ErrorCode::UnknownTopicId); 3]);
    }
}
