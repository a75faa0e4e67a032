//! Transactions: what readers of committed data see, and when.

use protocol::{Offset, records::ControlType};

use crate::{
    AbortedTransaction, AppendError, Isolation, VisibleReader,
    faulty_fs::Loss,
    segment::name::FileKind,
    testing::{NOW, TestNode, idempotent, marker, records, small_segments, transactional},
};

/// Producers 1 and 2 interleave; 1 aborts, 2 commits, 3 stays open.
fn history(node: &TestNode) {
    node.put(&transactional(1, 0, 3)); // 0..3
    node.put(&transactional(2, 0, 3)); // 3..6
    node.put(&records(2, NOW)); // 6..8
    node.put(&transactional(1, 3, 2)); // 8..10
    node.put(&marker(1, ControlType::Abort)); // 10
    node.put(&transactional(2, 3, 2)); // 11..13
    node.put(&marker(2, ControlType::Commit)); // 13
    node.put(&records(2, NOW)); // 14..16
    node.put(&transactional(3, 0, 2)); // 16..18
    node.put(&records(2, NOW)); // 18..20
}

fn visible(node: &TestNode, isolation: Isolation) -> Vec<Offset> {
    let mut reader = VisibleReader::new(std::sync::Arc::clone(&node.log), 0, None, isolation);
    let mut offsets = Vec::new();
    while let Some(batches) = reader.next_batches(200).expect("readable") {
        offsets.extend(batches.iter().map(|batch| batch.header.base_offset));
    }
    offsets
}

fn check(node: &TestNode) {
    assert_eq!(node.log.marks().last_stable, 16);
    assert_eq!(node.log.open_transactions(), [(3, 16)]);
    assert_eq!(visible(node, Isolation::Committed), [3, 6, 11, 14]);
    assert_eq!(visible(node, Isolation::Uncommitted), [0, 3, 6, 8, 11, 14, 16, 18]);
    let aborted = [AbortedTransaction {
        producer_id: 1,
        first_offset: 0,
    }];
    for (from, expected) in [(0, &aborted[..]), (9, &aborted), (10, &aborted), (11, &[])] {
        let slice = node
            .log
            .read(from, Isolation::Committed, 10_000, true)
            .expect("readable");
        assert_eq!(slice.aborted, expected, "from {from}");
    }
    assert!(
        node.log
            .read(0, Isolation::Uncommitted, 10_000, true)
            .expect("readable")
            .aborted
            .is_empty()
    );
}

#[test]
fn readers_of_committed_data_see_what_was_committed() {
    let node = TestNode::new(small_segments());
    history(&node);
    check(&node);
}

#[test]
fn the_same_after_any_restart_and_without_any_index() {
    let node = TestNode::new(small_segments());
    history(&node);
    let node = node.restart();
    check(&node);
    let node = node.crash(Loss::Unsynced);
    check(&node);
    for kind in [
        FileKind::TransactionIndex,
        FileKind::OffsetIndex,
        FileKind::Snapshot,
        FileKind::ProducerWindows,
    ] {
        let node = TestNode::new(small_segments());
        history(&node);
        let remove = |fs: &crate::faulty_fs::FaultyFs, dir: &std::path::Path| {
            use crate::fs::Fs;
            for file in fs
                .files(dir)
                .iter()
                .filter(|file| file.to_string_lossy().ends_with(kind.suffix()))
            {
                fs.remove_file(file).expect("removed");
            }
        };
        let node = node.damaged(remove);
        check(&node);
        // Damage after a clean stop is found too.
        let TestNode {
            fs,
            manager,
            log,
            config,
        } = node;
        let dir = log.dir().to_owned();
        manager.shutdown(NOW).expect("a clean stop");
        drop((log, manager));
        remove(&fs, &dir);
        check(&TestNode::start(fs, config).expect("starts"));
    }
}

#[test]
fn a_plain_write_inside_an_open_transaction_is_refused() {
    let node = TestNode::new(small_segments());
    node.put(&transactional(1, 0, 1));
    let refused = node.append(&idempotent(1, 0, 1, 1));
    assert!(
        matches!(refused, Err(AppendError::InvalidTxnState(ref fact)) if fact.first_offset == 0),
        "{refused:?}"
    );
    node.put(&marker(1, ControlType::Commit));
    node.put(&idempotent(1, 0, 1, 1));
}

#[test]
fn old_markers_are_fenced_and_a_marker_without_a_transaction_ends_none() {
    let node = TestNode::new(small_segments());
    let marker = |producer_epoch, coordinator_epoch| {
        protocol::records::marker_batch(4, producer_epoch, ControlType::Abort, coordinator_epoch, NOW)
    };
    node.put(&marker(2, 5));
    assert!(
        node.log
            .read(0, Isolation::Committed, 1000, true)
            .expect("readable")
            .aborted
            .is_empty()
    );
    let fenced = node.log.append(&marker(2, 4), crate::AppendOrigin::Coordinator, NOW);
    assert!(matches!(fenced, Err(AppendError::CoordinatorFenced(_))), "{fenced:?}");
    let old = node.log.append(&marker(1, 5), crate::AppendOrigin::Coordinator, NOW);
    assert!(matches!(old, Err(AppendError::InvalidProducerEpoch(_))), "{old:?}");
}

#[test]
fn clients_write_no_markers() {
    let node = TestNode::new(small_segments());
    let refused = node.append(&marker(1, ControlType::Commit));
    assert!(matches!(refused, Err(AppendError::InvalidBatch(_))), "{refused:?}");
}
