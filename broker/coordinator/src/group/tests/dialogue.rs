//! A little language for tests: a transcript of what clients ask and what the groups answer and write.
//!
//! Lines that begin with `>` are commands, the others are what must follow. Words of a command are a verb, then
//! `key=value` pairs. Member ids are short: `a-1` is the first id ever made, for client `a`. The group is `g`.
//!
//! | verb | keys |
//! |---|---|
//! | `join NAME` | `member`, `static`, `v` (9), `protocols` (`range`), `type` (`consumer`), `meta`, `session`, `rebalance` |
//! | `sync NAME` | `member`, `static`, `gen`, `assign` (`a-1:x,b-2:y`), `type`, `protocol` |
//! | `beat NAME` | `member`, `static`, `gen` |
//! | `leave NAME` | `member` (several by comma), `static` |
//! | `commit NAME` | `member`, `static`, `gen`, `at` (`orders-0:5,...`), `retention`, `note`, `group` |
//! | `fetch NAME` | `of` (`orders-0,...`), `stable`, `group` |
//! | `describe`, `list`, `delete` `NAME` | `states`, `types` for `list` |
//! | `topic-deleted TOPIC`, `expire`, `wait TIME`, `restart` | |
//! | `nudge NAME` | `member`: every timer of the group and the member fires now, due or not |
//! | `pending PRODUCER` | `at`: a transactional commit lands in the log; `commit-marker`, `abort-marker` end it |
//!
//! In the output, `name: ...` is an answer to the last request of that name, with `(durable)` where it waits for the
//! log, and `write ...` is a record. After every command the records so far are replayed into a fresh machine, through
//! their bytes, and must give the same hard state.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use protocol::error_code::ErrorCode;
use protocol::ids::{ProducerId, TimestampMs, TopicId};
use uuid::Uuid;

use crate::group::record::{EncodedRecord, OffsetCommitKey, OffsetCommitValue};
use crate::group::{
    CommitOffsets, FetchOffsets, GroupCommand, GroupConfig, GroupOutcome, GroupRecord, GroupReply, GroupTimer, Groups,
    Heartbeat, JoinGroup, LeaveGroup, LeavingMember, ListGroups, OffsetToCommit, Protocol, SyncGroup,
};
use crate::{Release, ReplyTo, TimerQueue};

/// Runs the commands of a transcript with Kafka's default settings and compares what happens.
pub(in crate::group) fn check(transcript: &str) {
    check_with(GroupConfig::KAFKA_DEFAULTS, transcript);
}

/// Like [`check`], with other settings.
pub(in crate::group) fn check_with(config: GroupConfig, transcript: &str) {
    let expected: Vec<&str> = transcript
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let mut dialogue = Dialogue::new(config);
    for command in expected.iter().filter_map(|line| line.strip_prefix("> ")) {
        dialogue.run(command);
    }
    let actual = dialogue.transcript.join("\n");
    assert_eq!(actual, expected.join("\n"), "\n--- what happened ---\n{actual}\n");
}

/// What lies in the log of the partition.
enum Logged {
    Plain(EncodedRecord),
    Transactional(ProducerId, EncodedRecord),
    Marker(ProducerId, bool),
}

struct Dialogue {
    groups: Groups,
    timers: TimerQueue<GroupTimer>,
    now: TimestampMs,
    log: Vec<Logged>,
    names: BTreeMap<ReplyTo, String>,
    made_ids: u128,
    transcript: Vec<String>,
}

impl Dialogue {
    fn new(config: GroupConfig) -> Self {
        let mut groups = Groups::new(config);
        groups.loaded(0);
        Self {
            groups,
            timers: TimerQueue::new(),
            now: 1_000_000,
            log: Vec::new(),
            names: BTreeMap::new(),
            made_ids: 0,
            transcript: Vec::new(),
        }
    }

    fn run(&mut self, command: &str) {
        self.transcript.push(format!("> {command}"));
        let words = Words::of(command);
        match words.verb {
            "wait" => self.wait(milliseconds(words.name)),
            "restart" => self.restart(),
            "nudge" => {
                let (group, member): (Arc<str>, _) = ("g".into(), words.member());
                self.handle(GroupCommand::Timer(GroupTimer::Session {
                    group: group.clone(),
                    member,
                }));
                self.handle(GroupCommand::Timer(GroupTimer::Join { group: group.clone() }));
                self.handle(GroupCommand::Timer(GroupTimer::Sync { group }));
            }
            "pending" => self.pending(&words),
            "commit-marker" | "abort-marker" => {
                let (producer, is_commit) = (number(words.name), words.verb == "commit-marker");
                self.groups.apply_marker(producer, is_commit);
                self.log.push(Logged::Marker(producer, is_commit));
            }
            _ => {
                let command = self.command(&words);
                self.handle(command);
            }
        }
        assert_eq!(
            self.replay().hard(),
            self.groups.hard(),
            "replay differs after `{command}`"
        );
    }

