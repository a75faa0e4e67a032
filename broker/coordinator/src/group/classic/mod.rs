//! A classic group: members, leader, generation, and the rebalance that turns one generation into the next.
//!
//! ```text
//!            first join                 all joined, or time is up              leader's assignment
//!   Empty ──────────────▶ PreparingRebalance ─────────────▶ CompletingRebalance ─────────────▶ Stable
//!     ▲                     ▲      │  nobody left             │        join, leave, lost        │
//!     └─────────────────────┼──────┘                          ▼             member              │
//!                           └─────────────────────────────────┴─────────────────────────────────┘
//! ```
//!
//! Everything here is soft state: a group is written down when it becomes stable, when a static member of a stable
//! group changes its member id, and when it becomes empty. A group that is deleted is gone; Kafka's state `Dead` only
//! appears in answers about groups that do not exist.
//!
//! Source: Kafka's `ClassicGroup`, `ClassicGroupMember` and the classic half of `GroupMetadataManager`.

mod describe;
mod heartbeat;
mod join;
mod leave;
mod member;
mod protocols;
mod rebalance;
mod state;
mod static_member;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use protocol::error_code::ErrorCode;
use protocol::ids::TimestampMs;

use super::record::{GroupMetadataValue, GroupRecord, MemberMetadata};
use super::subscription::CONSUMER;
use super::{GroupConfig, GroupId, GroupOutcome, GroupReply, GroupTimer, InstanceId, JoinReply, MemberId, SyncReply};
use crate::timer::TimerChange;

use member::Member;
use state::State;

pub(crate) use describe::UnusedSince;

/// One command being worked on: the time, the settings, and where decisions are collected.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) now: TimestampMs,
    pub(crate) config: &'a GroupConfig,
    /// What the invitations of all groups take.
    pub(crate) invited_bytes: &'a mut usize,
    pub(crate) outcome: &'a mut GroupOutcome,
}

impl Turn<'_> {
    fn set_timer(&mut self, key: GroupTimer, after_ms: i32) -> TimestampMs {
        let at = self.now.saturating_add(i64::from(after_ms));
        self.outcome.timers.push(TimerChange::Set { key, at });
        at
    }

    fn stop_timer(&mut self, key: GroupTimer) {
        self.outcome.timers.push(TimerChange::Stop { key });
    }
}

/// A classic group as it lives.
#[derive(Clone, Debug)]
pub(crate) struct ClassicGroup {
    id: GroupId,
    state: State,
    /// When the group came into its state; unknown for a group that only ever held offsets.
    state_since: Option<TimestampMs>,
    generation: i32,
    /// Type that all members share; stays when the group becomes empty. Nothing for a group that never had a member.
    protocol_type: Option<Arc<str>>,
    /// The protocol that was chosen for this generation.
    protocol: Option<Arc<str>>,
    leader: Option<MemberId>,
    members: BTreeMap<MemberId, Member>,
    /// Which member goes by an instance id now.
    static_members: BTreeMap<InstanceId, MemberId>,
    /// Member ids that were handed out and have not joined yet, each with the end of its session.
    invited: BTreeMap<MemberId, TimestampMs>,
    /// Topics that this generation of consumers subscribes to; nothing when that cannot be known.
    subscribed_topics: Option<BTreeSet<Arc<str>>>,
}

impl ClassicGroup {
    /// A group without members, which exists because somebody joins it or commits offsets under its name.
    pub(crate) const fn empty(id: GroupId) -> Self {
        Self {
            id,
            state: State::Empty,
            state_since: None,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            invited: BTreeMap::new(),
            subscribed_topics: None,
        }
    }

    /// The group that a metadata record describes. Its members are members again and their sessions begin now.
    pub(crate) fn restored(id: GroupId, value: &GroupMetadataValue, turn: &mut Turn<'_>) -> Self {
        let mut group = Self::empty(id);
        group.state_since = value.current_state_timestamp;
        group.generation = value.generation;
        group.protocol_type = Some(value.protocol_type.clone()).filter(|kind| !kind.is_empty());
        group.protocol = value.protocol.clone();
        group.leader = value.leader.clone();
        for metadata in &value.members {
            let member = Member::restored(metadata, value.protocol.clone().unwrap_or_default());
            group.insert(member);
        }
        if !group.members.is_empty() {
            group.state = State::Stable(state::Syncing::nobody());
        }
        group.subscribed_topics = group.compute_subscribed_topics();
        group.restart_sessions(turn);
        if turn.config.members_max < group.members.len() {
            // The limit was lowered: let the members race for the places.
            group.prepare_rebalance(turn);
        }
        group
    }

