//! For any commands, at any times, in any order: replaying the records gives the state that was lived through, no
//! request is answered twice, and after all members are silent nobody waits.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use protocol::error_code::ErrorCode;
use protocol::ids::TimestampMs;
use uuid::Uuid;

use crate::group::{
    CommitOffsets, GroupCommand, GroupConfig, GroupOutcome, GroupRecord, GroupReply, GroupTimer, Groups, Heartbeat,
    JoinGroup, LeaveGroup, LeavingMember, OffsetToCommit, Protocol, SyncGroup,
};
use crate::{ReplyTo, TimerQueue};

const CONFIG: GroupConfig = GroupConfig {
    session_timeout_min_ms: 10,
    session_timeout_max_ms: 1_000,
    initial_rebalance_delay_ms: 20,
    members_max: 4,
    new_member_join_timeout_ms: 500,
    offset_metadata_max: 8,
    commit_bytes_max: GroupConfig::KAFKA_DEFAULTS.commit_bytes_max,
    offsets_retention_ms: 2_000,
    groups_max: 3,
    invited_bytes_max: 1_000,
    record_bytes_max: 400,
};

/// One step of a client, an administrator, or time. Members are picked by number among those known so far.
#[derive(Clone, Debug)]
enum Step {
    Join {
        group: u8,
        member: Option<u8>,
        instance: Option<u8>,
        version: i16,
        protocols: u8,
        metadata: u8,
    },
    Sync {
        member: u8,
        stale: bool,
        length: usize,
    },
    Beat {
        member: u8,
        stale: bool,
    },
    Leave {
        member: u8,
    },
    Commit {
        group: u8,
        member: Option<u8>,
        partition: i32,
        offset: i64,
        retention: i64,
    },
    Delete {
        group: u8,
    },
    TopicDeleted {
        topic: u8,
    },
    Expire,
    Wait {
        ms: i64,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let member = || 0..8_u8;
    prop_oneof![
        8 => (0..3_u8, proptest::option::of(member()), proptest::option::of(0..3_u8), 2..=9_i16, 1..8_u8, 0..3_u8)
            .prop_map(|(group, member, instance, version, protocols, metadata)| {
                Step::Join { group, member, instance, version, protocols, metadata }
            }),
        8 => (member(), proptest::bool::weighted(0.1), 0..60_usize)
            .prop_map(|(member, stale, length)| Step::Sync { member, stale, length }),
        4 => (member(), proptest::bool::weighted(0.1)).prop_map(|(member, stale)| Step::Beat { member, stale }),
        2 => member().prop_map(|member| Step::Leave { member }),
        4 => (0..4_u8, proptest::option::of(member()), 0..3, 0..100_i64, prop_oneof![Just(-1), 0..500_i64])
            .prop_map(|(group, member, partition, offset, retention)| {
                Step::Commit { group, member, partition, offset, retention }
            }),
        1 => (0..4_u8).prop_map(|group| Step::Delete { group }),
        1 => (0..2_u8).prop_map(|topic| Step::TopicDeleted { topic }),
        1 => Just(Step::Expire),
        6 => (1..700_i64).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn living_and_replaying_give_the_same_state(steps in proptest::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            let replayed = world.replay();
            prop_assert_eq!(replayed.hard(), world.groups.hard());
        }
        world.wait(10_000);
        prop_assert!(world.waiting.is_empty(), "still waiting: {:?}", world.waiting);
    }
}

/// A member as its client knows it.
#[derive(Clone, Debug)]
struct Known {
    group: Arc<str>,
    member: Arc<str>,
    generation: i32,
}

struct World {
    groups: Groups,
    timers: TimerQueue<GroupTimer>,
    now: TimestampMs,
    log: Vec<GroupRecord>,
    waiting: BTreeSet<ReplyTo>,
    asked: u64,
    known: Vec<Known>,
    groups_of: Vec<(ReplyTo, Arc<str>)>,
}

impl World {
    fn new() -> Self {
        let mut groups = Groups::new(CONFIG);
        groups.loaded(0);
        Self {
            groups,
            timers: TimerQueue::new(),
            now: 0,
            log: Vec::new(),
            waiting: BTreeSet::new(),
            asked: 0,
            known: Vec::new(),
            groups_of: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Wait { ms } => self.wait(ms),
            Step::Restart => {
                self.groups = self.replay();
                self.timers = TimerQueue::new();
                self.waiting.clear();
                let outcome = self.groups.loaded(self.now);
                self.take(outcome);
            }
            step => {
                if let Some(command) = self.command(step) {
                    self.handle(command);
                }
            }
        }
    }

    fn wait(&mut self, ms: i64) {
        let until = self.now + ms;
        while let Some(due) = self.timers.next_due().filter(|due| *due <= until) {
            self.now = due;
            let timer = self.timers.pop_due(due).expect("it is due");
            self.handle(GroupCommand::Timer(timer));
        }
        self.now = until;
    }

    fn handle(&mut self, command: GroupCommand) {
        let outcome = self.groups.handle(self.now, command);
        self.take(outcome);
    }

