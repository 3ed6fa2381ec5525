//! Widgets: scheduled questions with a source.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::widget_views::Widget;
use crate::base::clock::Timestamp;
use crate::features::automations::{AutomationError, Viewer};
use crate::http::caller::{CompanyAdmin, CompanyMember, CompanyWorker, Ids, RequestOrigin, role_too_low};
use crate::http::errors::ErrorEnvelope;
use crate::http::extract::{ValidJson, ValidQuery, part};
use crate::http::{ApiError, AppState};
use crate::model::crawl::CrawlPolicy;
use crate::model::ids::{CompanyId, DocumentId, WidgetId};
use crate::model::schedule::Schedule;
use crate::model::widget::{STALE_AFTER_HOURS_DEFAULT, SourceClass, Visibility, WidgetDraft};

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, change, delete)).routes(routes!(take_over))
}

impl From<AutomationError> for ApiError {
    fn from(error: AutomationError) -> Self {
        match error {
            AutomationError::NotFound => Self::not_found(),
            AutomationError::MakerGone => {
                Self::conflict("maker_gone", "Whoever made this automation may not run it any more, and its schedule would spend their tokens.")
                    .field("paused")
                    .remedy("An admin or owner of the company takes it over.")
            }
            AutomationError::NotYours => role_too_low("Automations of others are changed and deleted from the role dev up.".to_owned()),
            AutomationError::Invalid(invalid) => Self::invalid(invalid.field, invalid.message).remedy(invalid.remedy),
            AutomationError::Refused(refusal) => refusal.into(),
            AutomationError::Destination(error) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.code, error.message).field("source_config.urls").remedy(error.remedy)
            }
            AutomationError::RunInProgress(run) => Self::conflict("run_in_progress", format!("A run of this automation is in progress: {run}."))
                .remedy("Wait for it, or cancel it first.")
                .fact("run_id", run.as_str()),
            AutomationError::RunOver(state) => Self::conflict("run_over", format!("The run is over: it is {}.", state.as_str())),
            AutomationError::Store(error) => error.into(),
        }
    }
}

/// Who asks.
pub(super) fn viewer(member: CompanyMember) -> Viewer {
    Viewer { user: member.user().id.clone(), company: member.company.id, role: member.role }
}

