//! GROUP BY in windows of event time: TUMBLE and HOP.
//!
//! Rows are aggregated into panes; a window's result is merged from its panes when it closes (`EMIT ON WINDOW CLOSE`) or
//! when it is emitted early (`EMIT ON UPDATE`). A window closes when the watermark reaches its end, and a pane is freed
//! when its last window has closed. A row is late when all its windows have closed; it goes to the `LATE TO` topic, or
//! is counted and dropped.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray, Int64Array};
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use hashbrown::HashTable;

use super::emission::{EMIT_ROWS, Emission, Unit};
use super::grouping::{Grouping, Panes, Setup};
use crate::operators::expression::evaluate_time;
use crate::operators::filter::select;
use crate::operators::late::LateRecords;
use crate::operators::{ChangeBatch, Context, Operator, OperatorError, Progress};
use crate::plan::graph::Emit;
use crate::state::{StateError, TableId};
use crate::time::window::WindowShape;
use crate::time::{EventTime, START_OF_TIME};

/// Key of the one entry in the table of progress.
const PROGRESS_KEY: &[u8] = &[0];

/// An aggregation in windows.
pub struct WindowedAggregate {
    grouping: Grouping,
    emission: Emission,
    shape: WindowShape,
    time: Arc<dyn PhysicalExpr>,
    emit: Emit,
    late: Option<LateRecords>,
    /// Rows whose windows all end at or before this are late.
    watermark: EventTime,
    /// All windows that end at or before this have closed. Behind the watermark only while that is being applied.
    closed: EventTime,
    /// What the state table says of `closed`. Without it a restart could not tell a window that was closed before some
    /// row came too late for it from one that still has to close.
    closed_saved: EventTime,
    /// Whether hopping windows have closed since the last barrier.
    has_closed_windows: bool,
}

/// Where the rows of a batch belong.
enum Placement {
    /// All in one pane that is open.
    One(EventTime),
    /// In these panes, all open.
    Open(Vec<EventTime>),
    /// Some rows have no open window.
    Mixed {
        /// The rows with an open window.
        open: BooleanArray,
        /// The rows whose windows have all closed; the rest lies in gaps between windows.
        late: BooleanArray,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Late,
    Gap,
}

impl WindowedAggregate {
    /// An aggregation without groups, for a plan with a window. `late` keeps late rows.
    pub fn new(setup: &Setup<'_>, emit: Emit, late: Option<LateRecords>) -> Result<Self, OperatorError> {
        let window = setup.plan.window.as_ref().expect("a windowed plan has a window");
        let shape = WindowShape::new(window.size_us, window.slide_us, window.offset_us);
        let shape = shape.map_err(|error| OperatorError::Result(DataFusionError::Plan(error.to_string())))?;
        Ok(Self {
            grouping: Grouping::new(setup)?,
            emission: Emission::new(setup.plan)?,
            shape,
            time: Arc::clone(&window.time),
            emit,
            late,
            watermark: START_OF_TIME,
            closed: START_OF_TIME,
            closed_saved: START_OF_TIME,
            has_closed_windows: false,
        })
    }

    fn fate(&self, pane: EventTime) -> Fate {
        match self.shape.last_end(pane) {
            None => Fate::Gap,
            Some(end) if end <= self.watermark => Fate::Late,
            Some(_) => Fate::Open,
        }
    }

    /// Finds the pane of every row. Times mostly stay in one pane for long, so the last one is tried first.
    fn place(&self, times: &Int64Array) -> Placement {
        let times = times.values();
        let Some(first) = times.first() else {
            return Placement::Open(Vec::new());
        };
        let mut pane = self.shape.pane_of(*first);
        let mut fate = self.fate(pane);
        let in_pane = |pane: EventTime, time: EventTime| pane <= time && time - pane < self.shape.pane();
        if fate == Fate::Open && times.iter().all(|time| in_pane(pane, *time)) {
            return Placement::One(pane);
        }
        let mut panes = Vec::with_capacity(times.len());
        let mut fates = Vec::with_capacity(times.len());
        for time in times {
            if !in_pane(pane, *time) {
                pane = self.shape.pane_of(*time);
                fate = self.fate(pane);
            }
            panes.push(pane);
            fates.push(fate);
        }
        if fates.iter().all(|fate| *fate == Fate::Open) {
            return Placement::Open(panes);
        }
        let rows_with = |wanted| fates.iter().map(|fate| Some(*fate == wanted)).collect();
        Placement::Mixed {
            open: rows_with(Fate::Open),
            late: rows_with(Fate::Late),
        }
    }

