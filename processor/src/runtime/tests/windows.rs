//! Aggregations against a model: whatever the batches, barriers, crashes and memory, the folded result is the same.

use std::time::Duration;

use proptest::prelude::*;

use super::driver::{Driver, Folded, Row, aggregates_of, plan};
use crate::plan::graph::Emit;
use crate::time::START_OF_TIME;
use crate::time::window::WindowShape;

const CLOSE: Emit = Emit {
    on_close: true,
    on_update: None,
};
const UPDATE: Emit = Emit {
    on_close: false,
    on_update: Some(Duration::ZERO),
};

/// Row by row: a row counts for the windows that the watermark of the rows before it has not passed.
fn model(rows: &[Row], delay: i64, window: Option<(i64, i64, i64)>) -> (Folded, u64) {
    let mut groups: std::collections::BTreeMap<_, Vec<Option<i8>>> = Default::default();
    let mut watermark = START_OF_TIME;
    let mut late = 0;
    for (time, key, value) in rows {
        let mut starts = vec![0];
        if let Some((size, slide, offset)) = window {
            let shape = WindowShape::new(size, slide, offset).unwrap();
            let pane = shape.pane_of(*time);
            starts = shape.open_starts(pane, watermark).collect();
            late += u64::from(starts.is_empty() && shape.last_end(pane).is_some());
        }
        for start in starts {
            groups.entry((start, format!("k{key}"))).or_default().push(*value);
        }
        watermark = watermark.max(time - delay);
    }
    let folded = groups
        .into_iter()
        .map(|(key, values)| (key, aggregates_of(&values)))
        .collect();
    (folded, late)
}

#[derive(Debug, Clone)]
enum Step {
    Chunk(usize),
    Barrier { tick: bool, target: usize },
    Crash(usize),
}

fn memory() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0usize), Just(500), Just(1 << 20)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..30usize).prop_map(Step::Chunk),
        3 => (any::<bool>(), memory()).prop_map(|(tick, target)| Step::Barrier { tick, target }),
        1 => memory().prop_map(Step::Crash),
    ]
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    // Mostly forward, with jumps back of any size.
    let row = (-12i64..14, 0..3u8, proptest::option::weighted(0.8, -3..3i8));
    proptest::collection::vec(row, 1..120).prop_map(|rows| {
        let mut time = 0;
        rows.into_iter()
            .map(|(step, key, value)| {
                time += step;
                (time, key, value)
            })
            .collect()
    })
}

fn run(driver: &mut Driver, steps: &[Step]) -> bool {
    let mut crashed = false;
    for step in steps {
        match step {
            Step::Chunk(count) => driver.chunk(*count),
            Step::Barrier { tick, target } => driver.barrier(*tick, *target),
            Step::Crash(resident) => {
                crashed = true;
                driver.crash(*resident);
            }
        }
    }
    driver.finish();
    crashed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn windows_equal_the_model(
        rows in rows(), delay in 0i64..6, steps in proptest::collection::vec(step(), 0..40),
        size in 1i64..16, slide in 1i64..16, offset in -9i64..9, tumbling in any::<bool>(), on_update in any::<bool>(),
    ) {
        let window = Some((size, if tumbling { size } else { slide }, offset));
        let emit = if on_update { UPDATE } else { CLOSE };
        let mut driver = Driver::new(plan(window), emit, rows.clone(), delay);
        let crashed = run(&mut driver, &steps);
        let (folded, late) = model(&rows, delay, window);
        prop_assert_eq!(driver.folded(), folded);
        if !crashed {
            prop_assert_eq!(driver.late(), late);
        }
        prop_assert_eq!(driver.entries(), 0, "state of closed windows is freed");
    }

    #[test]
    fn plain_groups_equal_the_model(rows in rows(), steps in proptest::collection::vec(step(), 0..40)) {
        let mut driver = Driver::new(plan(None), UPDATE, rows.clone(), 0);
        run(&mut driver, &steps);
        prop_assert_eq!(driver.folded(), model(&rows, 0, None).0);
    }
}

#[test]
fn a_window_closes_exactly_at_its_end() {
    let rows = vec![(5, 0, Some(1)), (9, 0, Some(1)), (10, 0, Some(1))];
    let mut driver = Driver::new(plan(Some((10, 10, 0))), CLOSE, rows, 0);
    driver.chunk(2);
    assert_eq!(driver.emitted(), 0, "watermark 9 is below the end");
    driver.chunk(1);
    assert_eq!(driver.emitted(), 1);
}

/// Closing a hopping window writes its rows and may free nothing, since other windows share its panes.
#[test]
fn a_hopping_window_that_the_clock_has_closed_stays_closed_after_a_crash() {
    let mut driver = Driver::new(plan(Some((30, 10, 0))), CLOSE, vec![(1, 0, Some(1))], 0);
    driver.chunk(1);
    driver.barrier(false, usize::MAX);
    driver.advance(12);
    assert_eq!(driver.emitted(), 1, "the window from -20 to 10");
    driver.barrier(false, usize::MAX);
    driver.crash(1 << 20);
    driver.finish();
    assert_eq!(driver.emitted(), 3, "each window once");
}

#[test]
fn ticks_emit_only_what_has_changed() {
    let rows = vec![(1, 0, Some(4)), (2, 1, Some(4)), (3, 0, Some(5)), (40, 2, None)];
    let mut driver = Driver::new(plan(Some((10, 10, 0))), UPDATE, rows, 0);
    driver.chunk(2);
    driver.barrier(true, usize::MAX);
    assert_eq!(driver.emitted(), 2);
    driver.barrier(true, usize::MAX);
    assert_eq!(driver.emitted(), 2, "nothing has changed");
    driver.chunk(1);
    driver.barrier(true, usize::MAX);
    assert_eq!(driver.emitted(), 4, "one update, both halves");
    driver.chunk(1);
    driver.barrier(true, usize::MAX);
    assert_eq!(driver.emitted(), 5, "closing adds nothing that was emitted already");
}

#[test]
fn pending_updates_survive_a_crash() {
    let mut driver = Driver::new(plan(None), UPDATE, vec![(1, 0, Some(4))], 0);
    driver.chunk(1);
    driver.barrier(false, usize::MAX);
    driver.crash(1 << 20);
    driver.barrier(true, usize::MAX);
    assert_eq!(driver.emitted(), 1);
}
