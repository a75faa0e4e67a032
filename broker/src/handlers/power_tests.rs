//! What was answered is there after the power came back: produced records, committed offsets, created topics, and the
//! decision of an epoch, on a file system that forgets what was not synced.
//!
//! Nothing is flushed here but what somebody awaits. The power goes at every single sync of an operation, and right after
//! its answer; an answer that did not wait for its own flush shows as a promise that is not kept. The last tests plant
//! just that.

use std::sync::Arc;

use processor::ports::{EpochLog, EpochWrite, EpochWriter, PartitionWrite};
use protocol::ids::{Offset, TopicPartition};
use protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::messages::{StrBytes, TopicName};
use protocol::records::{BatchBuilder, Codec};
use storage::{Isolation, Log, VisibleReader};

use super::{create_topics, offset_commit, produce};
use crate::cluster::change::NewTopic;
use crate::faulty_fs::{Faults, FaultyFs, Loss};
use crate::partitions::fixture::{NOW, Node, batch};
use crate::transactions::TransactionsPort;
use crate::wait::until_some;

/// What a client, or a query, is promised by an answer.
#[derive(Debug, Clone, Copy)]
enum Promise {
    Produced,
    Committed,
    Created,
    Decided,
}

const PROMISES: [Promise; 4] = [
    Promise::Produced,
    Promise::Committed,
    Promise::Created,
    Promise::Decided,
];
const LOSSES: [Loss; 4] = [Loss::Unsynced, Loss::Nothing, Loss::Random(1), Loss::Random(2)];
/// Records of a batch.
const RECORDS: i64 = 2;

/// A node that has done everything once before.
struct Prepared {
    fs: Arc<FaultyFs>,
    node: Node,
    writer: Box<dyn EpochWriter>,
}

impl Prepared {
    async fn new(durability: &str) -> Self {
        let fs = FaultyFs::new();
        let node = Node::start_on(fs.clone());
        for name in ["in", "out"] {
            let durability = ("tidemill.durability".to_owned(), Some(durability.to_owned()));
            node.create(NewTopic {
                configs: vec![durability],
                ..NewTopic::with_defaults(name)
            })
            .await;
        }
        let port = TransactionsPort::new(node.transactions());
        let writer = port.open("tidemill.query.q").await.expect("a writer");
        let mut prepared = Self { fs, node, writer };
        for promise in [Promise::Produced, Promise::Committed, Promise::Decided] {
            assert!(prepared.make(promise, 1).await, "{promise:?}");
        }
        prepared
    }

    /// Does it for the n-th time; whether the answer is good.
    async fn make(&mut self, promise: Promise, n: i64) -> bool {
        match promise {
            Promise::Produced => produced(&self.node).await,
            Promise::Committed => committed(&self.node, n).await,
            Promise::Created => created(&self.node).await,
            Promise::Decided => self.writer.commit(epoch(RECORDS)).await.is_ok(),
        }
    }

    /// Does it once more, loses the power, and starts again. Whether it was promised, whether the power had gone before
    /// the answer, and whether the promise is kept.
    async fn survive(mut self, promise: Promise, loss: Loss) -> Outcome {
        let promised = self.make(promise, 2).await;
        let went_off = self.fs.is_off();
        let fs = self.fs.crash(loss);
        drop(self);
        let node = Node::start_on(fs);
        node.transactions()
            .recover()
            .await
            .expect("open transactions are ended");
        Outcome {
            promised,
            went_off,
            kept: is_kept(&node, promise).await,
        }
    }
}

struct Outcome {
    promised: bool,
    went_off: bool,
    kept: bool,
}

fn topic_name(name: &'static str) -> TopicName {
    StrBytes::from_static_str(name).into()
}

async fn produced(node: &Node) -> bool {
    let partition = PartitionProduceData::default().with_records(Some(batch(Codec::None, RECORDS as usize, 10).bytes));
    let topic = TopicProduceData::default()
        .with_name(topic_name("in"))
        .with_partition_data(vec![partition]);
    let request = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(60_000)
        .with_topic_data(vec![topic]);
    let answer = produce::handle(&node.context(9), request).await;
    let answer = answer.expect("the connection stays").expect("an answer");
    answer.responses[0].partition_responses[0].error_code == 0
}

async fn committed(node: &Node, offset: Offset) -> bool {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name("in"))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(StrBytes::from_static_str("g").into())
        .with_topics(vec![topic]);
    let answer = offset_commit::handle(&node.context(7), request).await;
    answer.topics[0].partitions[0].error_code == 0
}

async fn created(node: &Node) -> bool {
    let topic = CreatableTopic::default()
        .with_name(topic_name("made"))
        .with_num_partitions(1)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(60_000);
    let answer = create_topics::handle(&node.context(5), request).await;
    answer.topics[0].error_code == 0
}

