//! Days and dates of the proleptic Gregorian calendar, without bounds: a DATE reaches farther than chrono's dates do.

/// Days of 400 years, after which the calendar repeats.
const ERA_DAYS: i64 = 146_097;
/// Days from 0000-03-01, where eras begin, to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;

/// A day. The year before 1 is 0, the one before that -1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i64,
    /// 1 to 12.
    pub(super) month: i64,
    /// 1 to 31.
    pub(super) day: i64,
}

impl Date {
    /// The date so many days after 1970-01-01. Years are counted from March, so that the leap day is a year's last.
    pub(super) fn of_days(days: i64) -> Self {
        let days = days + EPOCH_DAYS;
        let day_of_era = days.rem_euclid(ERA_DAYS);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = (month_from_march + 2) % 12 + 1;
        Self {
            year: days.div_euclid(ERA_DAYS) * 400 + year_of_era + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
        }
    }

    /// Days since 1970-01-01; `None` where the calendar has no such day.
    pub(super) fn days(self) -> Option<i64> {
        if !(1..=12).contains(&self.month) || !(1..=31).contains(&self.day) {
            return None;
        }
        let year = self.year - i64::from(self.month <= 2);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        let day_of_era = 365 * year_of_era + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = year.div_euclid(400) * ERA_DAYS + day_of_era - EPOCH_DAYS;
        // The 30th of February is a day of March.
        (Self::of_days(days) == self).then_some(days)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, NaiveDate};

    use super::*;

    #[test]
    fn every_day_of_an_era_is_that_of_chrono() {
        let first = NaiveDate::from_ymd_opt(1969, 12, 31).expect("a day");
        for (days, date) in (-1..ERA_DAYS + 366).zip(first.iter_days()) {
            let ours = Date::of_days(days);
            let theirs = (i64::from(date.year()), i64::from(date.month()), i64::from(date.day()));
            assert_eq!((ours.year, ours.month, ours.day), theirs);
            assert_eq!(ours.days(), Some(days));
        }
    }

    #[test]
    fn days_that_are_none() {
        let days = |year, month, day| Date { year, month, day }.days();
        assert_eq!(days(1970, 1, 1), Some(0));
        assert_eq!(days(2024, 2, 29), Some(19_782));
        for (year, month, day) in [
            (2023, 2, 29),
            (1900, 2, 29),
            (2026, 4, 31),
            (2026, 13, 1),
            (2026, 0, 1),
            (2026, 1, 0),
        ] {
            assert_eq!(days(year, month, day), None, "{year} {month} {day}");
        }
    }
}
