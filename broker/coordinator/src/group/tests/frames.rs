//! What members bring is kept apart from the requests that brought it.

use bytes::Bytes;
use uuid::Uuid;

use crate::group::{
    GroupCommand, GroupConfig, GroupOutcome, GroupReply, GroupTimer, Groups, JoinGroup, Protocol, SyncGroup,
};
use crate::outcome::ReplyTo;

const NOW: i64 = 1_000_000;

fn run(groups: &mut Groups, now: i64, command: GroupCommand) -> GroupOutcome {
    let outcome = groups.handle(now, command);
    outcome.records.iter().for_each(|record| groups.apply(record));
    outcome
}

fn join(frame: &Bytes) -> GroupCommand {
    GroupCommand::Join(JoinGroup {
        to: ReplyTo(1),
        api_version: 3,
        group: "g".into(),
        member: "".into(),
        instance: None,
        client_id: "a".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".into(),
        protocols: vec![Protocol {
            name: "range".into(),
            metadata: frame.slice(100..110),
        }],
        fresh_id: Uuid::from_u128(1),
    })
}

#[test]
fn a_group_keeps_no_frame_in_memory() {
    let mut groups = Groups::new(GroupConfig::KAFKA_DEFAULTS);
    groups.loaded(NOW);
    let joined = Bytes::from(vec![1; 10_000]);
    run(&mut groups, NOW, join(&joined));
    let due = NOW + 3_000;
    let outcome = run(
        &mut groups,
        due,
        GroupCommand::Timer(GroupTimer::Join { group: "g".into() }),
    );
    let Some(GroupReply::Join(reply)) = outcome.replies.into_iter().map(|reply| reply.body).next() else {
        panic!("the member is answered when the time is up");
    };
    assert_eq!(reply.members[0].metadata, joined.slice(100..110));

    let synced = Bytes::from(vec![2; 10_000]);
    let sync = SyncGroup {
        to: ReplyTo(2),
        group: "g".into(),
        member: reply.member.clone(),
        instance: None,
        generation: reply.generation,
        protocol_type: None,
        protocol_name: None,
        assignments: vec![(reply.member, synced.slice(7..9))],
    };
    let outcome = run(&mut groups, due, GroupCommand::Sync(sync));
    assert!(matches!(&outcome.replies[0].body, GroupReply::Sync(reply) if reply.assignment == synced.slice(7..9)));
    assert!(joined.is_unique() && synced.is_unique());
}
