//! OffsetFetch (key 9), versions 1-10.
//!
//! Versions: 2 all topics, a code for the whole · 5 leader epochs (KIP-320) · 6 flexible · 7 `require_stable` (KIP-447) ·
//! 8 several groups (KIP-709) · 9 member epochs (KIP-848) · 10 topic ids instead of names.
//!
//! Stage: pipelined. Offsets that are told are durable.
//!
//! Deliberate deviations from Kafka: a partition that is named twice is told once, and a group that is named twice is
//! refused with INVALID_REQUEST: offsets may be a thousand times as long as what asks for them. Groups of the broker's
//! own queries may be read by everybody.

use std::collections::BTreeMap;
use std::sync::Arc;

use coordinator::group::{FetchOffsets, FetchOffsetsReply, FetchedOffset, GroupCommand, GroupReply};
use protocol::ErrorCode;
use protocol::ids::{PartitionId, TopicId};
use protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use protocol::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use protocol::messages::{OffsetFetchRequest, StrBytes, TopicName};
use uuid::Uuid;

use super::context::RequestContext;
use super::distinct::{Distinct, distinct};
use crate::partitions::Directory;

/// First version with a code for the request (later: the group) as a whole.
const WHOLE_CODE_FROM: i16 = 2;
/// First version that asks for several groups.
const GROUPS_FROM: i16 = 8;
/// First version that names topics by id.
const TOPIC_IDS_FROM: i16 = 10;

/// Answers one request.
pub(crate) async fn handle(ctx: &RequestContext, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let require_stable = request.require_stable;
    if ctx.api_version < GROUPS_FROM {
        let (group, wanted) = single_group(request);
        let answer = fetch(ctx, &group, wanted.as_deref(), require_stable).await;
        return single_response(ctx.api_version, answer, wanted.unwrap_or_default());
    }
    let mut groups = Vec::with_capacity(request.groups.len());
    for Distinct { item: group, repeated } in distinct(&request.groups, |group| group.group_id.as_str()) {
        groups.push(match repeated {
            false => answer_group(ctx, group.clone(), require_stable).await,
            true => OffsetFetchResponseGroup::default()
                .with_group_id(group.group_id.clone())
                .with_error_code(ErrorCode::InvalidRequest.code()),
        });
    }
    OffsetFetchResponse::default().with_groups(groups)
}

/// One topic of a request, with the name the group knows it by.
struct WantedTopic {
    name: Arc<str>,
    partitions: Vec<PartitionId>,
}

async fn fetch(
    ctx: &RequestContext,
    group: &str,
    wanted: Option<&[WantedTopic]>,
    require_stable: bool,
) -> FetchOffsetsReply {
    let topics = wanted.map(|topics| {
        topics
            .iter()
            .map(|topic| (topic.name.clone(), topic.partitions.clone()))
            .collect::<Vec<_>>()
    });
    let command = |to| {
        GroupCommand::FetchOffsets(FetchOffsets {
            to,
            group: Arc::from(group),
            topics,
            require_stable,
        })
    };
    match ctx.services.groups.call(group, command).await {
        Ok(GroupReply::FetchOffsets(reply)) => reply,
        Ok(_) => unreachable!("a fetch is answered as one"),
        Err(error) => FetchOffsetsReply {
            error,
            offsets: Vec::new(),
        },
    }
}

// Versions 1-7: one group.

fn single_group(request: OffsetFetchRequest) -> (StrBytes, Option<Vec<WantedTopic>>) {
    let topics = request.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| WantedTopic {
            name: Arc::from(&**topic.name),
            partitions: topic.partition_indexes,
        });
        topics.collect()
    });
    (request.group_id.0, topics)
}

fn single_response(version: i16, reply: FetchOffsetsReply, wanted: Vec<WantedTopic>) -> OffsetFetchResponse {
    if reply.error.is_error() {
        // Version 1 has no place for a code but the partitions.
        let topics = if version < WHOLE_CODE_FROM {
            failed_topics(wanted, reply.error)
        } else {
            Vec::new()
        };
        return OffsetFetchResponse::default()
            .with_error_code(reply.error.code())
            .with_topics(topics);
    }
    let topics = by_topic(reply.offsets).into_iter().map(|(name, offsets)| {
        OffsetFetchResponseTopic::default()
            .with_name(topic_name(&name))
            .with_partitions(offsets.into_iter().map(single_partition).collect())
    });
    OffsetFetchResponse::default().with_topics(topics.collect())
}

fn failed_topics(wanted: Vec<WantedTopic>, code: ErrorCode) -> Vec<OffsetFetchResponseTopic> {
    let topics = wanted.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|index| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_committed_offset(-1)
                .with_error_code(code.code())
        });
        OffsetFetchResponseTopic::default()
            .with_name(topic_name(&topic.name))
            .with_partitions(partitions.collect())
    });
    topics.collect()
}

fn single_partition(offset: FetchedOffset) -> OffsetFetchResponsePartition {
    OffsetFetchResponsePartition::default()
        .with_partition_index(offset.partition)
        .with_committed_offset(offset.offset)
        .with_committed_leader_epoch(offset.leader_epoch)
        .with_metadata(Some(StrBytes::from_string(offset.metadata.to_string())))
        .with_error_code(offset.error.code())
}

// Versions from 8: several groups.

