//! Producer ids for whoever asks: one at a time out of the blocks that the controller hands out.

use std::ops::Range;
use std::sync::Arc;

use protocol::ids::ProducerId;
use tokio::sync::Mutex;

use crate::cluster::{Controller, ControllerError};

/// Gives every caller an id that nobody else ever had or gets, also over restarts: what is left of a block then is lost.
///
/// A block costs one record in the metadata log and lasts for a thousand ids, so that hardly any caller waits.
pub struct ProducerIds {
    controller: Arc<Controller>,
    block: Mutex<Range<ProducerId>>,
}

impl ProducerIds {
    /// Begins without ids; the first caller fetches a block.
    pub fn new(controller: Arc<Controller>) -> Self {
        Self {
            controller,
            block: Mutex::new(0..0),
        }
    }

    /// The next id. Callers wait for each other only while a block is being fetched.
    pub async fn next(&self) -> Result<ProducerId, ControllerError> {
        let mut block = self.block.lock().await;
        if let Some(id) = block.next() {
            return Ok(id);
        }
        *block = self.controller.allocate_producer_ids().await?;
        Ok(block.next().expect("a block has ids"))
    }
}
