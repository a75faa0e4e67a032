//! Every record counts once. Queries run while an idempotent producer writes, and the server is killed again and again,
//! at random moments and at the places where a commit is half done. In the end the committed output is what the records
//! say, number by number; and after each start no more was read again than what came after the last commit.

mod epochs;
mod load;

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tests::half_committed::POINTS;
use tests::report;
use tests::requests::{self, Topic};
use tests::stream::{Bed, FREQUENT_RETENTION};
use tests::wait;

use self::epochs::Changelogs;
use self::load::{Load, base_ms, event};
use crate::streaming::{AGGREGATES, Event, Results, assert_same, keyed, model};

/// Kills at random moments.
const KILLS: usize = 50;
const KILLS_WITHOUT_HEAD: usize = 6;
const KILLS_WITHOUT_STATE: usize = 3;
/// After every so many kills it is counted what was read again: the load has to be held for that.
const KILLS_PER_COUNT: usize = 3;

/// How often a place in a commit is passed before the server dies there.
const PASSES: [u32; 2] = [1, 4];
/// So many passes of a point by three queries that some of them has committed several times since the start.
const LATE_PASS: u32 = 20;

/// What the server says of a query whose state it has brought up to date.
const RECOVERED: &str = "state recovered";

const PARTITIONS: i32 = 3;
const WINDOW_MS: i64 = 2_000;
/// A window that holds all records and closes at the end.
const LONG_WINDOW_MS: i64 = 12 * 3_600_000;
const QUERIES: [&str; 3] = ["closed", "copy", "totals"];

fn source(bed: &Bed, topic: &Topic) {
    bed.http.sql(&format!(
        "CREATE SOURCE s (k TEXT, v BIGINT, ts TIMESTAMPTZ, WATERMARK FOR ts AS ts - INTERVAL '1 second')
         WITH (topic = '{}', format = 'json', idle_timeout = '1 hour')",
        topic.name
    ));
}

/// A windowed aggregate into a topic, a filter into a topic, and a view that is updated for ever.
fn queries(bed: &Bed, window: &str) -> Changelogs {
    let mut changelogs = Changelogs::new();
    let statements = [
        format!(
            "CREATE SINK closed AS SELECT window_start, k, {AGGREGATES} FROM TUMBLE(s, ts, INTERVAL '{window}')
             GROUP BY window_start, window_end, k EMIT ON WINDOW CLOSE
             WITH (connector = 'topic', topic = 'closed', partitions = 2)"
        ),
        "CREATE SINK copy AS SELECT v FROM s WHERE v % 10 = 0 WITH (connector = 'topic', topic = 'copy')".to_owned(),
        format!("CREATE MATERIALIZED VIEW totals AS SELECT k, {AGGREGATES} FROM s GROUP BY k"),
    ];
    for (query, statement) in QUERIES.into_iter().zip(statements) {
        bed.http.sql(&statement);
        changelogs.note(bed, query);
    }
    changelogs
}

/// A server with its queries, under load.
struct Stage {
    bed: Bed,
    topic: Topic,
    partitions: i32,
    base_ms: i64,
    window_ms: i64,
    changelogs: Changelogs,
    load: Load,
}

impl Stage {
    fn start(mut bed: Bed, partitions: i32, window: &str, window_ms: i64) -> Stage {
        let topic = bed.topic("load", partitions);
        let base_ms = base_ms();
        source(&bed, &topic);
        let changelogs = queries(&bed, window);
        let load = Load::start(&bed, &topic, partitions, base_ms);
        Stage {
            bed,
            topic,
            partitions,
            base_ms,
            window_ms,
            changelogs,
            load,
        }
    }

    /// Kills the server at moments that a seed chooses: some by what was acknowledged, some by what was committed.
    fn kill_at_random(&mut self, kills: usize, seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        for kill in 1..=kills {
            if kill % 3 > 0 {
                let epochs = f64::from(random.random_range(1..4_u32));
                wait::until("an epoch", || self.bed.query_metric("epochs_total", "closed") >= epochs);
            }
            self.load.await_more(random.random_range(0..300));
            self.bed.kill_and_restart();
            if kill % KILLS_PER_COUNT == 0 {
                self.assert_nothing_read_again();
            }
        }
    }

