//! The rules of Tidemill's coordinators, without a world: no sockets, files, clocks, threads or randomness.
//!
//! Two machines live here, consumer groups ([`group::Groups`]) and transactions ([`transaction::Transactions`]), and
//! beside them the arithmetic of producer epochs ([`producer_ids`]). A machine owns one partition of an internal topic;
//! both follow one contract:
//!
//! 1. **Load.** A fresh machine is fed every record of its partition, in order, through `apply`, and is then told
//!    `loaded`. Until then it refuses what it is asked.
//! 2. **Decide.** A call looks at the state and returns records to append, with what else follows. It never touches
//!    *hard* state (what the records say); it may touch *soft* state (parked requests, a rebalance under way, markers
//!    that are known to be durable), which is lost by design when the process dies.
//! 3. **Do.** The shell appends the records to the partition's log, in one batch where they fit, and passes each to
//!    `apply` before it makes the next call. An answer that depends on records waits until they are durable.
//! 4. **Fail.** If the append fails, the shell drops the machine and loads a new one from the log. Nothing has to be
//!    undone by hand.
//!
//! They differ in who waits for the answer:
//!
//! - *Groups* answer many members, each at its own time. Every command goes through `handle(now, command)`, which
//!   returns an [`Outcome`]: records, replies, timers. A reply marked [`Release::WhenDurable`] leaves once everything
//!   appended so far is durable; one marked [`Release::AtOnce`] leaves immediately. While the machine loads, requests
//!   are answered `COORDINATOR_LOAD_IN_PROGRESS`, except heartbeats, to which the answer is that all is well. When it
//!   is dropped, whoever waits is answered `NOT_COORDINATOR`.
//! - *Transactions* answer their caller. Every step is a method with a result of its own; the caller waits for the
//!   records to be durable, writes the markers, and comes back. No request is parked and no timer runs.
//!
//! A machine has one caller at a time; there is nothing to lock inside. The same inputs give the same outputs, always:
//! the maps are ordered, time and random ids are arguments.

#![forbid(unsafe_code)]

pub mod group;
pub mod outcome;
pub mod producer_ids;
pub mod timer;
pub mod transaction;
mod wire;

pub use outcome::{Outcome, Release, Reply, ReplyTo};
pub use timer::{TimerChange, TimerQueue};

/// Names of groups, transactional ids and topics that begin so belong to Tidemill itself.
///
/// The offsets of such groups do not expire: a query that was stopped for a month resumes where it stopped.
pub const RESERVED_PREFIX: &str = "tidemill.";

/// Partition of an internal topic that owns `key`, by Kafka's rule: the absolute value of Java's string hash modulo
/// the partition count. Tools compute it themselves, so it may never change.
///
/// `partition_count` must be positive. Source: Kafka's `Utils.abs(key.hashCode()) % partitionCount`, where the
/// absolute value of the smallest integer counts as zero.
pub fn partition_of_key(key: &str, partition_count: i32) -> protocol::ids::PartitionId {
    assert!(partition_count > 0, "an internal topic has at least one partition");
    let hash = key
        .encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    hash.checked_abs().unwrap_or(0) % partition_count
}

#[cfg(test)]
mod tests {
    use super::partition_of_key;

    #[test]
    fn partitions_of_keys_agree_with_java() {
        // String.hashCode values as the Java runtime computes them.
        assert_eq!(partition_of_key("", 50), 0);
        assert_eq!(partition_of_key("a", 50), 97 % 50);
        assert_eq!(partition_of_key("hello", 50), 99_162_322 % 50);
        // "polygenelubricants" hashes to the smallest integer, whose absolute value does not exist.
        assert_eq!(partition_of_key("polygenelubricants", 50), 0);
        // A character outside the basic plane counts as its two UTF-16 units.
        assert_eq!(partition_of_key("😀", 50), 1_772_899 % 50);
    }
}
