//! Opening a log: creating it, loading it after a clean stop, recovering it after any other.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, RwLock,
        atomic::{AtomicBool, AtomicU8},
    },
};

use protocol::{Offset, TimestampMs, TopicId, TopicPartition};

use super::{
    Log, Writer,
    files::{Files, list_files},
    load::Folder,
    marks::MarkBoard,
    recover::TailWalk,
};
use crate::{
    cache::TailCache,
    checkpoint::{Sync, claim_folder, parent, read_log_start},
    config::LogConfig,
    epochs::{self, EpochHistory},
    error::{CorruptRange, IoFailure, OpenError},
    flush::FlushGate,
    fs::{Fs, OpenMode},
    node::Node,
    producers::Producers,
    segment::{
        Segment,
        name::{self, FileKind},
        scan::{Depth, Scanner, Step},
    },
};

/// What is to be opened.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    pub(crate) node: Arc<Node>,
    pub(crate) dir: PathBuf,
    pub(crate) partition: TopicPartition,
    pub(crate) topic_id: TopicId,
    pub(crate) config: Arc<LogConfig>,
    /// Whether the last run of this node ended cleanly.
    pub(crate) clean: bool,
    pub(crate) now: TimestampMs,
}

/// What the start of a log found and did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Whether the files were taken as a clean stop left them.
    pub clean: bool,
    /// Bytes cut from the tail: never acknowledged under `fsync`.
    pub bytes_dropped: u64,
    /// Bytes above the durable mark that were written again and synced.
    pub bytes_rewritten: u64,
    /// Ranges of offsets that cannot be read.
    pub quarantined: Vec<CorruptRange>,
}

/// A log's parts while it is being put together.
struct Parts {
    segments: Vec<Segment>,
    producers: Producers,
    epochs: EpochHistory,
    next_offset: Offset,
    recovery: Recovery,
}

/// Opens a log and bumps its leader epoch.
pub(crate) fn open(request: OpenRequest) -> Result<Arc<Log>, OpenError> {
    let OpenRequest {
        node,
        dir,
        partition,
        topic_id,
        config,
        clean,
        now,
    } = request;
    let fs = &node.fs;
    prepare_folder(fs, &dir, topic_id)?;
    let key = (topic_id, partition.partition);
    let mark = node.marks.mark(key);
    let log_start = read_log_start(&**fs, &dir)?;
    let files = list_files(&**fs, &dir, log_start.unwrap_or(0))?;
    let first = files.bases.first().copied();
    let opening = Opening {
        node: &node,
        dir: &dir,
        config: &config,
        files,
        mark,
        log_start,
        now,
    };
    let mut parts = opening.parts(clean)?;
    let log_start = log_start.or(first).unwrap_or(parts.segments[0].base_offset());
    opening.meet_log_start(&mut parts, log_start)?;
    opening.drop_snapshots_beyond(parts.next_offset);
    finish_epochs(&**fs, &dir, &mut parts, log_start)?;
    if mark.is_none() || !parts.recovery.clean {
        node.marks.note(&[(key, parts.next_offset)]);
    }
    if mark.is_none() {
        // Without a note a start cuts only the active segment, so a log has one from its birth on.
        node.marks.sync();
    }
    Ok(assemble(node, dir, partition, topic_id, config, parts, log_start))
}

struct Opening<'a> {
    node: &'a Arc<Node>,
    dir: &'a Path,
    config: &'a LogConfig,
    files: Files,
    mark: Option<Offset>,
    log_start: Option<Offset>,
    now: TimestampMs,
}

