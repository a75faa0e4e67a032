//! Every record counts once. Queries run while an idempotent producer writes, and the server is killed again and again,
//! at random moments and at the places where a commit is half done. In the end the committed output is what the records
//! say, number by number; and after each start no more was read again than what came after the last commit.

mod load;

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use kafka_protocol::messages::IncrementalAlterConfigsRequest;
use kafka_protocol::messages::OffsetFetchRequest;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tests::requests::{self, EARLIEST, LATEST, Topic};
use tests::stream::Bed;
use tests::{paths, wait};

use self::load::{Load, base_ms, event};
use crate::streaming::{AGGREGATES, Event, Results, assert_same, keyed, model};

/// Kills at random moments: 50 over the tests of this file.
const KILLS: usize = 36;
const KILLS_WITHOUT_HEAD: usize = 7;
const KILLS_WITHOUT_STATE: usize = 7;

/// Places in a commit, and how often each is passed before the process dies there.
const POINTS: [&str; 4] = [
    "after-output",
    "before-decision",
    "between-markers",
    "before-state-write",
];
const PASSES: [u32; 2] = [1, 4];

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
fn queries(bed: &Bed, window: &str) {
    bed.http.sql(&format!(
        "CREATE SINK closed AS SELECT window_start, k, {AGGREGATES} FROM TUMBLE(s, ts, INTERVAL '{window}')
         GROUP BY window_start, window_end, k EMIT ON WINDOW CLOSE
         WITH (connector = 'topic', topic = 'closed', partitions = 2)"
    ));
    bed.http
        .sql("CREATE SINK copy AS SELECT v FROM s WHERE v % 10 = 0 WITH (connector = 'topic', topic = 'copy')");
    bed.http.sql(&format!(
        "CREATE MATERIALIZED VIEW totals AS SELECT k, {AGGREGATES} FROM s GROUP BY k"
    ));
}

/// Where a query's group says that it has committed to, over all partitions.
fn committed(bed: &mut Bed, query: &str, topic: &Topic, partitions: i32) -> i64 {
    let wanted = OffsetFetchRequestTopic::default()
        .with_name(topic.topic_name())
        .with_partition_indexes((0..partitions).collect());
    let request = OffsetFetchRequest::default()
        .with_group_id(requests::text(&format!("tidemill.query.{query}")).into())
        .with_topics(Some(vec![wanted]));
    let response = bed.connection.call(7, &request);
    response.topics[0]
        .partitions
        .iter()
        .map(|partition| partition.committed_offset.max(0))
        .sum()
}

fn log_end(bed: &mut Bed, topic: &Topic, partitions: i32) -> i64 {
    (0..partitions)
        .map(|partition| requests::list_offset(&mut bed.connection, topic, partition, LATEST).offset)
        .sum()
}

/// What every query had committed before a kill, as its group told then: at most what its last epoch holds.
struct Progress {
    committed: Vec<i64>,
}

impl Progress {
    fn of(bed: &mut Bed, topic: &Topic, partitions: i32) -> Progress {
        Progress {
            committed: QUERIES
                .iter()
                .map(|query| committed(bed, query, topic, partitions))
                .collect(),
        }
    }

    /// Since the start after that kill, nothing below was read again.
    fn assert_not_read_again(&self, bed: &mut Bed, topic: &Topic, partitions: i32) {
        let read = QUERIES.map(|query| bed.query_metric("rows_read_total", query));
        let end = log_end(bed, topic, partitions);
        for ((query, read), committed) in QUERIES.iter().zip(read).zip(&self.committed) {
            let bound = end - committed;
            assert!(
                read <= bound as f64,
                "{query} read {read} records where {bound} came after {committed}"
            );
        }
    }
}

/// Kills the server at moments that a seed chooses: some by what was acknowledged, some by what was committed.
fn kill_at_random(bed: &mut Bed, load: &Load, topic: &Topic, partitions: i32, kills: usize, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut before: Option<Progress> = None;
    for kill in 0..kills {
        if kill % 3 > 0 {
            let epochs = f64::from(random.random_range(1..4_u32));
            wait::until("an epoch", || bed.query_metric("epochs_total", "closed") >= epochs);
        }
        load.await_more(random.random_range(0..300));
        let progress = Progress::of(bed, topic, partitions);
        if let Some(before) = before.replace(progress) {
            before.assert_not_read_again(bed, topic, partitions);
        }
        bed.kill_and_restart();
    }
    let committed = &before.expect("some kills").committed;
    assert!(
        committed.iter().all(|offset| *offset > 0),
        "queries got on between the kills: {committed:?}"
    );
}

