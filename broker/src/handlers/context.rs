//! What a handler knows about the request besides its body.

use std::net::SocketAddr;
use std::sync::Arc;

use protocol::ids::TimestampMs;
use tokio_util::sync::CancellationToken;

use crate::config::HostPort;
use crate::partitions::ConnectionBudget;
use crate::services::Services;

/// The surroundings of one request.
///
/// Cheap to clone; it owns what it holds, because the future of a long poll outlives the frame it came in.
#[derive(Clone)]
pub struct RequestContext {
    /// Services of the broker.
    pub services: Arc<Services>,
    /// Version of the request, inside the range of its route.
    pub api_version: i16,
    /// Correlation id, only for log lines.
    pub correlation_id: i32,
    /// The client id as sent; null becomes the empty string. Never a metric label, and escaped in logs.
    pub client_id: Arc<str>,
    /// Address that clients of the listener this request came in on shall be told.
    pub advertised: Arc<HostPort>,
    /// Remote end of the connection.
    pub peer: SocketAddr,
    /// Length of the frame that the request came in. Whatever part of the request is kept keeps all of it in memory.
    pub frame_bytes: usize,
    /// Memory for records that this connection may still take.
    pub fetch_budget: ConnectionBudget,
    /// Fires when the broker stops or the connection is lost: a handler that waits (Fetch, JoinGroup) answers at
    /// once, with what it has, or is dropped soon afterwards.
    pub closing: CancellationToken,
}

impl RequestContext {
    /// Wall clock in milliseconds since the epoch.
    pub fn now(&self) -> TimestampMs {
        self.services.env.now_ms()
    }

    /// The client's host as Kafka writes it into member descriptions, for example `/127.0.0.1`.
    pub fn client_host(&self) -> String {
        format!("/{}", self.peer.ip())
    }
}
