//! What no client should send. Goal: each gets the error that a client can act on, or loses its own connection, and
//! everybody else is served as before. Method: a plain connection sends the bytes; afterwards a new one asks who the
//! broker is.

mod batches;
mod bombs;
mod frames;
mod growth;
mod lying_records;
