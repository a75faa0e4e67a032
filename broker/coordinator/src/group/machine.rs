//! The machine of one `__consumer_offsets` partition: takes commands, finds the group, keeps the two states apart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::error_code::ErrorCode;
use protocol::ids::{ProducerId, TimestampMs};

use super::classic::{ClassicGroup, Turn};
use super::record::GroupRecord;
use super::{
    DescribedGroup, FetchOffsetsReply, GroupCommand, GroupConfig, GroupId, GroupOutcome, GroupReply, GroupTimer,
    HardState, Heartbeat, JoinGroup, JoinReply, LeaveGroup, LeaveReply, ListReply, NAME_BYTES_MAX, PROTOCOLS_MAX,
    PartitionError, Protocol, SyncGroup, SyncReply,
};
use crate::outcome::ReplyTo;

/// All groups of one `__consumer_offsets` partition.
///
/// Calling order: `new`, `apply` for every record of the partition, `loaded`, then `handle` and `apply` as the crate's
/// front page says. One task owns it.
#[derive(Clone, Debug)]
pub struct Groups {
    pub(super) config: GroupConfig,
    pub(super) hard: HardState,
    /// Soft state. Once loaded it has an entry for every group that exists: with members, with a metadata record, or
    /// with offsets alone.
    pub(super) live: BTreeMap<GroupId, ClassicGroup>,
    /// What the member ids take that all groups have handed out and nobody has joined with yet.
    pub(super) invited_bytes: usize,
    loading: bool,
}

impl Groups {
    /// A machine without groups that waits for the records of its partition.
    pub const fn new(config: GroupConfig) -> Self {
        Self {
            config,
            hard: HardState::empty(),
            live: BTreeMap::new(),
            invited_bytes: 0,
            loading: true,
        }
    }

    /// What the records say.
    pub const fn hard(&self) -> &HardState {
        &self.hard
    }

    /// How many groups there are.
    pub fn group_count(&self) -> usize {
        self.live.len()
    }

    /// Topics with committed offsets. After loading, the shell sends [`GroupCommand::TopicDeleted`] for those that are
    /// gone: the crash may have come between a topic's deletion and the end of its offsets.
    pub fn topics(&self) -> BTreeSet<Arc<str>> {
        self.hard.offsets().map(|(_, topic, _, _)| topic.clone()).collect()
    }

    /// Takes over a record that was read from, or has just been appended to, the partition's log.
    ///
    /// A group that holds nothing but offsets comes into being with the first of them, and a group is gone with its
    /// tombstone: so a decision whose records could not be appended has changed nothing.
    pub fn apply(&mut self, record: &GroupRecord) {
        self.hard.apply(record);
        match record {
            GroupRecord::OffsetCommit { key, value: Some(_) } => self.enliven(&key.group),
            GroupRecord::GroupMetadata { group, value: None } => {
                if let Some(ended) = self.live.remove(group) {
                    self.invited_bytes -= ended.invited_bytes();
                }
            }
            GroupRecord::OffsetCommit { .. } | GroupRecord::GroupMetadata { .. } | GroupRecord::Unknown { .. } => {}
        }
    }

    /// Like [`Self::apply`], for a record in a transactional batch of `producer_id`. Its offsets count after the
    /// transaction's marker.
    pub fn apply_transactional(&mut self, producer_id: ProducerId, record: &GroupRecord) {
        self.hard.apply_transactional(producer_id, record);
        if let GroupRecord::OffsetCommit { key, value: Some(_) } = record {
            self.enliven(&key.group);
        }
    }

    /// Takes over a transaction marker from the partition's log.
    pub fn apply_marker(&mut self, producer_id: ProducerId, committed: bool) {
        self.hard.apply_marker(producer_id, committed);
    }

    /// Ends the load: every group comes alive as its records say, and the sessions of its members begin at `now`, so
    /// that the time the broker was away is not held against them.
    pub fn loaded(&mut self, now: TimestampMs) -> GroupOutcome {
        assert!(self.loading, "a machine is loaded once");
        self.loading = false;
        let mut outcome = GroupOutcome::new();
        let mut turn = Turn {
            now,
            config: &self.config,
            invited_bytes: &mut self.invited_bytes,
            outcome: &mut outcome,
        };
        for (id, value) in self.hard.groups() {
            let group = ClassicGroup::restored(id.clone(), value, &mut turn);
            self.live.insert(id.clone(), group);
        }
        let offsets_only: BTreeSet<GroupId> = self
            .hard
            .groups_with_offsets()
            .chain(self.hard.pending_keys().map(|key| &key.group))
            .filter(|group| !self.live.contains_key(*group))
            .cloned()
            .collect();
        self.live
            .extend(offsets_only.into_iter().map(|id| (id.clone(), ClassicGroup::empty(id))));
        outcome
    }

