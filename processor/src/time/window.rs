//! Window arithmetic. A window is `[start, end)`, aligned to the Unix epoch plus an offset. Windows are made of panes,
//! the greatest common divisor of slide and size, so that a row is aggregated once however many windows hold it.

use super::EventTime;

/// The shape of a TUMBLE or HOP window; all lengths in microseconds.
///
/// Windows start at every multiple of the slide plus the offset. With a slide beyond the size there are gaps, and a
/// time may belong to no window at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowShape {
    size: i64,
    slide: i64,
    offset: i64,
    pane: i64,
}

/// A size or slide that is not above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("window size and slide must be above zero, not {size} and {slide} microseconds")]
pub struct InvalidShape {
    /// The size asked for.
    pub size: i64,
    /// The slide asked for.
    pub slide: i64,
}

impl WindowShape {
    /// A shape; the offset is taken modulo the slide, so that it may be negative or large.
    pub fn new(size: i64, slide: i64, offset: i64) -> Result<Self, InvalidShape> {
        if size <= 0 || slide <= 0 {
            return Err(InvalidShape { size, slide });
        }
        Ok(Self {
            size,
            slide,
            offset: offset.rem_euclid(slide),
            pane: greatest_common_divisor(size, slide),
        })
    }

    /// Length of a window.
    pub fn size(&self) -> i64 {
        self.size
    }

    /// Length of a pane.
    pub fn pane(&self) -> i64 {
        self.pane
    }

    /// True when every window is exactly one pane, as TUMBLE is.
    pub fn is_tumbling(&self) -> bool {
        self.pane == self.size
    }

    /// Start of the pane that holds a time; floors, so times before 1970 fall into the pane below.
    pub fn pane_of(&self, time: EventTime) -> EventTime {
        floor_to(time, self.pane, self.offset)
    }

    /// Start of the last window that begins at or before a pane.
    pub fn last_start(&self, pane: EventTime) -> EventTime {
        floor_to(pane, self.slide, self.offset)
    }

    /// End of the last window that holds a pane, or `None` where the pane lies in a gap between windows.
    pub fn last_end(&self, pane: EventTime) -> Option<EventTime> {
        let end = self.last_start(pane).saturating_add(self.size);
        (pane < end).then_some(end)
    }

    /// Start of the first window that holds a pane; meaningless for a pane in a gap.
    pub fn first_start(&self, pane: EventTime) -> EventTime {
        // The smallest aligned start above `pane - size`.
        floor_to(pane.saturating_sub(self.size), self.slide, self.offset).saturating_add(self.slide)
    }

    /// Start of the first window that ends after `watermark`.
    pub fn first_open_start(&self, watermark: EventTime) -> EventTime {
        floor_to(watermark.saturating_sub(self.size), self.slide, self.offset).saturating_add(self.slide)
    }

    /// Starts of all windows that hold a pane and end after `watermark`, in order.
    pub fn open_starts(&self, pane: EventTime, watermark: EventTime) -> impl Iterator<Item = EventTime> + use<> {
        let first = self.first_start(pane).max(self.first_open_start(watermark));
        let slide = self.slide;
        let mut next = Some(first);
        std::iter::from_fn(move || {
            let start = next.filter(|start| *start <= pane)?;
            next = start.checked_add(slide);
            Some(start)
        })
    }
}

/// The largest multiple of `step`, shifted by `offset`, that is not above `time`. Saturates at the ends of time, where
/// only the marks for "nothing known" and "ended" lie.
fn floor_to(time: EventTime, step: i64, offset: i64) -> EventTime {
    let Some(shifted) = time.checked_sub(offset) else {
        return time;
    };
    match shifted.checked_sub(shifted.rem_euclid(step)) {
        Some(floored) => floored + offset,
        None => EventTime::MIN,
    }
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape(size: i64, slide: i64, offset: i64) -> WindowShape {
        WindowShape::new(size, slide, offset).unwrap()
    }

    #[test]
    fn lengths_must_be_above_zero() {
        for (size, slide) in [(0, 1), (1, 0), (-1, 1), (1, -1)] {
            assert_eq!(WindowShape::new(size, slide, 0), Err(InvalidShape { size, slide }));
        }
    }

    #[test]
    fn tumbling_boundaries() {
        let tumble = shape(10, 10, 0);
        let panes: Vec<_> = [-11, -10, -1, 0, 1, 9, 10, 11]
            .map(|time| tumble.pane_of(time))
            .to_vec();
        assert_eq!(panes, [-20, -10, -10, 0, 0, 0, 10, 10]);
        assert_eq!(tumble.last_end(0), Some(10));
        assert!(tumble.is_tumbling());
    }

    #[test]
    fn offsets_shift_and_wrap() {
        assert_eq!(shape(10, 10, 3).pane_of(2), -7);
        assert_eq!(shape(10, 10, 3).pane_of(3), 3);
        assert_eq!(shape(10, 10, -7), shape(10, 10, 3));
        assert_eq!(shape(10, 10, 13), shape(10, 10, 3));
    }

    #[test]
    fn hop_of_any_size() {
        let hop = shape(10, 4, 0);
        assert_eq!(hop.pane(), 2);
        assert_eq!(hop.open_starts(8, EventTime::MIN).collect::<Vec<_>>(), [0, 4, 8]);
        assert_eq!(hop.open_starts(8, 10).collect::<Vec<_>>(), [4, 8]);
        assert_eq!(hop.open_starts(8, 9).collect::<Vec<_>>(), [0, 4, 8]);
        assert_eq!(hop.last_end(8), Some(18));
        assert!(!hop.is_tumbling());
    }

    #[test]
    fn gaps_between_windows_hold_nothing() {
        let sparse = shape(2, 10, 0);
        assert_eq!(sparse.last_end(0), Some(2));
        assert_eq!(sparse.last_end(2), None);
        assert_eq!(sparse.open_starts(2, EventTime::MIN).count(), 0);
        assert_eq!(sparse.open_starts(10, EventTime::MIN).collect::<Vec<_>>(), [10]);
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        let hop = shape(10, 4, 3);
        assert!(hop.pane_of(EventTime::MIN) <= EventTime::MIN + 10);
        assert!(hop.pane_of(EventTime::MAX) >= EventTime::MAX - 10);
        assert!(hop.first_open_start(EventTime::MAX) >= EventTime::MAX - 20);
        assert!(hop.first_open_start(EventTime::MIN) <= EventTime::MIN + 20);
    }

    proptest! {
        #[test]
        fn windows_of_a_pane_are_those_that_contain_its_times(
            size in 1i64..40, slide in 1i64..40, offset in -50i64..50, time in -500i64..500, watermark in -520i64..520,
        ) {
            let shape = shape(size, slide, offset);
            let expected: Vec<_> = (time - size - slide..=time)
                .filter(|start| (start - offset).rem_euclid(slide) == 0)
                .filter(|start| *start <= time && time < start + size && watermark < start + size)
                .collect();
            let pane = shape.pane_of(time);
            prop_assert!(pane <= time && time < pane + shape.pane());
            prop_assert_eq!(shape.open_starts(pane, watermark).collect::<Vec<_>>(), expected.clone());
            let all = shape.open_starts(pane, EventTime::MIN).last();
            prop_assert_eq!(shape.last_end(pane), all.map(|start| start + size));
        }
    }
}