async fn answer_group(
    ctx: &RequestContext,
    request: OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let directory = ctx.services.partitions.directory();
    let by_id = TOPIC_IDS_FROM <= ctx.api_version;
    let (known, unknown) = resolve(&directory, by_id, request.topics);
    let reply = fetch(ctx, &request.group_id, known.as_deref(), require_stable).await;
    let response = OffsetFetchResponseGroup::default().with_group_id(request.group_id);
    if reply.error.is_error() {
        return response.with_error_code(reply.error.code());
    }
    let mut topics: Vec<_> = by_topic(reply.offsets)
        .into_iter()
        .filter_map(|(name, offsets)| {
            let topic = OffsetFetchResponseTopics::default()
                .with_partitions(offsets.into_iter().map(grouped_partition).collect());
            match by_id {
                false => Some(topic.with_name(topic_name(&name))),
                // A topic that is gone meanwhile has no id to be told by.
                true => Some(topic.with_topic_id(Uuid::from(directory.topic(&name)?.id))),
            }
        })
        .collect();
    topics.extend(unknown.into_iter().map(unknown_topic));
    response.with_topics(topics)
}

/// Splits the topics of a request into those that have a name and, where they are named by id, those that have none.
fn resolve(
    directory: &Directory,
    by_id: bool,
    topics: Option<Vec<OffsetFetchRequestTopics>>,
) -> (Option<Vec<WantedTopic>>, Vec<OffsetFetchRequestTopics>) {
    let Some(topics) = topics else {
        return (None, Vec::new());
    };
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for topic in topics {
        let name = match by_id {
            false => Some(Arc::from(&**topic.name)),
            true => directory
                .topic_by_id(TopicId(topic.topic_id))
                .map(|topic| topic.name.clone()),
        };
        match name {
            Some(name) => known.push(WantedTopic {
                name,
                partitions: topic.partition_indexes,
            }),
            None => unknown.push(topic),
        }
    }
    (Some(known), unknown)
}

fn unknown_topic(topic: OffsetFetchRequestTopics) -> OffsetFetchResponseTopics {
    let partitions = topic.partition_indexes.into_iter().map(|index| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_committed_offset(-1)
            .with_error_code(ErrorCode::UnknownTopicId.code())
    });
    OffsetFetchResponseTopics::default()
        .with_topic_id(topic.topic_id)
        .with_partitions(partitions.collect())
}

fn grouped_partition(offset: FetchedOffset) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions::default()
        .with_partition_index(offset.partition)
        .with_committed_offset(offset.offset)
        .with_committed_leader_epoch(offset.leader_epoch)
        .with_metadata(Some(StrBytes::from_string(offset.metadata.to_string())))
        .with_error_code(offset.error.code())
}

/// Offsets of the same topic together, topics in the order in which they first come.
fn by_topic(offsets: Vec<FetchedOffset>) -> Vec<(Arc<str>, Vec<FetchedOffset>)> {
    let mut places: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    let mut topics: Vec<(Arc<str>, Vec<FetchedOffset>)> = Vec::new();
    for offset in offsets {
        let place = *places.entry(offset.topic.clone()).or_insert_with(|| {
            topics.push((offset.topic.clone(), Vec::new()));
            topics.len() - 1
        });
        topics[place].1.push(offset);
    }
    topics
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(topic: &str, partition: PartitionId) -> FetchedOffset {
        FetchedOffset {
            topic: topic.into(),
            partition,
            offset: 7,
            leader_epoch: 2,
            metadata: "note".into(),
            error: ErrorCode::None,
        }
    }

    #[test]
    fn offsets_are_gathered_by_topic_in_request_order() {
        let topics = by_topic(vec![offset("b", 1), offset("a", 0), offset("b", 0)]);
        let shape: Vec<_> = topics
            .iter()
            .map(|(name, offsets)| {
                (
                    &**name,
                    offsets.iter().map(|offset| offset.partition).collect::<Vec<_>>(),
                )
            })
            .collect();
        assert_eq!(shape, [("b", vec![1, 0]), ("a", vec![0])]);
    }

    #[test]
    fn version_1_has_the_code_on_its_partitions_and_later_ones_on_the_whole() {
        let wanted = || {
            vec![WantedTopic {
                name: "a".into(),
                partitions: vec![0, 3],
            }]
        };
        let failed = || FetchOffsetsReply {
            error: ErrorCode::NotCoordinator,
            offsets: Vec::new(),
        };
        let old = single_response(1, failed(), wanted());
        let codes: Vec<_> = old.topics[0]
            .partitions
            .iter()
            .map(|partition| partition.error_code)
            .collect();
        assert_eq!(codes, [16, 16]);
        let new = single_response(2, failed(), wanted());
        assert_eq!((new.error_code, new.topics.len()), (16, 0));
    }

    #[test]
    fn names_pass_as_they_are_and_unknown_ids_are_set_aside() {
        let directory = Directory::default();
        let topic = OffsetFetchRequestTopics::default()
            .with_name(topic_name("gone"))
            .with_partition_indexes(vec![4]);
        let (known, unknown) = resolve(&directory, false, Some(vec![topic.clone()]));
        assert_eq!((known.map(|topics| topics.len()), unknown.len()), (Some(1), 0));
        let (known, unknown) = resolve(&directory, true, Some(vec![topic]));
        assert_eq!((known.map(|topics| topics.len()), unknown.len()), (Some(0), 1));
        let answered = unknown_topic(unknown.into_iter().next().expect("set aside"));
        assert_eq!(
            (
                answered.partitions[0].error_code,
                answered.partitions[0].committed_offset
            ),
            (100, -1)
        );
        assert!(resolve(&directory, true, None).0.is_none(), "no topics means all");
    }
}
