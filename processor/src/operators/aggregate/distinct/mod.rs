//! `count(DISTINCT x)`: a set of values per group.
//!
//! A set is kept in order of arrival, and saved in parts that are runs of that order, so that an epoch writes only what
//! is new. A new part swallows the one before it while that is not much larger, up to a bound; so the number of parts
//! stays logarithmic below the bound, and no value is written more than a few times.

mod values;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;
use hashbrown::HashTable;
use protocol::codec::{DecodeError, Reader};

use self::values::{Numbers, Runs, ValueList};
use super::physical::{ByteForm, Family, canonical_floats, doubles, for_each_counted, integers};
use super::state::{AggregateState, Input, PartWriter};
use crate::operators::OperatorError;
use crate::operators::expression::conform;

/// A part that has reached this size is never written again.
const PART_BYTES: usize = 32 << 10;

/// Sets of distinct values, per group.
pub(super) enum DistinctState {
    /// Values of up to 64 bits.
    Numbers(Sets<Numbers>, DataType),
    /// All others, as row bytes.
    Bytes(Sets<Runs>, ByteForm, DataType),
}

impl DistinctState {
    pub(super) fn new(input: &DataType, output: DataType) -> Result<Self, ArrowError> {
        Ok(match Family::of(input) {
            Family::Integer | Family::Double => Self::Numbers(Sets::new(), output),
            Family::Decimal | Family::Bytes => Self::Bytes(Sets::new(), ByteForm::new(input)?, output),
        })
    }
}

/// Delegates to the sets of whichever form is held.
macro_rules! sets {
    ($state:expr, $sets:ident => $body:expr) => {
        match $state {
            DistinctState::Numbers($sets, _) => $body,
            DistinctState::Bytes($sets, _, _) => $body,
        }
    };
}

impl AggregateState for DistinctState {
    fn resize(&mut self, slots: usize) {
        sets!(self, sets => sets.resize(slots));
    }

    fn reset(&mut self, slot: usize) {
        sets!(self, sets => sets.reset(slot));
    }

    fn update(&mut self, slots: &[u32], input: Input<'_>) -> Result<(), OperatorError> {
        let values = input.values.expect("count(DISTINCT) has an argument");
        match self {
            Self::Numbers(sets, _) => sets.add_numbers(slots, input.counted, values)?,
            Self::Bytes(sets, form, _) => {
                let rows = form.rows(values)?;
                for_each_counted(slots, input.counted, |slot, row| {
                    sets.insert(slot, rows.row(row).data());
                });
            }
        }
        Ok(())
    }

    fn merge(&mut self, into: usize, from: usize) -> Result<(), OperatorError> {
        sets!(self, sets => sets.merge(into, from));
        Ok(())
    }

    fn evaluate(&self, slots: &[u32]) -> Result<ArrayRef, OperatorError> {
        let count = |slot: &u32| sets!(self, sets => sets.len(*slot as usize));
        let counts: Int64Array = slots.iter().map(|slot| i64::try_from(count(slot)).ok()).collect();
        let (Self::Numbers(_, output) | Self::Bytes(_, _, output)) = self;
        conform(Arc::new(counts), output).map_err(OperatorError::Result)
    }

    fn save(&self, slot: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.parts(slot).to_be_bytes());
    }

    fn load(&mut self, _slot: usize, input: &mut Reader<'_>) -> Result<u32, DecodeError> {
        Ok(input.i32()?.cast_unsigned())
    }

    fn save_parts(&mut self, slot: usize, write: &mut PartWriter<'_>) {
        sets!(self, sets => sets.save_parts(slot, write));
    }

    fn parts(&self, slot: usize) -> u32 {
        narrow(sets!(self, sets => sets.parts(slot)))
    }

    fn load_part(&mut self, slot: usize, bytes: &[u8]) -> Result<(), DecodeError> {
        sets!(self, sets => sets.load_part(slot, bytes))
    }

    fn memory_bytes(&self, groups: usize) -> usize {
        groups * size_of::<usize>() + sets!(self, sets => sets.bytes)
    }
}

/// One set per slot.
pub(super) struct Sets<L> {
    sets: Vec<Option<Box<Set<L>>>>,
    hasher: ahash::RandomState,
    bytes: usize,
}

#[derive(Default)]
struct Set<L> {
    values: L,
    index: HashTable<u32>,
    /// Index of the first value of each saved part.
    part_starts: Vec<u32>,
    /// Number of values in saved parts.
    saved: u32,
}

impl<L: ValueList> Sets<L> {
    fn new() -> Self {
        Self {
            sets: Vec::new(),
            // In memory only, so any seeds will do.
            hasher: ahash::RandomState::with_seeds(1, 2, 3, 4),
            bytes: 0,
        }
    }

