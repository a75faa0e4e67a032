//! Every aggregate over every type: against a model, and with snapshots in between that must change nothing.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::BooleanBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use arrow::row::{RowConverter, SortField};
use proptest::prelude::*;
use protocol::codec::Reader;

use super::super::physical::counted;
use super::super::state::{AggregateState, Input, state_of};
use crate::operators::OperatorError;
use crate::plan::graph::{AggregateCall, AggregateFunction};

const SLOTS: usize = 4;

fn types() -> Vec<DataType> {
    let utc = Some(Arc::from("+00:00"));
    vec![
        DataType::Boolean,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::UInt32,
        DataType::UInt64,
        DataType::Float32,
        DataType::Float64,
        DataType::Decimal128(12, 2),
        DataType::Utf8,
        DataType::Binary,
        DataType::FixedSizeBinary(16),
        DataType::Date32,
        DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(TimeUnit::Microsecond, utc),
        DataType::List(Arc::new(arrow::datatypes::Field::new_list_field(DataType::Int64, true))),
    ]
}

/// Small values with many repetitions, NULL among them.
fn column(data_type: &DataType, values: &[Option<i8>]) -> ArrayRef {
    let ints: ArrayRef = Arc::new(Int64Array::from_iter(values.iter().map(|v| v.map(i64::from))));
    let positive: ArrayRef = Arc::new(Int64Array::from_iter(
        values.iter().map(|v| v.map(|v| i64::from(v) + 128)),
    ));
    match data_type {
        DataType::UInt32 | DataType::UInt64 | DataType::Date32 => {
            let narrow = cast(&positive, &DataType::Int32).unwrap();
            cast(&narrow, data_type).unwrap()
        }
        DataType::Time64(_) => cast(&positive, data_type).unwrap(),
        DataType::Boolean => Arc::new(BooleanArray::from_iter(values.iter().map(|v| v.map(|v| 0 < v)))),
        DataType::Binary => {
            let texts = cast(&ints, &DataType::Utf8).unwrap();
            cast(&texts, data_type).unwrap()
        }
        DataType::FixedSizeBinary(_) => {
            let bytes = values.iter().map(|v| v.map(|v| [v.cast_unsigned(); 16]));
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes, 16).unwrap())
        }
        DataType::List(_) => {
            let lists = values.iter().map(|v| v.map(|v| vec![Some(i64::from(v)), None]));
            Arc::new(ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>(
                lists,
            ))
        }
        other => cast(&ints, other).unwrap(),
    }
}

fn call(function: AggregateFunction, input: &DataType) -> Option<AggregateCall> {
    let output_type = match function {
        AggregateFunction::Count | AggregateFunction::CountDistinct => DataType::Int64,
        AggregateFunction::Min | AggregateFunction::Max => input.clone(),
        _ if !input.is_numeric() => return None,
        AggregateFunction::Sum => match input {
            DataType::Int16 | DataType::Int32 => DataType::Int64,
            DataType::Float32 | DataType::Float64 => input.clone(),
            DataType::Decimal128(_, scale) => DataType::Decimal128(38, *scale),
            _ => DataType::Decimal128(38, 0),
        },
        AggregateFunction::Avg => match input {
            DataType::Decimal128(_, scale) => DataType::Decimal128(38, scale + 4),
            DataType::Int64 => DataType::Decimal128(38, 16),
            _ => DataType::Float64,
        },
    };
    Some(AggregateCall {
        function,
        argument: None,
        filter: None,
        input_type: Some(input.clone()),
        output_type,
    })
}

fn calls() -> Vec<AggregateCall> {
    use AggregateFunction::*;
    types()
        .iter()
        .flat_map(|input| {
            [Count, CountDistinct, Sum, Avg, Min, Max]
                .into_iter()
                .filter_map(|function| call(function, input))
        })
        .collect()
}

/// Rows of one batch: slot, value, filter.
type Rows = Vec<(u8, Option<i8>, bool)>;

fn feed(state: &mut dyn AggregateState, call: &AggregateCall, rows: &Rows) {
    let values: Vec<_> = rows.iter().map(|(_, value, _)| *value).collect();
    let values = column(call.input_type.as_ref().unwrap(), &values);
    let slots: Vec<u32> = rows.iter().map(|(slot, _, _)| u32::from(*slot)).collect();
    let filter: BooleanBuffer = rows.iter().map(|(_, _, keep)| *keep).collect();
    let counted = counted(Some(&values), Some(&filter));
    let input = Input {
        values: Some(&values),
        counted: counted.as_ref(),
    };
    state.update(&slots, input).unwrap();
}

fn fresh(call: &AggregateCall) -> Box<dyn AggregateState> {
    let mut state = state_of(call).unwrap();
    state.resize(SLOTS);
    state
}

