//! A query's life: how it is watched, restarted, dropped and created again, and how it fails alone.

use kafka_protocol::messages::OffsetFetchResponse;
use serde_json::json;
use tests::batch::Batch;
use tests::client::Connection;
use tests::stream::{Bed, cell};
use tests::wait;

use super::{AGGREGATES, Event, Results, assert_same, base_ms, close_windows, events, keyed, model, send, source};

const PARTITIONS: i32 = 3;

fn windowed_sink(bed: &Bed, name: &str, topic: &str) {
    bed.http.sql(&format!(
        "CREATE SINK {name} AS SELECT window_start, k, {AGGREGATES} FROM TUMBLE(s, ts, INTERVAL '1 minute')
         GROUP BY window_start, window_end, k EMIT ON WINDOW CLOSE WITH (connector = 'topic', topic = '{topic}')"
    ));
}

fn results(bed: &Bed, topic: &str, count: usize) -> Results {
    let rows = bed.rows_until(topic, "every window", |rows| rows.len() >= count);
    assert_eq!(rows.len(), count);
    rows.iter().map(|row| keyed(row.json())).collect()
}

#[test]
fn a_running_query_can_be_watched() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", PARTITIONS);
    source(&bed, &topic, "");
    windowed_sink(&bed, "watched", "out");
    let all = events(10, base_ms(), 300);
    send(&mut bed, &topic, PARTITIONS, &all);
    bed.send(&topic, 0, &["bad"]);
    bed.caught_up("watched", &topic.name);

    let row = bed.query("watched").expect("SHOW QUERIES has it");
    assert_eq!(
        (
            cell(&row, "kind").as_str(),
            cell(&row, "status").to_lowercase().as_str()
        ),
        ("sink", "running")
    );
    for (column, expected) in [
        ("rows_read", 301),
        ("rows_in", 300),
        ("bad", 1),
        ("late", 0),
        ("lag", 0),
        ("restarts", 0),
    ] {
        assert_eq!(row[column], json!(expected), "{column}: {row:?}");
    }
    assert!(
        cell(&row, "last_bad").contains(&topic.name),
        "the last bad record is shown: {row:?}"
    );
    assert!(row["watermark"].is_string(), "{row:?}");
    let metric = |name: &str| bed.query_metric(name, "watched");
    assert_eq!(metric("rows_read_total"), 301.0);
    assert_eq!(metric("rows_in_total"), 300.0);
    assert_eq!(metric("bad_rows_total"), 1.0);
    assert_eq!(metric("late_rows_total"), 0.0);
    assert_eq!(metric("restarts_total"), 0.0);
    assert!(metric("epochs_total") > 0.0);
    assert!(metric("epoch_duration_seconds_sum") > 0.0);
    assert!(metric("epoch_duration_seconds_count") > 0.0);
    assert!(metric("state_bytes") > 0.0);
    // The watermark is event time: half an hour behind the clock, less what the events cover.
    let lag = metric("watermark_lag_seconds");
    assert!((20.0 * 60.0..40.0 * 60.0).contains(&lag), "{lag}");
    assert_eq!(
        bed.http
            .metric("tidemill_query_state{query=\"watched\",state=\"RUNNING\"}"),
        1.0
    );

    let committed: i64 = (0..PARTITIONS)
        .map(|partition| {
            let mut connection = Connection::open(&bed.broker.kafka_address());
            committed_offset(&mut connection, "tidemill.query.watched", &topic.name, partition)
        })
        .sum();
    assert_eq!(committed, 301, "the group mirrors the query's offsets");
}

fn committed_offset(connection: &mut Connection, group: &str, topic: &str, partition: i32) -> i64 {
    let response = fetch_offset(connection, group, topic, partition);
    assert_eq!(response.error_code, 0, "{response:?}");
    response.topics[0].partitions[0].committed_offset
}

