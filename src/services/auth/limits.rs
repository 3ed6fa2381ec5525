//! How many wrong tries are borne: leaky buckets per account, per address, per both, or for everybody together.
//!
//! A try takes its place in every bucket when it is admitted, so that guesses at the same instant cannot overshoot; whoever turns
//! out to be right gets the places back. Somebody who knows the password is never held back by their own successes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::base::clock::Clock;

/// Most buckets remembered at once for each rule: about 1 MB.
const BUCKETS_MAX: usize = 10_000;

/// What a rule counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedBy {
    /// All tries together.
    Everybody,
    /// The address they come from.
    Address,
    /// The account they are for.
    Account,
    /// The account and the address.
    AccountAtAddress,
}

/// One thing that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// All tries together.
    Everybody,
    /// An IPv6 network of 64 bits counts as one address.
    Address(Option<IpAddr>),
    /// A hash of what was typed, whether there is such an account or not.
    Account([u8; 32]),
    /// Both.
    AccountAtAddress([u8; 32], Option<IpAddr>),
}

impl Key {
    const fn counted_by(&self) -> CountedBy {
        match self {
            Self::Everybody => CountedBy::Everybody,
            Self::Address(_) => CountedBy::Address,
            Self::Account(_) => CountedBy::Account,
            Self::AccountAtAddress(..) => CountedBy::AccountAtAddress,
        }
    }

    fn normalized(self) -> Self {
        match self {
            Self::Address(address) => Self::Address(network(address)),
            Self::AccountAtAddress(account, address) => Self::AccountAtAddress(account, network(address)),
            other => other,
        }
    }
}

/// What happens to the try after the last one that is borne.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// It waits until one is forgiven.
    Wait,
    /// Each one makes the next wait twice as long, from `first` to `longest`: nobody is locked out, and guessing gets slow.
    Delay {
        /// The wait after the first try too many.
        first: Duration,
        /// The longest wait.
        longest: Duration,
    },
}

/// What is borne.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What is counted.
    pub by: CountedBy,
    /// Wrong tries borne in a row.
    pub failures: u32,
    /// Time after which one of them is forgiven.
    pub forgiven_every: Duration,
    /// What happens beyond them.
    pub beyond: Beyond,
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
    rules: Cow<'static, [Rule]>,
    clock: Arc<dyn Clock>,
    // One table a rule, so that what is forgotten first is judged among its like.
    tables: Mutex<Vec<HashMap<Key, Bucket>>>,
}

/// Times are on the monotonic clock.
#[derive(Clone, Copy, Default)]
struct Bucket {
    /// When everything will be forgiven. Each try pushes that one `forgiven_every` away.
    empty_at: Duration,
    /// With [`Beyond::Delay`]: when the next try is heard.
    not_before: Duration,
}

impl Rule {
    fn wait(&self, bucket: Bucket, now: Duration) -> Option<Duration> {
        let wait = match self.beyond {
            // Room for one more failure means being at least one forgiveness below full.
            Beyond::Wait => bucket.empty_at.saturating_sub(now).saturating_sub(self.forgiven_every * self.failures.saturating_sub(1)),
            Beyond::Delay { .. } => bucket.not_before.saturating_sub(now),
        };
        (!wait.is_zero()).then_some(wait)
    }

    fn take(&self, bucket: &mut Bucket, now: Duration) {
        bucket.empty_at = bucket.empty_at.max(now) + self.forgiven_every;
        if let Beyond::Delay { first, longest } = self.beyond {
            let level = bucket.empty_at.saturating_sub(now).as_millis().div_ceil(self.forgiven_every.as_millis().max(1));
            if let Some(above) = level.checked_sub(u128::from(self.failures)) {
                let doubled = first.saturating_mul(1 << above.min(16));
                bucket.not_before = now + doubled.min(longest);
            }
        }
    }
}

