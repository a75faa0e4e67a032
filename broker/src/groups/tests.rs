//! The shell around the group machine: durable replies, reading back, failing logs.

use std::sync::Arc;

use coordinator::ReplyTo;
use coordinator::group::record::{OffsetCommitKey, OffsetCommitValue};
use coordinator::group::{
    CommitOffsets, FetchOffsets, GroupCommand, GroupConfig, GroupRecord, GroupReply, Groups as Machine, HardState,
    JoinGroup, OffsetToCommit, Protocol, SyncGroup,
};
use protocol::ErrorCode;
use storage::{Isolation, LogConfig};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::clock::SteadyClock;
use super::shard::{Answer, Message, Shard, ShardParts};
use super::{check_client_may_change, store};
use crate::env::Env;
use crate::faulty_fs::{Faults, FaultyFs};
use crate::partitions::Partition;
use crate::partitions::fixture::{Logs, NOW, leave_room};
use crate::wait::{until, until_some};

const CONFIG: GroupConfig = GroupConfig {
    session_timeout_min_ms: 1,
    initial_rebalance_delay_ms: 0,
    ..GroupConfig::KAFKA_DEFAULTS
};

/// A running shard over a partition.
struct Running {
    inbox: mpsc::Sender<Message>,
    stopping: CancellationToken,
    task: JoinHandle<()>,
    asked: u64,
}

impl Running {
    fn over(partition: &Arc<Partition>, gone: &[&str]) -> Self {
        let env = Arc::new(Env::system());
        let (inbox, receiver) = mpsc::channel(16);
        let stopping = CancellationToken::new();
        let gone: Vec<Arc<str>> = gone.iter().map(|topic| Arc::from(*topic)).collect();
        let parts = ShardParts {
            partition: partition.clone(),
            config: CONFIG,
            clock: SteadyClock::new(env.clone()),
            env: env.clone(),
            stopping: stopping.clone(),
            gone_topics: Box::new(move |_| gone.clone()),
        };
        let task = env.spawn("group-shard", Shard::new(parts, receiver).run());
        Self {
            inbox,
            stopping,
            task,
            asked: 0,
        }
    }

    async fn send(&mut self, command: impl FnOnce(ReplyTo) -> GroupCommand) -> oneshot::Receiver<Answer> {
        self.asked += 1;
        let to = ReplyTo(self.asked);
        let (answer, reply) = oneshot::channel();
        let message = Message::Request {
            to,
            command: command(to),
            answer,
        };
        assert!(self.inbox.send(message).await.is_ok(), "the shard runs");
        reply
    }

    async fn ask(&mut self, command: impl FnOnce(ReplyTo) -> GroupCommand) -> Answer {
        self.send(command).await.await.expect("every request is answered")
    }

    /// Asks until the shard has loaded.
    async fn offsets(&mut self, group: &str) -> Vec<(Arc<str>, i32, i64)> {
        let offsets = until_some("the shard to be loaded", async || {
            let answer = self.ask(|to| all_offsets(to, group)).await;
            let Ok(GroupReply::FetchOffsets(fetched)) = answer else {
                panic!("{answer:?}")
            };
            match fetched.error {
                ErrorCode::CoordinatorLoadInProgress => None,
                ErrorCode::None => Some(fetched.offsets),
                code => panic!("{code}"),
            }
        });
        let offsets = offsets.await.into_iter();
        offsets
            .map(|found| (found.topic, found.partition, found.offset))
            .collect()
    }

    /// What the shard that serves has in memory.
    async fn memory(&self) -> HardState {
        let (tell, told) = oneshot::channel();
        let look = |machine: &Machine| drop(tell.send(machine.hard().clone()));
        assert!(self.inbox.send(Message::Inspect(Box::new(look))).await.is_ok());
        told.await.expect("the shard runs")
    }

    async fn stop(self) {
        self.stopping.cancel();
        self.task.await.expect("the shard ends");
    }
}

fn all_offsets(to: ReplyTo, group: &str) -> GroupCommand {
    GroupCommand::FetchOffsets(FetchOffsets {
        to,
        group: group.into(),
        topics: None,
        require_stable: false,
    })
}

fn commit(to: ReplyTo, group: &str, topic: &str, offset: i64) -> GroupCommand {
    let offset = OffsetToCommit {
        topic: topic.into(),
        partition: 0,
        offset,
        leader_epoch: -1,
        metadata: "".into(),
    };
    commit_all(to, group, vec![offset])
}