/// The ids in a widget's path.
#[derive(Debug, Deserialize)]
pub(super) struct InWidget {
    #[serde(rename = "company")]
    _company: CompanyId,
    pub(super) widget: WidgetId,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SourceBody {
    source_class: SourceClass,
    /// Start pages of a web source.
    #[serde(default)]
    urls: Vec<String>,
    /// Documents of an upload, or of company documents (none = all).
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    documents: Vec<DocumentId>,
    #[serde(default)]
    crawl: CrawlPolicy,
    /// Widgets whose latest reports give context.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    recall_from_widgets: Vec<WidgetId>,
    /// Oldest upstream material used, in hours.
    #[serde(default)]
    max_upstream_age_hours: Option<u32>,
}

impl SourceBody {
    fn put_into(self, draft: &mut WidgetDraft) {
        draft.source_class = self.source_class;
        draft.urls = self.urls;
        draft.documents = self.documents;
        draft.crawl = self.crawl;
        draft.recall_from_widgets = self.recall_from_widgets;
        draft.max_upstream_age_hours = self.max_upstream_age_hours;
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewWidget {
    title: String,
    /// The question.
    objective: String,
    source_config: SourceBody,
    #[serde(default)]
    schedule: Schedule,
    /// Hours after which its data counts as stale; 48 unless given.
    stale_after_hours: Option<u32>,
    /// The widget whose latest report gives context.
    #[schema(value_type = Option<String>)]
    upstream_widget_id: Option<WidgetId>,
    #[serde(default)]
    visibility: Visibility,
    /// Follow links from found pages, to the crawl's depth.
    #[serde(default)]
    deep_collection: bool,
    /// Turn the schedule off.
    #[serde(default)]
    paused: bool,
}

impl From<NewWidget> for WidgetDraft {
    fn from(new: NewWidget) -> Self {
        let source = new.source_config;
        Self {
            title: new.title,
            objective: new.objective,
            source_class: source.source_class,
            urls: source.urls,
            documents: source.documents,
            crawl: source.crawl,
            recall_from_widgets: source.recall_from_widgets,
            max_upstream_age_hours: source.max_upstream_age_hours,
            schedule: new.schedule,
            stale_after_hours: new.stale_after_hours.unwrap_or(STALE_AFTER_HOURS_DEFAULT),
            upstream_widget_id: new.upstream_widget_id,
            visibility: new.visibility,
            deep_collection: new.deep_collection,
            paused: new.paused,
        }
    }
}

/// What is left out stays as it is; `source_config` is replaced as a whole.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WidgetChange {
    title: Option<String>,
    objective: Option<String>,
    source_config: Option<SourceBody>,
    schedule: Option<Schedule>,
    stale_after_hours: Option<u32>,
    /// `null` takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    upstream_widget_id: Option<Option<WidgetId>>,
    visibility: Option<Visibility>,
    deep_collection: Option<bool>,
    paused: Option<bool>,
}

fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl WidgetChange {
    fn put_into(self, draft: &mut WidgetDraft) {
        fn set<T>(place: &mut T, wanted: Option<T>) {
            if let Some(wanted) = wanted {
                *place = wanted;
            }
        }
        set(&mut draft.title, self.title);
        set(&mut draft.objective, self.objective);
        set(&mut draft.schedule, self.schedule);
        set(&mut draft.stale_after_hours, self.stale_after_hours);
        set(&mut draft.upstream_widget_id, self.upstream_widget_id);
        set(&mut draft.visibility, self.visibility);
        set(&mut draft.deep_collection, self.deep_collection);
        set(&mut draft.paused, self.paused);
        if let Some(source) = self.source_config {
            source.put_into(draft);
        }
    }
}

#[derive(Serialize, ToSchema)]
struct WidgetList {
    widgets: Vec<Widget>,
    /// Where the next part begins (`before`); null when there is none.
    #[schema(value_type = Option<String>)]
    next_before: Option<WidgetId>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Look {
    /// Where this part begins: `next_before` of the answer before.
    before: Option<String>,
    /// At most so many, up to 500.
    limit: Option<u32>,
    /// When the caller last looked: each widget then says which figures moved since.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
}

/// The company's widgets, oldest first.
#[utoipa::path(get, path = "/api/companies/{company}/widgets", tag = "automations", operation_id = "list_widgets",
    params(("company" = String, Path), Look), responses((status = 200, body = WidgetList), (status = 404, body = ErrorEnvelope)))]
async fn list(State(state): State<AppState>, member: CompanyMember, ValidQuery(look): ValidQuery<Look>) -> Result<Json<WidgetList>, ApiError> {
    let part = part(look.before, look.limit)?;
    let (widgets, next_before) = state.automations.widgets(&viewer(member), &part, look.since).await?;
    Ok(Json(WidgetList { widgets: widgets.into_iter().map(Into::into).collect(), next_before }))
}

/// Makes a widget.
#[utoipa::path(post, path = "/api/companies/{company}/widgets", tag = "automations", operation_id = "create_widget",
    params(("company" = String, Path)), request_body = NewWidget,
    responses((status = 201, body = Widget), (status = 402, body = ErrorEnvelope), (status = 422, body = ErrorEnvelope)))]
async fn create(
    State(state): State<AppState>,
    CompanyWorker(member): CompanyWorker,
    ValidJson(new): ValidJson<NewWidget>,
) -> Result<(StatusCode, Json<Widget>), ApiError> {
    let viewer = viewer(member);
    let view = state.automations.create_widget(&viewer, new.into()).await?;
    Ok((StatusCode::CREATED, Json(view.into())))
}

