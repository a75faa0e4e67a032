//! Cluster metadata: records in one log, the image built from them, and the controller that writes them.
//!
//! ```text
//! command -> change (pure: validate against the image) -> records -> metadata log, flushed -> image -> partitions
//! ```
//!
//! Today the quorum is one node. What must be replicated later is the log alone: everything else is a function of it.

pub mod change;
pub mod controller;
pub mod identity;
pub mod image;
pub mod names;
pub mod record;
pub mod store;

pub use controller::{Controller, ControllerError, ImageApplier};
pub use image::{Image, NodeId, PartitionImage, TopicImage};

#[cfg(test)]
mod tests;
