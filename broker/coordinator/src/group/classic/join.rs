//! JoinGroup: becoming a member, or telling that one still is (KIP-394, KIP-345).

use protocol::error_code::ErrorCode;

use super::member::Member;
use super::state::State;
use super::{ClassicGroup, Turn};
use crate::group::{GroupReply, JoinGroup, JoinReply, JoinedMember, MemberId};

/// First version in which a dynamic member joins in two steps: it is given an id and comes back with it (KIP-394).
const MEMBER_ID_REQUIRED_SINCE: i16 = 4;

impl ClassicGroup {
    /// Works on a JoinGroup. The answer may come with the end of the join phase.
    pub(crate) fn join(&mut self, turn: &mut Turn<'_>, request: JoinGroup) {
        if !self.has_room_for(turn, &request.member) {
            return self.turn_away(turn, request);
        }
        if !self.accepts_protocols(&request.protocol_type, &request.protocols) {
            return refuse(turn, request, ErrorCode::InconsistentGroupProtocol);
        }
        if request.member.is_empty() {
            return self.join_without_id(turn, request);
        }
        if self.invited.contains_key(&request.member) {
            if request.instance.is_some() {
                // Static members are not invited; a client that mixes the two up is confused.
                return refuse(turn, request, ErrorCode::UnknownMemberId);
            }
            let id = request.member.clone();
            return self.add_member(turn, id, request);
        }
        if let Err(error) = self.check_member(&request.member, request.instance.as_ref()) {
            return refuse(turn, request, error);
        }
        self.rejoin(turn, request);
    }

    fn join_without_id(&mut self, turn: &mut Turn<'_>, request: JoinGroup) {
        let id = fresh_member_id(&request);
        if let Some(instance) = &request.instance {
            return match self.static_members.get(instance).cloned() {
                Some(old) => self.replace_static_member(turn, &old, id, request),
                None => self.add_member(turn, id, request),
            };
        }
        if request.api_version < MEMBER_ID_REQUIRED_SINCE {
            return self.add_member(turn, id, request);
        }
        self.invite(turn, id, &request);
    }

    /// Hands out a member id. It is forgotten when nobody joins with it within the session timeout.
    fn invite(&mut self, turn: &mut Turn<'_>, id: MemberId, request: &JoinGroup) {
        let bytes = *turn.invited_bytes + invitation_bytes(&id);
        if turn.config.members_max <= self.invited.len() || turn.config.invited_bytes_max < bytes {
            let reply = JoinReply::refused("".into(), ErrorCode::GroupMaxSizeReached);
            return turn.outcome.reply(request.to, GroupReply::Join(reply));
        }
        let due = turn.set_timer(self.session_timer(&id), request.session_timeout_ms);
        *turn.invited_bytes = bytes;
        let before = self.invited.insert(id.clone(), due);
        assert!(before.is_none(), "a fresh member id is new");
        let reply = JoinReply::refused(id, ErrorCode::MemberIdRequired);
        turn.outcome.reply(request.to, GroupReply::Join(reply));
    }

    /// The member has come, or is not waited for any longer.
    pub(super) fn withdraw_invitation(&mut self, turn: &mut Turn<'_>, id: &MemberId) {
        if self.invited.remove(id).is_some() {
            *turn.invited_bytes -= invitation_bytes(id);
        }
    }

    /// What the group's invitations take.
    pub(crate) fn invited_bytes(&self) -> usize {
        self.invited.keys().map(|id| invitation_bytes(id)).sum()
    }

