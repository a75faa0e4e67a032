//! Values of a set, in order of arrival.

use std::ops::Range;

use protocol::codec::{DecodeError, Reader};

/// Values in order of arrival.
pub(in crate::operators::aggregate) trait ValueList: Default + Send {
    /// A value, borrowed.
    type Value<'a>: Copy + std::hash::Hash;
    /// Number of values.
    fn len(&self) -> usize;
    /// The value at an index.
    fn at(&self, index: usize) -> Self::Value<'_>;
    /// True when the value at an index is this one.
    fn is(&self, index: usize, value: Self::Value<'_>) -> bool;
    /// Appends a value.
    fn push(&mut self, value: Self::Value<'_>);
    /// Bytes that a run of values takes in a part.
    fn saved_bytes(&self, run: Range<usize>) -> usize;
    /// Appends a run of values.
    fn save(&self, run: Range<usize>, out: &mut Vec<u8>);
    /// Calls `each` with the values that [`save`](Self::save) wrote.
    fn load(input: &mut Reader<'_>, each: impl FnMut(Self::Value<'_>)) -> Result<(), DecodeError>;
    /// Memory held.
    fn memory_bytes(&self) -> usize;
}

/// Values of up to 64 bits.
#[derive(Default)]
pub(in crate::operators::aggregate) struct Numbers(Vec<i64>);

impl ValueList for Numbers {
    type Value<'a> = i64;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn at(&self, index: usize) -> i64 {
        self.0[index]
    }

    fn is(&self, index: usize, value: i64) -> bool {
        self.0[index] == value
    }

    fn push(&mut self, value: i64) {
        self.0.push(value);
    }

    fn saved_bytes(&self, run: Range<usize>) -> usize {
        run.len() * size_of::<i64>()
    }

    fn save(&self, run: Range<usize>, out: &mut Vec<u8>) {
        for value in &self.0[run] {
            out.extend_from_slice(&value.to_be_bytes());
        }
    }

    fn load(input: &mut Reader<'_>, mut each: impl FnMut(i64)) -> Result<(), DecodeError> {
        while 0 < input.remaining() {
            each(input.i64()?);
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.0.capacity() * size_of::<i64>()
    }
}

/// Values as runs of bytes, one behind the other.
#[derive(Default)]
pub(in crate::operators::aggregate) struct Runs {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Runs {
    fn start(&self, index: usize) -> usize {
        match index {
            0 => 0,
            _ => self.ends[index - 1],
        }
    }
}

impl ValueList for Runs {
    type Value<'a> = &'a [u8];

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn at(&self, index: usize) -> &[u8] {
        &self.bytes[self.start(index)..self.ends[index]]
    }

    fn is(&self, index: usize, value: &[u8]) -> bool {
        self.at(index) == value
    }

    fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
    }

    fn saved_bytes(&self, run: Range<usize>) -> usize {
        self.start(run.end) - self.start(run.start) + run.len() * size_of::<u32>()
    }

    fn save(&self, run: Range<usize>, out: &mut Vec<u8>) {
        for index in run {
            let value = self.at(index);
            let length = u32::try_from(value.len()).expect("a value is below 4 GiB");
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(value);
        }
    }

    fn load(input: &mut Reader<'_>, mut each: impl FnMut(&[u8])) -> Result<(), DecodeError> {
        while 0 < input.remaining() {
            let length = input.i32()?;
            let length = usize::try_from(length).map_err(|_| DecodeError::NegativeLength {
                length: i64::from(length),
            })?;
            each(input.take(length)?);
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }
}
