//! The log's side of a flush round, and a clean stop.

use std::{
    mem,
    sync::{Arc, atomic::Ordering},
};

use protocol::Offset;

use super::Log;
use crate::{
    error::IoFailure,
    flush::{FlushJob, Urgency},
    segment::name::FileKind,
};

/// What came of a log's part in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// The log is durable up to the job's target.
    Durable,
    /// Nothing is wrong: the log was deleted meanwhile, or is flushed again in the next round.
    NotNow,
    /// The device refused; the log is poisoned.
    Failed,
}

impl Log {
    /// Collects what must reach the device for the log to be durable up to its present end; `None` when nothing waits.
    pub(crate) fn capture_flush(self: &Arc<Self>) -> Option<FlushJob> {
        // Before the look at the log: an append that comes after it queues the log again.
        self.queued.store(0, Ordering::Release);
        let mut writer = self.writer();
        if self.poisoned.get().is_some() || self.closed.load(Ordering::Acquire) {
            return None;
        }
        let bytes = mem::take(&mut writer.unflushed_bytes);
        let job = FlushJob {
            log: Arc::clone(self),
            target: writer.next_offset,
            bytes,
            sealed: mem::take(&mut writer.rolled),
            files: mem::take(&mut writer.replaced),
            active: (0 < bytes).then(|| Arc::clone(&writer.active)),
            names_changed: mem::take(&mut writer.names_changed),
        };
        let waits = job.active.is_some() || !job.sealed.is_empty() || !job.files.is_empty() || job.names_changed;
        waits.then_some(job)
    }

    /// Takes note of how a flush ended.
    pub(crate) fn finish_flush(self: &Arc<Self>, job: FlushJob, result: Result<(), IoFailure>) -> Flushed {
        match result {
            // The folder of a deleted log is gone; nobody waits for it any more.
            _ if self.closed.load(Ordering::Acquire) => Flushed::NotNow,
            Ok(()) => {
                self.raise_durable(job.target);
                Flushed::Durable
            }
            Err(failure) if failure.is_out_of_descriptors() => {
                tracing::debug!(log = %self.topic_partition(), %failure, "the flush is tried again");
                self.take_back(job);
                Flushed::NotNow
            }
            Err(failure) => {
                self.poison(&failure);
                Flushed::Failed
            }
        }
    }

    /// What a flush could not begin with goes into the next one.
    fn take_back(self: &Arc<Self>, job: FlushJob) {
        let mut writer = self.writer();
        writer.unflushed_bytes += job.bytes;
        writer.rolled.splice(..0, job.sealed);
        writer.replaced.splice(..0, job.files);
        writer.names_changed |= job.names_changed;
        drop(writer);
        self.schedule_flush(Urgency::Soon);
    }

    /// Makes everything durable and writes what a clean start needs. The log is closed to appends before.
    pub(crate) fn close_cleanly(self: &Arc<Self>) -> Result<Offset, IoFailure> {
        self.closed.store(true, Ordering::Release);
        let _moving = self.hold_start();
        let job = {
            let mut writer = self.writer();
            if let Some(poisoned) = self.poisoned.get() {
                let error = std::io::Error::other(poisoned.clone());
                return Err(IoFailure::new("close", &self.dir, error));
            }
            let failed = |error| IoFailure::new("close", writer.active.path(FileKind::Log), error);
            writer.active.trim().map_err(failed)?;
            writer.active.write_indexes().map_err(failed)?;
            self.write_snapshot(&mut writer);
            writer.unflushed_bytes = 0;
            let mut sealed = mem::take(&mut writer.rolled);
            sealed.push(Arc::clone(&writer.active));
            FlushJob {
                log: Arc::clone(self),
                target: writer.next_offset,
                bytes: 0,
                sealed,
                files: mem::take(&mut writer.replaced),
                active: None,
                names_changed: true,
            }
        };
        job.sync(&*self.node.fs, &self.dir).inspect_err(|failure| {
            self.poison(failure);
        })?;
        self.raise_durable(job.target);
        Ok(job.target)
    }

    fn raise_durable(&self, durable: Offset) {
        // The mark first: whoever the gate wakes may look at it.
        self.board.flushed(durable);
        self.gate.advance(durable);
    }
}
