//! Who waits for which offset of a log to become durable.

use std::{
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    task::{Poll, Waker},
};

use protocol::Offset;

use crate::error::FlushError;

/// The durable offset of one log and the wakers behind it. Any thread.
#[derive(Debug)]
pub(crate) struct FlushGate {
    durable: AtomicI64,
    failure: OnceLock<FlushError>,
    waiters: Mutex<Waiters>,
}

#[derive(Debug, Default)]
struct Waiters {
    next_slot: u64,
    list: Vec<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    slot: u64,
    offset: Offset,
    waker: Waker,
}

impl FlushGate {
    pub(crate) fn new(durable: Offset) -> Self {
        Self {
            durable: AtomicI64::new(durable),
            failure: OnceLock::new(),
            waiters: Mutex::default(),
        }
    }

    /// The answer for everything below `offset`, if there is one already.
    pub(crate) fn answer(&self, offset: Offset) -> Option<Result<(), FlushError>> {
        if offset <= self.durable.load(Ordering::Acquire) {
            return Some(Ok(()));
        }
        self.failure.get().map(|failure| Err(failure.clone()))
    }

    /// Answers, or keeps the waker. `slot` remembers the waiter between polls.
    pub(crate) fn poll(&self, offset: Offset, slot: &mut Option<u64>, waker: &Waker) -> Poll<Result<(), FlushError>> {
        if let Some(answer) = self.answer(offset) {
            return Poll::Ready(answer);
        }
        let mut waiters = self.lock();
        // The answer may have come between the look and the lock; whoever brings it drains the list under the lock.
        if let Some(answer) = self.answer(offset) {
            return Poll::Ready(answer);
        }
        if let Some(known) = *slot
            && let Some(waiter) = waiters.list.iter_mut().find(|waiter| waiter.slot == known)
        {
            waiter.waker.clone_from(waker);
            return Poll::Pending;
        }
        waiters.next_slot += 1;
        let new = waiters.next_slot;
        waiters.list.push(Waiter {
            slot: new,
            offset,
            waker: waker.clone(),
        });
        *slot = Some(new);
        Poll::Pending
    }

    /// Forgets a waiter that lost interest.
    pub(crate) fn leave(&self, slot: u64) {
        self.lock().list.retain(|waiter| waiter.slot != slot);
    }

    /// Everything below `durable` is on the device.
    pub(crate) fn advance(&self, durable: Offset) {
        self.durable.fetch_max(durable, Ordering::AcqRel);
        self.wake(|waiter| waiter.offset <= durable);
    }

    /// Nothing more will become durable. The first reason stays.
    pub(crate) fn fail(&self, failure: FlushError) {
        let _ = self.failure.set(failure);
        self.wake(|_| true);
    }

    fn wake(&self, ready: impl Fn(&Waiter) -> bool) {
        let mut waiters = self.lock();
        let woken: Vec<Waiter> = waiters.list.extract_if(.., |waiter| ready(waiter)).collect();
        // Wakers run foreign code, so the lock is not held while they do.
        drop(waiters);
        woken.into_iter().for_each(|waiter| waiter.waker.wake());
    }

    fn lock(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
