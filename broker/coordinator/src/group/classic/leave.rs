//! LeaveGroup: members go, or an administrator removes them (KIP-345).

use protocol::error_code::ErrorCode;

use super::{ClassicGroup, Turn};
use crate::group::{GroupReply, LeaveGroup, LeaveReply, LeavingMember, LeftMember};

impl ClassicGroup {
    /// Removes the members that a LeaveGroup names, then rebalances once.
    pub(crate) fn leave(&mut self, turn: &mut Turn<'_>, request: LeaveGroup) {
        let mut left = Vec::with_capacity(request.members.len());
        for leaving in request.members {
            let error = self.remove_leaving(turn, &leaving).err().unwrap_or(ErrorCode::None);
            left.push(LeftMember {
                member: leaving.member,
                instance: leaving.instance,
                error,
            });
        }
        if left.iter().any(|left| left.error == ErrorCode::None) && !self.is_empty() {
            self.rebalance_or_complete(turn);
        }
        let reply = GroupReply::Leave(LeaveReply {
            error: ErrorCode::None,
            members: left,
        });
        if turn.outcome.records.is_empty() {
            turn.outcome.reply(request.to, reply);
        } else {
            turn.outcome.reply_when_durable(request.to, reply);
        }
    }

    fn remove_leaving(&mut self, turn: &mut Turn<'_>, leaving: &LeavingMember) -> Result<(), ErrorCode> {
        if self.invited.contains_key(&leaving.member) {
            self.remove(turn, &leaving.member);
            return Ok(());
        }
        if !leaving.member.is_empty() {
            self.check_member(&leaving.member, leaving.instance.as_ref())?;
            self.remove(turn, &leaving.member);
            return Ok(());
        }
        // An administrator knows the instance id, not the member id.
        let member = leaving
            .instance
            .as_ref()
            .and_then(|instance| self.static_members.get(instance))
            .cloned();
        self.remove(turn, &member.ok_or(ErrorCode::UnknownMemberId)?);
        Ok(())
    }
}

impl LeaveReply {
    /// The same answer for every member.
    pub(crate) fn same_for_all(members: Vec<LeavingMember>, error: ErrorCode) -> Self {
        let left = members
            .into_iter()
            .map(|LeavingMember { member, instance }| LeftMember {
                member,
                instance,
                error,
            });
        Self {
            error: ErrorCode::None,
            members: left.collect(),
        }
    }
}
