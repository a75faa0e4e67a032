//! GROUP BY without windows: one row per key that changes as rows come. Groups live as long as the query.

use super::emission::{EMIT_ROWS, Emission, Unit};
use super::grouping::{Grouping, Panes, Setup};
use crate::operators::{ChangeBatch, Context, Operator, OperatorError};
use crate::state::TableId;

/// All groups lie in one pane.
const PANE: i64 = 0;

/// An aggregation that emits changes on every tick.
pub struct UpdatingAggregate {
    grouping: Grouping,
    emission: Emission,
}

impl UpdatingAggregate {
    /// An aggregation without groups. `setup.on_update` must be set: nothing ever closes here.
    pub fn new(setup: &Setup<'_>) -> Result<Self, OperatorError> {
        assert!(setup.on_update, "without windows there are only updates");
        Ok(Self {
            grouping: Grouping::new(setup)?,
            emission: Emission::new(setup.plan)?,
        })
    }
}

impl Operator for UpdatingAggregate {
    fn name(&self) -> &'static str {
        "aggregate"
    }

    fn tables(&self) -> &'static [TableId] {
        &[TableId::GROUPS, TableId::DISTINCT, TableId::EMITTED]
    }

    fn makes_results(&self) -> bool {
        true
    }

    fn open(&mut self, context: &mut Context<'_>) -> Result<(), OperatorError> {
        self.grouping.open(context.state)
    }

    fn on_batch(&mut self, batch: ChangeBatch, context: &mut Context<'_>) -> Result<(), OperatorError> {
        let input = self.grouping.evaluate(&batch.rows, context)?;
        self.grouping.add(&input, Panes::One(PANE), context.state)
    }

    fn on_tick(&mut self, context: &mut Context<'_>) -> Result<(), OperatorError> {
        let slots = self.grouping.groups.take_pending();
        for slots in slots.chunks(EMIT_ROWS) {
            let units: Vec<Unit> = slots
                .iter()
                .map(|slot| Unit {
                    start: PANE,
                    key_slot: *slot,
                    result_slot: *slot,
                    maybe_emitted: self.grouping.groups.set_emitted(*slot),
                })
                .collect();
            let changes = self.emission.changes(&self.grouping, &units, false, context.state)?;
            context.output.extend(changes);
        }
        Ok(())
    }

    fn on_barrier(&mut self, context: &mut Context<'_>) -> Result<(), OperatorError> {
        self.grouping.save(context.state);
        Ok(())
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
