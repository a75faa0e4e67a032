//! Recovery when a part of the transaction state cannot be read: what nobody knows may be decided there.

use std::sync::Arc;

use processor::ports::{EpochLog, EpochWrite, PartitionWrite};
use protocol::ids::TopicPartition;
use protocol::records::{Batch, BatchBuilder, BatchStamp, Codec};
use storage::{AppendOrigin, Log};

use super::TransactionsPort;
use crate::cluster::names::TRANSACTION_STATE;
use crate::partitions::fixture::{NOW, Node};

const OUTPUT: &str = "out";
/// A producer of which no state tells anything.
const STRANGER: i64 = 4_711;

fn log(node: &Node, topic: &str) -> Arc<Log> {
    let found = node.services.partitions.get(&TopicPartition::new(topic, 0), NOW);
    found.expect("the partition").log.clone()
}

fn batch(key: &[u8], stamp: BatchStamp) -> Batch {
    let mut builder = BatchBuilder::new(Codec::None, None, NOW);
    builder.append(NOW, Some(key), Some(b"value"), &[]);
    builder.finish(stamp)
}

/// A node with a query's state, and a transaction of a stranger that is open in the query's output.
async fn node_with_an_open_transaction() -> Node {
    let node = Node::start();
    node.topic(OUTPUT, 1).await;
    let port = TransactionsPort::new(node.transactions());
    let mut writer = port.open("tidemill.query.q").await.expect("a writer");
    let mut records = BatchBuilder::new(Codec::None, None, NOW);
    records.append(NOW, None, Some(b"a row"), &[]);
    let epoch = EpochWrite {
        writes: vec![PartitionWrite {
            partition: TopicPartition::new(OUTPUT, 0),
            records,
        }],
        sources: Vec::new(),
        group: None,
    };
    writer.commit(epoch).await.expect("committed");
    let open = BatchStamp {
        producer_id: STRANGER,
        producer_epoch: 0,
        base_sequence: 0,
        transactional: true,
        control: false,
    };
    let appended = log(&node, OUTPUT).append(&batch(b"k", open), AppendOrigin::Coordinator, NOW);
    appended.expect("appended");
    node
}

fn is_open(node: &Node) -> bool {
    let state = log(node, OUTPUT).producer_state(STRANGER);
    state.is_some_and(|state| state.txn_first_offset.is_some())
}

#[tokio::test]
async fn what_nobody_knows_is_aborted() {
    let node = node_with_an_open_transaction().await;
    assert!(is_open(&node));
    node.transactions().recover().await.expect("recovered");
    assert!(!is_open(&node));
}

#[tokio::test]
async fn what_an_unreadable_state_may_know_stays_open() {
    let node = node_with_an_open_transaction().await;
    // A transactional id that is cut off.
    let unknown = batch(&[0, 0, 0, 9], BatchStamp::NONE);
    let appended = log(&node, TRANSACTION_STATE).append(&unknown, AppendOrigin::Coordinator, NOW);
    appended.expect("appended");

    let transactions = node.transactions();
    transactions.recover().await.expect("the rest is recovered");
    assert!(is_open(&node), "it may be decided in what cannot be read");
    let refused = TransactionsPort::new(transactions).open("tidemill.query.q").await;
    assert!(refused.is_err(), "the query waits for its state");
}
