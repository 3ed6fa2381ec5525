//! Time is passed in: production reads the machine's clock, a test moves its own.

use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::sync::watch;

/// A moment, in milliseconds since 1970-01-01T00:00:00Z. In JSON an RFC 3339 string in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

const DAY_MILLIS: i64 = 86_400_000;

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This moment plus a span; saturates.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment less a span; saturates.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The span since `earlier`; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Whole UTC days since the epoch: the key of everything counted per day.
    #[must_use]
    pub const fn utc_day(self) -> i64 {
        self.0.div_euclid(DAY_MILLIS)
    }

    /// The begin of the second it is in.
    #[must_use]
    pub const fn whole_seconds(self) -> Self {
        Self(self.0.div_euclid(1_000) * 1_000)
    }

    /// The UTC date as `YYYY-MM-DD`.
    #[must_use]
    pub fn utc_date(self) -> String {
        self.to_string().chars().take(10).collect()
    }

    /// The same moment for calendar work with time zones; the epoch when out of the calendar's range.
    #[must_use]
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// From a calendar moment, cut to milliseconds.
    #[must_use]
    pub fn from_jiff(at: jiff::Timestamp) -> Self {
        Self(at.as_millisecond())
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3}", self.to_jiff())
    }
}

impl std::str::FromStr for Timestamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>().map(Self::from_jiff)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary start that never goes back: for durations.
    fn elapsed(&self) -> Duration;

    /// Completes once `span` has passed on this clock.
    fn sleep(&self, span: Duration) -> futures_util::future::BoxFuture<'static, ()>;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    /// Starts the monotonic part now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    pub fn new() -> Self {
        Self { started: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, span: Duration) -> futures_util::future::BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(span))
    }
}

/// A clock that stands still until it is moved. Sleepers wake when the moved clock passes their time.
#[derive(Debug)]
pub struct FakeClock {
    start: Timestamp,
    passed: watch::Sender<Duration>,
    // Serialises `advance`, so that two of them add up.
    moving: Mutex<()>,
}

impl FakeClock {
    /// Stands at `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self { start, passed: watch::channel(Duration::ZERO).0, moving: Mutex::new(()) }
    }

    /// Moves the clock forward and wakes whoever slept until then.
    pub fn advance(&self, span: Duration) {
        let _guard = self.moving.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.passed.send_modify(|passed| *passed += span);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        self.start.plus(*self.passed.borrow())
    }

    fn elapsed(&self) -> Duration {
        *self.passed.borrow()
    }

    fn sleep(&self, span: Duration) -> futures_util::future::BoxFuture<'static, ()> {
        let mut passed = self.passed.subscribe();
        let until = *passed.borrow() + span;
        Box::pin(async move {
            // An error means that the clock is gone, and with it the app: nobody waits any more.
            let _ = passed.wait_for(|now| *now >= until).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_rfc_3339_in_json() {
        let at = Timestamp::from_millis(1_795_300_000_123);
        let json = serde_json::to_string(&at).unwrap();
        assert_eq!(json, "\"2026-11-21T22:26:40.123Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), at);
    }

    #[test]
    fn days_before_the_epoch_floor() {
        assert_eq!(Timestamp::from_millis(-1).utc_day(), -1);
        assert_eq!(Timestamp::from_millis(0).utc_day(), 0);
    }

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_fake_clock_passes_it() {
        let clock = std::sync::Arc::new(FakeClock::new(Timestamp::from_millis(0)));
        let sleeper = clock.sleep(Duration::from_secs(60));
        clock.advance(Duration::from_secs(59));
        clock.advance(Duration::from_secs(1));
        sleeper.await;
        assert_eq!(clock.now(), Timestamp::from_millis(60_000));
    }
}
