//! What a query has still to read of its source, held against retention.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::ids::{Offset, TopicPartition};
use storage::{Log, Pin};

/// The pins of a query. They outlive its runs: between two of them, and before the first, retention must not take what
/// the next one needs.
pub(in crate::runtime) struct SourcePins {
    owner: Arc<str>,
    pins: Mutex<BTreeMap<TopicPartition, Arc<Pin>>>,
}

impl SourcePins {
    /// No pins yet. `owner` is for people who ask why a log grows.
    pub(in crate::runtime) fn new(owner: impl Into<Arc<str>>) -> Self {
        Self {
            owner: owner.into(),
            pins: Mutex::default(),
        }
    }

    /// Holds all that a topic's open logs have, until a run knows better. Logs that are held already stay so.
    pub(in crate::runtime) fn hold(&self, logs: &[Arc<Log>]) {
        for log in logs {
            self.at(log, log.marks().log_start);
        }
    }

    /// The pin of a log, from `position` on or from where it stands already. A pin never moves back, so a run must not
    /// begin below the last committed position.
    pub(in crate::runtime) fn at(&self, log: &Arc<Log>, position: Offset) -> Arc<Pin> {
        let mut pins = self.lock();
        if let Some(pin) = pins.get(log.topic_partition()).filter(|pin| pin.is_of(log)) {
            pin.advance(position);
            return Arc::clone(pin);
        }
        let pin = Arc::new(log.pin(Arc::clone(&self.owner), position));
        pins.insert(log.topic_partition().clone(), Arc::clone(&pin));
        pin
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, Arc<Pin>>> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
