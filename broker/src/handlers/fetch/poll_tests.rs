//! Long polls against a node: what ends them, and that everything else does not.
//!
//! Polls here may wait for an hour, so that one that is not woken hangs its test instead of passing late.

use std::task::Poll;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, poll};
use protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use protocol::messages::{FetchRequest, FetchResponse, StrBytes};
use protocol::records::Codec;
use tokio::time::timeout;
use uuid::Uuid;

use super::handle;
use super::read::PartitionRead;
use super::wait::LongPoll;
use crate::cluster::change::{Requester, TopicRef};
use crate::handlers::RequestContext;
use crate::partitions::fixture::{Node, append, batch};

const AN_HOUR_MS: i32 = 3_600_000;
const DEADLINE: Duration = Duration::from_secs(60);

fn request(topic: &'static str, partitions: &[i32], min_bytes: i32) -> FetchRequest {
    let partitions = partitions.iter().map(|index| {
        FetchPartition::default()
            .with_partition(*index)
            .with_partition_max_bytes(1 << 20)
            .with_current_leader_epoch(-1)
    });
    let topic = FetchTopic::default()
        .with_topic(StrBytes::from_static_str(topic).into())
        .with_partitions(partitions.collect());
    FetchRequest::default()
        .with_max_wait_ms(AN_HOUR_MS)
        .with_min_bytes(min_bytes)
        .with_max_bytes(1 << 20)
        .with_topics(vec![topic])
}

fn codes(response: &FetchResponse) -> Vec<i16> {
    response
        .responses
        .iter()
        .flat_map(|topic| &topic.partitions)
        .map(|partition| partition.error_code)
        .collect()
}

fn bytes(response: &FetchResponse) -> usize {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    partitions
        .filter_map(|partition| partition.records.as_ref())
        .map(bytes::Bytes::len)
        .sum()
}

/// A poll that has begun and waits.
async fn waiting<'a>(ctx: &'a RequestContext, request: FetchRequest) -> BoxFuture<'a, FetchResponse> {
    let mut fetch = handle(ctx, request).boxed();
    assert!(
        matches!(poll!(&mut fetch), Poll::Pending),
        "there is nothing to answer yet"
    );
    fetch
}

fn write(node: &Node, topic: &str, partition: i32) -> usize {
    let found = node.services.partitions.topic(topic).expect("the topic");
    let found = node
        .services
        .partitions
        .partition(&found, partition, 0)
        .expect("the partition");
    append(&found, &batch(Codec::None, 1, 100))
}

#[tokio::test]
async fn records_end_a_wait_on_any_partition() {
    let node = Node::start();
    node.topic("t", 3).await;
    let ctx = node.context(12);
    let fetch = waiting(&ctx, request("t", &[0, 1, 2], 1)).await;
    let size = write(&node, "t", 2);
    let response = fetch.await;
    assert_eq!((bytes(&response), codes(&response)), (size, vec![0, 0, 0]));
}

#[tokio::test]
async fn a_wait_goes_on_until_there_is_enough() {
    let node = Node::start();
    node.topic("t", 2).await;
    let ctx = node.context(12);
    let size = write(&node, "t", 0);
    let min_bytes = i32::try_from(3 * size).expect("small");
    let mut fetch = waiting(&ctx, request("t", &[0, 1], min_bytes)).await;
    write(&node, "t", 1);
    assert!(matches!(poll!(&mut fetch), Poll::Pending), "two batches of three");
    write(&node, "t", 0);
    assert_eq!(bytes(&fetch.await), 3 * size);
}

#[tokio::test]
async fn no_wait_is_asked_for_and_none_is_had() {
    let node = Node::start();
    node.topic("t", 1).await;
    for (max_wait_ms, min_bytes) in [(0, 1), (AN_HOUR_MS, 0), (-1, 1)] {
        let request = request("t", &[0], min_bytes).with_max_wait_ms(max_wait_ms);
        let response = handle(&node.context(12), request).await;
        assert_eq!((bytes(&response), codes(&response)), (0, vec![0]));
    }
}

#[tokio::test]
async fn a_short_wait_ends_by_itself() {
    let node = Node::start();
    node.topic("t", 1).await;
    let response = handle(&node.context(12), request("t", &[0], 1).with_max_wait_ms(5)).await;
    assert_eq!((bytes(&response), codes(&response)), (0, vec![0]));
}

#[tokio::test]
async fn nothing_known_is_answered_at_once_and_something_known_is_waited_for() {
    let node = Node::start();
    node.topic("t", 1).await;
    assert_eq!(
        codes(&handle(&node.context(12), request("nowhere", &[0], 1)).await),
        [3]
    );
    assert_eq!(codes(&handle(&node.context(12), request("t", &[7], 1)).await), [3]);
    assert!(
        handle(&node.context(12), FetchRequest::default().with_max_wait_ms(AN_HOUR_MS))
            .await
            .responses
            .is_empty()
    );
    let by_id = FetchTopic::default()
        .with_topic_id(Uuid::from_u128(9))
        .with_partitions(vec![FetchPartition::default().with_partition(0)]);
    assert_eq!(
        codes(&handle(&node.context(13), request("t", &[], 1).with_topics(vec![by_id])).await),
        [100]
    );

    let ctx = node.context(12);
    let fetch = waiting(&ctx, request("t", &[7, 0], 1)).await;
    write(&node, "t", 0);
    assert_eq!(codes(&fetch.await), [3, 0]);
}