    fn take(&mut self, outcome: GroupOutcome) {
        for record in outcome.records {
            let encoded = record.encode();
            let read = GroupRecord::decode(&encoded.key, encoded.value.as_deref());
            assert_eq!(read.as_ref(), Ok(&record), "a record is read as it was written");
            self.groups.apply(&record);
            self.log.push(record);
        }
        for reply in outcome.replies {
            assert!(self.waiting.remove(&reply.to), "{:?} is answered twice", reply.to);
            if let GroupReply::Join(join) = reply.body
                && matches!(join.error, ErrorCode::None | ErrorCode::MemberIdRequired)
            {
                let group = self
                    .groups_of
                    .iter()
                    .find(|(to, _)| *to == reply.to)
                    .expect("it was asked")
                    .1
                    .clone();
                self.known.push(Known {
                    group,
                    member: join.member,
                    generation: join.generation,
                });
            }
        }
        for change in outcome.timers {
            self.timers.change(change);
        }
    }

    fn replay(&self) -> Groups {
        let mut groups = Groups::new(CONFIG);
        self.log.iter().for_each(|record| groups.apply(record));
        groups
    }

    /// The member that `pick` stands for, the latest one first.
    fn known(&self, pick: u8) -> Option<Known> {
        self.known.iter().rev().nth(usize::from(pick)).cloned()
    }

    fn ask(&mut self, group: &Arc<str>) -> ReplyTo {
        self.asked += 1;
        let to = ReplyTo(self.asked);
        self.waiting.insert(to);
        self.groups_of.push((to, group.clone()));
        to
    }

    fn command(&mut self, step: Step) -> Option<GroupCommand> {
        Some(match step {
            Step::Join {
                group,
                member,
                instance,
                version,
                protocols,
                metadata,
            } => {
                let known = member.and_then(|pick| self.known(pick));
                let group = known
                    .as_ref()
                    .map_or_else(|| group_name(group), |known| known.group.clone());
                let to = self.ask(&group);
                let names = ["range", "sticky", "robin"].into_iter().enumerate();
                let names = names
                    .filter(|(bit, _)| protocols & (1 << bit) != 0)
                    .map(|(_, name)| name);
                let metadata = Bytes::from(vec![0; usize::from(metadata)]);
                GroupCommand::Join(JoinGroup {
                    to,
                    api_version: version,
                    group,
                    member: known.map(|known| known.member).unwrap_or_default(),
                    instance: instance.map(|instance| format!("i{instance}").into()),
                    client_id: "c".into(),
                    client_host: "/h".into(),
                    session_timeout_ms: 100,
                    rebalance_timeout_ms: 300,
                    protocol_type: "consumer".into(),
                    protocols: names
                        .map(|name| Protocol {
                            name: name.into(),
                            metadata: metadata.clone(),
                        })
                        .collect(),
                    fresh_id: Uuid::from_u128(u128::from(self.asked)),
                })
            }
            Step::Sync { member, stale, length } => {
                let known = self.known(member)?;
                let assignments = self
                    .known
                    .iter()
                    .map(|known| (known.member.clone(), vec![7; length].into()));
                let assignments = assignments.collect();
                GroupCommand::Sync(SyncGroup {
                    to: self.ask(&known.group),
                    group: known.group,
                    member: known.member,
                    instance: None,
                    generation: known.generation + i32::from(stale),
                    protocol_type: None,
                    protocol_name: None,
                    assignments,
                })
            }
            Step::Beat { member, stale } => {
                let known = self.known(member)?;
                GroupCommand::Heartbeat(Heartbeat {
                    to: self.ask(&known.group),
                    group: known.group,
                    member: known.member,
                    instance: None,
                    generation: known.generation + i32::from(stale),
                })
            }
            Step::Leave { member } => {
                let known = self.known(member)?;
                let members = vec![LeavingMember {
                    member: known.member,
                    instance: None,
                }];
                GroupCommand::Leave(LeaveGroup {
                    to: self.ask(&known.group),
                    group: known.group,
                    members,
                })
            }
            Step::Commit {
                group,
                member,
                partition,
                offset,
                retention,
            } => {
                let known = member.and_then(|pick| self.known(pick));
                let group = known
                    .as_ref()
                    .map_or_else(|| group_name(group), |known| known.group.clone());
                let topic = if partition == 0 { "t0" } else { "t1" };
                let leader_epoch = 4;
                let metadata = "note".into();
                GroupCommand::CommitOffsets(CommitOffsets {
                    to: self.ask(&group),
                    group,
                    generation: known.as_ref().map_or(-1, |known| known.generation),
                    member: known.map(|known| known.member).unwrap_or_default(),
                    instance: None,
                    retention_time_ms: retention,
                    offsets: vec![OffsetToCommit {
                        topic: topic.into(),
                        partition,
                        offset,
                        leader_epoch,
                        metadata,
                    }],
                })
            }
            Step::Delete { group } => {
                let group = group_name(group);
                GroupCommand::Delete {
                    to: self.ask(&group),
                    group,
                }
            }
            Step::TopicDeleted { topic } => GroupCommand::TopicDeleted {
                topic: format!("t{topic}").into(),
            },
            Step::Expire => GroupCommand::Expire,
            Step::Wait { .. } | Step::Restart => return None,
        })
    }
}

fn group_name(number: u8) -> Arc<str> {
    if number == 3 {
        "tidemill.query.q".into()
    } else {
        format!("g{number}").into()
    }
}
