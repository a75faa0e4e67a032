//! Logs that follow the image, leader epochs as clients see them, and who is woken by what.

use std::path::Path;
use std::sync::Arc;

use futures::FutureExt;
use protocol::ids::{TopicId, TopicPartition};
use protocol::records::Codec;
use storage::fs::DiskFs;
use storage::{AppendOrigin, Durability, Isolation, LogConfig, LogManager, StorageConfig};
use tokio::sync::watch;
use uuid::Uuid;

use super::fixture::{EPOCH, Logs, NOW, append, batch, config};
use super::{LeaderEpochMismatch, LookupError, Partition, Partitions, Waiters, Woken};
use crate::cluster::{Image, PartitionImage, TopicImage};
use crate::env::Env;

#[test]
fn a_claimed_epoch_is_compared_with_the_partitions() {
    let logs = Logs::new();
    let partition = logs.partition("t", 0);
    assert_eq!(partition.check_leader_epoch(-1), Ok(()));
    assert_eq!(partition.check_leader_epoch(EPOCH), Ok(()));
    assert_eq!(
        partition.check_leader_epoch(EPOCH - 1),
        Err(LeaderEpochMismatch::Fenced)
    );
    assert_eq!(
        partition.check_leader_epoch(EPOCH + 1),
        Err(LeaderEpochMismatch::Unknown)
    );
}

#[tokio::test]
async fn an_append_that_came_between_read_and_wait_is_not_missed() {
    let logs = Logs::new();
    let (first, second) = (logs.partition("t", 0), logs.partition("t", 1));
    let seen = [(&first.log, first.log.marks()), (&second.log, second.log.marks())];
    append(&second, &batch(Codec::None, 1, 10));
    let changes = watch::Sender::new(0);
    let mut waiters = Waiters::new(changes.subscribe(), Isolation::Uncommitted, seen.into_iter());
    assert_eq!(waiters.changed().now_or_never(), Some(Woken::Log));
    assert_eq!(waiters.changed().now_or_never(), None, "each advance wakes once");
}

#[tokio::test]
async fn records_that_are_not_durable_wake_nobody() {
    let logs = Logs::new();
    let partition = logs.partition_with("t", 0, LogConfig::default());
    let changes = watch::Sender::new(0);
    let seen = [(&partition.log, partition.log.marks())];
    let mut waiters = Waiters::new(changes.subscribe(), Isolation::Uncommitted, seen.into_iter());
    let appended = partition
        .log
        .append(&batch(Codec::None, 1, 10), AppendOrigin::Client, NOW)
        .expect("a good batch");
    if partition.log.marks().high_watermark == 0 {
        assert_eq!(waiters.changed().now_or_never(), None);
    }
    appended.ticket.await.expect("the flush succeeds");
    assert_eq!(waiters.changed().await, Woken::Log);
}

#[tokio::test]
async fn a_change_of_topics_ends_a_wait_without_logs() {
    let changes = watch::Sender::new(0);
    let mut waiters = Waiters::new(changes.subscribe(), Isolation::Committed, std::iter::empty());
    assert_eq!(waiters.changed().now_or_never(), None);
    changes.send_modify(|changes| *changes += 1);
    assert_eq!(waiters.changed().await, Woken::Topics);
}

/// A broker's partitions over a folder that outlives them.
struct Run {
    partitions: Partitions,
    image: Image,
}

impl Run {
    fn over(folder: &Path, image: Image) -> Self {
        let manager = LogManager::open(StorageConfig::new(folder), Arc::new(DiskFs), Arc::new(Env::system()))
            .expect("the folder opens");
        let run = Self {
            partitions: Partitions::new(manager, config(folder), Arc::new(Env::system())),
            image,
        };
        run.follow();
        run
    }

    fn follow(&self) {
        self.partitions.follow(&self.image, NOW).expect("all logs open");
    }

    fn put(&mut self, name: &str, id: u128, count: usize, configs: &[(&str, &str)]) {
        let id = TopicId(Uuid::from_u128(id));
        let internal = name.starts_with("__");
        let topic = TopicImage {
            id,
            name: name.into(),
            partitions: vec![
                PartitionImage {
                    leader: 0,
                    leader_epoch: 5,
                    replicas: vec![0],
                    isr: vec![0]
                };
                count
            ],
            configs: configs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            internal,
            owner: None,
            created_at: NOW,
        };
        self.image.topics_by_name.insert(name.into(), Arc::new(topic));
        self.image.topics_by_id.insert(id, name.into());
        self.follow();
    }

    fn remove(&mut self, name: &str) {
        let topic = self.image.topics_by_name.remove(name).expect("it is there");
        self.image.topics_by_id.remove(&topic.id);
        self.follow();
    }

    fn get(&self, topic: &str, partition: i32) -> Result<Arc<Partition>, LookupError> {
        self.partitions.get(&TopicPartition::new(topic, partition), NOW)
    }

    fn open_logs(&self) -> Vec<String> {
        let mut names: Vec<_> = self
            .partitions
            .manager()
            .logs()
            .iter()
            .map(|log| log.topic_partition().to_string())
            .collect();
        names.sort();
        names
    }
}

