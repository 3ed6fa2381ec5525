//! The bootstrap token's life: made or configured at start, written where only the operator reads it, removed once redeemed.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::PathBuf;

use crate::base::clock::Timestamp;
use crate::base::paths::{DataDir, write_private};
use crate::base::seams::Seams;
use crate::base::secret::{Secret, constant_time_eq, new_token};
use crate::model::audit::{Actor, Entry};
use crate::model::bootstrap::{BootstrapStatus, BootstrapToken, LIFETIME, TOKEN_BYTES_MAX, TokenState, TokenText, WeakToken, check_configured};
use crate::model::ids::BootstrapId;
use crate::store::bootstrap::NewBootstrapToken;
use crate::store::{Store, StoreError};

/// Looks after the token. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    store: Store,
    seams: Seams,
    dir: DataDir,
}

/// What the start found or made.
#[derive(Clone, Debug)]
pub enum BootstrapStart {
    /// There is a system admin: nothing to do.
    Done,
    /// The token in the file is still good.
    Kept {
        /// The token's file.
        file: PathBuf,
        /// Until when.
        expires_at: Timestamp,
    },
    /// The configured token is good.
    Configured {
        /// Until when.
        expires_at: Timestamp,
    },
    /// A new token was made and written to the file.
    Generated(IssuedToken),
    /// Too many wrong tries: only `onsite bootstrap reissue` makes another.
    Burnt,
}

