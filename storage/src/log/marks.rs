//! The marks of a log, in one type with one setter.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use protocol::{Offset, ProducerId};
use tokio::sync::watch;

use crate::{config::Durability, producers::CompletedTransaction};

/// Where a log stands. Always `log_start <= last_stable <= high_watermark <= log_end` and `durable <= log_end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// First offset that may be read.
    pub log_start: Offset,
    /// Readers of committed data see what is below: nothing from here on is decided yet, or nothing is there.
    pub last_stable: Offset,
    /// Readers see what is below. It follows the flush, or the log end under [`Durability::Async`].
    pub high_watermark: Offset,
    /// Offset that the next record gets.
    pub log_end: Offset,
    /// Everything below survives a power cut.
    pub durable: Offset,
}

impl Marks {
    /// The one place where marks change.
    fn set(&mut self, next: Self) {
        assert!(next.log_start <= next.last_stable, "{next:?}");
        assert!(next.last_stable <= next.high_watermark, "{next:?}");
        assert!(next.high_watermark <= next.log_end, "{next:?}");
        assert!(next.durable <= next.log_end, "{next:?}");
        assert!(
            self.log_start <= next.log_start && self.high_watermark <= next.high_watermark,
            "{self:?} to {next:?}"
        );
        *self = next;
    }
}

/// The marks and what they depend on. Any thread; every call is short.
#[derive(Debug)]
pub(super) struct MarkBoard {
    inner: Mutex<Inner>,
    watch: watch::Sender<Marks>,
}

#[derive(Debug)]
struct Inner {
    marks: Marks,
    durability: Durability,
    /// First offset of each open transaction.
    open: BTreeMap<Offset, ProducerId>,
    /// Transactions whose marker is not below the high watermark yet: first offset to marker's offset. They count as
    /// open, or a reader would see a transaction before it sees that it was aborted (KAFKA-5121).
    decided: BTreeMap<Offset, Offset>,
}

impl MarkBoard {
    /// Marks of a log whose every record is durable.
    pub(super) fn new(
        log_start: Offset,
        log_end: Offset,
        durability: Durability,
        open: BTreeMap<Offset, ProducerId>,
    ) -> Self {
        let marks = Marks {
            log_start,
            last_stable: log_end,
            high_watermark: log_end,
            log_end,
            durable: log_end,
        };
        let mut inner = Inner {
            marks,
            durability,
            open,
            decided: BTreeMap::new(),
        };
        inner.marks.last_stable = inner.last_stable(&marks);
        inner.marks.set(inner.marks);
        Self {
            watch: watch::Sender::new(inner.marks),
            inner: Mutex::new(inner),
        }
    }

    pub(super) fn marks(&self) -> Marks {
        self.lock().marks
    }

    /// A receiver that is told when readers can see more, or less at the front.
    pub(super) fn watch(&self) -> watch::Receiver<Marks> {
        self.watch.subscribe()
    }

    /// The first offsets of the open transactions with their producers, oldest first.
    pub(super) fn open_transactions(&self) -> Vec<(ProducerId, Offset)> {
        self.lock()
            .open
            .iter()
            .map(|(offset, producer)| (*producer, *offset))
            .collect()
    }

    /// A batch was appended; `opens` is the transaction that begins with it. Returns the marks after it.
    pub(super) fn appended(&self, log_end: Offset, opens: Option<(Offset, ProducerId)>) -> Marks {
        let mut inner = self.lock();
        inner.open.extend(opens);
        self.advance(&mut inner, |marks| marks.log_end = log_end)
    }

    /// A marker was appended that ended a transaction, or none. Returns the marks after it. `note` gets the offset below
    /// which nothing is undecided, before readers can see as far: they must find what it notes.
    pub(super) fn ended(
        &self,
        log_end: Offset,
        completed: Option<CompletedTransaction>,
        note: impl FnOnce(Offset),
    ) -> Marks {
        let mut inner = self.lock();
        if let Some(completed) = completed {
            inner.open.remove(&completed.first_offset);
            inner.decided.insert(completed.first_offset, completed.last_offset);
        }
        note(inner.open.keys().next().copied().unwrap_or(log_end));
        self.advance(&mut inner, |marks| marks.log_end = log_end)
    }

