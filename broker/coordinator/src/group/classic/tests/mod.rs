//! Dialogues about membership. The language is explained in `group/tests/dialogue.rs`.

mod static_members;

use crate::group::GroupConfig;
use crate::group::tests::dialogue::{check, check_with};

#[test]
fn two_members_form_a_group() {
    check(
        "
        > join a
        write g gen=0
        a: MEMBER_ID_REQUIRED member=a-1
        > join b
        b: MEMBER_ID_REQUIRED member=b-2
        > join a member=a-1
        > join b member=b-2
        > describe x
        x: NONE PreparingRebalance type=consumer protocol= a-1:\"\" b-2:\"\" (durable)
        > wait 3s
        > wait 3s
        a: joined gen=1 range member=a-1 leader=a-1 members=a-1,b-2
        b: joined gen=1 range member=b-2 leader=a-1
        > sync b member=b-2 gen=1
        > sync a member=a-1 gen=1 assign=a-1:x,b-2:y
        write g gen=1 range leader=a-1 a-1:\"x\" b-2:\"y\"
        a: synced \"x\" (durable)
        b: synced \"y\" (durable)
        > describe x
        x: NONE Stable type=consumer protocol=range a-1:\"x\" b-2:\"y\" (durable)
        > beat a member=a-1 gen=1
        a: NONE
        > sync b member=b-2 gen=1
        b: synced \"y\" (durable)
        ",
    );
}

#[test]
fn the_first_rebalance_waits_for_more_members_up_to_the_rebalance_timeout() {
    check(
        "
        > join a v=3 rebalance=7s
        write g gen=0
        > wait 2s
        > join b v=3 rebalance=7s
        > wait 2s
        > join c v=3 rebalance=7s
        > wait 2s
        > join d v=3 rebalance=7s
        > wait 999ms
        > wait 1ms
        a: joined gen=1 range member=a-1 leader=a-1 members=a-1,b-2,c-3,d-4
        b: joined gen=1 range member=b-2 leader=a-1
        c: joined gen=1 range member=c-3 leader=a-1
        d: joined gen=1 range member=d-4 leader=a-1
        ",
    );
}

#[test]
fn a_member_id_that_nobody_uses_is_forgotten() {
    check(
        "
        > join a
        write g gen=0
        a: MEMBER_ID_REQUIRED member=a-1
        > wait 10s
        > join a member=a-1
        a: UNKNOWN_MEMBER_ID member=a-1
        ",
    );
}

#[test]
fn an_invited_member_is_waited_for_after_the_first_rebalance() {
    let stable = stable_pair();
    check(&format!(
        "{stable}
        > join c
        c: MEMBER_ID_REQUIRED member=c-3
        > join d v=3
        > beat a member=a-1 gen=1
        a: REBALANCE_IN_PROGRESS
        > join a member=a-1
        > join b member=b-2
        > join c member=c-3
        a: joined gen=2 range member=a-1 leader=a-1 members=a-1,b-2,c-3,d-4
        b: joined gen=2 range member=b-2 leader=a-1
        c: joined gen=2 range member=c-3 leader=a-1
        d: joined gen=2 range member=d-4 leader=a-1
        "
    ));
}

#[test]
fn requests_with_wrong_facts_are_refused() {
    let stable = stable_pair();
    check(&format!(
        "{stable}
        > beat a member=a-1 gen=0
        a: ILLEGAL_GENERATION
        > beat a member=x gen=1
        a: UNKNOWN_MEMBER_ID
        > beat a member=a-1 gen=1 group=other
        a: UNKNOWN_MEMBER_ID
        > sync a member=a-1 gen=2
        a: ILLEGAL_GENERATION
        > sync a member=a-1 gen=1 protocol=sticky
        a: INCONSISTENT_GROUP_PROTOCOL
        > sync a member=a-1 gen=1 type=connect
        a: INCONSISTENT_GROUP_PROTOCOL
        > sync a member=a-1 gen=1 type=consumer protocol=range
        a: synced \"x\" (durable)
        > join a member=ghost
        a: UNKNOWN_MEMBER_ID member=ghost
        > join a member=a-1 group=other
        a: UNKNOWN_MEMBER_ID member=a-1
        > join c session=5s
        c: INVALID_SESSION_TIMEOUT member=
        > join c session=31m
        c: INVALID_SESSION_TIMEOUT member=
        > join c group=
        c: INVALID_GROUP_ID member=
        > join c type=connect
        c: INCONSISTENT_GROUP_PROTOCOL member=
        > join c protocols=sticky
        c: INCONSISTENT_GROUP_PROTOCOL member=
        > list x
        x: groups g:Stable:consumer (durable)
        "
    ));
}

