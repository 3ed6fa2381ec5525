//! How often one address and one user may ask: far more than people and well-behaved programs do, and less than a broken loop.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::errors::ApiError;
use crate::base::clock::Clock;
use crate::base::secret::sha256;
use crate::model::ids::UserId;
use crate::services::auth::limits::{Beyond, CountedBy, Key, Limits, Rule, TooManyTries};

const MINUTE: Duration = Duration::from_secs(60);

/// Requests a minute.
#[derive(Clone, Copy, Debug, Default)]
pub struct RateSettings {
    /// Of one user (`ONSITE_USER_REQUESTS_PER_MINUTE`); 0 = not counted.
    pub per_user: u32,
    /// From one address (`ONSITE_ADDRESS_REQUESTS_PER_MINUTE`); 0 = not counted.
    pub per_address: u32,
}

/// Counts requests. Cheap to clone.
#[derive(Clone)]
pub struct Rates {
    limits: Arc<Limits>,
}

impl Rates {
    /// Nobody has asked yet. A minute's worth may come at once; then they come as fast as the minute has room.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, settings: RateSettings) -> Self {
        let rule = |by, per_minute: u32| {
            (per_minute > 0).then(|| Rule { by, failures: per_minute, forgiven_every: MINUTE / per_minute, beyond: Beyond::Wait })
        };
        let rules = [rule(CountedBy::Account, settings.per_user), rule(CountedBy::Address, settings.per_address)];
        Self { limits: Arc::new(Limits::new(clock, rules.into_iter().flatten().collect::<Vec<_>>())) }
    }

    /// Counts a request from an address. This machine's own is not counted: a proxy here would make everybody one.
    ///
    /// # Errors
    /// 429, with when to come back.
    pub fn from_address(&self, address: Option<IpAddr>) -> Result<(), ApiError> {
        match address {
            Some(address) if !address.is_loopback() => self.count(Key::Address(Some(address))),
            _ => Ok(()),
        }
    }

    /// Counts a request of a user, by whatever session.
    ///
    /// # Errors
    /// 429, with when to come back.
    pub fn by_user(&self, user: &UserId) -> Result<(), ApiError> {
        self.count(Key::Account(sha256(user.as_str().as_bytes())))
    }

    fn count(&self, key: Key) -> Result<(), ApiError> {
        // A request keeps its place: only time gives it back.
        match self.limits.admit(&[key]) {
            Ok(taken) => {
                drop(taken);
                Ok(())
            }
            Err(TooManyTries { retry_after }) => {
                Err(ApiError::too_many("too_many_requests", "These are more requests than one user or address may send.", retry_after)
                    .remedy("Wait as long as Retry-After says, and ask less often."))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{FakeClock, Timestamp};
    use crate::base::seams::Seams;
    use axum::http::StatusCode;

    #[test]
    fn a_minutes_worth_may_come_at_once_and_then_as_time_gives_room() {
        let clock = Arc::new(FakeClock::new(Timestamp::from_millis(0)));
        let rates = Rates::new(clock.clone(), RateSettings { per_user: 60, per_address: 3 });
        let (one, other) = (UserId::new(&Seams::system()), UserId::new(&Seams::system()));
        assert!((0..60).all(|_| rates.by_user(&one).is_ok()));
        assert_eq!(rates.by_user(&one).unwrap_err().status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(rates.by_user(&other).is_ok(), "another user is another");
        clock.advance(Duration::from_secs(1));
        assert!(rates.by_user(&one).is_ok() && rates.by_user(&one).is_err());

        let from = |address: &str| rates.from_address(Some(address.parse().unwrap()));
        assert!((0..3).all(|_| from("192.0.2.1").is_ok()));
        assert!(from("192.0.2.1").is_err() && from("192.0.2.2").is_ok());
        assert!((0..100).all(|_| from("127.0.0.1").is_ok()), "a proxy on this machine is everybody");
    }

    #[test]
    fn zero_counts_nobody() {
        let rates = Rates::new(Arc::new(FakeClock::new(Timestamp::from_millis(0))), RateSettings::default());
        let user = UserId::new(&Seams::system());
        assert!((0..10_000).all(|_| rates.by_user(&user).is_ok() && rates.from_address(Some("192.0.2.1".parse().unwrap())).is_ok()));
    }
}
