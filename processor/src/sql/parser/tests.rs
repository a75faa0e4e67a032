//! What statements mean.

use std::time::Duration;

use super::{parse, split};
use crate::sql::statement::{EmitClause, ObjectKind, OnError, ShowList, SinkInput, Statement};

fn parsed(sql: &str) -> Statement {
    match parse(sql, 1 << 20) {
        Ok(statement) => statement,
        Err(error) => panic!("{sql}\n{error} at {:?}", error.position),
    }
}

#[test]
fn create_source_with_everything() {
    let sql = "CREATE SOURCE IF NOT EXISTS \"Clicks\" (\n  user_id BIGINT NOT NULL, Url VARCHAR, \"Ts\" TIMESTAMPTZ, p NUMERIC(12,2) NULL,\n  \
               WATERMARK FOR \"Ts\" AS \"Ts\" - INTERVAL '5 seconds'\n) WITH (topic = 'website_clicks', format = 'json', \
               timestamp.unit = 's', 'idle_timeout' = '2 s')\nON ERROR DLQ 'clicks.dlq';";
    let Statement::CreateSource(source) = parsed(sql) else {
        panic!("{sql}");
    };
    assert_eq!((source.name.as_str(), source.if_not_exists), ("Clicks", true));
    let names: Vec<_> = source.columns.iter().map(|c| (c.name.as_str(), c.not_null)).collect();
    assert_eq!(names, [("user_id", true), ("url", false), ("Ts", false), ("p", false)]);
    assert_eq!(
        source
            .watermark
            .as_ref()
            .map(|w| (w.column.as_str(), w.expression.is_some())),
        Some(("Ts", true))
    );
    let options: Vec<_> = source
        .options
        .iter()
        .map(|o| (o.name.as_str(), o.value.as_str()))
        .collect();
    assert_eq!(
        options,
        [
            ("topic", "website_clicks"),
            ("format", "json"),
            ("timestamp.unit", "s"),
            ("idle_timeout", "2 s")
        ]
    );
    assert_eq!(source.on_error, Some(OnError::DeadLetter("clicks.dlq".to_owned())));
}

#[test]
fn a_watermark_needs_no_expression() {
    let Statement::CreateSource(source) = parsed("CREATE SOURCE s (ts TIMESTAMPTZ, WATERMARK FOR ts)") else {
        panic!("a source");
    };
    assert_eq!(source.watermark.map(|w| w.expression), Some(None));
}

#[test]
fn clauses_behind_a_query_in_any_order() {
    let every = |ms| Some(Some(Duration::from_millis(ms)));
    for (clauses, emit, late_to) in [
        ("", None, None),
        (
            "EMIT ON WINDOW CLOSE",
            Some(EmitClause {
                on_close: true,
                on_update: None,
            }),
            None,
        ),
        (
            "EMIT ON UPDATE",
            Some(EmitClause {
                on_close: false,
                on_update: Some(None),
            }),
            None,
        ),
        (
            "EMIT ON UPDATE EVERY '100 ms' AND ON WINDOW CLOSE",
            Some(EmitClause {
                on_close: true,
                on_update: every(100),
            }),
            None,
        ),
        (
            "LATE TO 'late' EMIT ON WINDOW CLOSE AND ON UPDATE EVERY INTERVAL '2' SECOND WITH (epoch_interval = '1 s')",
            Some(EmitClause {
                on_close: true,
                on_update: every(2000),
            }),
            Some("late"),
        ),
    ] {
        // A bare table name, an alias, and a parenthesis stand before the clause.
        for query in [
            "SELECT * FROM bid",
            "SELECT b.a FROM bid AS b",
            "SELECT a FROM bid WHERE (a > 1)",
            "WITH x AS (SELECT 1) SELECT * FROM x",
        ] {
            let sql = format!("CREATE MATERIALIZED VIEW v AS {query} {clauses}");
            let Statement::CreateMaterializedView(view) = parsed(&sql) else {
                panic!("{sql}");
            };
            assert_eq!(view.query.emit, emit, "{sql}");
            assert_eq!(view.query.late_to.as_deref(), late_to, "{sql}");
            assert!(!view.query.query.to_string().to_uppercase().contains("EMIT"), "{sql}");
        }
    }
}

#[test]
fn options_behind_a_table_name_are_no_hints() {
    for sql in [
        "CREATE SINK s AS SELECT * FROM orders WITH (connector = 'blackhole')",
        "CREATE SINK s AS SELECT * FROM orders o WITH (connector = 'blackhole')",
        "CREATE SINK s WITH (connector = 'blackhole') AS SELECT * FROM orders",
    ] {
        let Statement::CreateSink(sink) = parsed(sql) else {
            panic!("{sql}");
        };
        assert_eq!(sink.options.len(), 1, "{sql}");
        assert!(matches!(sink.input, SinkInput::Query(_)), "{sql}");
    }
    let Statement::CreateSink(sink) = parsed("CREATE SINK s FROM v WITH (connector = 'topic', topic = 't')") else {
        panic!("a sink");
    };
    assert_eq!(sink.input, SinkInput::From("v".to_owned()));
}

#[test]
fn options_stand_in_two_places_and_each_in_one() {
    let Statement::CreateSink(sink) =
        parsed("CREATE SINK s WITH (connector = 'topic') AS SELECT * FROM orders WITH (topic = 't')")
    else {
        panic!("a sink");
    };
    let names: Vec<_> = sink.options.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(names, ["connector", "topic"]);
    for (sql, second) in [
        ("CREATE SINK s WITH (topic = 'a') AS SELECT 1 WITH (topic = 'b')", 52),
        ("CREATE SINK s AS SELECT 1 WITH (topic = 'a', topic = 'b')", 46),
        (
            "CREATE MATERIALIZED VIEW v WITH (a = 1) AS SELECT 1 WITH (\"A\" = 2)",
            59,
        ),
    ] {
        let error = parse(sql, 1 << 20).expect_err(sql);
        assert!(error.message.contains("given twice"), "{sql}: {error}");
        assert_eq!((error.position, error.hint.is_some()), (Some(second), true), "{sql}");
    }
}

