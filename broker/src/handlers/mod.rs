//! The route table: one line per Kafka API that this broker serves.
//!
//! Dispatch, ApiVersions and metric labels are derived from [`ROUTES`] and from nothing else. A handler lives in the
//! file named like its API and has the form `async fn handle(&RequestContext, XRequest) -> XResponse`: Kafka's errors
//! stand inside the response. Produce alone may also answer nothing or close the connection, for `acks=0`. What cannot
//! be decoded or encoded closes the connection (see [`reply`]).
//!
//! Its first lines say: what each version added, its stage (as in the table, and what the answer waits for), and where it
//! deviates from Kafka on purpose.
//!
//! A request's future is polled once when it is taken from the connection, in the order of arrival. What a handler
//! does before its first wait is therefore in order: Produce appends there.

pub mod context;
pub mod first_error;
pub mod reply;

mod api_versions;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod distinct;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_fetch;
mod produce;
mod sync_group;

#[cfg(test)]
mod admin_tests;
#[cfg(test)]
mod power_tests;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use futures::future::BoxFuture;
use protocol::ApiKey;
use protocol::messages::*;

pub(crate) use api_versions::unsupported as unsupported_api_versions;
pub use context::RequestContext;
pub use reply::{CloseReason, Reply};

/// How a request stands to the ones behind it on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The next request starts at once; responses still leave in request order.
    Pipelined,
    /// The next request starts when this one is answered: it changes what the next one may see.
    Alone,
}

/// One line of the table.
pub struct Route {
    /// The API.
    pub api: ApiKey,
    /// Lowest version that ApiVersions shows.
    pub advertised_from: i16,
    /// Lowest version that is served.
    pub min_version: i16,
    /// Highest version that is served and shown.
    pub max_version: i16,
    /// How it stands to requests behind it.
    pub order: Order,
    /// Decodes, handles, encodes.
    pub call: fn(RequestContext, Bytes) -> BoxFuture<'static, Result<Reply, CloseReason>>,
}

impl Route {
    /// Whether this version of the API is served.
    pub fn serves(&self, version: i16) -> bool {
        self.min_version <= version && version <= self.max_version
    }
}

/// The route of an API key as it stands in a request header.
pub fn route(api_key: i16) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.api as i16 == api_key)
}

macro_rules! routes {
    ($($api:ident $from:literal $min:literal ..= $max:literal $order:ident $module:ident $request:ident $reply:ident;)*) => {
        /// Every API served, in key order.
        pub static ROUTES: &[Route] = &[$(Route {
            api: ApiKey::$api,
            advertised_from: $from,
            min_version: $min,
            max_version: $max,
            order: Order::$order,
            call: |context, body| Box::pin(async move {
                let request: $request = reply::decode(context.api_version, body)?;
                let response = $module::handle(&context, request).await;
                reply::$reply(&context, response)
            }),
        },)*];
    };
}

// Versions are those of Apache Kafka 4.3. Produce is shown from 0 because librdkafka stops compressing otherwise
// (KAFKA-18659); versions below 3 carry message formats that no longer exist and close the connection.
#[rustfmt::skip]
routes! {
    //  API                shown from  served   order      module                     request                         reply
    Produce                 0          3..=13   Pipelined  produce                    ProduceRequest                  unless_silent;
    Fetch                   4          4..=18   Pipelined  fetch                      FetchRequest                    fetch;
    ListOffsets             1          1..=11   Pipelined  list_offsets               ListOffsetsRequest              body;
    Metadata                0          0..=13   Pipelined  metadata                   MetadataRequest                 body;
    OffsetCommit            2          2..=10   Pipelined  offset_commit              OffsetCommitRequest             body;
    OffsetFetch             1          1..=10   Pipelined  offset_fetch               OffsetFetchRequest              body;
    FindCoordinator         0          0..=6    Pipelined  find_coordinator           FindCoordinatorRequest          body;
    JoinGroup               0          0..=9    Pipelined  join_group                 JoinGroupRequest                body;
    Heartbeat               0          0..=4    Pipelined  heartbeat                  HeartbeatRequest                body;
    LeaveGroup              0          0..=5    Pipelined  leave_group                LeaveGroupRequest               body;
    SyncGroup               0          0..=5    Pipelined  sync_group                 SyncGroupRequest                body;
    DescribeGroups          0          0..=6    Pipelined  describe_groups            DescribeGroupsRequest           body;
    ListGroups              0          0..=5    Pipelined  list_groups                ListGroupsRequest               body;
    ApiVersions             0          0..=4    Pipelined  api_versions               ApiVersionsRequest              body;
    CreateTopics            2          2..=7    Alone      create_topics              CreateTopicsRequest             body;
    DeleteTopics            1          1..=6    Alone      delete_topics              DeleteTopicsRequest             body;
    InitProducerId          0          0..=5    Pipelined  init_producer_id           InitProducerIdRequest           body;
    DescribeConfigs         1          1..=4    Pipelined  describe_configs           DescribeConfigsRequest          body;
    CreatePartitions        0          0..=3    Alone      create_partitions          CreatePartitionsRequest         body;
    DeleteGroups            0          0..=2    Alone      delete_groups              DeleteGroupsRequest             body;
    IncrementalAlterConfigs 0          0..=1    Alone      incremental_alter_configs  IncrementalAlterConfigsRequest  body;
    DescribeCluster         0          0..=2    Pipelined  describe_cluster           DescribeClusterRequest          body;
}
