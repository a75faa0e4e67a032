//! Harness of the tests: starts the built `tidemill` binary and talks to it from outside.
//!
//! Nothing here uses the code under test to judge it: record batches are encoded and decoded from the format's
//! description (`batch`), requests and responses by a codec crate (`client`), everything else through the sockets that
//! users have. `faulty_fs` is the exception: it stands below `storage` and breaks the disk for it.
//!
//! A test that can run against any broker takes its address from [`broker::Target`], so that the same test can be held
//! against Apache Kafka: `TIDEMILL_TEST_BOOTSTRAP=127.0.0.1:9092`.

#![expect(
    clippy::disallowed_methods,
    reason = "the harness stands outside: it has a clock of its own and waits"
)]

pub mod acknowledged;
pub mod batch;
pub mod blocked;
pub mod broker;
pub mod client;
pub mod faulty_fs;
pub mod half_committed;
pub mod http;
pub mod pages;
pub mod paths;
pub mod report;
pub mod requests;
pub mod stream;
pub mod wait;