    /// Decides about one command at `now`. Soft state changes here, hard state does not.
    pub fn handle(&mut self, now: TimestampMs, command: GroupCommand) -> GroupOutcome {
        let mut outcome = GroupOutcome::new();
        if self.loading {
            refuse_while_loading(command, &mut outcome);
            return outcome;
        }
        match command {
            GroupCommand::Join(request) => self.join(now, request, &mut outcome),
            GroupCommand::Sync(request) => self.sync(now, request, &mut outcome),
            GroupCommand::Heartbeat(request) => self.heartbeat(now, request, &mut outcome),
            GroupCommand::Leave(request) => self.leave(now, request, &mut outcome),
            GroupCommand::CommitOffsets(request) => self.commit_offsets(now, request, &mut outcome),
            GroupCommand::FetchOffsets(request) => self.fetch_offsets(request, &mut outcome),
            GroupCommand::Describe { to, group } => self.describe(to, group, &mut outcome),
            GroupCommand::List(request) => self.list(&request, &mut outcome),
            GroupCommand::Delete { to, group } => self.delete(to, &group, &mut outcome),
            GroupCommand::TopicDeleted { topic } => self.topic_deleted(&topic, &mut outcome),
            GroupCommand::Expire => self.expire(now, &mut outcome),
            GroupCommand::Timer(timer) => self.timer(now, &timer, &mut outcome),
        }
        outcome
    }

    fn join(&mut self, now: TimestampMs, request: JoinGroup, outcome: &mut GroupOutcome) {
        let to = request.to;
        if let Err(error) = self.check_join(&request) {
            return outcome.reply(to, GroupReply::Join(JoinReply::refused(request.member, error)));
        }
        let id = request.group.clone();
        let is_new = !self.live.contains_key(&id);
        if is_new && !request.member.is_empty() {
            let reply = JoinReply::refused(request.member, ErrorCode::UnknownMemberId);
            return outcome.reply(to, GroupReply::Join(reply));
        }
        if is_new && self.config.groups_max <= self.live.len() {
            let reply = JoinReply::refused(request.member, ErrorCode::GroupMaxSizeReached);
            return outcome.reply(to, GroupReply::Join(reply));
        }
        let group = self
            .live
            .entry(id.clone())
            .or_insert_with(|| ClassicGroup::empty(id.clone()));
        group.join(
            &mut Turn {
                now,
                config: &self.config,
                invited_bytes: &mut self.invited_bytes,
                outcome,
            },
            request,
        );
        if !is_new {
            return;
        }
        if group.is_deserted() {
            self.live.remove(&id);
        } else if outcome.records.is_empty() {
            // The first member has an id but no assignment yet. Kafka writes the group's existence down at this point.
            outcome.records.push(group.birth_record());
        }
    }

    fn check_join(&self, request: &JoinGroup) -> Result<(), ErrorCode> {
        check_group_id(&request.group)?;
        check_protocols(&request.protocols, self.config.record_bytes_max)?;
        let names = [&request.client_id, &request.protocol_type];
        let names = names
            .into_iter()
            .chain(&request.instance)
            .chain(request.protocols.iter().map(|p| &p.name));
        if names.into_iter().any(|name| NAME_BYTES_MAX < name.len()) {
            return Err(ErrorCode::InvalidRequest);
        }
        let allowed = self.config.session_timeout_min_ms..=self.config.session_timeout_max_ms;
        if !allowed.contains(&request.session_timeout_ms) {
            return Err(ErrorCode::InvalidSessionTimeout);
        }
        Ok(())
    }

    fn sync(&mut self, now: TimestampMs, request: SyncGroup, outcome: &mut GroupOutcome) {
        if let Err(error) = check_group_id(&request.group) {
            return outcome.reply(request.to, GroupReply::Sync(SyncReply::refused(error)));
        }
        match self.live.get_mut(&request.group) {
            Some(group) => group.sync(
                &mut Turn {
                    now,
                    config: &self.config,
                    invited_bytes: &mut self.invited_bytes,
                    outcome,
                },
                request,
            ),
            None => outcome.reply(
                request.to,
                GroupReply::Sync(SyncReply::refused(ErrorCode::UnknownMemberId)),
            ),
        }
    }

    fn heartbeat(&mut self, now: TimestampMs, request: Heartbeat, outcome: &mut GroupOutcome) {
        let to = request.to;
        let answer = match (check_group_id(&request.group), self.live.get_mut(&request.group)) {
            (Err(error), _) => error,
            (Ok(()), None) => ErrorCode::UnknownMemberId,
            (Ok(()), Some(group)) => group.heartbeat(
                &mut Turn {
                    now,
                    config: &self.config,
                    invited_bytes: &mut self.invited_bytes,
                    outcome,
                },
                &request,
            ),
        };
        outcome.reply(to, GroupReply::Heartbeat(answer));
    }

