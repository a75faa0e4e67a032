//! Partial aggregates of many groups, column by column. Own code rather than DataFusion's accumulators, whose state
//! cannot be read without being consumed.

use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::DataType;
use protocol::codec::{DecodeError, Reader};

use super::count::CountState;
use super::distinct::DistinctState;
use super::extreme::{ByteExtremeState, ExtremeState};
use super::physical::Family;
use super::total::{DoubleTotalState, ExactTotalState};
use crate::functions::aggregate::TotalKind;
use crate::operators::OperatorError;
use crate::plan::graph::{AggregateCall, AggregateFunction};

/// The argument of an aggregate for one batch.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    /// Its values; `None` for `count(*)`.
    pub(super) values: Option<&'a ArrayRef>,
    /// The rows that count, see [`super::physical::counted`].
    pub(super) counted: Option<&'a BooleanBuffer>,
}

/// Writes a part of a group's state that has a table entry of its own; `None` deletes it.
pub(super) type PartWriter<'a> = dyn FnMut(u32, Option<&[u8]>) + 'a;

/// The partial aggregates of one aggregate call, for all groups. Groups are slots; a slot is reset before it is used
/// again. Reading ([`save`](Self::save), [`evaluate`](Self::evaluate)) never changes what a group holds.
pub(super) trait AggregateState: Send {
    /// Makes room for slots below `slots`; new ones hold nothing.
    fn resize(&mut self, slots: usize);

    /// Empties a slot.
    fn reset(&mut self, slot: usize);

    /// Takes a batch: row `i` belongs to `slots[i]`.
    fn update(&mut self, slots: &[u32], input: Input<'_>) -> Result<(), OperatorError>;

    /// Adds what `from` holds to `into`.
    fn merge(&mut self, into: usize, from: usize) -> Result<(), OperatorError>;

    /// Results of slots, in the call's output type.
    fn evaluate(&self, slots: &[u32]) -> Result<ArrayRef, OperatorError>;

    /// Appends what a slot holds, parts left out.
    fn save(&self, slot: usize, out: &mut Vec<u8>);

    /// Reads into an empty slot what [`save`](Self::save) wrote, and tells how many parts belong to it.
    fn load(&mut self, slot: usize, input: &mut Reader<'_>) -> Result<u32, DecodeError>;

    /// Writes the parts that have changed since the last call. To be called before [`save`](Self::save).
    fn save_parts(&mut self, _slot: usize, _write: &mut PartWriter<'_>) {}

    /// Number of parts that a slot has in the table; part numbers are below it.
    fn parts(&self, _slot: usize) -> u32 {
        0
    }

    /// Reads a part, in order of their numbers, after [`load`](Self::load).
    fn load_part(&mut self, _slot: usize, _bytes: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }

    /// Memory that so many groups hold, in bytes, estimated.
    fn memory_bytes(&self, groups: usize) -> usize;
}

/// State for an aggregate call; refuses what the planner should not have let through.
pub(super) fn state_of(call: &AggregateCall) -> Result<Box<dyn AggregateState>, OperatorError> {
    let output = &call.output_type;
    let input = match (&call.function, &call.input_type) {
        (AggregateFunction::Count, _) => return Ok(Box::new(CountState::new(output.clone()))),
        (_, Some(input)) => input,
        (function, None) => return Err(unsupported(*function, &DataType::Null)),
    };
    let family = Family::of(input);
    let is_number = input.is_numeric();
    Ok(match call.function {
        AggregateFunction::Count => Box::new(CountState::new(output.clone())),
        AggregateFunction::CountDistinct => Box::new(DistinctState::new(input, output.clone())?),
        AggregateFunction::Sum | AggregateFunction::Avg if is_number => {
            let kind = match call.function {
                AggregateFunction::Sum => TotalKind::Sum,
                _ => TotalKind::Average,
            };
            match family {
                Family::Double => Box::new(DoubleTotalState::new(kind, output.clone())),
                Family::Integer | Family::Decimal => Box::new(ExactTotalState::new(kind, input, output.clone())),
                Family::Bytes => return Err(unsupported(call.function, input)),
            }
        }
        AggregateFunction::Sum | AggregateFunction::Avg => {
            return Err(unsupported(call.function, input));
        }
        AggregateFunction::Min | AggregateFunction::Max => {
            let largest = call.function == AggregateFunction::Max;
            match family {
                Family::Integer => Box::new(ExtremeState::<i64>::new(largest, input, output)),
                Family::Double => Box::new(ExtremeState::<f64>::new(largest, input, output)),
                Family::Decimal => Box::new(ExtremeState::<i128>::new(largest, input, output)),
                Family::Bytes => Box::new(ByteExtremeState::new(largest, input, output)?),
            }
        }
    })
}

fn unsupported(function: AggregateFunction, input: &DataType) -> OperatorError {
    OperatorError::Arrow(arrow::error::ArrowError::NotYetImplemented(format!(
        "{function:?} of {input}"
    )))
}
