//! How often a site is asked: one request a second on the internet, no waiting inside the company's own network, and pauses where a
//! site asks for them or fails.

use std::net::IpAddr;
use std::time::Duration;

use crate::base::seams::Seams;
use crate::services::egress::address::{AddressClass, classify};

/// Requests to one public site under way at once.
const PUBLIC_AT_ONCE: usize = 2;
/// Requests to one private site under way at once: no waiting, but no flood either.
const PRIVATE_AT_ONCE: usize = 4;
/// The longest wait between two requests that a robots.txt can ask for.
const CRAWL_DELAY_MAX: Duration = Duration::from_secs(10);
/// The longest wait before another try that a site can ask for. Who asks for more is not tried again in this run.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// The wait before the second try; each further one waits four times as long.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);

/// When a site may be asked next. All times are on the clock's `elapsed`.
#[derive(Debug)]
pub(super) struct Pace {
    public_delay: Duration,
    crawl_delay: Duration,
    private: bool,
    next_at: Duration,
    under_way: usize,
}

impl Pace {
    /// A site not yet asked. It counts as public until its address is known.
    pub(super) const fn new(public_delay: Duration) -> Self {
        Self { public_delay, crawl_delay: Duration::ZERO, private: false, next_at: Duration::ZERO, under_way: 0 }
    }

    /// The site's address, as it answered.
    pub(super) fn learned(&mut self, address: Option<IpAddr>) {
        if let Some(address) = address {
            let was = self.private;
            self.private = classify(address) != AddressClass::Public;
            if self.private && !was && self.crawl_delay.is_zero() {
                self.next_at = Duration::ZERO;
            }
        }
    }

    /// The wait that its robots.txt asks for, seconds.
    pub(super) fn asked_to_wait(&mut self, seconds: f32) {
        if let Ok(delay) = Duration::try_from_secs_f32(seconds) {
            self.crawl_delay = delay.min(CRAWL_DELAY_MAX);
        }
    }

    /// From when on another request may begin; `None` while too many are under way.
    pub(super) fn free_at(&self) -> Option<Duration> {
        let at_once = match (self.crawl_delay.is_zero(), self.private) {
            (false, _) => 1,
            (true, true) => PRIVATE_AT_ONCE,
            (true, false) => PUBLIC_AT_ONCE,
        };
        (self.under_way < at_once).then_some(self.next_at)
    }

    /// A request begins.
    pub(super) fn begins(&mut self, now: Duration) {
        self.under_way += 1;
        let delay = if self.private { self.crawl_delay } else { self.crawl_delay.max(self.public_delay) };
        self.next_at = self.next_at.max(now + delay);
    }

    /// A request ended.
    pub(super) const fn ended(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// The site is in trouble: nothing before `wait` has passed.
    pub(super) fn pause(&mut self, now: Duration, wait: Duration) {
        self.next_at = self.next_at.max(now + wait);
    }
}

/// How long to wait before try number `attempt` + 1, where `attempt` counts from 1: 1 s, 4 s, 16 s and up to a quarter more at random.
pub(super) fn backoff(attempt: u32, seams: &Seams) -> Duration {
    let base = BACKOFF_FIRST * 4u32.saturating_pow(attempt.saturating_sub(1).min(4));
    let [byte] = seams.random_bytes::<1>();
    (base + base * u32::from(byte) / 1024).min(RETRY_AFTER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_internet_is_asked_once_a_second_and_the_own_network_at_once() {
        let mut pace = Pace::new(SECOND);
        pace.begins(SECOND);
        assert_eq!(pace.free_at(), Some(SECOND * 2));
        pace.learned(Some([1, 1, 1, 1].into()));
        assert_eq!(pace.free_at(), Some(SECOND * 2));
        pace.begins(SECOND * 2);
        assert_eq!(pace.free_at(), None);

        let mut pace = Pace::new(SECOND);
        pace.begins(SECOND);
        pace.learned(Some([10, 0, 0, 1].into()));
        assert!(pace.free_at().unwrap() <= SECOND);
        for _ in 0..3 {
            pace.begins(SECOND);
        }
        assert_eq!(pace.free_at(), None);
        pace.ended();
        assert!(pace.free_at().is_some());
    }

    #[test]
    fn a_robots_file_can_ask_for_time_but_not_for_ever() {
        let mut pace = Pace::new(SECOND);
        pace.learned(Some([127, 0, 0, 1].into()));
        pace.asked_to_wait(3600.0);
        pace.asked_to_wait(f32::NAN);
        pace.begins(Duration::ZERO);
        assert_eq!(pace.free_at(), None);
        pace.ended();
        assert_eq!(pace.free_at(), Some(CRAWL_DELAY_MAX));
    }

    #[test]
    fn waiting_grows_and_is_bounded() {
        let seams = Seams::system();
        let (first, second) = (backoff(1, &seams), backoff(2, &seams));
        assert!((1.0..1.26).contains(&first.as_secs_f32()) && (4.0..5.01).contains(&second.as_secs_f32()));
        assert_eq!(backoff(99, &seams), RETRY_AFTER_MAX);
    }
}