fn fetch_offset(connection: &mut Connection, group: &str, topic: &str, partition: i32) -> OffsetFetchResponse {
    use kafka_protocol::messages::OffsetFetchRequest;
    use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
    let topic = OffsetFetchRequestTopic::default()
        .with_name(tests::requests::topic_name(topic))
        .with_partition_indexes(vec![partition]);
    let request = OffsetFetchRequest::default()
        .with_group_id(tests::requests::text(group).into())
        .with_topics(Some(vec![topic]));
    connection.call(7, &request)
}

#[test]
fn a_restart_in_the_middle_of_a_window_changes_nothing() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", PARTITIONS);
    source(&bed, &topic, ", idle_timeout = '1 hour'");
    windowed_sink(&bed, "steady", "out");
    bed.http.sql(&format!(
        "CREATE MATERIALIZED VIEW totals AS SELECT k, {AGGREGATES} FROM s GROUP BY k"
    ));
    let all = events(11, base_ms(), 960);
    for (round, part) in all.chunks(160).enumerate() {
        send(&mut bed, &topic, PARTITIONS, part);
        bed.caught_up("steady", &topic.name);
        bed.caught_up("totals", &topic.name);
        if round % 2 == 0 {
            bed.kill_and_restart();
        } else {
            assert_eq!(bed.broker.terminate().code(), Some(0), "{}", bed.broker.messages());
            bed.restart();
        }
        bed.status("steady", "running");
        for query in ["steady", "totals"] {
            assert_eq!(
                bed.query_metric("rows_read_total", query),
                0.0,
                "{query} had committed everything, round {round}"
            );
        }
    }
    close_windows(&mut bed, &topic, PARTITIONS);
    let expected = model(&all, 60_000, 60_000);
    assert_same(&results(&bed, "out", expected.len()), &expected);
    for query in ["steady", "totals"] {
        wait::until("the last three records", || {
            bed.query_metric("rows_read_total", query) >= 3.0
        });
        assert_eq!(bed.query_metric("rows_read_total", query), 3.0, "{query}");
    }
    let total = bed.http.rows("SELECT sum(n) FROM totals WHERE k <> 'end'");
    assert_eq!(total[0][0].as_f64(), Some(960.0));
}

#[test]
fn drop_and_create_inherit_nothing() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", PARTITIONS);
    source(&bed, &topic, "");
    let all = events(12, base_ms(), 240);
    let total = |bed: &Bed| {
        wait::until("every event to be counted", || {
            bed.view_rows("SELECT sum(n) FROM totals")[0][0].as_f64() == Some(240.0)
        });
    };
    send(&mut bed, &topic, PARTITIONS, &all);
    for round in 0..3 {
        bed.http.sql(&format!(
            "CREATE MATERIALIZED VIEW totals AS SELECT k, {AGGREGATES} FROM s GROUP BY k"
        ));
        total(&bed);
        bed.caught_up("totals", &topic.name);
        assert_eq!(
            bed.query_metric("rows_read_total", "totals"),
            240.0,
            "it starts from the beginning, round {round}"
        );
        bed.http.sql("DROP MATERIALIZED VIEW totals");
        assert_eq!(bed.query_metric("rows_read_total", "totals"), 0.0);
        let state = std::fs::read_dir(bed.broker.data_dir().join("state")).map_or(0, Iterator::count);
        assert_eq!(state, 0, "no state folder is left");
        let groups = bed.http.metrics();
        assert!(
            !groups.keys().any(|series| series.contains("tidemill.query.totals")),
            "nor the group's offsets"
        );
    }
    // Under the same name, another kind and another query.
    bed.http
        .sql("CREATE SINK totals AS SELECT k FROM s WHERE k = 'k1' WITH (connector = 'topic', topic = 'ones')");
    let ones = all.iter().filter(|event| event.key == "k1").count();
    assert_eq!(
        bed.rows_until("ones", "the rows of k1", |rows| rows.len() >= ones)
            .len(),
        ones
    );
    bed.kill_and_restart();
    assert_eq!(bed.http.rows("SHOW QUERIES").len(), 1);
    let changelogs = std::fs::read_dir(bed.broker.data_dir().join("topics")).expect("topics");
    let changelogs = changelogs.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let changelogs: Vec<String> = changelogs
        .filter(|name| name.starts_with("tidemill.changelog."))
        .collect();
    assert_eq!(changelogs.len(), 1, "{changelogs:?}");
}

