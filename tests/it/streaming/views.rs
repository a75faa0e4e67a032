//! Materialized views: a topic and a table from the same changes, finished ones included, and guarded.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::{CreatePartitionsRequest, DeleteTopicsRequest};
use serde_json::{Value, json};
use tests::batch::Batch;
use tests::requests::{self, Topic};
use tests::stream::Bed;

use super::{AGGREGATES, Event, Results, assert_same, base_ms, events, keyed, model, send, source};

const TOPIC_AUTHORIZATION_FAILED: i16 = 29;

fn view(bed: &Bed, name: &str, emit: &str) {
    bed.http.sql(&format!(
        "CREATE MATERIALIZED VIEW {name} AS SELECT window_start, k, {AGGREGATES}
         FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end, k EMIT {emit}"
    ));
}

fn table(bed: &Bed, name: &str) -> Results {
    let rows = tests::stream::objects(&bed.http.sql(&format!("SELECT * FROM {name}")));
    rows.into_iter()
        .map(|row| keyed(serde_json::to_value(row).expect("an object")))
        .collect()
}

fn named(name: &str) -> Topic {
    Topic {
        name: name.to_owned(),
        ..Topic::unknown()
    }
}

#[test]
fn a_keyed_view_is_a_compacted_topic_and_a_table() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", 2);
    source(&bed, &topic, "");
    view(&bed, "counts", "ON UPDATE");
    let events = events(6, base_ms(), 200);
    send(&mut bed, &topic, 2, &events);
    let expected = model(&events, 10_000, 10_000);
    tests::wait::until("the table", || {
        bed.view_rows("SELECT sum(n) FROM counts")[0][0].as_f64() == Some(200.0)
    });
    assert_same(&table(&bed, "counts"), &expected);
    let one = &bed
        .http
        .rows("SELECT k, n FROM counts WHERE k = 'k1' ORDER BY window_start LIMIT 1")[0];
    assert_eq!(one[0], json!("k1"));

    let described = describe_config(&mut bed, "counts", "cleanup.policy");
    assert_eq!(described.as_deref(), Some("compact"));
    bed.caught_up("counts", &topic.name);
    let rows = bed.rows("counts");
    for row in &rows {
        let key: Value = serde_json::from_str(row.key.as_deref().expect("a key")).expect("JSON");
        let value = row.json();
        assert_eq!(key, json!({ "window_start": value["window_start"], "k": value["k"] }));
    }
    let partitions: std::collections::BTreeSet<i32> = rows.iter().map(|row| row.partition).collect();
    assert!(partitions.len() == 2, "a view has as many partitions as its source");
}

fn describe_config(bed: &mut Bed, topic: &str, key: &str) -> Option<String> {
    use kafka_protocol::messages::DescribeConfigsRequest;
    use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
    let resource = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(requests::text(topic))
        .with_configuration_keys(Some(vec![requests::text(key)]));
    let answer = bed
        .connection
        .call(4, &DescribeConfigsRequest::default().with_resources(vec![resource]));
    answer.results[0].configs[0]
        .value
        .as_ref()
        .map(|value| value.to_string())
}

#[test]
fn a_view_of_rows_is_a_plain_topic_that_sql_reads() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", 2);
    source(&bed, &topic, "");
    bed.http
        .sql("CREATE MATERIALIZED VIEW big AS SELECT k, v, v * 10 AS ten FROM s WHERE v > 25");
    let events = events(7, base_ms(), 300);
    send(&mut bed, &topic, 2, &events);
    let expected = events.iter().filter(|event| event.value > Some(25)).count();
    let rows = bed.rows_until("big", "every large value", |rows| rows.len() >= expected);
    assert_eq!(rows.len(), expected);
    assert!(rows.iter().all(|row| row.key.is_none()));
    assert_ne!(
        describe_config(&mut bed, "big", "cleanup.policy").as_deref(),
        Some("compact")
    );
    assert_eq!(
        bed.http.rows("SELECT count(*), min(ten) % 10 FROM big"),
        [[json!(expected), json!(0)]]
    );
    // A query over the view follows it.
    bed.http
        .sql("CREATE SINK next FROM big WITH (connector = 'topic', topic = 'next')");
    let next = bed.rows_until("next", "the same rows", |rows| rows.len() >= expected);
    assert_eq!(next.len(), expected);
    assert_eq!(bed.http.try_sql("DROP MATERIALIZED VIEW big").error_code(), "2BP01");
}