    fn handle(&mut self, command: GroupCommand) {
        let outcome = self.groups.handle(self.now, command);
        self.take(outcome);
    }

    fn take(&mut self, outcome: GroupOutcome) {
        for record in outcome.records {
            let line = shown_record(&record);
            self.say(&line);
            self.groups.apply(&record);
            self.log.push(Logged::Plain(record.encode()));
        }
        for reply in outcome.replies {
            let name = self.names.remove(&reply.to).expect("every request is answered once");
            let durable = if reply.release == Release::WhenDurable {
                " (durable)"
            } else {
                ""
            };
            self.say(&format!("{name}: {}{durable}", shown_reply(&reply.body).trim_end()));
        }
        for change in outcome.timers {
            self.timers.change(change);
        }
    }

    /// Lets time pass; every timer on the way comes due at its time.
    fn wait(&mut self, ms: i64) {
        let until = self.now + ms;
        while let Some(due) = self.timers.next_due().filter(|due| *due <= until) {
            self.now = due;
            let timer = self.timers.pop_due(due).expect("it is due");
            self.handle(GroupCommand::Timer(timer));
        }
        self.now = until;
    }

    fn restart(&mut self) {
        self.groups = self.replay();
        self.timers = TimerQueue::new();
        self.names.clear();
        let outcome = self.groups.loaded(self.now);
        self.take(outcome);
    }

    fn replay(&self) -> Groups {
        let decode = |record: &EncodedRecord| {
            GroupRecord::decode(&record.key, record.value.as_deref()).expect("we read what we wrote")
        };
        let mut groups = Groups::new(self.groups.config.clone());
        for logged in &self.log {
            match logged {
                Logged::Plain(record) => groups.apply(&decode(record)),
                Logged::Transactional(producer, record) => groups.apply_transactional(*producer, &decode(record)),
                Logged::Marker(producer, is_commit) => groups.apply_marker(*producer, *is_commit),
            }
        }
        groups
    }

    fn pending(&mut self, words: &Words<'_>) {
        for (topic, partition, offset) in offsets(words.get("at", "")) {
            let key = OffsetCommitKey {
                group: words.get("group", "g").into(),
                topic,
                partition,
            };
            let value = OffsetCommitValue {
                offset,
                leader_epoch: -1,
                metadata: "".into(),
                commit_timestamp: self.now,
                expire_timestamp: None,
                topic_id: TopicId::NIL,
            };
            let record = GroupRecord::OffsetCommit {
                key,
                value: Some(value),
            };
            self.groups.apply_transactional(number(words.name), &record);
            self.log
                .push(Logged::Transactional(number(words.name), record.encode()));
        }
    }

    fn command(&mut self, words: &Words<'_>) -> GroupCommand {
        let to = ReplyTo(u64::try_from(self.transcript.len()).expect("tests are short"));
        if !matches!(words.verb, "topic-deleted" | "expire") {
            self.names.insert(to, words.name.to_owned());
        }
        let group: Arc<str> = words.get("group", "g").into();
        let member = words.member();
        let instance = words.find("static").map(Arc::from);
        let generation = words.get("gen", "-1").parse().expect("a generation");
        match words.verb {
            "join" => GroupCommand::Join(self.join(words, to)),
            "sync" => GroupCommand::Sync(SyncGroup {
                to,
                group,
                member,
                instance,
                generation,
                protocol_type: words.find("type").map(Arc::from),
                protocol_name: words.find("protocol").map(Arc::from),
                assignments: pairs(words.get("assign", ""))
                    .map(|(id, x)| (long_id(id), bytes(x)))
                    .collect(),
            }),
            "beat" => GroupCommand::Heartbeat(Heartbeat {
                to,
                group,
                member,
                instance,
                generation,
            }),
            "leave" => {
                let members = words.get("member", "").split(',').map(long_id);
                let members = members
                    .map(|member| LeavingMember {
                        member,
                        instance: instance.clone(),
                    })
                    .collect();
                GroupCommand::Leave(LeaveGroup { to, group, members })
            }
            "commit" => {
                let metadata: Arc<str> = words.get("note", "").into();
                let offsets = offsets(words.get("at", ""))
                    .into_iter()
                    .map(|(topic, partition, offset)| OffsetToCommit {
                        topic,
                        partition,
                        offset,
                        leader_epoch: 3,
                        metadata: metadata.clone(),
                    });
                let offsets = offsets.collect();
                let retention_time_ms = words.find("retention").map_or(-1, milliseconds);
                let commit = CommitOffsets {
                    to,
                    group,
                    member,
                    instance,
                    generation,
                    retention_time_ms,
                    offsets,
                };
                GroupCommand::CommitOffsets(commit)
            }
            "fetch" => {
                let topics = words.find("of").map(|of| {
                    of.split(',')
                        .map(partition)
                        .map(|(topic, partition)| (topic, vec![partition]))
                        .collect()
                });
                let require_stable = words.find("stable").is_some();
                GroupCommand::FetchOffsets(FetchOffsets {
                    to,
                    group,
                    topics,
                    require_stable,
                })
            }
            "describe" => GroupCommand::Describe { to, group },
            "list" => {
                let words_of = |key| words.get(key, "").split(',').filter(|w| !w.is_empty()).collect();
                GroupCommand::List(ListGroups {
                    to,
                    states: words_of("states"),
                    types: words_of("types"),
                })
            }
            "delete" => GroupCommand::Delete { to, group },
            "topic-deleted" => GroupCommand::TopicDeleted {
                topic: words.name.into(),
            },
            "expire" => GroupCommand::Expire,
            verb => panic!("no such verb: {verb}"),
        }
    }

