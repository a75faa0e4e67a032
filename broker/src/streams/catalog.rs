//! SQL objects in the cluster's metadata log.

use std::sync::Arc;

use async_trait::async_trait;
use processor::ports::{CatalogStore, PortError, StoredObject};

use crate::cluster::{Controller, ControllerError};

/// Keeps the payloads that the processor writes, without looking into them.
pub(super) struct MetadataCatalog {
    controller: Arc<Controller>,
}

impl MetadataCatalog {
    pub(super) fn new(controller: Arc<Controller>) -> Self {
        Self { controller }
    }
}

#[async_trait]
impl CatalogStore for MetadataCatalog {
    fn load(&self) -> Vec<StoredObject> {
        let image = self.controller.image();
        let objects = image.sql_objects.iter();
        objects
            .map(|(name, payload)| StoredObject {
                name: name.to_string(),
                payload: payload.clone(),
            })
            .collect()
    }

    async fn put(&self, object: StoredObject) -> Result<(), PortError> {
        self.controller
            .put_sql_object(&object.name, object.payload)
            .await
            .map_err(port_error)
    }

    async fn remove(&self, name: &str) -> Result<(), PortError> {
        self.controller.remove_sql_object(name).await.map_err(port_error)
    }
}

/// What the controller's refusal means to the processor, where no topic is named.
pub(super) fn port_error(error: ControllerError) -> PortError {
    match error {
        ControllerError::Refused(refusal) => PortError::Invalid(refusal.to_string()),
        ControllerError::Stopping => PortError::ShuttingDown,
        error @ ControllerError::Store(_) => PortError::Storage(error.to_string()),
    }
}
