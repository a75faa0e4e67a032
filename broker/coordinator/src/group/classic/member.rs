//! One member of a classic group.

use std::sync::Arc;

use bytes::Bytes;
use protocol::ids::TimestampMs;

use crate::group::record::MemberMetadata;
use crate::group::{InstanceId, JoinGroup, MemberId, Protocol};
use crate::outcome::ReplyTo;

/// A member as it lives.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: MemberId,
    /// `group.instance.id` of a static member.
    pub(super) instance: Option<InstanceId>,
    pub(super) client_id: Arc<str>,
    pub(super) client_host: Arc<str>,
    pub(super) session_timeout_ms: i32,
    pub(super) rebalance_timeout_ms: i32,
    /// In the order of the member's preference. After a restart only the chosen one is known.
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    /// A parked JoinGroup.
    pub(super) joining: Option<ReplyTo>,
    /// A parked SyncGroup.
    pub(super) syncing: Option<ReplyTo>,
    /// Whether the member has not yet been told that it is in. It cannot send heartbeats, so its parked JoinGroup
    /// does not excuse it from its session.
    pub(super) is_new: bool,
    /// When the session ends.
    pub(super) session_due: TimestampMs,
}

impl Member {
    /// A member that is about to join with `request`, under the id `id`.
    pub(super) fn joining(id: MemberId, request: JoinGroup) -> Self {
        Self {
            id,
            rebalance_timeout_ms: rebalance_timeout_ms(&request),
            session_timeout_ms: request.session_timeout_ms,
            instance: request.instance,
            client_id: request.client_id,
            client_host: request.client_host,
            protocols: owned(request.protocols),
            assignment: Bytes::new(),
            joining: Some(request.to),
            syncing: None,
            is_new: true,
            session_due: TimestampMs::MAX,
        }
    }

    /// A member that was written down with its metadata for `protocol`.
    pub(super) fn restored(metadata: &MemberMetadata, protocol: Arc<str>) -> Self {
        Self {
            id: metadata.member.clone(),
            instance: metadata.instance.clone(),
            client_id: metadata.client_id.clone(),
            client_host: metadata.client_host.clone(),
            session_timeout_ms: metadata.session_timeout_ms,
            rebalance_timeout_ms: metadata.rebalance_timeout_ms,
            protocols: vec![Protocol {
                name: protocol,
                metadata: metadata.subscription.clone(),
            }],
            assignment: metadata.assignment.clone(),
            joining: None,
            syncing: None,
            is_new: false,
            session_due: TimestampMs::MAX,
        }
    }

    /// Takes over what a JoinGroup says about the member.
    pub(super) fn update(&mut self, request: JoinGroup) {
        self.session_timeout_ms = request.session_timeout_ms;
        self.rebalance_timeout_ms = rebalance_timeout_ms(&request);
        self.protocols = owned(request.protocols);
    }

    /// The metadata for `protocol`. Empty when there is no protocol, or not this one.
    pub(super) fn metadata_for(&self, protocol: Option<&str>) -> Bytes {
        let found = self.protocols.iter().find(|own| Some(&*own.name) == protocol);
        found.map(|own| own.metadata.clone()).unwrap_or_default()
    }

    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|own| &*own.name == protocol)
    }

    /// Whether the end of the session can be passed over: a member that waits for others is not silent of its own
    /// will. A new one is not excused, see `is_new`.
    pub(super) const fn is_excused(&self) -> bool {
        !self.is_new && (self.joining.is_some() || self.syncing.is_some())
    }
}

/// The protocols apart from the request: its bytes would keep the whole frame alive for as long as the member lives.
fn owned(mut protocols: Vec<Protocol>) -> Vec<Protocol> {
    for protocol in &mut protocols {
        protocol.metadata = Bytes::copy_from_slice(&protocol.metadata);
    }
    protocols
}

/// Version 0 of JoinGroup has no rebalance timeout and arrives as -1: the session timeout counts.
const fn rebalance_timeout_ms(request: &JoinGroup) -> i32 {
    if request.rebalance_timeout_ms < 0 {
        request.session_timeout_ms
    } else {
        request.rebalance_timeout_ms
    }
}