fn results(state: &dyn AggregateState) -> ArrayRef {
    let slots: Vec<u32> = (0..SLOTS as u32).collect();
    state.evaluate(&slots).unwrap()
}

/// A copy by way of what is saved. `parts` keeps what earlier saves have written, as the table would.
fn restored(
    state: &mut dyn AggregateState,
    call: &AggregateCall,
    parts: &mut [Vec<Option<Vec<u8>>>],
) -> Box<dyn AggregateState> {
    let mut copy = fresh(call);
    for (slot, parts) in parts.iter_mut().enumerate() {
        state.save_parts(slot, &mut |part, bytes| {
            let part = part as usize;
            parts.resize(parts.len().max(part + 1), None);
            parts[part] = bytes.map(<[u8]>::to_vec);
        });
        let mut bytes = Vec::new();
        state.save(slot, &mut bytes);
        let mut input = Reader::new(&bytes);
        let count = copy.load(slot, &mut input).unwrap();
        input.expect_end().unwrap();
        assert_eq!(count, state.parts(slot));
        assert!(
            parts.iter().skip(count as usize).all(Option::is_none),
            "no part is left behind"
        );
        for part in &parts[..count as usize] {
            copy.load_part(slot, part.as_deref().unwrap()).unwrap();
        }
        assert_eq!(copy.parts(slot), count);
    }
    copy
}

/// The result for one slot by going through its values one by one.
fn expected(call: &AggregateCall, values: &[i8]) -> ArrayRef {
    let options: Vec<_> = values.iter().map(|value| Some(*value)).collect();
    let column = column(call.input_type.as_ref().unwrap(), &options);
    let none = || new_null_array(&call.output_type, 1);
    let sorted = |last: bool| {
        if values.is_empty() {
            return none();
        }
        let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())]).unwrap();
        let rows = converter.convert_columns(&[Arc::clone(&column)]).unwrap();
        let mut order: Vec<_> = (0..values.len()).collect();
        order.sort_by_key(|row| rows.row(*row));
        let row = if last { order[order.len() - 1] } else { order[0] };
        column.slice(row, 1)
    };
    let unsigned = matches!(call.input_type, Some(DataType::UInt32 | DataType::UInt64));
    let shift = if unsigned { 128 } else { 0 };
    let sum: i128 = values.iter().map(|value| i128::from(*value) + shift).sum();
    let number = |exact: i128| -> ArrayRef {
        match &call.output_type {
            // Values of decimal columns are whole numbers.
            DataType::Decimal128(precision, scale) => Arc::new(
                Decimal128Array::from(vec![exact * 10i128.pow(u32::from(scale.cast_unsigned()))])
                    .with_precision_and_scale(*precision, *scale)
                    .unwrap(),
            ),
            other => {
                let wide: ArrayRef = Arc::new(Int64Array::from(vec![exact as i64]));
                cast(&wide, other).unwrap()
            }
        }
    };
    match call.function {
        AggregateFunction::Count => Arc::new(Int64Array::from(vec![values.len() as i64])),
        AggregateFunction::CountDistinct => {
            let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())]).unwrap();
            let rows = converter.convert_columns(&[Arc::clone(&column)]).unwrap();
            let distinct: std::collections::HashSet<_> = (0..values.len()).map(|row| rows.row(row).owned()).collect();
            Arc::new(Int64Array::from(vec![distinct.len() as i64]))
        }
        AggregateFunction::Min => sorted(false),
        AggregateFunction::Max => sorted(true),
        AggregateFunction::Sum | AggregateFunction::Avg if values.is_empty() => none(),
        AggregateFunction::Sum => number(sum),
        AggregateFunction::Avg => match &call.output_type {
            DataType::Decimal128(precision, scale) => {
                let count = values.len() as i128;
                let scaled = sum * 10i128.pow(u32::from(scale.cast_unsigned()));
                // Half away from zero.
                let rounded = (2 * scaled.abs() + count) / (2 * count) * scaled.signum();
                let array = Decimal128Array::from(vec![rounded]);
                Arc::new(array.with_precision_and_scale(*precision, *scale).unwrap())
            }
            _ => Arc::new(Float64Array::from(vec![sum as f64 / values.len() as f64])),
        },
    }
}

