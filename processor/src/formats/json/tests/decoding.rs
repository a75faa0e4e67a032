//! What becomes of single values.

use super::*;

#[test]
fn duplicates_order_and_missing_fields() {
    let columns = [
        ("b", DataType::Utf8),
        ("a", DataType::Int64),
        ("_timestamp", timestamptz()),
    ];
    let plan = plan(&columns, "_timestamp", ErrorPolicy::Skip);
    let values: [&[u8]; 5] = [
        br#"{"a":1,"x":[{"y":"}"}],"b":"one"}"#,
        br#"{"b":"two","a":2,"a":3}"#,
        br#"{ "b" : null , "a" : 4 } "#,
        b"{}",
        br#"{"a":5,"b":"five","a":null}"#,
    ];
    let (rows, outcomes) = decode(&plan, &values.map(Some));
    assert!(outcomes.iter().all(|o| *o == Ok(Decoded::Row)), "{outcomes:?}");
    let b: Vec<_> = rows.column(0).as_string::<i32>().iter().collect();
    let a: Vec<_> = rows.column(1).as_primitive::<Int64Type>().iter().collect();
    assert_eq!(b, [Some("one"), Some("two"), None, None, Some("five")]);
    assert_eq!(a, [Some(1), Some(3), Some(4), None, None]);
}

