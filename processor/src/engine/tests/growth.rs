//! Functions that make much of little: what they make has a bound, in constants and in rows.

use super::Setup;
use crate::error::SqlState;

/// Calls that come to more than a value may have, whatever the machine has.
const TOO_LARGE: &[&str] = &[
    "repeat(s, n)",
    "lpad(s, n, '.')",
    "lpad(s, n)",
    "rpad(s, n, 'é')",
    "replace(repeat('a', n / 1000), 'a', repeat('b', n / 1000))",
    "regexp_replace(repeat('a', n / 1000), 'a', repeat('b', n / 1000), 'g')",
    "regexp_replace(repeat('a', n / 1000), '.*', repeat('\\0', n / 1000))",
    "concat_ws(repeat(s, n / 200), s, s, s)",
    "concat(repeat(s, n / 200), repeat(s, n / 200))",
    "array_to_string(range(n / 1000), repeat(s, n / 1000))",
    "range(n)",
    "range(0, n, 1)",
    "range(0, -n, -1)",
    "generate_series(0, 9223372036854775807)",
    "generate_series(DATE '1970-01-01', DATE '9999-01-01', INTERVAL '1 month -30 days')",
    "range(TIMESTAMP '2026-01-01 00:00:00', TIMESTAMP '2027-01-01 00:00:00', INTERVAL '1 microsecond')",
    "array_repeat(s, n)",
    "array_repeat(repeat(s, n / 1000), n / 1000)",
    "array_resize(make_array(1), n, 2)",
    "array_replace_all(string_to_array(repeat('a,', n / 1000000), ','), 'a', repeat('b', n / 1000))",
];

async fn with_numbers() -> Setup {
    let setup = Setup::new().await;
    setup.world.topic("numbers", 1);
    let noon = crate::testing::NOON;
    setup
        .world
        .produce("numbers", 0, noon, &[r#"{"s":"a","n":2000000000}"#]);
    setup
        .run("CREATE SOURCE numbers_source (s TEXT, n BIGINT) WITH (topic = 'numbers')")
        .await;
    setup
}

#[tokio::test]
async fn what_a_function_makes_of_a_row_is_bounded() {
    let setup = with_numbers().await;
    for call in TOO_LARGE {
        let error = setup.fail(&format!("SELECT {call} FROM numbers_source")).await;
        assert_eq!(error.code, SqlState::PROGRAM_LIMIT, "{call}: {error}");
    }
}

/// What comes near a bound and stays below is made.
#[tokio::test]
async fn what_fits_is_made() {
    let setup = with_numbers().await;
    let lengths = [
        ("length(repeat(s, 1000000))", "1000000"),
        ("length(lpad(s, 16000000, '.'))", "16000000"),
        // Far more could have been found than there is.
        (
            "length(replace(repeat('ab', 100000), 'a', repeat('x', 100)))",
            "10100000",
        ),
        ("length(regexp_replace(repeat('ab', 1000), 'a', '[\\0]', 'g'))", "4000"),
        ("array_length(range(2000000), 1)", "2000000"),
        ("array_length(array_replace_all(range(2000000), 7, 8), 1)", "2000000"),
        ("array_length(array_repeat(s, 1000), 1)", "1000"),
        (
            "array_length(generate_series(DATE '2026-01-01', DATE '2026-12-31', INTERVAL '1 month'), 1)",
            "12",
        ),
        ("concat(s, NULL, 1)", "a1"),
        ("concat_ws('-', s, NULL, 'b')", "a-b"),
        ("repeat(s, -1)", ""),
        ("lpad(s, NULL)", "NULL"),
    ];
    for (call, result) in lengths {
        assert_eq!(
            setup.run(&format!("SELECT {call} FROM numbers_source")).await,
            [result],
            "{call}"
        );
    }
}

/// Constants and overlapping windows multiply with the rows: fewer rows are taken at once.
#[tokio::test]
async fn large_constants_and_many_windows_take_fewer_rows_at_once() {
    const ROWS: usize = 600;
    let setup = with_numbers().await;
    let values: Vec<String> = (0..ROWS).map(|n| format!(r#"{{"s":"b","n":{n}}}"#)).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    setup.world.produce("numbers", 0, crate::testing::NOON, &values);
    let large = "SELECT count(DISTINCT length(x)) FROM \
                 (SELECT repeat('x', 1000000) AS x FROM numbers_source WHERE s = 'b')";
    assert_eq!(setup.run(large).await, ["1"]);
    let windows = "SELECT count(*) FROM HOP(numbers_source, _timestamp, INTERVAL '1 second', INTERVAL '2 hours') \
                   WHERE s = 'b'";
    assert_eq!(setup.run(windows).await, [(ROWS * 7200).to_string()]);
    let batches: Vec<_> = setup
        .batches("SELECT repeat('x', 1000000) AS x, n FROM numbers_source")
        .await;
    assert!(batches.iter().all(|rows| *rows < 200), "{batches:?}");
    assert_eq!(batches.iter().sum::<usize>(), ROWS + 1);
    let rows: Vec<String> = (0..200).map(|n| format!("({n})")).collect();
    let values = format!(
        "SELECT repeat('x', 1000000), n FROM (VALUES {}) AS v(n)",
        rows.join(", ")
    );
    assert_eq!(setup.fail(&values).await.code, SqlState::PROGRAM_LIMIT);
}
