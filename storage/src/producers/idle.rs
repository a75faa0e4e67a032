//! Which producer has been silent for longest: who is forgotten when there are too many.

use std::collections::{BTreeMap, HashMap};

use protocol::ProducerId;

/// Producers without an open transaction, in the order of their last use.
#[derive(Debug, Clone, Default)]
pub(super) struct IdleOrder {
    /// Ascending number of the last use to who it was.
    by_use: BTreeMap<u64, ProducerId>,
    last_use: HashMap<ProducerId, u64>,
    next_use: u64,
}

impl IdleOrder {
    /// Makes a producer the one that was used last.
    pub(super) fn touch(&mut self, producer_id: ProducerId) {
        if let Some(before) = self.last_use.insert(producer_id, self.next_use) {
            self.by_use.remove(&before);
        }
        self.by_use.insert(self.next_use, producer_id);
        self.next_use += 1;
    }

    /// Takes a producer out: it is forgotten, or busy.
    pub(super) fn remove(&mut self, producer_id: ProducerId) {
        if let Some(before) = self.last_use.remove(&producer_id) {
            self.by_use.remove(&before);
        }
    }

    /// Takes out the one that was silent for longest.
    pub(super) fn pop_oldest(&mut self) -> Option<ProducerId> {
        let (_, producer_id) = self.by_use.pop_first()?;
        self.last_use.remove(&producer_id);
        Some(producer_id)
    }
}
