//! Making, changing and deleting widgets: validation, plan and company are asked here.

use std::collections::{HashMap, HashSet};

use super::{AutomationError, Automations, Viewer, WidgetView};
use crate::model::ids::WidgetId;
use crate::model::invalid::Invalid;
use crate::model::plans::{Feature, Use};
use crate::model::widget::{Visibility, Widget, WidgetDraft, WidgetSpec};
use crate::store::widgets::{WidgetAdded, WidgetUpdated};

/// Times that a change is made anew because the widget was changed meanwhile.
const EDITS_TRIED: u32 = 5;

impl Automations {
    /// Makes a widget.
    ///
    /// # Errors
    /// A field that is wrong, a limit of the plan, or the store's failure.
    pub async fn create_widget(&self, viewer: &Viewer, draft: WidgetDraft) -> Result<WidgetView, AutomationError> {
        let spec = draft.validated()?;
        let id = WidgetId::new(&self.parts().seams);
        self.check_destinations(&spec, None)?;
        self.check_references(viewer, &id, &spec).await?;
        self.check_plan(viewer, &spec, None).await?;
        let used = self.store().count_widgets(viewer.company.clone()).await?;
        self.parts().plans.may(&viewer.company, Feature::MaxWidgets, Use::one_more(used)).await?;
        let now = self.now();
        let next_run_at = spec.next_run_after(now);
        let widget = Widget {
            id: id.clone(),
            company_id: viewer.company.clone(),
            spec,
            paused_reason: None,
            next_run_at,
            created_by: viewer.user.clone(),
            created_at: now,
            updated_at: now,
        };
        // Asked again where it is written: two at once must not share the last place.
        let limit = self.parts().plans.limit(&viewer.company, Feature::MaxWidgets).await?.number();
        if let WidgetAdded::LimitReached { used } = self.store().insert_widget(widget, limit).await? {
            self.parts().plans.may(&viewer.company, Feature::MaxWidgets, Use::one_more(used)).await?;
        }
        self.widget(viewer, &id).await
    }

    /// Changes a widget: `change` turns the present draft into the wanted one. Of a widget that somebody else changes at the same moment it is asked again.
    ///
    /// # Errors
    /// Not found, not the viewer's, a field that is wrong, a limit of the plan, changed again and again, or the store's failure.
    pub async fn update_widget(
        &self,
        viewer: &Viewer,
        id: &WidgetId,
        change: impl Fn(&mut WidgetDraft) + Send + Sync,
    ) -> Result<WidgetView, AutomationError> {
        for _ in 0..EDITS_TRIED {
            let read = self.changeable_widget(viewer, id).await?;
            let mut draft = WidgetDraft::from(read.spec.clone());
            change(&mut draft);
            let spec = draft.validated()?;
            self.check_change(viewer, &read, &spec).await?;
            let now = self.now();
            let rescheduled = spec.schedule != read.spec.schedule || spec.paused != read.spec.paused;
            let reschedule = rescheduled.then(|| spec.next_run_after(now));
            match self.store().update_widget(read, spec, reschedule, now).await? {
                WidgetUpdated::Updated => return self.widget(viewer, id).await,
                WidgetUpdated::ChangedMeanwhile => {}
                WidgetUpdated::NotThere => return Err(AutomationError::NotFound),
            }
        }
        Err(AutomationError::ChangedMeanwhile)
    }

    async fn check_change(&self, viewer: &Viewer, before: &Widget, spec: &WidgetSpec) -> Result<(), AutomationError> {
        self.check_destinations(spec, Some(&before.spec))?;
        self.check_references(viewer, &before.id, spec).await?;
        self.check_plan(viewer, spec, Some(&before.spec)).await?;
        // Its schedule spends its maker's tokens: it does not begin again for somebody who has lost their place.
        if before.spec.paused && !spec.paused && !self.store().may_run(viewer.company.clone(), before.created_by.clone()).await? {
            return Err(AutomationError::MakerGone);
        }
        Ok(())
    }

    /// Start pages that are new must be ones that may be reached: whoever names them is there to see to it. One that an admin
    /// takes off the list later becomes a warning instead.
    fn check_destinations(&self, spec: &WidgetSpec, before: Option<&WidgetSpec>) -> Result<(), AutomationError> {
        let new = spec.source.urls.iter().filter(|url| before.is_none_or(|before| !before.source.urls.contains(url)));
        for url in new {
            self.parts().collector.check(url).map_err(AutomationError::Destination)?;
        }
        Ok(())
    }