/// A try that was admitted and counts as wrong, until [`Try::give_back`] says otherwise.
#[must_use = "give it back when it was not a wrong guess"]
pub struct Try<'a> {
    limits: &'a Limits,
    taken: Vec<Taken>,
}

struct Taken {
    table: usize,
    key: Key,
    before: Bucket,
    after: Bucket,
}

impl Limits {
    /// Empty buckets.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, rules: impl Into<Cow<'static, [Rule]>>) -> Self {
        let rules = rules.into();
        Self { tables: Mutex::new(rules.iter().map(|_| HashMap::new()).collect()), rules, clock }
    }

    /// Takes a place for a try in the bucket of every key that a rule counts.
    ///
    /// # Errors
    /// When to come back; nothing was taken then.
    pub fn admit(&self, keys: &[Key]) -> Result<Try<'_>, TooManyTries> {
        let now = self.clock.elapsed();
        let mut tables = self.lock();
        let keys = keys.iter().map(|key| key.normalized());
        let counted: Vec<(usize, Key)> =
            keys.filter_map(|key| Some((self.rules.iter().position(|rule| rule.by == key.counted_by())?, key))).collect();
        let bucket = |table: usize, key: &Key| tables.get(table).and_then(|table| table.get(key)).copied().unwrap_or_default();
        let longest = counted.iter().filter_map(|(table, key)| self.rules.get(*table)?.wait(bucket(*table, key), now)).max();
        if let Some(retry_after) = longest {
            return Err(TooManyTries { retry_after });
        }
        let mut taken = Vec::with_capacity(counted.len());
        for (table, key) in counted {
            let (Some(rule), Some(buckets)) = (self.rules.get(table), tables.get_mut(table)) else { continue };
            if !buckets.contains_key(&key) && buckets.len() >= BUCKETS_MAX {
                make_room(buckets, now);
            }
            let bucket = buckets.entry(key).or_default();
            let before = *bucket;
            rule.take(bucket, now);
            taken.push(Taken { table, key, before, after: *bucket });
        }
        Ok(Try { limits: self, taken })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<HashMap<Key, Bucket>>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Try<'_> {
    /// It was no wrong guess: its places are free again.
    pub fn give_back(self) {
        let mut tables = self.limits.lock();
        for Taken { table, key, before, after } in self.taken {
            let (Some(rule), Some(buckets)) = (self.limits.rules.get(table), tables.get_mut(table)) else { continue };
            let Some(bucket) = buckets.get_mut(&key) else { continue };
            bucket.empty_at = bucket.empty_at.saturating_sub(rule.forgiven_every);
            // A wrong try since keeps its own delay.
            if bucket.not_before == after.not_before {
                bucket.not_before = before.not_before;
            }
        }
    }
}

/// Forgets whoever is forgiven; if nobody is, whoever will be soonest.
fn make_room(buckets: &mut HashMap<Key, Bucket>, now: Duration) {
    buckets.retain(|_, bucket| bucket.empty_at > now);
    if buckets.len() >= BUCKETS_MAX
        && let Some(soonest) = buckets.iter().min_by_key(|(_, bucket)| bucket.empty_at).map(|(key, _)| *key)
    {
        buckets.remove(&soonest);
    }
}

