//! Produce against a node: what reaches the log, and what is said of the rest.

use bytes::Bytes;
use protocol::ErrorCode;
use protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::messages::produce_response::{PartitionProduceResponse, ProduceResponse};
use protocol::messages::{StrBytes, TransactionalId};
use protocol::records::{Batch, BatchBuilder, BatchStamp, Codec};
use storage::{Isolation, Log};
use uuid::Uuid;

use super::handle;
use crate::cluster::change::NewTopic;
use crate::handlers::CloseReason;
use crate::partitions::fixture::{Node, batch};

fn request(topic: &'static str, acks: i16, partitions: Vec<(i32, Bytes)>) -> ProduceRequest {
    let partitions = partitions.into_iter().map(|(index, records)| {
        PartitionProduceData::default()
            .with_index(index)
            .with_records(Some(records))
    });
    let topic = TopicProduceData::default()
        .with_name(StrBytes::from_static_str(topic).into())
        .with_partition_data(partitions.collect());
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(60_000)
        .with_topic_data(vec![topic])
}

fn plain() -> Bytes {
    batch(Codec::None, 2, 10).bytes
}

fn idempotent(producer_id: i64, base_sequence: i32) -> Bytes {
    stamped(BatchStamp {
        producer_id,
        producer_epoch: 0,
        base_sequence,
        transactional: false,
        control: false,
    })
    .bytes
}

fn stamped(stamp: BatchStamp) -> Batch {
    let mut builder = BatchBuilder::new(Codec::None, None, 1_700_000_000_000);
    builder.append(1_700_000_000_000, None, Some(b"value"), &[]);
    builder.finish(stamp)
}

async fn produce(node: &Node, version: i16, request: ProduceRequest) -> Vec<PartitionProduceResponse> {
    let response: ProduceResponse = handle(&node.context(version), request)
        .await
        .expect("the connection stays")
        .expect("an answer");
    response
        .responses
        .into_iter()
        .flat_map(|topic| topic.partition_responses)
        .collect()
}

fn log(node: &Node, topic: &str, partition: i32) -> std::sync::Arc<Log> {
    let topic = node.services.partitions.topic(topic).expect("the topic");
    node.services
        .partitions
        .partition(&topic, partition, 0)
        .expect("the partition")
        .log
        .clone()
}

#[tokio::test]
async fn acknowledged_by_all_means_durable() {
    let node = Node::start();
    node.topic("t", 4).await;
    let partitions = (0..4).map(|index| (index, plain())).collect();
    for answer in produce(&node, 9, request("t", -1, partitions)).await {
        assert_eq!(
            (
                answer.error_code,
                answer.base_offset,
                answer.log_append_time_ms,
                answer.log_start_offset
            ),
            (0, 0, -1, 0)
        );
        let marks = log(&node, "t", answer.index).marks();
        assert_eq!((marks.durable, marks.high_watermark, marks.log_end), (2, 2, 2));
    }
}

#[tokio::test]
async fn requests_are_appended_in_the_order_of_their_first_poll() {
    let node = Node::start();
    node.topic("t", 1).await;
    let ctx = node.context(9);
    let mut answers = Vec::new();
    for sequence in 0..5 {
        let mut answer = Box::pin(handle(&ctx, request("t", -1, vec![(0, idempotent(7, sequence))])));
        // The connection polls each request once before it looks at the next.
        let _ = futures::poll!(&mut answer);
        answers.push(answer);
    }
    assert_eq!(log(&node, "t", 0).marks().log_end, 5);
    for (offset, answer) in answers.into_iter().enumerate().rev() {
        let response = answer.await.expect("open").expect("an answer");
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!((partition.error_code, partition.base_offset), (0, offset as i64));
    }
}

#[tokio::test]
async fn the_bytes_in_the_log_are_the_clients() {
    let node = Node::start();
    node.topic("t", 1).await;
    let sent = batch(Codec::Lz4, 3, 100).bytes;
    produce(&node, 9, request("t", -1, vec![(0, plain())])).await;
    produce(&node, 9, request("t", -1, vec![(0, sent.clone())])).await;
    let stored = log(&node, "t", 0)
        .read(2, Isolation::Uncommitted, usize::MAX, true)
        .expect("readable")
        .bytes;
    assert_eq!(
        stored[16..],
        sent[16..],
        "all behind base offset, length and leader epoch"
    );
    assert_eq!(stored[..8], 2_i64.to_be_bytes());
}

#[tokio::test]
async fn a_repeated_batch_gets_its_first_offset_and_one_copy() {
    let node = Node::start();
    node.topic("t", 1).await;
    for sequence in 0..3 {
        produce(&node, 9, request("t", -1, vec![(0, idempotent(7, sequence))])).await;
    }
    let again = produce(&node, 9, request("t", -1, vec![(0, idempotent(7, 1))])).await;
    assert_eq!((again[0].error_code, again[0].base_offset), (0, 1));
    assert_eq!(log(&node, "t", 0).marks().log_end, 3);
    let gap = produce(&node, 9, request("t", -1, vec![(0, idempotent(7, 9))])).await;
    assert_eq!(
        (gap[0].error_code, gap[0].base_offset),
        (ErrorCode::OutOfOrderSequenceNumber.code(), -1)
    );
}