#[test]
fn a_refused_first_join_leaves_no_group_behind() {
    check(
        "
        > join a protocols=
        a: INCONSISTENT_GROUP_PROTOCOL member=
        > list x
        x: groups (durable)
        ",
    );
}

#[test]
fn a_member_that_rejoins_unchanged_gets_the_current_generation() {
    let stable = stable_pair();
    check(&format!(
        "{stable}
        > join b member=b-2
        b: joined gen=1 range member=b-2 leader=a-1 (durable)
        > join b member=b-2 meta=new
        > join a member=a-1
        a: joined gen=2 range member=a-1 leader=a-1 members=a-1,b-2
        b: joined gen=2 range member=b-2 leader=a-1
        > join a member=a-1
        a: joined gen=2 range member=a-1 leader=a-1 members=a-1,b-2 (durable)
        > sync a member=a-1 gen=2 assign=a-1:x
        write g gen=2 range leader=a-1 a-1:\"x\" b-2:\"\"
        a: synced \"x\" (durable)
        > sync b member=b-2 gen=2
        b: synced \"\" (durable)
        > join a member=a-1
        > beat b member=b-2 gen=2
        b: REBALANCE_IN_PROGRESS
        "
    ));
}

#[test]
fn a_rebalance_takes_back_parked_syncs() {
    check(&format!(
        "{}
        > join a member=a-1
        > join b member=b-2
        a: joined gen=2 range member=a-1 leader=a-1 members=a-1,b-2
        b: joined gen=2 range member=b-2 leader=a-1
        > sync b member=b-2 gen=2
        > join c v=3
        b: REBALANCE_IN_PROGRESS
        > sync a member=a-1 gen=2
        a: REBALANCE_IN_PROGRESS
        ",
        stable_pair()
    ));
}

#[test]
fn a_dynamic_member_that_does_not_rejoin_is_removed_when_time_is_up() {
    check(&format!(
        "{}
        > join a member=a-1 session=1m
        > beat b member=b-2 gen=1
        b: REBALANCE_IN_PROGRESS
        > wait 9s
        > beat b member=b-2 gen=1
        b: REBALANCE_IN_PROGRESS
        > wait 9s
        > beat b member=b-2 gen=1
        b: REBALANCE_IN_PROGRESS
        > wait 9s
        > beat b member=b-2 gen=1
        b: REBALANCE_IN_PROGRESS
        > wait 9s
        > beat b member=b-2 gen=1
        b: REBALANCE_IN_PROGRESS
        > wait 9s
        > beat b member=b-2 gen=1
        b: REBALANCE_IN_PROGRESS
        > wait 9s
        > beat b member=b-2 gen=1
        b: REBALANCE_IN_PROGRESS
        > wait 5999ms
        > wait 1ms
        a: joined gen=2 range member=a-1 leader=a-1 members=a-1
        > beat b member=b-2 gen=1
        b: UNKNOWN_MEMBER_ID
        ",
        stable_pair()
    ));
}

#[test]
fn a_silent_member_is_removed_and_the_rest_rebalances() {
    check(&format!(
        "{}
        > wait 9s
        > beat a member=a-1 gen=1
        a: NONE
        > wait 1s
        > beat a member=a-1 gen=1
        a: REBALANCE_IN_PROGRESS
        > join a member=a-1
        a: joined gen=2 range member=a-1 leader=a-1 members=a-1
        ",
        stable_pair()
    ));
}

#[test]
fn a_member_that_waits_is_not_silent() {
    check(&format!(
        "{}
        > join a member=a-1 rebalance=1m
        > wait 9s
        > beat b member=b-2 gen=1
        b: REBALANCE_IN_PROGRESS
        > wait 9s
        > join b member=b-2
        a: joined gen=2 range member=a-1 leader=a-1 members=a-1,b-2
        b: joined gen=2 range member=b-2 leader=a-1
        ",
        stable_pair()
    ));
}

#[test]
fn the_last_member_to_go_leaves_an_empty_group() {
    check(&format!(
        "{}
        > leave a member=a-1
        a: a-1=NONE
        > leave b member=b-2,ghost
        write g gen=2
        b: b-2=NONE ghost=UNKNOWN_MEMBER_ID (durable)
        > describe x
        x: NONE Empty type=consumer protocol= (durable)
        > leave b member=b-2
        b: b-2=UNKNOWN_MEMBER_ID
        > leave b member=b-2 group=other
        b: b-2=UNKNOWN_MEMBER_ID
        > join a v=3
        > wait 3s
        a: joined gen=3 range member=a-3 leader=a-3 members=a-3
        ",
        stable_pair()
    ));
}