impl Opening<'_> {
    fn parts(&self, clean: bool) -> Result<Parts, OpenError> {
        if self.files.bases.is_empty() {
            return self.fresh();
        }
        if clean {
            if let Some(parts) = self.load_clean()? {
                return Ok(parts);
            }
            tracing::warn!(dir = %self.dir.display(), "not what a clean stop leaves, recovering");
        }
        self.recover()
    }

    /// A log without segments: new, or one that has lost all of them.
    fn fresh(&self) -> Result<Parts, OpenError> {
        let begin = self.log_start.unwrap_or(0);
        let end = self.mark.unwrap_or(begin).max(begin);
        let mut recovery = Recovery {
            clean: true,
            ..Recovery::default()
        };
        if begin < end {
            let lost = CorruptRange {
                first_offset: begin,
                next_offset: end,
            };
            tracing::error!(dir = %self.dir.display(), %lost, "every segment is missing");
            recovery = Recovery {
                clean: false,
                quarantined: vec![lost],
                ..recovery
            };
        }
        let segment = self.create_segment(end)?;
        let epochs = EpochHistory::read(&*self.node.fs, self.dir)?.unwrap_or_default();
        Ok(Parts {
            segments: vec![segment],
            producers: Producers::new(self.node.config.producer_ids_max),
            epochs,
            next_offset: end,
            recovery,
        })
    }

    /// After a clean stop: everything is on the device, as the files say. `None` when they contradict that.
    fn load_clean(&self) -> Result<Option<Parts>, OpenError> {
        let folder = self.folder();
        let Some(active) = folder.load_active()? else {
            return Ok(None);
        };
        let next_offset = active.segment.next_offset();
        if self.mark.is_some_and(|mark| next_offset != mark) {
            return Ok(None);
        }
        let Some(mut epochs) = EpochHistory::read(&*self.node.fs, self.dir)? else {
            return Ok(None);
        };
        if let Some(epoch) = active.last_epoch.filter(|epoch| epochs.latest() < *epoch) {
            epochs.assign(epoch, next_offset - 1);
        }
        let mut recovery = Recovery {
            clean: true,
            ..Recovery::default()
        };
        let mut segments = Vec::with_capacity(self.files.bases.len());
        for slot in 0..self.files.bases.len() - 1 {
            let loaded = folder.load_sealed(slot)?;
            recovery.quarantined.extend(loaded.damaged);
            segments.push(loaded.segment);
        }
        segments.push(active.segment);
        let producers = folder.producers_at(next_offset)?;
        Ok(Some(Parts {
            segments,
            producers,
            epochs,
            next_offset,
            recovery,
        }))
    }

    /// After any other stop.
    fn recover(&self) -> Result<Parts, OpenError> {
        let folder = self.folder();
        let active = *self.files.bases.last().expect("there is a segment");
        // Without a note only the active segment may be cut.
        let floor = self.mark.unwrap_or(active);
        // A segment that ends exactly at the mark may have been rolled without the flush that makes its indexes durable.
        let slot = self.files.bases.partition_point(|base| *base < floor).saturating_sub(1);
        let mut recovery = Recovery::default();
        let mut segments = Vec::with_capacity(self.files.bases.len() + 1);
        for sealed in 0..slot {
            let loaded = folder.load_sealed(sealed)?;
            recovery.quarantined.extend(loaded.damaged);
            segments.push(loaded.segment);
        }
        let mut producers = folder.producers_at(self.files.bases[slot])?;
        let mut epochs = self.epochs_before(slot)?;
        let without_gaps = self.mark.is_some() && !self.config.compacted;
        let mut walk = TailWalk {
            folder,
            floor,
            without_gaps,
            producers: &mut producers,
            epochs: &mut epochs,
        };
        let tail = walk.run(slot)?;
        recovery.quarantined.extend(tail.damaged);
        recovery.bytes_dropped = tail.bytes_dropped;
        recovery.bytes_rewritten = tail.bytes_rewritten;
        segments.extend(tail.segments);
        let mut parts = Parts {
            segments,
            producers,
            epochs,
            next_offset: tail.next_offset,
            recovery,
        };
        self.seal_all_but_last(&parts)?;
        if let Some(mark) = self.mark.filter(|mark| parts.next_offset < *mark) {
            self.skip_lost(&mut parts, mark)?;
        }
        Ok(parts)
    }

    /// A log that ends below its durable mark has lost what was promised. The offsets up to the mark are never given to
    /// other records.
    fn skip_lost(&self, parts: &mut Parts, mark: Offset) -> Result<(), OpenError> {
        let lost = CorruptRange {
            first_offset: parts.next_offset,
            next_offset: mark,
        };
        tracing::error!(dir = %self.dir.display(), %lost, "the log ends below what was durable");
        parts.recovery.quarantined.push(lost);
        self.restart_at(parts, mark)
    }

    /// Begins a new segment at an offset beyond the log end.
    fn restart_at(&self, parts: &mut Parts, offset: Offset) -> Result<(), OpenError> {
        if let Some(last) = parts.segments.last() {
            self.seal(last)?;
        }
        parts.segments.push(self.create_segment(offset)?);
        parts.next_offset = offset;
        Ok(())
    }

    /// A log start beyond the log end: under `async` the deletion was durable and the records were not.
    fn meet_log_start(&self, parts: &mut Parts, log_start: Offset) -> Result<(), OpenError> {
        let first = parts.segments[0].base_offset();
        let lost = CorruptRange {
            first_offset: log_start,
            next_offset: first,
        };
        if log_start < first && !parts.recovery.quarantined.contains(&lost) {
            tracing::error!(dir = %self.dir.display(), %lost, "the first segment is missing");
            parts.recovery.quarantined.push(lost);
        }
        if parts.next_offset < log_start {
            self.restart_at(parts, log_start)?;
        }
        Ok(())
    }

    /// The epochs of everything before a segment: from the file, or from the batches when it is missing.
    fn epochs_before(&self, slot: usize) -> Result<EpochHistory, OpenError> {
        if let Some(mut epochs) = EpochHistory::read(&*self.node.fs, self.dir)? {
            // The file may know epochs of batches that the tail walk finds gone; their numbers stay used.
            let latest = epochs.latest();
            epochs.truncate_from_end(self.files.bases[slot]);
            epochs.reserve_number(latest);
            return Ok(epochs);
        }
        let mut epochs = EpochHistory::default();
        for base in &self.files.bases[..slot] {
            let path = name::path(self.dir, *base, FileKind::Log);
            collect_epochs(&*self.node.fs, &path, *base, &mut epochs)
                .map_err(|error| IoFailure::new("walk", path, error))?;
        }
        Ok(epochs)
    }

    /// A snapshot above the log end describes batches that are gone; the offsets will be given to others.
    fn drop_snapshots_beyond(&self, log_end: Offset) {
        for offset in self.files.snapshots.iter().filter(|offset| log_end < **offset) {
            for kind in [FileKind::Snapshot, FileKind::ProducerWindows] {
                let path = name::path(self.dir, *offset, kind);
                if let Err(error) = self.node.fs.remove_file(&path) {
                    tracing::warn!(path = %path.display(), %error, "snapshot beyond the log end not removed");
                }
            }
        }
    }

    fn seal_all_but_last(&self, parts: &Parts) -> Result<(), OpenError> {
        let Some((_, sealed)) = parts.segments.split_last() else {
            return Ok(());
        };
        sealed
            .iter()
            .filter(|segment| !segment.is_sealed())
            .try_for_each(|segment| self.seal(segment))
    }

    fn seal(&self, segment: &Segment) -> Result<(), OpenError> {
        let failed = |error: io::Error| IoFailure::new("seal", segment.path(FileKind::Log), error);
        segment.seal_as_it_is().map_err(failed)?;
        segment.sync_indexes().map_err(failed)?;
        Ok(())
    }

    fn create_segment(&self, base_offset: Offset) -> Result<Segment, OpenError> {
        let path = name::path(self.dir, base_offset, FileKind::Log);
        let reserve = if self.config.preallocate {
            u64::from(self.config.segment_bytes)
        } else {
            0
        };
        let created = Segment::create(&self.node.fs, self.dir, base_offset, reserve, self.now);
        let segment = created.map_err(|error| IoFailure::new("create", &path, error))?;
        self.node
            .fs
            .sync_dir(self.dir)
            .map_err(|error| IoFailure::new("sync", self.dir, error))?;
        Ok(segment)
    }

    fn folder(&self) -> Folder<'_> {
        Folder {
            fs: &self.node.fs,
            dir: self.dir,
            files: &self.files,
            config: self.config,
            producer_ids_max: self.node.config.producer_ids_max,
        }
    }
}

