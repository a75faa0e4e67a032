//! Groups with their partial aggregates, in memory and in the state tables.

use std::collections::BTreeSet;

use arrow::array::{ArrayRef, RecordBatch};
use protocol::codec::{DecodeError, Reader as ByteReader};

use super::emission::EMIT_ROWS;
use super::group_slots::GroupSlots;
use super::input::{Evaluated, Reader};
use super::state::{AggregateState, state_of};
use crate::operators::{Context, OperatorError};
use crate::plan::graph::AggregatePlan;
use crate::state::key::{PREFIX_LEN, VIRTUAL_NODES, ordered_time, time_of_ordered, write_key};
use crate::state::{ScanEnd, StateError, StateStore, TableId, virtual_node};
use crate::time::EventTime;

/// Version of a group's entry.
const VERSION: u8 = 1;
/// Flag of a group's entry: it has changes that were not emitted.
const PENDING: u8 = 1;
/// Bytes of a group's entry among the changes of an epoch beside what the group itself takes.
const SAVED_OVERHEAD: usize = 64;
/// A group that is emitted and removed is an entry of three tables and a record, in a quarter of the memory for groups.
const EMITTED_SHARE: usize = 16;
/// Fewest groups that are emitted at once.
const EMIT_ROWS_MIN: usize = 64;
/// Entries that are copied at once while groups are read.
const SCAN_ENTRIES: usize = 4_096;

/// What both kinds of aggregation are made of.
pub struct Setup<'a> {
    /// The plan.
    pub plan: &'a AggregatePlan,
    /// True when changes are emitted before their window closes.
    pub on_update: bool,
    /// Bytes of groups that are read into memory at the start; the rest is read when it is needed.
    pub resident_bytes: usize,
}

/// Panes of the rows of a batch.
#[derive(Clone, Copy)]
pub(super) enum Panes<'a> {
    /// All rows lie in one.
    One(EventTime),
    /// One per row.
    Each(&'a [EventTime]),
}

/// Groups with their partial aggregates.
pub struct Grouping {
    pub(super) reader: Reader,
    pub(super) states: Vec<Box<dyn AggregateState>>,
    pub(super) groups: GroupSlots,
    /// Panes of which some groups lie in the state table only.
    spilled: BTreeSet<EventTime>,
    resident_bytes: usize,
    slots: Vec<u32>,
    value: Vec<u8>,
}

impl Grouping {
    /// No groups yet.
    pub(super) fn new(setup: &Setup<'_>) -> Result<Self, OperatorError> {
        let plan = setup.plan;
        let first_key = plan.schema.fields().len() - plan.keys.len() - plan.aggregates.len();
        let key_types = plan.schema.fields()[first_key..first_key + plan.keys.len()]
            .iter()
            .map(|field| field.data_type().clone())
            .collect();
        Ok(Self {
            reader: Reader::new(plan.keys.clone(), key_types, &plan.aggregates)?,
            states: plan.aggregates.iter().map(state_of).collect::<Result<_, _>>()?,
            groups: GroupSlots::new(setup.on_update),
            spilled: BTreeSet::new(),
            resident_bytes: setup.resident_bytes,
            slots: Vec::new(),
            value: Vec::new(),
        })
    }

    /// Reads the groups of the last committed epoch.
    pub(super) fn open(&mut self, state: &mut StateStore) -> Result<(), OperatorError> {
        let prefix = [TableId::GROUPS.number()];
        let mut after = None;
        loop {
            let (entries, end) = read_entries(state, &prefix, after.as_deref())?;
            for (key, value) in &entries {
                let (pane, key) = split_key(key)?;
                // What has yet to be emitted must be found by the next tick.
                let is_pending = read_header(&mut ByteReader::new(value))?;
                match is_pending || self.memory_bytes() < self.resident_bytes {
                    true => {
                        self.load(pane, key, value, state)?;
                    }
                    false => {
                        self.spilled.insert(pane);
                    }
                }
            }
            match end {
                ScanEnd::Complete => return Ok(()),
                ScanEnd::More(last) => after = Some(last),
            }
        }
    }