/// A commit of `partitions` partitions that takes 3 kB for each.
fn large_commit(to: ReplyTo, group: &str, partitions: i32, offset: i64) -> GroupCommand {
    let metadata: Arc<str> = "n".repeat(3_000).into();
    let offsets = (0..partitions).map(|partition| OffsetToCommit {
        topic: "t".into(),
        partition,
        offset,
        leader_epoch: -1,
        metadata: metadata.clone(),
    });
    commit_all(to, group, offsets.collect())
}

fn commit_all(to: ReplyTo, group: &str, offsets: Vec<OffsetToCommit>) -> GroupCommand {
    GroupCommand::CommitOffsets(CommitOffsets {
        to,
        group: group.into(),
        member: "".into(),
        instance: None,
        generation: -1,
        retention_time_ms: -1,
        offsets,
    })
}

/// What the next start would read back.
fn on_disk(partition: &Partition) -> HardState {
    store::load(&partition.log, CONFIG).expect("readable").hard().clone()
}

fn offsets_partition(logs: &Logs) -> Arc<Partition> {
    logs.partition_with(
        "__consumer_offsets",
        0,
        LogConfig {
            compacted: true,
            ..LogConfig::default()
        },
    )
}

/// The member that a join made.
fn joined(answer: Answer) -> Arc<str> {
    match answer {
        Ok(GroupReply::Join(joined)) if joined.error == ErrorCode::None => joined.member,
        answer => panic!("{answer:?}"),
    }
}

fn committed(answer: Answer) -> ErrorCode {
    match answer {
        Ok(GroupReply::CommitOffsets(partitions)) => partitions[0].error,
        answer => panic!("{answer:?}"),
    }
}

#[tokio::test]
async fn an_answered_commit_is_durable_and_read_back() {
    let logs = Logs::new();
    let partition = offsets_partition(&logs);
    let mut first = Running::over(&partition, &[]);
    assert_eq!(
        committed(first.ask(|to| commit(to, "g", "t", 41)).await),
        ErrorCode::None
    );
    assert_eq!(
        partition.log.marks().durable,
        partition.log.marks().log_end,
        "answered means durable"
    );
    assert_eq!(
        committed(first.ask(|to| commit(to, "g", "t", 42)).await),
        ErrorCode::None
    );
    assert_eq!(first.offsets("g").await, [("t".into(), 0, 42)]);
    first.stop().await;

    let mut second = Running::over(&partition, &[]);
    assert_eq!(second.offsets("g").await, [("t".into(), 0, 42)]);
    second.stop().await;
}

#[tokio::test]
async fn offsets_of_topics_that_went_while_the_broker_was_away_end() {
    let logs = Logs::new();
    let partition = offsets_partition(&logs);
    let mut first = Running::over(&partition, &[]);
    for topic in ["kept", "gone"] {
        assert_eq!(
            committed(first.ask(|to| commit(to, "g", topic, 1)).await),
            ErrorCode::None
        );
    }
    first.stop().await;
    let mut second = Running::over(&partition, &["gone"]);
    assert_eq!(second.offsets("g").await, [("kept".into(), 0, 1)]);
    second.stop().await;
}

#[tokio::test]
async fn a_group_forms_and_ends_when_its_member_is_silent() {
    let logs = Logs::new();
    let partition = offsets_partition(&logs);
    let mut shard = Running::over(&partition, &[]);
    let joined = shard.ask(|to| join(to, 200)).await;
    let Ok(GroupReply::Join(joined)) = joined else {
        panic!("{joined:?}")
    };
    assert_eq!(
        (joined.error, joined.generation, &joined.leader),
        (ErrorCode::None, 1, &joined.member)
    );
    let member = joined.member.clone();
    let synced = shard.ask(|to| sync(to, &member)).await;
    let Ok(GroupReply::Sync(synced)) = synced else {
        panic!("{synced:?}")
    };
    assert_eq!(
        (synced.error, &synced.assignment[..]),
        (ErrorCode::None, &b"all of it"[..])
    );
    assert_eq!(state(&mut shard).await, "Stable");
    // The session ends by the shard's own timer.
    until("the end of the session", async || state(&mut shard).await == "Empty").await;
    shard.stop().await;
}

#[tokio::test]
async fn a_shard_that_stops_sends_the_waiting_away() {
    let logs = Logs::new();
    let partition = offsets_partition(&logs);
    let mut shard = Running::over(&partition, &[]);
    let joined = shard.ask(|to| join(to, 60_000)).await;
    let Ok(GroupReply::Join(joined)) = joined else {
        panic!("{joined:?}")
    };
    assert_eq!(joined.error, ErrorCode::None);
    // A second member starts a rebalance that waits for the first.
    let parked = shard.send(|to| join(to, 60_000)).await;
    shard.offsets("g").await;
    shard.stop().await;
    assert_eq!(parked.await.expect("answered"), Err(ErrorCode::NotCoordinator));
}

