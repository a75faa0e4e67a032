//! A claim on a flush.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use protocol::Offset;

use super::Urgency;
use crate::{error::FlushError, log::Log};

/// Resolves once everything below an offset is durable, or never will be.
///
/// Awaiting it asks for a flush at once; dropping it leaves the flush to the background. It works under any executor.
/// Under [`Durability::Async`](crate::Durability::Async) the ticket of an append is done from the start.
#[derive(Debug)]
pub struct FlushTicket {
    log: Arc<Log>,
    /// `None`: nothing to wait for.
    offset: Option<Offset>,
    slot: Option<u64>,
    urged: bool,
}

impl FlushTicket {
    /// A ticket for everything below `offset`.
    pub(crate) fn new(log: Arc<Log>, offset: Offset) -> Self {
        Self {
            log,
            offset: Some(offset),
            slot: None,
            urged: false,
        }
    }

    /// A ticket that is done.
    pub(crate) fn done(log: Arc<Log>) -> Self {
        Self {
            log,
            offset: None,
            slot: None,
            urged: false,
        }
    }

    /// Whether awaiting it would return at once.
    #[cfg(test)]
    pub(crate) fn is_done(&self) -> bool {
        self.offset.is_none_or(|offset| self.log.gate.answer(offset).is_some())
    }

    /// Blocks the calling thread until the ticket resolves. Not for async code: await the ticket there.
    ///
    /// # Errors
    /// [`FlushError`] when the log was poisoned or closed before.
    pub fn wait(mut self) -> Result<(), FlushError> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match Pin::new(&mut self).poll(&mut context) {
                Poll::Ready(result) => return result,
                Poll::Pending => thread::park(),
            }
        }
    }
}

impl Future for FlushTicket {
    type Output = Result<(), FlushError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(offset) = this.offset else {
            return Poll::Ready(Ok(()));
        };
        let poll = this.log.gate.poll(offset, &mut this.slot, context.waker());
        if poll.is_ready() {
            this.slot = None;
        } else if !this.urged {
            this.urged = true;
            this.log.schedule_flush(Urgency::Now);
        }
        poll
    }
}

impl Drop for FlushTicket {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.log.gate.leave(slot);
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
