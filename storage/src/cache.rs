//! Recent batches in memory: what readers at the tail get without touching the disk.
//!
//! The batches are the client's own bytes, shared and not copied; the 61 patched header bytes are kept beside them. The
//! budget is the node's: when it is spent, the oldest batch of all logs goes first. The memory that a batch really holds
//! is its whole request frame, which a produce request mostly fills with batches; whoever appended only a small part of
//! one gives that part memory of its own ([`TailCache::detach`]).

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use bytes::{BufMut, Bytes, BytesMut};
use protocol::{
    Offset,
    records::{BatchHeader, HEADER_LEN},
};

/// The node's budget and the order in which batches came.
#[derive(Debug)]
pub(crate) struct CacheBudget {
    limit_bytes: usize,
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    batches: VecDeque<(Weak<TailCache>, Offset, usize)>,
    total_bytes: usize,
}

/// The recent batches of one log: without gaps, newest last, and always up to the log end unless it is empty.
#[derive(Debug)]
pub(crate) struct TailCache {
    budget: Arc<CacheBudget>,
    batches: Mutex<VecDeque<CachedBatch>>,
}

#[derive(Debug)]
struct CachedBatch {
    base_offset: Offset,
    next_offset: Offset,
    head: [u8; HEADER_LEN],
    bytes: Bytes,
}

impl CacheBudget {
    pub(crate) fn new(limit_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            limit_bytes,
            ring: Mutex::default(),
        })
    }

    /// Accounts for a new batch and returns what has to go for it.
    fn charge(&self, cache: &Arc<TailCache>, base_offset: Offset, size: usize) -> Vec<(Weak<TailCache>, Offset)> {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.batches.push_back((Arc::downgrade(cache), base_offset, size));
        ring.total_bytes += size;
        let mut evicted = Vec::new();
        while self.limit_bytes < ring.total_bytes {
            let Some((cache, base_offset, size)) = ring.batches.pop_front() else {
                break;
            };
            ring.total_bytes -= size;
            evicted.push((cache, base_offset));
        }
        evicted
    }
}

impl TailCache {
    pub(crate) fn new(budget: Arc<CacheBudget>) -> Arc<Self> {
        Arc::new(Self {
            budget,
            batches: Mutex::default(),
        })
    }

    /// Adds the batch that was just appended. Called inside the log's critical section, so batches come in order.
    pub(crate) fn push(self: &Arc<Self>, header: &BatchHeader, head: &[u8; HEADER_LEN], bytes: &Bytes) {
        let size = bytes.len();
        if self.budget.limit_bytes < size {
            // Larger than the whole budget: what is cached would no longer reach the log end.
            self.lock().clear();
            return;
        }
        let (base_offset, next_offset) = (header.base_offset, header.next_offset());
        self.lock().push_back(CachedBatch {
            base_offset,
            next_offset,
            head: *head,
            bytes: bytes.clone(),
        });
        for (cache, base_offset) in self.budget.charge(self, base_offset, size) {
            if let Some(cache) = cache.upgrade() {
                cache.evict_through(base_offset);
            }
        }
    }

    /// Gives a batch memory of its own, so that what it was cut from can go. The rest of its memory is not ours to know.
    pub(crate) fn detach(&self, base_offset: Offset) {
        let find = |batches: &VecDeque<CachedBatch>| {
            let index = batches.partition_point(|batch| batch.base_offset < base_offset);
            let found = batches.get(index).filter(|batch| batch.base_offset == base_offset);
            found.map(|batch| (index, batch.bytes.clone()))
        };
        // The copy happens outside the lock, where the batch may be evicted meanwhile.
        let Some((_, shared)) = find(&self.lock()) else { return };
        let own = Bytes::copy_from_slice(&shared);
        drop(shared);
        let mut batches = self.lock();
        if let Some((index, _)) = find(&batches) {
            batches[index].bytes = own;
        }
    }

    /// Whether a read at this offset would be answered from here.
    pub(crate) fn holds(&self, offset: Offset) -> bool {
        let batches = self.lock();
        let first = batches.front().map(|batch| batch.base_offset);
        let last = batches.back().map(|batch| batch.next_offset);
        matches!((first, last), (Some(first), Some(last)) if first <= offset && offset < last)
    }

    /// Whole batches from the one that holds `from` up to `bound`, as [`crate::Log::read`] wants them; `None` when the
    /// first one is not here.
    pub(crate) fn read(
        &self,
        from: Offset,
        bound: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Option<(Bytes, Offset)> {
        let picked = self.pick(from, bound, max_bytes, at_least_one)?;
        // The copy happens outside the lock, so that a large read holds up no append.
        let size = picked.iter().map(|(_, bytes)| bytes.len()).sum();
        let mut out = BytesMut::with_capacity(size);
        let mut next_offset = from;
        for ((head, next), bytes) in &picked {
            out.put_slice(head);
            out.put_slice(&bytes[HEADER_LEN..]);
            next_offset = *next;
        }
        Some((out.freeze(), next_offset))
    }

    /// Forgets everything: the log was cut or closed.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    #[expect(
        clippy::type_complexity,
        reason = "a head with its next offset, and the bytes; named nowhere else"
    )]
    fn pick(
        &self,
        from: Offset,
        bound: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Option<Vec<(([u8; HEADER_LEN], Offset), Bytes)>> {
        let batches = self.lock();
        if from < batches.front()?.base_offset || batches.back()?.next_offset <= from {
            return None;
        }
        let first = batches.partition_point(|batch| batch.next_offset <= from);
        let (mut picked, mut total) = (Vec::new(), 0);
        for batch in batches.range(first..) {
            let size = batch.bytes.len();
            let fits = total + size <= max_bytes || (at_least_one && picked.is_empty());
            if bound <= batch.base_offset || !fits {
                break;
            }
            total += size;
            picked.push(((batch.head, batch.next_offset), batch.bytes.clone()));
        }
        Some(picked)
    }

    fn evict_through(&self, base_offset: Offset) {
        let mut batches = self.lock();
        while batches.front().is_some_and(|batch| batch.base_offset <= base_offset) {
            batches.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<CachedBatch>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
