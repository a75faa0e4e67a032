//! Deletions of logs that are not over.
//!
//! A log is deleted once its folder has another name and that is durable. Either step may fail for a while (a lack of
//! descriptors is enough); what is left to do is noted here and tried again.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use protocol::TimestampMs;

use crate::{
    checkpoint::parent, directory::deleted_folder, durable_marks::MarkKey, error::IoFailure, log::Log, node::Node,
};

/// The deletions of a node that were begun. Whoever works on them holds the lock, so nobody opens a log in a folder that
/// is just being renamed.
#[derive(Debug, Default)]
pub(crate) struct Deletions {
    open: Mutex<Vec<Deletion>>,
}

/// A closed log whose folder has to go.
#[derive(Debug)]
struct Deletion {
    dir: PathBuf,
    doomed: PathBuf,
    mark: MarkKey,
    delay_ms: i64,
    /// Whether the folder has its new name: from then on the old one may be somebody else's.
    is_renamed: bool,
}

impl Deletions {
    /// Notes that a closed log's folder has to go.
    pub(crate) fn begin(&self, log: &Log) {
        let deletion = Deletion {
            dir: log.dir().to_owned(),
            doomed: deleted_folder(log.dir(), log.topic_partition(), log.topic_id()),
            mark: log.mark_key(),
            delay_ms: log.config().file_delete_delay_ms,
            is_renamed: false,
        };
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(deletion);
    }

    /// Ends the deletion of what was in a folder, if there is one. Blocks for the device.
    pub(crate) fn finish(&self, node: &Node, dir: &Path, now: TimestampMs) -> Result<(), IoFailure> {
        self.finish_where(node, now, |deletion| deletion.dir == dir)
            .into_iter()
            .next()
            .map_or(Ok(()), Err)
    }

    /// Ends what can be ended. Blocks for the device.
    pub(crate) fn finish_all(&self, node: &Node, now: TimestampMs) {
        for error in self.finish_where(node, now, |_| true) {
            tracing::warn!(%error, "a deleted log's folder is still there, upkeep tries again");
        }
    }

    fn finish_where(&self, node: &Node, now: TimestampMs, which: impl Fn(&Deletion) -> bool) -> Vec<IoFailure> {
        let mut failures = Vec::new();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain_mut(|deletion| {
            if !which(deletion) {
                return true;
            }
            let finished = deletion.finish(node, now);
            let is_open = finished.is_err();
            failures.extend(finished.err());
            is_open
        });
        failures
    }
}

impl Deletion {
    fn finish(&mut self, node: &Node, now: TimestampMs) -> Result<(), IoFailure> {
        if !self.is_renamed {
            match node.fs.rename(&self.dir, &self.doomed) {
                // Somebody took the folder away; there is nothing more to do.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                renamed => renamed.map_err(|error| IoFailure::new("rename", &self.dir, error))?,
            }
            self.is_renamed = true;
        }
        let folder = parent(&self.dir);
        node.fs
            .sync_dir(folder)
            .map_err(|error| IoFailure::new("sync", folder, error))?;
        node.marks.forget(self.mark);
        let due = now.saturating_add(self.delay_ms);
        node.trash.put_folder(self.doomed.clone(), due);
        Ok(())
    }
}