fn rows() -> impl Strategy<Value = Rows> {
    let row = (
        0..SLOTS as u8,
        proptest::option::weighted(0.8, any::<i8>()),
        proptest::bool::weighted(0.8),
    );
    proptest::collection::vec(row, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn all_calls_equal_the_model_and_survive_snapshots(batches in proptest::collection::vec(rows(), 1..6)) {
        for call in calls() {
            let mut state = fresh(&call);
            let mut snapshotted = fresh(&call);
            let mut reopened = fresh(&call);
            let mut parts = [vec![Vec::new(); SLOTS], vec![Vec::new(); SLOTS]];
            for batch in &batches {
                feed(state.as_mut(), &call, batch);
                feed(snapshotted.as_mut(), &call, batch);
                restored(snapshotted.as_mut(), &call, &mut parts[0]);
                feed(reopened.as_mut(), &call, batch);
                reopened = restored(reopened.as_mut(), &call, &mut parts[1]);
            }
            let result = results(state.as_ref());
            prop_assert_eq!(result.data_type(), &call.output_type, "{:?}", call);
            prop_assert_eq!(&result, &results(snapshotted.as_ref()), "{:?}", call);
            prop_assert_eq!(&result, &results(reopened.as_ref()), "{:?}", call);
            for slot in 0..SLOTS {
                let values: Vec<i8> = batches.iter().flatten()
                    .filter(|(at, _, keep)| usize::from(*at) == slot && *keep)
                    .filter_map(|(_, value, _)| *value)
                    .collect();
                prop_assert_eq!(&result.slice(slot, 1), &expected(&call, &values), "{:?} of {:?}", call, values);
            }
        }
    }

    /// Merging groups gives what one group with all rows would have.
    #[test]
    fn merged_slots_hold_the_union(batch in rows()) {
        for call in calls() {
            let mut apart = fresh(&call);
            feed(apart.as_mut(), &call, &batch);
            for from in 1..SLOTS {
                apart.merge(0, from).unwrap();
            }
            let mut together = fresh(&call);
            let same: Rows = batch.iter().map(|(_, value, keep)| (0, *value, *keep)).collect();
            feed(together.as_mut(), &call, &same);
            prop_assert_eq!(&apart.evaluate(&[0]).unwrap(), &together.evaluate(&[0]).unwrap(), "{:?}", call);
            apart.reset(0);
            prop_assert_eq!(&apart.evaluate(&[0]).unwrap(), &fresh(&call).evaluate(&[0]).unwrap());
        }
    }
}

#[test]
fn sums_do_not_wrap() {
    let narrow = AggregateCall {
        output_type: DataType::Int64,
        ..call(AggregateFunction::Sum, &DataType::Int64).unwrap()
    };
    let mut state = fresh(&narrow);
    let values: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, 1]));
    let input = Input {
        values: Some(&values),
        counted: None,
    };
    state.update(&[0, 0], input).unwrap();
    assert!(matches!(state.evaluate(&[0]), Err(OperatorError::Overflow(_))));

    let wide = call(AggregateFunction::Sum, &DataType::Int64).unwrap();
    let mut state = fresh(&wide);
    state.update(&[0, 0], input).unwrap();
    let sum = state.evaluate(&[0]).unwrap();
    let sum = sum.as_primitive::<arrow::datatypes::Decimal128Type>().value(0);
    assert_eq!(sum, i128::from(i64::MAX) + 1);
}

#[test]
fn nan_is_the_largest_and_counts_once() {
    let values: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, -f64::NAN, -0.0, 0.0, 7.0]));
    let input = Input {
        values: Some(&values),
        counted: None,
    };
    let of = |function| {
        let call = call(function, &DataType::Float64).unwrap();
        let mut state = fresh(&call);
        state.update(&[0; 5], input).unwrap();
        state.evaluate(&[0]).unwrap()
    };
    let max = of(AggregateFunction::Max);
    assert!(max.as_primitive::<arrow::datatypes::Float64Type>().value(0).is_nan());
    let min = of(AggregateFunction::Min);
    assert_eq!(min.as_primitive::<arrow::datatypes::Float64Type>().value(0), 0.0);
    let distinct = of(AggregateFunction::CountDistinct);
    assert_eq!(distinct.as_primitive::<arrow::datatypes::Int64Type>().value(0), 3);
}

#[test]
fn large_sets_are_saved_in_few_parts_and_each_value_few_times() {
    let call = call(AggregateFunction::CountDistinct, &DataType::Int64).unwrap();
    let mut state = fresh(&call);
    let (mut written, mut parts) = (0, std::collections::BTreeMap::new());
    for epoch in 0..500i64 {
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values((epoch * 20)..(epoch * 20 + 20)));
        let input = Input {
            values: Some(&values),
            counted: None,
        };
        state.update(&[0; 20], input).unwrap();
        state.save_parts(0, &mut |part, bytes| {
            written += bytes.map_or(0, <[u8]>::len);
            match bytes {
                Some(bytes) => parts.insert(part, bytes.len()),
                None => parts.remove(&part),
            };
        });
    }
    assert_eq!(parts.values().sum::<usize>(), 10_000 * 8);
    assert!(parts.len() < 20, "{parts:?}");
    assert!(written < 10_000 * 8 * 12, "{written} bytes were written");
    assert!(parts.values().all(|bytes| *bytes <= 32 << 10));
}
