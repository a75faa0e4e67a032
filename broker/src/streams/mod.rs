//! The broker's side of the processor's ports: topics, the catalog's store, time and ids. The fifth port, epochs as
//! transactions, is [`crate::transactions`].

mod catalog;
mod figures;
mod ids;
mod time;
mod topics;

use std::sync::Arc;

use processor::ports::Ports;

use crate::services::Services;
use crate::transactions::{Transactions, TransactionsPort};

pub(crate) use figures::EngineFigures;

/// The world as the processor sees it.
pub fn ports(services: &Arc<Services>, transactions: Arc<Transactions>) -> Ports {
    Ports {
        clock: Arc::new(time::BrokerClock::new(Arc::clone(&services.env))),
        ids: Arc::new(ids::BrokerIds::new(Arc::clone(&services.env))),
        topics: Arc::new(topics::BrokerTopics::new(services)),
        epochs: Arc::new(TransactionsPort::new(transactions)),
        catalog: Arc::new(catalog::MetadataCatalog::new(Arc::clone(&services.controller))),
    }
}
