//! The group coordinator of a whole node: its topic, its shards, and lag.

use std::sync::Arc;

use coordinator::group::{GroupCommand, GroupReply, ListGroups, NameFilter, OffsetToCommit};

use crate::cluster::change::{Requester, TopicRef};
use crate::cluster::names::CONSUMER_OFFSETS;
use crate::partitions::fixture::{Node, append, batch};
use crate::wait::until_some;

fn to_commit(topic: &str, offset: i64) -> OffsetToCommit {
    OffsetToCommit {
        topic: topic.into(),
        partition: 0,
        offset,
        leader_epoch: -1,
        metadata: "".into(),
    }
}

async fn listed(node: &Node) -> Vec<Arc<str>> {
    let list = |to| {
        GroupCommand::List(ListGroups {
            to,
            states: NameFilter::default(),
            types: NameFilter::default(),
        })
    };
    let mut groups = Vec::new();
    for reply in node.services.groups.call_all(list).await {
        let Ok(GroupReply::List(reply)) = reply else {
            panic!("{reply:?}")
        };
        groups.extend(reply.groups.into_iter().map(|group| group.group));
    }
    groups.sort();
    groups
}

#[tokio::test]
async fn the_topic_and_its_logs_come_with_the_first_group() {
    let node = Node::start();
    assert!(listed(&node).await.is_empty());
    assert!(
        node.services.controller.image().topic(CONSUMER_OFFSETS).is_none(),
        "looking makes nothing"
    );
    node.topic("t", 1).await;
    for group in ["a", "b"] {
        node.services
            .groups
            .commit_offsets(group, vec![to_commit("t", 1)])
            .await
            .expect("committed");
    }
    let image = node.services.controller.image();
    let topic = image.topic(CONSUMER_OFFSETS).expect("created");
    assert_eq!((topic.partitions.len(), topic.internal), (50, true));
    let logs = node.services.partitions.manager().logs();
    let mut used: Vec<_> = logs
        .iter()
        .map(|log| log.topic_partition())
        .filter(|partition| &*partition.topic == CONSUMER_OFFSETS)
        .map(|partition| partition.partition)
        .collect();
    used.sort_unstable();
    // Java's hash of "a" is 97 and of "b" 98.
    assert_eq!(used, [47, 48]);
    assert_eq!(listed(&node).await, ["a".into(), "b".into()]);
}

#[tokio::test]
async fn groups_that_start_at_once_share_one_topic() {
    let node = Node::start();
    node.topic("t", 1).await;
    let commits = (0..20).map(|index| {
        let groups = node.services.groups.clone();
        async move {
            groups
                .commit_offsets(&format!("group-{index}"), vec![to_commit("t", index)])
                .await
        }
    });
    let outcomes = futures::future::join_all(commits).await;
    assert_eq!(outcomes, vec![Ok(()); 20]);
    assert_eq!(listed(&node).await.len(), 20);
}

#[tokio::test]
async fn offsets_are_kept_found_and_deleted() {
    let node = Node::start();
    node.topic("t", 1).await;
    let groups = &node.services.groups;
    groups
        .commit_offsets("tidemill.query.v", vec![to_commit("t", 7)])
        .await
        .expect("the broker itself may");
    let found = groups.fetch_offsets("tidemill.query.v").await.expect("found");
    assert_eq!(
        found
            .iter()
            .map(|offset| (&*offset.topic, offset.offset))
            .collect::<Vec<_>>(),
        [("t", 7)]
    );
    groups.delete("tidemill.query.v").await.expect("deleted");
    groups.delete("tidemill.query.v").await.expect("deleted before");
    assert!(
        groups
            .fetch_offsets("tidemill.query.v")
            .await
            .expect("answered")
            .is_empty()
    );
}

#[tokio::test]
async fn a_deleted_topic_takes_its_offsets_along() {
    let node = Node::start();
    node.topic("kept", 1).await;
    node.topic("gone", 1).await;
    let groups = &node.services.groups;
    groups
        .commit_offsets("g", vec![to_commit("kept", 1), to_commit("gone", 2)])
        .await
        .expect("committed");
    let gone = vec![TopicRef::Name("gone".to_owned())];
    assert!(node.services.controller.delete_topics(gone, Requester::Client).await[0].is_ok());
    let found = until_some("the topic's offsets to go", async || {
        let found = groups.fetch_offsets("g").await.expect("answered");
        found.iter().all(|offset| &*offset.topic == "kept").then_some(found)
    });
    assert_eq!(found.await.len(), 1);
}

#[tokio::test]
async fn lag_is_in_records_and_in_seconds() {
    let node = Node::start();
    node.topic("t", 1).await;
    let topic = node.services.partitions.topic("t").expect("the topic");
    let partition = node.services.partitions.partition(&topic, 0, 0).expect("the partition");
    append(&partition, &batch(protocol::records::Codec::None, 10, 10));
    partition.log.flush_through(10).await.expect("flushed");
    let groups = &node.services.groups;
    groups
        .commit_offsets("behind", vec![to_commit("t", 4)])
        .await
        .expect("committed");
    groups
        .commit_offsets("there", vec![to_commit("t", 10)])
        .await
        .expect("committed");
    groups
        .commit_offsets("ahead", vec![to_commit("t", 15)])
        .await
        .expect("committed");
    for _ in 0..2 {
        let mut lags = groups.lag().await;
        lags.sort_by(|left, right| left.group.cmp(&right.group));
        let shape: Vec<_> = lags
            .iter()
            .map(|lag| (&*lag.group, lag.committed, lag.end, lag.records))
            .collect();
        assert_eq!(
            shape,
            [("ahead", 15, 10, 0), ("behind", 4, 10, 6), ("there", 10, 10, 0)]
        );
        assert_eq!((lags[0].seconds, lags[2].seconds), (Some(0.0), Some(0.0)));
        // The fixture's records are from 2023.
        assert!(lags[1].seconds.is_some_and(|seconds| 1e6 < seconds));
    }
}
