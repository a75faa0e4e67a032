//! Settings of a session: each of them acts, whether the command line keeps the session or a request brings its own.

use serde_json::{Map, Value, json};
use tests::stream::Bed;
use tests::wait;

use super::commands::run_with;
use super::{stderr, stdout};

/// Two ways to a server.
const WAYS: [&str; 2] = ["cli", "http"];
const OUT_OF_MEMORY: &str = "53200";

type Settings<'a> = &'a [(&'a str, &'a str)];

/// The first cell of a statement under settings, empty where there is none; or its SQLSTATE.
fn ask(bed: &Bed, way: &str, settings: Settings<'_>, statement: &str) -> Result<String, String> {
    if way == "cli" {
        let set: String = settings
            .iter()
            .map(|(name, value)| format!("SET {name} = '{value}';"))
            .collect();
        let output = run_with(
            &bed.broker,
            &["sql", "-o", "csv", "-c", &format!("{set}{statement}")],
            "",
        );
        return match output.status.success() {
            true => Ok(stdout(&output).lines().nth(1).unwrap_or_default().to_owned()),
            false => Err(code(&stderr(&output))),
        };
    }
    let settings: Map<String, Value> = settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    let answer = bed.http.try_sql_under(statement, &Value::Object(settings));
    match answer.status {
        200 => Ok(match &answer.json()["rows"][0][0] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }),
        _ => Err(answer.error_code()),
    }
}

/// The SQLSTATE in what the command line says.
fn code(messages: &str) -> String {
    let mut words = messages.split_whitespace().skip_while(|word| *word != "ERROR").skip(1);
    words.next().unwrap_or(messages).trim_end_matches(':').to_owned()
}

/// A statement that has to succeed.
#[track_caller]
fn done(bed: &Bed, way: &str, settings: Settings<'_>, statement: &str) -> String {
    ask(bed, way, settings, statement).unwrap_or_else(|code| panic!("{way}: {statement}: {code}"))
}

#[test]
fn memory_and_epochs_are_what_the_session_says() {
    const QUICK: (&str, &str) = ("epoch_interval", "10 ms");
    let mut bed = Bed::start_with(&[("sql.memory_limit", "16KiB"), ("sql.epoch_interval", "60s")]);
    let wide = bed.topic("wide", 1);
    for _ in 0..8 {
        let values: Vec<String> = (0..100).map(|n| format!("{n:05}{}", "y".repeat(4_000))).collect();
        bed.send(&wide, 0, &values);
    }
    let groups = bed.topic("groups", 1);
    let row = |n: usize| json!({ "k": format!("{n}-{}", "x".repeat(100)) }).to_string();
    bed.send(&groups, 0, &(0..2_000).map(row).collect::<Vec<_>>());
    bed.http
        .sql(&format!("CREATE SOURCE s (k TEXT) WITH (topic = '{}')", groups.name));
    let sort = format!(
        "SELECT max(r) FROM (SELECT row_number() OVER (ORDER BY _value, _offset) AS r FROM \"{}\") AS t",
        wide.name
    );
    for way in WAYS {
        assert_eq!(ask(&bed, way, &[], &sort), Ok("800".to_owned()), "{way}");
        let little = [("memory_limit", "1MiB")];
        assert_eq!(ask(&bed, way, &little, &sort), Err(OUT_OF_MEMORY.to_owned()), "{way}");

        let view = |name: &str| {
            format!(
                "CREATE MATERIALIZED VIEW {name}_{way} AS SELECT k, count(DISTINCT k) AS n, min(k) AS least FROM s GROUP BY k"
            )
        };
        done(&bed, way, &[], &view("slow"));
        done(&bed, way, &[QUICK], &view("small"));
        done(&bed, way, &[QUICK, ("memory_limit", "64MiB")], &view("large"));
        bed.status(&format!("small_{way}"), "failed");
        wait::until("the other query to read all", || {
            bed.view_rows(&format!("SELECT count(*) FROM large_{way}"))[0][0] == json!(2_000)
        });
        assert!(
            bed.query_metric("epochs_total", &format!("large_{way}")) >= 1.0,
            "{way}"
        );
    }
}

