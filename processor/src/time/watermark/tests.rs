//! Dialogues with the tracker.

use proptest::prelude::*;

use super::*;

const IDLE: Duration = Duration::from_secs(10);

fn at(seconds: u64) -> Now {
    Now {
        monotonic: Duration::from_secs(seconds),
        wall: 1_000_000_000 + i64::try_from(seconds).unwrap() * 1_000_000,
    }
}

fn tracker(partitions: usize) -> WatermarkTracker {
    WatermarkTracker::new(partitions, IDLE, at(0))
}

#[test]
fn minimum_over_active_partitions() {
    let mut time = tracker(2);
    assert_eq!(time.advance(at(0)), START_OF_TIME);
    time.propose(0, 50);
    assert_eq!(time.advance(at(0)), START_OF_TIME, "the other one has said nothing yet");
    time.propose(1, 30);
    assert_eq!(time.advance(at(0)), 30);
    time.propose(1, 20);
    assert_eq!(time.advance(at(0)), 30, "never back");
    time.propose(1, 90);
    assert_eq!(time.advance(at(0)), 50);
    assert_eq!(time.others(0), 90);
    assert_eq!(time.others(1), 50);
}

#[test]
fn idle_needs_the_log_end_and_the_timeout() {
    let mut time = tracker(2);
    time.propose(0, 50);
    time.propose(1, 30);
    time.set_at_end(1, false);
    assert_eq!(time.advance(at(100)), 30, "back-pressure is not idleness");
    time.set_at_end(1, true);
    time.arrived(0, at(100));
    time.arrived(1, at(100));
    time.set_at_end(1, true);
    assert_eq!(time.advance(at(109)), 30);
    assert_eq!(time.until_idle(at(109)), Some(Duration::from_secs(1)));
    assert_eq!(time.advance(at(110)), 50);
}

#[test]
fn an_idle_partition_with_news_is_active_but_nothing_goes_back() {
    let mut time = tracker(2);
    time.propose(0, 50);
    time.propose(1, 30);
    time.set_at_end(1, true);
    assert_eq!(time.advance(at(10)), 50);
    time.arrived(1, at(11));
    assert_eq!(time.advance(at(11)), 50);
    time.propose(0, 80);
    assert_eq!(time.advance(at(11)), 50, "the slow one holds the stream back again");
    time.propose(1, 60);
    assert_eq!(time.advance(at(11)), 60);
}

#[test]
fn all_idle_moves_with_the_clock_from_the_largest() {
    let mut time = tracker(2);
    let base = 500_000_000;
    time.propose(0, base);
    time.propose(1, base - 7_000_000);
    time.arrived(0, at(1));
    time.arrived(1, at(3));
    time.set_at_end(0, true);
    time.set_at_end(1, true);
    assert_eq!(time.advance(at(12)), base - 7_000_000);
    assert_eq!(time.until(base + 20_000_000, at(12)), None);
    assert_eq!(time.advance(at(13)), base + 10_000_000);
    assert_eq!(time.until(base + 20_000_000, at(13)), Some(Duration::from_secs(10)));
    assert_eq!(time.advance(at(23)), base + 20_000_000);
}

#[test]
fn the_clock_is_the_limit() {
    let mut time = tracker(1);
    let ahead = at(10).wall + 5_000_000;
    time.propose(0, ahead);
    time.set_at_end(0, true);
    assert_eq!(time.advance(at(9)), ahead, "rows themselves may lie ahead");
    let mut close = tracker(1);
    close.propose(0, at(0).wall - 1_000_000);
    close.set_at_end(0, true);
    assert_eq!(close.advance(at(10)), at(9).wall);
    let mut late_start = tracker(1);
    late_start.propose(0, at(0).wall + 3_000_000);
    late_start.arrived(0, at(0));
    late_start.set_at_end(0, true);
    assert_eq!(late_start.advance(at(20)), at(20).wall);
}

#[test]
fn nothing_seen_stays_nothing() {
    let mut time = tracker(1);
    time.set_at_end(0, true);
    assert_eq!(time.advance(at(1_000)), START_OF_TIME);
    assert_eq!(time.until(5, at(1_000)), None);
}

#[test]
fn finished_partitions_do_not_hold_back_and_do_not_run_ahead() {
    let mut time = tracker(3);
    time.propose(0, 10);
    time.propose(1, 30);
    time.finish(0);
    time.propose(2, 20);
    assert_eq!(time.advance(at(1)), 20);
    time.set_at_end(1, true);
    time.set_at_end(2, true);
    assert_eq!(time.advance(at(10)), 30 + 10_000_000, "the rest is idle");
    time.finish(1);
    assert!(!time.all_finished());
    time.finish(2);
    assert!(time.all_finished());
    assert_eq!(time.advance(at(10)), END_OF_TIME);
}

#[test]
fn a_source_without_partitions_has_ended() {
    assert_eq!(tracker(0).advance(at(0)), END_OF_TIME);
}

#[test]
fn downtime_does_not_count() {
    let base = 500_000_000;
    let mut time = tracker(1);
    time.propose(0, base);
    time.set_at_end(0, true);
    assert_eq!(time.advance(at(12)), base + 12_000_000);
    let marks = time.marks(at(12));
    let mut again = WatermarkTracker::restore(&marks, IDLE, at(5_000));
    again.set_at_end(0, true);
    assert_eq!(again.advance(at(5_000)), base + 12_000_000);
    assert_eq!(again.advance(at(5_003)), base + 15_000_000);
}

#[test]
fn a_backlog_after_downtime_wakes_an_idle_partition() {
    let mut time = tracker(1);
    time.propose(0, 100);
    time.set_at_end(0, true);
    time.advance(at(12));
    let marks = time.marks(at(12));
    assert_eq!(marks.partitions[0].activity, Activity::Idle);
    let mut again = WatermarkTracker::restore(&marks, IDLE, at(0));
    again.set_at_end(0, false);
    assert_eq!(again.advance(at(60)), marks.watermark);
}

#[derive(Debug, Clone)]
enum Event {
    Row(usize, i64),
    AtEnd(usize, bool),
    Finish(usize),
    Pass(u64),
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..3usize, 0..2_000_000_000i64).prop_map(|(p, t)| Event::Row(p, t)),
        2 => (0..3usize, any::<bool>()).prop_map(|(p, e)| Event::AtEnd(p, e)),
        1 => (0..3usize).prop_map(Event::Finish),
        2 => (0..20u64).prop_map(Event::Pass),
        1 => Just(Event::Restart),
    ]
}

proptest! {
    #[test]
    fn never_back_and_never_above_an_active_partition(events in proptest::collection::vec(event(), 1..60)) {
        let mut time = tracker(3);
        let mut now = 0;
        let mut last = START_OF_TIME;
        for event in events {
            match event {
                Event::Row(p, t) => { time.arrived(p, at(now)); time.propose(p, t); }
                Event::AtEnd(p, end) => time.set_at_end(p, end),
                Event::Finish(p) => time.finish(p),
                Event::Pass(seconds) => now += seconds,
                Event::Restart => time = WatermarkTracker::restore(&time.marks(at(now)), IDLE, at(now)),
            }
            let reached = time.advance(at(now));
            prop_assert!(last <= reached);
            if last < reached && !time.all_finished() {
                let active = time.partitions.iter().filter(|p| p.activity == Activity::Active).map(|p| p.watermark).min();
                prop_assert!(active.is_none_or(|lowest| reached <= lowest));
                prop_assert!(active.is_some() || reached <= at(now).wall);
            }
            last = reached;
        }
    }
}