/// Creates the folder when it is missing, and checks whose it is.
fn prepare_folder(fs: &Arc<dyn Fs>, dir: &Path, topic_id: TopicId) -> Result<(), OpenError> {
    fs.create_dir_all(dir)
        .map_err(|error| IoFailure::new("create", dir, error))?;
    // Always: whoever made the folder may have been killed, or have met an error, before its name was synced.
    let parent = parent(dir);
    fs.sync_dir(parent)
        .map_err(|error| IoFailure::new("sync", parent, error))?;
    claim_folder(&**fs, dir, topic_id)
}

fn collect_epochs(fs: &dyn Fs, path: &Path, base: Offset, epochs: &mut EpochHistory) -> io::Result<()> {
    let file = fs.open(path, OpenMode::Read)?;
    let mut scanner = Scanner::new(&*file, 0, file.metadata()?.len, base..Offset::MAX);
    loop {
        match scanner.step(Depth::Headers)? {
            Step::End => return Ok(()),
            Step::Batch { header, .. } => {
                epochs.assign(header.partition_leader_epoch, header.base_offset);
            }
            Step::Bad { .. } => {
                if scanner.resync()?.is_none() {
                    return Ok(());
                }
            }
        }
    }
}

/// Begins this run's epoch. The file is synced with the log's first flush, so it is durable before any batch that
/// carries the epoch is acknowledged.
fn finish_epochs(fs: &dyn Fs, dir: &Path, parts: &mut Parts, log_start: Offset) -> Result<(), OpenError> {
    let epoch = parts.epochs.next_number();
    parts.epochs.assign(epoch, parts.next_offset);
    parts.epochs.truncate_from_start(log_start);
    Ok(parts.epochs.write(fs, dir, Sync::Later)?)
}

