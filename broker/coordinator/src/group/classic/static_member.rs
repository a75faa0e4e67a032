//! Static members (KIP-345): a process that comes back under its instance id takes the place of its former self.

use protocol::error_code::ErrorCode;

use super::state::State;
use super::sync::record_bytes;
use super::{ClassicGroup, Turn};
use crate::group::record::GroupRecord;
use crate::group::{GroupReply, InstanceId, JoinGroup, JoinReply, MemberId, SyncReply};

/// First version in which a leader can be told that the assignment stands (KIP-814).
const SKIP_ASSIGNMENT_SINCE: i16 = 9;

impl ClassicGroup {
    /// A static member joins without a member id while `old` holds its place. In a stable group whose protocol does
    /// not change by this, nobody else notices; otherwise the group rebalances.
    pub(super) fn replace_static_member(
        &mut self,
        turn: &mut Turn<'_>,
        old: &MemberId,
        new: MemberId,
        mut request: JoinGroup,
    ) {
        let old_leader = self.leader.clone();
        let instance = request.instance.clone().expect("only static members are replaced");
        self.rename_member(turn, old, &new, &instance);
        request.member = new.clone();

        match &self.state {
            State::Empty => unreachable!("an empty group has no static members"),
            State::PreparingRebalance(_) => {
                self.park_join(turn, request);
                self.extend_session(turn, &new);
                self.complete_when_all_joined(turn);
            }
            // The leader may be working with the old id; with the new one the assignment would find nobody.
            State::CompletingRebalance(_) => {
                self.park_join(turn, request);
                self.extend_session(turn, &new);
                self.prepare_rebalance(turn);
            }
            State::Stable(_) => self.resume_static_member(turn, old_leader, request),
        }
    }

    fn resume_static_member(&mut self, turn: &mut Turn<'_>, old_leader: Option<MemberId>, request: JoinGroup) {
        let member = self
            .members
            .get_mut(&request.member)
            .expect("the member was just renamed");
        member.update(request.clone());
        let keeps_protocol = self.protocol.as_ref() == Some(&self.select_protocol());
        let value = self.metadata(|member| member.assignment.clone());
        if !keeps_protocol || turn.config.record_bytes_max < record_bytes(&value) {
            self.park_join(turn, request);
            return self.prepare_rebalance(turn);
        }
        turn.outcome.records.push(GroupRecord::GroupMetadata {
            group: self.id.clone(),
            value: Some(value),
        });
        self.extend_session(turn, &request.member);
        let reply = self.resumed(&request, old_leader);
        turn.outcome.reply_when_durable(request.to, GroupReply::Join(reply));
    }

    /// A leader that is back must not assign anew. From version 9 it is told so; before, it is told that its former
    /// self still leads, so that it acts as a follower.
    fn resumed(&self, request: &JoinGroup, old_leader: Option<MemberId>) -> JoinReply {
        let mut reply = self.joined(&request.member);
        if SKIP_ASSIGNMENT_SINCE <= request.api_version {
            reply.skip_assignment = self.is_leader(&request.member);
        } else {
            reply.leader = old_leader.unwrap_or_default();
            reply.members.clear();
        }
        reply
    }

    /// Gives the member `old` the id `new`. Whoever still waits under the old id is a duplicate and is fenced.
    fn rename_member(&mut self, turn: &mut Turn<'_>, old: &MemberId, new: &MemberId, instance: &InstanceId) {
        let mut member = self.members.remove(old).expect("the instance id belongs to a member");
        if let Some(to) = member.joining.take() {
            let reply = JoinReply::refused(old.clone(), ErrorCode::FencedInstanceId);
            turn.outcome.reply(to, GroupReply::Join(reply));
        }
        if let Some(to) = member.syncing.take() {
            turn.outcome
                .reply(to, GroupReply::Sync(SyncReply::refused(ErrorCode::FencedInstanceId)));
        }
        turn.stop_timer(self.session_timer(old));
        if let Some(syncing) = self.state.syncing_mut()
            && syncing.waiting_for.remove(old)
        {
            syncing.waiting_for.insert(new.clone());
        }
        if self.is_leader(old) {
            self.leader = Some(new.clone());
        }
        self.static_members.insert(instance.clone(), new.clone());
        member.id = new.clone();
        self.members.insert(new.clone(), member);
    }
}