#[test]
fn epochs_are_as_long_as_the_session_says() {
    let mut bed = Bed::start_with(&[("sql.epoch_interval", "60s")]);
    let topic = bed.topic("in", 1);
    bed.send(&topic, 0, &["a"]);
    for way in WAYS {
        let sink = |name: &str| {
            format!(
                "CREATE SINK {name}_{way} AS SELECT _value FROM \"{}\" WITH (connector = 'topic')",
                topic.name
            )
        };
        done(&bed, way, &[], &sink("slow"));
        done(&bed, way, &[("epoch_interval", "10 ms")], &sink("quick"));
        let rows = bed.rows_until(&format!("quick_{way}"), "its row", |rows| !rows.is_empty());
        assert_eq!(rows.len(), 1);
        assert_eq!(bed.query_metric("epochs_total", &format!("slow_{way}")), 0.0, "{way}");
    }
}

/// Rows of an epoch that was never committed, and the same rows of the one that was.
fn with_aborted_rows(bed: &mut Bed) {
    let input = bed.topic("input", 1);
    let rows = [r#"{"n": 1}"#; 3];
    bed.send(&input, 0, &rows);
    bed.http
        .sql(&format!("CREATE SOURCE s (n BIGINT) WITH (topic = '{}')", input.name));
    bed.broker.kill();
    bed.broker.run_until_it_dies("before-decision", || {
        wait::until("the server that is going to die", || {
            bed.http.try_get("/readyz").is_ok_and(|ready| ready.status == 200)
        });
        // It may die before it answers.
        let _ = bed
            .http
            .send_sql("CREATE SINK copy AS SELECT n FROM s WITH (connector = 'topic', topic = 'copied')");
    });
    bed.restart();
    bed.rows_until("copied", "the committed rows", |rows| rows.len() >= 3);
}

#[test]
fn isolation_is_what_the_session_says() {
    const DIRTY: (&str, &str) = ("isolation", "read_uncommitted");
    const CLEAN: (&str, &str) = ("isolation", "read_committed");
    let mut bed = Bed::start();
    with_aborted_rows(&mut bed);
    for (name, (_, isolation)) in [("clean", CLEAN), ("dirty", DIRTY)] {
        bed.http.sql(&format!(
            "CREATE SOURCE {name} (n BIGINT) WITH (topic = 'copied', isolation = '{isolation}')"
        ));
    }
    for way in WAYS {
        let cases: [(Settings<'_>, &str, i64); 6] = [
            (&[], "clean", 3),
            (&[], "dirty", 6),
            (&[DIRTY], "clean", 6),
            (&[CLEAN], "dirty", 3),
            (&[], "copied", 3),
            (&[DIRTY], "copied", 6),
        ];
        for (number, (settings, relation, expected)) in cases.into_iter().enumerate() {
            let case = format!("{way}: {relation} under {settings:?}");
            let count = format!("SELECT count(*) AS n FROM {relation}");
            assert_eq!(done(&bed, way, settings, &count), expected.to_string(), "{case}");
            if relation == "copied" {
                continue;
            }
            let view = format!("{way}_{number}");
            let create =
                format!("CREATE MATERIALIZED VIEW {view} AS SELECT n, count(*) AS c FROM {relation} GROUP BY n");
            done(&bed, way, settings, &create);
            bed.caught_up(&view, "copied");
            wait::until(&case, || {
                bed.view_rows(&format!("SELECT c FROM {view}"))
                    .first()
                    .is_some_and(|row| row[0] == json!(expected))
            });
        }
    }
}

#[test]
fn a_session_ends_with_the_command_and_a_request() {
    let bed = Bed::start();
    let shown = |arguments: &[&str], input: &str| {
        let output = run_with(&bed.broker, arguments, input);
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let script = "SET epoch_interval = '250 ms';\nSHOW epoch_interval;\nRESET epoch_interval;\nSHOW epoch_interval;\n";
    let expected = "epoch_interval\n250 ms\nepoch_interval\n100 ms\n";
    assert_eq!(shown(&["sql", "-o", "csv", "-c", script], ""), expected);
    assert_eq!(shown(&["sql", "-o", "csv", "-f", "-"], script), expected);
    assert_eq!(shown(&["sql", "-o", "csv"], script), expected, "the prompt");
    for way in WAYS {
        assert_eq!(done(&bed, way, &[("parallelism", "1")], "SHOW parallelism"), "1");
        assert_eq!(
            ask(&bed, way, &[("parallelism", "2")], "SHOW parallelism"),
            Err("0A000".to_owned())
        );
        assert_eq!(
            done(&bed, way, &[("epoch_interval", "1 s")], "SHOW epoch_interval"),
            "1 s"
        );
        assert_eq!(done(&bed, way, &[], "SHOW epoch_interval"), "100 ms", "{way}");
    }
}
