//! Where a batch has to be cut. Rows raise the watermark one by one; a row that lies below a window end which an earlier
//! row of the same batch has passed is late, however the rows came to be batched. Operators are given whole batches, so
//! the batch is cut exactly before such rows and nowhere else: rows in order cost nothing.

use super::window::WindowShape;
use super::{EventTime, START_OF_TIME};

/// A cut: rows before `row` go first, then the watermark, then the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Index of the first row behind the cut.
    pub row: usize,
    /// The watermark that the rows before the cut add up to.
    pub watermark: EventTime,
}

/// Watermarks before the first row of a batch of one partition.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// The watermark that operators have seen.
    pub current: EventTime,
    /// The watermark of the batch's own partition.
    pub own: EventTime,
    /// The minimum over the other active partitions, the end of time where there are none.
    pub others: EventTime,
}

/// Cuts for a batch whose rows have these event times and propose these watermarks (the start of time where a row
/// proposes none). Only cuts that can change what a window of `shape` holds are returned.
pub fn cuts(event_times: &[EventTime], proposals: &[EventTime], standing: Standing, shape: &WindowShape) -> Vec<Cut> {
    assert_eq!(event_times.len(), proposals.len(), "one proposal per row");
    let mut found = Vec::new();
    let mut own = standing.own;
    let mut boundary = boundary_below(standing.current, shape);
    // The pane boundary below the watermark is recomputed only when the watermark leaves its pane.
    let mut reached = boundary;
    let mut next_boundary = reached.saturating_add(shape.pane());
    for (row, (&time, &proposal)) in event_times.iter().zip(proposals).enumerate() {
        if time < reached && boundary < reached {
            found.push(Cut {
                row,
                watermark: standing.current.max(own.min(standing.others)),
            });
            boundary = reached;
        }
        if own < proposal {
            own = proposal;
            let watermark = own.min(standing.others);
            if next_boundary <= watermark {
                reached = boundary_below(watermark, shape);
                next_boundary = reached.saturating_add(shape.pane());
            }
        }
    }
    found
}

fn boundary_below(watermark: EventTime, shape: &WindowShape) -> EventTime {
    match watermark {
        START_OF_TIME => START_OF_TIME,
        known => shape.pane_of(known),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::END_OF_TIME;
    use super::*;

    const FRESH: Standing = Standing {
        current: START_OF_TIME,
        own: START_OF_TIME,
        others: END_OF_TIME,
    };

    fn tumble(size: i64) -> WindowShape {
        WindowShape::new(size, size, 0).unwrap()
    }

    #[test]
    fn rows_in_order_are_not_cut() {
        let times: Vec<_> = (0..1_000).collect();
        assert_eq!(cuts(&times, &times, FRESH, &tumble(10)), []);
    }

    #[test]
    fn a_row_behind_a_passed_end_is_cut_off() {
        let times = [9, 10, 9, 8, 21, 20, 19];
        assert_eq!(
            cuts(&times, &times, FRESH, &tumble(10)),
            [Cut { row: 2, watermark: 10 }, Cut { row: 6, watermark: 21 }]
        );
    }

    #[test]
    fn the_boundary_itself_decides() {
        // The watermark reaches the end exactly with the second row; one microsecond less is still open.
        assert_eq!(cuts(&[5, 9, 5], &[5, 9, 5], FRESH, &tumble(10)), []);
        assert_eq!(cuts(&[5, 10, 5], &[5, 10, 5], FRESH, &tumble(10)).len(), 1);
        assert_eq!(cuts(&[5, 10, 10], &[5, 10, 10], FRESH, &tumble(10)), []);
    }

    #[test]
    fn another_partition_holds_the_watermark_back() {
        let behind = Standing { others: 9, ..FRESH };
        assert_eq!(cuts(&[5, 50, 5], &[5, 50, 5], behind, &tumble(10)), []);
    }

    proptest! {
        /// Cutting anywhere else than the rule says gives the same decision per row as going row by row.
        #[test]
        fn cuts_decide_lateness_as_row_by_row_does(
            times in proptest::collection::vec(0i64..60, 1..40),
            others in prop_oneof![Just(END_OF_TIME), 0i64..60],
            delay in 0i64..8, size in 1i64..12, slide in 1i64..12,
        ) {
            let shape = WindowShape::new(size, slide, 0).unwrap();
            let proposals: Vec<_> = times.iter().map(|time| time - delay).collect();
            let standing = Standing { others, ..FRESH };
            let cuts = cuts(&times, &proposals, standing, &shape);
            let (mut own, mut exact) = (START_OF_TIME, START_OF_TIME);
            let mut seen = START_OF_TIME;
            for (row, time) in times.iter().enumerate() {
                if let Some(cut) = cuts.iter().find(|cut| cut.row == row) {
                    prop_assert_eq!(cut.watermark, exact);
                    seen = cut.watermark;
                }
                let pane = shape.pane_of(*time);
                prop_assert_eq!(
                    shape.open_starts(pane, seen).collect::<Vec<_>>(),
                    shape.open_starts(pane, exact).collect::<Vec<_>>()
                );
                own = own.max(proposals[row]);
                exact = exact.max(own.min(others));
            }
        }
    }
}
