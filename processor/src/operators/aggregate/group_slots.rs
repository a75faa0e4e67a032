//! Groups in memory: which slot belongs to which (pane, grouping key). Look-up is by a hash of the key's row bytes;
//! nothing is allocated per row, only per new group.

use std::collections::BTreeMap;

use hashbrown::HashTable;

use crate::time::EventTime;

/// The group was changed since the last barrier.
const CHANGED: u8 = 1;
/// The group was changed since it was last emitted.
const PENDING: u8 = 2;
/// The slot belongs to a group.
const LIVE: u8 = 4;
/// The group has an entry in the state table.
const SAVED: u8 = 8;
/// The group may have been emitted before.
const EMITTED: u8 = 16;

/// Slots of groups. A slot is an index into the columns of the aggregates' states.
pub(super) struct GroupSlots {
    index: HashTable<u32>,
    hasher: ahash::RandomState,
    panes: Vec<EventTime>,
    keys: Vec<Box<[u8]>>,
    flags: Vec<u8>,
    /// Place of a slot in its pane's list.
    places: Vec<u32>,
    /// Number of the epoch in which a slot was last used.
    used: Vec<u32>,
    free: Vec<u32>,
    by_pane: BTreeMap<EventTime, Vec<u32>>,
    changed: Vec<u32>,
    pending: Vec<u32>,
    key_bytes: usize,
    epoch: u32,
    tracks_pending: bool,
}

/// Bytes per slot beside the key: the columns above, the hash table and the allocation of the key.
const SLOT_OVERHEAD: usize = 72;

impl GroupSlots {
    /// No groups. `tracks_pending` tells whether changes are emitted before their window closes.
    pub(super) fn new(tracks_pending: bool) -> Self {
        Self {
            tracks_pending,
            index: HashTable::new(),
            // In memory only, so any seeds will do; fixed ones keep runs alike.
            hasher: ahash::RandomState::with_seeds(5, 6, 7, 8),
            panes: Vec::new(),
            keys: Vec::new(),
            flags: Vec::new(),
            places: Vec::new(),
            used: Vec::new(),
            free: Vec::new(),
            by_pane: BTreeMap::new(),
            changed: Vec::new(),
            pending: Vec::new(),
            key_bytes: 0,
            epoch: 0,
        }
    }