fn empty() -> Image {
    Image::empty("cluster".into(), 0)
}

#[test]
fn logs_follow_the_image() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = Run::over(folder.path(), empty());
    let mut changes = run.partitions.changes();
    run.put("a", 1, 2, &[]);
    assert!(changes.has_changed().expect("the directory lives"));
    changes.mark_unchanged();
    assert_eq!(run.open_logs(), ["a-0", "a-1"]);
    assert_eq!(
        run.get("a", 1).map(|found| (found.leader_epoch(), found.topic_id)),
        Ok((5, TopicId(Uuid::from_u128(1))))
    );
    assert_eq!(run.get("a", 2).map(|_| ()), Err(LookupError::UnknownPartition(2)));
    assert_eq!(run.get("a", -1).map(|_| ()), Err(LookupError::UnknownPartition(-1)));
    assert_eq!(run.get("b", 0).map(|_| ()), Err(LookupError::UnknownTopic));

    let kept = run.get("a", 0).expect("open");
    append(&kept, &batch(Codec::None, 1, 10));
    run.put("a", 1, 3, &[("segment.bytes", "2097152")]);
    assert_eq!(run.open_logs(), ["a-0", "a-1", "a-2"]);
    let again = run.get("a", 0).expect("open");
    assert!(Arc::ptr_eq(&kept, &again), "partitions stay what they are");
    assert_eq!(again.log.config().segment_bytes, 2 << 20);
    assert_eq!(run.get("a", 2).expect("open").log.config().segment_bytes, 2 << 20);

    run.remove("a");
    assert!(changes.has_changed().expect("the directory lives"));
    assert_eq!(run.open_logs(), Vec::<String>::new());
    assert_eq!(run.get("a", 0).map(|_| ()), Err(LookupError::UnknownTopic));
    assert!(run.partitions.topic_by_id(TopicId(Uuid::from_u128(1))).is_err());
}

#[test]
fn a_topic_of_the_same_name_begins_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = Run::over(folder.path(), empty());
    run.put("a", 1, 1, &[]);
    append(&run.get("a", 0).expect("open"), &batch(Codec::None, 3, 10));
    run.remove("a");
    run.put("a", 2, 1, &[]);
    let fresh = run.get("a", 0).expect("open");
    assert_eq!(
        (fresh.topic_id, fresh.log.marks().log_end),
        (TopicId(Uuid::from_u128(2)), 0)
    );
}

#[test]
fn a_deletion_that_a_crash_cut_in_half_is_finished_when_the_name_is_needed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut before = Run::over(folder.path(), empty());
    before.put("a", 1, 1, &[]);
    append(&before.get("a", 0).expect("open"), &batch(Codec::None, 3, 10));
    drop(before);
    // The image already lacks the topic; its folder is still there.
    let mut after = Run::over(folder.path(), empty());
    assert_eq!(after.open_logs(), Vec::<String>::new());
    after.put("a", 2, 1, &[]);
    assert_eq!(after.get("a", 0).expect("open").log.marks().log_end, 0);
}

#[test]
fn the_coordinators_logs_are_made_at_their_first_use_and_found_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut before = Run::over(folder.path(), empty());
    before.put("__consumer_offsets", 1, 50, &[]);
    assert_eq!(before.open_logs(), Vec::<String>::new());
    let used = before.get("__consumer_offsets", 7).expect("opened at its first use");
    append(&used, &batch(Codec::None, 2, 10));
    assert_eq!(used.log.config().durability, Durability::Fsync);
    assert_eq!(before.open_logs(), ["__consumer_offsets-7"]);
    let image = before.image.clone();
    drop((before, used));

    let after = Run::over(folder.path(), image);
    assert_eq!(after.open_logs(), ["__consumer_offsets-7"]);
    assert_eq!(after.get("__consumer_offsets", 7).expect("open").log.marks().log_end, 2);
}

#[test]
fn one_damaged_partition_leaves_its_neighbours_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = Run::over(folder.path(), empty());
    // A file stands where the folder of the partition should be.
    std::fs::write(folder.path().join("topics/a-1"), b"in the way").expect("written");
    let id = TopicId(Uuid::from_u128(1));
    run.image.topics_by_id.insert(id, "a".into());
    let partition = PartitionImage {
        leader: 0,
        leader_epoch: 0,
        replicas: vec![0],
        isr: vec![0],
    };
    let topic = TopicImage {
        id,
        name: "a".into(),
        partitions: vec![partition; 12],
        configs: Default::default(),
        internal: false,
        owner: None,
        created_at: NOW,
    };
    run.image.topics_by_name.insert("a".into(), Arc::new(topic));
    assert!(
        run.partitions
            .follow(&run.image, NOW)
            .expect_err("a-1 is offline")
            .contains("a-1")
    );
    assert!(matches!(run.get("a", 1), Err(LookupError::Offline(_))));
    assert_eq!(run.open_logs().len(), 11);
    // The next image tries again.
    std::fs::remove_file(folder.path().join("topics/a-1")).expect("removed");
    run.follow();
    assert!(run.get("a", 1).is_ok());
}