    /// Evaluates what the aggregates need of a batch; changes nothing.
    pub(super) fn evaluate(&self, rows: &RecordBatch, context: &Context<'_>) -> Result<Evaluated, OperatorError> {
        self.reader.evaluate(rows).map_err(|error| context.evaluation(error))
    }

    /// Adds the rows of a batch to their groups.
    pub(super) fn add(
        &mut self,
        input: &Evaluated,
        panes: Panes<'_>,
        state: &mut StateStore,
    ) -> Result<(), OperatorError> {
        let mut slots = std::mem::take(&mut self.slots);
        slots.clear();
        self.resolve(input, panes, state, &mut slots)?;
        for (call, aggregate) in self.states.iter_mut().enumerate() {
            aggregate.update(&slots, input.argument(call))?;
        }
        self.slots = slots;
        Ok(())
    }

    /// Results of slots, one column per call.
    pub(super) fn results(&self, slots: &[u32]) -> Result<Vec<ArrayRef>, OperatorError> {
        self.states.iter().map(|aggregate| aggregate.evaluate(slots)).collect()
    }

    /// Makes sure that all groups of a pane are in memory.
    pub(super) fn load_pane(&mut self, pane: EventTime, state: &mut StateStore) -> Result<(), OperatorError> {
        if !self.spilled.remove(&pane) {
            return Ok(());
        }
        let mut prefix = Vec::new();
        for node in 0..VIRTUAL_NODES {
            write_key(&mut prefix, TableId::GROUPS, node, &[&ordered_time(pane)]);
            let mut after = None;
            loop {
                let (entries, end) = read_entries(state, &prefix, after.as_deref())?;
                for (key, value) in &entries {
                    let (pane, key) = split_key(key)?;
                    let hash = self.groups.hash(pane, key);
                    if self.groups.find(hash, pane, key).is_none() {
                        self.load(pane, key, value, state)?;
                    }
                }
                match end {
                    ScanEnd::Complete => break,
                    ScanEnd::More(last) => after = Some(last),
                }
            }
        }
        Ok(())
    }

    /// The slot of a group, read back if it lies in the state table only.
    pub(super) fn find(
        &mut self,
        pane: EventTime,
        key: &[u8],
        state: &mut StateStore,
    ) -> Result<Option<u32>, OperatorError> {
        let hash = self.groups.hash(pane, key);
        match self.groups.find(hash, pane, key) {
            Some(slot) => Ok(Some(slot)),
            None => self.find_spilled(pane, key, state),
        }
    }

    /// The first pane at or after a time that has groups, in memory or not.
    pub(super) fn first_pane_from(&self, time: EventTime) -> Option<EventTime> {
        let spilled = self.spilled.range(time..).next().copied();
        match (self.groups.first_pane_from(time), spilled) {
            (Some(memory), Some(disk)) => Some(memory.min(disk)),
            (memory, disk) => memory.or(disk),
        }
    }

    /// Takes an empty slot for a result that is put together from several groups.
    pub(super) fn borrow_slot(&mut self) -> u32 {
        let slot = self.groups.borrow_slot();
        let slots = self.groups.slots();
        for aggregate in &mut self.states {
            aggregate.resize(slots);
        }
        slot
    }

    /// Adds a group's partial aggregates to a slot.
    pub(super) fn merge(&mut self, into: usize, from: usize) -> Result<(), OperatorError> {
        self.states
            .iter_mut()
            .try_for_each(|aggregate| aggregate.merge(into, from))
    }

    /// Empties a borrowed slot and gives it back.
    pub(super) fn return_slot(&mut self, slot: u32) {
        self.empty(slot);
        self.groups.return_slot(slot);
    }

    /// Forgets a group for good.
    pub(super) fn remove(&mut self, slot: u32, state: &mut StateStore) {
        let pane = ordered_time(self.groups.pane(slot));
        let key = self.groups.key(slot);
        let node = virtual_node(key);
        if self.groups.is_saved(slot) {
            state.set(TableId::GROUPS, node, &[&pane, key], None);
        }
        for (call, aggregate) in self.states.iter().enumerate() {
            for part in 0..aggregate.parts(slot as usize) {
                let suffix = part_suffix(call, part);
                state.set(TableId::DISTINCT, node, &[&pane, key, &suffix], None);
            }
        }
        self.empty(slot);
        self.groups.remove(slot);
    }

