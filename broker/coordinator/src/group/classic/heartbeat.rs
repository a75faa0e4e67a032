//! Heartbeats and sessions: who is silent for too long is no member any more.

use protocol::error_code::ErrorCode;

use super::state::State;
use super::{ClassicGroup, Turn};
use crate::group::{CommitOffsets, Heartbeat, MemberId};

impl ClassicGroup {
    /// The answer to a Heartbeat. During a join phase it asks the member to join, and counts as a sign of life all
    /// the same, as in Kafka's `GroupMetadataManager`.
    pub(crate) fn heartbeat(&mut self, turn: &mut Turn<'_>, request: &Heartbeat) -> ErrorCode {
        if let Err(error) = self.check_member(&request.member, request.instance.as_ref()) {
            return error;
        }
        if request.generation != self.generation {
            return ErrorCode::IllegalGeneration;
        }
        self.extend_session(turn, &request.member);
        match &self.state {
            State::PreparingRebalance(_) => ErrorCode::RebalanceInProgress,
            State::Empty | State::CompletingRebalance(_) | State::Stable(_) => ErrorCode::None,
        }
    }

    /// Whether a commit may come from where it says it comes. A member's commit is a sign of life.
    pub(crate) fn check_commit(&mut self, turn: &mut Turn<'_>, request: &CommitOffsets) -> Result<(), ErrorCode> {
        if request.generation < 0 && self.is_empty() {
            return Ok(());
        }
        let claims_membership = 0 <= request.generation || !request.member.is_empty() || request.instance.is_some();
        if !claims_membership {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.check_member(&request.member, request.instance.as_ref())?;
        if request.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        match &self.state {
            // The member knows the new generation but not its assignment: what it commits belongs to the old one.
            State::CompletingRebalance(_) => Err(ErrorCode::RebalanceInProgress),
            State::PreparingRebalance(_) | State::Stable(_) => {
                self.extend_session(turn, &request.member);
                Ok(())
            }
            State::Empty => unreachable!("an empty group has no member that could pass the check"),
        }
    }

    /// The timer of a session, or of an invitation that nobody took up.
    pub(crate) fn session_ended(&mut self, turn: &mut Turn<'_>, id: &MemberId) {
        if let Some(due) = self.invited.get(id) {
            if *due <= turn.now {
                self.remove(turn, id);
                self.complete_without_missing(turn);
            }
            return;
        }
        let Some(member) = self.members.get(id) else { return };
        if turn.now < member.session_due || member.is_excused() {
            return;
        }
        self.remove(turn, id);
        match &self.state {
            State::PreparingRebalance(_) => self.complete_without_missing(turn),
            State::CompletingRebalance(_) | State::Stable(_) => self.prepare_rebalance(turn),
            State::Empty => {}
        }
    }

    /// Begins every session anew: after a restart nobody is to blame for the silence.
    pub(super) fn restart_sessions(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in &ids {
            self.extend_session(turn, id);
        }
    }

    /// A sign of life.
    pub(super) fn extend_session(&mut self, turn: &mut Turn<'_>, id: &MemberId) {
        let member = self.members.get(id).expect("only members have sessions");
        self.extend_session_by(turn, id, member.session_timeout_ms);
    }

    pub(super) fn extend_session_by(&mut self, turn: &mut Turn<'_>, id: &MemberId, timeout_ms: i32) {
        let due = turn.set_timer(self.session_timer(id), timeout_ms);
        self.members
            .get_mut(id)
            .expect("only members have sessions")
            .session_due = due;
    }
}
