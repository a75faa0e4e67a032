//! State of a query: ordered key-value tables that survive a restart.
//!
//! ```text
//! operators ──> StateStore ──┬─ changes of the current epoch   (memory)
//!                            ├─ changes of the epoch in flight (memory, until its decision is durable)
//!                            ├─ cache of committed entries     (memory, bounded)
//!                            └─ Rocks                          (disk, always at one whole committed epoch)
//! changelog topic ── recovery ──> Rocks
//! ```
//!
//! The durable form of state is the query's changelog topic, a compacted topic of one partition. RocksDB runs without
//! its own log in a single column family and takes one write batch per committed epoch, which holds the epoch's
//! changes, its [`EpochRecord`] and the changelog offset behind it; so whatever RocksDB remembers after a crash is one
//! whole epoch, and the changelog from its offset on brings it up to date. RocksDB may be deleted at any time.
//!
//! Formats, each with a version byte: `key` (keys), `epoch` (the epoch record), `changelog` (records of the topic).

mod cache;
pub mod changelog;
pub mod changes;
pub mod epoch;
pub mod key;
mod overlay;
pub mod recovery;
mod rocks;
mod store;

pub use changes::Changes;
pub use epoch::{EpochRecord, SourcePosition};
pub use key::{TableId, virtual_node};
pub use recovery::{RecoverError, Recovered, recover};
pub use rocks::{CommittedEpoch, Rocks, StateError, StoredEntry};
pub use store::{ScanEnd, StateStore};

#[cfg(test)]
mod tests;