    fn times(&self, batch: &ChangeBatch, context: &Context<'_>) -> Result<Int64Array, OperatorError> {
        let times = evaluate_time(&self.time, &batch.rows).map_err(|error| context.evaluation(error))?;
        match times.null_count() {
            0 => Ok(times),
            _ => Err(context.evaluation(DataFusionError::Execution("event time is NULL".into()))),
        }
    }

    fn keep_late(
        &self,
        batch: &ChangeBatch,
        late: &BooleanArray,
        context: &mut Context<'_>,
    ) -> Result<(), OperatorError> {
        context.counts.late += late.true_count() as u64;
        if let Some(records) = &self.late {
            records.append_all(&select(batch, late)?.rows, context.buffer);
        }
        Ok(())
    }

    /// Start of the next window to close at or before the watermark, if any group belongs to it.
    fn next_closing(&self) -> Option<EventTime> {
        let start = self.next_start()?;
        (start.saturating_add(self.shape.size()) <= self.watermark).then_some(start)
    }

    /// Start of the first open window that some group belongs to.
    fn next_start(&self) -> Option<EventTime> {
        let pane = self.grouping.first_pane_from(START_OF_TIME)?;
        self.shape.open_starts(pane, self.closed).next()
    }

    fn close_tumbling(&mut self, start: EventTime, context: &mut Context<'_>) -> Result<(), OperatorError> {
        self.grouping.load_pane(start, context.state)?;
        let members = self.grouping.groups.members(start);
        let slots: Vec<u32> = members.iter().rev().take(self.grouping.emit_rows()).copied().collect();
        let units = self.own_units(&slots);
        self.emit_closing(&units, context)?;
        for slot in slots {
            self.grouping.remove(slot, context.state);
        }
        Ok(())
    }

    fn close_hopping(&mut self, start: EventTime, context: &mut Context<'_>) -> Result<(), OperatorError> {
        let end = start.saturating_add(self.shape.size());
        let units = self.merged_units(start, context)?;
        for units in units.chunks(EMIT_ROWS) {
            self.emit_closing(units, context)?;
        }
        self.return_units(&units);
        self.closed = end;
        self.has_closed_windows = true;
        self.free_panes(context)
    }

    /// Frees the panes whose windows have all closed.
    fn free_panes(&mut self, context: &mut Context<'_>) -> Result<(), OperatorError> {
        while let Some(pane) = self.grouping.first_pane_from(START_OF_TIME) {
            if self.shape.last_end(pane).is_some_and(|end| self.closed < end) {
                return Ok(());
            }
            self.grouping.load_pane(pane, context.state)?;
            for slot in self.grouping.groups.members(pane).to_vec() {
                self.grouping.remove(slot, context.state);
            }
        }
        Ok(())
    }

    fn emit_closing(&mut self, units: &[Unit], context: &mut Context<'_>) -> Result<(), OperatorError> {
        if self.emit.on_update.is_none() {
            let finals = self.emission.finals(&self.grouping, units)?;
            context.output.push(finals);
            return Ok(());
        }
        let changes = self.emission.changes(&self.grouping, units, true, context.state)?;
        context.output.extend(changes);
        Ok(())
    }

    /// Units of groups that are windows of their own.
    fn own_units(&mut self, slots: &[u32]) -> Vec<Unit> {
        let groups = &mut self.grouping.groups;
        slots
            .iter()
            .map(|slot| Unit {
                start: groups.pane(*slot),
                key_slot: *slot,
                result_slot: *slot,
                maybe_emitted: groups.set_emitted(*slot),
            })
            .collect()
    }