#[tokio::test]
async fn each_partition_is_answered_for_itself() {
    let node = Node::start();
    node.topic("t", 2).await;
    let control = stamped(BatchStamp {
        control: true,
        ..BatchStamp::NONE
    })
    .bytes;
    let answers = produce(
        &node,
        9,
        request("t", 1, vec![(9, plain()), (1, control), (0, plain()), (1, plain())]),
    )
    .await;
    let codes: Vec<_> = answers.iter().map(|answer| (answer.index, answer.error_code)).collect();
    assert_eq!(codes, [(9, 3), (1, 87), (0, 0), (1, 0)]);
}

#[tokio::test]
async fn a_changed_byte_is_found() {
    let node = Node::start();
    node.topic("t", 1).await;
    let mut bytes = plain().to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let answers = produce(&node, 9, request("t", 1, vec![(0, bytes.into())])).await;
    assert_eq!(answers[0].error_code, ErrorCode::CorruptMessage.code());
    assert_eq!(log(&node, "t", 0).marks().log_end, 0);
}

#[tokio::test]
async fn topics_that_the_broker_writes_are_refused() {
    let node = Node::start();
    node.create(NewTopic {
        internal: true,
        ..NewTopic::with_defaults("__internal")
    })
    .await;
    node.create(NewTopic {
        owner: Some("view_1".into()),
        ..NewTopic::with_defaults("view")
    })
    .await;
    let internal = produce(&node, 9, request("__internal", 1, vec![(0, plain())])).await;
    assert_eq!(internal[0].error_code, ErrorCode::InvalidTopicException.code());
    let owned = produce(&node, 9, request("view", 1, vec![(0, plain())])).await;
    assert_eq!(owned[0].error_code, ErrorCode::TopicAuthorizationFailed.code());
    assert!(
        owned[0]
            .error_message
            .as_ref()
            .is_some_and(|message| message.contains("view_1"))
    );
}

#[tokio::test]
async fn version_13_speaks_of_ids() {
    let node = Node::start();
    let id = node.topic("t", 1).await;
    let mut known = request("t", 1, vec![(0, plain())]);
    known.topic_data[0].topic_id = id.0;
    assert_eq!(produce(&node, 13, known.clone()).await[0].error_code, 0);
    known.topic_data[0].topic_id = Uuid::from_u128(1);
    assert_eq!(
        produce(&node, 13, known).await[0].error_code,
        ErrorCode::UnknownTopicId.code()
    );
    let unknown = produce(&node, 12, request("nowhere", 1, vec![(0, plain())])).await;
    assert_eq!(unknown[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
}

#[tokio::test]
async fn without_acks_there_is_silence_or_a_closed_connection() {
    let node = Node::start();
    node.topic("t", 1).await;
    let silent = handle(&node.context(9), request("t", 0, vec![(0, plain())])).await;
    assert!(matches!(silent, Ok(None)));
    assert_eq!(log(&node, "t", 0).marks().log_end, 2);
    let closed = handle(&node.context(9), request("t", 0, vec![(5, plain())])).await;
    assert_eq!(closed.map(|_| ()), Err(CloseReason::SilentProduceFailed));
}

#[tokio::test]
async fn transactional_requests_are_refused_whole() {
    let node = Node::start();
    node.topic("t", 1).await;
    let transactional = TransactionalId(StrBytes::from_static_str("orders"));
    let request = request("t", -1, vec![(0, plain())]).with_transactional_id(Some(transactional));
    let answers = produce(&node, 9, request).await;
    assert_eq!(
        answers[0].error_code,
        ErrorCode::TransactionalIdAuthorizationFailed.code()
    );
    assert_eq!(log(&node, "t", 0).marks().log_end, 0);
}

#[tokio::test]
async fn a_small_batch_keeps_no_large_frame_in_memory() {
    let node = Node::start();
    node.topic("t", 2).await;
    let (large, small) = (batch(Codec::None, 1, 200_000).bytes, plain());
    let send = async |node: &Node, parts: &[&Bytes], rest: usize| {
        let mut frame: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        frame.resize(frame.len() + rest, 0);
        let frame = Bytes::from(frame);
        let mut at = 0;
        let parts = parts.iter().zip(0..).map(|(part, index)| {
            at += part.len();
            (index, frame.slice(at - part.len()..at))
        });
        let context = crate::handlers::RequestContext {
            frame_bytes: frame.len(),
            ..node.context(9)
        };
        let answer = handle(&context, request("t", 1, parts.collect())).await;
        assert!(matches!(answer, Ok(Some(_))));
        frame.is_unique()
    };
    assert!(
        send(&node, &[&small], 1_000_000).await,
        "most of the frame was no batch"
    );
    assert!(send(&node, &[&small, &small], 0).await, "others share the read buffer");
    assert!(
        !send(&node, &[&large, &small], 100_000).await,
        "large batches are not copied"
    );
    assert!(log(&node, "t", 1).cached(0), "and all are cached");
}
