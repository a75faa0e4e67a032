//! The roof of Tidemill: sockets, time, people.
//!
//! This crate owns what touches the world: listeners, request handlers, cluster metadata, the shells around the pure
//! coordinators, telemetry, configuration and the command line. [`Broker::start`] is the wiring diagram.

pub mod cli;
pub mod cluster;
pub mod config;
mod coordinator_topic;
pub mod env;
#[cfg(test)]
#[path = "../../tests/src/faulty_fs/mod.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "shared with the integration tests, which use more of it"
)]
mod faulty_fs;
pub mod groups;
pub mod handlers;
pub mod http;
mod kafka_error;
pub mod memory;
pub mod network;
#[cfg(test)]
mod pages;
pub mod partitions;
pub mod producer_ids;
pub mod services;
mod start;
#[cfg(test)]
mod start_tests;
pub mod streams;
pub mod telemetry;
pub mod transactions;
#[cfg(test)]
#[path = "../../processor/src/testing/wait.rs"]
mod wait;

pub use start::{Broker, StartError};