    fn add_member(&mut self, turn: &mut Turn<'_>, id: MemberId, request: JoinGroup) {
        if let State::PreparingRebalance(joining) = &mut self.state
            && let Some(initial) = &mut joining.initial
        {
            initial.new_member = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        self.withdraw_invitation(turn, &id);
        self.insert(Member::joining(id.clone(), request));
        self.extend_session_by(turn, &id, turn.config.new_member_join_timeout_ms);
        self.rebalance_or_complete(turn);
    }

    /// A JoinGroup of a current member.
    fn rejoin(&mut self, turn: &mut Turn<'_>, request: JoinGroup) {
        let member = self.members.get(&request.member).expect("the member was checked");
        let is_unchanged = member.protocols == request.protocols;
        let is_leader = self.is_leader(&request.member);
        match &self.state {
            State::PreparingRebalance(_) => self.rejoin_rebalance(turn, request),
            // The answer to the last JoinGroup was probably lost: give it again.
            State::CompletingRebalance(_) if is_unchanged => self.answer_current_generation(turn, &request),
            // The leader rejoins to have the partitions assigned anew, for example when a topic grew.
            State::Stable(_) if is_unchanged && !is_leader => self.answer_current_generation(turn, &request),
            State::CompletingRebalance(_) | State::Stable(_) => self.rejoin_rebalance(turn, request),
            State::Empty => refuse(turn, request, ErrorCode::UnknownMemberId),
        }
    }

    fn rejoin_rebalance(&mut self, turn: &mut Turn<'_>, request: JoinGroup) {
        self.park_join(turn, request);
        self.rebalance_or_complete(turn);
    }

    /// Notes what a JoinGroup says about its member and keeps the request until the join phase ends.
    pub(super) fn park_join(&mut self, turn: &mut Turn<'_>, request: JoinGroup) {
        let (id, to) = (request.member.clone(), request.to);
        let member = self.members.get_mut(&id).expect("the member was checked");
        member.update(request);
        if let Some(superseded) = member.joining.replace(to) {
            let reply = JoinReply::refused(id, ErrorCode::RebalanceInProgress);
            turn.outcome.reply(superseded, GroupReply::Join(reply));
        }
    }

    fn answer_current_generation(&self, turn: &mut Turn<'_>, request: &JoinGroup) {
        let reply = self.joined(&request.member);
        turn.outcome.reply_when_durable(request.to, GroupReply::Join(reply));
    }

    /// The current generation as `member` is told about it. The leader of a sync phase gets the list of members.
    pub(super) fn joined(&self, member: &MemberId) -> JoinReply {
        JoinReply {
            error: ErrorCode::None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member: member.clone(),
            members: if self.is_leader(member) {
                self.joined_members()
            } else {
                Vec::new()
            },
        }
    }

    fn joined_members(&self) -> Vec<JoinedMember> {
        let joined = self.members.values().map(|member| JoinedMember {
            member: member.id.clone(),
            instance: member.instance.clone(),
            metadata: member.metadata_for(self.protocol.as_deref()),
        });
        joined.collect()
    }

    /// Whether the group is below its maximal size. While members gather, only those who wait count: the size itself
    /// may be beyond a limit that was lowered, and the last ones to come are to be left out.
    fn has_room_for(&self, turn: &Turn<'_>, member: &MemberId) -> bool {
        let known = self.members.get(member);
        match &self.state {
            State::Empty => true,
            State::PreparingRebalance(_) => {
                known.is_some_and(|known| known.joining.is_some()) || self.joining_count() < turn.config.members_max
            }
            State::CompletingRebalance(_) | State::Stable(_) => {
                known.is_some() || self.members.len() < turn.config.members_max
            }
        }
    }

    fn turn_away(&mut self, turn: &mut Turn<'_>, request: JoinGroup) {
        if self.members.contains_key(&request.member) || self.invited.contains_key(&request.member) {
            self.remove(turn, &request.member);
            self.complete_when_all_joined(turn);
        }
        let reply = JoinReply::refused("".into(), ErrorCode::GroupMaxSizeReached);
        turn.outcome.reply(request.to, GroupReply::Join(reply));
    }

    /// Members that wait for the end of the join phase.
    pub(super) fn joining_count(&self) -> usize {
        self.members.values().filter(|member| member.joining.is_some()).count()
    }
}

impl JoinReply {
    /// An answer without membership.
    pub(crate) fn refused(member: MemberId, error: ErrorCode) -> Self {
        Self {
            error,
            generation: -1,
            protocol_type: None,
            protocol_name: None,
            leader: "".into(),
            skip_assignment: false,
            member,
            members: Vec::new(),
        }
    }
}

/// What an invitation takes: its member id, and the entries of the group and of its timer.
fn invitation_bytes(id: &str) -> usize {
    const ENTRIES: usize = 256;
    id.len() + ENTRIES
}

/// `client-uuid`, or `instance-uuid` for a static member, as Kafka makes them.
fn fresh_member_id(request: &JoinGroup) -> MemberId {
    let prefix = request.instance.as_ref().unwrap_or(&request.client_id);
    format!("{prefix}-{}", request.fresh_id).into()
}

fn refuse(turn: &mut Turn<'_>, request: JoinGroup, error: ErrorCode) {
    let reply = JoinReply::refused(request.member, error);
    turn.outcome.reply(request.to, GroupReply::Join(reply));
}
