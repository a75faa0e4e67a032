//! Looking at groups and removing them: DescribeGroups, ListGroups, DeleteGroups.

use protocol::error_code::ErrorCode;

use super::record::GroupRecord;
use super::{DescribedGroup, GroupId, GroupOutcome, GroupReply, Groups, ListGroups, ListReply};
use crate::outcome::ReplyTo;

impl Groups {
    /// What these show may rest on records that are not durable yet, so they wait like any other reader.
    pub(super) fn describe(&self, to: ReplyTo, id: GroupId, outcome: &mut GroupOutcome) {
        let described = match self.live.get(&id) {
            Some(group) => group.describe(),
            None => DescribedGroup::refused(id, ErrorCode::GroupIdNotFound),
        };
        outcome.reply_when_durable(to, GroupReply::Describe(described));
    }

    pub(super) fn list(&self, request: &ListGroups, outcome: &mut GroupOutcome) {
        let groups = self
            .live
            .values()
            .map(super::classic::ClassicGroup::listed)
            .filter(|group| request.states.wants(group.state) && request.types.wants(group.group_type))
            .collect();
        outcome.reply_when_durable(
            request.to,
            GroupReply::List(ListReply {
                error: ErrorCode::None,
                groups,
            }),
        );
    }

    /// Only a group without members can be deleted. Its offsets go with it.
    pub(super) fn delete(&self, to: ReplyTo, id: &GroupId, outcome: &mut GroupOutcome) {
        let error = match self.live.get(id) {
            None => ErrorCode::GroupIdNotFound,
            Some(group) if !group.is_empty() => ErrorCode::NonEmptyGroup,
            Some(_) => {
                self.end_offsets(id, outcome, |_| true);
                self.end_group(id, outcome);
                ErrorCode::None
            }
        };
        outcome.reply_when_durable(to, GroupReply::Delete(error));
    }

    /// The tombstone of a group, which is no more once it is applied. Those who were invited find out when they come.
    pub(super) fn end_group(&self, id: &GroupId, outcome: &mut GroupOutcome) {
        outcome.records.push(GroupRecord::GroupMetadata {
            group: id.clone(),
            value: None,
        });
        self.live
            .get(id)
            .expect("only a living group is ended")
            .stop_timers(outcome);
    }
}