#[test]
fn all_sessions_end_and_the_group_is_empty() {
    check(&format!(
        "{}
        > wait 10s
        write g gen=2
        > list x states=empty types=Classic
        x: groups g:Empty:consumer (durable)
        > list x states=stable
        x: groups (durable)
        > list x types=consumer
        x: groups (durable)
        ",
        stable_pair()
    ));
}

#[test]
fn a_member_that_never_syncs_is_removed() {
    check(&format!(
        "{}
        > join a member=a-1 rebalance=20s session=1m
        > join b member=b-2 rebalance=20s session=1m
        a: joined gen=2 range member=a-1 leader=a-1 members=a-1,b-2
        b: joined gen=2 range member=b-2 leader=a-1
        > sync a member=a-1 gen=2 assign=a-1:x,b-2:y
        write g gen=2 range leader=a-1 a-1:\"x\" b-2:\"y\"
        a: synced \"x\" (durable)
        > wait 20s
        > beat b member=b-2 gen=2
        b: UNKNOWN_MEMBER_ID
        > beat a member=a-1 gen=2
        a: REBALANCE_IN_PROGRESS
        ",
        stable_pair()
    ));
}

#[test]
fn the_protocol_with_most_votes_among_the_common_ones_is_chosen() {
    check(
        "
        > join a v=3 protocols=range,sticky,robin
        write g gen=0
        > join b v=3 protocols=sticky,robin
        > join c v=3 protocols=robin,sticky
        > join d v=3 protocols=range
        d: INCONSISTENT_GROUP_PROTOCOL member=
        > wait 6s
        a: joined gen=1 sticky member=a-1 leader=a-1 members=a-1,b-2,c-3
        b: joined gen=1 sticky member=b-2 leader=a-1
        c: joined gen=1 sticky member=c-3 leader=a-1
        ",
    );
}

#[test]
fn a_rebalance_that_a_crash_cut_off_leaves_the_generation_before() {
    check(&format!(
        "{}
        > join a member=a-1
        > join b member=b-2
        a: joined gen=2 range member=a-1 leader=a-1 members=a-1,b-2
        b: joined gen=2 range member=b-2 leader=a-1
        > restart
        > beat a member=a-1 gen=2
        a: ILLEGAL_GENERATION
        > beat a member=a-1 gen=1
        a: NONE
        ",
        stable_pair()
    ));
}

#[test]
fn a_full_group_turns_newcomers_away() {
    let config = GroupConfig {
        members_max: 2,
        ..GroupConfig::KAFKA_DEFAULTS
    };
    check_with(
        config,
        &format!(
            "{}
            > join c
            c: GROUP_MAX_SIZE_REACHED member=
            > join a member=a-1
            > join c
            c: MEMBER_ID_REQUIRED member=c-4
            > join c member=c-4
            > join b member=b-2
            a: joined gen=2 range member=a-1 leader=a-1 members=a-1,c-4
            c: joined gen=2 range member=c-4 leader=a-1
            b: GROUP_MAX_SIZE_REACHED member=
            ",
            stable_pair()
        ),
    );
}

#[test]
fn invitations_and_groups_are_bounded() {
    let config = GroupConfig {
        members_max: 1,
        groups_max: 1,
        ..GroupConfig::KAFKA_DEFAULTS
    };
    check_with(
        config,
        "
        > join a
        write g gen=0
        a: MEMBER_ID_REQUIRED member=a-1
        > join b
        b: GROUP_MAX_SIZE_REACHED member=
        > join c group=h
        c: GROUP_MAX_SIZE_REACHED member=
        > commit x group=i at=t-0:1
        x: t-0=GROUP_MAX_SIZE_REACHED
        ",
    );
}

#[test]
fn invitations_of_all_groups_share_one_bound() {
    let config = GroupConfig {
        // Two invitations to clients with a name of one letter.
        invited_bytes_max: 600,
        ..GroupConfig::KAFKA_DEFAULTS
    };
    check_with(
        config,
        "
        > join a group=h
        write h gen=0
        a: MEMBER_ID_REQUIRED member=a-1
        > join b
        write g gen=0
        b: MEMBER_ID_REQUIRED member=b-2
        > join c
        c: GROUP_MAX_SIZE_REACHED member=
        > join d group=i
        d: GROUP_MAX_SIZE_REACHED member=
        > join b member=b-2
        > join c
        c: MEMBER_ID_REQUIRED member=c-5
        > join d
        d: GROUP_MAX_SIZE_REACHED member=
        > delete x group=h
        write h gone
        x: NONE (durable)
        > join d
        d: MEMBER_ID_REQUIRED member=d-7
        > join e
        e: GROUP_MAX_SIZE_REACHED member=
        > wait 10s
        b: joined gen=1 range member=b-2 leader=b-2 members=b-2
        > join e group=j
        write j gen=0
        e: MEMBER_ID_REQUIRED member=e-9
        ",
    );
}