    fn resize(&mut self, slots: usize) {
        let slots = slots.max(self.sets.len());
        self.sets.resize_with(slots, || None);
    }

    fn reset(&mut self, slot: usize) {
        self.bytes -= self.sets[slot].take().map_or(0, |set| set.memory_bytes());
    }

    fn len(&self, slot: usize) -> usize {
        self.sets[slot].as_ref().map_or(0, |set| set.values.len())
    }

    #[inline]
    fn insert(&mut self, slot: usize, value: L::Value<'_>) {
        let hash = self.hasher.hash_one(value);
        let set = self.sets[slot].get_or_insert_with(|| {
            self.bytes += size_of::<Set<L>>();
            Box::default()
        });
        if set.contains(hash, value) {
            return;
        }
        let before = set.memory_bytes();
        set.push(hash, value, &self.hasher);
        self.bytes += set.memory_bytes() - before;
    }

    fn merge(&mut self, into: usize, from: usize) {
        let Some(other) = self.sets[from].take() else {
            return;
        };
        for index in 0..other.values.len() {
            self.insert(into, other.values.at(index));
        }
        self.sets[from] = Some(other);
    }

    fn parts(&self, slot: usize) -> usize {
        self.sets[slot].as_ref().map_or(0, |set| set.part_starts.len())
    }

    fn save_parts(&mut self, slot: usize, write: &mut PartWriter<'_>) {
        if let Some(set) = &mut self.sets[slot] {
            set.save_parts(write);
        }
    }

    fn load_part(&mut self, slot: usize, bytes: &[u8]) -> Result<(), DecodeError> {
        let start = narrow(self.len(slot));
        let mut input = Reader::new(bytes);
        L::load(&mut input, |value| self.insert(slot, value))?;
        input.expect_end()?;
        if let Some(set) = &mut self.sets[slot] {
            set.part_starts.push(start);
            set.saved = narrow(set.values.len());
        }
        Ok(())
    }
}

impl Sets<Numbers> {
    fn add_numbers(
        &mut self,
        slots: &[u32],
        counted: Option<&BooleanBuffer>,
        values: &ArrayRef,
    ) -> Result<(), ArrowError> {
        if Family::of(values.data_type()) == Family::Integer {
            let values = integers(values)?;
            let values = values.values();
            for_each_counted(slots, counted, |slot, row| self.insert(slot, values[row]));
            return Ok(());
        }
        let values = canonical_floats(Arc::new(doubles(values)?))?;
        let values = values.as_primitive::<Float64Type>().values();
        for_each_counted(slots, counted, |slot, row| {
            self.insert(slot, values[row].to_bits().cast_signed());
        });
        Ok(())
    }
}

impl<L: ValueList> Set<L> {
    #[inline]
    fn contains(&self, hash: u64, value: L::Value<'_>) -> bool {
        let is_value = |at: &u32| self.values.is(*at as usize, value);
        self.index.find(hash, is_value).is_some()
    }

    fn push(&mut self, hash: u64, value: L::Value<'_>, hasher: &ahash::RandomState) {
        let at = narrow(self.values.len());
        self.values.push(value);
        let values = &self.values;
        self.index
            .insert_unique(hash, at, |at| hasher.hash_one(values.at(*at as usize)));
    }

    fn save_parts(&mut self, write: &mut PartWriter<'_>) {
        let count = self.values.len();
        let mut start = self.saved as usize;
        if start == count {
            return;
        }
        let old_parts = self.part_starts.len();
        while let Some(previous) = self.part_starts.last().map(|start| *start as usize) {
            let added = self.values.saved_bytes(start..count);
            let before = self.values.saved_bytes(previous..start);
            if PART_BYTES < before + added || 2 * added < before {
                break;
            }
            start = previous;
            self.part_starts.pop();
        }
        let mut part = Vec::new();
        while start < count {
            let end = self.part_end(start);
            part.clear();
            self.values.save(start..end, &mut part);
            write(narrow(self.part_starts.len()), Some(&part));
            self.part_starts.push(narrow(start));
            start = end;
        }
        for gone in self.part_starts.len()..old_parts {
            write(narrow(gone), None);
        }
        self.saved = narrow(count);
    }

    /// Where a part that begins at `start` ends: at the bound, behind at least one value.
    fn part_end(&self, start: usize) -> usize {
        let (mut low, mut high) = (start + 1, self.values.len());
        while low < high {
            let middle = (low + high).div_ceil(2);
            match self.values.saved_bytes(start..middle) <= PART_BYTES {
                true => low = middle,
                false => high = middle - 1,
            }
        }
        low
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.values.memory_bytes() + self.index.capacity() * (size_of::<u32>() + 1)
    }
}

/// Sets are indexed with 32 bits: four billion distinct values of one group do not fit memory.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).expect("sets are indexed with 32 bits")
}
