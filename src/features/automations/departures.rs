//! When somebody leaves, or a company ends: the work of their runs stops, and an admin takes over what goes on resting.

use tokio_util::sync::CancellationToken;

use super::{AutomationError, Automations, Viewer, WidgetView};
use crate::base::signal::Nudge;
use crate::model::audit::{Actor, Entry};
use crate::model::ids::WidgetId;
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

    /// Stops the work of runs that were asked to in the store alone, as part of losing a place. Returns how many.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn stop_asked(&self) -> Result<usize, AutomationError> {
        let asked = self.store().runs_asked_to_stop().await?;
        // One that was claimed a moment ago has no token yet: it looks at its row before it begins.
        let stops: Vec<_> = asked.iter().filter_map(|run| self.working().get(run).filter(|stop| !stop.is_cancelled()).cloned()).collect();
        stops.iter().for_each(CancellationToken::cancel);
        Ok(stops.len())
    }

    /// Wakes whoever calls [`stop_asked`](Self::stop_asked).
    #[must_use]
    pub fn stops(&self) -> Nudge {
        self.store().stops()
    }
}
