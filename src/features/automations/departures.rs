//! When somebody leaves, or a company ends: runs stop, and an admin takes over what goes on resting.

use super::{AutomationError, Automations, Viewer, WidgetView};
use crate::model::audit::{Actor, Entry};
use crate::model::ids::{CompanyId, UserId, WidgetId};
use crate::model::session::Origin;

impl Automations {
    /// Makes the viewer, an admin of the company, the maker of a widget: its schedule goes on and is theirs to pay for.
    ///
    /// # Errors
    /// Not found, or the store's failure.
    pub async fn take_over(&self, viewer: &Viewer, id: &WidgetId, origin: &Origin) -> Result<WidgetView, AutomationError> {
        let widget = self.visible_widget(viewer, id).await?;
        let at = self.now();
        let next_run_at = widget.spec.schedule.next_after(at);
        let entry = Entry::new(at, Actor::User(Some(viewer.user.clone())), "widget.taken_over", id.as_str()).in_company(viewer.company.clone());
        let entry = entry.from(origin.address).detail(serde_json::json!({"from": widget.created_by}));
        let store = self.store();
        if !store.take_over_widget(viewer.company.clone(), id.clone(), viewer.user.clone(), next_run_at, entry).await? {
            return Err(AutomationError::NotFound);
        }
        self.widget(viewer, id).await
    }

    /// Stops every run that somebody who has lost their place asked for, in one company or in all. Returns how many.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn stop_runs_for(&self, user: &UserId, company: Option<&CompanyId>) -> Result<usize, AutomationError> {
        let runs = self.store().active_runs_for(user.clone(), company.cloned()).await?;
        for (company, run) in &runs {
            self.stop_run(company, run).await?;
        }
        Ok(runs.len())
    }

    /// Stops every run of a company that is no more. Returns how many.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn stop_runs_in(&self, company: &CompanyId) -> Result<usize, AutomationError> {
        let runs = self.store().active_runs_in(company.clone()).await?;
        for run in &runs {
            self.stop_run(company, run).await?;
        }
        Ok(runs.len())
    }
}
