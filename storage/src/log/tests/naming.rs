//! A log's folder keeps its name once something in it was acknowledged.

use std::{path::Path, sync::Arc};

use crate::{
    Isolation, LogManager,
    faulty_fs::{Faults, FaultyFs, Loss},
    fs::Fs,
    testing::{NOW, TestNode, clock, partition, records, small_segments, storage_config, topic_id},
};

const FOLDER: &str = "/data/topics/orders-0";

/// Appends a batch, loses the power, and looks for the batch.
fn put_and_lose_power(node: TestNode) {
    node.put(&records(3, NOW));
    let node = node.crash(Loss::Unsynced);
    let slice = node.log.read(0, Isolation::Uncommitted, 100, true);
    assert_eq!(slice.expect("readable").next_offset, 3);
}

#[test]
fn a_folder_that_a_killed_run_made_is_synced() {
    let fs = FaultyFs::new();
    fs.create_dir_all(Path::new(FOLDER)).expect("created");
    put_and_lose_power(TestNode::start(fs.crash(Loss::Killed), small_segments()).expect("starts"));
}

#[test]
fn a_folder_whose_sync_failed_is_synced_when_it_is_opened_again() {
    let fs = FaultyFs::new();
    let shared: Arc<dyn Fs> = Arc::clone(&fs) as Arc<dyn Fs>;
    let manager = LogManager::open(storage_config(), shared, clock()).expect("opens");
    let open = || manager.open_log(partition(), topic_id(), Arc::new(small_segments()), NOW);
    fs.set_faults(Faults {
        fail_sync: Some(1),
        ..Faults::default()
    });
    open().expect_err("the folder's name could not be synced");
    assert!(fs.exists(Path::new(FOLDER)).expect("powered"));
    fs.set_faults(Faults::default());
    let log = open().expect("opens");
    put_and_lose_power(TestNode {
        fs,
        manager,
        log,
        config: small_segments(),
    });
}
