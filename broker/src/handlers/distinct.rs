//! Repetitions within one request, which may name a million things: found in one pass.

use std::collections::HashMap;
use std::hash::Hash;

/// One thing that a request names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Distinct<'a, T> {
    /// The first entry that names it.
    pub(super) item: &'a T,
    /// Whether a later entry names it again.
    pub(super) repeated: bool,
}

/// The entries of a request in their order, each thing once. `key` says what an entry names.
pub(super) fn distinct<'a, T, K: Eq + Hash>(items: &'a [T], key: impl Fn(&'a T) -> K) -> Vec<Distinct<'a, T>> {
    let mut found: Vec<Distinct<'a, T>> = Vec::with_capacity(items.len());
    let mut places = HashMap::with_capacity(items.len());
    for item in items {
        let place = *places.entry(key(item)).or_insert(found.len());
        match found.get_mut(place) {
            Some(first) => first.repeated = true,
            None => found.push(Distinct { item, repeated: false }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::hash::Hasher;

    use super::*;

    #[test]
    fn each_thing_comes_once_in_order_and_says_whether_it_is_repeated() {
        let found = distinct(&["b", "a", "b", "c", "b"], |name| *name);
        let found: Vec<_> = found.iter().map(|entry| (*entry.item, entry.repeated)).collect();
        assert_eq!(found, [("b", true), ("a", false), ("c", false)]);
        assert!(distinct(&[], |name: &&str| *name).is_empty());
    }

    /// A key that counts how often it is compared.
    struct Counted<'a> {
        key: usize,
        comparisons: &'a Cell<usize>,
    }

    impl PartialEq for Counted<'_> {
        fn eq(&self, other: &Self) -> bool {
            self.comparisons.set(self.comparisons.get() + 1);
            self.key == other.key
        }
    }

    impl Eq for Counted<'_> {}

    impl Hash for Counted<'_> {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.key.hash(state);
        }
    }

    #[test]
    fn many_entries_are_not_compared_with_each_other() {
        let comparisons = Cell::new(0);
        let names: Vec<usize> = (0..20_000).collect();
        let key = |name: &usize| Counted {
            key: *name,
            comparisons: &comparisons,
        };
        assert_eq!(distinct(&names, key).len(), names.len());
        assert!(comparisons.get() < 2 * names.len(), "{}", comparisons.get());
    }
}