    /// A flush succeeded.
    pub(super) fn flushed(&self, durable: Offset) {
        self.advance(&mut self.lock(), |marks| marks.durable = marks.durable.max(durable));
    }

    /// Records below `log_start` are deleted. Lower values than the present one change nothing.
    pub(super) fn start_at(&self, log_start: Offset) {
        self.advance(&mut self.lock(), |marks| {
            marks.log_start = marks.log_start.max(log_start)
        });
    }

    /// Another kind of durability from now on. The high watermark never goes back.
    pub(super) fn follow(&self, durability: Durability) {
        let mut inner = self.lock();
        inner.durability = durability;
        self.advance(&mut inner, |_| {});
    }

    /// Applies a change, derives what follows from it, and tells the watchers when what they can see has changed.
    fn advance(&self, inner: &mut Inner, change: impl FnOnce(&mut Marks)) -> Marks {
        let before = inner.marks;
        let mut next = before;
        change(&mut next);
        let reached = match inner.durability {
            Durability::Fsync => next.durable,
            Durability::Async => next.log_end,
        };
        next.high_watermark = next.high_watermark.max(reached);
        inner.decided.retain(|_, marker| next.high_watermark <= *marker);
        next.last_stable = inner.last_stable(&next);
        inner.marks.set(next);
        let visible = |marks: &Marks| (marks.log_start, marks.last_stable, marks.high_watermark);
        if visible(&before) != visible(&next) {
            self.watch.send_replace(next);
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn last_stable(&self, marks: &Marks) -> Offset {
        let undecided = self
            .open
            .keys()
            .next()
            .into_iter()
            .chain(self.decided.keys().next())
            .min();
        let stable = undecided.map_or(marks.high_watermark, |first| marks.high_watermark.min(*first));
        stable.max(marks.log_start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(durability: Durability) -> MarkBoard {
        MarkBoard::new(0, 0, durability, BTreeMap::new())
    }

    #[test]
    fn the_high_watermark_follows_the_flush() {
        let board = board(Durability::Fsync);
        let mut watch = board.watch();
        assert_eq!(board.appended(10, None).high_watermark, 0);
        assert!(!watch.has_changed().expect("the board lives"));
        board.flushed(6);
        assert_eq!(watch.borrow_and_update().high_watermark, 6);
        board.flushed(4);
        assert_eq!(board.marks().high_watermark, 6);
    }

    #[test]
    fn without_fsync_it_follows_the_log_end_and_never_goes_back() {
        let board = board(Durability::Async);
        assert_eq!(board.appended(10, None).high_watermark, 10);
        board.follow(Durability::Fsync);
        board.appended(12, None);
        assert_eq!(board.marks().high_watermark, 10);
        board.flushed(12);
        assert_eq!(board.marks().high_watermark, 12);
    }

    #[test]
    fn a_transaction_is_open_until_its_marker_is_below_the_high_watermark() {
        let board = board(Durability::Fsync);
        board.appended(5, None);
        board.appended(8, Some((5, 77)));
        board.flushed(8);
        assert_eq!(board.marks().last_stable, 5);
        let completed = CompletedTransaction {
            producer_id: 77,
            first_offset: 5,
            last_offset: 8,
            aborted: true,
        };
        let (watch, mut stable) = (board.watch(), 0);
        let marks = board.ended(9, Some(completed), |offset| {
            assert_eq!(watch.borrow().last_stable, 5, "nobody sees past the marker yet");
            stable = offset;
        });
        assert_eq!((marks.last_stable, stable), (5, 9));
        board.flushed(9);
        assert_eq!(board.marks().last_stable, 9);
    }

    #[test]
    fn deleting_into_an_open_transaction_moves_the_stable_offset_along() {
        let board = board(Durability::Fsync);
        board.appended(5, Some((0, 1)));
        board.flushed(5);
        board.start_at(3);
        assert_eq!((board.marks().log_start, board.marks().last_stable), (3, 3));
    }

    #[test]
    #[should_panic(expected = "durable: 3")]
    fn a_mark_moved_by_the_wrong_hand_is_caught() {
        board(Durability::Fsync).flushed(3);
    }
}