/// A widget.
#[utoipa::path(get, path = "/api/companies/{company}/widgets/{widget}", tag = "automations", operation_id = "get_widget",
    params(("company" = String, Path), ("widget" = String, Path)), responses((status = 200, body = Widget), (status = 404, body = ErrorEnvelope)))]
async fn get(State(state): State<AppState>, member: CompanyMember, Ids(ids): Ids<InWidget>) -> Result<Json<Widget>, ApiError> {
    Ok(Json(state.automations.widget(&viewer(member), &ids.widget).await?.into()))
}

/// Changes a widget: what is left out stays.
#[utoipa::path(patch, path = "/api/companies/{company}/widgets/{widget}", tag = "automations", operation_id = "change_widget",
    params(("company" = String, Path), ("widget" = String, Path)), request_body = WidgetChange,
    responses((status = 200, body = Widget), (status = 402, body = ErrorEnvelope), (status = 404, body = ErrorEnvelope), (status = 422, body = ErrorEnvelope)))]
async fn change(
    State(state): State<AppState>,
    CompanyWorker(member): CompanyWorker,
    Ids(ids): Ids<InWidget>,
    ValidJson(change): ValidJson<WidgetChange>,
) -> Result<Json<Widget>, ApiError> {
    let viewer = viewer(member);
    let view = state.automations.update_widget(&viewer, &ids.widget, |draft| change.put_into(draft)).await?;
    Ok(Json(view.into()))
}

/// Deletes a widget, stops its run and takes what it collected out of recall.
#[utoipa::path(delete, path = "/api/companies/{company}/widgets/{widget}", tag = "automations", operation_id = "delete_widget",
    params(("company" = String, Path), ("widget" = String, Path)), responses((status = 204), (status = 404, body = ErrorEnvelope)))]
async fn delete(State(state): State<AppState>, CompanyWorker(member): CompanyWorker, Ids(ids): Ids<InWidget>) -> Result<StatusCode, ApiError> {
    let viewer = viewer(member);
    state.automations.delete_widget(&viewer, &ids.widget).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a widget over: its schedule goes on, and the caller pays for it. For admins and owners.
#[utoipa::path(post, path = "/api/companies/{company}/widgets/{widget}/take-over", tag = "automations", operation_id = "take_over_widget",
    params(("company" = String, Path), ("widget" = String, Path)),
    responses((status = 200, body = Widget), (status = 403, body = ErrorEnvelope), (status = 404, body = ErrorEnvelope)))]
async fn take_over(
    State(state): State<AppState>,
    CompanyAdmin(member): CompanyAdmin,
    Ids(ids): Ids<InWidget>,
    RequestOrigin(origin): RequestOrigin,
) -> Result<Json<Widget>, ApiError> {
    let viewer = Viewer { user: member.caller.user.id, company: member.company.id, role: member.role };
    Ok(Json(state.automations.take_over(&viewer, &ids.widget, &origin).await?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_short_body_is_enough_and_a_change_leaves_the_rest() {
        let new: NewWidget = serde_json::from_value(json!({
            "title": "T", "objective": "O", "source_config": {"source_class": "public_web", "urls": ["http://a.example/"], "crawl": {"max_pages": 5}}
        }))
        .unwrap();
        let mut draft = WidgetDraft::from(new);
        assert_eq!((draft.crawl.max_pages, draft.crawl.max_depth, draft.stale_after_hours), (5, 3, 48));
        let before = draft.clone();
        serde_json::from_value::<WidgetChange>(json!({})).unwrap().put_into(&mut draft);
        assert_eq!(draft, before);
        let change = json!({"paused": true, "upstream_widget_id": null, "schedule": {"kind": "every", "minutes": 30}});
        serde_json::from_value::<WidgetChange>(change).unwrap().put_into(&mut draft);
        assert_eq!((draft.paused, draft.schedule), (true, Schedule::Every { minutes: 30 }));
        assert!(serde_json::from_value::<NewWidget>(json!({"titel": "T"})).is_err());
    }
}