/// Starts the server so that it dies at a point of the statement that is sent to it, and starts it again.
fn die_in(bed: &mut Bed, point: &str, statement: &str) {
    bed.broker.kill();
    bed.broker.run_until_it_dies(point, || {
        wait::until("the server that is going to die", || {
            bed.http.try_get("/readyz").is_ok_and(|ready| ready.status == 200)
        });
        assert!(bed.http.send_sql(statement).is_err(), "{point}: it answered");
    });
    bed.restart();
}

/// Committed offset of a group once it is loaded; -1 where there is none.
fn loaded_offset(bed: &mut Bed, group: &str, topic: &str) -> i64 {
    const LOADING: i16 = 14;
    wait::until_some("the group to be loaded", || {
        let response = fetch_offset(&mut bed.connection, group, topic, 0);
        (response.error_code != LOADING).then(|| response.topics[0].partitions[0].committed_offset)
    })
}

#[test]
fn a_server_that_dies_in_drop_or_create_leaves_nothing_behind() {
    const VIEW: &str = "CREATE MATERIALIZED VIEW totals AS SELECT k, count(*) AS n FROM s GROUP BY k";
    const DROP: &str = "DROP MATERIALIZED VIEW totals";
    let mut bed = Bed::start();
    let topic = bed.topic("in", 1);
    source(&bed, &topic, "");
    send(&mut bed, &topic, 1, &events(14, base_ms(), 20));

    die_in(&mut bed, "before-object-stored", VIEW);
    for point in [
        "after-object-removed",
        "after-group-deleted",
        "before-changelog-deleted",
    ] {
        assert_eq!(bed.http.rows("SHOW QUERIES").len(), 0, "{point}");
        assert_eq!(bed.http.rows("SHOW TOPICS").len(), 1, "{point}");
        bed.http.sql(VIEW);
        bed.caught_up("totals", &topic.name);
        die_in(&mut bed, point, DROP);
        assert_eq!(
            loaded_offset(&mut bed, "tidemill.query.totals", &topic.name),
            -1,
            "{point}"
        );
        assert_eq!(bed.http.try_sql(DROP).error_code(), "42P01", "{point}");
    }
    bed.http.sql(VIEW);
    bed.caught_up("totals", &topic.name);
    wait::until("every event to be counted", || {
        bed.view_rows("SELECT sum(n) FROM totals") == [[json!(20)]]
    });
    let topics = std::fs::read_dir(bed.broker.data_dir().join("topics")).expect("topics");
    let names = topics.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let changelogs = names.filter(|name| name.starts_with("tidemill.changelog.") && name.ends_with("-0"));
    assert_eq!(changelogs.count(), 1);
}

#[test]
fn a_finished_query_is_behind_nothing() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", 1);
    let group = "tidemill.query.once";
    source(&bed, &topic, ", stop = 'latest'");
    send(&mut bed, &topic, 1, &events(15, base_ms(), 30));
    bed.http
        .sql("CREATE SINK once AS SELECT k FROM s WITH (connector = 'blackhole')");
    bed.status("once", "finished");
    send(&mut bed, &topic, 1, &events(16, base_ms(), 30));
    for _ in 0..2 {
        wait::until("the group to go", || {
            fetch_offset(&mut bed.connection, group, &topic.name, 0).topics[0].partitions[0].committed_offset == -1
        });
        let metrics = bed.http.metrics();
        assert!(!metrics.keys().any(|series| series.contains(group)), "{metrics:?}");
        bed.kill_and_restart();
        bed.status("once", "finished");
    }
}