#[test]
fn clients_read_a_views_topic_and_do_nothing_else_to_it() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", 1);
    source(&bed, &topic, "");
    view(&bed, "counts", "ON UPDATE");
    let written = requests::produce_bytes(
        &mut bed.connection,
        &named("counts"),
        0,
        Batch::of_values(1, &["x"]).encode(),
    );
    assert_eq!(written.error_code, TOPIC_AUTHORIZATION_FAILED, "{written:?}");
    let message = written
        .error_message
        .as_ref()
        .map(|text| text.to_string())
        .unwrap_or_default();
    assert!(message.contains("clients may read"), "the message says why: {message}");
    let delete = DeleteTopicsRequest::default()
        .with_topic_names(vec![requests::topic_name("counts")])
        .with_timeout_ms(5_000);
    let deleted = bed.connection.call(5, &delete);
    assert_eq!(
        deleted.responses[0].error_code, TOPIC_AUTHORIZATION_FAILED,
        "{deleted:?}"
    );
    let more = CreatePartitionsTopic::default()
        .with_name(requests::topic_name("counts"))
        .with_count(9)
        .with_assignments(None);
    let grown = bed.connection.call(
        3,
        &CreatePartitionsRequest::default()
            .with_topics(vec![more])
            .with_timeout_ms(5_000),
    );
    assert_eq!(grown.results[0].error_code, TOPIC_AUTHORIZATION_FAILED, "{grown:?}");
    // A sink of another query is no exception.
    let sink = bed
        .http
        .try_sql("CREATE SINK into_view AS SELECT k FROM s WITH (connector = 'topic', topic = 'counts')");
    assert_eq!((sink.status, sink.error_code()), (409, "55006".into()), "{}", sink.body);
    assert_eq!(bed.view_rows("SELECT count(*) FROM counts"), [[json!(0)]]);
}

#[test]
fn a_bounded_source_finishes_and_its_result_stays() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", 3);
    let events = events(8, base_ms(), 600);
    send(&mut bed, &topic, 3, &events);
    source(&bed, &topic, ", stop = 'latest'");
    view(&bed, "closed", "ON WINDOW CLOSE");
    view(&bed, "updated", "ON UPDATE");
    let late = Event {
        ts: base_ms(),
        key: "after the stop".to_owned(),
        value: Some(1),
    };
    send(&mut bed, &topic, 3, &[late]);
    let expected = model(&events, 10_000, 10_000);
    for round in 0..3 {
        for name in ["closed", "updated"] {
            bed.status(name, "finished");
            assert_same(&table(&bed, name), &expected);
            let series = format!("tidemill_query_state{{query=\"{name}\",state=\"FINISHED\"}}");
            assert_eq!(bed.http.metric(&series), 1.0);
        }
        assert_eq!(
            bed.rows("closed").len(),
            expected.len(),
            "every window once, round {round}"
        );
        bed.kill_and_restart();
    }
    assert_eq!(
        bed.query_metric("rows_read_total", "closed"),
        0.0,
        "what has finished reads nothing again"
    );
    bed.http.sql("DROP SOURCE s CASCADE");
    assert_eq!(bed.http.try_sql("SELECT * FROM closed").error_code(), "42P01");
}

#[test]
fn an_empty_bounded_source_finishes_at_once() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", 3);
    source(&bed, &topic, ", stop = 'latest'");
    view(&bed, "empty", "ON WINDOW CLOSE");
    bed.status("empty", "finished");
    assert_eq!(bed.http.rows("SELECT count(*) FROM empty"), [[json!(0)]]);
}

/// `sum(a) / sum(b)` fails for a key as long as its second sum is 0, and for that key alone.
#[test]
fn a_result_that_cannot_be_computed_is_held_back() {
    let mut bed = Bed::start();
    let topic = bed.topic("in", 1);
    bed.http.sql(&format!(
        "CREATE SOURCE pairs (k TEXT, a BIGINT, b BIGINT) WITH (topic = '{}')",
        topic.name
    ));
    bed.http
        .sql("CREATE MATERIALIZED VIEW ratios AS SELECT k, CAST(sum(a) / sum(b) AS BIGINT) AS r FROM pairs GROUP BY k");
    let value = |k: &str, a: i64, b: i64| json!({ "k": k, "a": a, "b": b }).to_string();
    bed.send(&topic, 0, &[value("x", 4, 2), value("y", 1, 0), value("z", 9, 3)]);
    bed.caught_up("ratios", &topic.name);
    let select = "SELECT k, r FROM ratios ORDER BY k";
    assert_eq!(bed.view_rows(select), [[json!("x"), json!(2)], [json!("z"), json!(3)]]);
    assert_eq!(bed.query_metric("failed_results_total", "ratios"), 1.0);
    assert_eq!(bed.query_metric("bad_rows_total", "ratios"), 0.0);
    bed.send(&topic, 0, &[value("x", 0, -2), value("y", 1, 1), value("z", 3, 0)]);
    bed.caught_up("ratios", &topic.name);
    assert_eq!(bed.view_rows(select), [[json!("y"), json!(2)], [json!("z"), json!(4)]]);
    let changes = |key: &str| {
        let rows = bed.rows("ratios").into_iter();
        let of_key = rows.filter(|row| row.key.as_deref().is_some_and(|text| text.contains(key)));
        of_key
            .map(|row| row.value.is_some().then(|| row.json()["r"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(changes("\"x\""), [Some(json!(2)), None], "the row has gone");
    assert_eq!(changes("\"y\""), [Some(json!(2))]);
    assert_eq!(
        changes("\"z\""),
        [Some(json!(3)), Some(json!(4))],
        "an update stays one change"
    );
}
