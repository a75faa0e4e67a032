//! The protocol's primitive types, read with every length checked and written without surprises.
//!
//! [`Reader`] never allocates and never panics, whatever the bytes say; what it hands out borrows from its input.
//! Message envelopes mostly go through the codec crate; these primitives serve the guard in front of it, headers,
//! record batches, consumer-protocol blobs, and the messages written by hand.

pub mod compact;
pub mod error;
pub mod primitive;
pub mod tagged;
pub mod varint;

pub use error::DecodeError;
pub use primitive::Reader;
