//! Integration tests: the built binary, seen from its sockets and its data folder.

#![expect(
    clippy::disallowed_methods,
    reason = "tests stand outside: they have randomness of their own"
)]

mod admin;
mod bad_input;
mod bounds;
mod demo;
mod durability;
mod exactly_once;
mod fetching;
mod groups;
mod isolation;
mod lifecycle;
mod metadata;
mod metrics;
mod offline;
mod producing;
mod recovery;
mod settings;
mod sql;
mod streaming;
mod topic_keys;
mod wire;
