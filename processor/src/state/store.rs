//! The state of a query as its operators see it: the committed epoch, under the changes of the epoch in flight, under
//! the changes of the current one.

use std::sync::Arc;

use super::cache::Cache;
use super::changes::Changes;
use super::key::{TableId, write_key};
use super::overlay::{LimitedVisit, ScanRange};
use super::rocks::{CommittedEpoch, Rocks, StateError};

/// Ordered key-value tables of one query. Owned by the query's thread.
///
/// Calling order per epoch: `get`, `set`, `scan` as operators need; [`freeze`](Self::freeze) at the barrier; and
/// [`commit`](Self::commit) once the epoch's decision is durable, before the next `freeze`.
pub struct StateStore {
    rocks: Arc<Rocks>,
    current: Changes,
    in_flight: Option<Arc<Changes>>,
    cache: Cache,
    key: Vec<u8>,
}

/// How far a scan came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanEnd {
    /// All entries were visited.
    Complete,
    /// The limit was reached; go on behind this key.
    More(Vec<u8>),
}

impl StateStore {
    /// The state on top of an open folder. `cache_bytes` bounds what is kept of committed entries.
    pub fn new(rocks: Arc<Rocks>, cache_bytes: usize) -> Self {
        Self {
            rocks,
            current: Changes::default(),
            in_flight: None,
            cache: Cache::new(cache_bytes),
            key: Vec::new(),
        }
    }

    /// Reads an entry; `read` is given its value, or `None`.
    pub fn get<R>(
        &mut self,
        table: TableId,
        node: u16,
        parts: &[&[u8]],
        read: impl FnOnce(Option<&[u8]>) -> R,
    ) -> Result<R, StateError> {
        write_key(&mut self.key, table, node, parts);
        if let Some(value) = self.current.get(&self.key) {
            return Ok(read(value));
        }
        let in_flight = self.in_flight.as_ref().and_then(|changes| changes.get(&self.key));
        if let Some(value) = in_flight {
            return Ok(read(value));
        }
        if !table.is_cached() {
            return self.rocks.with_value(&self.key, read);
        }
        if let Some(value) = self.cache.get(&self.key) {
            return Ok(read(value));
        }
        let (cache, key) = (&mut self.cache, &self.key);
        self.rocks.with_value(key, |value| {
            cache.put(key, value);
            read(value)
        })
    }

    /// Sets an entry, or deletes it, in the current epoch.
    pub fn set(&mut self, table: TableId, node: u16, parts: &[&[u8]], value: Option<&[u8]>) {
        write_key(&mut self.key, table, node, parts);
        self.current.set(&self.key, value);
    }

    /// Visits the entries whose whole keys start with `prefix`, in order, from behind `after`, at most `limit` of them,
    /// with everything that the current epoch has changed so far.
    pub fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        visit: impl FnMut(&[u8], &[u8]) -> Result<(), StateError>,
    ) -> Result<ScanEnd, StateError> {
        let range = ScanRange::new(prefix, after);
        let overlay = range.overlay(self.in_flight.as_deref().into_iter().chain([&self.current]));
        let mut visit = LimitedVisit::new(limit, visit);
        range.scan(&self.rocks, &overlay, |key, value| visit.give(key, value))?;
        visit.end()
    }

    /// Closes the current epoch: its changes become those in flight and a new epoch begins.
    ///
    /// Panics when an epoch is in flight already.
    pub fn freeze(&mut self) -> Arc<Changes> {
        assert!(self.in_flight.is_none(), "one epoch is in flight at a time");
        let changes = Arc::new(std::mem::take(&mut self.current));
        self.in_flight = Some(Arc::clone(&changes));
        changes
    }

    /// Writes the epoch in flight to RocksDB; its decision must be durable.
    pub fn commit(&mut self, committed: &CommittedEpoch) -> Result<(), StateError> {
        let changes = self.in_flight.take().expect("an epoch is in flight");
        self.rocks.write_epoch(&changes, committed)?;
        for (key, value) in changes.iter() {
            if TableId::of_key(key).is_some_and(TableId::is_cached) {
                self.cache.put(key, value);
            }
        }
        Ok(())
    }

    /// True when the current epoch has changed nothing.
    pub fn is_unchanged(&self) -> bool {
        self.current.is_empty()
    }

    /// Bytes of changes that the current epoch holds in memory.
    pub fn current_bytes(&self) -> usize {
        self.current.bytes()
    }

    /// Bytes held in memory: changes and cache.
    pub fn memory_bytes(&self) -> usize {
        let in_flight = self.in_flight.as_ref().map_or(0, |changes| changes.bytes());
        self.current.bytes() + in_flight + self.cache.bytes()
    }

    /// The state on disk.
    pub fn rocks(&self) -> &Arc<Rocks> {
        &self.rocks
    }
}
