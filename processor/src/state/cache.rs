//! Committed entries in memory, within a budget. Two generations: what was not used since the last turn goes. Every
//! operation is a hash look-up; nothing is kept in order of use.

use std::collections::HashMap;

type Generation = HashMap<Box<[u8]>, Option<Box<[u8]>>, ahash::RandomState>;

/// Bytes that an entry costs beside its key and value.
const ENTRY_OVERHEAD: usize = 48;

/// A bounded cache of entries as of the last committed epoch; absence is cached, too.
pub(super) struct Cache {
    young: Generation,
    young_bytes: usize,
    old: Generation,
    old_bytes: usize,
    budget: usize,
}

impl Cache {
    /// A cache that holds about `budget` bytes.
    pub(super) fn new(budget: usize) -> Self {
        Self {
            young: Generation::default(),
            young_bytes: 0,
            old: Generation::default(),
            old_bytes: 0,
            budget,
        }
    }

    /// What is known of a key.
    pub(super) fn get(&mut self, key: &[u8]) -> Option<Option<&[u8]>> {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.old_bytes -= cost(&key, value.as_deref());
            self.insert(key, value);
        }
        self.young.get(key).map(Option::as_deref)
    }

    /// Remembers an entry.
    pub(super) fn put(&mut self, key: &[u8], value: Option<&[u8]>) {
        if let Some((key, value)) = self.old.remove_entry(key) {
            self.old_bytes -= cost(&key, value.as_deref());
        }
        self.insert(key.into(), value.map(Box::from));
    }

    /// Memory held, estimated.
    pub(super) fn bytes(&self) -> usize {
        self.young_bytes + self.old_bytes
    }

    fn insert(&mut self, key: Box<[u8]>, value: Option<Box<[u8]>>) {
        let added = cost(&key, value.as_deref());
        if self.budget / 2 < self.young_bytes + added {
            self.old = std::mem::take(&mut self.young);
            self.old_bytes = std::mem::take(&mut self.young_bytes);
        }
        let key_len = key.len();
        self.young_bytes += added;
        if let Some(replaced) = self.young.insert(key, value) {
            self.young_bytes -= ENTRY_OVERHEAD + key_len + replaced.map_or(0, |value| value.len());
        }
    }
}

fn cost(key: &[u8], value: Option<&[u8]>) -> usize {
    ENTRY_OVERHEAD + key.len() + value.map_or(0, <[u8]>::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_its_budget_and_keeps_what_is_used() {
        let mut cache = Cache::new(4_000);
        cache.put(b"hot", Some(b"1"));
        for round in 0..1_000u32 {
            cache.put(&round.to_be_bytes(), Some(&[0; 20]));
            assert_eq!(cache.get(b"hot"), Some(Some(&b"1"[..])));
            assert!(cache.bytes() <= 4_000);
        }
        assert_eq!(cache.get(&0u32.to_be_bytes()), None);
    }

    #[test]
    fn the_newest_value_wins_and_absence_counts() {
        let mut cache = Cache::new(1_000);
        cache.put(b"k", Some(b"old"));
        cache.put(b"k", None);
        assert_eq!(cache.get(b"k"), Some(None));
        cache.put(b"k", Some(b"new"));
        assert_eq!(cache.get(b"k"), Some(Some(&b"new"[..])));
        let bytes = cache.bytes();
        cache.put(b"k", Some(b"abc"));
        assert_eq!(cache.bytes(), bytes);
    }
}