#[test]
fn bad_records_leave_no_trace() {
    let columns = [
        ("a", DataType::Int16),
        ("b", DataType::Utf8),
        ("_offset", DataType::Int64),
        ("_timestamp", timestamptz()),
    ];
    let plan = plan(&columns, "_timestamp", ErrorPolicy::Skip);
    let deep = format!("{{\"a\":1,\"x\":{}}}", "[".repeat(100_000));
    let values: Vec<Option<&[u8]>> = vec![
        Some(br#"{"a":1,"b":"good"}"#),
        None,
        Some(b""),
        Some(b"[1]"),
        Some(b"not json"),
        Some(br#"{"a":1"#),
        Some(br#"{"a":1} x"#),
        Some(br#"{"a":1}}"#),
        Some(b"{}{}"),
        Some(br#"{"a":1,}"#),
        Some(br#"{"a":40000}"#),
        Some(br#"{"b":"half","a":"x"}"#),
        Some(br#"{"b":"\ud800"}"#),
        Some(b"{\"b\":\"\xff\"}"),
        Some(deep.as_bytes()),
        Some(br#"{"a":2,"b":"also good"}"#),
    ];
    let (rows, outcomes) = decode(&plan, &values);
    let good: Vec<usize> = outcomes
        .iter()
        .enumerate()
        .filter(|(_, o)| o.is_ok())
        .map(|(at, _)| at)
        .collect();
    assert_eq!(good, [0, 15], "{outcomes:?}");
    assert_eq!(rows.num_rows(), 2);
    assert_eq!(rows.column(2).as_primitive::<Int64Type>().values(), &[0, 15]);
    assert_eq!(rows.column(1).as_string::<i32>().value(1), "also good");
    assert_eq!(
        outcomes[10].clone().expect_err("bad").reason,
        "column \"a\": 40000 is out of range for SMALLINT"
    );
}

#[test]
fn null_policy_repairs_fields_but_not_what_must_be_there() {
    let columns = [
        ("a", DataType::Int64),
        ("must", DataType::Int64),
        ("_timestamp", timestamptz()),
    ];
    let plan = plan(&columns, "_timestamp", ErrorPolicy::Null);
    let values: [&[u8]; 4] = [
        br#"{"a":"x","must":1}"#,
        br#"{"a":1,"must":"x"}"#,
        br#"{"a":1}"#,
        b"no json",
    ];
    let (rows, outcomes) = decode(&plan, &values.map(Some));
    assert_eq!(outcomes[0], Ok(Decoded::Repaired));
    assert!(outcomes[1..].iter().all(Result::is_err));
    assert_eq!((rows.num_rows(), rows.column(0).is_null(0)), (1, true));
}

#[test]
fn event_times_are_checked() {
    let plan = plan(&[("ts", timestamptz())], "ts", ErrorPolicy::Skip);
    let values = [
        r#"{"ts":"2026-01-01T12:59:59Z"}"#,
        r#"{"ts":"2026-01-01T13:00:00.000001Z"}"#,
        r#"{"ts":1767268800000}"#,
        r#"{"ts":1767268800000.5}"#,
        r#"{"ts":-1}"#,
        r#"{"ts":null}"#,
        r#"{"ts":"yesterday"}"#,
        "{}",
    ];
    let (rows, outcomes) = decode(&plan, &values.map(|v| Some(v.as_bytes())));
    let good: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(
        good,
        [true, false, true, true, false, false, false, false],
        "{outcomes:?}"
    );
    let times = rows.column(0).as_primitive::<TimestampMicrosecondType>().values();
    assert_eq!(times[1..], [1_767_268_800_000_000, 1_767_268_800_000_500]);
}

#[test]
fn a_record_above_its_batch_is_bad() {
    let plan = plan(&[("_timestamp", timestamptz())], "_timestamp", ErrorPolicy::Skip);
    let mut decoder = SourceDecoder::new(&plan).expect("known types");
    let batch = batch(&[Some(b"{}")]);
    let records = batch.records(1 << 20).expect("whole");
    let record = records.iter().next().expect("one").expect("whole");
    let lying = RecordOrigin {
        partition: 0,
        batch_max_timestamp: RECORD_MS - 1,
    };
    assert!(decoder.push(lying, &record).is_err());
    assert!(decoder.is_empty());
}

#[test]
fn metadata_columns() {
    let columns = [
        ("_key", DataType::Utf8),
        ("_value", DataType::Binary),
        ("_partition", DataType::Int32),
        ("_headers", headers()),
        ("_timestamp", timestamptz()),
    ];
    let mut plan = plan(&columns, "_timestamp", ErrorPolicy::Skip);
    plan.format = SourceFormat::Raw;
    let (rows, outcomes) = decode(&plan, &[Some(b"\xff\x00"), None]);
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(
        encoded(&rows, 0),
        r#"{"_key":"key","_value":"/wA=","_partition":3,"_headers":[{"name":"h","value":"MQ=="},{"name":"h","value":null}],"_timestamp":"2026-01-01T12:00:00.000000Z"}"#
    );
    assert!(rows.column(1).is_null(1));
}

#[test]
fn types_take_what_they_can_hold_exactly() {
    let decimal = DataType::Decimal128(12, 2);
    for (data_type, json, expected) in [
        (DataType::Int64, "9007199254740993", Some("9007199254740993")),
        (DataType::Int64, "\"42\"", Some("42")),
        (DataType::Int64, "1.0", Some("1")),
        (DataType::Int64, "1.5", None),
        (DataType::Int64, "true", None),
        (DataType::Int32, "2147483648", None),
        (DataType::Boolean, "true", Some("true")),
        (DataType::Boolean, "1", None),
        (DataType::Float64, "0.1", Some("0.1")),
        (DataType::Float64, "1e400", None),
        (DataType::Float64, "\"NaN\"", None),
        (DataType::Float32, "16777217", Some("16777216.0")),
        (DataType::Float32, "1e39", None),
        (decimal.clone(), "0.1", Some("0.10")),
        (decimal.clone(), "\"-1.005\"", Some("-1.01")),
        (decimal.clone(), "12345678901", None),
        (DataType::Utf8, "\"a\\u00e9\\n\"", Some("\"aé\\n\"")),
        (DataType::Utf8, "{\"x\": [1, 2]}", Some("\"{\\\"x\\\": [1, 2]}\"")),
        (DataType::Utf8, "1.50", Some("\"1.50\"")),
        (DataType::Binary, "\"AAE=\"", Some("\"AAE=\"")),
        (DataType::Binary, "\"?\"", None),
        (DataType::Date32, "\"2026-02-28\"", Some("\"2026-02-28\"")),
        (DataType::Date32, "\"2026-02-29\"", None),
        (
            DataType::Time64(arrow::datatypes::TimeUnit::Microsecond),
            "\"08:30:00.5\"",
            Some("\"08:30:00.500000\""),
        ),
        (
            crate::sql::types::timestamp(),
            "\"2026-01-01 12:00:00\"",
            Some("\"2026-01-01T12:00:00.000000\""),
        ),
        (
            timestamptz(),
            "\"2026-01-01T12:00:00+02:00\"",
            Some("\"2026-01-01T10:00:00.000000Z\""),
        ),
    ] {
        let decoded = decode_one(data_type.clone(), &format!("{{\"a\":{json}}}"));
        let shown = decoded.map(|rows| encoded(&rows, 0));
        match expected {
            None => assert!(shown.is_err(), "{data_type} {json}: {shown:?}"),
            Some(expected) => {
                let shown = shown.unwrap_or_else(|e| panic!("{data_type} {json}: {e}"));
                assert!(
                    shown.starts_with(&format!("{{\"a\":{expected},")),
                    "{data_type} {json}: {shown}"
                );
            }
        }
    }
}

#[test]
fn decimals_of_all_signs_and_scales_are_written_exactly() {
    for (value, scale, text) in [
        (5, 2, "0.05"),
        (-5, 2, "-0.05"),
        (0, 2, "0.00"),
        (-12345, 0, "-12345"),
        (1, 38, &format!("0.{}1", "0".repeat(37))),
    ] {
        let array = arrow::array::Decimal128Array::from(vec![value])
            .with_precision_and_scale(38, scale)
            .expect("valid");
        let batch = RecordBatch::try_from_iter([("d", Arc::new(array) as _)]).expect("one column");
        assert_eq!(batch.column(0).as_primitive::<Decimal128Type>().len(), 1);
        assert_eq!(encoded(&batch, 0), format!("{{\"d\":{text}}}"));
    }
}
