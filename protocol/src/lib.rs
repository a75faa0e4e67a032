//! Bytes and names of the Kafka protocol: the ground floor.
//!
//! This crate knows what bytes mean and what things are called. It refuses to know what to do about it: no IO, no clock,
//! no threads, no configuration, no policy. Every function is a pure one, and every decoder holds against any input:
//! lengths and counts are compared with the bytes that are really there before anything is allocated, and all limits
//! have names in [`limits`].
//!
//! - [`ids`], [`error_code`], [`api_key`]: the vocabulary.
//! - [`frame`], [`header`]: from a byte stream to one request at a time.
//! - [`guard`]: walks an untrusted request body by its schema before the message codec, which trusts counts, sees it.
//! - [`messages`]: request and response bodies.
//! - [`records`]: record batches, byte for byte as they travel and as they lie on disk.
//! - [`subscription`]: what consumers tell each other through the group protocol.
//! - [`codec`]: the primitives below all of these.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        reason = "a test that unwraps what is not there fails, as it should"
    )
)]

pub mod api_key;
pub mod codec;
pub mod error_code;
pub mod frame;
pub mod guard;
pub mod header;
pub mod ids;
pub mod limits;
pub mod messages;
pub mod records;
pub mod subscription;

pub use api_key::ApiKey;
pub use bytes::{Bytes, BytesMut};
pub use error_code::ErrorCode;
pub use ids::{
    LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, Sequence, TimestampMs, TopicId, TopicPartition,
};
