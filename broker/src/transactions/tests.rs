//! The shell around the transaction machine on a device that is full.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coordinator::transaction::{Opened, TransactionLogValue, TransactionState, TransactionalId};
use processor::ports::{EpochLog, EpochWrite, PartitionWrite, PortError};
use protocol::ids::TopicPartition;
use protocol::records::{BatchBuilder, Codec};
use storage::{AppendError, Isolation, Log, LogConfig, VisibleReader};

use super::shard::{Shard, ShardError};
use super::{TIMEOUT_MS, TransactionsPort, store};
use crate::cluster::names::TRANSACTION_STATE;
use crate::faulty_fs::{Faults, FaultyFs};
use crate::partitions::fixture::{Logs, NOW, Node, leave_room};

type Ids = BTreeMap<TransactionalId, TransactionLogValue>;

/// Rows of an epoch.
const ROWS: i64 = 2;
const QUERY: &str = "tidemill.query.q";

/// What a shard has in memory.
fn memory(shard: &Shard) -> Ids {
    let looked = shard.transact(NOW, |machine| Ok((Vec::new(), machine.ids().clone())));
    looked.expect("readable").0
}

/// What the next start would read back.
fn on_disk(log: &Log) -> Ids {
    store::load(log).expect("readable").ids().clone()
}

fn out() -> TopicPartition {
    TopicPartition::new("out", 0)
}

fn epoch() -> EpochWrite {
    let mut records = BatchBuilder::new(Codec::None, None, NOW);
    for _ in 0..ROWS {
        records.append(NOW, None, Some(b"a row"), &[]);
    }
    EpochWrite {
        writes: vec![PartitionWrite {
            partition: out(),
            records,
        }],
        sources: Vec::new(),
        group: None,
    }
}

/// What a reader of committed data sees once all of it is on the disk.
async fn visible_rows(log: Arc<Log>) -> i64 {
    log.flush_through(log.marks().log_end).await.expect("flushed");
    let mut reader = VisibleReader::new(log, 0, None, Isolation::Committed);
    let mut rows = 0;
    while let Some(batches) = reader.next_batches(1 << 20).expect("readable") {
        let counts = batches.iter().map(|batch| i64::from(batch.header.record_count));
        rows += counts.sum::<i64>();
    }
    rows
}

#[test]
fn a_step_whose_record_broke_off_was_not_taken() {
    let fs = FaultyFs::new();
    let logs = Logs::on(fs.clone());
    let log = logs.partition_with("state", 0, LogConfig::default()).log.clone();
    let shard = Shard::new(log.clone());
    let id: TransactionalId = QUERY.into();
    let opened = shard.transact(NOW, |machine| {
        let opened = machine.open(NOW, &id, TIMEOUT_MS, 7)?;
        match opened {
            Opened::Ready { records, producer } => Ok((records, producer)),
            unfinished @ Opened::Unfinished(_) => panic!("{unfinished:?}"),
        }
    });
    let (producer, _durable) = opened.expect("a new id");
    let begin = || {
        shard.transact(NOW, |machine| {
            Ok((machine.begin(NOW, &id, producer, [out()])?.records, ()))
        })
    };

    let (before, end) = (memory(&shard), log.marks().log_end);
    for room in [0, 1, 70] {
        leave_room(&fs, room);
        let refused = begin().map(|((), _durable)| ());
        assert!(
            matches!(refused, Err(ShardError::Append(AppendError::NoSpace(_)))),
            "{refused:?}"
        );
        assert_eq!(log.marks().log_end, end);
        assert_eq!((memory(&shard), on_disk(&log)), (before.clone(), before.clone()));
    }
    fs.set_faults(Faults::default());
    let ((), _durable) = begin().expect("there is room again");
    assert_eq!(memory(&shard)[&id].state, TransactionState::Ongoing);
    assert_eq!(memory(&shard), on_disk(&log));
}

/// The device is full at every place of an epoch's transaction: the begin, the data, the decision, the marker. The run
/// that comes after the failed one finds in memory what the log says, and every row is there once.
#[tokio::test]
async fn an_epoch_that_broke_off_anywhere_is_ended_by_the_next_run() {
    // How far a transaction came that failed. The log's notes of what is flushed take room as well, at moments of their
    // own: the same room may end at different places.
    let mut failed = BTreeSet::new();
    for room in (0..).step_by(4) {
        let fs = FaultyFs::new();
        let node = Node::start_on(fs.clone());
        node.topic("out", 1).await;
        let transactions = node.transactions();
        let port = TransactionsPort::new(transactions.clone());
        let mut writer = port.open(QUERY).await.expect("a writer");
        writer.commit(epoch()).await.expect("there is room");
        let shard = transactions.shard(&QUERY.into()).await.expect("in use");
        let log = transactions
            .log(&TopicPartition::new(TRANSACTION_STATE, 0))
            .expect("in use");
        let before = memory(&shard);

        leave_room(&fs, room);
        let committed = writer.commit(epoch()).await;
        let after = memory(&shard);
        assert_eq!(after, on_disk(&log), "with room for {room} bytes");
        let is_decided = after != before && after[QUERY].state == TransactionState::PrepareCommit;
        fs.set_faults(Faults::default());
        match &committed {
            Ok(_) => assert!(is_decided),
            Err(error) => {
                assert!(
                    matches!(error, PortError::Storage(_)),
                    "the query would not try again: {error}"
                );
                let again = writer.commit(epoch()).await.map(drop);
                assert!(matches!(again, Err(PortError::Fenced(_))), "{again:?}");
            }
        }
        let mut next = port.open(QUERY).await.expect("a writer");
        next.commit(epoch()).await.expect("there is room");
        assert_eq!(memory(&shard), on_disk(&log), "with room for {room} bytes");
        let rows = visible_rows(transactions.log(&out()).expect("there")).await;
        assert_eq!(rows, ROWS * (2 + i64::from(is_decided)), "with room for {room} bytes");

        if committed.is_ok() {
            break;
        }
        failed.insert((after != before, is_decided));
    }
    for place in [(false, false), (true, false), (true, true)] {
        assert!(
            failed.contains(&place),
            "(begun, decided) {place:?} is not among {failed:?}"
        );
    }
}
