//! How many wrong tries are borne, per address and overall: leaky buckets, filled by failures only.
//!
//! Someone who knows the password is never held back by their own successes. Tries already under way when a bucket fills
//! overshoot it, but they count, so that the rate over time holds.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::base::clock::Clock;

/// Most addresses remembered at once: about 1 MB.
const ADDRESSES_MAX: usize = 10_000;

/// What is borne.
#[derive(Clone, Copy, Debug)]
pub struct LimitSettings {
    /// Wrong tries in a row from one address (an IPv6 network of 64 bits counts as one).
    pub address_failures: u32,
    /// Time after which one of them is forgiven.
    pub address_forgiven_every: Duration,
    /// Wrong tries in a row from everywhere together.
    pub overall_failures: u32,
    /// Time after which one of them is forgiven.
    pub overall_forgiven_every: Duration,
}

/// Too many wrong tries.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("too many wrong tries; the next one is heard in {} seconds", retry_after.as_secs().max(1))]
pub struct TooManyTries {
    /// When the next try is heard.
    pub retry_after: Duration,
}

/// The buckets. Share it by reference.
pub struct Limits {
    settings: LimitSettings,
    clock: Arc<dyn Clock>,
    buckets: Mutex<Buckets>,
}

struct Buckets {
    overall: Bucket,
    by_address: HashMap<Option<IpAddr>, Bucket>,
}

/// When the bucket will be empty again, on the monotonic clock. Each failure pushes that one `forgiven_every` away.
#[derive(Clone, Copy, Default)]
struct Bucket {
    empty_at: Duration,
}

impl Bucket {
    fn wait(self, now: Duration, failures: u32, forgiven_every: Duration) -> Option<Duration> {
        // Room for one more failure means being at least one forgiveness below full.
        let full = forgiven_every * failures.saturating_sub(1);
        self.empty_at.saturating_sub(now).checked_sub(full).filter(|wait| !wait.is_zero())
    }

    fn fail(&mut self, now: Duration, forgiven_every: Duration) {
        self.empty_at = self.empty_at.max(now) + forgiven_every;
    }
}

impl Limits {
    /// Empty buckets.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, settings: LimitSettings) -> Self {
        let buckets = Buckets { overall: Bucket::default(), by_address: HashMap::new() };
        Self { settings, clock, buckets: Mutex::new(buckets) }
    }

    /// Whether a try from this address is heard now.
    ///
    /// # Errors
    /// When to come back.
    pub fn admit(&self, address: Option<IpAddr>) -> Result<(), TooManyTries> {
        let now = self.clock.elapsed();
        let buckets = self.lock();
        let own = buckets.by_address.get(&network(address)).copied().unwrap_or_default();
        let waits = [
            own.wait(now, self.settings.address_failures, self.settings.address_forgiven_every),
            buckets.overall.wait(now, self.settings.overall_failures, self.settings.overall_forgiven_every),
        ];
        match waits.into_iter().flatten().max() {
            Some(retry_after) => Err(TooManyTries { retry_after }),
            None => Ok(()),
        }
    }

    /// Counts a wrong try.
    pub fn fail(&self, address: Option<IpAddr>) {
        let now = self.clock.elapsed();
        let mut buckets = self.lock();
        buckets.overall.fail(now, self.settings.overall_forgiven_every);
        let key = network(address);
        if !buckets.by_address.contains_key(&key) && buckets.by_address.len() >= ADDRESSES_MAX {
            make_room(&mut buckets.by_address, now);
        }
        buckets.by_address.entry(key).or_default().fail(now, self.settings.address_forgiven_every);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets whoever is forgiven; if nobody is, whoever will be soonest. The overall bucket remembers them all the same.
fn make_room(by_address: &mut HashMap<Option<IpAddr>, Bucket>, now: Duration) {
    by_address.retain(|_, bucket| bucket.empty_at > now);
    if by_address.len() >= ADDRESSES_MAX
        && let Some(soonest) = by_address.iter().min_by_key(|(_, bucket)| bucket.empty_at).map(|(key, _)| *key)
    {
        by_address.remove(&soonest);
    }
}

/// What counts as one address: an IPv4 address however written, or the 64-bit network that one IPv6 customer is given.
fn network(address: Option<IpAddr>) -> Option<IpAddr> {
    address.map(|address| match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{FakeClock, Timestamp};

    fn limits() -> (Limits, Arc<FakeClock>) {
        let clock = Arc::new(FakeClock::new(Timestamp::from_millis(0)));
        let settings = LimitSettings {
            address_failures: 3,
            address_forgiven_every: Duration::from_secs(10),
            overall_failures: 5,
            overall_forgiven_every: Duration::from_secs(1),
        };
        (Limits::new(clock.clone(), settings), clock)
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn an_address_is_heard_again_when_one_failure_is_forgiven() {
        let (limits, clock) = limits();
        let one = address("192.0.2.1");
        for _ in 0..3 {
            assert!(limits.admit(one).is_ok());
            limits.fail(one);
        }
        let refused = limits.admit(one).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_secs(10));
        assert!(limits.admit(address("192.0.2.2")).is_ok());
        assert!(limits.admit(address("::ffff:192.0.2.1")).is_err(), "the same address in other clothes");
        clock.advance(Duration::from_secs(10));
        assert!(limits.admit(one).is_ok());
        limits.fail(one);
        assert!(limits.admit(one).is_err());
    }

    #[test]
    fn a_crowd_is_limited_together_and_one_v6_network_is_one_address() {
        let (limits, clock) = limits();
        for n in 0..5 {
            limits.fail(address(&format!("2001:db8::{n}")));
        }
        assert_eq!(limits.admit(address("192.0.2.9")).unwrap_err().retry_after, Duration::from_secs(1));
        clock.advance(Duration::from_secs(1));
        assert!(limits.admit(address("192.0.2.9")).is_ok());
        assert!(limits.admit(address("2001:db8::ffff")).is_err());
    }

    #[test]
    fn the_memory_is_bounded() {
        let (limits, clock) = limits();
        for n in 0..u32::try_from(ADDRESSES_MAX).unwrap() {
            limits.fail(Some(IpAddr::V4(n.into())));
        }
        limits.fail(address("203.0.113.1"));
        assert_eq!(limits.lock().by_address.len(), ADDRESSES_MAX);
        clock.advance(Duration::from_secs(60));
        limits.fail(address("203.0.113.2"));
        assert_eq!(limits.lock().by_address.len(), 1);
    }
}
