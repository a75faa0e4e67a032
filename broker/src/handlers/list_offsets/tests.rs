//! Special timestamps, positions and errors.

use protocol::messages::StrBytes;
use protocol::messages::list_offsets_request::ListOffsetsTopic;
use protocol::records::Codec;

use super::*;
use crate::partitions::fixture::{NOW, Node, append, batch};

#[test]
fn special_timestamps_need_their_version() {
    for (timestamp, query, from) in SPECIALS {
        assert_eq!(Query::from_wire(timestamp, from), Ok(query));
        assert_eq!(Query::from_wire(timestamp, 11), Ok(query));
        assert_eq!(
            Query::from_wire(timestamp, from - 1),
            Err(ErrorCode::UnsupportedVersion),
            "{timestamp}"
        );
    }
    assert_eq!(Query::from_wire(-7, 11), Err(ErrorCode::UnsupportedVersion));
    assert_eq!(Query::from_wire(0, 1), Ok(Query::At(0)));
}

fn request(partitions: &[(PartitionId, TimestampMs)]) -> ListOffsetsRequest {
    let partitions = partitions.iter().map(|(index, timestamp)| {
        ListOffsetsPartition::default()
            .with_partition_index(*index)
            .with_timestamp(*timestamp)
            .with_current_leader_epoch(-1)
    });
    let topic = ListOffsetsTopic::default()
        .with_name(StrBytes::from_static_str("t").into())
        .with_partitions(partitions.collect());
    ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_topics(vec![topic])
}

async fn ask(node: &Node, request: ListOffsetsRequest) -> Vec<(i16, Offset, TimestampMs, LeaderEpoch)> {
    let response = handle(&node.context(11), request).await;
    let partitions = response.topics.into_iter().flat_map(|topic| topic.partitions);
    partitions
        .map(|found| (found.error_code, found.offset, found.timestamp, found.leader_epoch))
        .collect()
}

#[tokio::test]
async fn positions_are_found_by_every_kind_of_timestamp() {
    let node = Node::start();
    node.topic("t", 2).await;
    let topic = node.services.partitions.topic("t").expect("the topic");
    let partition = node.services.partitions.partition(&topic, 0, 0).expect("the partition");
    for _ in 0..3 {
        append(&partition, &batch(Codec::None, 2, 10));
    }
    partition.log.flush_through(6).await.expect("flushed");
    let at = |timestamp| request(&[(0, timestamp)]);
    assert_eq!(ask(&node, at(-1)).await, [(0, 6, -1, 0)]);
    assert_eq!(ask(&node, at(-2)).await, [(0, 0, -1, 0)]);
    assert_eq!(ask(&node, at(-3)).await, [(0, 0, NOW, 0)]);
    assert_eq!(ask(&node, at(-4)).await, [(0, 0, -1, 0)]);
    assert_eq!(ask(&node, at(-5)).await, [(0, -1, -1, -1)]);
    assert_eq!(ask(&node, at(-6)).await, [(0, -1, -1, -1)]);
    assert_eq!(ask(&node, at(0)).await, [(0, 0, NOW, 0)]);
    assert_eq!(ask(&node, at(NOW + 1)).await, [(0, -1, -1, -1)]);
    // An empty log has ends and no records.
    assert_eq!(ask(&node, request(&[(1, -1)])).await, [(0, 0, -1, 0)]);
    assert_eq!(ask(&node, request(&[(1, -3)])).await, [(0, -1, -1, -1)]);
}

#[tokio::test]
async fn each_partition_has_its_own_error() {
    let node = Node::start();
    node.topic("t", 3).await;
    let mut mixed = request(&[(0, -1), (9, -1), (1, -1), (1, -2), (2, -7)]);
    mixed.topics[0].partitions[0].current_leader_epoch = 1;
    let codes: Vec<_> = ask(&node, mixed).await.into_iter().map(|found| found.0).collect();
    assert_eq!(codes, [75, 3, 42, 42, 35]);
}

#[test]
fn only_searches_leave_the_reactor() {
    assert!(Query::At(0).searches() && Query::MaxTimestamp.searches());
    assert!(
        ![Query::Latest, Query::Earliest, Query::NothingTiered]
            .into_iter()
            .any(Query::searches)
    );
}

#[test]
fn a_repeated_partition_is_found_however_often_it_comes() {
    assert_eq!(repeated([3, 1, 3, 2, 3].into_iter()), HashSet::from([3]));
    assert!(repeated([0, 1, 2].into_iter()).is_empty());
}

#[test]
fn an_epoch_is_told_only_where_there_is_room_for_it() {
    let found = Found {
        offset: 5,
        timestamp: -1,
        leader_epoch: 2,
    };
    assert_eq!(to_wire(0, 3, Ok(found)).leader_epoch, -1);
    assert_eq!(to_wire(0, 4, Ok(found)).leader_epoch, 2);
    let failed = to_wire(1, 11, Err(ErrorCode::FencedLeaderEpoch));
    assert_eq!(
        (failed.error_code, failed.offset, failed.timestamp, failed.leader_epoch),
        (74, -1, -1, -1)
    );
}

#[tokio::test]
async fn an_internal_log_that_nobody_has_used_is_empty_and_stays_unmade() {
    let node = Node::start();
    node.services.groups.ensure_topic().await.expect("the topic");
    let logs = node.services.partitions.manager().logs().len();
    let mut wanted = request(&[(0, -1), (1, -2), (2, -3), (3, NOW)]);
    wanted.topics[0].name = StrBytes::from_static_str("__consumer_offsets").into();
    let nothing = (0, -1, -1, -1);
    let empty = (0, 0, -1, -1);
    assert_eq!(ask(&node, wanted).await, [empty, empty, nothing, nothing]);
    assert_eq!(node.services.partitions.manager().logs().len(), logs);
}