/// What counts as one address: an IPv4 address however written, or the 64-bit network that one IPv6 customer is given.
#[must_use]
pub fn network(address: Option<IpAddr>) -> Option<IpAddr> {
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

    const SECOND: Duration = Duration::from_secs(1);
    const RULES: &[Rule] = &[
        Rule { by: CountedBy::Address, failures: 3, forgiven_every: Duration::from_secs(10), beyond: Beyond::Wait },
        Rule { by: CountedBy::Everybody, failures: 5, forgiven_every: SECOND, beyond: Beyond::Wait },
        Rule {
            by: CountedBy::Account,
            failures: 2,
            forgiven_every: Duration::from_secs(1_000),
            beyond: Beyond::Delay { first: SECOND, longest: Duration::from_secs(5) },
        },
    ];

    fn limits() -> (Limits, Arc<FakeClock>) {
        let clock = Arc::new(FakeClock::new(Timestamp::from_millis(0)));
        (Limits::new(clock.clone(), RULES), clock)
    }

    fn address(text: &str) -> Key {
        Key::Address(Some(text.parse().unwrap()))
    }

    /// A wrong try.
    fn fail(limits: &Limits, keys: &[Key]) -> Result<(), TooManyTries> {
        limits.admit(keys).map(drop)
    }

    #[test]
    fn an_address_is_heard_again_when_one_failure_is_forgiven() {
        let (limits, clock) = limits();
        let one = address("192.0.2.1");
        for _ in 0..3 {
            fail(&limits, &[one]).unwrap();
        }
        assert_eq!(fail(&limits, &[one]).unwrap_err().retry_after, Duration::from_secs(10));
        assert!(fail(&limits, &[address("192.0.2.2")]).is_ok());
        assert!(fail(&limits, &[address("::ffff:192.0.2.1")]).is_err(), "the same address in other clothes");
        clock.advance(Duration::from_secs(10));
        assert!(fail(&limits, &[one]).is_ok());
        assert!(fail(&limits, &[one]).is_err());
    }

    #[test]
    fn tries_at_the_same_instant_do_not_overshoot_and_right_ones_cost_nothing() {
        let (limits, _) = limits();
        let one = address("192.0.2.1");
        let at_once: Vec<_> = (0..10).map(|_| limits.admit(&[one])).collect();
        assert_eq!(at_once.iter().filter(|admitted| admitted.is_ok()).count(), 3);
        at_once.into_iter().flatten().for_each(Try::give_back);
        for _ in 0..100 {
            limits.admit(&[one, Key::Everybody, Key::Account([1; 32])]).unwrap().give_back();
        }
    }

    #[test]
    fn a_crowd_is_limited_together_and_one_v6_network_is_one_address() {
        let (limits, clock) = limits();
        for n in 0..5 {
            fail(&limits, &[address(&format!("2001:db8:0:{n}::1")), Key::Everybody]).unwrap();
        }
        assert_eq!(fail(&limits, &[address("192.0.2.9"), Key::Everybody]).unwrap_err().retry_after, SECOND);
        clock.advance(SECOND);
        assert!(fail(&limits, &[address("192.0.2.9"), Key::Everybody]).is_ok());
        for n in 2..4 {
            fail(&limits, &[address(&format!("2001:db8::{n}"))]).unwrap();
        }
        assert!(fail(&limits, &[address("2001:db8::ffff")]).is_err());
    }

    #[test]
    fn an_accounts_delay_doubles_to_its_longest_and_a_right_try_leaves_it_as_it_was() {
        let (limits, clock) = limits();
        let account = Key::Account([1; 32]);
        fail(&limits, &[account]).unwrap();
        for wait in [1, 2, 4, 5, 5] {
            fail(&limits, &[account]).unwrap();
            assert_eq!(fail(&limits, &[account]).unwrap_err().retry_after, Duration::from_secs(wait));
            clock.advance(Duration::from_secs(wait));
        }
        limits.admit(&[account]).unwrap().give_back();
        assert!(fail(&limits, &[account]).is_ok(), "no delay after a right try");
        assert!(fail(&limits, &[Key::Account([2; 32])]).is_ok());
    }

    #[test]
    fn the_memory_is_bounded() {
        let (limits, clock) = limits();
        for n in 0..u32::try_from(BUCKETS_MAX).unwrap() {
            fail(&limits, &[Key::Address(Some(IpAddr::V4(n.into())))]).unwrap();
        }
        fail(&limits, &[address("203.0.113.1")]).unwrap();
        assert_eq!(limits.lock()[0].len(), BUCKETS_MAX);
        clock.advance(Duration::from_secs(60));
        fail(&limits, &[address("203.0.113.2")]).unwrap();
        assert_eq!(limits.lock()[0].len(), 1);
    }
}
