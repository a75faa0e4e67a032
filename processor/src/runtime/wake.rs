//! What a run waits for when it has nothing to do.

use std::time::Duration;

use futures::future::{FutureExt, select_all};
use tokio::sync::watch;

use super::epochs::Epochs;
use super::source::Source;
use crate::ports::Clock;

/// Completes when a log has news, the epoch in flight has ended, the query is to stop, or the time has passed.
pub(super) async fn wake(
    clock: &dyn Clock,
    pause: Duration,
    stop: &mut watch::Receiver<bool>,
    epochs: &mut Epochs,
    source: &mut Source,
) {
    // The source holds its logs, so their marks are never closed.
    let news: Vec<_> = source.watches().map(|marks| marks.changed().boxed()).collect();
    let news = async {
        match news.is_empty() {
            true => std::future::pending().await,
            false => select_all(news).await.0,
        }
    };
    tokio::select! {
        _ = news => {}
        _ = stop.changed() => {}
        () = epochs.ended() => {}
        () = clock.sleep(pause) => {}
    }
}