fn assemble(
    node: Arc<Node>,
    dir: PathBuf,
    partition: TopicPartition,
    topic_id: TopicId,
    config: Arc<LogConfig>,
    parts: Parts,
    log_start: Offset,
) -> Arc<Log> {
    let Parts {
        segments,
        producers,
        epochs,
        next_offset,
        recovery,
    } = parts;
    let open: BTreeMap<_, _> = producers
        .open_transactions()
        .map(|(producer, offset)| (offset, producer))
        .collect();
    let segments: Vec<Arc<Segment>> = segments.into_iter().map(Arc::new).collect();
    let active = Arc::clone(segments.last().expect("a log has a segment"));
    let writer = Writer {
        active,
        producers,
        next_offset,
        unflushed_bytes: 0,
        rolled: Vec::new(),
        replaced: vec![dir.join(epochs::FILE_NAME)],
        names_changed: true,
    };
    Arc::new(Log {
        board: MarkBoard::new(log_start, next_offset, config.durability, open),
        gate: FlushGate::new(next_offset),
        tail: TailCache::new(Arc::clone(&node.cache)),
        leader_epoch: epochs.latest(),
        epochs: RwLock::new(epochs),
        quarantine: RwLock::new(recovery.quarantined.clone()),
        partition,
        topic_id,
        dir,
        node,
        config: RwLock::new(config),
        writer: Mutex::new(writer),
        moving_start: Mutex::default(),
        segments: RwLock::new(Arc::new(segments)),
        pins: Mutex::default(),
        recovery,
        queued: AtomicU8::new(0),
        poisoned: OnceLock::new(),
        closed: AtomicBool::new(false),
    })
}
