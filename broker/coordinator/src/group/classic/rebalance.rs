//! The join phase: asking everybody to join, waiting, and fixing the next generation.

use protocol::error_code::ErrorCode;

use super::state::{InitialDelay, Joining, State, Syncing};
use super::{ClassicGroup, Turn};
use crate::group::{GroupRecord, GroupReply, MemberId};

impl ClassicGroup {
    /// Starts a rebalance, or completes the one under way if this was the last thing that it waited for.
    pub(super) fn rebalance_or_complete(&mut self, turn: &mut Turn<'_>) {
        match &self.state {
            State::PreparingRebalance(_) => self.complete_when_all_joined(turn),
            State::Empty | State::CompletingRebalance(_) | State::Stable(_) => self.prepare_rebalance(turn),
        }
    }

    /// Starts a rebalance. The first one of an empty group waits for more members to come (KIP-134).
    pub(super) fn prepare_rebalance(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.state, State::CompletingRebalance(_)) {
            self.cancel_sync(turn, ErrorCode::RebalanceInProgress);
        }
        if self.state.syncing_mut().is_some() {
            turn.stop_timer(self.sync_timer());
        }
        if !matches!(self.state, State::Empty) {
            let due = turn.set_timer(self.join_timer(), self.rebalance_timeout_ms());
            self.transition(turn, State::PreparingRebalance(Joining { due, initial: None }));
            return self.complete_when_all_joined(turn);
        }
        let step_ms = turn.config.initial_rebalance_delay_ms;
        let remaining_ms = (self.rebalance_timeout_ms() - step_ms).max(0);
        let due = turn.set_timer(self.join_timer(), step_ms);
        let initial = Some(InitialDelay {
            step_ms,
            remaining_ms,
            new_member: false,
        });
        self.transition(turn, State::PreparingRebalance(Joining { due, initial }));
    }

    /// Ends the join phase if nobody is missing. A first rebalance is ended by its timer alone.
    pub(super) fn complete_when_all_joined(&mut self, turn: &mut Turn<'_>) {
        let State::PreparingRebalance(Joining { initial: None, .. }) = &self.state else {
            return;
        };
        if self.all_joined() {
            self.complete_join(turn);
        }
    }

    /// Somebody who was expected will not come: ends the join phase if nobody else is missing. Unlike
    /// [`Self::complete_when_all_joined`] this ends a first rebalance as well, as in Kafka.
    pub(super) fn complete_without_missing(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.state, State::PreparingRebalance(_)) && self.all_joined() {
            self.complete_join(turn);
        }
    }

    /// The timer of the join phase.
    pub(crate) fn join_ended(&mut self, turn: &mut Turn<'_>) {
        let State::PreparingRebalance(joining) = &self.state else {
            return;
        };
        if turn.now < joining.due {
            return;
        }
        match joining.initial {
            Some(initial) if initial.new_member && 0 < initial.remaining_ms => self.extend_initial_delay(turn, initial),
            _ => self.complete_join(turn),
        }
    }

    fn extend_initial_delay(&mut self, turn: &mut Turn<'_>, initial: InitialDelay) {
        let step_ms = turn.config.initial_rebalance_delay_ms.min(initial.remaining_ms);
        let remaining_ms = (initial.remaining_ms - initial.step_ms).max(0);
        let due = turn.set_timer(self.join_timer(), step_ms);
        let initial = Some(InitialDelay {
            step_ms,
            remaining_ms,
            new_member: false,
        });
        self.state = State::PreparingRebalance(Joining { due, initial });
    }

    /// Ends the join phase with those who came. Dynamic members that did not are removed; static ones stay until
    /// their session ends.
    fn complete_join(&mut self, turn: &mut Turn<'_>) {
        turn.stop_timer(self.join_timer());
        let missing: Vec<MemberId> = self
            .members
            .values()
            .filter(|member| member.joining.is_none() && member.instance.is_none())
            .map(|member| member.id.clone())
            .collect();
        for id in &missing {
            self.remove(turn, id);
        }
        if self.members.is_empty() {
            return self.become_empty(turn);
        }
        if self.elect_leader() {
            return self.begin_generation(turn);
        }
        // Only static members are left, and none of them has come: wait until one does or their sessions end.
        let due = turn.set_timer(self.join_timer(), self.rebalance_timeout_ms());
        if let State::PreparingRebalance(joining) = &mut self.state {
            joining.due = due;
        }
    }

    fn become_empty(&mut self, turn: &mut Turn<'_>) {
        self.generation += 1;
        self.protocol = None;
        self.leader = None;
        self.subscribed_topics = self.compute_subscribed_topics();
        self.transition(turn, State::Empty);
        let value = self.metadata(|_| unreachable!("an empty group has no members"));
        turn.outcome.records.push(GroupRecord::GroupMetadata {
            group: self.id.clone(),
            value: Some(value),
        });
    }

    /// Fixes the next generation and tells everybody who waits.
    fn begin_generation(&mut self, turn: &mut Turn<'_>) {
        self.generation += 1;
        self.protocol = Some(self.select_protocol());
        self.subscribed_topics = self.compute_subscribed_topics();
        let due = turn.set_timer(self.sync_timer(), self.rebalance_timeout_ms());
        let waiting_for = self.members.keys().cloned().collect();
        self.transition(turn, State::CompletingRebalance(Syncing { due, waiting_for }));

        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in &ids {
            let reply = self.joined(id);
            let member = self.members.get_mut(id).expect("the id was just listed");
            member.is_new = false;
            if let Some(to) = member.joining.take() {
                turn.outcome.reply(to, GroupReply::Join(reply));
            }
            self.extend_session(turn, id);
        }
    }

    /// Keeps the leader if it has joined, else takes the first member that has. Tells whether there is one.
    fn elect_leader(&mut self) -> bool {
        let leader = self.leader.as_ref().and_then(|leader| self.members.get(leader));
        if leader.is_some_and(|leader| leader.joining.is_some()) {
            return true;
        }
        match self.members.values().find(|member| member.joining.is_some()) {
            Some(member) => {
                self.leader = Some(member.id.clone());
                true
            }
            None => false,
        }
    }

    fn all_joined(&self) -> bool {
        self.invited.is_empty() && self.joining_count() == self.members.len()
    }

    /// The longest that any member wants to be waited for.
    fn rebalance_timeout_ms(&self) -> i32 {
        self.members
            .values()
            .map(|member| member.rebalance_timeout_ms)
            .max()
            .unwrap_or(0)
    }
}
