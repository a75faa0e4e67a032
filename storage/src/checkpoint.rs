//! Small files that are replaced as a whole.
//!
//! - `partition.metadata`: Kafka's, two lines, the topic id of a partition folder.
//! - `log-start`: ours, one line `version offset crc`: where the log begins when that is not where its first segment
//!   begins. It is durable before the log start is visible and before a segment goes, so the log start never moves back.

use std::{
    io,
    path::{Path, PathBuf},
};

use protocol::{Offset, TopicId};

use crate::{
    error::{IoFailure, OpenError},
    fs::{Fs, OpenMode, read_vec_at, write_all_at},
    segment::name::TEMPORARY_SUFFIX,
};

const PARTITION_METADATA: &str = "partition.metadata";
const LOG_START: &str = "log-start";
const LOG_START_VERSION: i64 = 0;
/// None of these files comes near it.
const SMALL_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Whether a replaced file must survive a power cut from now on, or only once something else syncs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    Now,
    Later,
}

/// Writes a file aside and renames it into place, so that a reader finds the old content or the new one.
pub(crate) fn replace(fs: &dyn Fs, path: &Path, bytes: &[u8], sync: Sync) -> Result<(), IoFailure> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(TEMPORARY_SUFFIX);
    let temporary = PathBuf::from(temporary);
    let write = || -> io::Result<()> {
        let file = fs.open(&temporary, OpenMode::CreateEmpty)?;
        write_all_at(&*file, bytes, 0)?;
        if sync == Sync::Now {
            file.sync_data()?;
        }
        fs.rename(&temporary, path)?;
        if sync == Sync::Now {
            fs.sync_dir(parent(path))?;
        }
        Ok(())
    };
    write().map_err(|error| {
        // The half-written file takes space that is perhaps what is missing.
        let _ = fs.remove_file(&temporary);
        IoFailure::new("replace", path, error)
    })
}

/// Reads a small file; `None` when it does not exist.
pub(crate) fn read_small(fs: &dyn Fs, path: &Path) -> Result<Option<Vec<u8>>, IoFailure> {
    read_at_most(fs, path, SMALL_FILE_BYTES_MAX)
}

/// Reads a file of `bytes_max` at most, a longer one is an error; `None` when it does not exist.
pub(crate) fn read_at_most(fs: &dyn Fs, path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, IoFailure> {
    let read = || -> io::Result<Option<Vec<u8>>> {
        let file = match fs.open(path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let len = file.metadata()?.len;
        if bytes_max < len {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "file is far larger than its kind can be",
            ));
        }
        read_vec_at(&*file, 0, usize::try_from(len).unwrap_or(usize::MAX)).map(Some)
    };
    read().map_err(|error| IoFailure::new("read", path, error))
}

/// Checks that a folder belongs to a topic, and writes down whose it is when nothing says so yet.
pub(crate) fn claim_folder(fs: &dyn Fs, dir: &Path, topic_id: TopicId) -> Result<(), OpenError> {
    let path = dir.join(PARTITION_METADATA);
    let Some(bytes) = read_small(fs, &path)? else {
        // Kafka ends the file without a newline.
        let text = format!("version: 0\ntopic_id: {topic_id}");
        return Ok(replace(fs, &path, text.as_bytes(), Sync::Now)?);
    };
    let malformed = |reason: String| OpenError::Malformed {
        path: path.clone(),
        reason,
    };
    let text = String::from_utf8(bytes).map_err(|error| malformed(error.to_string()))?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
    let version: i64 = field("version:")
        .and_then(|version| version.parse().ok())
        .ok_or_else(|| malformed("no version".to_owned()))?;
    if version != 0 {
        return Err(OpenError::NewerVersion {
            path,
            found: version,
            supported: 0,
        });
    }
    let found: TopicId = field("topic_id:")
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| malformed("no topic id".to_owned()))?;
    if found != topic_id {
        return Err(OpenError::TopicIdMismatch {
            path: dir.to_owned(),
            expected: topic_id,
            found,
        });
    }
    Ok(())
}

/// Writes where a log begins, durably.
pub(crate) fn write_log_start(fs: &dyn Fs, dir: &Path, log_start: Offset) -> Result<(), IoFailure> {
    let text = format!("{LOG_START_VERSION} {log_start}");
    let line = format!("{text} {:08x}\n", crc32c::crc32c(text.as_bytes()));
    replace(fs, &dir.join(LOG_START), line.as_bytes(), Sync::Now)
}

/// Reads where a log begins; `None` when nothing says so.
pub(crate) fn read_log_start(fs: &dyn Fs, dir: &Path) -> Result<Option<Offset>, OpenError> {
    let path = dir.join(LOG_START);
    let Some(bytes) = read_small(fs, &path)? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes);
    let parsed = text.trim_end().rsplit_once(' ').and_then(|(text, crc)| {
        let crc = u32::from_str_radix(crc, 16).ok()?;
        let (version, offset) = text.split_once(' ')?;
        let numbers: (i64, Offset) = (version.parse().ok()?, offset.parse().ok()?);
        (crc == crc32c::crc32c(text.as_bytes()) && 0 <= numbers.1).then_some(numbers)
    });
    match parsed {
        Some((LOG_START_VERSION, offset)) => Ok(Some(offset)),
        Some((found, _)) => Err(OpenError::NewerVersion {
            path,
            found,
            supported: LOG_START_VERSION,
        }),
        // Durable when it was written, so this is damage: the log start falls back to the first segment, which shows
        // records again that were deleted, but loses none.
        None => {
            tracing::error!(path = %path.display(), "log start file is damaged, starting at the first segment");
            Ok(None)
        }
    }
}

/// The folder that holds a path.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faulty_fs::FaultyFs;

    const OF_KAFKA: &[u8] = include_bytes!("fixtures/kafka-4.3-partition.metadata");
    const ID_OF_KAFKA: &str = "kIQXXSI1QHyQssnQsebGQg";

    #[test]
    fn a_topic_id_is_written_and_read_as_kafka_does() {
        let (fs, dir) = (FaultyFs::new(), Path::new("/data"));
        fs.create_dir_all(dir).expect("created");
        let id: TopicId = ID_OF_KAFKA.parse().expect("an id");
        claim_folder(&*fs, dir, id).expect("a folder of nobody");
        let path = dir.join(PARTITION_METADATA);
        assert_eq!(fs.read(&path), OF_KAFKA);

        fs.overwrite(&path, OF_KAFKA);
        claim_folder(&*fs, dir, id).expect("its own folder");
        let foreign = claim_folder(&*fs, dir, TopicId(uuid::Uuid::from_u128(1)));
        assert!(
            matches!(foreign, Err(OpenError::TopicIdMismatch { found, .. }) if found == id),
            "{foreign:?}"
        );
    }
}
