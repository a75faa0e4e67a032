//! Deleting a log where something goes wrong half way.

use std::{path::Path, sync::Arc};

use protocol::TopicId;
use uuid::Uuid;

use crate::{
    faulty_fs::{Faults, FaultyFs, Loss},
    fs::Fs,
    testing::{NOW, TestNode, partition, records, small_segments},
};

fn folders(fs: &FaultyFs) -> Vec<String> {
    let entries = fs.list(Path::new("/data/topics")).expect("there");
    entries.into_iter().map(|entry| entry.name).collect()
}

/// A node whose log was closed and renamed; the rename is not synced.
fn half_deleted() -> TestNode {
    let node = TestNode::new(small_segments());
    node.fs.set_faults(Faults {
        fail_sync: Some(1),
        ..Faults::default()
    });
    node.manager
        .delete_log(&partition(), NOW)
        .expect_err("the rename could not be synced");
    node.fs.set_faults(Faults::default());
    node
}

#[test]
fn a_name_is_free_although_its_deletion_failed_half_way() {
    let node = half_deleted();
    let TestNode {
        fs, manager, config, ..
    } = node;
    let id = TopicId(Uuid::from_u128(78));
    let log = manager
        .open_log(partition(), id, Arc::new(config.clone()), NOW)
        .expect("the name is free");
    let node = TestNode {
        fs,
        manager,
        log,
        config,
    };
    node.put(&records(3, NOW));
    node.manager.apply_retention(NOW + node.config.file_delete_delay_ms);
    assert_eq!(folders(&node.fs), ["orders-0"], "only the new topic's folder is left");
    assert_eq!(node.headers().len(), 1);
}

#[test]
fn upkeep_ends_a_deletion_that_failed_half_way() {
    let node = half_deleted();
    assert_eq!(node.manager.stats().logs, 0);
    let report = node.manager.apply_retention(NOW);
    assert!(report.failed.is_empty(), "{report:?}");
    let fs = node.fs.crash(Loss::Unsynced);
    assert!(
        folders(&fs).iter().all(|name| name.ends_with("-delete")),
        "it is durable"
    );
    drop(node);

    let node = half_deleted();
    let due = NOW + node.config.file_delete_delay_ms;
    assert_eq!(
        node.manager.apply_retention(due).unlinked,
        0,
        "the delay begins with the rename"
    );
    node.manager.apply_retention(due + node.config.file_delete_delay_ms);
    assert!(folders(&node.fs).is_empty());
}

#[test]
fn a_folder_that_is_gone_is_deleted() {
    let node = TestNode::new(small_segments());
    node.fs.remove_dir_all(node.log.dir()).expect("removed");
    node.manager
        .delete_log(&partition(), NOW)
        .expect("nothing is left to do");
    assert_eq!(node.manager.stats().logs, 0);
}
