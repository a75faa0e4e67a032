//! Shows a query's progress to ordinary lag tools, as committed offsets of a group.
//!
//! The epoch record in the changelog is the truth; this is a copy. So it is not part of the epoch's transaction, and it
//! is written at most twice a second: the newest offsets replace those that were not written yet. What could not be
//! written is tried again until it is, or until there is something newer: a query whose topic is quiet may have nothing
//! to show for days.

use std::sync::Arc;
use std::time::Duration;

use coordinator::group::OffsetToCommit;
use protocol::ErrorCode;
use protocol::ids::{NO_LEADER_EPOCH, Offset, TopicPartition};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::env::Env;
use crate::groups::Groups;

/// Least time between two commits of one query.
const INTERVAL: Duration = Duration::from_millis(500);

/// The mirror of one query. It is there as long as its transactional id is known: runs come and go, and the last offsets
/// of one are written while, or after, the next one starts.
pub(super) struct Mirror {
    progress: Arc<watch::Sender<Progress>>,
    following: JoinHandle<()>,
}

/// What a run sets its progress on.
pub(super) struct ProgressSender(Arc<watch::Sender<Progress>>);

#[derive(Clone, Default)]
struct Progress {
    group: String,
    offsets: Vec<(TopicPartition, Offset)>,
}

impl Mirror {
    /// Starts the task that writes. It ends when nobody can show anything any more and all is written.
    pub(super) fn start(env: &Env, groups: Arc<Groups>) -> Self {
        let (progress, follower) = watch::channel(Progress::default());
        let commit = move |group: String, offsets| {
            let groups = Arc::clone(&groups);
            async move { groups.commit_offsets(&group, offsets).await }
        };
        Self {
            progress: Arc::new(progress),
            following: env.spawn("query-offsets", follow(commit, INTERVAL, follower)),
        }
    }

    /// For a run.
    pub(super) fn sender(&self) -> ProgressSender {
        ProgressSender(Arc::clone(&self.progress))
    }

    /// Ends the task at once: what is shown from now on is not written. A commit that it has sent already is before
    /// whatever is sent to the group from now on.
    pub(super) async fn end(self) {
        self.following.abort();
        // It was aborted, or had ended.
        let _ = self.following.await;
    }
}

impl ProgressSender {
    /// Sets what to show.
    pub(super) fn set(&self, group: String, offsets: Vec<(TopicPartition, Offset)>) {
        self.0.send_replace(Progress { group, offsets });
    }
}

async fn follow<C, F>(mut commit: C, pause: Duration, mut newest: watch::Receiver<Progress>)
where
    C: FnMut(String, Vec<OffsetToCommit>) -> F,
    F: Future<Output = Result<(), ErrorCode>>,
{
    let mut pace = interval(pause);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed = false;
    while failed || newest.changed().await.is_ok() {
        pace.tick().await;
        let Progress { group, offsets } = newest.borrow_and_update().clone();
        let offsets = offsets
            .into_iter()
            .map(|(partition, next)| to_commit(partition, next))
            .collect();
        let committed = commit(group.clone(), offsets).await;
        if let Err(code) = committed
            && code != ErrorCode::CoordinatorLoadInProgress
            && !failed
        {
            tracing::warn!(group, ?code, "a query's offsets are not mirrored to its group yet");
        }
        failed = committed.is_err();
    }
}

fn to_commit(partition: TopicPartition, next: Offset) -> OffsetToCommit {
    OffsetToCommit {
        topic: partition.topic,
        partition: partition.partition,
        offset: next,
        leader_epoch: NO_LEADER_EPOCH,
        metadata: Arc::default(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn progress(next: Offset) -> Progress {
        let partition = TopicPartition {
            topic: "t".into(),
            partition: 0,
        };
        Progress {
            group: "g".to_owned(),
            offsets: vec![(partition, next)],
        }
    }

    #[tokio::test]
    async fn what_was_refused_is_written_later_unless_there_is_something_newer() {
        let (newest, follower) = watch::channel(Progress::default());
        let tried = Mutex::new(Vec::new());
        let commit = |_, offsets: Vec<OffsetToCommit>| {
            let mut tried = tried.lock().expect("not poisoned");
            tried.push(offsets[0].offset);
            let refused = match tried.len() {
                1 => true,
                2 => {
                    newest.send_replace(progress(8));
                    true
                }
                _ => false,
            };
            std::future::ready(match refused {
                true => Err(ErrorCode::CoordinatorLoadInProgress),
                false => Ok(()),
            })
        };
        newest.send_replace(progress(7));
        let written = async {
            while tried.lock().expect("not poisoned").len() < 3 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = follow(commit, Duration::from_millis(1), follower) => panic!("it ended"),
            () = tokio::time::sleep(Duration::from_secs(30)) => panic!("what was refused is not written"),
            () = written => {}
        }
        assert_eq!(*tried.lock().expect("not poisoned"), [7, 7, 8]);
    }
}
