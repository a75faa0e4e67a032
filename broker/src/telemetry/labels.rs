//! Labels of metrics are bounded: the first N topics (and groups) get their own, the rest is folded into `_other`.

use std::collections::HashSet;

/// The label of everything beyond the bound.
pub const OTHER: &str = "_other";

/// Hands out labels up to a bound.
#[derive(Debug)]
pub struct LabelCap {
    max: usize,
    given: HashSet<String>,
}

impl LabelCap {
    /// Up to `max` different labels.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            given: HashSet::new(),
        }
    }

    /// The label for a name: itself, or [`OTHER`].
    pub fn label<'a>(&mut self, name: &'a str) -> &'a str {
        if self.given.contains(name) {
            return name;
        }
        if self.max <= self.given.len() {
            return OTHER;
        }
        self.given.insert(name.to_owned());
        name
    }

    /// Takes the labels back that `keep` does not know any more.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.given.retain(|name| keep(name));
    }
}
