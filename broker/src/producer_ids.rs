//! Producer ids for whoever asks: one at a time out of the blocks that the controller hands out.

use std::sync::Arc;

use coordinator::producer_ids::{ProducerIdAllocator, ProducerIdBlock};
use protocol::ids::ProducerId;
use tokio::sync::Mutex;

use crate::cluster::{Controller, ControllerError};

/// Gives every caller an id that nobody else ever had or gets, also over restarts.
///
/// A block costs one record in the metadata log and lasts for a thousand ids, so that hardly any caller waits.
pub struct ProducerIds {
    controller: Arc<Controller>,
    allocator: Mutex<ProducerIdAllocator>,
}

impl ProducerIds {
    /// Begins without ids; the first caller fetches a block.
    pub fn new(controller: Arc<Controller>) -> Self {
        Self {
            controller,
            allocator: Mutex::new(ProducerIdAllocator::new()),
        }
    }

    /// The next id. Callers wait for each other only while a block is being fetched.
    pub async fn next(&self) -> Result<ProducerId, ControllerError> {
        let mut allocator = self.allocator.lock().await;
        if let Some(id) = allocator.take() {
            return Ok(id);
        }
        let ids = self.controller.allocate_producer_ids().await?;
        allocator.add(ProducerIdBlock {
            first: ids.start,
            count: ids.end - ids.start,
        });
        Ok(allocator.take().expect("a block has ids"))
    }
}