    fn leave(&mut self, now: TimestampMs, request: LeaveGroup, outcome: &mut GroupOutcome) {
        if let Err(error) = check_group_id(&request.group) {
            return outcome.reply(
                request.to,
                GroupReply::Leave(LeaveReply {
                    error,
                    members: Vec::new(),
                }),
            );
        }
        match self.live.get_mut(&request.group) {
            Some(group) => group.leave(
                &mut Turn {
                    now,
                    config: &self.config,
                    invited_bytes: &mut self.invited_bytes,
                    outcome,
                },
                request,
            ),
            None => {
                let reply = LeaveReply::same_for_all(request.members, ErrorCode::UnknownMemberId);
                outcome.reply(request.to, GroupReply::Leave(reply));
            }
        }
    }

    fn timer(&mut self, now: TimestampMs, timer: &GroupTimer, outcome: &mut GroupOutcome) {
        let (GroupTimer::Session { group: id, .. } | GroupTimer::Join { group: id } | GroupTimer::Sync { group: id }) =
            timer;
        let Some(group) = self.live.get_mut(id) else { return };
        let mut turn = Turn {
            now,
            config: &self.config,
            invited_bytes: &mut self.invited_bytes,
            outcome,
        };
        match timer {
            GroupTimer::Session { member, .. } => group.session_ended(&mut turn, member),
            GroupTimer::Join { .. } => group.join_ended(&mut turn),
            GroupTimer::Sync { .. } => group.sync_ended(&mut turn),
        }
    }

    /// Makes sure that a group which has records is alive. While loading, `loaded` sees to that.
    fn enliven(&mut self, id: &GroupId) {
        if !self.loading && !self.live.contains_key(id) {
            self.live.insert(id.clone(), ClassicGroup::empty(id.clone()));
        }
    }
}

/// Membership needs a group id; only offsets can be kept under the empty one.
fn check_group_id(id: &str) -> Result<(), ErrorCode> {
    if id.is_empty() || NAME_BYTES_MAX < id.len() {
        return Err(ErrorCode::InvalidGroupId);
    }
    Ok(())
}

/// What a member brings for all its protocols must fit into the group's record, which holds it for one of them.
fn check_protocols(protocols: &[Protocol], bytes_max: usize) -> Result<(), ErrorCode> {
    let sizes = protocols.iter().map(|own| own.name.len() + own.metadata.len());
    if PROTOCOLS_MAX < protocols.len() || bytes_max < sizes.sum() {
        return Err(ErrorCode::InvalidRequest);
    }
    Ok(())
}

/// Every request has its own shape of refusal.
fn refuse_while_loading(command: GroupCommand, outcome: &mut GroupOutcome) {
    const LOADING: ErrorCode = ErrorCode::CoordinatorLoadInProgress;
    let (to, body): (ReplyTo, GroupReply) = match command {
        GroupCommand::Join(request) => (
            request.to,
            GroupReply::Join(JoinReply::refused(request.member, LOADING)),
        ),
        GroupCommand::Sync(request) => (request.to, GroupReply::Sync(SyncReply::refused(LOADING))),
        // A member that is told to wait would drop its heartbeat; Kafka answers that all is well.
        GroupCommand::Heartbeat(request) => (request.to, GroupReply::Heartbeat(ErrorCode::None)),
        GroupCommand::Leave(request) => (
            request.to,
            GroupReply::Leave(LeaveReply {
                error: LOADING,
                members: Vec::new(),
            }),
        ),
        GroupCommand::CommitOffsets(request) => {
            let errors = request.offsets.into_iter().map(|offset| PartitionError {
                topic: offset.topic,
                partition: offset.partition,
                error: LOADING,
            });
            (request.to, GroupReply::CommitOffsets(errors.collect()))
        }
        GroupCommand::FetchOffsets(request) => (
            request.to,
            GroupReply::FetchOffsets(FetchOffsetsReply {
                error: LOADING,
                offsets: Vec::new(),
            }),
        ),
        GroupCommand::Describe { to, group } => (to, GroupReply::Describe(DescribedGroup::refused(group, LOADING))),
        GroupCommand::List(request) => (
            request.to,
            GroupReply::List(ListReply {
                error: LOADING,
                groups: Vec::new(),
            }),
        ),
        GroupCommand::Delete { to, .. } => (to, GroupReply::Delete(LOADING)),
        GroupCommand::TopicDeleted { .. } | GroupCommand::Expire | GroupCommand::Timer(_) => return,
    };
    outcome.reply(to, body);
}
