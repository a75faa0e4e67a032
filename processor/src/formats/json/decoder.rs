//! Records with JSON values into Arrow columns.
//!
//! A value is walked once. For each wanted field the walk notes where its text lies; of two fields with one name the
//! later note stays. Only then are the noted texts converted, and only when all are good is the row appended.

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use hashbrown::HashMap;
use protocol::records::Record;
use sonic_rs::{JsonValueTrait, to_object_iter};

use super::depth::too_deep;
use super::scalar::{Converter, RawValue};
use crate::formats::columns::{Cell, ColumnBuilder};
use crate::formats::event_time::EventTimeCheck;
use crate::formats::{BadRecord, Decoded, RecordOrigin, raw};
use crate::plan::graph::{ErrorPolicy, SourceColumn, SourceFormat, SourcePlan};

/// Rows that a batch is expected to have; builders start with room for them.
const EXPECTED_ROWS: usize = 4096;

/// Decodes the records of one source, JSON or raw. See [`crate::formats::SourceDecoder`].
pub struct JsonDecoder {
    schema: SchemaRef,
    columns: Vec<SourceColumn>,
    builders: Vec<ColumnBuilder>,
    fields: Option<Fields>,
    cells: Vec<Cell>,
    scratch: Vec<u8>,
    rows: usize,
    event_time: usize,
    event_time_check: EventTimeCheck,
    repair: bool,
    wants_headers: bool,
}

impl JsonDecoder {
    /// A decoder for the columns, format and error policy of `plan`.
    pub fn new(plan: &SourcePlan) -> Result<Self, ArrowError> {
        let builders = plan
            .schema
            .fields()
            .iter()
            .map(|field| ColumnBuilder::new(field.data_type(), EXPECTED_ROWS))
            .collect::<Result<Vec<_>, _>>()?;
        let fields = match &plan.format {
            SourceFormat::Json { timestamp_unit } => Some(Fields::new(plan, |data_type| {
                Converter::new(data_type, *timestamp_unit)
            })),
            SourceFormat::View => Some(Fields::new(plan, Converter::of_view)),
            SourceFormat::Raw => None,
        };
        let event_time_check = match &plan.format {
            SourceFormat::View => EventTimeCheck::of_view(),
            SourceFormat::Json { .. } | SourceFormat::Raw => EventTimeCheck::new(plan.max_future),
        };
        Ok(Self {
            schema: plan.schema.clone(),
            columns: plan.columns.clone(),
            cells: vec![Cell::Null; builders.len()],
            builders,
            fields,
            scratch: Vec::new(),
            rows: 0,
            event_time: plan.event_time,
            event_time_check,
            repair: plan.on_error == ErrorPolicy::Null,
            wants_headers: plan.columns.contains(&SourceColumn::Headers),
        })
    }

    /// Decodes one record; see [`crate::formats::SourceDecoder::push`].
    pub fn push(&mut self, origin: RecordOrigin, record: &Record<'_>) -> Result<Decoded, BadRecord> {
        if origin.batch_max_timestamp < record.timestamp {
            return Err(BadRecord::new("the record's timestamp lies above its batch's largest"));
        }
        if self.wants_headers && record.headers.iter().any(|header| header.is_err()) {
            return Err(BadRecord::new("the record's headers cannot be decoded"));
        }
        let mut repaired = false;
        let value = record.value.unwrap_or_default();
        if let Some(fields) = &mut self.fields {
            self.scratch.clear();
            repaired = fields.read(record.value, self.repair, &mut self.cells, &mut self.scratch)?;
        }
        self.event_time_check
            .check(self.event_time_us(record), record.timestamp)?;
        self.append(origin, record, value);
        Ok(if repaired { Decoded::Repaired } else { Decoded::Row })
    }

