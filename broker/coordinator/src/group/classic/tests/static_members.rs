//! Dialogues about static members (KIP-345) and what a restart of the broker means to members.

use super::stable_pair;
use crate::group::tests::dialogue::check;

#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    check(&format!(
        "{}
        > join a static=A
        write g gen=1 range leader=A-3 A-3:\"x\" B-2:\"y\"
        a: joined gen=1 range member=A-3 leader=A-3 members=A-3,B-2 skip (durable)
        > sync a member=A-3 static=A gen=1
        a: synced \"x\" (durable)
        > beat a member=A-1 static=A gen=1
        a: FENCED_INSTANCE_ID
        > beat a member=A-1 gen=1
        a: UNKNOWN_MEMBER_ID
        > beat a member=A-3 static=A gen=1
        a: NONE
        > beat b member=B-2 static=B gen=1
        b: NONE
        > join b static=B v=5
        write g gen=1 range leader=A-3 A-3:\"x\" B-4:\"y\"
        b: joined gen=1 range member=B-4 leader=A-3 (durable)
        > join a static=A v=5
        write g gen=1 range leader=A-5 A-5:\"x\" B-4:\"y\"
        a: joined gen=1 range member=A-5 leader=A-3 (durable)
        ",
        stable_static_pair()
    ));
}

#[test]
fn a_static_member_with_another_protocol_causes_a_rebalance() {
    check(
        "
        > join a v=3 static=A protocols=range,sticky
        write g gen=0
        > wait 3s
        a: joined gen=1 range member=A-1 leader=A-1 members=A-1
        > sync a member=A-1 gen=1 assign=A-1:x
        write g gen=1 range leader=A-1 A-1:\"x\"
        a: synced \"x\" (durable)
        > join a static=A protocols=sticky,range
        a: joined gen=2 sticky member=A-2 leader=A-2 members=A-2
        ",
    );
}

#[test]
fn a_duplicate_of_a_static_member_is_fenced_while_it_waits() {
    check(&format!(
        "{}
        > join b member=B-2 static=B meta=new
        > join twin static=B
        b: FENCED_INSTANCE_ID member=B-2
        > join a member=A-1 static=A
        a: joined gen=2 range member=A-1 leader=A-1 members=A-1,B-3
        twin: joined gen=2 range member=B-3 leader=A-1
        > sync b member=B-3 static=B gen=2
        > join twin static=B
        b: FENCED_INSTANCE_ID
        ",
        stable_static_pair()
    ));
}

#[test]
fn an_administrator_removes_a_static_member_by_its_instance_id() {
    check(&format!(
        "{}
        > leave x static=B
        x: B=NONE
        > leave x static=nobody
        x: nobody=UNKNOWN_MEMBER_ID
        > beat b member=B-2 static=B gen=1
        b: UNKNOWN_MEMBER_ID
        > beat a member=A-1 static=A gen=1
        a: REBALANCE_IN_PROGRESS
        ",
        stable_static_pair()
    ));
}

#[test]
fn members_are_members_after_a_restart_and_their_sessions_begin_anew() {
    check(&format!(
        "{}
        > wait 9s
        > restart
        > beat a member=A-1 static=A gen=1
        a: NONE
        > sync b member=B-2 static=B gen=1
        b: synced \"y\" (durable)
        > wait 9s
        > beat b member=B-2 static=B gen=1
        b: NONE
        > join a static=A
        write g gen=1 range leader=A-3 A-3:\"x\" B-2:\"y\"
        a: joined gen=1 range member=A-3 leader=A-3 members=A-3,B-2 skip (durable)
        > restart
        > beat a member=A-3 static=A gen=1
        a: NONE
        > describe x
        x: NONE Stable type=consumer protocol=range A-3(A):\"x\" B-2(B):\"y\" (durable)
        > wait 9s
        > beat a member=A-3 static=A gen=1
        a: NONE
        > wait 1s
        > beat a member=A-3 static=A gen=1
        a: REBALANCE_IN_PROGRESS
        ",
        stable_static_pair()
    ));
}

#[test]
fn a_static_member_that_comes_back_before_its_sync_still_has_to_sync() {
    check(&format!(
        "{}
        > join a member=A-1 static=A rebalance=20s session=1m
        > join b member=B-2 static=B rebalance=20s session=1m
        a: joined gen=2 range member=A-1 leader=A-1 members=A-1,B-2
        b: joined gen=2 range member=B-2 leader=A-1
        > sync a member=A-1 static=A gen=2 assign=A-1:x,B-2:y
        write g gen=2 range leader=A-1 A-1:\"x\" B-2:\"y\"
        a: synced \"x\" (durable)
        > join b static=B rebalance=20s session=1m
        write g gen=2 range leader=A-1 A-1:\"x\" B-3:\"y\"
        b: joined gen=2 range member=B-3 leader=A-1 (durable)
        > wait 20s
        > beat b member=B-3 static=B gen=2
        b: UNKNOWN_MEMBER_ID
        ",
        stable_static_pair()
    ));
}

/// The same with the static members `A-1` and `B-2`.
fn stable_static_pair() -> String {
    stable_pair()
        .replace("join a", "join a static=A")
        .replace("join b", "join b static=B")
        .replace("a-1", "A-1")
        .replace("b-2", "B-2")
}
