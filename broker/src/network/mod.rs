//! The Kafka listener: accepting connections, cutting them into frames, answering in order.
//!
//! ```text
//! socket -> frames -> route table -> handler (polled once, in order) -> responses in request order -> socket
//! ```
//!
//! What clients may take is bounded by settings: connections (in all and per address), bytes of a frame, time for a
//! frame to arrive, requests in flight per connection, memory for large frames, idle time. Constants are what nobody has
//! a reason to tune: how much waits in an outbox ([`connection`]), and how long a stop, a quiet peer and a failed accept
//! are given ([`listener`]).

pub mod admission;
pub mod connection;
pub mod dispatch;
pub mod fetch_response;
pub mod frames;
pub mod listener;
pub mod outbox;
pub mod response;

#[cfg(test)]
mod tests;

pub use listener::Listener;