    /// Units of a window that is made of several panes, one per key, in borrowed slots.
    fn merged_units(&mut self, start: EventTime, context: &mut Context<'_>) -> Result<Vec<Unit>, OperatorError> {
        let end = start.saturating_add(self.shape.size());
        let mut units: Vec<Unit> = Vec::new();
        let mut by_key: HashTable<u32> = HashTable::new();
        let mut next = self.grouping.first_pane_from(start);
        while let Some(pane) = next.filter(|pane| *pane < end) {
            self.grouping.load_pane(pane, context.state)?;
            for slot in self.grouping.groups.members(pane).to_vec() {
                let groups = &self.grouping.groups;
                let key_hash = |slot: u32| groups.hash(START_OF_TIME, groups.key(slot));
                let hash = key_hash(slot);
                let found = by_key
                    .find(hash, |index| {
                        let other: &Unit = &units[*index as usize];
                        groups.key(other.key_slot) == groups.key(slot)
                    })
                    .map(|index| units[*index as usize].result_slot);
                let into = match found {
                    Some(into) => into,
                    None => {
                        let index = u32::try_from(units.len()).expect("slots are 32 bits");
                        by_key.insert_unique(hash, index, |index| key_hash(units[*index as usize].key_slot));
                        let into = self.grouping.borrow_slot();
                        units.push(merged_unit(start, slot, into));
                        into
                    }
                };
                self.grouping.merge(into as usize, slot as usize)?;
            }
            next = self.grouping.first_pane_from(pane.saturating_add(1));
        }
        Ok(units)
    }

    fn return_units(&mut self, units: &[Unit]) {
        for unit in units {
            self.grouping.return_slot(unit.result_slot);
        }
    }

    /// Windows of changed panes that are still open, one unit per window and key, in borrowed slots.
    fn pending_units(&mut self, slots: &[u32], context: &mut Context<'_>) -> Result<Vec<Unit>, OperatorError> {
        let mut windows: Vec<(EventTime, u32)> = Vec::new();
        for slot in slots {
            let pane = self.grouping.groups.pane(*slot);
            let starts = self.shape.open_starts(pane, self.closed);
            windows.extend(starts.map(|start| (start, *slot)));
        }
        let groups = &self.grouping.groups;
        windows
            .sort_unstable_by(|(a_start, a), (b_start, b)| (a_start, groups.key(*a)).cmp(&(b_start, groups.key(*b))));
        windows.dedup_by(|(a_start, a), (b_start, b)| a_start == b_start && groups.key(*a) == groups.key(*b));
        let mut units = Vec::with_capacity(windows.len());
        for (start, slot) in windows {
            let into = self.grouping.borrow_slot();
            units.push(merged_unit(start, slot, into));
            self.merge_panes(start, slot, into, context)?;
        }
        Ok(units)
    }

    /// Merges what a key has in the panes of a window.
    fn merge_panes(
        &mut self,
        start: EventTime,
        key_slot: u32,
        into: u32,
        context: &mut Context<'_>,
    ) -> Result<(), OperatorError> {
        let end = start.saturating_add(self.shape.size());
        let key = self.grouping.groups.key(key_slot).to_vec();
        let mut next = self.grouping.first_pane_from(start);
        while let Some(pane) = next.filter(|pane| *pane < end) {
            if let Some(from) = self.grouping.find(pane, &key, context.state)? {
                self.grouping.merge(into as usize, from as usize)?;
            }
            next = self.grouping.first_pane_from(pane.saturating_add(1));
        }
        Ok(())
    }
}

impl Operator for WindowedAggregate {
    fn name(&self) -> &'static str {
        "windowed aggregate"
    }

