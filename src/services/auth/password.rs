//! Hashing passwords: Argon2id, few at once, so that a rush of sign-ins cannot take the memory or the processors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argon2::password_hash::{Output, ParamsString, PasswordHash, SaltString};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::hash_memory::HashMemory;
use crate::base::seams::Seams;
use crate::base::secret::{Secret, constant_time_eq};
use crate::base::tasks::Tasks;
use crate::model::password::{NewPassword, PASSWORD_BYTES_MAX};

/// What one hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashCost {
    /// Memory, KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Default for HashCost {
    /// OWASP's choice for servers: 19 MiB, two passes, one lane. 66 ms on the machine of reference; 64 MiB and three passes took 239 ms.
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2 }
    }
}

/// Why there is no answer about a password.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// As many wait as may.
    #[error("too many sign-ins at once")]
    Busy,
    /// The stored hash or the parameters are broken, or the work was cut off.
    #[error("hashing a password: {0}")]
    Broken(String),
}

/// Hashes and verifies, a bounded number at once, off the async threads. Cheap to clone.
#[derive(Clone)]
pub struct Hasher {
    params: Params,
    seams: Seams,
    tasks: Tasks,
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    nobody: Arc<str>,
    computed: Arc<AtomicU64>,
}

impl Hasher {
    /// A hasher that runs `running_max` at once and lets `waiting_max` more wait.
    ///
    /// # Errors
    /// When Argon2 does not take the cost.
    pub fn new(seams: Seams, tasks: Tasks, cost: HashCost, running_max: usize, waiting_max: usize) -> Result<Self, HashError> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None).map_err(broken)?;
        // What an unknown user's password is compared with: the same work, and a hash that nothing has.
        let nobody =
            format!("$argon2id$v=19$m={},t={},p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", cost.memory_kib, cost.passes);
        Ok(Self {
            params,
            seams,
            tasks,
            running: Arc::new(Semaphore::new(running_max)),
            admitted: Arc::new(Semaphore::new(running_max + waiting_max)),
            nobody: nobody.into(),
            computed: Arc::default(),
        })
    }

    /// How many hashes were computed since the start: what a sign-in costs, whoever tries it.
    #[must_use]
    pub fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    /// Whether a stored hash was made at another cost than new ones are.
    #[must_use]
    pub fn is_outdated(&self, stored: &str) -> bool {
        let params = PasswordHash::new(stored).and_then(|hash| Params::try_from(&hash));
        params.is_ok_and(|params| {
            (params.m_cost(), params.t_cost(), params.p_cost()) != (self.params.m_cost(), self.params.t_cost(), self.params.p_cost())
        })
    }

    /// The password's hash as a PHC string.
    ///
    /// # Errors
    /// [`HashError::Busy`] at once when too many wait already.
    pub async fn hash(&self, password: &NewPassword) -> Result<String, HashError> {
        self.hash_again(password.secret()).await
    }

    /// The hash, at today's cost, of a password that is in use and so need not keep today's rules.
    ///
    /// # Errors
    /// [`HashError::Busy`] at once when too many wait already.
    pub async fn hash_again(&self, password: &Secret<String>) -> Result<String, HashError> {
        let salt = SaltString::encode_b64(&self.seams.random_bytes::<16>()).map_err(broken)?;
        let (params, password) = (self.params.clone(), password.clone());
        self.run(move || {
            let output = compute(password.expose().as_bytes(), &salt, &params)?;
            let hash = PasswordHash {
                algorithm: ARGON2ID_IDENT,
                version: Some(Version::V0x13.into()),
                params: ParamsString::try_from(&params).map_err(broken)?,
                salt: Some(salt.as_salt()),
                hash: Some(Output::new(&output).map_err(broken)?),
            };
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether the password belongs to the stored hash. For an unknown user (`None`) the same work is done and the answer is no.
    ///
    /// # Errors
    /// [`HashError::Busy`] at once when too many wait already.
    pub async fn verify(&self, password: &Secret<String>, stored: Option<&str>) -> Result<bool, HashError> {
        let password = password.clone();
        let known = stored.is_some();
        let stored: Arc<str> = stored.map_or_else(|| Arc::clone(&self.nobody), Arc::from);
        self.run(move || {
            let stored = PasswordHash::new(&stored).map_err(broken)?;
            if stored.algorithm != ARGON2ID_IDENT || stored.version != Some(Version::V0x13.into()) {
                return Err(HashError::Broken("a stored hash is not Argon2id of version 19".to_owned()));
            }
            let (Some(salt), Some(expected)) = (stored.salt, stored.hash) else {
                return Err(HashError::Broken("a stored hash has no salt or no hash".to_owned()));
            };
            // No stored password is longer, so nothing is lost by not reading on, and the work stays the same.
            let bytes = password.expose().as_bytes();
            let fits = bytes.len() <= PASSWORD_BYTES_MAX;
            let bytes = if fits { bytes } else { &bytes[..PASSWORD_BYTES_MAX] };
            let salt = SaltString::from_b64(salt.as_str()).map_err(broken)?;
            let output = compute(bytes, &salt, &Params::try_from(&stored).map_err(broken)?)?;
            Ok(constant_time_eq(&output, expected.as_bytes()) && known && fits)
        })
        .await
    }

    async fn run<T, F>(&self, work: F) -> Result<T, HashError>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, HashError> + Send + 'static,
    {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| HashError::Busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(broken)?;
        // The permits go with the work: a caller who hangs up does not make room for another before the memory is free.
        let held: (OwnedSemaphorePermit, OwnedSemaphorePermit) = (admitted, running);
        self.computed.fetch_add(1, Ordering::Relaxed);
        let work = move || {
            let result = work();
            drop(held);
            result
        };
        self.tasks.spawn_blocking(work).await.map_err(broken)?
    }
}

/// The hash itself: 32 bytes.
fn compute(password: &[u8], salt: &SaltString, params: &Params) -> Result<[u8; 32], HashError> {
    let mut salt_bytes = [0; 64];
    let salt_bytes = salt.decode_b64(&mut salt_bytes).map_err(broken)?;
    let mut memory = HashMemory::map(params.block_count()).map_err(broken)?;
    let mut output = [0; 32];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    argon2.hash_password_into_with_memory(password, salt_bytes, &mut output, &mut memory).map_err(broken)?;
    Ok(output)
}

fn broken(error: impl std::fmt::Display) -> HashError {
    HashError::Broken(error.to_string())
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// The least that Argon2 takes: for tests of everything but the cost.
    pub(crate) const CHEAP: HashCost = HashCost { memory_kib: 8, passes: 1 };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(running: usize, waiting: usize) -> Hasher {
        Hasher::new(Seams::system(), Tasks::default(), testing::CHEAP, running, waiting).unwrap()
    }

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    fn new_password(text: &str) -> NewPassword {
        NewPassword::check(secret(text), &"a@b.c".parse().unwrap(), "A").unwrap()
    }

    #[tokio::test]
    async fn a_hash_verifies_its_own_password_only_and_is_salted() {
        let hasher = hasher(2, 64);
        let password = new_password("a goose crossed the yard");
        let (one, two) = (hasher.hash(&password).await.unwrap(), hasher.hash(&password).await.unwrap());
        assert_ne!(one, two);
        assert!(one.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{one}");
        assert!(hasher.verify(&secret("a goose crossed the yard"), Some(&one)).await.unwrap());
        assert!(!hasher.verify(&secret("a goose crossed the yard "), Some(&one)).await.unwrap());
        assert!(!hasher.verify(&secret("a goose crossed the yard"), None).await.unwrap());
    }

    #[tokio::test]
    async fn what_is_longer_than_any_password_is_wrong_even_if_its_start_is_right() {
        let hasher = hasher(2, 64);
        let longest = "ab".repeat(512);
        let hash = hasher.hash(&new_password(&longest)).await.unwrap();
        assert!(hasher.verify(&secret(&longest), Some(&hash)).await.unwrap());
        assert!(!hasher.verify(&secret(&format!("{longest}c")), Some(&hash)).await.unwrap());
        assert!(!hasher.verify(&secret(&"x".repeat(5_000_000)), None).await.unwrap());
    }

    #[tokio::test]
    async fn hashes_are_those_of_argon2_itself() {
        use argon2::{PasswordHasher as _, PasswordVerifier as _};
        let hasher = hasher(2, 64);
        let ours = hasher.hash(&new_password("a goose crossed the yard")).await.unwrap();
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, hasher.params.clone());
        assert!(argon2.verify_password(b"a goose crossed the yard", &PasswordHash::new(&ours).unwrap()).is_ok());
        let salt = SaltString::encode_b64(&[7; 16]).unwrap();
        let theirs = argon2.hash_password(b"a goose crossed the yard", &salt).unwrap().to_string();
        assert!(hasher.verify(&secret("a goose crossed the yard"), Some(&theirs)).await.unwrap());
        let other_kind = theirs.replace("argon2id", "argon2i");
        assert!(hasher.verify(&secret("a goose crossed the yard"), Some(&other_kind)).await.is_err());
    }

    #[tokio::test]
    async fn nobodys_hash_costs_what_a_real_one_costs() {
        let hasher = hasher(1, 1);
        let nobody = PasswordHash::new(&hasher.nobody).unwrap();
        let real = hasher.hash(&new_password("a goose crossed the yard")).await.unwrap();
        let real = PasswordHash::new(&real).unwrap();
        assert_eq!((nobody.algorithm, nobody.version, &nobody.params), (real.algorithm, real.version, &real.params));
        let length = |hash: &PasswordHash<'_>| hash.hash.map(|hash| hash.len());
        assert_eq!(length(&nobody), length(&real));
    }

    #[tokio::test]
    async fn one_more_than_may_wait_is_sent_away() {
        let hasher = hasher(1, 1);
        let password = secret("whatever it is");
        let running = hasher.running.clone().acquire_owned().await.unwrap();
        let (first, second) = (hasher.verify(&password, None), hasher.verify(&password, None));
        let mut waiting = Box::pin(futures_util::future::join(first, second));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert!(matches!(hasher.verify(&password, None).await, Err(HashError::Busy)));
        drop(running);
        let (first, second) = waiting.await;
        assert!(!first.unwrap() && !second.unwrap());
    }
}