    /// Hash of a group, for [`find`](Self::find) and [`insert`](Self::insert).
    #[inline]
    pub(super) fn hash(&self, pane: EventTime, key: &[u8]) -> u64 {
        self.hasher.hash_one(key) ^ pane.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// The slot of a group, if it is in memory.
    #[inline]
    pub(super) fn find(&self, hash: u64, pane: EventTime, key: &[u8]) -> Option<u32> {
        let is_group = |slot: &u32| {
            let slot = *slot as usize;
            self.panes[slot] == pane && *self.keys[slot] == *key
        };
        self.index.find(hash, is_group).copied()
    }

    /// Gives a group that is not in memory a slot, which is below [`slots`](Self::slots).
    pub(super) fn insert(&mut self, hash: u64, pane: EventTime, key: &[u8]) -> u32 {
        let slot = self.allocate();
        let index = slot as usize;
        self.panes[index] = pane;
        self.keys[index] = key.into();
        self.flags[index] = LIVE;
        self.used[index] = self.epoch;
        self.key_bytes += key.len();
        let members = self.by_pane.entry(pane).or_default();
        self.places[index] = u32::try_from(members.len()).expect("slots are 32 bits");
        members.push(slot);
        let (panes, keys, hasher) = (&self.panes, &self.keys, &self.hasher);
        self.index.insert_unique(hash, slot, |slot| {
            let slot = *slot as usize;
            hasher.hash_one(&*keys[slot]) ^ panes[slot].cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        slot
    }

    /// Takes a slot without a group, for a result that is put together from several. To be given back.
    pub(super) fn borrow_slot(&mut self) -> u32 {
        self.allocate()
    }

    /// Gives a borrowed slot back.
    pub(super) fn return_slot(&mut self, slot: u32) {
        self.free.push(slot);
    }

    /// Forgets a group; its slot may be used again at once.
    pub(super) fn remove(&mut self, slot: u32) {
        let index = slot as usize;
        let pane = self.panes[index];
        let hash = self.hash(pane, &self.keys[index]);
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        self.key_bytes -= self.keys[index].len();
        self.keys[index] = Box::default();
        self.flags[index] = 0;
        let members = self.by_pane.get_mut(&pane).expect("a group is listed in its pane");
        let place = self.places[index];
        members.swap_remove(place as usize);
        match members.get(place as usize) {
            Some(moved) => self.places[*moved as usize] = place,
            None if members.is_empty() => {
                self.by_pane.remove(&pane);
            }
            None => {}
        }
        self.free.push(slot);
    }

    /// Marks a group as changed.
    #[inline]
    pub(super) fn touch(&mut self, slot: u32) {
        let index = slot as usize;
        self.used[index] = self.epoch;
        let flags = self.flags[index];
        if flags & CHANGED == 0 {
            self.changed.push(slot);
        }
        self.flags[index] = flags | CHANGED;
        if self.tracks_pending {
            self.set_pending(slot);
        }
    }

    /// Marks a group that was read back as still to be emitted.
    pub(super) fn set_pending(&mut self, slot: u32) {
        let flags = &mut self.flags[slot as usize];
        if *flags & PENDING == 0 {
            *flags |= PENDING;
            self.pending.push(slot);
        }
    }

    /// True when the group has changes that were not emitted; always false where that is not tracked.
    pub(super) fn is_pending(&self, slot: u32) -> bool {
        self.flags[slot as usize] & PENDING != 0
    }

    /// True when some group may have changes that were not emitted.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes the groups with changes that were not emitted, each once.
    pub(super) fn take_pending(&mut self) -> Vec<u32> {
        let mut slots = std::mem::take(&mut self.pending);
        slots.retain(|slot| {
            let flags = &mut self.flags[*slot as usize];
            let is_pending = *flags & PENDING != 0;
            *flags &= !PENDING;
            is_pending
        });
        slots
    }

    /// Notes that a group has been emitted; answers whether it may have been before.
    pub(super) fn set_emitted(&mut self, slot: u32) -> bool {
        let flags = &mut self.flags[slot as usize];
        let before = *flags & EMITTED != 0;
        *flags |= EMITTED;
        before
    }

    /// Notes that a group has an entry in the state table.
    pub(super) fn set_saved(&mut self, slot: u32) {
        self.flags[slot as usize] |= SAVED;
    }

    /// True when the group has an entry in the state table.
    pub(super) fn is_saved(&self, slot: u32) -> bool {
        self.flags[slot as usize] & SAVED != 0
    }

    /// Takes the groups changed since the last call, each once, and begins a new epoch of use.
    pub(super) fn take_changed(&mut self) -> Vec<u32> {
        let mut slots = std::mem::take(&mut self.changed);
        slots.retain(|slot| {
            let flags = &mut self.flags[*slot as usize];
            let is_changed = *flags & CHANGED != 0;
            *flags &= !CHANGED;
            is_changed
        });
        self.epoch = self.epoch.wrapping_add(1);
        slots
    }

    /// Groups in memory that were used longest ago, oldest first, none of them pending or changed.
    pub(super) fn coldest(&self) -> Vec<u32> {
        let mut slots: Vec<u32> = self
            .by_pane
            .values()
            .flatten()
            .copied()
            .filter(|slot| self.flags[*slot as usize] & (CHANGED | PENDING) == 0)
            .collect();
        slots.sort_unstable_by_key(|slot| std::cmp::Reverse(self.epoch.wrapping_sub(self.used[*slot as usize])));
        slots
    }

    /// The pane of a group.
    pub(super) fn pane(&self, slot: u32) -> EventTime {
        self.panes[slot as usize]
    }

    /// The key of a group.
    pub(super) fn key(&self, slot: u32) -> &[u8] {
        &self.keys[slot as usize]
    }

    /// Groups of a pane, in memory.
    pub(super) fn members(&self, pane: EventTime) -> &[u32] {
        self.by_pane.get(&pane).map_or(&[], Vec::as_slice)
    }

    /// The first pane at or after a time that has groups in memory.
    pub(super) fn first_pane_from(&self, time: EventTime) -> Option<EventTime> {
        self.by_pane.range(time..).next().map(|(pane, _)| *pane)
    }

    /// Number of slots, used or not.
    pub(super) fn slots(&self) -> usize {
        self.panes.len()
    }

    /// Number of slots in use: those of the groups in memory, and those that are borrowed.
    pub(super) fn len(&self) -> usize {
        self.slots() - self.free.len()
    }

    /// Bytes of a group without its aggregates, on the average.
    pub(super) fn bytes_each(&self) -> usize {
        self.memory_bytes() / self.len().max(1)
    }

    /// Number of groups changed since the last barrier; some of them may be gone.
    pub(super) fn changed(&self) -> usize {
        self.changed.len()
    }

    /// Memory held, in bytes, estimated.
    pub(super) fn memory_bytes(&self) -> usize {
        self.key_bytes + self.len() * SLOT_OVERHEAD
    }

    fn allocate(&mut self) -> u32 {
        if let Some(slot) = self.free.pop() {
            return slot;
        }
        let slot = u32::try_from(self.panes.len()).expect("slots are 32 bits");
        self.panes.push(0);
        self.keys.push(Box::default());
        self.flags.push(0);
        self.places.push(0);
        self.used.push(0);
        slot
    }
}
