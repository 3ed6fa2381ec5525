//! When a widget runs by itself: never, every so many minutes, or by a cron expression in a time zone.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::invalid::Invalid;
use crate::base::clock::Timestamp;

/// Fewest minutes between two scheduled runs: below it a run would meet its predecessor.
pub const MINUTES_MIN: u32 = 5;
/// Most minutes between two scheduled runs: a year.
pub const MINUTES_MAX: u32 = 525_600;
/// Occurrences of a cron expression that are looked at to find two that are too close.
const CRON_LOOK_AHEAD: usize = 64;
/// Spans of four years in which an occurrence is looked for: 29 February on one day of the week comes every 28 years, or 40 around 2100.
const CRON_WINDOWS: usize = 11;
/// Where the look-ahead starts: any fixed moment will do, 2026-01-01T00:00:00Z.
const CRON_LOOK_FROM_MILLIS: i64 = 1_767_225_600_000;

/// A widget's schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Only when somebody asks.
    #[default]
    Manual,
    /// This many minutes after the last start.
    Every {
        /// Minutes, [`MINUTES_MIN`] to [`MINUTES_MAX`].
        minutes: u32,
    },
    /// At the wall-clock times of a cron expression.
    Cron {
        /// Five fields: minute, hour, day of month, month, day of week.
        expression: String,
        /// IANA name such as `Europe/Berlin`.
        time_zone: String,
    },
}

impl Schedule {
    /// Checks the schedule and writes it in its one form (spaces collapsed).
    ///
    /// # Errors
    /// Names the field, what is wrong and what would be right.
    pub fn validated(self) -> Result<Self, Invalid> {
        match self {
            Self::Manual => Ok(self),
            Self::Every { minutes } if (MINUTES_MIN..=MINUTES_MAX).contains(&minutes) => Ok(self),
            Self::Every { minutes } => Err(Invalid::new(
                "schedule.minutes",
                format!("{minutes} minutes is out of range"),
                format!("Choose {MINUTES_MIN} to {MINUTES_MAX} minutes."),
            )),
            Self::Cron { expression, time_zone } => {
                let expression = crate::base::text::collapse_whitespace(&expression);
                check_cron(&expression, &time_zone)?;
                Ok(Self::Cron { expression, time_zone })
            }
        }
    }

    /// The first moment strictly after `after` at which the widget is due; `None` for a manual one.
    ///
    /// Called with the present, not with the tick that was missed: however many were missed, one run makes up for them.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Manual => None,
            Self::Every { minutes } => Some(after.plus(Duration::from_secs(u64::from(*minutes) * 60))),
            Self::Cron { expression, time_zone } => {
                let crontab = cronexpr::parse_crontab(&format!("{expression} {time_zone}")).ok()?;
                next_of(&crontab, after.to_jiff()).map(Timestamp::from_jiff)
            }
        }
    }
}

fn check_cron(expression: &str, time_zone: &str) -> Result<(), Invalid> {
    let wrong = |message: String| {
        Invalid::new(
            "schedule.expression",
            message,
            "Give five fields: minute, hour, day of month, month, day of week, for example `30 6 * * MON-FRI`.",
        )
    };
    let unknown_zone =
        || Invalid::new("schedule.time_zone", format!("{time_zone:?} is not a time zone"), "Give an IANA name such as UTC or Europe/Berlin.");
    if time_zone.is_empty() || time_zone.contains(char::is_whitespace) || jiff::tz::TimeZone::get(time_zone).is_err() {
        return Err(unknown_zone());
    }
    if expression.split(' ').count() != 5 || expression.len() > 200 {
        return Err(wrong(format!("{:?} does not have five fields", crate::base::text::truncate(expression, 80))));
    }
    let crontab = cronexpr::parse_crontab(&format!("{expression} {time_zone}")).map_err(|error| {
        // The library's text ends in a drawing of the place; its first line says what is wrong.
        wrong(format!("{expression:?} is not a cron expression: {}", error.to_string().lines().next().unwrap_or_default()))
    })?;
    let start = Timestamp::from_millis(CRON_LOOK_FROM_MILLIS).to_jiff();
    let first = next_of(&crontab, start).ok_or_else(|| wrong(format!("{expression:?} never comes")))?;
    let moments: Vec<jiff::Timestamp> = std::iter::successors(Some(first), |at| next_of(&crontab, *at)).take(CRON_LOOK_AHEAD).collect();
    for pair in moments.windows(2) {
        if pair[1].as_second() - pair[0].as_second() < i64::from(MINUTES_MIN) * 60 {
            return Err(Invalid::new(
                "schedule.expression",
                format!("{expression:?} comes more often than every {MINUTES_MIN} minutes"),
                format!("Leave at least {MINUTES_MIN} minutes between two runs, for example `*/15 * * * *`."),
            ));
        }
    }
    Ok(())
}

