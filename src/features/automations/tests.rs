//! Whole stories: from a draft to a cited report, with whatever can go wrong on the way.

mod departures;
mod ends;
mod limits;
mod stories;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;

use super::testing::{Bench, Page, World, bench, page_text, settings};
use super::{AutomationError, AutomationsSettings, Viewer};
use crate::base::clock::Clock;
use crate::base::places::Work;
use crate::model::ids::{DocumentId, WidgetId};
use crate::model::part::Part;
use crate::model::role::Role;
use crate::model::run::{IngestState, PageFate, RunError, RunState};
use crate::model::schedule::Schedule;
use crate::model::widget::{SourceClass, Visibility, WidgetDraft, testing::draft};
use crate::services::recall::LeftOut;
use crate::store::StoreError;
use crate::store::runs::Turn;
use crate::store::testing::put_documents;

async fn widget(bench: &Bench, viewer: &Viewer, draft: WidgetDraft) -> WidgetId {
    bench.automations.create_widget(viewer, draft).await.unwrap().widget.id
}

fn two_pages() -> Vec<(&'static str, Page)> {
    vec![("http://a.example/1", Page::Text("Bread=2.5|Bread is dear.")), ("http://a.example/2", Page::Text("Milk is cheap."))]
}
