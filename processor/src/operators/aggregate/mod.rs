//! GROUP BY: partial aggregates per group, in windows of event time ([`windowed`]) or without ([`updating`]).
//!
//! ```text
//! input     keys, arguments and filters of a batch, evaluated once
//! groups    (pane, key) -> slot
//! state     slot -> partial aggregates: count, total, extreme, distinct
//! grouping  ties these together, and to the state tables
//! emission  slots -> result rows, or changes against what was emitted last
//! ```
//!
//! A group's entry in the state table: version 1 (u8), flags (u8, bit 0: has changes that were not emitted), then what
//! each aggregate saves, in the order of the calls. Its key: the pane's start as sortable bytes, then the row bytes of
//! the grouping key. Values of `count(DISTINCT)` lie in parts in a table of their own: the group's key, the index of
//! the call (u8), the number of the part (u32).

mod count;
mod distinct;
mod emission;
mod extreme;
mod group_slots;
mod grouping;
mod input;
mod physical;
mod state;
mod total;
pub mod updating;
pub mod windowed;

pub use grouping::{Grouping, Setup};
pub use updating::UpdatingAggregate;
pub use windowed::WindowedAggregate;

#[cfg(test)]
mod tests;
