//! What is written is read back, and what we read is what serde_json reads.

use proptest::prelude::*;

use super::*;

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![".*", "[a-z\"\\\\/\u{8}\n\t]{0,12}", "\\PC{0,40}"]
}

fn any_real() -> impl Strategy<Value = f32> {
    prop_oneof![
        any::<f32>(),
        Just(f32::NAN),
        Just(f32::INFINITY),
        Just(f32::NEG_INFINITY),
        Just(f32::MAX),
        Just(-0.0)
    ]
}

fn any_double() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(f64::MAX),
        Just(-0.0)
    ]
}

proptest! {
    #[test]
    fn rows_are_read_as_they_were_written(
        text in proptest::option::of(any_text()),
        integer in proptest::option::of(any::<i64>()),
        digits in proptest::option::of(-999_999_999_999_i128..=999_999_999_999),
        float in proptest::option::of(any::<f64>().prop_filter("JSON has no other numbers", |f| f.is_finite())),
        bytes in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
        time in proptest::option::of(0..253_402_300_799_999_999_i64),
        truth in any::<Option<bool>>(),
    ) {
        let columns: Vec<(&str, arrow::array::ArrayRef)> = vec![
            ("text", Arc::new(arrow::array::StringArray::from(vec![text.clone()]))),
            ("integer", Arc::new(arrow::array::Int64Array::from(vec![integer]))),
            ("decimal", Arc::new(arrow::array::Decimal128Array::from(vec![digits]).with_precision_and_scale(12, 3).unwrap())),
            ("float", Arc::new(arrow::array::Float64Array::from(vec![float]))),
            ("bytes", Arc::new(arrow::array::BinaryArray::from(vec![bytes.as_deref()]))),
            ("time", Arc::new(arrow::array::TimestampMicrosecondArray::from(vec![time]).with_timezone("+00:00"))),
            ("truth", Arc::new(arrow::array::BooleanArray::from(vec![truth]))),
        ];
        let written = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
        let json = encoded(&written, 0);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{}", json);
        let mut types: Vec<(&str, DataType)> = vec![
            ("text", DataType::Utf8), ("integer", DataType::Int64), ("decimal", DataType::Decimal128(12, 3)),
            ("float", DataType::Float64), ("bytes", DataType::Binary), ("time", timestamptz()), ("truth", DataType::Boolean),
        ];
        types.push(("_timestamp", timestamptz()));
        let (read, outcomes) = decode(&plan(&types, "_timestamp", ErrorPolicy::Skip), &[Some(json.as_bytes())]);
        prop_assert_eq!(&outcomes[0], &Ok(Decoded::Row), "{}", json);
        for (written, read) in written.columns().iter().zip(read.columns()) {
            prop_assert_eq!(written, read, "{}", json);
        }
    }

    #[test]
    fn a_view_reads_whatever_it_wrote(
        small in any::<Option<i16>>(),
        real in proptest::option::of(any_real()),
        double in proptest::option::of(any_double()),
        wide in proptest::option::of(-i128::MAX..=i128::MAX),
        days in any::<Option<i32>>(),
        time in proptest::option::of(0..86_400_000_000_i64),
        instant in any::<Option<i64>>(),
        local in any::<Option<i64>>(),
    ) {
        let columns: Vec<(&str, arrow::array::ArrayRef)> = vec![
            ("small", Arc::new(arrow::array::Int16Array::from(vec![small]))),
            ("real", Arc::new(arrow::array::Float32Array::from(vec![real]))),
            ("double", Arc::new(arrow::array::Float64Array::from(vec![double]))),
            ("wide", Arc::new(arrow::array::Decimal128Array::from(vec![wide]).with_precision_and_scale(38, 10).unwrap())),
            ("days", Arc::new(arrow::array::Date32Array::from(vec![days]))),
            ("time", Arc::new(arrow::array::Time64MicrosecondArray::from(vec![time]))),
            ("instant", Arc::new(arrow::array::TimestampMicrosecondArray::from(vec![instant]).with_timezone("+00:00"))),
            ("local", Arc::new(arrow::array::TimestampMicrosecondArray::from(vec![local]))),
        ];
        let written = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
        let json = encoded(&written, 0);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{}", json);
        let schema = written.schema();
        let mut types: Vec<(&str, DataType)> =
            schema.fields().iter().map(|f| (f.name().as_str(), f.data_type().clone())).collect();
        types.push(("_timestamp", timestamptz()));
        let mut plan = plan(&types, "_timestamp", ErrorPolicy::Fail);
        plan.format = SourceFormat::View;
        let (read, outcomes) = decode(&plan, &[Some(json.as_bytes())]);
        prop_assert_eq!(&outcomes[0], &Ok(Decoded::Row), "{}", json);
        for (written, read) in written.columns().iter().zip(read.columns()) {
            prop_assert_eq!(written, read, "{}", json);
        }
    }

    #[test]
    fn any_bytes_are_a_row_or_a_bad_record(value in proptest::collection::vec(any::<u8>(), 0..60)) {
        let plan = plan(&[("a", DataType::Utf8), ("_timestamp", timestamptz())], "_timestamp", ErrorPolicy::Skip);
        let (rows, outcomes) = decode(&plan, &[Some(&value)]);
        prop_assert_eq!(rows.num_rows(), usize::from(outcomes[0].is_ok()));
        let is_object = serde_json::from_slice::<serde_json::Value>(&value).is_ok_and(|v| v.is_object());
        prop_assert_eq!(outcomes[0].is_ok(), is_object, "{:?}", String::from_utf8_lossy(&value));
    }

    #[test]
    fn mutated_objects_are_judged_as_serde_json_judges_them(
        text in any_text(), number in any::<f64>(), cut in any::<prop::sample::Index>(), with in any::<u8>(),
    ) {
        let number = if number.is_finite() { number } else { 0.5 };
        let mut json = serde_json::json!({"x": {"y": [1, null, "}"]}, "a": text, "n": number}).to_string().into_bytes();
        let at = cut.index(json.len());
        json[at] = with;
        let plan = plan(&[("a", DataType::Utf8), ("_timestamp", timestamptz())], "_timestamp", ErrorPolicy::Skip);
        let (_, outcomes) = decode(&plan, &[Some(&json)]);
        let theirs = serde_json::from_slice::<serde_json::Value>(&json).is_ok_and(|v| v.is_object());
        // We look into no field that nobody wants, so we may accept a wrong escape or a control character in one.
        if theirs {
            prop_assert!(outcomes[0].is_ok(), "{:?} {:?}", outcomes[0], String::from_utf8_lossy(&json));
        }
    }
}
