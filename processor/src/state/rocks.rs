//! RocksDB as the query's state on disk.
//!
//! It runs without its own log: nothing in it is the truth. All writes are batches of whole epochs in one column
//! family, and a memory table takes a batch whole, so after a crash it stands at one whole epoch, perhaps an old one.

use std::path::{Path, PathBuf};

use protocol::codec::{DecodeError, Reader};
use protocol::ids::{Offset, TopicId};
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, ErrorKind, IteratorMode, LogLevel, Options, ReadOptions,
    WriteBatch, WriteOptions,
};

use super::changes::Changes;
use super::epoch::{EpochRecord, EpochRecordError};
use super::key::{EPOCH_KEY, TableId, prefix_end};

/// Version of the store's own entry.
const VERSION: u8 = 1;
/// In place of the version while the store is being rebuilt and stands at no epoch.
const REBUILDING: u8 = 0xff;
/// Bytes of changes between two flushes of memory tables, which bounds what recovery has to read.
const WRITE_BUFFER_BYTES: usize = 32 << 20;
const BLOCK_CACHE_BYTES: usize = 32 << 20;
const BLOOM_BITS_PER_KEY: f64 = 10.0;

/// The state folder of one query, open. Reads may come from any thread; only the query's own thread writes.
pub struct Rocks {
    db: DB,
    path: PathBuf,
    write_options: WriteOptions,
}

/// Key and value of an entry.
pub type StoredEntry = (Box<[u8]>, Box<[u8]>);

/// The epoch at which RocksDB stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedEpoch {
    /// The changelog topic whose offsets are meant.
    pub changelog: TopicId,
    /// Offset in the changelog behind this epoch.
    pub next_offset: Offset,
    /// The epoch record.
    pub record: EpochRecord,
}

/// Why state could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StateError {
    /// RocksDB found its files damaged; the folder can be rebuilt from the changelog.
    #[error("state folder {path} is damaged: {message}")]
    Corrupt {
        /// The folder.
        path: PathBuf,
        /// RocksDB's words.
        message: String,
    },
    /// RocksDB could not do it.
    #[error("state folder {path}: {message}")]
    Rocks {
        /// The folder.
        path: PathBuf,
        /// RocksDB's words.
        message: String,
    },
    /// A value that was written by another version or is damaged.
    #[error("state table {table}: {reason}")]
    Value {
        /// The table.
        table: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl Rocks {
    /// Opens the state folder, creating it where there is none.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let db = DB::open(&options(), path).map_err(|error| failure(path, &error))?;
        let mut write_options = WriteOptions::new();
        write_options.disable_wal(true);
        Ok(Self {
            db,
            path: path.to_owned(),
            write_options,
        })
    }

    /// Deletes a state folder that nobody has open; one that does not exist is not an error.
    pub fn destroy(path: &Path) -> Result<(), StateError> {
        DB::destroy(&Options::default(), path).map_err(|error| failure(path, &error))
    }

    /// The value of a key as of the committed epoch.
    pub fn with_value<R>(&self, key: &[u8], read: impl FnOnce(Option<&[u8]>) -> R) -> Result<R, StateError> {
        let value = self.db.get_pinned(key).map_err(|error| self.failure(&error))?;
        Ok(read(value.as_deref()))
    }

    /// Entries from `from` (inclusive) whose keys start with `prefix`, in order, all of one epoch whatever is written
    /// meanwhile. Ends early when `visit` answers false.
    pub fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        if let Some(end) = prefix_end(prefix) {
            options.set_iterate_upper_bound(end);
        }
        let mut entries = self.db.raw_iterator_opt(options);
        entries.seek(from.max(prefix));
        while let Some((key, value)) = entries.item() {
            if !visit(key, value) {
                return Ok(());
            }
            entries.next();
        }
        entries.status().map_err(|error| self.failure(&error))
    }

    /// An iterator over one table as of now, for readers that take their time. It holds a consistent view and never
    /// blocks the writer.
    pub fn table_iter(&self, table: TableId) -> impl Iterator<Item = Result<StoredEntry, StateError>> + '_ {
        let prefix = [table.number()];
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        options.set_iterate_lower_bound(prefix);
        options.set_iterate_upper_bound([table.number() + 1]);
        self.db
            .iterator_opt(IteratorMode::Start, options)
            .map(|entry| entry.map_err(|error| self.failure(&error)))
    }

    /// The epoch at which the store stands: `None` for a new store and one that is being rebuilt.
    pub fn committed(&self) -> Result<Option<CommittedEpoch>, StateError> {
        let stored = self.with_value(EPOCH_KEY, |value| value.map(<[u8]>::to_vec))?;
        let Some(stored) = stored.filter(|value| value.first() != Some(&REBUILDING)) else {
            return Ok(None);
        };
        match CommittedEpoch::decode(&stored) {
            Ok(committed) => Ok(Some(committed)),
            Err(error) => Err(StateError::Corrupt {
                path: self.path.clone(),
                message: error.to_string(),
            }),
        }
    }

    /// Writes one whole epoch.
    pub fn write_epoch(&self, changes: &Changes, committed: &CommittedEpoch) -> Result<(), StateError> {
        let mut batch = batch_of(changes);
        batch.put(EPOCH_KEY, committed.encode());
        self.write(batch)
    }

    /// Empties the store and marks it as being at no epoch, until [`write_epoch`](Self::write_epoch).
    pub fn begin_rebuild(&self) -> Result<(), StateError> {
        let mut batch = WriteBatch::default();
        batch.put(EPOCH_KEY, [REBUILDING]);
        batch.delete_range([TableId::ALL[0].number()].as_slice(), [u8::MAX].as_slice());
        self.write(batch)
    }

    /// Writes changes that do not complete an epoch; allowed only after [`begin_rebuild`](Self::begin_rebuild).
    pub fn write_rebuilt(&self, changes: &Changes) -> Result<(), StateError> {
        self.write(batch_of(changes))
    }

    /// Brings everything to disk, so that the next start has nothing to apply. Costs an fsync.
    pub fn flush(&self) -> Result<(), StateError> {
        self.db.flush().map_err(|error| self.failure(&error))
    }

    /// Bytes on disk and in memory tables, estimated.
    pub fn size_bytes(&self) -> u64 {
        let property = |name: &str| self.db.property_int_value(name).ok().flatten().unwrap_or_default();
        property("rocksdb.live-sst-files-size") + property("rocksdb.cur-size-all-mem-tables")
    }

    fn write(&self, batch: WriteBatch) -> Result<(), StateError> {
        self.db
            .write_opt(batch, &self.write_options)
            .map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &rocksdb::Error) -> StateError {
        failure(&self.path, error)
    }
}