    /// Writes what changed since the last call into the state tables.
    pub(super) fn save(&mut self, state: &mut StateStore) {
        for slot in self.groups.take_changed() {
            let pane = ordered_time(self.groups.pane(slot));
            let key = self.groups.key(slot);
            let node = virtual_node(key);
            self.value.clear();
            self.value.push(VERSION);
            self.value.push(u8::from(self.groups.is_pending(slot)) * PENDING);
            for (call, aggregate) in self.states.iter_mut().enumerate() {
                aggregate.save_parts(slot as usize, &mut |part, bytes| {
                    let suffix = part_suffix(call, part);
                    state.set(TableId::DISTINCT, node, &[&pane, key, &suffix], bytes);
                });
                aggregate.save(slot as usize, &mut self.value);
            }
            state.set(TableId::GROUPS, node, &[&pane, key], Some(&self.value));
            self.groups.set_saved(slot);
        }
    }

    /// When more than `target` bytes are held, lets go of the groups that were used longest ago, until a quarter is
    /// free again: finding them costs a walk over all groups. Right after [`save`](Self::save).
    pub(super) fn shrink(&mut self, target: usize) {
        let mut held = self.memory_bytes();
        if held <= target {
            return;
        }
        let target = target / 4 * 3;
        for slot in self.groups.coldest() {
            self.spilled.insert(self.groups.pane(slot));
            self.empty(slot);
            self.groups.remove(slot);
            held = self.memory_bytes();
            if held <= target {
                return;
            }
        }
    }

    /// Memory held, in bytes, estimated.
    pub(super) fn memory_bytes(&self) -> usize {
        let groups = self.groups.len();
        let states = self.states.iter().map(|aggregate| aggregate.memory_bytes(groups));
        self.groups.memory_bytes() + states.sum::<usize>()
    }

    /// Bytes that the next [`save`](Self::save) will write, estimated.
    pub(super) fn unsaved_bytes(&self) -> usize {
        self.groups.changed() * (self.groups.bytes_each() + SAVED_OVERHEAD)
    }

    /// Groups that may be emitted and removed at once: what that changes is held until it is committed.
    pub(super) fn emit_rows(&self) -> usize {
        let fitting = self.resident_bytes / EMITTED_SHARE / (self.groups.bytes_each() + SAVED_OVERHEAD);
        fitting.clamp(EMIT_ROWS_MIN, EMIT_ROWS)
    }

    fn resolve(
        &mut self,
        input: &Evaluated,
        panes: Panes<'_>,
        state: &mut StateStore,
        slots: &mut Vec<u32>,
    ) -> Result<(), OperatorError> {
        if let (true, Panes::One(pane)) = (input.is_keyless(), panes) {
            let slot = self.find_or_insert(pane, &[], state)?;
            slots.resize(input.rows(), slot);
            return Ok(());
        }
        slots.reserve(input.rows());
        for row in 0..input.rows() {
            let pane = match panes {
                Panes::One(pane) => pane,
                Panes::Each(panes) => panes[row],
            };
            slots.push(self.find_or_insert(pane, input.key(row), state)?);
        }
        Ok(())
    }

    #[inline]
    fn find_or_insert(&mut self, pane: EventTime, key: &[u8], state: &mut StateStore) -> Result<u32, OperatorError> {
        let hash = self.groups.hash(pane, key);
        let slot = match self.groups.find(hash, pane, key) {
            Some(slot) => slot,
            None => match self.find_spilled(pane, key, state)? {
                Some(slot) => slot,
                None => self.insert(hash, pane, key),
            },
        };
        self.groups.touch(slot);
        Ok(slot)
    }

