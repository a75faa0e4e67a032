//! Following the cluster image: which logs to open, which to delete, which settings to pass on.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use protocol::ids::{PartitionId, TimestampMs, TopicId, TopicPartition};
use storage::{Durability, LogConfig, OpenError};

use super::Partitions;
use super::directory::Directory;
use super::partition::{LookupError, Partition};
use super::topic::{Slot, Topic};
use crate::cluster::names::{CONSUMER_OFFSETS, TRANSACTION_STATE};
use crate::cluster::{Image, ImageApplier, TopicImage};
use crate::config::topic::log_config;

/// Logs opened side by side; recovery after a crash reads the tail of each.
const OPEN_THREADS: usize = 4;
/// From this many logs on a thread more is worth its start.
const OPEN_SIDE_BY_SIDE_FROM: usize = 8;

impl ImageApplier for Partitions {
    fn apply(&self, image: &Arc<Image>) -> Result<(), String> {
        self.follow(image, self.env.now_ms())
    }
}

impl Partitions {
    /// Makes the open logs those of the image. Blocks on the disk; calls wait for each other.
    ///
    /// A log that cannot be opened is offline until the next image or restart; the error names the first such log.
    pub fn follow(&self, image: &Image, now: TimestampMs) -> Result<(), String> {
        let _one_at_a_time = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.directory();
        let topics: Vec<Arc<Topic>> = image
            .topics_by_name
            .values()
            .map(|topic| self.follow_topic(image, topic, &before))
            .collect();
        let gone: Vec<&Arc<Topic>> = before
            .topics()
            .filter(|topic| !image.topics_by_id.contains_key(&topic.id))
            .collect();
        if !gone.is_empty() {
            // First nobody finds the topic any more, then its logs go: its name may be taken again in this very image.
            self.publish(Directory::new(
                before
                    .topics()
                    .filter(|topic| image.topics_by_id.contains_key(&topic.id))
                    .cloned(),
            ));
            gone.into_iter().for_each(|topic| self.delete_logs(topic, now));
        }
        let opened = self.open_all(&topics, now);
        self.publish(Directory::new(topics));
        opened
    }

    /// The topic as the image has it, with the partitions that are open already.
    fn follow_topic(&self, image: &Image, topic: &Arc<TopicImage>, before: &Directory) -> Arc<Topic> {
        let settings = Arc::new(self.settings_of(image, topic));
        let old = before.topic_by_id(topic.id);
        if let Some(old) = old {
            if old.is_up_to_date(topic, &settings) {
                return old.clone();
            }
            for partition in old.open_partitions() {
                partition.log.set_config(settings.clone());
            }
        }
        let slots = (0..topic.partitions.len()).map(|index| {
            let kept = old
                .and_then(|old| old.slots.get(index))
                .filter(|slot| !is_offline(slot));
            kept.cloned().unwrap_or_default()
        });
        Arc::new(Topic {
            name: topic.name.clone(),
            id: topic.id,
            internal: topic.internal,
            owner: topic.owner.clone(),
            leader_epochs: topic
                .partitions
                .iter()
                .map(|partition| partition.leader_epoch)
                .collect(),
            slots: slots.collect(),
            settings,
        })
    }

    fn settings_of(&self, image: &Image, topic: &TopicImage) -> LogConfig {
        let settings = log_config(&self.config, &image.broker_configs, &topic.configs);
        match topic.internal {
            // What the broker itself keeps must survive whatever is chosen for clients' topics.
            true => LogConfig {
                durability: Durability::Fsync,
                ..settings
            },
            false => settings,
        }
    }

