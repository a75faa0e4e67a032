//! The processor's ids.

use std::sync::Arc;

use processor::ports::Ids;
use uuid::Uuid;

use crate::env::Env;

/// The broker's own dice.
pub(super) struct BrokerIds {
    env: Arc<Env>,
}

impl BrokerIds {
    pub(super) fn new(env: Arc<Env>) -> Self {
        Self { env }
    }
}

impl Ids for BrokerIds {
    fn new_id(&self) -> Uuid {
        self.env.uuid()
    }
}
