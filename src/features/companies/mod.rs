//! What an owner does with a company as a whole: its name, an export, its end. Deleting takes it away from everybody at once; for two weeks a
//! system admin can undo that, then its rows are removed.

mod export;
mod tar;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::base::seams::Seams;
use crate::base::tasks::Tasks;
use crate::model::audit::{Actor, Entry, Outcome};
use crate::model::company::{Company, CompanyHoldings, DELETION_GRACE, DeletedCompany};
use crate::model::ids::CompanyId;
use crate::model::session::Origin;
use crate::model::user::{Caller, DisplayName};
use crate::store::{Store, StoreError};

pub use export::Export;

/// Exports at once: each holds a few megabytes.
const EXPORTS_AT_ONCE: usize = 4;

/// Steps of a purge in one look: what is left waits for the next, so that a look ends.
const PURGE_STEPS_MAX: usize = 10_000;

/// Looks after companies as a whole. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CompanyCare {
    store: Store,
    seams: Seams,
    tasks: Tasks,
    export_places: Arc<Semaphore>,
}

/// Why something about a company was not done.
#[derive(Debug, thiserror::Error)]
pub enum CareError {
    /// There is no such company, or nothing of it to restore any more.
    #[error("there is no such company")]
    NotThere,
    /// Whoever deletes has to type its name, and typed another.
    #[error("this is not the company's name")]
    NotItsName,
    /// Too many exports at once.
    #[error("{EXPORTS_AT_ONCE} exports are under way, as many as are made at once")]
    ExportsBusy,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CompanyCare {
    /// Builds the feature.
    #[must_use]
    pub fn new(store: Store, seams: Seams, tasks: Tasks) -> Self {
        Self { store, seams, tasks, export_places: Arc::new(Semaphore::new(EXPORTS_AT_ONCE)) }
    }

    /// Gives a company another name.
    ///
    /// # Errors
    /// See [`CareError`].
    pub async fn rename(&self, by: &Caller, company: &CompanyId, name: &DisplayName, origin: &Origin) -> Result<(), CareError> {
        let entry = self.entry(by, "company.renamed", company, origin);
        self.store.rename_company(company.clone(), name.as_str().to_owned(), entry).await?.map(|_| ()).ok_or(CareError::NotThere)
    }

    /// What would be lost with a company.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn holdings(&self, company: &CompanyId) -> Result<CompanyHoldings, StoreError> {
        self.store.company_holdings(company.clone()).await
    }

    /// Begins an export, which is recorded. Its rows are as they are when it comes to them.
    ///
    /// # Errors
    /// [`CareError::ExportsBusy`], or when it could not be recorded.
    pub async fn export(&self, by: &Caller, company: &Company, origin: &Origin) -> Result<Export, CareError> {
        let place = Arc::clone(&self.export_places).try_acquire_owned().map_err(|_| CareError::ExportsBusy)?;
        let entry = self.entry(by, "company.exported", &company.id, origin);
        let at = entry.at;
        self.store.record_audit(entry).await?;
        Ok(Export::new(self.store.clone(), company.clone(), by.user.id.clone(), at, place))
    }

    /// Deletes a company, for an owner who has typed its name.
    ///
    /// # Errors
    /// See [`CareError`].
    pub async fn delete(&self, by: &Caller, company: &Company, typed_name: &str, origin: &Origin) -> Result<(), CareError> {
        let entry = self.entry(by, "company.deleted", &company.id, origin);
        if typed_name.trim() != company.name {
            self.store.record_audit(entry.outcome(Outcome::Refused)).await?;
            return Err(CareError::NotItsName);
        }
        let holdings = self.holdings(&company.id).await?;
        let detail = serde_json::json!({
            "name": company.name, "purged_after": entry.at.plus(DELETION_GRACE), "automations": holdings.automations, "reports": holdings.reports,
            "documents": holdings.documents, "conversations": holdings.conversations, "members": holdings.members,
        });
        if self.store.delete_company(company.id.clone(), entry.detail(detail)).await? { Ok(()) } else { Err(CareError::NotThere) }
    }

    /// Companies that were deleted and can be restored, the latest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn deleted(&self) -> Result<Vec<DeletedCompany>, StoreError> {
        let oldest = self.seams.now().minus(DELETION_GRACE);
        let mut deleted = self.store.deleted_companies().await?;
        deleted.retain(|company| company.deleted_at > oldest);
        Ok(deleted)
    }

    /// Undoes a deletion, for a system admin: everything is there again, and schedules go on.
    ///
    /// # Errors
    /// See [`CareError`].
    pub async fn restore(&self, by: &Caller, company: &CompanyId, origin: &Origin) -> Result<(), CareError> {
        let entry = self.entry(by, "company.restored", company, origin);
        let oldest = entry.at.minus(DELETION_GRACE);
        if self.store.restore_company(company.clone(), oldest, entry).await? { Ok(()) } else { Err(CareError::NotThere) }
    }

    /// Removes the rows of companies whose deletion cannot be undone any more. Returns how many companies are gone.
    ///
    /// # Errors
    /// When the store fails; another look goes on.
    pub async fn purge(&self) -> Result<usize, StoreError> {
        let (now, mut gone, mut steps) = (self.seams.now(), 0, 0);
        let oldest = now.minus(DELETION_GRACE);
        for company in self.store.deleted_companies().await? {
            if company.deleted_at > oldest {
                continue;
            }
            let entry = Entry::new(now, Actor::System, "company.purged", company.id.as_str()).in_company(company.id.clone());
            while self.store.purge_company(company.id.clone(), oldest, entry.clone()).await? {
                steps += 1;
                if steps >= PURGE_STEPS_MAX || self.tasks.is_stopping() {
                    return Ok(gone);
                }
            }
            gone += 1;
        }
        Ok(gone)
    }

    fn entry(&self, by: &Caller, action: &'static str, company: &CompanyId, origin: &Origin) -> Entry {
        let by = Actor::User(Some(by.user.id.clone()));
        Entry::new(self.seams.now(), by, action, company.as_str()).in_company(company.clone()).from(origin.address)
    }
}
