//! Time that stands still and time that comes late: idle partitions, idle sources, late rows, times from the future.

use serde_json::json;
use tests::batch::{Batch, Record};
use tests::requests::{self, Topic};
use tests::stream::{Bed, Row};

use super::{Event, base_ms, close_windows, keyed, send, source};

fn event(ts: i64, key: &str) -> Event {
    Event {
        ts,
        key: key.to_owned(),
        value: Some(1),
    }
}

const COUNTS: &str = "CREATE SINK counts AS
    SELECT window_start, k, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end, k";

/// A query over two partitions: 1 stays far behind and silent from `base` on, 0 goes on beyond the first window.
fn with_a_silent_partition(idle_timeout: &str) -> (Bed, Topic, i64) {
    let mut bed = Bed::start();
    let topic = bed.topic("in", 2);
    source(&bed, &topic, &format!(", idle_timeout = '{idle_timeout}'"));
    bed.http
        .sql(&format!("{COUNTS} WITH (connector = 'topic', topic = 'counts')"));
    let base = base_ms();
    bed.send(&topic, 1, &[event(base, "slow").json()]);
    bed.send(
        &topic,
        0,
        &[event(base + 1_000, "fast").json(), event(base + 30_000, "next").json()],
    );
    (bed, topic, base)
}

#[test]
fn an_idle_partition_lets_windows_close() {
    let (mut bed, topic, base) = with_a_silent_partition("300 ms");
    let rows = bed.rows_until("counts", "the first window", |rows| rows.len() >= 2);
    let mut keys: Vec<(i64, String)> = rows.iter().map(|row| keyed(row.json()).0).collect();
    keys.sort();
    assert_eq!(keys, [(base, "fast".to_owned()), (base, "slow".to_owned())]);
    // When it speaks again, what lies behind the watermark is late.
    bed.send(&topic, 1, &[event(base + 2_000, "slow").json()]);
    bed.caught_up("counts", &topic.name);
    tests::wait::until("the late row to be counted", || {
        bed.query_metric("late_rows_total", "counts") >= 1.0
    });
    assert_eq!(bed.query_metric("late_rows_total", "counts"), 1.0);
}

/// `start` and `stop` as times are the first records of each partition that are not before them.
#[test]
fn a_query_runs_from_one_time_to_another() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", 2);
    let first = 1_767_225_600_000; // 2026-01-01
    for partition in 0..2_u8 {
        for second in 0..10_u8 {
            let record = |n: u8| Record {
                timestamp_delta: i64::from(n),
                value: Some(json!({ "p": partition, "s": second, "n": n }).to_string().into_bytes()),
                ..Record::default()
            };
            let base = first + i64::from(second) * 1_000 + i64::from(partition) * 500;
            let batch = Batch::of_records(base, (0..10).map(record).collect());
            requests::produce(&mut bed.connection, &topic, partition.into(), &batch);
        }
    }
    bed.http.sql(&format!(
        "CREATE SOURCE s (p INT, s INT, n INT)
         WITH (topic = '{}', start = '2026-01-01T00:00:03.004Z', stop = '2026-01-01T00:00:06Z')",
        topic.name
    ));
    bed.http
        .sql("CREATE SINK between AS SELECT p, s, n FROM s WITH (connector = 'topic', topic = 'between')");
    bed.status("between", "finished");
    let mut seen: Vec<(i64, i64, i64)> = bed
        .rows("between")
        .iter()
        .map(|row| {
            let row = row.json();
            let field = |name: &str| row[name].as_i64().expect("a number");
            (field("p"), field("s"), field("n"))
        })
        .collect();
    seen.sort_unstable();
    // Partition 1 is half a second behind: its second 3 lies wholly in the range, as does its second 5.
    let all = |p| (3..6).flat_map(move |s| (0..10).map(move |n| (p, s, n)));
    let expected: Vec<_> = all(0).filter(|row| (0, 3, 4) <= *row).chain(all(1)).collect();
    assert_eq!(seen, expected);
    assert_eq!(bed.query_metric("rows_read_total", "between"), expected.len() as f64);
}