impl CommittedEpoch {
    fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(self.changelog.0.as_bytes());
        out.extend_from_slice(&self.next_offset.to_be_bytes());
        out.extend_from_slice(&self.record.encode());
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, EpochRecordError> {
        let mut input = Reader::new(bytes);
        let version = input.i8()?;
        if version.cast_unsigned() != VERSION {
            return Err(EpochRecordError::UnknownVersion(version));
        }
        let decode = |input: &mut Reader<'_>| -> Result<(TopicId, Offset), DecodeError> {
            Ok((TopicId(input.uuid()?), input.i64()?))
        };
        let (changelog, next_offset) = decode(&mut input)?;
        let record = EpochRecord::read(&mut input)?;
        input.expect_end()?;
        Ok(Self {
            changelog,
            next_offset,
            record,
        })
    }
}

fn batch_of(changes: &Changes) -> WriteBatch {
    let mut batch = WriteBatch::default();
    for (key, value) in changes.iter() {
        match value {
            Some(value) => batch.put(key, value),
            None => batch.delete(key),
        }
    }
    batch
}

fn options() -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
    blocks.set_block_cache(&Cache::new_lru_cache(BLOCK_CACHE_BYTES));
    blocks.set_cache_index_and_filter_blocks(true);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_background_jobs(2);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_bottommost_compression_type(DBCompressionType::Zstd);
    options.set_block_based_table_factory(&blocks);
    options.set_max_open_files(128);
    options.set_keep_log_file_num(2);
    options.set_stats_dump_period_sec(0);
    options.set_log_level(LogLevel::Warn);
    options
}

fn failure(path: &Path, error: &rocksdb::Error) -> StateError {
    let path = path.to_owned();
    let message = error.to_string();
    match error.kind() {
        ErrorKind::Corruption => StateError::Corrupt { path, message },
        _ => StateError::Rocks { path, message },
    }
}