#[tokio::test]
async fn a_deleted_topic_ends_the_waits_on_it() {
    let node = Node::start();
    node.topic("t", 1).await;
    let ctx = node.context(12);
    let fetch = waiting(&ctx, request("t", &[0], 1)).await;
    let deleted = node
        .services
        .controller
        .delete_topics(vec![TopicRef::Name("t".to_owned())], Requester::Client)
        .await;
    assert!(deleted[0].is_ok());
    assert_eq!(codes(&fetch.await), [3]);
}

#[tokio::test]
async fn a_topic_that_is_deleted_before_the_wait_begins_ends_it_too() {
    let node = Node::start();
    node.topic("t", 1).await;
    let ctx = node.context(12);
    let request = request("t", &[0], 1);
    let poll = LongPoll::new(&ctx, &request);
    let topic = TopicRef::Name("t".to_owned());
    let deleted = node
        .services
        .controller
        .delete_topics(vec![topic], Requester::Client)
        .await;
    assert!(deleted[0].is_ok());
    let pass = timeout(DEADLINE, poll.run()).await.expect("it is told");
    assert!(matches!(pass.reads[..], [PartitionRead::Failed(_)]), "{pass:?}");
}

#[tokio::test]
async fn an_error_does_not_wait_for_records() {
    let node = Node::start();
    node.topic("t", 2).await;
    let mut request = request("t", &[0, 1], 1);
    request.topics[0].partitions[1].fetch_offset = 5;
    assert_eq!(codes(&handle(&node.context(12), request).await), [0, 1]);
}

#[tokio::test]
async fn a_closing_connection_answers_with_what_there_is() {
    let node = Node::start();
    node.topic("t", 1).await;
    let ctx = node.context(12);
    let fetch = waiting(&ctx, request("t", &[0], 1)).await;
    ctx.closing.cancel();
    assert_eq!(codes(&fetch.await), [0]);
}

#[tokio::test]
async fn spent_memory_is_waited_for() {
    let node = Node::start();
    node.topic("t", 1).await;
    let size = write(&node, "t", 0);
    let budget = node.services.partitions.fetch_budget().connection();
    let all = budget.try_take(usize::MAX).expect("nobody else holds any");
    let ctx = node.context(12);
    let mut fetch = handle(&ctx, request("t", &[0], 1)).boxed();
    // The records may not be durable yet, which is another reason to wait.
    assert!(matches!(poll!(&mut fetch), Poll::Pending));
    drop(all);
    assert_eq!(bytes(&fetch.await), size);
    assert_eq!(
        node.services.partitions.fetch_budget().free_bytes(),
        node.services.config.kafka.fetch_memory_bytes
    );
}

#[tokio::test]
async fn sessions_are_refused_so_that_the_client_starts_over() {
    let node = Node::start();
    node.topic("t", 1).await;
    let incremental = || request("t", &[0], 0).with_session_id(7).with_session_epoch(3);
    let refused = handle(&node.context(7), incremental()).await;
    assert_eq!(
        (refused.error_code, refused.session_id, refused.responses.len()),
        (70, 0, 0)
    );
    for (session_id, session_epoch) in [(0, 0), (0, -1), (7, -1)] {
        let full = request("t", &[0], 0)
            .with_session_id(session_id)
            .with_session_epoch(session_epoch);
        let answered = handle(&node.context(12), full).await;
        assert_eq!(
            (answered.error_code, answered.session_id, answered.responses.len()),
            (0, 0, 1)
        );
    }
}

#[tokio::test]
async fn followers_have_no_place_here() {
    let node = Node::start();
    node.topic("t", 1).await;
    let old = request("t", &[0], 1).with_replica_id(2.into());
    assert_eq!(codes(&handle(&node.context(14), by_id(&node, old)).await), [6]);
    let mut new = by_id(&node, request("t", &[0], 1));
    new.replica_state.replica_id = 2.into();
    assert_eq!(codes(&handle(&node.context(15), new).await), [6]);
}

fn by_id(node: &Node, mut request: FetchRequest) -> FetchRequest {
    request.topics[0].topic_id = node.services.partitions.topic("t").expect("the topic").id.0;
    request
}

#[tokio::test]
async fn reading_an_internal_log_does_not_make_it() {
    let node = Node::start();
    node.services.groups.ensure_topic().await.expect("the topic");
    let logs = node.services.partitions.manager().logs().len();
    let ctx = node.context(12);
    let mut both = request("__consumer_offsets", &[0, 1], 0);
    both.topics[0].partitions[1].fetch_offset = 3;
    let response = handle(&ctx, both).await;
    assert_eq!(codes(&response), [0, 1], "it is empty, and nothing lies at offset 3");
    let empty = &response.responses[0].partitions[0];
    assert_eq!((empty.high_watermark, bytes(&response)), (0, 0));
    // Somebody who waits for it does not spin.
    let fetch = waiting(&ctx, request("__consumer_offsets", &[0], 1)).await;
    ctx.closing.cancel();
    assert_eq!(codes(&fetch.await), [0]);
    assert_eq!(node.services.partitions.manager().logs().len(), logs);
}