    fn join(&mut self, words: &Words<'_>, to: ReplyTo) -> JoinGroup {
        self.made_ids += u128::from(words.find("member").is_none());
        let metadata = bytes(words.get("meta", ""));
        let protocols = words
            .get("protocols", "range")
            .split(',')
            .filter(|name| !name.is_empty());
        JoinGroup {
            to,
            api_version: words.get("v", "9").parse().expect("a version"),
            group: words.get("group", "g").into(),
            member: words.member(),
            instance: words.find("static").map(Arc::from),
            client_id: words.name.into(),
            client_host: "/127.0.0.1".into(),
            session_timeout_ms: i32::try_from(milliseconds(words.get("session", "10s"))).expect("fits"),
            rebalance_timeout_ms: i32::try_from(milliseconds(words.get("rebalance", "60s"))).expect("fits"),
            protocol_type: words.get("type", "consumer").into(),
            protocols: protocols
                .map(|name| Protocol {
                    name: name.into(),
                    metadata: metadata.clone(),
                })
                .collect(),
            fresh_id: Uuid::from_u128(self.made_ids),
        }
    }

    fn say(&mut self, line: &str) {
        self.transcript.push(line.to_owned());
    }
}

/// A command in words.
struct Words<'a> {
    verb: &'a str,
    name: &'a str,
    pairs: BTreeMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    fn of(command: &'a str) -> Self {
        let mut words = command.split_whitespace();
        let verb = words.next().expect("a verb");
        let (pairs, names): (Vec<&str>, Vec<&str>) = words.partition(|word| word.contains('='));
        let pairs = pairs.into_iter().filter_map(|pair| pair.split_once('=')).collect();
        Self {
            verb,
            name: names.first().copied().unwrap_or(""),
            pairs,
        }
    }

    fn find(&self, key: &str) -> Option<&'a str> {
        self.pairs.get(key).copied()
    }

    fn get(&self, key: &str, default: &'a str) -> &'a str {
        self.find(key).unwrap_or(default)
    }

    fn member(&self) -> Arc<str> {
        long_id(self.get("member", ""))
    }
}

/// `a-1` as the machine makes it: client, dash, random id.
fn long_id(short: &str) -> Arc<str> {
    match short.rsplit_once('-').map(|(client, id)| (client, id.parse())) {
        Some((client, Ok(id))) => format!("{client}-{}", Uuid::from_u128(id)).into(),
        _ => short.into(),
    }
}

/// The other way round.
fn short_id(long: &str) -> String {
    const UUID_LENGTH: usize = 36;
    let Some(at) = long.len().checked_sub(UUID_LENGTH) else {
        return long.to_owned();
    };
    match long.get(at..).and_then(|id| Uuid::parse_str(id).ok()) {
        Some(id) => format!("{}{}", &long[..at], id.as_u128()),
        None => long.to_owned(),
    }
}

fn bytes(text: &str) -> Bytes {
    // `topics:a+b` is the metadata of a consumer that subscribes to a and b.
    let Some(topics) = text.strip_prefix("topics:") else {
        return Bytes::copy_from_slice(text.as_bytes());
    };
    let topics: Vec<&str> = topics.split('+').collect();
    let mut metadata = vec![0, 0];
    metadata.extend(u32::try_from(topics.len()).expect("few").to_be_bytes());
    for topic in topics {
        metadata.extend(u16::try_from(topic.len()).expect("short").to_be_bytes());
        metadata.extend(topic.as_bytes());
    }
    metadata.into()
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(',').filter_map(|pair| pair.split_once(':'))
}

fn offsets(text: &str) -> Vec<(Arc<str>, i32, i64)> {
    let offset = |(name, offset): (&str, &str)| {
        let (topic, partition) = partition(name);
        (topic, partition, number(offset))
    };
    pairs(text).map(offset).collect()
}

