//! Pins: offsets that somebody still needs.

use std::sync::{Arc, MutexGuard, PoisonError, atomic::Ordering};

use protocol::Offset;

use super::Log;

/// Who needs what.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) owner: Arc<str>,
    pub(super) from: Offset,
}

/// Keeps retention from deleting an offset and what follows it; dropping it lets go. Deleting records on request
/// (DeleteRecords) and deleting the topic do not ask.
#[derive(Debug)]
pub struct Pin {
    log: Arc<Log>,
    id: u64,
}

impl Log {
    /// Pins everything from `from` on. `owner` is for people who ask why a log grows.
    #[must_use]
    pub fn pin(self: &Arc<Self>, owner: impl Into<Arc<str>>, from: Offset) -> Pin {
        let id = self.node.next_pin.fetch_add(1, Ordering::Relaxed);
        self.lock_pins().insert(
            id,
            Pinned {
                owner: owner.into(),
                from,
            },
        );
        Pin {
            log: Arc::clone(self),
            id,
        }
    }

    /// All pins as (owner, offset).
    #[must_use]
    pub fn pins(&self) -> Vec<(Arc<str>, Offset)> {
        self.lock_pins()
            .values()
            .map(|pin| (Arc::clone(&pin.owner), pin.from))
            .collect()
    }

    /// The lowest pinned offset.
    pub(super) fn lowest_pin(&self) -> Option<Offset> {
        self.lock_pins().values().map(|pin| pin.from).min()
    }

    fn lock_pins(&self) -> MutexGuard<'_, std::collections::BTreeMap<u64, Pinned>> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pin {
    /// Lets go of what lies below `from`. A pin never moves back.
    pub fn advance(&self, from: Offset) {
        if let Some(pin) = self.log.lock_pins().get_mut(&self.id) {
            pin.from = pin.from.max(from);
        }
    }

    /// Whether it holds something of this log.
    #[must_use]
    pub fn is_of(&self, log: &Arc<Log>) -> bool {
        Arc::ptr_eq(&self.log, log)
    }

    /// The offset that is held.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.log.lock_pins().get(&self.id).map_or(Offset::MAX, |pin| pin.from)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.log.lock_pins().remove(&self.id);
    }
}
