//! Tests of the log on a file system that loses, tears and fails.

mod appending;
mod deleting;
mod indexes;
mod model;
mod naming;
mod producing;
mod reading;
mod recovering;
mod retaining;
mod transactions;
