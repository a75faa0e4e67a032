//! Timers as data: a machine names them, the shell keeps them, a due one comes back as a command.

use std::collections::{BTreeMap, BTreeSet};

use protocol::ids::TimestampMs;

/// One change to the set of running timers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimerChange<Key> {
    /// Let `key` come due at `at` (milliseconds since 1970). Replaces the timer of the same key.
    Set {
        /// The timer.
        key: Key,
        /// When it comes due.
        at: TimestampMs,
    },
    /// Forget `key`. Stopping a timer that does not run is allowed.
    Stop {
        /// The timer.
        key: Key,
    },
}

/// Running timers in the order in which they come due: what the shell keeps per machine.
///
/// Usage: `change` for everything in an outcome; sleep until `next_due`; then feed `pop_due(now)` back to the machine
/// until it is empty. A machine ignores a timer that comes early or twice, so a shell that races is still correct.
#[derive(Clone, Debug)]
pub struct TimerQueue<Key> {
    due: BTreeSet<(TimestampMs, Key)>,
    at: BTreeMap<Key, TimestampMs>,
}

impl<Key: Clone + Ord> TimerQueue<Key> {
    /// No timers.
    pub const fn new() -> Self {
        Self {
            due: BTreeSet::new(),
            at: BTreeMap::new(),
        }
    }

    /// Takes over one change.
    pub fn change(&mut self, change: TimerChange<Key>) {
        match change {
            TimerChange::Set { key, at } => self.set(key, at),
            TimerChange::Stop { key } => self.stop(&key),
        }
    }

    /// When the earliest timer comes due.
    pub fn next_due(&self) -> Option<TimestampMs> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes out the earliest timer that is due at `now`.
    pub fn pop_due(&mut self, now: TimestampMs) -> Option<Key> {
        if self.next_due()? > now {
            return None;
        }
        let (_, key) = self.due.pop_first()?;
        self.at.remove(&key);
        Some(key)
    }

    /// How many timers run.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether no timer runs.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    fn set(&mut self, key: Key, at: TimestampMs) {
        self.stop(&key);
        self.due.insert((at, key.clone()));
        self.at.insert(key, at);
    }

    fn stop(&mut self, key: &Key) {
        if let Some(at) = self.at.remove(key) {
            self.due.remove(&(at, key.clone()));
        }
    }
}

impl<Key: Clone + Ord> Default for TimerQueue<Key> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::{TimerChange, TimerQueue};

    #[test]
    fn setting_again_replaces_and_stopping_forgets() {
        let mut queue = TimerQueue::new();
        queue.change(TimerChange::Set { key: "a", at: 10 });
        queue.change(TimerChange::Set { key: "b", at: 20 });
        queue.change(TimerChange::Set { key: "a", at: 30 });
        assert_eq!((queue.next_due(), queue.len()), (Some(20), 2));

        queue.change(TimerChange::Stop { key: "b" });
        assert_eq!(queue.pop_due(29), None);
        assert_eq!(queue.pop_due(30), Some("a"));
        assert!(queue.is_empty());
    }
}