    fn open_all(&self, topics: &[Arc<Topic>], now: TimestampMs) -> Result<(), String> {
        let stored = self.stored_partitions(topics);
        let missing: Vec<(&Topic, PartitionId)> = topics
            .iter()
            .flat_map(|topic| topic.closed_partitions().map(move |partition| (&**topic, partition)))
            .filter(|(topic, partition)| !opens_at_first_use(topic) || stored.contains(&topic.named(*partition)))
            .collect();
        let threads = if missing.len() < OPEN_SIDE_BY_SIDE_FROM {
            1
        } else {
            OPEN_THREADS
        };
        let next = AtomicUsize::new(0);
        let work = || {
            let mut first_error = None;
            while let Some((topic, partition)) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                let opened = self.open_at_first_use(topic, *partition, now);
                first_error = first_error.or(opened.err().map(|error| format!("{}-{partition}: {error}", topic.name)));
            }
            first_error
        };
        let error = std::thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mine = work();
            let theirs = helpers
                .into_iter()
                .map(|helper| helper.join().expect("opening a log does not panic"));
            theirs.fold(mine, |first, error| first.or(error))
        });
        error.map_or(Ok(()), Err)
    }

    /// Partitions of the coordinators' topics that have a log on the disk from an earlier run. Where that cannot be
    /// found out it is all of them: a log taken for missing would be state taken for empty.
    fn stored_partitions(&self, topics: &[Arc<Topic>]) -> HashSet<TopicPartition> {
        let lazy: Vec<&Arc<Topic>> = topics.iter().filter(|topic| opens_at_first_use(topic)).collect();
        if lazy.iter().all(|topic| topic.closed_partitions().next().is_none()) {
            return HashSet::new();
        }
        let partitions = lazy.iter().flat_map(|topic| topic.topic_partitions());
        let folders = match self.manager.orphans() {
            Ok(folders) => folders,
            Err(error) => {
                tracing::error!(%error, "the folder of the logs cannot be listed");
                return partitions.collect();
            }
        };
        let names: HashSet<&OsStr> = folders.iter().filter_map(|folder| folder.file_name()).collect();
        partitions
            .filter(|partition| names.contains(OsStr::new(&partition.to_string())))
            .collect()
    }

    /// Opens the log of a partition unless that was done, successfully or not.
    pub(super) fn open_at_first_use(
        &self,
        topic: &Topic,
        partition: PartitionId,
        now: TimestampMs,
    ) -> Result<Arc<Partition>, LookupError> {
        let slot = topic.slot(partition)?;
        let opened = slot.get_or_init(|| self.open(topic, partition, now));
        opened.clone().map_err(LookupError::Offline)
    }

    fn open(&self, topic: &Topic, partition: PartitionId, now: TimestampMs) -> Result<Arc<Partition>, Arc<str>> {
        let name = topic.named(partition);
        let open = || {
            self.manager
                .open_log(name.clone(), topic.id, topic.settings.clone(), now)
        };
        let opened = match open() {
            Err(OpenError::TopicIdMismatch { path, found, .. }) => {
                self.remove_leftover(&path, found).and_then(|()| open())
            }
            opened => opened,
        };
        match opened {
            Ok(log) => Ok(Arc::new(Partition::new(name, log, topic.leader_epoch(partition)))),
            Err(error) => {
                tracing::error!(partition = %name, %error, "a log cannot be opened; its partition is offline");
                Err(Arc::from(error.to_string()))
            }
        }
    }

    /// Removes the folder of a topic that was deleted: the broker stopped between the two halves of the deletion, and
    /// now a topic of the same name needs the place.
    fn remove_leftover(&self, folder: &Path, topic: TopicId) -> Result<(), OpenError> {
        tracing::warn!(folder = %folder.display(), %topic, "removing the log of a deleted topic");
        self.manager.remove_orphan(folder).map_err(OpenError::Io)
    }

    fn delete_logs(&self, topic: &Topic, now: TimestampMs) {
        for partition in topic.topic_partitions() {
            if let Err(error) = self.manager.delete_log(&partition, now) {
                tracing::error!(%partition, %error, "a deleted topic's log is still on the disk");
            }
        }
    }

    fn publish(&self, directory: Directory) {
        *self.directory.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(directory);
        self.changes.send_modify(|changes| *changes += 1);
    }
}

/// The coordinators' topics have fifty partitions each, and most nodes use a few of them.
fn opens_at_first_use(topic: &Topic) -> bool {
    topic.internal && [CONSUMER_OFFSETS, TRANSACTION_STATE].contains(&&*topic.name)
}

fn is_offline(slot: &Slot) -> bool {
    slot.get().is_some_and(Result::is_err)
}
