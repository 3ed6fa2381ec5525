//! The two seams every floor needs: time and randomness.

use std::sync::Arc;

use super::clock::{Clock, SystemClock, Timestamp};
use super::random::{Random, SystemRandom};

/// Clock and randomness, passed to whatever needs them. Cheap to clone.
#[derive(Clone)]
pub struct Seams {
    /// The time of day, durations and waiting.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub random: Arc<dyn Random>,
}

impl Seams {
    /// The machine's clock and the kernel's randomness.
    #[must_use]
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock::new()), random: Arc::new(SystemRandom) }
    }

    /// The time of day.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// `N` random bytes.
    #[must_use]
    pub fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }
}

impl std::fmt::Debug for Seams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seams").finish_non_exhaustive()
    }
}
