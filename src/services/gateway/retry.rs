//! How long to wait before asking a model server again, and when to stop asking. Only ever before the first part of an answer.

use std::time::Duration;

use crate::base::clock::Timestamp;
use crate::base::seams::Seams;

use super::provider::ProviderError;

/// Requests for one answer, the first included.
pub(super) const ATTEMPTS_MAX: u32 = 4;
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(8);
/// A server that asks for a longer wait than a person would sit through is not waited for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(20);

/// The wait before the next request after `attempt` (from 1) failed; `None` when it is no use.
pub(super) fn wait(error: &ProviderError, attempt: u32, seams: &Seams) -> Option<Duration> {
    if attempt >= ATTEMPTS_MAX || !error.may_pass() {
        return None;
    }
    if let ProviderError::RateLimited { retry_after: Some(asked), .. } = error {
        return (*asked <= RETRY_AFTER_MAX).then_some(*asked);
    }
    let full = BACKOFF_FIRST.saturating_mul(1 << (attempt - 1).min(16)).min(BACKOFF_MAX);
    // Half of it is chance, so that many clients of a server that comes back do not come back at once.
    let [chance] = seams.random_bytes::<1>();
    Some(full / 2 + full.mul_f64(f64::from(chance) / 510.0))
}

/// A `Retry-After` header: seconds, or a date.
pub(super) fn retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<f64>() {
        return (0.0..1e6).contains(&seconds).then(|| Duration::from_secs_f64(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(header).ok()?;
    Some(Timestamp::from_jiff(at.timestamp()).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let seams = Seams::system();
        let broken = ProviderError::Status { status: 503, message: String::new() };
        let waits: Vec<_> = (1..=ATTEMPTS_MAX).map(|attempt| wait(&broken, attempt, &seams)).collect();
        for (place, expected) in [250u64, 500, 1000].into_iter().enumerate() {
            let waited = waits[place].unwrap();
            assert!(waited >= Duration::from_millis(expected / 2) && waited <= Duration::from_millis(expected), "{waited:?}");
        }
        assert_eq!(waits[3], None);
        assert_eq!(wait(&ProviderError::Malformed(String::new()), 1, &seams), None);
        assert_eq!(wait(&ProviderError::Status { status: 404, message: String::new() }, 1, &seams), None);
    }

    #[test]
    fn the_servers_wish_is_kept_within_reason() {
        let seams = Seams::system();
        let limited = |seconds| ProviderError::RateLimited { retry_after: Some(Duration::from_secs(seconds)), message: String::new() };
        assert_eq!(wait(&limited(3), 1, &seams), Some(Duration::from_secs(3)));
        assert_eq!(wait(&limited(3600), 1, &seams), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "2026-11-22T10:00:00Z".parse().unwrap();
        assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 22 Nov 2026 10:00:05 GMT", now), Some(Duration::from_secs(5)));
        assert_eq!(retry_after("Sun, 22 Nov 2026 09:00:05 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }
}