#[tokio::test]
async fn a_log_that_takes_no_writes_ends_its_shard_and_nothing_is_promised() {
    let logs = Logs::new();
    let partition = offsets_partition(&logs);
    let mut shard = Running::over(&partition, &[]);
    assert_eq!(
        committed(shard.ask(|to| commit(to, "g", "t", 1)).await),
        ErrorCode::None
    );
    logs.manager
        .delete_log(&partition.topic_partition, NOW)
        .expect("deleted");
    assert_eq!(
        shard.ask(|to| commit(to, "g", "t", 2)).await,
        Err(ErrorCode::NotCoordinator)
    );
    assert_eq!(
        shard.ask(|to| all_offsets(to, "g")).await,
        Err(ErrorCode::NotCoordinator)
    );
    shard.stop().await;
}

/// The device is full at some place of what one command writes, in the middle of a batch or behind some of them.
#[tokio::test]
async fn a_shard_whose_append_broke_off_goes_on_with_what_its_log_holds() {
    const PARTITIONS: i32 = 400;
    for room in [0, 1_000, 300_000, 700_000, 1_100_000] {
        let fs = FaultyFs::new();
        let logs = Logs::on(fs.clone());
        let partition = offsets_partition(&logs);
        let mut shard = Running::over(&partition, &[]);
        let first = shard.ask(|to| large_commit(to, "g", PARTITIONS, 1)).await;
        assert_eq!(committed(first), ErrorCode::None);

        leave_room(&fs, room);
        let end = partition.log.marks().log_end;
        let refused = shard.ask(|to| large_commit(to, "g", PARTITIONS, 2)).await;
        assert_eq!(
            refused,
            Err(ErrorCode::NotCoordinator),
            "clients look again, and commit again"
        );
        let written = partition.log.marks().log_end - end;
        assert_eq!(
            0 < written,
            300_000 <= room,
            "{written} of {PARTITIONS} with room for {room} bytes"
        );
        assert!(written < i64::from(PARTITIONS));

        let offsets = shard.offsets("g").await;
        let new = offsets.iter().filter(|(_, _, offset)| *offset == 2).count();
        assert_eq!((offsets.len(), new as i64), (PARTITIONS as usize, written));
        assert_eq!(shard.memory().await, on_disk(&partition), "with room for {room} bytes");

        fs.set_faults(Faults::default());
        let again = shard.ask(|to| large_commit(to, "g", PARTITIONS, 3)).await;
        assert_eq!(committed(again), ErrorCode::None);
        assert!(shard.offsets("g").await.iter().all(|(_, _, offset)| *offset == 3));
        assert_eq!(shard.memory().await, on_disk(&partition));
        shard.stop().await;
    }
}

/// What a group decides beside its records goes with them: the generation that could not be written never was.
#[tokio::test]
async fn a_generation_that_could_not_be_written_is_forgotten() {
    let fs = FaultyFs::new();
    let logs = Logs::on(fs.clone());
    let partition = offsets_partition(&logs);
    let mut shard = Running::over(&partition, &[]);
    assert_eq!(
        committed(shard.ask(|to| commit(to, "other", "t", 1)).await),
        ErrorCode::None
    );
    for room in [0, 100] {
        let member = joined(shard.ask(|to| join(to, 60_000)).await);
        leave_room(&fs, room);
        let end = partition.log.marks().log_end;
        let refused = shard.ask(|to| sync(to, &member)).await;
        assert_eq!(refused, Err(ErrorCode::NotCoordinator));
        assert_eq!(partition.log.marks().log_end, end);
        assert_eq!(shard.offsets("other").await, [("t".into(), 0, 1)]);
        assert_eq!(shard.memory().await, on_disk(&partition));
        assert_eq!(state(&mut shard).await, "Empty", "who had joined joins again");
    }
    fs.set_faults(Faults::default());
    let member = joined(shard.ask(|to| join(to, 60_000)).await);
    let synced = shard.ask(|to| sync(to, &member)).await;
    assert!(
        matches!(&synced, Ok(GroupReply::Sync(synced)) if synced.error == ErrorCode::None),
        "{synced:?}"
    );
    assert_eq!(state(&mut shard).await, "Stable");
    assert_eq!(shard.memory().await, on_disk(&partition));
    shard.stop().await;
}

