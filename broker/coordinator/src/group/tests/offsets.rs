//! Dialogues about committed offsets.

use super::dialogue::{check, check_with};
use crate::group::GroupConfig;

#[test]
fn offsets_without_membership_are_kept_by_name() {
    check(
        "
        > commit x at=orders-0:5,orders-1:7
        write g:orders-0 = 5
        write g:orders-1 = 7
        x: orders-0=NONE orders-1=NONE (durable)
        > fetch x of=orders-1,orders-2
        x: offsets orders-1=7 orders-2=-1 (durable)
        > fetch x
        x: offsets orders-0=5 orders-1=7 (durable)
        > fetch x group=other
        x: offsets (durable)
        > fetch x of=orders-0 group=other
        x: offsets orders-0=-1 (durable)
        > describe x
        x: NONE Empty type= protocol= (durable)
        > restart
        > fetch x
        x: offsets orders-0=5 orders-1=7 (durable)
        > list x
        x: groups g:Empty: (durable)
        ",
    );
}

#[test]
fn a_partition_that_is_named_twice_is_written_and_told_once() {
    check(
        "
        > commit x at=t-1:5,t-0:3,t-1:6
        write g:t-0 = 3
        write g:t-1 = 6
        x: t-1=NONE t-0=NONE t-1=NONE (durable)
        > fetch x of=t-1,t-0,t-1,t-1
        x: offsets t-1=6 t-0=3 (durable)
        ",
    );
}

#[test]
fn a_commit_writes_no_more_than_its_bound() {
    let config = GroupConfig {
        commit_bytes_max: 2 * 100,
        ..GroupConfig::KAFKA_DEFAULTS
    };
    check_with(
        config,
        "
        > commit x at=t-0:1,t-1:1
        write g:t-0 = 1
        write g:t-1 = 1
        x: t-0=NONE t-1=NONE (durable)
        > commit x at=t-0:2,t-1:2,t-2:2
        x: t-0=INVALID_COMMIT_OFFSET_SIZE t-1=INVALID_COMMIT_OFFSET_SIZE t-2=INVALID_COMMIT_OFFSET_SIZE
        > fetch x of=t-0
        x: offsets t-0=1 (durable)
        ",
    );
}

#[test]
fn a_commit_must_come_from_a_current_member() {
    check(
        "
        > commit x member=m gen=1 at=t-0:1
        x: t-0=ILLEGAL_GENERATION
        > join a v=3 static=A
        write g gen=0
        > commit a member=A-1 gen=0 at=t-0:1
        write g:t-0 = 1
        a: t-0=NONE (durable)
        > wait 3s
        a: joined gen=1 range member=A-1 leader=A-1 members=A-1
        > commit a member=A-1 gen=1 at=t-0:1
        a: t-0=REBALANCE_IN_PROGRESS
        > sync a member=A-1 gen=1
        write g gen=1 range leader=A-1 A-1:\"\"
        a: synced \"\" (durable)
        > commit a member=A-1 gen=0 at=t-0:1
        a: t-0=ILLEGAL_GENERATION
        > commit a member=ghost gen=1 at=t-0:1
        a: t-0=UNKNOWN_MEMBER_ID
        > commit a member=ghost static=A gen=1 at=t-0:1
        a: t-0=FENCED_INSTANCE_ID
        > commit x at=t-0:9
        x: t-0=UNKNOWN_MEMBER_ID
        > commit a member=A-1 static=A gen=1 at=t-0:2
        write g:t-0 = 2
        a: t-0=NONE (durable)
        ",
    );
}

#[test]
fn a_commit_is_a_sign_of_life() {
    check(
        "
        > join a v=3
        write g gen=0
        > wait 3s
        a: joined gen=1 range member=a-1 leader=a-1 members=a-1
        > sync a member=a-1 gen=1
        write g gen=1 range leader=a-1 a-1:\"\"
        a: synced \"\" (durable)
        > wait 9s
        > commit a member=a-1 gen=1 at=t-0:2
        write g:t-0 = 2
        a: t-0=NONE (durable)
        > wait 9s
        > beat a member=a-1 gen=1
        a: NONE
        ",
    );
}

#[test]
fn a_note_that_is_too_long_fails_its_partition_alone() {
    let config = GroupConfig {
        offset_metadata_max: 3,
        ..GroupConfig::KAFKA_DEFAULTS
    };
    check_with(
        config,
        "
        > commit x at=t-0:1 note=abcd
        x: t-0=OFFSET_METADATA_TOO_LARGE (durable)
        > commit x at=t-0:1 note=äöü
        write g:t-0 = 1
        x: t-0=NONE (durable)
        > commit x at=t-0:2 note=😀😀
        x: t-0=OFFSET_METADATA_TOO_LARGE (durable)
        ",
    );
}

#[test]
fn offsets_of_a_group_without_members_expire_after_their_commit() {
    check(
        "
        > commit x at=t-0:1
        write g:t-0 = 1
        x: t-0=NONE (durable)
        > wait 6d
        > commit x at=t-1:1
        write g:t-1 = 1
        x: t-1=NONE (durable)
        > wait 1d
        > expire
        write g:t-0 gone
        > wait 6d
        > expire
        write g:t-1 gone
        write g gone
        > describe x
        x: GROUP_ID_NOT_FOUND Dead type= protocol= (durable)
        ",
    );
}

