//! ListGroups (key 16), versions 0-5.
//!
//! Versions: 1 throttle time · 3 flexible · 4 states, as a filter and in the answer (KIP-518) · 5 types (KIP-848).
//!
//! Stage: pipelined.
//!
//! Deliberate deviations from Kafka: none.

use coordinator::ReplyTo;
use coordinator::group::{GroupCommand, GroupReply, ListGroups, ListedGroup as Listed, NameFilter};
use protocol::ErrorCode;
use protocol::messages::list_groups_response::{ListGroupsResponse, ListedGroup};
use protocol::messages::{GroupId, ListGroupsRequest, StrBytes};

use super::context::RequestContext;

/// Answers one request: the groups of all partitions, by id.
pub(crate) async fn handle(ctx: &RequestContext, request: ListGroupsRequest) -> ListGroupsResponse {
    let states = filter(&request.states_filter);
    let types = filter(&request.types_filter);
    let command = |to: ReplyTo| {
        GroupCommand::List(ListGroups {
            to,
            states: states.clone(),
            types: types.clone(),
        })
    };
    response(ctx.services.groups.call_all(command).await)
}

fn filter(names: &[StrBytes]) -> NameFilter {
    names.iter().map(|name| &**name).collect()
}

/// A list that lacks a part would look as if groups were gone, so that one partition's error is that of the whole.
fn response(replies: Vec<Result<GroupReply, ErrorCode>>) -> ListGroupsResponse {
    let mut groups = Vec::new();
    for reply in replies {
        let listed = match reply {
            Ok(GroupReply::List(listed)) => listed,
            Ok(_) => unreachable!("a list is answered as one"),
            Err(code) => return failed(code),
        };
        if listed.error.is_error() {
            return failed(listed.error);
        }
        groups.extend(listed.groups);
    }
    groups.sort_unstable_by(|left, right| left.group.cmp(&right.group));
    ListGroupsResponse::default().with_groups(groups.into_iter().map(to_wire).collect())
}

fn failed(code: ErrorCode) -> ListGroupsResponse {
    ListGroupsResponse::default().with_error_code(code.code())
}

fn to_wire(group: Listed) -> ListedGroup {
    ListedGroup::default()
        .with_group_id(GroupId(StrBytes::from_string(group.group.to_string())))
        .with_protocol_type(StrBytes::from_string(group.protocol_type.to_string()))
        .with_group_state(StrBytes::from_static_str(group.state))
        .with_group_type(StrBytes::from_static_str(group.group_type))
}

#[cfg(test)]
mod tests {
    use coordinator::group::ListReply;

    use std::sync::Arc;

    use super::*;

    fn listed(groups: &[&str]) -> Result<GroupReply, ErrorCode> {
        let groups = groups.iter().map(|group| Listed {
            group: Arc::from(*group),
            protocol_type: "consumer".into(),
            state: "Stable",
            group_type: "classic",
        });
        Ok(GroupReply::List(ListReply {
            error: ErrorCode::None,
            groups: groups.collect(),
        }))
    }

    #[test]
    fn the_lists_of_all_partitions_become_one_by_id() {
        let response = response(vec![listed(&["c"]), listed(&[]), listed(&["a", "b"])]);
        let ids: Vec<_> = response.groups.iter().map(|group| group.group_id.to_string()).collect();
        assert_eq!(
            (response.error_code, ids),
            (0, vec!["a".to_owned(), "b".to_owned(), "c".to_owned()])
        );
    }

    #[test]
    fn one_partition_that_loads_fails_the_whole() {
        let loading = ListReply {
            error: ErrorCode::CoordinatorLoadInProgress,
            groups: Vec::new(),
        };
        let response = response(vec![listed(&["a"]), Ok(GroupReply::List(loading))]);
        assert_eq!((response.error_code, response.groups.len()), (14, 0));
    }
}
