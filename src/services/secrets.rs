//! What is encrypted at rest: how it stands, and the change from one key to the next while everything goes on.

use crate::base::seams::Seams;
use crate::base::tasks::Tasks;
use crate::base::vault::Keeping;
use crate::model::audit::Actor;
use crate::store::secrets::{ResealPlace, Resealed, SecretsStatus};
use crate::store::{Store, StoreError};

/// What a change of keys came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// Values that were sealed anew.
    pub values: u64,
    /// Values that do not open and stayed as they were.
    pub unreadable: u64,
    /// Nothing is kept otherwise than under the current key any more.
    pub finished: bool,
}

/// Looks after the encryption of what is kept. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Secrets {
    store: Store,
    seams: Seams,
    tasks: Tasks,
}

impl Secrets {
    /// Builds the service.
    #[must_use]
    pub const fn new(store: Store, seams: Seams, tasks: Tasks) -> Self {
        Self { store, seams, tasks }
    }

    /// How values are sealed now.
    #[must_use]
    pub fn sealing_with(&self) -> Keeping {
        self.store.sealing_with()
    }

    /// How the values of all columns are kept.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn status(&self) -> Result<SecretsStatus, StoreError> {
        self.store.secrets_status().await
    }

    /// Seals everything that is not under the current key, batch by batch, so that others write in between. Cut short at any moment it loses
    /// nothing, and the next call finds the rest. `told` hears how many values each batch sealed.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn rotate(&self, by: Actor, mut told: impl FnMut(u64) + Send) -> Result<Rotated, StoreError> {
        let mut rotated = Rotated { values: 0, unreadable: 0, finished: true };
        if self.sealing_with() == Keeping::Plain || self.store.everything_sealed().await? {
            return Ok(rotated);
        }
        let mut place = Some(ResealPlace::default());
        while let Some(from) = place {
            if self.tasks.is_stopping() {
                return Ok(Rotated { finished: false, ..rotated });
            }
            let Resealed { values, unreadable, next } = self.store.reseal(from).await?;
            rotated.values += values;
            rotated.unreadable += unreadable;
            told(values);
            place = next;
        }
        rotated.finished = self.store.finish_resealing(by, rotated.values, self.seams.now()).await?;
        Ok(rotated)
    }
}
