//! Shows a query's progress to ordinary lag tools, as committed offsets of a group.
//!
//! The epoch record in the changelog is the truth; this is a copy. So it is not part of the epoch's transaction, and it
//! is written at most twice a second: the newest offsets replace those that were not written yet.

use std::sync::Arc;
use std::time::Duration;

use coordinator::group::OffsetToCommit;
use protocol::ids::{NO_LEADER_EPOCH, Offset, TopicPartition};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::env::Env;
use crate::groups::Groups;

/// Least time between two commits of one query.
const INTERVAL: Duration = Duration::from_millis(500);

/// The offsets to show next; the last ones are written even when the query stops right after.
pub(super) struct Mirror {
    newest: watch::Sender<Progress>,
}

#[derive(Clone, Default)]
struct Progress {
    group: String,
    offsets: Vec<(TopicPartition, Offset)>,
}

impl Mirror {
    /// Starts the task that writes. It ends by itself, when the mirror is gone and its last offsets are written.
    pub(super) fn start(env: &Env, groups: Arc<Groups>) -> (Self, JoinHandle<()>) {
        let (newest, follower) = watch::channel(Progress::default());
        let following = env.spawn("query-offsets", follow(groups, follower));
        (Self { newest }, following)
    }

    /// Sets what to show.
    pub(super) fn show(&self, group: String, offsets: Vec<(TopicPartition, Offset)>) {
        self.newest.send_replace(Progress { group, offsets });
    }
}

async fn follow(groups: Arc<Groups>, mut newest: watch::Receiver<Progress>) {
    let mut pace = interval(INTERVAL);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while newest.changed().await.is_ok() {
        pace.tick().await;
        let Progress { group, offsets } = newest.borrow_and_update().clone();
        let offsets = offsets
            .into_iter()
            .map(|(partition, next)| to_commit(partition, next))
            .collect();
        if let Err(code) = groups.commit_offsets(&group, offsets).await {
            tracing::debug!(group, ?code, "a query's offsets could not be mirrored to its group");
        }
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
