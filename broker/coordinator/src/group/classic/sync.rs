//! SyncGroup: the leader brings the assignment, everybody takes theirs.

use std::collections::BTreeMap;

use bytes::Bytes;
use protocol::error_code::ErrorCode;

use super::state::State;
use super::{ClassicGroup, Turn};
use crate::group::record::{GroupMetadataValue, GroupRecord};
use crate::group::{GroupReply, MemberId, SyncGroup, SyncReply};

impl ClassicGroup {
    /// Works on a SyncGroup. The answer may come with the leader's assignment.
    pub(crate) fn sync(&mut self, turn: &mut Turn<'_>, request: SyncGroup) {
        if let Err(error) = self.check_sync(&request) {
            return turn
                .outcome
                .reply(request.to, GroupReply::Sync(SyncReply::refused(error)));
        }
        match &self.state {
            State::Empty => unreachable!("an empty group has no member that could pass the check"),
            State::PreparingRebalance(_) => {
                let reply = SyncReply::refused(ErrorCode::RebalanceInProgress);
                turn.outcome.reply(request.to, GroupReply::Sync(reply));
            }
            State::CompletingRebalance(_) => {
                self.park_sync(turn, &request);
                if self.is_leader(&request.member) {
                    self.assign(turn, request.assignments.into_iter().collect());
                }
            }
            State::Stable(_) => {
                self.note_synced(turn, &request.member);
                let reply = self.synced(&request.member);
                turn.outcome.reply_when_durable(request.to, GroupReply::Sync(reply));
            }
        }
    }

    /// The timer of the sync phase: who has not asked for its assignment by now is removed.
    pub(crate) fn sync_ended(&mut self, turn: &mut Turn<'_>) {
        let Some(syncing) = self.state.syncing_mut() else {
            return;
        };
        if turn.now < syncing.due || syncing.waiting_for.is_empty() {
            return;
        }
        for id in std::mem::take(&mut syncing.waiting_for) {
            self.remove(turn, &id);
        }
        self.prepare_rebalance(turn);
    }

    /// Answers every parked SyncGroup with `error` and takes the assignments back.
    pub(super) fn cancel_sync(&mut self, turn: &mut Turn<'_>, error: ErrorCode) {
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in &ids {
            let member = self.members.get_mut(id).expect("the id was just listed");
            member.assignment = Bytes::new();
            if let Some(to) = member.syncing.take() {
                turn.outcome.reply(to, GroupReply::Sync(SyncReply::refused(error)));
                self.extend_session(turn, id);
            }
        }
    }

    fn check_sync(&self, request: &SyncGroup) -> Result<(), ErrorCode> {
        self.check_member(&request.member, request.instance.as_ref())?;
        if request.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differs = |asked: &Option<_>, own: &Option<_>| asked.is_some() && own.is_some() && asked != own;
        if differs(&request.protocol_type, &self.protocol_type) || differs(&request.protocol_name, &self.protocol) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn park_sync(&mut self, turn: &mut Turn<'_>, request: &SyncGroup) {
        let member = self.members.get_mut(&request.member).expect("the member was checked");
        if let Some(superseded) = member.syncing.replace(request.to) {
            let reply = SyncReply::refused(ErrorCode::RebalanceInProgress);
            turn.outcome.reply(superseded, GroupReply::Sync(reply));
        }
        self.note_synced(turn, &request.member);
    }

    fn note_synced(&mut self, turn: &mut Turn<'_>, member: &MemberId) {
        let Some(syncing) = self.state.syncing_mut() else {
            return;
        };
        if syncing.waiting_for.remove(member) && syncing.waiting_for.is_empty() {
            turn.stop_timer(self.sync_timer());
        }
    }

    /// The leader's assignment: writes the group down, makes it stable, and gives everybody who asked their part.
    /// Members that the leader left out get nothing.
    fn assign(&mut self, turn: &mut Turn<'_>, mut assignments: BTreeMap<MemberId, Bytes>) {
        let mut value = self.metadata(|member| assignments.remove(&member.id).unwrap_or_default());
        if turn.config.record_bytes_max < record_bytes(&value) {
            // Kafka fails the append and tells the clients that the server is at fault; so do we, before the append.
            self.cancel_sync(turn, ErrorCode::UnknownServerError);
            return self.prepare_rebalance(turn);
        }
        for member in &mut value.members {
            // Apart from the request, whose whole frame it would keep alive.
            member.assignment = Bytes::copy_from_slice(&member.assignment);
        }
        for (member, written) in self.members.values_mut().zip(&value.members) {
            assert_eq!(member.id, written.member, "the record lists the members in order");
            member.assignment = written.assignment.clone();
        }
        turn.outcome.records.push(GroupRecord::GroupMetadata {
            group: self.id.clone(),
            value: Some(value),
        });

        let State::CompletingRebalance(syncing) = std::mem::replace(&mut self.state, State::Empty) else {
            unreachable!("an assignment is taken in CompletingRebalance only");
        };
        self.transition(turn, State::Stable(syncing));
        self.hand_out(turn);
    }

    fn hand_out(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in &ids {
            let member = self.members.get_mut(id).expect("the id was just listed");
            let Some(to) = member.syncing.take() else { continue };
            let reply = self.synced(id);
            turn.outcome.reply_when_durable(to, GroupReply::Sync(reply));
            self.extend_session(turn, id);
        }
    }

    fn synced(&self, member: &MemberId) -> SyncReply {
        let member = self.members.get(member).expect("the member was checked");
        SyncReply {
            error: ErrorCode::None,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            assignment: member.assignment.clone(),
        }
    }
}

impl SyncReply {
    /// An answer without an assignment.
    pub(crate) const fn refused(error: ErrorCode) -> Self {
        Self {
            error,
            protocol_type: None,
            protocol_name: None,
            assignment: Bytes::new(),
        }
    }
}

/// Length of the record, key and batch overhead not counted.
pub(super) fn record_bytes(value: &GroupMetadataValue) -> usize {
    value.encode().len()
}