#[test]
fn words_of_clauses_are_still_names() {
    for sql in [
        "SELECT emit, late FROM t",
        "SELECT source FROM sink WHERE topic = 'x'",
        "SELECT 1 AS emit",
        "CREATE VIEW v (source, sink) AS SELECT 1, 2",
    ] {
        parsed(sql);
    }
}

#[test]
fn window_functions_in_both_spellings() {
    for sql in [
        "SELECT * FROM TUMBLE(bid, ts, INTERVAL '10' SECOND)",
        "SELECT * FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '10' MINUTES))",
        "SELECT * FROM TUMBLE(DATA => TABLE bid, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '10' MINUTE)",
        "SELECT * FROM HOP((SELECT * FROM bid), ts, INTERVAL '1 minute', INTERVAL '5 minutes') AS h JOIN x ON true",
        "TABLE bid",
    ] {
        assert!(matches!(parsed(sql), Statement::Query(_)), "{sql}");
    }
}

#[test]
fn short_statements() {
    let drop = |sql: &str| match parsed(sql) {
        Statement::Drop(drop) => (drop.kind, drop.name, drop.if_exists, drop.cascade),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        drop("DROP MATERIALIZED VIEW v"),
        (ObjectKind::MaterializedView, "v".to_owned(), false, false)
    );
    assert_eq!(
        drop("drop sink if exists S cascade"),
        (ObjectKind::Sink, "s".to_owned(), true, true)
    );
    assert_eq!(parsed("SHOW MATERIALIZED VIEWS;"), Statement::Show(ShowList::Views));
    assert_eq!(parsed("SHOW QUERIES"), Statement::Show(ShowList::Queries));
    assert_eq!(
        parsed("SHOW CREATE MATERIALIZED VIEW v"),
        Statement::ShowCreate("v".to_owned())
    );
    assert_eq!(parsed("SHOW CREATE source"), Statement::ShowCreate("source".to_owned()));
    assert_eq!(
        parsed("DESCRIBE \"my.topic\""),
        Statement::Describe("my.topic".to_owned())
    );
    let set = |value: Option<&str>| Statement::Set {
        name: "epoch_interval".to_owned(),
        value: value.map(str::to_owned),
    };
    assert_eq!(parsed("SET epoch_interval = '1 s'"), set(Some("1 s")));
    assert_eq!(parsed("SET SESSION epoch_interval TO '1 s'"), set(Some("1 s")));
    assert_eq!(parsed("SET epoch_interval TO DEFAULT"), set(None));
    assert!(matches!(
        parsed("EXPLAIN VERBOSE SELECT 1"),
        Statement::Explain { verbose: true, .. }
    ));
    assert!(matches!(parsed("(SELECT 1)"), Statement::Query(_)));
}

#[test]
fn scripts_are_split_outside_of_texts_and_comments() {
    let script = "-- first; not\nSELECT 'a;b';\n/* c;d */ SELECT $$;$$ ;;\nSELECT \"e;f\" -- end";
    assert_eq!(
        split(script),
        Ok(vec![
            "SELECT 'a;b'".to_owned(),
            "SELECT $$;$$".to_owned(),
            "SELECT \"e;f\"".to_owned()
        ])
    );
    assert!(split("SELECT 'open").is_err());
}

/// A parser that tries every word again as a name takes twice as long with every level: what is wrong far inside has to be
/// found out in steps that the statement's length bounds. (Without the bound this test does not end.)
#[test]
fn a_mistake_deep_inside_costs_no_power_of_two() {
    for open in [
        "CASE WHEN true THEN ",
        "CASE ",
        "CAST(",
        "TRY_CAST(",
        "NOT ",
        "EXTRACT(year FROM ",
        "SUBSTRING(",
        "POSITION(",
        "POSITION('a' IN ",
        "OVERLAY(",
        "FLOOR(",
        "CEIL(",
        "TRIM(",
        "INTERVAL ",
        "ARRAY[",
        "ARRAY(SELECT ",
        "EXISTS(SELECT ",
        "STRUCT(",
        "MAP {",
        "CONVERT(",
        "(",
        "((SELECT ",
        "{d ",
        "{fn f(",
        "[",
        "- ",
        "f(",
        "a -> ",
        "(a, b) -> ",
        "1 IN (",
        "1 IN (SELECT ",
        "1 BETWEEN ",
        "1 = ANY (",
        "1 = ANY (SELECT ",
        "1 ::",
        "sum(1) FILTER (WHERE ",
        "sum(1) OVER (ORDER BY ",
        "* FROM (SELECT ",
        "* FROM ((SELECT ",
        "* FROM (((SELECT ",
        "* FROM ((((",
        "1 FROM ((a JOIN ((SELECT ",
        "* FROM ((a JOIN ((SELECT ",
        "1 FROM TABLE(",
        "1 FROM UNNEST(",
        "1 FROM LATERAL (SELECT ",
        "1 FROM a JOIN (SELECT ",
        "1 FROM a, (",
        "1 GROUP BY CUBE (",
        "1 GROUP BY GROUPING SETS ((",
        "1 WHERE (",
        "1 UNION (SELECT ",
        "1 UNION ((SELECT ",
    ] {
        for depth in [10, 25, 58] {
            let sql = format!("SELECT {} )", open.repeat(depth));

            assert!(parse(&sql, 1 << 20).is_err(), "{sql}");
        }
    }
}