/// Ends the load, closes every window, and compares everything that was written with the records themselves.
fn settle(bed: &mut Bed, load: Load, topic: &Topic, partitions: i32, base_ms: i64, from: i64, window_ms: i64) -> i64 {
    let end = load.finish(from);
    let last = Event {
        ts: requests::now_ms() + 30 * 60_000,
        key: "end".to_owned(),
        value: None,
    };
    for partition in 0..partitions {
        bed.send(topic, partition, &[last.json()]);
    }
    for query in QUERIES {
        bed.caught_up(query, &topic.name);
    }
    let events: Vec<Event> = (0..end).map(|n| event(base_ms, n)).collect();
    let expected = model(&events, window_ms, window_ms);
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
    assert_same(&results, &expected);

    let copied: Vec<i64> = bed
        .rows("copy")
        .iter()
        .map(|row| row.json()["v"].as_i64().expect("a number"))
        .collect();
    let distinct: BTreeSet<i64> = copied.iter().copied().collect();
    assert_eq!(distinct, (0..end).step_by(10).collect::<BTreeSet<i64>>());
    assert_eq!(copied.len(), distinct.len(), "some row was copied twice");

    let totals = bed
        .http
        .rows("SELECT sum(n), sum(total), min(low), max(high) FROM totals WHERE k <> 'end'");
    let totals: Vec<f64> = totals[0].iter().map(|cell| cell.as_f64().expect("a number")).collect();
    assert_eq!(
        totals,
        [end, end * (end - 1) / 2, 0, end - 1].map(|number| number as f64)
    );
    end
}

#[test]
fn kills_at_random_moments_change_no_result() {
    let mut bed = Bed::start();
    let topic = bed.topic("load", PARTITIONS);
    let base_ms = base_ms();
    source(&bed, &topic);
    queries(&bed, "2 seconds");
    let load = Load::start(&bed, &topic, PARTITIONS, base_ms, 0);
    kill_at_random(&mut bed, &load, &topic, PARTITIONS, KILLS, 41);
    let records = settle(&mut bed, load, &topic, PARTITIONS, base_ms, 0, WINDOW_MS);
    for partition in 0..PARTITIONS {
        let values = requests::read_values(&mut bed.connection, &topic, partition);
        let mine: Vec<String> = (0..records)
            .filter(|n| n % i64::from(PARTITIONS) == i64::from(partition))
            .map(|n| event(base_ms, n).json())
            .collect();
        let found: Vec<String> = values
            .into_iter()
            .map(|value| String::from_utf8(value).expect("JSON"))
            .collect();
        assert_eq!(
            found[..mine.len()],
            mine,
            "what was acknowledged is there, once and in order"
        );
        assert_eq!(found.len(), mine.len() + 1);
    }
    println!("{KILLS} kills, {records} records");
}

#[test]
fn a_commit_that_is_half_done_is_finished_or_undone() {
    let mut bed = Bed::start();
    let topic = bed.topic("load", PARTITIONS);
    let base_ms = base_ms();
    source(&bed, &topic);
    queries(&bed, "2 seconds");
    let load = Load::start(&bed, &topic, PARTITIONS, base_ms, 0);
    for point in POINTS {
        for passes in PASSES {
            let progress = Progress::of(&mut bed, &topic, PARTITIONS);
            bed.broker.kill();
            run_until_it_dies(&bed, &format!("{point}:{passes}"));
            bed.restart();
            progress.assert_not_read_again(&mut bed, &topic, PARTITIONS);
            wait::until("an epoch after the crash", || {
                bed.query_metric("epochs_total", "closed") >= 1.0
            });
        }
    }
    let records = settle(&mut bed, load, &topic, PARTITIONS, base_ms, 0, WINDOW_MS);
    println!("{} crashes, {records} records", POINTS.len() * PASSES.len());
}

