//! The audit log's door for acts that are not part of a larger transaction.

use crate::model::audit::Entry;
use crate::store::{Store, StoreError};

/// Records acts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit {
    store: Store,
}

impl Audit {
    /// Names the store.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Records an act. It is on the disk when this returns.
    ///
    /// # Errors
    /// When it could not be kept: then what it records should not happen.
    pub async fn record(&self, entry: Entry) -> Result<(), StoreError> {
        self.store.record_audit(entry).await
    }
}
