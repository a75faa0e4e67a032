//! Choosing the one protocol that all members use, and what can be learnt from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ClassicGroup;
use super::state::State;
use crate::group::Protocol;
use crate::group::subscription::subscribed_topics;

impl ClassicGroup {
    /// Whether somebody with these protocols could be a member: the type is the group's, and at least one protocol is
    /// supported by everybody. An empty group takes any.
    pub(super) fn accepts_protocols(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if matches!(self.state, State::Empty) {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|protocol| self.all_support(&protocol.name))
    }

    /// The protocol with the most votes among those that all members support. Every member votes for the first such
    /// protocol in its own list. Of equal ones the leader's first wins.
    pub(super) fn select_protocol(&self) -> Arc<str> {
        let voter = self.leader.as_ref().and_then(|leader| self.members.get(leader));
        let voter = voter
            .or_else(|| self.members.values().next())
            .expect("an empty group chooses no protocol");
        let candidates: Vec<&Arc<str>> = voter
            .protocols
            .iter()
            .map(|protocol| &protocol.name)
            .filter(|name| self.all_support(name))
            .collect();

        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote = member
                .protocols
                .iter()
                .find(|protocol| candidates.contains(&&protocol.name));
            if let Some(protocol) = vote {
                *votes.entry(&*protocol.name).or_default() += 1;
            }
        }
        let mut chosen: Option<(&Arc<str>, usize)> = None;
        for candidate in candidates {
            let count = votes.get(&**candidate).copied().unwrap_or(0);
            if chosen.is_none_or(|(_, most)| most < count) {
                chosen = Some((candidate, count));
            }
        }
        let (name, _) = chosen.expect("a member joins only with a protocol that all members support");
        name.clone()
    }

    /// Topics that the members subscribe to. Unknown for other types than consumers, and when a consumer's metadata
    /// cannot be read: then no offset is treated as unsubscribed by mistake, because nothing expires.
    pub(super) fn compute_subscribed_topics(&self) -> Option<BTreeSet<Arc<str>>> {
        if !self.is_consumer_group() {
            return None;
        }
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            let metadata = member.metadata_for(Some(self.protocol.as_deref()?));
            topics.extend(subscribed_topics(&metadata).ok()?);
        }
        Some(topics)
    }

    fn all_support(&self, protocol: &str) -> bool {
        self.members.values().all(|member| member.supports(protocol))
    }
}