    /// Deletes a widget, stops its run and takes its chunks out of recall.
    ///
    /// # Errors
    /// Not found, not the viewer's, or the store's failure.
    pub async fn delete_widget(&self, viewer: &Viewer, id: &WidgetId) -> Result<(), AutomationError> {
        self.changeable_widget(viewer, id).await?;
        let active = self.store().delete_widget(viewer.company.clone(), id.clone(), self.now()).await?.ok_or(AutomationError::NotFound)?;
        if let Some(run) = active {
            self.stop_run(&viewer.company, &run).await?;
        }
        self.parts().ingester.forget(id.clone()).await?;
        Ok(())
    }

    /// A widget the viewer may see.
    pub(super) async fn visible_widget(&self, viewer: &Viewer, id: &WidgetId) -> Result<Widget, AutomationError> {
        let widget = self.store().widget(viewer.company.clone(), id.clone()).await?;
        widget.filter(|widget| widget.is_shown_to(&viewer.user, viewer.role)).ok_or(AutomationError::NotFound)
    }

    /// A widget the viewer may change.
    async fn changeable_widget(&self, viewer: &Viewer, id: &WidgetId) -> Result<Widget, AutomationError> {
        let widget = self.visible_widget(viewer, id).await?;
        if viewer.role.may_change(widget.created_by == viewer.user) { Ok(widget) } else { Err(AutomationError::NotYours) }
    }

    /// What the plan must allow of what is asked for anew. What a widget already has stays: an ended licence breaks nothing.
    async fn check_plan(&self, viewer: &Viewer, spec: &WidgetSpec, before: Option<&WidgetSpec>) -> Result<(), AutomationError> {
        let plans = &self.parts().plans;
        let had = |has: fn(&WidgetSpec) -> bool| before.is_some_and(has);
        if spec.deep_collection && !had(|spec| spec.deep_collection) {
            plans.may(&viewer.company, Feature::DeepCollection, Use::switch()).await?;
        }
        if spec.visibility == Visibility::Public && !had(|spec| spec.visibility == Visibility::Public) {
            plans.may(&viewer.company, Feature::SharedPoolAccess, Use::switch()).await?;
        }
        let pages = spec.source.crawl.max_pages;
        if spec.source.source_class.is_web() && before.is_none_or(|before| pages > before.source.crawl.max_pages) {
            plans.may(&viewer.company, Feature::CrawlPagesMax, Use::of(u64::from(pages))).await?;
        }
        Ok(())
    }

    /// Widgets and documents that are named must be there, and no widget may end up upstream of itself.
    async fn check_references(&self, viewer: &Viewer, id: &WidgetId, spec: &WidgetSpec) -> Result<(), AutomationError> {
        for (place, document) in spec.source.documents.iter().enumerate() {
            if !self.parts().library.has_document(&viewer.company, document).await? {
                let field = format!("source_config.documents[{place}]");
                return Err(Invalid::new(field, format!("there is no document {document}"), "Upload it first, or leave it out.").into());
            }
        }
        if spec.upstream().next().is_none() {
            return Ok(());
        }
        let widgets = self.store().widgets(viewer.company.clone()).await?;
        let by_id: HashMap<&WidgetId, &Widget> = widgets.iter().map(|widget| (&widget.id, widget)).collect();
        for (field, upstream) in named_upstream(spec) {
            if !by_id.get(upstream).is_some_and(|widget| widget.is_shown_to(&viewer.user, viewer.role)) {
                return Err(Invalid::new(field, format!("there is no automation {upstream}"), "Name one of this company's automations.").into());
            }
            if leads_to(&by_id, upstream, id) {
                let message = "it would end up upstream of itself";
                return Err(Invalid::new(field, message, "Name an automation that does not take from this one.").into());
            }
        }
        Ok(())
    }
}

fn named_upstream(spec: &WidgetSpec) -> impl Iterator<Item = (String, &WidgetId)> {
    let one = spec.upstream_widget_id.iter().map(|id| ("upstream_widget_id".to_owned(), id));
    let more = spec.source.recall_from_widgets.iter().enumerate();
    one.chain(more.map(|(place, id)| (format!("source_config.recall_from_widgets[{place}]"), id)))
}

fn leads_to(widgets: &HashMap<&WidgetId, &Widget>, from: &WidgetId, to: &WidgetId) -> bool {
    let (mut seen, mut waiting) = (HashSet::new(), vec![from]);
    while let Some(id) = waiting.pop() {
        if id == to {
            return true;
        }
        if seen.insert(id) {
            waiting.extend(widgets.get(id).into_iter().flat_map(|widget| widget.spec.upstream()));
        }
    }
    false
}