    fn assert_nothing_read_again(&mut self) {
        self.changelogs
            .assert_nothing_read_again(&mut self.bed, &self.load, &self.topic, self.partitions);
    }
}

/// A server whose load has ended.
struct Settled {
    bed: Bed,
    topic: Topic,
    partitions: i32,
    events: Vec<Event>,
}

/// Ends the load, closes every window, and compares everything that was written with the records themselves.
fn settle(stage: Stage) -> Settled {
    let mut bed = stage.bed;
    let end = stage.load.finish();
    let last = Event {
        ts: requests::now_ms() + 30 * 60_000,
        key: "end".to_owned(),
        value: None,
    };
    for partition in 0..stage.partitions {
        bed.send(&stage.topic, partition, &[last.json()]);
    }
    for query in QUERIES {
        bed.caught_up(query, &stage.topic.name);
    }
    let events: Vec<Event> = (0..end).map(|n| event(stage.base_ms, n)).collect();
    assert_closed(&bed, &model(&events, stage.window_ms, stage.window_ms));
    assert_copied(&bed, end);
    assert_totals(&bed, end);
    Settled {
        bed,
        topic: stage.topic,
        partitions: stage.partitions,
        events,
    }
}

impl Settled {
    /// What was acknowledged is there, once and in order, and nothing else but the record that closed the windows.
    fn assert_log_holds(&mut self) {
        let partitions = self.partitions.unsigned_abs() as usize;
        for partition in 0..partitions {
            let mine = self.events.iter().skip(partition).step_by(partitions);
            let mine: Vec<String> = mine.map(Event::json).collect();
            let partition = i32::try_from(partition).expect("few partitions");
            let found: Vec<String> = requests::read_values(&mut self.bed.connection, &self.topic, partition)
                .into_iter()
                .map(|value| String::from_utf8(value).expect("JSON"))
                .collect();
            assert_eq!(found[..mine.len()], mine, "partition {partition}");
            assert_eq!(found.len(), mine.len() + 1);
        }
    }
}

fn assert_closed(bed: &Bed, expected: &Results) {
    let rows = bed.rows_until("closed", "every window", |rows| rows.len() >= expected.len());
    assert_eq!(rows.len(), expected.len());
    let mut results = Results::new();
    for row in bed.rows("closed") {
        let (key, value) = keyed(row.json());
        assert!(
            results.insert(key.clone(), value).is_none(),
            "{key:?} was written twice"
        );
    }
    assert_same(&results, expected);
}

fn assert_copied(bed: &Bed, end: i64) {
    let copied: Vec<i64> = bed
        .rows("copy")
        .iter()
        .map(|row| row.json()["v"].as_i64().expect("a number"))
        .collect();
    let distinct: BTreeSet<i64> = copied.iter().copied().collect();
    assert_eq!(distinct, (0..end).step_by(10).collect::<BTreeSet<i64>>());
    assert_eq!(copied.len(), distinct.len(), "some row was copied twice");
}

fn assert_totals(bed: &Bed, end: i64) {
    let totals = bed
        .http
        .rows("SELECT sum(n), sum(total), min(low), max(high) FROM totals WHERE k <> 'end'");
    let totals: Vec<f64> = totals[0].iter().map(|cell| cell.as_f64().expect("a number")).collect();
    assert_eq!(
        totals,
        [end, end * (end - 1) / 2, 0, end - 1].map(|number| number as f64)
    );
}

#[test]
fn kills_at_random_moments_change_no_result() {
    let mut stage = Stage::start(Bed::start(), PARTITIONS, "2 seconds", WINDOW_MS);
    stage.kill_at_random(KILLS, 41);
    let mut settled = settle(stage);
    settled.assert_log_holds();
    let records = settled.events.len();
    report::figure(&format!("{KILLS} kills, {records} records"));
}