/// The first moment after `after`; `None` when there is none in [`CRON_WINDOWS`] times four years.
fn next_of(crontab: &cronexpr::Crontab, after: jiff::Timestamp) -> Option<jiff::Timestamp> {
    // The library looks four years ahead, and 29 February can be eight away: then from where it stopped.
    let four_years = jiff::SignedDuration::from_hours(4 * 365 * 24);
    std::iter::successors(Some(after), |from| from.checked_add(four_years).ok())
        .take(CRON_WINDOWS)
        .find_map(|from| crontab.find_next(cronexpr::MakeTimestamp(from)).ok())
        .map(|next| next.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn cron(expression: &str, time_zone: &str) -> Schedule {
        Schedule::Cron { expression: expression.into(), time_zone: time_zone.into() }.validated().unwrap()
    }

    #[test]
    fn every_counts_from_the_moment_given() {
        let schedule = Schedule::Every { minutes: 60 }.validated().unwrap();
        assert_eq!(schedule.next_after(at("2026-11-22T10:00:00Z")), Some(at("2026-11-22T11:00:00Z")));
        assert_eq!(Schedule::Manual.next_after(at("2026-11-22T10:00:00Z")), None);
    }

    #[test]
    fn cron_keeps_the_wall_clock_across_the_change_to_winter_time() {
        // Berlin leaves summer time on 2026-10-25 at 03:00 CEST.
        let schedule = cron("0 6 * * *", "Europe/Berlin");
        let before = schedule.next_after(at("2026-10-24T00:00:00Z")).unwrap();
        assert_eq!(before, at("2026-10-24T04:00:00Z"));
        let after = schedule.next_after(before).unwrap();
        assert_eq!(after, at("2026-10-25T05:00:00Z"), "06:00 is an hour later in UTC");
    }

    #[test]
    fn cron_in_the_hour_that_does_not_exist_still_moves_on() {
        // Berlin jumps from 02:00 to 03:00 on 2026-03-29: 02:30 does not exist that day.
        let schedule = cron("30 2 * * *", "Europe/Berlin");
        let mut now = at("2026-03-27T12:00:00Z");
        let mut days = Vec::new();
        for _ in 0..3 {
            now = schedule.next_after(now).unwrap();
            days.push(now);
        }
        assert_eq!(days[0], at("2026-03-28T01:30:00Z"));
        assert!(days.windows(2).all(|pair| pair[0] < pair[1]), "{days:?}");
        assert!(days.contains(&at("2026-03-30T00:30:00Z")), "{days:?}");
    }

    #[test]
    fn cron_in_the_hour_that_comes_twice_does_not_stand_still() {
        let schedule = cron("30 2 * * *", "Europe/Berlin");
        let mut now = at("2026-10-24T12:00:00Z");
        for _ in 0..4 {
            let next = schedule.next_after(now).unwrap();
            assert!(next > now);
            now = next;
        }
        assert!(now >= at("2026-10-27T00:00:00Z") && now <= at("2026-10-29T00:00:00Z"), "{now}");
    }

    #[test]
    fn the_leap_day_comes_though_2100_has_none() {
        let schedule = cron("0 0 29 2 *", "UTC");
        assert_eq!(schedule.next_after(at("2026-11-22T10:00:00Z")), Some(at("2028-02-29T00:00:00Z")));
        assert_eq!(schedule.next_after(at("2097-01-01T00:00:00Z")), Some(at("2104-02-29T00:00:00Z")));
    }

    #[test]
    fn what_is_wrong_is_named_by_field() {
        let cases = [
            (Schedule::Every { minutes: 4 }, "schedule.minutes"),
            (Schedule::Every { minutes: 525_601 }, "schedule.minutes"),
            (Schedule::Cron { expression: "0 6 * *".into(), time_zone: "UTC".into() }, "schedule.expression"),
            (Schedule::Cron { expression: "61 6 * * *".into(), time_zone: "UTC".into() }, "schedule.expression"),
            (Schedule::Cron { expression: "* * * * *".into(), time_zone: "UTC".into() }, "schedule.expression"),
            (Schedule::Cron { expression: "0 0 30 FEB *".into(), time_zone: "UTC".into() }, "schedule.expression"),
            (Schedule::Cron { expression: "0 6 * * *".into(), time_zone: "Mars/Base".into() }, "schedule.time_zone"),
        ];
        for (schedule, field) in cases {
            let invalid = schedule.clone().validated().unwrap_err();
            assert_eq!(invalid.field, field, "{schedule:?}: {invalid}");
            assert!(!invalid.message.contains('\n') && !invalid.remedy.is_empty());
        }
    }

    #[test]
    fn json_is_tagged_by_kind() {
        let json = serde_json::to_value(cron("0  6 * * *", "UTC")).unwrap();
        assert_eq!(json, serde_json::json!({"kind": "cron", "expression": "0 6 * * *", "time_zone": "UTC"}));
        assert_eq!(serde_json::from_str::<Schedule>(r#"{"kind":"every","minutes":15}"#).unwrap(), Schedule::Every { minutes: 15 });
    }
}