    fn tables(&self) -> &'static [TableId] {
        &[TableId::GROUPS, TableId::DISTINCT, TableId::EMITTED, TableId::PROGRESS]
    }

    fn makes_results(&self) -> bool {
        true
    }

    fn open(&mut self, context: &mut Context<'_>) -> Result<(), OperatorError> {
        self.grouping.open(context.state)?;
        let closed = context.state.get(TableId::PROGRESS, 0, &[PROGRESS_KEY], |value| {
            value.map(|value| <[u8; 8]>::try_from(value).map(i64::from_be_bytes))
        })?;
        match closed {
            Some(Ok(closed)) => (self.closed, self.closed_saved) = (closed, closed),
            Some(Err(_)) => {
                return Err(OperatorError::State(StateError::Value {
                    table: TableId::PROGRESS.name(),
                    reason: "progress is not 8 bytes".into(),
                }));
            }
            None => {}
        }
        Ok(())
    }

    fn on_batch(&mut self, batch: ChangeBatch, context: &mut Context<'_>) -> Result<(), OperatorError> {
        let times = self.times(&batch, context)?;
        match self.place(&times) {
            Placement::One(pane) => {
                let input = self.grouping.evaluate(&batch.rows, context)?;
                self.grouping.add(&input, Panes::One(pane), context.state)
            }
            Placement::Open(panes) => {
                let input = self.grouping.evaluate(&batch.rows, context)?;
                self.grouping.add(&input, Panes::Each(&panes), context.state)
            }
            Placement::Mixed { open, late } => {
                let kept = select(&batch, &open)?;
                let input = self.grouping.evaluate(&kept.rows, context)?;
                let times = evaluate_time(&self.time, &kept.rows).map_err(|error| context.evaluation(error))?;
                let panes: Vec<EventTime> = times.values().iter().map(|time| self.shape.pane_of(*time)).collect();
                self.grouping.add(&input, Panes::Each(&panes), context.state)?;
                self.keep_late(&batch, &late, context)
            }
        }
    }

    fn on_watermark(&mut self, watermark: EventTime, context: &mut Context<'_>) -> Result<Progress, OperatorError> {
        assert!(self.watermark <= watermark, "a watermark never goes back");
        self.watermark = watermark;
        if let Some(start) = self.next_closing() {
            match self.shape.is_tumbling() {
                true => self.close_tumbling(start, context)?,
                false => self.close_hopping(start, context)?,
            }
        }
        if self.next_closing().is_some() {
            return Ok(Progress::More);
        }
        self.closed = watermark;
        Ok(Progress::Done)
    }

    fn on_tick(&mut self, context: &mut Context<'_>) -> Result<(), OperatorError> {
        let slots = self.grouping.groups.take_pending();
        for slots in slots.chunks(EMIT_ROWS) {
            let units = match self.shape.is_tumbling() {
                true => self.own_units(slots),
                false => self.pending_units(slots, context)?,
            };
            for units in units.chunks(EMIT_ROWS) {
                let changes = self.emission.changes(&self.grouping, units, false, context.state)?;
                context.output.extend(changes);
            }
            if !self.shape.is_tumbling() {
                self.return_units(&units);
            }
        }
        Ok(())
    }

    fn on_barrier(&mut self, context: &mut Context<'_>) -> Result<(), OperatorError> {
        self.grouping.save(context.state);
        // A tumbling window that has closed has no group left, which says enough. The panes of a hopping window may
        // stay, and it would close again. A watermark that has moved without any of that has not to survive.
        let has_closed_windows = std::mem::take(&mut self.has_closed_windows);
        let must_tell = has_closed_windows || !self.shape.is_tumbling() && !context.state.is_unchanged();
        if must_tell && self.closed != self.closed_saved {
            self.closed_saved = self.closed;
            let closed = self.closed.to_be_bytes();
            let key: &[&[u8]] = &[PROGRESS_KEY];
            context.state.set(TableId::PROGRESS, 0, key, Some(&closed));
        }
        Ok(())
    }

    fn next_timer(&self) -> Option<EventTime> {
        Some(self.next_start()?.saturating_add(self.shape.size()))
    }

    fn has_pending(&self) -> bool {
        self.grouping.groups.has_pending()
    }

    fn memory_bytes(&self) -> usize {
        self.grouping.memory_bytes()
    }

    fn unsaved_bytes(&self) -> usize {
        self.grouping.unsaved_bytes()
    }

    fn shrink(&mut self, target: usize) {
        self.grouping.shrink(target);
    }
}

fn merged_unit(start: EventTime, key_slot: u32, result_slot: u32) -> Unit {
    Unit {
        start,
        key_slot,
        result_slot,
        // Not known: it belongs to the window and not to one of its panes.
        maybe_emitted: true,
    }
}