    fn find_spilled(
        &mut self,
        pane: EventTime,
        key: &[u8],
        state: &mut StateStore,
    ) -> Result<Option<u32>, OperatorError> {
        if !self.spilled.contains(&pane) {
            return Ok(None);
        }
        let parts: [&[u8]; 2] = [&ordered_time(pane), key];
        let value = state.get(TableId::GROUPS, virtual_node(key), &parts, |value| {
            value.map(<[u8]>::to_vec)
        })?;
        value.map(|value| self.load(pane, key, &value, state)).transpose()
    }

    fn insert(&mut self, hash: u64, pane: EventTime, key: &[u8]) -> u32 {
        let slot = self.groups.insert(hash, pane, key);
        let slots = self.groups.slots();
        for aggregate in &mut self.states {
            aggregate.resize(slots);
        }
        slot
    }

    fn load(
        &mut self,
        pane: EventTime,
        key: &[u8],
        value: &[u8],
        state: &mut StateStore,
    ) -> Result<u32, OperatorError> {
        let hash = self.groups.hash(pane, key);
        let slot = self.insert(hash, pane, key);
        let mut input = ByteReader::new(value);
        let pending = read_header(&mut input)?;
        for (call, aggregate) in self.states.iter_mut().enumerate() {
            let parts = aggregate
                .load(slot as usize, &mut input)
                .map_err(|error| damaged(TableId::GROUPS, &error))?;
            for part in 0..parts {
                let key: [&[u8]; 3] = [&ordered_time(pane), key, &part_suffix(call, part)];
                let node = virtual_node(key[1]);
                let loaded = state.get(TableId::DISTINCT, node, &key, |bytes| {
                    aggregate.load_part(slot as usize, bytes.unwrap_or_default())
                })?;
                loaded.map_err(|error| damaged(TableId::DISTINCT, &error))?;
            }
        }
        input.expect_end().map_err(|error| damaged(TableId::GROUPS, &error))?;
        self.groups.set_saved(slot);
        // It may have been: only the table of emitted rows knows.
        self.groups.set_emitted(slot);
        if pending {
            self.groups.set_pending(slot);
        }
        Ok(slot)
    }

    fn empty(&mut self, slot: u32) {
        for aggregate in &mut self.states {
            aggregate.reset(slot as usize);
        }
    }
}

type Entries = Vec<(Box<[u8]>, Box<[u8]>)>;

/// Some entries behind `after`: a copy, because loading a group reads the state again.
fn read_entries(state: &StateStore, prefix: &[u8], after: Option<&[u8]>) -> Result<(Entries, ScanEnd), StateError> {
    let mut entries = Entries::new();
    let end = state.scan(prefix, after, SCAN_ENTRIES, |key, value| {
        entries.push((key.into(), value.into()));
        Ok(())
    })?;
    Ok((entries, end))
}

fn read_header(input: &mut ByteReader<'_>) -> Result<bool, StateError> {
    let mut header = || Ok((input.i8()?, input.i8()?));
    let (version, flags) = header().map_err(|error| damaged(TableId::GROUPS, &error))?;
    if version.cast_unsigned() != VERSION {
        return Err(StateError::Value {
            table: TableId::GROUPS.name(),
            reason: format!("group of version {version} is not known"),
        });
    }
    Ok(flags.cast_unsigned() & PENDING != 0)
}

fn split_key(key: &[u8]) -> Result<(EventTime, &[u8]), StateError> {
    let rest = key.get(PREFIX_LEN..).unwrap_or_default();
    match rest.split_first_chunk::<8>() {
        Some((pane, key)) => Ok((time_of_ordered(*pane), key)),
        None => Err(StateError::Value {
            table: TableId::GROUPS.name(),
            reason: "key of a group is too short".into(),
        }),
    }
}

fn part_suffix(call: usize, part: u32) -> [u8; 5] {
    let call = u8::try_from(call).expect("a query has fewer than 256 aggregates");
    let [a, b, c, d] = part.to_be_bytes();
    [call, a, b, c, d]
}

fn damaged(table: TableId, error: &DecodeError) -> StateError {
    StateError::Value {
        table: table.name(),
        reason: error.to_string(),
    }
}