    /// Rows since the last [`finish`](Self::finish).
    pub fn len(&self) -> usize {
        self.rows
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Takes the rows as a batch.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let columns = self.builders.iter_mut().map(ColumnBuilder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        self.rows = 0;
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
    }

    fn event_time_us(&self, record: &Record<'_>) -> Option<i64> {
        match self.columns.get(self.event_time)? {
            SourceColumn::Field { .. } => match self.cells[self.event_time] {
                Cell::Integer(us) => Some(us),
                _ => None,
            },
            _ => raw::timestamp_us(record.timestamp),
        }
    }

    fn append(&mut self, origin: RecordOrigin, record: &Record<'_>, value: &[u8]) {
        for (index, (builder, column)) in self.builders.iter_mut().zip(&self.columns).enumerate() {
            match column {
                SourceColumn::Field { .. } => builder.append(self.cells[index], value, &self.scratch),
                metadata => raw::append(builder, metadata, origin, record),
            }
        }
        self.rows += 1;
    }
}

/// The fields that a source wants of each JSON object.
struct Fields {
    wanted: Vec<Field>,
    by_name: HashMap<Box<str>, usize, ahash::RandomState>,
    /// What stood at each place of the last object: producers write their fields in one order, so that looking here
    /// first spares the hash.
    order: Vec<(Box<str>, Option<usize>)>,
    /// Per wanted field: where its text lies in the record at hand, and nothing where it is missing.
    found: Vec<Option<(usize, usize)>>,
}

struct Field {
    name: Box<str>,
    column: usize,
    not_null: bool,
    converter: Converter,
}

impl Fields {
    fn new(plan: &SourcePlan, converter: impl Fn(DataType) -> Converter) -> Self {
        let mut wanted = Vec::new();
        for (column, (source, field)) in plan.columns.iter().zip(plan.schema.fields()).enumerate() {
            let SourceColumn::Field { name, not_null } = source else {
                continue;
            };
            wanted.push(Field {
                name: name.as_str().into(),
                column,
                not_null: *not_null,
                converter: converter(DataType::clone(field.data_type())),
            });
        }
        Self {
            by_name: wanted.iter().enumerate().map(|(at, f)| (f.name.clone(), at)).collect(),
            order: Vec::new(),
            found: vec![None; wanted.len()],
            wanted,
        }
    }

    /// Fills the cells of the wanted fields from one value. True when a bad field was made NULL.
    fn read(
        &mut self,
        value: Option<&[u8]>,
        repair: bool,
        cells: &mut [Cell],
        scratch: &mut Vec<u8>,
    ) -> Result<bool, BadRecord> {
        let value = value.ok_or_else(|| BadRecord::new("the value is null"))?;
        let text = std::str::from_utf8(value).map_err(|_| BadRecord::new("the value is not UTF-8"))?;
        if too_deep(value) {
            return Err(BadRecord::new("the JSON value nests too deeply"));
        }
        self.locate(text)?;
        self.convert(text, repair, cells, scratch)
    }

    /// Walks the object and notes where the wanted fields lie.
    fn locate(&mut self, text: &str) -> Result<(), BadRecord> {
        self.found.fill(None);
        let mut end = 0;
        for (place, entry) in to_object_iter(text).enumerate() {
            let (name, value) = entry.map_err(|_| not_an_object())?;
            let raw = value.as_raw_str();
            let start = offset_in(text, raw);
            end = start + raw.len();
            if let Some(field) = self.field_at(place, &name) {
                self.found[field] = (!value.is_null()).then_some((start, end));
            }
        }
        expect_end(&text.as_bytes()[end..], end == 0)
    }

    fn field_at(&mut self, place: usize, name: &str) -> Option<usize> {
        /// Objects with more fields than this are looked up by hash alone from there on.
        const PLACES_MAX: usize = 256;
        if let Some((known, field)) = self.order.get(place)
            && **known == *name
        {
            return *field;
        }
        let field = self.by_name.get(name).copied();
        if place < self.order.len() {
            self.order[place] = (name.into(), field);
        } else if place == self.order.len() && place < PLACES_MAX {
            self.order.push((name.into(), field));
        }
        field
    }

    fn convert(&self, text: &str, repair: bool, cells: &mut [Cell], scratch: &mut Vec<u8>) -> Result<bool, BadRecord> {
        let mut repaired = false;
        for (field, found) in self.wanted.iter().zip(&self.found) {
            let cell = match found {
                None => Cell::Null,
                Some((start, end)) => {
                    let raw = RawValue {
                        text: &text[*start..*end],
                        start: *start,
                    };
                    match field.converter.convert(raw, scratch) {
                        Ok(cell) => cell,
                        Err(_) if repair => {
                            repaired = true;
                            Cell::Null
                        }
                        Err(reason) => {
                            return Err(BadRecord::new(format!("column \"{}\": {reason}", field.name)));
                        }
                    }
                }
            };
            if field.not_null && cell == Cell::Null {
                return Err(BadRecord::new(format!(
                    "column \"{}\" is NULL but declared NOT NULL",
                    field.name
                )));
            }
            cells[field.column] = cell;
        }
        Ok(repaired)
    }
}

fn not_an_object() -> BadRecord {
    BadRecord::new("the value is not a JSON object")
}

/// Where `part`, a slice of `whole`, begins in it.
fn offset_in(whole: &str, part: &str) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}

/// The walk ends at the closing brace and looks no further: what follows must be that brace and white space alone.
fn expect_end(rest: &[u8], empty_object: bool) -> Result<(), BadRecord> {
    let mut open = usize::from(empty_object);
    let mut close = 1;
    for byte in rest {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'{' if 0 < open => open -= 1,
            b'}' if 0 < close && open == 0 => close -= 1,
            _ => return Err(not_an_object()),
        }
    }
    if open == 0 && close == 0 {
        Ok(())
    } else {
        Err(not_an_object())
    }
}