#[test]
fn without_idleness_the_slowest_partition_holds_windows_open() {
    let (mut bed, topic, base) = with_a_silent_partition("1 hour");
    bed.caught_up("counts", &topic.name);
    assert_eq!(
        bed.rows("counts").len(),
        0,
        "partition 1 may still bring rows of that window"
    );
    bed.send(
        &topic,
        1,
        &[event(base + 5_000, "slow").json(), event(base + 30_000, "slow").json()],
    );
    let rows = bed.rows_until("counts", "the first window", |rows| rows.len() >= 2);
    let slow = rows
        .iter()
        .map(|row| keyed(row.json()))
        .find(|((_, key), _)| key == "slow")
        .expect("a row");
    assert_eq!(slow.1, json!({ "n": 2 }), "its rows were not late");
    assert_eq!(bed.query_metric("late_rows_total", "counts"), 0.0);
}

#[test]
fn an_idle_source_closes_its_windows_by_the_clock() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", 2);
    source(&bed, &topic, ", idle_timeout = '200 ms'");
    bed.http.sql(
        "CREATE SINK counts AS SELECT window_start, k, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '2 seconds')
         GROUP BY window_start, window_end, k WITH (connector = 'topic', topic = 'counts')",
    );
    let base = base_ms();
    bed.send(&topic, 0, &[event(base + 1_500, "last").json()]);
    // Nothing else ever comes: silence alone brings the watermark to the window's end.
    let rows = bed.rows_until("counts", "the only window", |rows| !rows.is_empty());
    assert_eq!(keyed(rows[0].json()), ((base, "last".to_owned()), json!({ "n": 1 })));
}

#[test]
fn late_rows_are_counted_and_kept_where_asked() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", 1);
    source(&bed, &topic, "");
    bed.http.sql(&format!(
        "{COUNTS} EMIT ON WINDOW CLOSE LATE TO 'late' WITH (connector = 'topic', topic = 'counts')"
    ));
    let base = base_ms();
    let on_time = [
        event(base, "a"),
        event(base + 20_000, "b"),
        event(base + 10_000, "in order enough"),
    ];
    send(&mut bed, &topic, 1, &on_time);
    // The watermark stands at base + 19 s: [base, base + 10 s) is closed, [base + 10 s, base + 20 s) is not.
    send(
        &mut bed,
        &topic,
        1,
        &[event(base + 9_999, "too late"), event(base + 10_001, "in order enough")],
    );
    close_windows(&mut bed, &topic, 1);
    let late = bed.rows_until("late", "the late row", |rows| !rows.is_empty());
    let kept: Vec<_> = late.iter().map(|row| (row.key.clone(), row.value.clone())).collect();
    assert_eq!(kept, [(None, Some(event(base + 9_999, "too late").json()))]);
    let rows = bed.rows_until("counts", "three windows", |rows| rows.len() >= 3);
    let mut counts: Vec<_> = rows
        .iter()
        .map(|row| keyed(row.json()))
        .map(|((_, key), row)| (key, row["n"].clone()))
        .collect();
    counts.sort_by_key(|(key, _)| key.clone());
    assert_eq!(
        counts,
        [
            ("a".to_owned(), json!(1)),
            ("b".to_owned(), json!(1)),
            ("in order enough".to_owned(), json!(2))
        ]
    );
    bed.caught_up("counts", &topic.name);
    assert_eq!(bed.query_metric("late_rows_total", "counts"), 1.0);
}

