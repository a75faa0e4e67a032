//! Everything a request handler may reach, gathered once at start.
//!
//! Handlers translate and services decide: a handler gets [`Services`] through its `RequestContext`, asks those that it
//! needs, and keeps nothing of its own. All fields are shared handles, so that cloning the `Arc<Services>` is all a
//! connection needs.

use std::sync::Arc;

use crate::cluster::Controller;
use crate::config::BrokerConfig;
use crate::env::Env;
use crate::groups::Groups;
use crate::partitions::Partitions;
use crate::producer_ids::ProducerIds;
use crate::telemetry::Metrics;

/// The services of one running broker.
pub struct Services {
    /// The validated configuration this broker was started with; it never changes while the broker runs.
    pub config: Arc<BrokerConfig>,
    /// Clock, randomness and task spawning.
    pub env: Arc<Env>,
    /// Cluster metadata: reads go to [`Controller::image`], changes through its methods.
    pub controller: Arc<Controller>,
    /// The partitions of this node and their logs.
    pub partitions: Arc<Partitions>,
    /// The group coordinator.
    pub groups: Arc<Groups>,
    /// Producer ids for idempotent producers and for the broker's own.
    pub producer_ids: Arc<ProducerIds>,
    /// Metric handles.
    pub metrics: Arc<Metrics>,
}