/// A token just made: the one moment at which its text is known here.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// `id.secret`: for a terminal only.
    pub token: Secret<String>,
    /// Where it was written, mode 0600.
    pub file: PathBuf,
    /// Until when it can be redeemed.
    pub expires_at: Timestamp,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// There is a system admin, and setup never opens again.
    #[error("this installation has a system admin: setup is over, and no bootstrap token is made any more")]
    Done,
    /// The configured token could be guessed.
    #[error(transparent)]
    Weak(#[from] WeakToken),
    /// The token's file cannot be written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Bootstrap {
    /// Names the store and the folder; nothing is touched.
    #[must_use]
    pub const fn new(store: Store, seams: Seams, dir: DataDir) -> Self {
        Self { store, seams, dir }
    }

    /// At start: sees to it that an installation without an admin has a live token, unless the last one was burnt.
    ///
    /// # Errors
    /// A weak configured token, a file that cannot be written, a store that fails.
    pub async fn start(&self, configured: Option<Secret<String>>) -> Result<BootstrapStart, BootstrapError> {
        let current = match self.store.bootstrap_status().await? {
            BootstrapStatus::Done => {
                self.remove_file();
                return Ok(BootstrapStart::Done);
            }
            BootstrapStatus::Open(current) => current,
        };
        let now = self.seams.now();
        let state = current.as_ref().map(|token| token.state(now));
        if matches!(state, Some(TokenState::Burnt)) {
            self.remove_file();
            return Ok(BootstrapStart::Burnt);
        }
        let live = current.filter(|token| matches!(token.state(now), TokenState::Live { .. }));
        if let Some(configured) = configured {
            check_configured(&configured)?;
            if let Some(started) = self.start_configured(TokenText::read(&configured), live.as_ref()).await? {
                return Ok(started);
            }
        }
        match live {
            Some(token) if self.file_holds(&token) => Ok(BootstrapStart::Kept { file: self.dir.bootstrap_token(), expires_at: token.expires_at }),
            // Nobody can know a live token whose file is gone: only its hash was kept.
            _ => match self.generate(Actor::System).await? {
                Some(issued) => Ok(BootstrapStart::Generated(issued)),
                None => Ok(BootstrapStart::Done),
            },
        }
    }

    /// Replaces whatever token there is, burnt ones too. For the operator on the server itself.
    ///
    /// # Errors
    /// [`BootstrapError::Done`] once there is an admin; a file that cannot be written; a store that fails.
    pub async fn reissue(&self) -> Result<IssuedToken, BootstrapError> {
        self.generate(Actor::Cli).await?.ok_or(BootstrapError::Done)
    }

    /// Removes the token's file: what was in it opens nothing any more.
    pub fn remove_file(&self) {
        let path = self.dir.bootstrap_token();
        match std::fs::remove_file(&path) {
            Ok(()) => tracing::info!(path = %path.display(), "removed the bootstrap token's file"),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the bootstrap token's file could not be removed; it opens nothing any more")
            }
        }
    }

    /// `None`: this configured token was burnt, or replaced by a reissue, and stays so.
    async fn start_configured(&self, text: TokenText, live: Option<&BootstrapToken>) -> Result<Option<BootstrapStart>, BootstrapError> {
        if let Some(token) = live
            && constant_time_eq(&token.secret_hash, &text.secret_hash)
        {
            return Ok(Some(BootstrapStart::Configured { expires_at: token.expires_at }));
        }
        let earlier = self.store.bootstrap_token_by_hash(text.secret_hash).await?;
        if earlier.is_some_and(|token| token.burnt_at.is_some() || live.is_some()) {
            return Ok(None);
        }
        let id = text.id.unwrap_or_else(|| BootstrapId::new(&self.seams));
        let Some(expires_at) = self.issue(id, text.secret_hash, Actor::System, "configured").await? else { return Ok(Some(BootstrapStart::Done)) };
        self.remove_file();
        Ok(Some(BootstrapStart::Configured { expires_at }))
    }

    /// `None`: there is an admin.
    async fn generate(&self, by: Actor) -> Result<Option<IssuedToken>, BootstrapError> {
        let id = BootstrapId::new(&self.seams);
        let token = Secret::new(format!("{id}.{}", new_token(&self.seams).expose()));
        let hash = TokenText::read(&token).secret_hash;
        // The row first: a crash before the file leaves a token that nobody knows, and the next start makes another.
        let Some(expires_at) = self.issue(id, hash, by, "generated").await? else { return Ok(None) };
        let file = self.dir.bootstrap_token();
        let line = Secret::new(format!("{}\n", token.expose()));
        write_private(&file, line.expose().as_bytes()).map_err(|source| BootstrapError::File { path: file.clone(), source })?;
        Ok(Some(IssuedToken { token, file, expires_at }))
    }

    async fn issue(&self, id: BootstrapId, secret_hash: [u8; 32], by: Actor, origin: &str) -> Result<Option<Timestamp>, StoreError> {
        let at = self.seams.now();
        let expires_at = at.plus(LIFETIME);
        let entry = Entry::new(at, by, "bootstrap.issued", id.as_str()).detail(serde_json::json!({"token": origin, "expires_at": expires_at}));
        let kept = self.store.issue_bootstrap_token(NewBootstrapToken { id, secret_hash, at, expires_at }, entry).await?;
        Ok(kept.then_some(expires_at))
    }

    fn file_holds(&self, token: &BootstrapToken) -> bool {
        let Ok(file) = File::open(self.dir.bootstrap_token()) else { return false };
        let mut text = String::new();
        if file.take(TOKEN_BYTES_MAX as u64 + 1).read_to_string(&mut text).is_err() {
            return false;
        }
        let held = TokenText::read(&Secret::new(text));
        held.id.as_ref() == Some(&token.id) && constant_time_eq(&held.secret_hash, &token.secret_hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::FakeClock;
    use crate::base::random::SystemRandom;
    use crate::model::session::Origin;
    use crate::store::testing;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;
    use std::time::Duration;

    struct Bench {
        bootstrap: Bootstrap,
        clock: Arc<FakeClock>,
        store: Store,
        folder: tempfile::TempDir,
    }

    fn bench() -> Bench {
        let (store, folder) = testing::store();
        let clock = Arc::new(FakeClock::new(Timestamp::from_millis(1_795_300_000_000)));
        let seams = Seams { clock: clock.clone(), random: Arc::new(SystemRandom) };
        Bench { bootstrap: Bootstrap::new(store.clone(), seams, DataDir::new(folder.path())), clock, store, folder }
    }

    impl Bench {
        fn file(&self) -> Option<String> {
            std::fs::read_to_string(self.folder.path().join("bootstrap-token")).ok()
        }

        async fn burn(&self) {
            let wrong = || TokenText::read(&Secret::new("wrong".into()));
            for _ in 0..10 {
                self.store.present_bootstrap_token(wrong(), Origin::default(), self.bootstrap.seams.now()).await.unwrap();
            }
        }
    }

    fn configured(text: &str) -> Option<Secret<String>> {
        Some(Secret::new(text.into()))
    }

    const STRONG: &str = "4f9d1c0b7a6e5f2d3c8b9a0e1f2d3c4b";

    #[tokio::test]
    async fn the_generated_token_is_in_a_private_file_and_nowhere_else() {
        let bench = bench();
        let BootstrapStart::Generated(issued) = bench.bootstrap.start(None).await.unwrap() else { panic!("expected a new token") };
        assert_eq!(bench.file().unwrap().trim(), issued.token.expose());
        let mode = std::fs::metadata(&issued.file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!bench.folder.path().join("bootstrap-token.part").exists());

        let secret = issued.token.expose().split_once('.').unwrap().1.to_owned();
        assert!(!format!("{issued:?}").contains(&secret));
        let audit = bench.store.audit_after(0, 10).await.unwrap();
        assert_eq!(audit.len(), 1);
        assert!(!format!("{audit:?}").contains(&secret));
        assert!(matches!(bench.store.bootstrap_status().await.unwrap(), BootstrapStatus::Open(Some(token)) if token.id.as_str() == audit[0].object));
    }

    #[tokio::test]
    async fn a_restart_keeps_a_live_token_and_replaces_an_expired_or_lost_one() {
        let bench = bench();
        bench.bootstrap.start(None).await.unwrap();
        let first = bench.file();
        assert!(matches!(bench.bootstrap.start(None).await.unwrap(), BootstrapStart::Kept { .. }));
        assert_eq!(bench.file(), first);

        bench.clock.advance(Duration::from_secs(24 * 3600));
        assert!(matches!(bench.bootstrap.start(None).await.unwrap(), BootstrapStart::Generated(_)));
        let second = bench.file();
        assert_ne!(second, first);

        std::fs::remove_file(bench.folder.path().join("bootstrap-token")).unwrap();
        assert!(matches!(bench.bootstrap.start(None).await.unwrap(), BootstrapStart::Generated(_)));
        assert!(bench.file().is_some() && bench.file() != second);
    }

    #[tokio::test]
    async fn a_burnt_token_stays_burnt_until_it_is_reissued() {
        let bench = bench();
        bench.bootstrap.start(None).await.unwrap();
        bench.burn().await;
        bench.clock.advance(Duration::from_secs(48 * 3600));
        assert!(matches!(bench.bootstrap.start(None).await.unwrap(), BootstrapStart::Burnt));
        assert!(matches!(bench.bootstrap.start(configured(STRONG)).await.unwrap(), BootstrapStart::Burnt));
        assert_eq!(bench.file(), None);
        let issued = bench.bootstrap.reissue().await.unwrap();
        assert_eq!(bench.file().unwrap().trim(), issued.token.expose());
        assert!(matches!(bench.bootstrap.start(None).await.unwrap(), BootstrapStart::Kept { .. }));
    }

    #[tokio::test]
    async fn a_configured_token_needs_no_file_and_comes_back_after_expiry_but_not_after_burning() {
        let bench = bench();
        assert!(matches!(bench.bootstrap.start(configured("short")).await, Err(BootstrapError::Weak(WeakToken::TooShort))));
        assert!(matches!(bench.bootstrap.start(configured(STRONG)).await.unwrap(), BootstrapStart::Configured { .. }));
        assert_eq!(bench.file(), None);
        bench.clock.advance(Duration::from_secs(25 * 3600));
        let BootstrapStart::Configured { expires_at } = bench.bootstrap.start(configured(STRONG)).await.unwrap() else { panic!("not renewed") };
        assert_eq!(expires_at, bench.bootstrap.seams.now().plus(LIFETIME));

        bench.burn().await;
        bench.bootstrap.reissue().await.unwrap();
        let reissued = bench.file();
        assert!(matches!(bench.bootstrap.start(configured(STRONG)).await.unwrap(), BootstrapStart::Kept { .. }));
        assert_eq!(bench.file(), reissued, "the burnt token in the environment does not push out the new one");
    }

    #[tokio::test]
    async fn a_planted_link_is_replaced_and_not_followed() {
        let bench = bench();
        let victim = bench.folder.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, bench.folder.path().join("bootstrap-token")).unwrap();
        bench.bootstrap.start(None).await.unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
        assert!(!std::fs::symlink_metadata(bench.folder.path().join("bootstrap-token")).unwrap().is_symlink());
    }
}
