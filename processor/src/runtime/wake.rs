//! What a run waits for when it has nothing to do.

use std::time::Duration;

use futures::future::{FutureExt, select_all};
use tokio::sync::watch;

use super::epochs::Epochs;
use super::source::Source;

/// Why a run was woken.
pub(super) enum Wake {
    /// There may be something to do.
    News,
    /// A log of the source was closed.
    LogClosed,
}

/// Completes when a log has news, the epoch in flight has ended, the query is to stop, or the time has passed.
pub(super) async fn wake(
    pause: Duration,
    stop: &mut watch::Receiver<bool>,
    epochs: &mut Epochs,
    source: &mut Source,
) -> Wake {
    let news: Vec<_> = source
        .watches()
        .map(|marks| {
            async move {
                match marks.changed().await {
                    Ok(()) => Wake::News,
                    Err(_) => Wake::LogClosed,
                }
            }
            .boxed()
        })
        .collect();
    let news = async {
        match news.is_empty() {
            true => std::future::pending().await,
            false => select_all(news).await.0,
        }
    };
    tokio::select! {
        wake = news => wake,
        _ = stop.changed() => Wake::News,
        () = epochs.ended() => Wake::News,
        () = tokio::time::sleep(pause) => Wake::News,
    }
}
