//! Whether the appliance can do its work: the database answers, and there is room to write.

use crate::store::Store;

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The database does not answer.
    DatabaseUnavailable,
    /// Reading works, writing does not.
    DiskFull,
}

impl Obstacle {
    /// The obstacle as one word for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::DatabaseUnavailable => "database_unavailable",
            Self::DiskFull => "disk_full",
        }
    }
}

/// Asks the store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Readiness {
    store: Store,
}

impl Readiness {
    /// Over a store.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Comes back once the database's writer has, whatever it says: it does not when the writer hangs.
    pub async fn alive(&self) {
        self.store.await_writer().await;
    }

    /// What stands in the way now; `None` when nothing does.
    pub async fn obstacle(&self) -> Option<Obstacle> {
        if self.store.ping().await.is_err() {
            return Some(Obstacle::DatabaseUnavailable);
        }
        (!self.store.has_room().await).then_some(Obstacle::DiskFull)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_that_works_is_no_obstacle() {
        let (store, folder) = crate::store::testing::store();
        let readiness = Readiness::new(store.clone());
        assert_eq!(readiness.obstacle().await, None);
        store.release_idle_memory().await;
        std::fs::remove_dir_all(folder.path()).unwrap();
        assert_eq!(readiness.obstacle().await.map(Obstacle::code), Some("database_unavailable"));
    }
}