fn partition(text: &str) -> (Arc<str>, i32) {
    let (topic, partition) = text.rsplit_once('-').expect("topic-partition");
    (topic.into(), partition.parse().expect("a partition"))
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}

fn milliseconds(text: &str) -> i64 {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("d", 86_400_000)];
    let unit = units
        .into_iter()
        .find_map(|(unit, ms)| text.strip_suffix(unit).map(|count| number(count) * ms));
    unit.unwrap_or_else(|| panic!("no unit of time: {text}"))
}

fn shown_record(record: &GroupRecord) -> String {
    match record {
        GroupRecord::OffsetCommit { key, value } => {
            let at = format!("write {}:{}-{}", key.group, key.topic, key.partition);
            match value {
                None => format!("{at} gone"),
                Some(value) => {
                    let expiry = value
                        .expire_timestamp
                        .map(|at| format!(" until {at}"))
                        .unwrap_or_default();
                    format!("{at} = {}{expiry}", value.offset)
                }
            }
        }
        GroupRecord::GroupMetadata { group, value: None } => format!("write {group} gone"),
        GroupRecord::GroupMetadata {
            group,
            value: Some(value),
        } => {
            let mut line = format!("write {group} gen={}", value.generation);
            if let (Some(protocol), Some(leader)) = (&value.protocol, &value.leader) {
                let _ = write!(line, " {protocol} leader={}", short_id(leader));
            }
            for member in &value.members {
                let _ = write!(line, " {}:{}", short_id(&member.member), text(&member.assignment));
            }
            line
        }
        GroupRecord::Unknown { key_type } => format!("write unknown {key_type}"),
    }
}

fn shown_reply(reply: &GroupReply) -> String {
    match reply {
        GroupReply::Join(reply) if reply.error == ErrorCode::None => {
            let protocol = reply.protocol_name.as_deref().unwrap_or("none");
            let mut line = format!(
                "joined gen={} {protocol} member={}",
                reply.generation,
                short_id(&reply.member)
            );
            let _ = write!(line, " leader={}", short_id(&reply.leader));
            if !reply.members.is_empty() {
                let members: Vec<String> = reply.members.iter().map(|member| short_id(&member.member)).collect();
                let _ = write!(line, " members={}", members.join(","));
            }
            line + if reply.skip_assignment { " skip" } else { "" }
        }
        GroupReply::Join(reply) => format!("{} member={}", reply.error, short_id(&reply.member)),
        GroupReply::Sync(reply) if reply.error == ErrorCode::None => format!("synced {}", text(&reply.assignment)),
        GroupReply::Sync(reply) => reply.error.to_string(),
        GroupReply::Heartbeat(error) | GroupReply::Delete(error) => error.to_string(),
        GroupReply::Leave(reply) if reply.error == ErrorCode::None => {
            let left = reply.members.iter().map(|member| {
                let name = if member.member.is_empty() {
                    member.instance.as_deref().unwrap_or("")
                } else {
                    &member.member
                };
                format!("{}={}", short_id(name), member.error)
            });
            left.collect::<Vec<_>>().join(" ")
        }
        GroupReply::Leave(reply) => reply.error.to_string(),
        GroupReply::CommitOffsets(partitions) => shown_partitions(partitions),
        GroupReply::FetchOffsets(reply) => {
            let offsets = reply.offsets.iter().map(|offset| {
                let error = if offset.error == ErrorCode::None {
                    String::new()
                } else {
                    format!("({})", offset.error)
                };
                format!("{}-{}={}{error}", offset.topic, offset.partition, offset.offset)
            });
            format!("offsets {}", offsets.collect::<Vec<_>>().join(" "))
        }
        GroupReply::Describe(group) => {
            let mut line = format!(
                "{} {} type={} protocol={}",
                group.error, group.state, group.protocol_type, group.protocol
            );
            for member in &group.members {
                let instance = member
                    .instance
                    .as_ref()
                    .map(|instance| format!("({instance})"))
                    .unwrap_or_default();
                let _ = write!(
                    line,
                    " {}{instance}:{}",
                    short_id(&member.member),
                    text(&member.assignment)
                );
            }
            line
        }
        GroupReply::List(reply) => {
            let groups = reply
                .groups
                .iter()
                .map(|group| format!("{}:{}:{}", group.group, group.state, group.protocol_type));
            format!("groups {}", groups.collect::<Vec<_>>().join(" "))
        }
    }
}

fn shown_partitions(partitions: &[crate::group::PartitionError]) -> String {
    let shown = partitions
        .iter()
        .map(|fate| format!("{}-{}={}", fate.topic, fate.partition, fate.error));
    shown.collect::<Vec<_>>().join(" ")
}

fn text(bytes: &Bytes) -> String {
    format!("\"{}\"", String::from_utf8_lossy(bytes))
}