#[test]
fn offsets_of_a_group_that_emptied_expire_after_it_became_empty() {
    check(
        "
        > join a v=3 session=30m
        write g gen=0
        > wait 3s
        a: joined gen=1 range member=a-1 leader=a-1 members=a-1
        > sync a member=a-1 gen=1
        write g gen=1 range leader=a-1 a-1:\"\"
        a: synced \"\" (durable)
        > commit a member=a-1 gen=1 at=t-0:2
        write g:t-0 = 2
        a: t-0=NONE (durable)
        > wait 29m
        > leave a member=a-1
        write g gen=2
        a: a-1=NONE (durable)
        > wait 6d
        > restart
        > expire
        > wait 1d
        > expire
        write g:t-0 gone
        write g gone
        ",
    );
}

#[test]
fn members_protect_the_offsets_of_the_topics_they_subscribe_to() {
    check(
        "
        > commit x at=kept-0:1,left-0:1
        write g:kept-0 = 1
        write g:left-0 = 1
        x: kept-0=NONE left-0=NONE (durable)
        > wait 7d
        > join a v=3 meta=topics:kept+more
        > expire
        > wait 3s
        a: joined gen=1 range member=a-1 leader=a-1 members=a-1
        > expire
        > sync a member=a-1 gen=1
        write g gen=1 range leader=a-1 a-1:\"\"
        a: synced \"\" (durable)
        > restart
        > expire
        write g:left-0 gone
        > fetch x
        x: offsets kept-0=1 (durable)
        ",
    );
}

#[test]
fn metadata_that_cannot_be_read_protects_everything() {
    check(
        "
        > commit x at=t-0:1
        write g:t-0 = 1
        x: t-0=NONE (durable)
        > join a v=3 meta=garbage session=30m
        > wait 3s
        a: joined gen=1 range member=a-1 leader=a-1 members=a-1
        > sync a member=a-1 gen=1
        write g gen=1 range leader=a-1 a-1:\"\"
        a: synced \"\" (durable)
        > restart
        > expire
        ",
    );
}

#[test]
fn an_offset_with_a_retention_of_its_own_ends_at_that_time() {
    check(
        "
        > commit x at=t-0:1 retention=10s
        write g:t-0 = 1 until 1010000
        x: t-0=NONE (durable)
        > wait 9999ms
        > expire
        > wait 1ms
        > expire
        write g:t-0 gone
        write g gone
        ",
    );
}

#[test]
fn reserved_groups_do_not_expire() {
    check(
        "
        > commit x group=tidemill.query.q at=t-0:1
        write tidemill.query.q:t-0 = 1
        x: t-0=NONE (durable)
        > wait 30d
        > expire
        > fetch x group=tidemill.query.q
        x: offsets t-0=1 (durable)
        ",
    );
}

#[test]
fn a_topic_takes_its_offsets_along() {
    check(
        "
        > commit x at=gone-0:1,gone-1:1,kept-0:1
        write g:gone-0 = 1
        write g:gone-1 = 1
        write g:kept-0 = 1
        x: gone-0=NONE gone-1=NONE kept-0=NONE (durable)
        > commit x group=h at=gone-0:1
        write h:gone-0 = 1
        x: gone-0=NONE (durable)
        > topic-deleted gone
        write g:gone-0 gone
        write g:gone-1 gone
        write h:gone-0 gone
        > fetch x
        x: offsets kept-0=1 (durable)
        ",
    );
}

#[test]
fn only_a_group_without_members_can_be_deleted() {
    check(
        "
        > delete x
        x: GROUP_ID_NOT_FOUND (durable)
        > join a v=3
        write g gen=0
        > delete x
        x: NON_EMPTY_GROUP (durable)
        > commit a member=a-1 gen=0 at=t-0:1
        write g:t-0 = 1
        a: t-0=NONE (durable)
        > leave a member=a-1
        a: UNKNOWN_MEMBER_ID member=
        a: a-1=NONE
        > delete x
        x: NON_EMPTY_GROUP (durable)
        > wait 3s
        write g gen=1
        > delete x
        write g:t-0 gone
        write g gone
        x: NONE (durable)
        > delete x
        x: GROUP_ID_NOT_FOUND (durable)
        > list x
        x: groups (durable)
        > restart
        > list x
        x: groups (durable)
        ",
    );
}

#[test]
fn offsets_of_a_transaction_count_from_its_marker_on() {
    check(
        "
        > pending 7 at=t-0:10
        > fetch x of=t-0
        x: offsets t-0=-1 (durable)
        > fetch x of=t-0 stable=yes
        x: offsets t-0=-1(UNSTABLE_OFFSET_COMMIT) (durable)
        > list x
        x: groups g:Empty: (durable)
        > wait 30d
        > expire
        > commit-marker 7
        > fetch x of=t-0 stable=yes
        x: offsets t-0=10 (durable)
        > pending 7 at=t-0:20
        > abort-marker 7
        > fetch x
        x: offsets t-0=10 (durable)
        > pending 7 at=t-0:30
        > commit x at=t-0:11
        write g:t-0 = 11
        x: t-0=NONE (durable)
        > commit-marker 7
        > fetch x
        x: offsets t-0=11 (durable)
        > pending 7 at=t-0:40
        > topic-deleted t
        write g:t-0 gone
        > commit-marker 7
        > fetch x
        x: offsets (durable)
        ",
    );
}
