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
        let is_there = |folder: &&Path| fs.exists(or_here(folder)).unwrap_or(false);
        let oldest = path.ancestors().find(is_there).unwrap_or(Path::new("")).to_owned();
        fs.create_dir_all(&topics)
            .map_err(|error| IoFailure::new("create", &topics, error))?;
        let lock_path = path.join(LOCK);
        let lock = fs
            .lock(&lock_path)
            .map_err(|error| IoFailure::new("lock", &lock_path, error))?
            .ok_or_else(|| OpenError::Locked(path.to_owned()))?;
        sync_names(&**fs, path, &oldest)?;
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

/// Makes the name of the data folder durable, and those of the folders above it, up to the root: a run before this one
/// may have been killed between making them and syncing them. `oldest` is the last one that was there before this run.
fn sync_names(fs: &dyn Fs, path: &Path, oldest: &Path) -> Result<(), IoFailure> {
    let must_be_synced = |folder: &Path| folder.starts_with(oldest) || Some(folder) == path.parent();
    for folder in path.ancestors() {
        let is_ours = must_be_synced(folder);
        let folder = or_here(folder);
        match fs.sync_dir(folder) {
            Err(error) if is_ours => return Err(IoFailure::new("sync", folder, error)),
            // Most likely it is one that belongs to the system and may not be read.
            Err(error) => tracing::debug!(folder = %folder.display(), %error, "a folder above the data is not synced"),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// The last ancestor of a relative path is the empty one: the folder that the process runs in.
fn or_here(folder: &Path) -> &Path {
    match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
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
    use crate::faulty_fs::{FaultyFs, Loss};

    #[test]
    fn every_new_folder_above_the_data_survives_the_power() {
        for path in ["/a/b/c", "a/b/c"].map(Path::new) {
            for is_killed in [false, true] {
                let mut fs = FaultyFs::new();
                if is_killed {
                    // A run before this one came as far as making the folders.
                    fs.create_dir_all(&path.join(TOPICS)).expect("created");
                    fs = fs.crash(Loss::Killed);
                }
                let shared: Arc<dyn Fs> = Arc::clone(&fs) as Arc<dyn Fs>;
                drop(DataDirectory::open(&shared, path).expect("opens"));
                let fs = fs.crash(Loss::Unsynced);
                assert!(
                    fs.exists(&path.join(TOPICS)).expect("powered"),
                    "{}, killed before: {is_killed}",
                    path.display()
                );
            }
        }
    }

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