/// Output of a query that has read its source up to `next`.
fn epoch(next: Offset) -> EpochWrite {
    let mut records = BatchBuilder::new(Codec::None, None, NOW);
    for _ in 0..RECORDS {
        records.append(NOW, None, Some(b"a row"), &[]);
    }
    EpochWrite {
        writes: vec![PartitionWrite {
            partition: TopicPartition::new("out", 0),
            records,
        }],
        sources: vec![(TopicPartition::new("in", 0), next)],
        group: None,
    }
}

/// Whether the second of its kind is there.
async fn is_kept(node: &Node, promise: Promise) -> bool {
    match promise {
        Promise::Produced => visible_records(log(node, "in")) == 2 * RECORDS,
        Promise::Committed => committed_offset(node).await == Some(2),
        Promise::Created => node.services.partitions.topic("made").is_ok(),
        Promise::Decided => visible_records(log(node, "out")) == 2 * RECORDS,
    }
}

fn log(node: &Node, topic: &str) -> Arc<Log> {
    let found = node.services.partitions.get(&TopicPartition::new(topic, 0), NOW);
    found.expect("the partition").log.clone()
}

/// What a reader of committed data sees.
fn visible_records(log: Arc<Log>) -> i64 {
    let mut reader = VisibleReader::new(log, 0, None, Isolation::Committed);
    let mut count = 0;
    while let Some(batches) = reader.next_batches(1 << 20).expect("readable") {
        count += batches
            .iter()
            .map(|batch| i64::from(batch.header.record_count))
            .sum::<i64>();
    }
    count
}

async fn committed_offset(node: &Node) -> Option<Offset> {
    // Right after the start the group is still being loaded.
    let found = until_some("the group to be loaded", async || {
        node.services.groups.fetch_offsets("g").await.ok()
    });
    found.await.first().map(|found| found.offset)
}

#[tokio::test]
async fn what_was_answered_survives_a_power_cut_right_after() {
    let mut broken = Vec::new();
    for promise in PROMISES {
        for loss in LOSSES {
            let outcome = Prepared::new("fsync").await.survive(promise, loss).await;
            if !outcome.promised || !outcome.kept {
                broken.push((promise, loss));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
}

#[tokio::test]
async fn what_was_answered_survives_a_power_cut_at_any_sync() {
    for promise in PROMISES {
        for point in 1.. {
            let prepared = Prepared::new("fsync").await;
            prepared.fs.set_faults(Faults {
                power_off_at_sync: Some(point),
                ..Faults::default()
            });
            let outcome = prepared.survive(promise, Loss::Unsynced).await;
            assert!(
                outcome.kept || !outcome.promised,
                "{promise:?}, power off at sync {point}"
            );
            if !outcome.went_off {
                assert!(1 < point && outcome.promised, "{promise:?} needs a sync");
                break;
            }
        }
    }
}

/// The source acknowledges from the page cache: the decision itself has to wait for what it was read from.
#[tokio::test]
async fn a_committed_result_never_outlives_its_source() {
    for point in 1.. {
        let mut prepared = Prepared::new("async").await;
        assert!(prepared.make(Promise::Produced, 2).await);
        prepared.fs.set_faults(Faults {
            power_off_at_sync: Some(point),
            ..Faults::default()
        });
        let decided = prepared.writer.commit(epoch(2 * RECORDS)).await.is_ok();
        let went_off = prepared.fs.is_off();
        let fs = prepared.fs.crash(Loss::Unsynced);
        drop(prepared);
        let node = Node::start_on(fs);
        node.transactions()
            .recover()
            .await
            .expect("open transactions are ended");

        let result = visible_records(log(&node, "out"));
        let source = log(&node, "in").marks().log_end;
        assert!(
            result == RECORDS || source == 2 * RECORDS,
            "power off at sync {point}: {result} rows from {source} records"
        );
        if !went_off {
            assert!(decided && result == 2 * RECORDS, "nothing went wrong");
            break;
        }
    }
}

#[tokio::test]
async fn an_answer_from_the_page_cache_is_caught() {
    // What `durability = "async"` means, taken for a promise: the planted bug.
    let outcome = Prepared::new("async")
        .await
        .survive(Promise::Produced, Loss::Unsynced)
        .await;
    assert!(outcome.promised && !outcome.kept);
}

#[tokio::test]
async fn an_answer_before_the_flush_is_caught() {
    for promise in PROMISES {
        let prepared = Prepared::new("fsync").await;
        // Whoever waits for a flush waits for nothing: the planted bug.
        prepared.fs.set_faults(Faults {
            lie_about_sync: true,
            ..Faults::default()
        });
        let outcome = prepared.survive(promise, Loss::Unsynced).await;
        assert!(outcome.promised && !outcome.kept, "{promise:?}");
    }
}
