//! Queries that run on, end to end through Kafka: records in by one client, rows out to another, and SQL, metrics and
//! groups beside them.

mod lifecycle;
mod sinks;
mod time;
mod views;
mod windows;

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tests::requests::{self, Topic};
use tests::stream::Bed;

/// Event times of tests begin here, half an hour ago at a full minute: late enough for the clock to reach what idle
/// sources wait for, and early enough for a test to go forward.
pub(crate) fn base_ms() -> i64 {
    let half_an_hour_ago = requests::now_ms() - 30 * 60_000;
    half_an_hour_ago - half_an_hour_ago.rem_euclid(60_000)
}

/// An event of the windowed tests.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) ts: i64,
    pub(crate) key: String,
    pub(crate) value: Option<i64>,
}

impl Event {
    pub(crate) fn json(&self) -> String {
        json!({ "k": self.key, "v": self.value, "ts": self.ts }).to_string()
    }
}

/// Events in the order of their times, one every 250 ms, from a seed.
fn events(seed: u64, base_ms: i64, count: usize) -> Vec<Event> {
    let mut random = StdRng::seed_from_u64(seed);
    let event = |n: usize| Event {
        ts: base_ms + i64::try_from(n).expect("few events") * 250,
        key: format!("k{}", random.random_range(0..4)),
        value: (random.random_range(0..10) > 0).then(|| random.random_range(-50..50)),
    };
    (0..count).map(event).collect()
}

/// `s (k TEXT, v BIGINT, ts TIMESTAMPTZ)` over a topic, with one second of delay.
fn source(bed: &Bed, topic: &Topic, options: &str) {
    bed.http.sql(&format!(
        "CREATE SOURCE s (k TEXT, v BIGINT, ts TIMESTAMPTZ, WATERMARK FOR ts AS ts - INTERVAL '1 second')
         WITH (topic = '{}', format = 'json' {options})",
        topic.name
    ));
}

/// Spreads events over the partitions in turn, a hundred to a batch.
fn send(bed: &mut Bed, topic: &Topic, partitions: i32, events: &[Event]) {
    for chunk in events.chunks(100) {
        for partition in 0..partitions {
            let mine = chunk
                .iter()
                .enumerate()
                .filter(|(n, _)| *n % partitions.unsigned_abs() as usize == partition.unsigned_abs() as usize);
            let values: Vec<String> = mine.map(|(_, event)| event.json()).collect();
            if !values.is_empty() {
                bed.send(topic, partition, &values);
            }
        }
    }
}

/// Moves the watermark far beyond everything: one event per partition, in a window that stays open.
fn close_windows(bed: &mut Bed, topic: &Topic, partitions: i32) {
    let end = Event {
        ts: requests::now_ms() + 30 * 60_000,
        key: "end".to_owned(),
        value: None,
    };
    for partition in 0..partitions {
        bed.send(topic, partition, &[end.json()]);
    }
}

/// The six aggregates of a group as SQL names them: what the model and the rows are compared by.
pub(crate) const AGGREGATES: &str =
    "count(*) AS n, count(v) AS vs, sum(v) AS total, avg(v) AS mean, min(v) AS low, max(v) AS high,
    count(DISTINCT v) AS kinds";

/// What [`AGGREGATES`] has to give for some values.
fn aggregate(values: &[Option<i64>]) -> Value {
    let known: Vec<i64> = values.iter().copied().flatten().collect();
    let kinds: std::collections::BTreeSet<i64> = known.iter().copied().collect();
    let total: i64 = known.iter().sum();
    let mean = (!known.is_empty()).then(|| total as f64 / known.len() as f64);
    json!({
        "n": values.len(), "vs": known.len(), "total": (!known.is_empty()).then_some(total), "mean": mean,
        "low": known.iter().min(), "high": known.iter().max(), "kinds": kinds.len(),
    })
}

/// Results by (window start in milliseconds, key).
pub(crate) type Results = BTreeMap<(i64, String), Value>;

/// What windows of `size` that begin every `slide` have to give.
pub(crate) fn model(events: &[Event], size_ms: i64, slide_ms: i64) -> Results {
    let mut groups: BTreeMap<(i64, String), Vec<Option<i64>>> = BTreeMap::new();
    for event in events {
        let last = event.ts - event.ts.rem_euclid(slide_ms);
        let starts = (0..)
            .map(|n| last - n * slide_ms)
            .take_while(|start| event.ts < start + size_ms);
        for start in starts {
            groups.entry((start, event.key.clone())).or_default().push(event.value);
        }
    }
    groups
        .into_iter()
        .map(|(group, values)| (group, aggregate(&values)))
        .collect()
}

/// Takes `window_start` and `k` out of a row; what remains is compared.
pub(crate) fn keyed(mut row: Value) -> ((i64, String), Value) {
    let object = row.as_object_mut().expect("a row is an object");
    let start = object.remove("window_start").expect("a window");
    let key = object.remove("k").expect("a key").as_str().expect("text").to_owned();
    object.remove("window_end");
    ((milliseconds(start.as_str().expect("a time")), key), row)
}

/// Milliseconds of RFC 3339 text in UTC as the server writes it, to the second.
fn milliseconds(text: &str) -> i64 {
    let digits = |range: std::ops::Range<usize>| -> i64 { text[range].parse().expect("digits") };
    let (year, month, day) = (digits(0..4), digits(5..7), digits(8..10));
    // Days from the civil calendar, counted from March so that the leap day comes last.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days =
        365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day - 1 - 719_468;
    assert_eq!(&text[19..], ".000000Z", "{text}");
    ((days * 24 + digits(11..13)) * 60 + digits(14..16)) * 60_000 + digits(17..19) * 1_000
}

/// Compares numbers as numbers: a mean may be written as NUMERIC or as DOUBLE PRECISION.
#[track_caller]
pub(crate) fn assert_same(actual: &Results, expected: &Results) {
    let missing: Vec<_> = expected
        .keys()
        .filter(|key| !actual.contains_key(*key))
        .take(5)
        .collect();
    let extra: Vec<_> = actual
        .keys()
        .filter(|key| !expected.contains_key(*key))
        .take(5)
        .collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "missing {missing:?}, too much {extra:?}"
    );
    for (key, row) in expected {
        assert!(
            same(&actual[key], row),
            "{key:?}\n  got      {}\n  expected {row}",
            actual[key]
        );
    }
}

fn same(one: &Value, other: &Value) -> bool {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else {
        return one == other;
    };
    one.len() == other.len()
        && one
            .iter()
            .all(|(name, value)| match (value.as_f64(), other[name].as_f64()) {
                (Some(left), Some(right)) => (left - right).abs() <= 1e-6 * right.abs().max(1.0),
                _ => *value == other[name],
            })
}

#[test]
fn the_model_reads_times_as_they_are_written() {
    assert_eq!(milliseconds("1970-01-01T00:00:00.000000Z"), 0);
    assert_eq!(milliseconds("2026-01-01T00:00:00.000000Z"), 1_767_225_600_000);
    assert_eq!(milliseconds("2024-02-29T23:59:59.000000Z"), 1_709_251_199_000);
}
