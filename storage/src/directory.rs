//! The data folder as a whole: who owns it, how the last run ended, where a partition lies.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use protocol::{TopicId, TopicPartition};

use crate::{
    checkpoint::{Sync, parent, replace},
    error::{IoFailure, OpenError},
    fs::{Fs, Lock},
    segment::name::DELETED_SUFFIX,
};

const LOCK: &str = "LOCK";
const CLEAN_SHUTDOWN: &str = "clean-shutdown";
const TOPICS: &str = "topics";
/// Kafka's suffix of a partition folder that is being deleted.
const DELETE_SUFFIX: &str = "-delete";
/// Longest name of a folder entry on the file systems there are.
const NAME_BYTES_MAX: usize = 255;

/// A locked data folder.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    path: PathBuf,
    fs: Arc<dyn Fs>,
    _lock: Box<dyn Lock>,
}

impl DataDirectory {
    /// Creates the folder when it is missing and locks it.
    pub(crate) fn open(fs: &Arc<dyn Fs>, path: &Path) -> Result<Self, OpenError> {
        let topics = path.join(TOPICS);
        fs.create_dir_all(&topics)
            .map_err(|error| IoFailure::new("create", &topics, error))?;
        let lock_path = path.join(LOCK);
        let lock = fs
            .lock(&lock_path)
            .map_err(|error| IoFailure::new("lock", &lock_path, error))?
            .ok_or_else(|| OpenError::Locked(path.to_owned()))?;
        // Always: a run before this one may have been killed between making the folders and syncing them.
        for folder in [path, parent(path)] {
            fs.sync_dir(folder)
                .map_err(|error| IoFailure::new("sync", folder, error))?;
        }
        Ok(Self {
            path: path.to_owned(),
            fs: Arc::clone(fs),
            _lock: lock,
        })
    }

    /// Whether the last run ended cleanly. The mark is removed, durably, before anything is written.
    pub(crate) fn take_clean_mark(&self) -> Result<bool, IoFailure> {
        let path = self.path.join(CLEAN_SHUTDOWN);
        let clean = self
            .fs
            .exists(&path)
            .map_err(|error| IoFailure::new("look for", &path, error))?;
        if clean {
            self.fs
                .remove_file(&path)
                .map_err(|error| IoFailure::new("remove", &path, error))?;
            self.fs
                .sync_dir(&self.path)
                .map_err(|error| IoFailure::new("sync", &self.path, error))?;
        }
        Ok(clean)
    }

    /// Says that everything is flushed and nothing will be written any more.
    pub(crate) fn write_clean_mark(&self) -> Result<(), IoFailure> {
        replace(&*self.fs, &self.path.join(CLEAN_SHUTDOWN), b"0\n", Sync::Now)
    }

    /// The folder that holds the partitions.
    pub(crate) fn topics(&self) -> PathBuf {
        self.path.join(TOPICS)
    }

    /// The folder of one partition.
    pub(crate) fn partition(&self, partition: &TopicPartition) -> PathBuf {
        self.topics().join(partition.to_string())
    }

    /// Folders of deleted partitions that were not removed before the last run ended.
    pub(crate) fn deleted_partitions(&self) -> Result<Vec<PathBuf>, IoFailure> {
        let topics = self.topics();
        let entries = self
            .fs
            .list(&topics)
            .map_err(|error| IoFailure::new("list", &topics, error))?;
        let doomed = entries
            .into_iter()
            .filter(|entry| entry.is_dir && is_deleted(&entry.name));
        Ok(doomed.map(|entry| topics.join(entry.name)).collect())
    }
}

/// Name that a partition folder takes when its topic is deleted: Kafka's `<topic>-<partition>.<id>-delete`, with the
/// topic id where Kafka draws a random one. A long topic name is cut to fit.
pub(crate) fn deleted_folder(dir: &Path, partition: &TopicPartition, topic_id: TopicId) -> PathBuf {
    let suffix = format!("-{}.{}{DELETE_SUFFIX}", partition.partition, topic_id.0.simple());
    let room = NAME_BYTES_MAX - suffix.len();
    let mut topic = &*partition.topic;
    while room < topic.len() {
        // Topic names are ASCII; should one not be, the cut moves to a character's border.
        let mut cut = room;
        while !topic.is_char_boundary(cut) {
            cut -= 1;
        }
        topic = &topic[..cut];
    }
    parent(dir).join(format!("{topic}{suffix}"))
}

/// A topic may well be called `x-delete`; what marks a deleted folder is the id of 32 hex digits before the suffix.
fn is_deleted(name: &str) -> bool {
    let Some((_, id)) = name.strip_suffix(DELETE_SUFFIX).and_then(|name| name.rsplit_once('.')) else {
        return false;
    };
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Path of a file that waits to be unlinked.
pub(crate) fn deleted_file(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(DELETED_SUFFIX);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use protocol::TopicId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn deleted_folders_are_known_again_and_fit_a_name() {
        let id = TopicId(Uuid::from_u128(7));
        for topic in ["orders".to_owned(), "x".repeat(249)] {
            let partition = TopicPartition::new(topic.as_str(), 12);
            let path = deleted_folder(Path::new("/d/topics/any"), &partition, id);
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            assert!(name.len() <= NAME_BYTES_MAX && is_deleted(name), "{name}");
            assert_eq!(path.parent(), Some(Path::new("/d/topics")));
        }
        assert!(!is_deleted("orders-delete") && !is_deleted("a.b-delete") && !is_deleted("orders-0"));
    }
}
