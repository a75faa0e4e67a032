//! What makes an event time bad. Nothing is clamped: a row that would drag the watermark into the future, or to a year
//! that nobody meant, is a bad record.

use std::time::Duration;

use protocol::ids::TimestampMs;

use super::BadRecord;

/// 9999-12-31T23:59:59.999999Z, the last event time, in microseconds.
const LAST_EVENT_TIME_US: i64 = 253_402_300_799_999_999;

/// The check of one source.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventTimeCheck {
    /// Nothing where any time is good that is not NULL.
    max_future_us: Option<i64>,
}

impl EventTimeCheck {
    /// Event times may lie at most `max_future` beyond their record's timestamp.
    pub(super) fn new(max_future: Duration) -> Self {
        Self {
            max_future_us: Some(i64::try_from(max_future.as_micros()).unwrap_or(i64::MAX)),
        }
    }

    /// Every event time but NULL is good: rows of a view have what their query computed, such as the end of a window that
    /// lies far ahead.
    pub(super) fn of_view() -> Self {
        Self { max_future_us: None }
    }

    /// Checks an event time (microseconds) against its record's timestamp (milliseconds, -1 where it has none).
    pub(super) fn check(self, event_time_us: Option<i64>, record_ms: TimestampMs) -> Result<(), BadRecord> {
        let Some(time) = event_time_us else {
            return Err(BadRecord::new("event time is NULL"));
        };
        let Some(max_future_us) = self.max_future_us else {
            return Ok(());
        };
        if !(0..=LAST_EVENT_TIME_US).contains(&time) {
            return Err(BadRecord::new("event time is outside of the years 1970 to 9999"));
        }
        if record_ms < 0 {
            return Ok(());
        }
        let latest = record_ms.saturating_mul(1000).saturating_add(max_future_us);
        if time > latest {
            return Err(BadRecord::new(
                "event time lies more than max_future beyond the record's timestamp",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive() {
        let check = EventTimeCheck::new(Duration::from_secs(1));
        assert!(check.check(Some(0), 0).is_ok());
        assert!(check.check(Some(-1), 0).is_err());
        assert!(check.check(Some(1_000_000), 0).is_ok());
        assert!(check.check(Some(1_000_001), 0).is_err());
        assert!(check.check(Some(LAST_EVENT_TIME_US), -1).is_ok());
        assert!(check.check(Some(LAST_EVENT_TIME_US + 1), -1).is_err());
        assert!(check.check(None, 0).is_err());
    }

    #[test]
    fn times_of_a_view_are_not_bounded() {
        let check = EventTimeCheck::of_view();
        assert!(check.check(Some(i64::MIN), 0).is_ok());
        assert!(check.check(Some(i64::MAX), 0).is_ok());
        assert!(check.check(None, 0).is_err());
    }
}
