//! Waiting for a log to grow, for long polls.
//!
//! Nothing here polls a clock: a wait is woken by the log's own watch channel, by a change of the set of partitions, or
//! by the caller giving up. Only a mark that the waiting reader may see wakes it; an append that is not flushed yet
//! does not.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use protocol::ids::Offset;
use storage::{Isolation, Log, Marks};
use tokio::sync::watch;

/// Watches a set of logs for anything that could change the answer of a fetch.
pub struct Waiters {
    changes: watch::Receiver<u64>,
    isolation: Isolation,
    logs: Vec<Watched>,
}

struct Watched {
    /// Held so that its marks are not closed while they are watched.
    _log: Arc<Log>,
    marks: watch::Receiver<Marks>,
    seen_start: Offset,
    seen_end: Offset,
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// A log has more to see, or was trimmed.
    Log,
    /// Topics were created, deleted or changed.
    Topics,
}

impl Waiters {
    /// Watches `logs` from the marks that the caller has already seen, so that nothing between its read and this call
    /// is missed.
    pub fn new<'a>(
        changes: watch::Receiver<u64>,
        isolation: Isolation,
        logs: impl Iterator<Item = (&'a Arc<Log>, Marks)>,
    ) -> Self {
        let logs = logs
            .map(|(log, seen)| Watched {
                _log: Arc::clone(log),
                marks: log.watch(),
                seen_start: seen.log_start,
                seen_end: isolation.bound(&seen),
            })
            .collect();
        Self {
            changes,
            isolation,
            logs,
        }
    }

    /// Returns when something has changed since the last call, or since the marks given at the start. Cancel safe.
    pub async fn changed(&mut self) -> Woken {
        let isolation = self.isolation;
        if let [only] = self.logs.as_mut_slice() {
            return tokio::select! {
                () = only.changed(isolation) => Woken::Log,
                _ = self.changes.changed() => Woken::Topics,
            };
        }
        let mut logs: FuturesUnordered<_> = self.logs.iter_mut().map(|log| log.changed(isolation)).collect();
        tokio::select! {
            // Without logs the stream is at its end at once; only the topics can end such a wait.
            Some(()) = logs.next() => Woken::Log,
            _ = self.changes.changed() => Woken::Topics,
        }
    }
}

impl Watched {
    async fn changed(&mut self, isolation: Isolation) {
        let (start, end) = (self.seen_start, self.seen_end);
        let more = |marks: &Marks| marks.log_start != start || isolation.bound(marks) != end;
        let advanced = self.marks.wait_for(more).await.map(|marks| *marks);
        let marks = advanced.expect("the log is held");
        self.seen_start = marks.log_start;
        self.seen_end = isolation.bound(&marks);
    }
}
