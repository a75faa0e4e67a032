//! What a machine decides about one command: records, replies, timers.

use crate::timer::TimerChange;

/// Names one waiting request. The shell makes them up, the machine hands each back exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyTo(pub u64);

/// When a reply may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Now: the reply depends on nothing that a crash could take back.
    AtOnce,
    /// When everything appended to the machine's partition so far, the records of this outcome included, is durable.
    WhenDurable,
}

/// The answer to one waiting request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<Body> {
    /// The request that is answered.
    pub to: ReplyTo,
    /// When the answer may leave.
    pub release: Release,
    /// The answer.
    pub body: Body,
}

/// Everything that follows from one command. All of it may be empty, for example when a request is parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<Record, Body, Timer> {
    /// To append to the machine's partition as one batch, then to `apply`, in this order.
    pub records: Vec<Record>,
    /// Answers, to this command or to requests parked before it.
    pub replies: Vec<Reply<Body>>,
    /// Timers to set and to stop, in this order.
    pub timers: Vec<TimerChange<Timer>>,
}

impl<Record, Body, Timer> Outcome<Record, Body, Timer> {
    /// An outcome in which nothing happens.
    pub const fn new() -> Self {
        Self {
            records: Vec::new(),
            replies: Vec::new(),
            timers: Vec::new(),
        }
    }

    /// Adds an answer that may leave at once.
    pub fn reply(&mut self, to: ReplyTo, body: Body) {
        self.replies.push(Reply {
            to,
            release: Release::AtOnce,
            body,
        });
    }

    /// Adds an answer that waits until what was appended so far is durable.
    pub fn reply_when_durable(&mut self, to: ReplyTo, body: Body) {
        self.replies.push(Reply {
            to,
            release: Release::WhenDurable,
            body,
        });
    }
}

impl<Record, Body, Timer> Default for Outcome<Record, Body, Timer> {
    fn default() -> Self {
        Self::new()
    }
}