/// Whatever the query makes of a row before its window, what is kept is the record.
#[test]
fn a_late_record_is_kept_as_it_came() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", 1);
    source(&bed, &topic, "");
    bed.http.sql(
        "CREATE SINK counts AS SELECT window_start, k, count(*) AS n
         FROM TUMBLE((SELECT length(k) AS k, ts FROM s WHERE v > 0), ts, INTERVAL '10 seconds')
         GROUP BY window_start, window_end, k LATE TO 'late' WITH (connector = 'topic', topic = 'counts')",
    );
    let base = base_ms();
    send(&mut bed, &topic, 1, &[event(base, "a"), event(base + 20_000, "b")]);
    let late = |v: i64| {
        format!(
            r#"{{"extra": [1.50], "ts": {}, "v": {v}, "k": "too late"}}"#,
            base + 9_999
        )
    };
    let record = |value: String| Record {
        key: Some(b"its key".to_vec()),
        value: Some(value.into_bytes()),
        headers: vec![("trace".to_owned(), Some(b"1".to_vec())), ("trace".to_owned(), None)],
        ..Record::default()
    };
    // The first of them is none of the query's rows, and so not late.
    let batch = Batch::of_records(requests::now_ms(), vec![record(late(-1)), record(late(1))]);
    requests::produce(&mut bed.connection, &topic, 0, &batch);
    let rows = bed.rows_until("late", "the late record", |rows| !rows.is_empty());
    bed.caught_up("counts", &topic.name);
    let trace = |value: &str| ("trace".to_owned(), value.to_owned());
    let expected = Row {
        partition: 0,
        offset: 0,
        key: Some("its key".to_owned()),
        value: Some(late(1)),
        headers: vec![trace("1"), trace("")],
    };
    assert_eq!(rows, [expected]);
    assert_eq!(bed.query_metric("late_rows_total", "counts"), 1.0);
}

#[test]
fn a_hopping_row_is_late_only_for_the_windows_that_closed() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", 1);
    source(&bed, &topic, "");
    bed.http.sql(
        "CREATE SINK hops AS SELECT window_start, k, count(*) AS n
         FROM HOP(s, ts, INTERVAL '5 seconds', INTERVAL '10 seconds') GROUP BY window_start, window_end, k
         WITH (connector = 'topic', topic = 'hops')",
    );
    let base = base_ms();
    send(&mut bed, &topic, 1, &[event(base + 3_000, "x")]);
    // The watermark closes the window that ends at base + 5 s, and only that.
    send(&mut bed, &topic, 1, &[event(base + 7_000, "y")]);
    send(&mut bed, &topic, 1, &[event(base + 4_000, "x")]);
    close_windows(&mut bed, &topic, 1);
    let rows = bed.rows_until("hops", "four windows", |rows| rows.len() >= 4);
    let mut counts: Vec<_> = rows
        .iter()
        .map(|row| keyed(row.json()))
        .map(|((start, key), row)| (key, start - base, row["n"].clone()))
        .collect();
    counts.sort_by_key(|(key, start, _)| (key.clone(), *start));
    let expected = [("x", -5_000, 1), ("x", 0, 2), ("y", 0, 1), ("y", 5_000, 1)];
    assert_eq!(
        counts,
        expected.map(|(key, start, n)| (key.to_owned(), start, json!(n)))
    );
    assert_eq!(
        bed.query_metric("late_rows_total", "hops"),
        0.0,
        "a row with one open window is not late"
    );
}

#[test]
fn times_that_cannot_be_are_bad_and_move_nothing() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", 1);
    source(&bed, &topic, ", max_future = '1 minute'");
    bed.http
        .sql(&format!("{COUNTS} WITH (connector = 'topic', topic = 'counts')"));
    let base = base_ms();
    let future = requests::now_ms() + 10 * 60_000;
    bed.send(
        &topic,
        0,
        &[
            event(base, "a").json(),
            event(future, "future").json(),
            event(-1, "before 1970").json(),
            r#"{"k": "no time", "v": 1}"#.to_owned(),
            r#"{"k": "null", "v": 1, "ts": null}"#.to_owned(),
            r#"{"k": "words", "v": 1, "ts": "tomorrow"}"#.to_owned(),
            event(base + 1_000, "a").json(),
        ],
    );
    bed.caught_up("counts", &topic.name);
    assert_eq!(bed.query_metric("bad_rows_total", "counts"), 5.0);
    assert_eq!(bed.query_metric("late_rows_total", "counts"), 0.0);
    bed.send(&topic, 0, &[event(base + 60_000, "b").json()]);
    let rows = bed.rows_until("counts", "the window", |rows| !rows.is_empty());
    assert_eq!(
        keyed(rows[0].json()),
        ((base, "a".to_owned()), json!({ "n": 2 })),
        "the future closed nothing"
    );
}