/// What the group shows may be older than what was committed, and the topic may be quiet from then on.
#[test]
fn a_group_shows_the_last_epoch_also_after_a_crash() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", 1);
    source(&bed, &topic, "");
    bed.http
        .sql("CREATE SINK copy AS SELECT k FROM s WITH (connector = 'topic', topic = 'copied')");
    let all = events(17, base_ms(), 60);
    send(&mut bed, &topic, 1, &all[..30]);
    bed.caught_up("copy", &topic.name);
    // The next epoch is committed, and the server dies before its group can tell.
    bed.broker.kill();
    bed.broker.run_until_it_dies("before-state-write", || {
        let rows: Vec<String> = all[30..].iter().map(Event::json).collect();
        let batch = Batch::of_values(tests::requests::now_ms(), &rows);
        let mut connection = Connection::open_once_up(&bed.broker.kafka_address());
        tests::requests::produce_bytes(&mut connection, &topic, 0, batch.encode());
    });
    bed.restart();
    bed.caught_up("copy", &topic.name);
    assert_eq!(bed.query_metric("rows_read_total", "copy"), 0.0, "it had read all");
    assert_eq!(bed.rows("copied").len(), 60);
}

#[test]
fn a_query_whose_topic_goes_fails_and_its_neighbour_does_not() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", PARTITIONS);
    let other = bed.topic("other", 1);
    source(&bed, &topic, "");
    windowed_sink(&bed, "orphan", "out");
    bed.http.sql(&format!(
        "CREATE SINK neighbour AS SELECT _value FROM \"{}\" WITH (connector = 'topic', topic = 'copy')",
        other.name
    ));
    send(&mut bed, &topic, PARTITIONS, &events(13, base_ms(), 30));
    bed.caught_up("orphan", &topic.name);
    crate::admin::delete_topic(&mut bed.connection, &topic);
    bed.status("orphan", "failed");
    let row = bed.query("orphan").expect("a failed query is shown");
    assert!(cell(&row, "reason").contains(&topic.name), "{row:?}");
    bed.send(&other, 0, &["still here"]);
    let copies = bed.rows_until("copy", "the neighbour", |rows| !rows.is_empty());
    assert_eq!(copies[0].json(), json!({ "_value": "still here" }));
    bed.kill_and_restart();
    bed.status("orphan", "failed");
    bed.http.sql("DROP SOURCE s CASCADE");
    assert_eq!(bed.http.rows("SHOW QUERIES").len(), 1, "a failed query can be dropped");
}

#[test]
fn a_topic_that_grows_brings_its_new_partitions_along() {
    use kafka_protocol::messages::CreatePartitionsRequest;
    use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
    let mut bed = Bed::start();
    let topic = bed.topic("growing", 1);
    bed.http.sql(&format!(
        "CREATE SINK copy AS SELECT _partition AS p FROM \"{}\" WITH (connector = 'topic', topic = 'copy', partitions = 1)",
        topic.name
    ));
    bed.send(&topic, 0, &["a"]);
    bed.caught_up("copy", &topic.name);
    let grown = CreatePartitionsTopic::default()
        .with_name(topic.topic_name())
        .with_count(3)
        .with_assignments(None);
    let answer = bed.connection.call(
        3,
        &CreatePartitionsRequest::default()
            .with_topics(vec![grown])
            .with_timeout_ms(5_000),
    );
    assert_eq!(answer.results[0].error_code, 0, "{answer:?}");
    tests::requests::wait_for_leaders(&mut bed.connection, &topic, 3);
    bed.send(&topic, 2, &["b"]);
    let rows = bed.rows_until("copy", "the new partition", |rows| rows.len() >= 2);
    assert_eq!(rows[1].json(), json!({ "p": 2 }));
}