#[test]
fn a_commit_that_is_half_done_is_finished_or_undone() {
    let mut stage = Stage::start(Bed::start(), PARTITIONS, "2 seconds", WINDOW_MS);
    for point in POINTS {
        for passes in PASSES {
            stage.bed.die_at(point, passes);
            stage.bed.restart();
            stage.assert_nothing_read_again();
        }
    }
    let mut settled = settle(stage);
    settled.assert_log_holds();
    let records = settled.events.len();
    report::figure(&format!("{} crashes, {records} records", POINTS.len() * PASSES.len()));
}

#[test]
fn a_head_that_retention_took_is_not_needed_again() {
    let bed = Bed::start_with(&[FREQUENT_RETENTION]);
    // One window for everything: results need what was read before its records were deleted.
    let mut stage = Stage::start(bed, 1, "12 hours", LONG_WINDOW_MS);
    let per_segment = (1 << 20) / event(stage.base_ms, 10_000).json().len();
    stage.load.await_more(3 * per_segment);
    for query in QUERIES {
        wait::until("the first segments to be read", || {
            stage.bed.query_metric("rows_read_total", query) >= per_segment as f64
        });
    }
    let start = stage.bed.lose_head(&stage.topic, 1);
    stage.kill_at_random(KILLS_WITHOUT_HEAD, 42);
    let records = settle(stage).events.len();
    report::figure(&format!(
        "{KILLS_WITHOUT_HEAD} kills without the first {start} of {records} records"
    ));
}

#[test]
fn state_that_was_deleted_comes_back_from_the_changelog() {
    let mut stage = Stage::start(Bed::start(), PARTITIONS, "12 hours", LONG_WINDOW_MS);
    stage.load.await_more(5_000);
    for round in 0..2 {
        stage.kill_at_random(KILLS_WITHOUT_STATE, 43 + round);
        stage.load.await_more(300);
        stage.bed.broker.kill();
        stage.bed.remove_state();
        stage.bed.restart();
        stage.assert_nothing_read_again();
    }
    let mut settled = settle(stage);
    settled.assert_log_holds();
    let records = settled.events.len();
    report::figure(&format!(
        "state deleted twice among {} kills, {records} records",
        2 * KILLS_WITHOUT_STATE
    ));
}

/// A clean stop brings RocksDB to the disk, and kill -9 takes its memory table: it stands at the epoch of the stop then,
/// and the changelog is ahead of it.
#[test]
fn state_at_an_older_epoch_catches_up_with_the_changelog() {
    let mut stage = Stage::start(Bed::start(), PARTITIONS, "2 seconds", WINDOW_MS);
    for point in POINTS {
        for query in QUERIES {
            wait::until("an epoch to be in RocksDB", || {
                stage.bed.query_metric("epochs_total", query) >= 1.0
            });
        }
        assert!(
            stage.bed.broker.terminate().success(),
            "{}",
            stage.bed.broker.messages()
        );
        stage
            .bed
            .broker
            .run_until_it_dies(&format!("{point}:{LATE_PASS}"), || ());
        let told_before = stage.bed.broker.messages().matches(RECOVERED).count();
        stage.bed.restart();
        let recoveries = recoveries(&stage.bed, told_before);
        assert!(
            recoveries.iter().all(|told| told.contains("rebuilt=false")),
            "{point}: {recoveries:#?}"
        );
        let behind = recoveries.iter().filter(|told| !told.contains("changelog_records=0 "));
        assert_ne!(behind.count(), 0, "{point}: {recoveries:#?}");
        stage.assert_nothing_read_again();
    }
    let mut settled = settle(stage);
    settled.assert_log_holds();
    let records = settled.events.len();
    report::figure(&format!(
        "{} crashes after a clean stop, {records} records",
        POINTS.len()
    ));
}

/// What the last start said of each query, the first `told_before` of all starts left out.
fn recoveries(bed: &Bed, told_before: usize) -> Vec<String> {
    wait::until_some("every query to have its state", || {
        let messages = bed.broker.messages();
        let told = messages.lines().filter(|line| line.contains(RECOVERED));
        let told: Vec<&str> = told.skip(told_before).collect();
        let of = |query| told.iter().find(|line| line.contains(&format!("query={query} ")));
        QUERIES
            .into_iter()
            .map(|query| of(query).map(|line| (*line).to_owned()))
            .collect()
    })
}
