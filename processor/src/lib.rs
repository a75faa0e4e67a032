//! Second floor: SQL to dataflow. Text becomes a statement (`sql`), names become objects (`catalog`), a query becomes a
//! plan (`plan`) and runs, once (`query`) or until it is dropped (`runtime`, `operators`, `time`, `state`).
//!
//! The crate knows no sockets, no clock and no Kafka request. Logs are read through `storage` in this process; all else
//! is reached through the traits in [`ports`], which the broker implements. [`engine::Engine`] is the door.

pub mod catalog;
pub mod config;
pub mod crash;
pub mod engine;
pub mod error;
pub mod formats;
pub mod functions;
pub mod operators;
pub mod plan;
pub mod ports;
pub mod quantity;
pub mod query;
pub mod runtime;
pub mod sql;
pub mod state;
pub mod stats;
pub mod time;

#[cfg(test)]
mod testing;