/// Starts the server in the broker's place, at its addresses, and waits until it has killed itself at the point.
pub(crate) fn run_until_it_dies(bed: &Bed, point: &str) {
    let http = bed.broker.http_url();
    let mut child = Command::new(paths::tidemill_binary())
        .arg("start")
        .arg("--data-dir")
        .arg(bed.broker.data_dir())
        .arg("-X")
        .arg(format!("kafka.listen={}", bed.broker.kafka_address()))
        .arg("-X")
        .arg(format!("http.listen={}", http.trim_start_matches("http://")))
        .arg("-X")
        .arg("kafka.defaults.log.segment.bytes=1048576")
        .env("TIDEMILL_CRASH_AT", point)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary can be run");
    let status = wait::until_some(&format!("the server to die at {point}"), || {
        child.try_wait().expect("a child")
    });
    assert!(
        status.signal().is_some(),
        "{point}: it ended with {status} instead of a signal"
    );
}

#[test]
fn a_head_that_retention_took_is_not_needed_again() {
    let mut bed = Bed::start_with(&[("kafka.defaults.log.retention.check.interval.ms", "50")]);
    let topic = bed.topic("load", 1);
    let base_ms = base_ms();
    source(&bed, &topic);
    // One window for everything: results need what was read before its records were deleted.
    queries(&bed, "12 hours");
    let load = Load::start(&bed, &topic, 1, base_ms, 0);
    let per_segment = (1 << 20) / event(base_ms, 10_000).json().len();
    load.await_more(3 * per_segment);
    for query in QUERIES {
        wait::until("the first segments to be read", || {
            bed.query_metric("rows_read_total", query) >= per_segment as f64
        });
    }
    set_config(&mut bed, &topic, "retention.bytes", "1048576");
    wait::until("the head to be deleted", || {
        requests::list_offset(&mut bed.connection, &topic, 0, EARLIEST).offset > 0
    });
    let start = requests::list_offset(&mut bed.connection, &topic, 0, EARLIEST).offset;
    kill_at_random(&mut bed, &load, &topic, 1, KILLS_WITHOUT_HEAD, 42);
    let records = settle(&mut bed, load, &topic, 1, base_ms, 0, LONG_WINDOW_MS);
    println!("{KILLS_WITHOUT_HEAD} kills without the first {start} of {records} records");
}

fn set_config(bed: &mut Bed, topic: &Topic, key: &str, value: &str) {
    let config = AlterableConfig::default()
        .with_name(requests::text(key))
        .with_value(Some(requests::text(value)));
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(requests::text(&topic.name))
        .with_configs(vec![config]);
    let answer = bed.connection.call(
        1,
        &IncrementalAlterConfigsRequest::default().with_resources(vec![resource]),
    );
    assert_eq!(answer.responses[0].error_code, 0, "{answer:?}");
}

#[test]
fn state_that_was_deleted_comes_back_from_the_changelog() {
    let mut bed = Bed::start();
    let topic = bed.topic("load", PARTITIONS);
    let base_ms = base_ms();
    source(&bed, &topic);
    queries(&bed, "12 hours");
    let load = Load::start(&bed, &topic, PARTITIONS, base_ms, 0);
    load.await_more(5_000);
    for round in 0..2 {
        kill_at_random(
            &mut bed,
            &load,
            &topic,
            PARTITIONS,
            KILLS_WITHOUT_STATE / 2 + round,
            43 + round as u64,
        );
        wait::until("an epoch", || bed.query_metric("epochs_total", "totals") >= 1.0);
        let progress = Progress::of(&mut bed, &topic, PARTITIONS);
        bed.broker.kill();
        let state = bed.broker.data_dir().join("state");
        assert!(
            std::fs::read_dir(&state).is_ok_and(|entries| entries.count() > 0),
            "there is state to delete"
        );
        std::fs::remove_dir_all(&state).expect("state can be removed");
        bed.restart();
        wait::until("an epoch", || bed.query_metric("epochs_total", "totals") >= 1.0);
        progress.assert_not_read_again(&mut bed, &topic, PARTITIONS);
    }
    let records = settle(&mut bed, load, &topic, PARTITIONS, base_ms, 0, LONG_WINDOW_MS);
    println!("state deleted twice among {KILLS_WITHOUT_STATE} kills, {records} records");
}