#[tokio::test]
async fn nobody_is_missed_who_does_not_wait() {
    let logs = Logs::new();
    let partition = offsets_partition(&logs);
    let mut shard = Running::over(&partition, &[]);
    drop(shard.send(|to| commit(to, "g", "t", 5)).await);
    assert!(shard.inbox.send(Message::Forget(ReplyTo(1))).await.is_ok());
    assert_eq!(
        shard.offsets("g").await,
        [("t".into(), 0, 5)],
        "the commit itself stands"
    );
    shard.stop().await;
}

#[test]
fn what_one_command_writes_may_take_several_batches() {
    let logs = Logs::new();
    let partition = offsets_partition(&logs);
    let note: Arc<str> = "n".repeat(3_000).into();
    let records: Vec<_> = (0..500).map(|index| record(index, &note)).collect();
    let ticket = store::append(&partition.log, &records, NOW)
        .expect("appended")
        .expect("something was written");
    ticket.wait().expect("durable");
    let slice = partition
        .log
        .read(0, Isolation::LogEnd, usize::MAX, true)
        .expect("readable");
    let batches = protocol::records::BatchIter::new(slice.bytes).count();
    assert!(
        (6..=10).contains(&batches),
        "{batches} batches of at most 256 KiB for 1.5 MB"
    );

    let mut expected = Machine::new(CONFIG);
    records.iter().for_each(|record| expected.apply(record));
    let loaded = store::load(&partition.log, CONFIG).expect("loaded");
    assert_eq!(loaded.hard(), expected.hard());
}

#[test]
fn what_failed_half_way_says_that_a_part_is_in_the_log() {
    let logs = Logs::new();
    let partition = offsets_partition(&logs);
    let note: Arc<str> = "n".repeat(3_000).into();
    let records: Vec<_> = (0..500).map(|index| record(index, &note)).collect();
    for whole_batches in [0, 2] {
        let mut count = 0;
        let outcome = store::append_with(&records, NOW, |batch| {
            count += 1;
            if whole_batches < count {
                return Err(storage::AppendError::Closed(partition.topic_partition.clone()));
            }
            Ok(partition
                .log
                .append(batch, storage::AppendOrigin::Coordinator, NOW)?
                .ticket)
        });
        let failed = outcome.expect_err("the log was closed");
        assert_eq!(failed.part.is_some(), 0 < whole_batches);
    }
}

#[test]
fn nothing_to_write_writes_nothing() {
    let logs = Logs::new();
    let partition = offsets_partition(&logs);
    assert!(store::append(&partition.log, &[], NOW).expect("no error").is_none());
    assert_eq!(partition.log.marks().log_end, 0);
}

#[test]
fn the_brokers_own_groups_are_out_of_reach() {
    assert_eq!(
        check_client_may_change("tidemill.query.v"),
        Err(ErrorCode::GroupAuthorizationFailed)
    );
    assert_eq!(check_client_may_change("tidemill"), Ok(()));
    assert_eq!(check_client_may_change(""), Ok(()));
}

fn record(index: i32, note: &Arc<str>) -> GroupRecord {
    let key = OffsetCommitKey {
        group: "g".into(),
        topic: "t".into(),
        partition: index,
    };
    let value = OffsetCommitValue {
        offset: i64::from(index),
        leader_epoch: -1,
        metadata: note.clone(),
        commit_timestamp: NOW,
        expire_timestamp: None,
        topic_id: protocol::ids::TopicId::NIL,
    };
    GroupRecord::OffsetCommit {
        key,
        value: Some(value),
    }
}

fn join(to: ReplyTo, session_timeout_ms: i32) -> GroupCommand {
    GroupCommand::Join(JoinGroup {
        to,
        api_version: 3,
        group: "g".into(),
        member: "".into(),
        instance: None,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![Protocol {
            name: "range".into(),
            metadata: bytes::Bytes::from_static(&[0, 0, 0, 0, 0, 0]),
        }],
        fresh_id: uuid::Uuid::from_u128(u128::from(to.0)),
    })
}

fn sync(to: ReplyTo, member: &Arc<str>) -> GroupCommand {
    GroupCommand::Sync(SyncGroup {
        to,
        group: "g".into(),
        member: member.clone(),
        instance: None,
        generation: 1,
        protocol_type: None,
        protocol_name: None,
        assignments: vec![(member.clone(), bytes::Bytes::from_static(b"all of it"))],
    })
}

async fn state(shard: &mut Running) -> &'static str {
    let described = shard.ask(|to| GroupCommand::Describe { to, group: "g".into() }).await;
    let Ok(GroupReply::Describe(described)) = described else {
        panic!("{described:?}")
    };
    described.state
}