#[test]
fn what_a_member_brings_for_its_protocols_is_bounded() {
    let config = GroupConfig {
        record_bytes_max: 200,
        ..GroupConfig::KAFKA_DEFAULTS
    };
    let many: Vec<String> = (0..101).map(|number| format!("p{number}")).collect();
    check(&format!(
        "
        > join a protocols={}
        a: INVALID_REQUEST member=
        > join a protocols={}
        write g gen=0
        a: MEMBER_ID_REQUIRED member=a-2
        ",
        many.join(","),
        many[1..].join(",")
    ));
    let long = "x".repeat(100);
    check_with(
        config,
        &format!(
            "
            > join a protocols=range,sticky meta={long}
            a: INVALID_REQUEST member=
            > join a meta={long}
            write g gen=0
            a: MEMBER_ID_REQUIRED member=a-2
            "
        ),
    );
}

#[test]
fn an_assignment_that_no_record_can_hold_is_refused_and_the_group_rebalances() {
    let config = GroupConfig {
        record_bytes_max: 200,
        ..GroupConfig::KAFKA_DEFAULTS
    };
    let long = "x".repeat(200);
    check_with(
        config,
        &format!(
            "
            > join a v=3
            write g gen=0
            > wait 3s
            a: joined gen=1 range member=a-1 leader=a-1 members=a-1
            > sync a member=a-1 gen=1 assign=a-1:{long}
            a: UNKNOWN_SERVER_ERROR
            > beat a member=a-1 gen=1
            a: REBALANCE_IN_PROGRESS
            "
        ),
    );
}

#[test]
fn a_request_parked_twice_gets_its_first_copy_answered() {
    check(&format!(
        "{}
        > join a member=a-1
        > join again member=a-1
        a: REBALANCE_IN_PROGRESS member=a-1
        > join b member=b-2
        again: joined gen=2 range member=a-1 leader=a-1 members=a-1,b-2
        b: joined gen=2 range member=b-2 leader=a-1
        > sync b member=b-2 gen=2
        > sync again member=b-2 gen=2
        b: REBALANCE_IN_PROGRESS
        > leave x member=b-2
        again: UNKNOWN_MEMBER_ID
        x: b-2=NONE
        ",
        stable_pair()
    ));
}

#[test]
fn a_timer_that_comes_early_changes_nothing() {
    check(
        "
        > join a
        write g gen=0
        a: MEMBER_ID_REQUIRED member=a-1
        > nudge x member=a-1
        > join a member=a-1
        > nudge x member=a-1
        > wait 3s
        a: joined gen=1 range member=a-1 leader=a-1 members=a-1
        > nudge x member=a-1
        > sync a member=a-1 gen=1
        write g gen=1 range leader=a-1 a-1:\"\"
        a: synced \"\" (durable)
        > nudge x member=a-1
        > nudge x member=ghost
        > beat a member=a-1 gen=1
        a: NONE
        ",
    );
}

#[test]
fn a_newcomer_that_waits_for_too_long_is_told_to_come_again() {
    check(
        "
        > join a v=3 rebalance=10m session=30m
        write g gen=0
        > wait 3s
        a: joined gen=1 range member=a-1 leader=a-1 members=a-1
        > join b v=3 rebalance=10m
        > wait 299s
        > wait 1s
        b: UNKNOWN_MEMBER_ID member=
        > join a member=a-1
        a: joined gen=2 range member=a-1 leader=a-1 members=a-1
        ",
    );
}

/// Members `a-1`, the leader, and `b-2`, with the assignments `x` and `y`, in generation 1.
fn stable_pair() -> String {
    "
        > join a v=3
        write g gen=0
        > join b v=3
        > wait 6s
        a: joined gen=1 range member=a-1 leader=a-1 members=a-1,b-2
        b: joined gen=1 range member=b-2 leader=a-1
        > sync a member=a-1 gen=1 assign=a-1:x,b-2:y
        write g gen=1 range leader=a-1 a-1:\"x\" b-2:\"y\"
        a: synced \"x\" (durable)
        > sync b member=b-2 gen=1
        b: synced \"y\" (durable)
    "
    .to_owned()
}