    /// Whether nothing at all is left of the group: no member, nobody invited, no generation to remember.
    pub(crate) fn is_deserted(&self) -> bool {
        self.members.is_empty() && self.invited.is_empty() && matches!(self.state, State::Empty) && self.generation == 0
    }

    /// Whether the group may be removed: it has no members and nobody is about to become one.
    pub(crate) fn is_vacant(&self) -> bool {
        self.is_empty() && self.invited.is_empty()
    }

    /// Kafka's state `Empty`: no members, no rebalance.
    pub(crate) const fn is_empty(&self) -> bool {
        matches!(self.state, State::Empty)
    }

    /// Whether members are, or will be, consumers.
    pub(crate) fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Whether a member of the current generation subscribes to `topic`, as far as can be known.
    pub(crate) fn subscribes_to(&self, topic: &str) -> bool {
        self.subscribed_topics
            .as_ref()
            .is_some_and(|topics| topics.contains(topic))
    }

    /// The record for a group whose first member has an id and has not joined yet.
    pub(crate) fn birth_record(&self) -> GroupRecord {
        let value = GroupMetadataValue {
            protocol_type: "".into(),
            generation: 0,
            protocol: None,
            leader: None,
            current_state_timestamp: self.state_since,
            members: Vec::new(),
        };
        GroupRecord::GroupMetadata {
            group: self.id.clone(),
            value: Some(value),
        }
    }

    /// The group as it is now, with the given assignment per member.
    fn metadata(&self, mut assignment_of: impl FnMut(&Member) -> Bytes) -> GroupMetadataValue {
        let members = self.members.values().map(|member| MemberMetadata {
            member: member.id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata_for(self.protocol.as_deref()),
            assignment: assignment_of(member),
        });
        GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.state_since,
            members: members.collect(),
        }
    }

    /// Checks that a request speaks for a current member.
    fn check_member(&self, member: &MemberId, instance: Option<&InstanceId>) -> Result<(), ErrorCode> {
        if let Some(instance) = instance {
            match self.static_members.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(current) if current != member => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member) {
            return Ok(());
        }
        Err(ErrorCode::UnknownMemberId)
    }

    fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    fn transition(&mut self, turn: &Turn<'_>, state: State) {
        self.state = state;
        self.state_since = Some(turn.now);
    }

    /// Takes a member in. The first one of a group decides the group's protocol type and is its leader.
    fn insert(&mut self, member: Member) {
        if let Some(instance) = &member.instance {
            let before = self.static_members.insert(instance.clone(), member.id.clone());
            assert!(before.is_none(), "an instance id belongs to one member");
        }
        self.leader.get_or_insert_with(|| member.id.clone());
        let before = self.members.insert(member.id.clone(), member);
        assert!(before.is_none(), "a member joins once");
    }

    /// Removes a member or an invited one, answers what it waits for, and stops its session. The next member by id
    /// inherits the leadership. Outside of a join phase the caller rebalances when it removed a member.
    fn remove(&mut self, turn: &mut Turn<'_>, id: &MemberId) {
        self.withdraw_invitation(turn, id);
        turn.stop_timer(self.session_timer(id));
        let Some(mut member) = self.members.remove(id) else {
            return;
        };
        if let Some(instance) = &member.instance {
            self.static_members.remove(instance);
        }
        if let Some(to) = member.joining.take() {
            let reply = JoinReply::refused("".into(), ErrorCode::UnknownMemberId);
            turn.outcome.reply(to, GroupReply::Join(reply));
        }
        if let Some(to) = member.syncing.take() {
            turn.outcome
                .reply(to, GroupReply::Sync(SyncReply::refused(ErrorCode::UnknownMemberId)));
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// Stops whatever runs: the group is no more.
    pub(crate) fn stop_timers(&self, outcome: &mut GroupOutcome) {
        let sessions = self
            .members
            .keys()
            .chain(self.invited.keys())
            .map(|member| self.session_timer(member));
        let phases = [self.join_timer(), self.sync_timer()];
        outcome
            .timers
            .extend(sessions.chain(phases).map(|key| TimerChange::Stop { key }));
    }

    fn session_timer(&self, member: &MemberId) -> GroupTimer {
        GroupTimer::Session {
            group: self.id.clone(),
            member: member.clone(),
        }
    }

    fn join_timer(&self) -> GroupTimer {
        GroupTimer::Join { group: self.id.clone() }
    }

    fn sync_timer(&self) -> GroupTimer {
        GroupTimer::Sync { group: self.id.clone() }
    }
}
