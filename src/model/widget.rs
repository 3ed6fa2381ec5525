//! A widget: a scheduled question with a source. What one may be is decided here, before anything is stored.

use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use super::crawl::CrawlPolicy;
use super::ids::{CompanyId, DocumentId, UserId, WidgetId};
use super::invalid::Invalid;
use super::paused::PausedReason;
use super::role::Role;
use super::schedule::Schedule;
use crate::base::clock::Timestamp;

/// Most characters of a title.
pub const TITLE_CHARS_MAX: usize = 200;
/// Most characters of an objective.
pub const OBJECTIVE_CHARS_MAX: usize = 4_000;
/// Most start pages of a widget.
pub const URLS_MAX: usize = 100;
/// Most bytes of a start page's address.
pub const URL_BYTES_MAX: usize = 2_048;
/// Most documents a widget names.
pub const DOCUMENTS_MAX: usize = 500;
/// Most widgets one recalls from.
pub const RECALL_FROM_MAX: usize = 20;
/// Hours after which a widget's data counts as stale, unless it says otherwise.
pub const STALE_AFTER_HOURS_DEFAULT: u32 = 48;
/// Most hours of that: ten years.
pub const STALE_AFTER_HOURS_MAX: u32 = 87_600;

/// Where a widget's material comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceClass {
    /// Sites on the public internet.
    PublicWeb,
    /// Sites on the company's own network.
    InternalWeb,
    /// The company's documents: all of them, or those named.
    CompanyDocs,
    /// The uploaded files named.
    Upload,
    /// A news feed. Not in this version.
    Feed,
    /// A programming interface. Not in this version.
    Api,
}

impl SourceClass {
    /// As it is written in JSON and in chunks' metadata.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PublicWeb => "public_web",
            Self::InternalWeb => "internal_web",
            Self::CompanyDocs => "company_docs",
            Self::Upload => "upload",
            Self::Feed => "feed",
            Self::Api => "api",
        }
    }

    /// Whether pages are fetched over the network.
    #[must_use]
    pub const fn is_web(self) -> bool {
        matches!(self, Self::PublicWeb | Self::InternalWeb)
    }
}

/// Who may see a widget and what it found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Whoever made it, and the company's owner and admins.
    Private,
    /// Every member of the company.
    #[default]
    Company,
    /// The company, and through the shared pool others. Needs the plan's `shared_pool_access`.
    Public,
}

impl Visibility {
    /// As it is written in JSON and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Company => "company",
            Self::Public => "public",
        }
    }
}

impl std::str::FromStr for Visibility {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "private" => Ok(Self::Private),
            "company" => Ok(Self::Company),
            "public" => Ok(Self::Public),
            other => Err(Invalid::new("visibility", format!("{other:?} is no visibility"), "Choose private, company or public.")),
        }
    }
}

/// The source of a widget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceConfig {
    /// What kind of source.
    pub source_class: SourceClass,
    /// Start pages of a web source.
    #[serde(default)]
    pub urls: Vec<Url>,
    /// Documents of an upload, or of company documents (none = all of them).
    #[serde(default)]
    pub documents: Vec<DocumentId>,
    /// How far a crawl goes.
    #[serde(default)]
    pub crawl: CrawlPolicy,
    /// Further widgets whose latest reports give context.
    #[serde(default)]
    pub recall_from_widgets: Vec<WidgetId>,
    /// Oldest upstream material used, in hours; else the widget's `stale_after_hours`.
    #[serde(default)]
    pub max_upstream_age_hours: Option<u32>,
}

/// What somebody asks a widget to be.
#[derive(Clone, Debug, PartialEq)]
pub struct WidgetDraft {
    /// A name people recognise it by.
    pub title: String,
    /// The question.
    pub objective: String,
    /// What kind of source.
    pub source_class: SourceClass,
    /// Start pages, as typed.
    pub urls: Vec<String>,
    /// Documents.
    pub documents: Vec<DocumentId>,
    /// How far a crawl goes.
    pub crawl: CrawlPolicy,
    /// Further widgets whose latest reports give context.
    pub recall_from_widgets: Vec<WidgetId>,
    /// Oldest upstream material used, in hours.
    pub max_upstream_age_hours: Option<u32>,
    /// When it runs by itself.
    pub schedule: Schedule,
    /// Hours after which its data counts as stale.
    pub stale_after_hours: u32,
    /// The widget whose latest report is put into this one's context.
    pub upstream_widget_id: Option<WidgetId>,
    /// Who may see it.
    pub visibility: Visibility,
    /// Whether links of found pages are followed, to the crawl's depth.
    pub deep_collection: bool,
    /// Whether its schedule is off.
    pub paused: bool,
}

/// What a widget is, checked: made by [`WidgetDraft::validated`] only, or read back from the store.
#[derive(Clone, Debug, PartialEq)]
pub struct WidgetSpec {
    /// A name people recognise it by.
    pub title: String,
    /// The question.
    pub objective: String,
    /// Where its material comes from.
    pub source: SourceConfig,
    /// When it runs by itself.
    pub schedule: Schedule,
    /// Hours after which its data counts as stale.
    pub stale_after_hours: u32,
    /// The widget whose latest report is put into this one's context.
    pub upstream_widget_id: Option<WidgetId>,
    /// Who may see it.
    pub visibility: Visibility,
    /// Whether links of found pages are followed.
    pub deep_collection: bool,
    /// Whether its schedule is off.
    pub paused: bool,
}

/// A widget as kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Widget {
    /// Its id.
    pub id: WidgetId,
    /// Whose it is.
    pub company_id: CompanyId,
    /// What it is.
    pub spec: WidgetSpec,
    /// Why it is paused though nobody paused it.
    pub paused_reason: Option<PausedReason>,
    /// When it is due next; none while paused or manual.
    pub next_run_at: Option<Timestamp>,
    /// Who made it, and pays for its scheduled runs.
    pub created_by: UserId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

impl Widget {
    /// Whether a member of its company may see it, and whatever came of it: a private one is its maker's, and the company's admins' and
    /// owners'. `store/widgets.rs` has the same in SQL.
    #[must_use]
    pub fn is_shown_to(&self, member: &UserId, role: Role) -> bool {
        self.spec.visibility != Visibility::Private || self.created_by == *member || role.allows(Role::Admin)
    }
}

impl WidgetSpec {
    /// When the widget is due after `now`.
    #[must_use]
    pub fn next_run_after(&self, now: Timestamp) -> Option<Timestamp> {
        if self.paused { None } else { self.schedule.next_after(now) }
    }

    /// How many links away from a start page a crawl goes. Without deep collection only the pages that a start page itself names.
    #[must_use]
    pub fn crawl_depth(&self) -> u32 {
        if self.deep_collection { self.source.crawl.max_depth } else { self.source.crawl.max_depth.min(1) }
    }

    /// Hours beyond which upstream material is not used.
    #[must_use]
    pub fn upstream_age_hours(&self) -> u32 {
        self.source.max_upstream_age_hours.unwrap_or(self.stale_after_hours)
    }

    /// Every widget this one takes context from.
    pub fn upstream(&self) -> impl Iterator<Item = &WidgetId> {
        self.upstream_widget_id.iter().chain(&self.source.recall_from_widgets)
    }
}

impl WidgetDraft {
    /// Checks everything that can be checked without looking anything up.
    ///
    /// # Errors
    /// The first field that is wrong, why, and what would be right.
    pub fn validated(self) -> Result<WidgetSpec, Invalid> {
        let title = text("title", &self.title, TITLE_CHARS_MAX)?;
        let objective = text("objective", &self.objective, OBJECTIVE_CHARS_MAX)?;
        let schedule = self.schedule.validated()?;
        hours("stale_after_hours", self.stale_after_hours)?;
        if let Some(age) = self.max_upstream_age_hours {
            hours("source_config.max_upstream_age_hours", age)?;
        }
        if self.recall_from_widgets.len() > RECALL_FROM_MAX {
            return Err(Invalid::new(
                "source_config.recall_from_widgets",
                format!("{} automations are too many", self.recall_from_widgets.len()),
                format!("Name at most {RECALL_FROM_MAX}."),
            ));
        }
        let source = SourceConfig {
            source_class: self.source_class,
            urls: urls(self.source_class, &self.urls)?,
            documents: documents(self.source_class, self.documents)?,
            crawl: self.crawl.validated()?,
            recall_from_widgets: self.recall_from_widgets,
            max_upstream_age_hours: self.max_upstream_age_hours,
        };
        Ok(WidgetSpec {
            title,
            objective,
            source,
            schedule,
            stale_after_hours: self.stale_after_hours,
            upstream_widget_id: self.upstream_widget_id,
            visibility: self.visibility,
            deep_collection: self.deep_collection,
            paused: self.paused,
        })
    }
}

impl From<WidgetSpec> for WidgetDraft {
    /// The draft that a change starts from.
    fn from(spec: WidgetSpec) -> Self {
        Self {
            title: spec.title,
            objective: spec.objective,
            source_class: spec.source.source_class,
            urls: spec.source.urls.into_iter().map(String::from).collect(),
            documents: spec.source.documents,
            crawl: spec.source.crawl,
            recall_from_widgets: spec.source.recall_from_widgets,
            max_upstream_age_hours: spec.source.max_upstream_age_hours,
            schedule: spec.schedule,
            stale_after_hours: spec.stale_after_hours,
            upstream_widget_id: spec.upstream_widget_id,
            visibility: spec.visibility,
            deep_collection: spec.deep_collection,
            paused: spec.paused,
        }
    }
}

fn text(field: &str, value: &str, chars_max: usize) -> Result<String, Invalid> {
    let value = value.trim();
    if value.is_empty() {
        return Err(Invalid::new(field, "it is empty", format!("Write a {field}.")));
    }
    let chars = value.chars().count();
    if chars > chars_max {
        return Err(Invalid::new(field, format!("{chars} characters are too many"), format!("Use at most {chars_max}.")));
    }
    if value.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(Invalid::new(field, "it holds control characters", "Remove them."));
    }
    Ok(value.to_owned())
}

fn hours(field: &str, value: u32) -> Result<(), Invalid> {
    if (1..=STALE_AFTER_HOURS_MAX).contains(&value) {
        return Ok(());
    }
    Err(Invalid::new(field, format!("{value} hours is out of range"), format!("Choose 1 to {STALE_AFTER_HOURS_MAX} hours.")))
}

fn urls(class: SourceClass, typed: &[String]) -> Result<Vec<Url>, Invalid> {
    const FIELD: &str = "source_config.urls";
    match class {
        SourceClass::Feed | SourceClass::Api => {
            return Err(Invalid::new(
                "source_config.source_class",
                format!("{:?} is not available yet in this version", class.as_str()),
                "Choose public_web, internal_web, company_docs or upload.",
            ));
        }
        SourceClass::CompanyDocs | SourceClass::Upload if !typed.is_empty() => {
            return Err(Invalid::new(
                FIELD,
                format!("a {} source takes no addresses", class.as_str()),
                "Leave the addresses out, or choose a web source.",
            ));
        }
        SourceClass::CompanyDocs | SourceClass::Upload => return Ok(Vec::new()),
        SourceClass::PublicWeb | SourceClass::InternalWeb => {}
    }
    if typed.is_empty() || typed.len() > URLS_MAX {
        return Err(Invalid::new(FIELD, format!("{} start pages", typed.len()), format!("Give 1 to {URLS_MAX} addresses.")));
    }
    let mut urls = Vec::with_capacity(typed.len());
    for (place, typed) in typed.iter().enumerate() {
        let url = start_page(&format!("{FIELD}[{place}]"), typed.trim())?;
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    Ok(urls)
}

fn start_page(field: &str, typed: &str) -> Result<Url, Invalid> {
    let shown = crate::base::text::truncate(typed, 120);
    let wrong = |message: String| Invalid::new(field, message, "Give a full address such as https://example.com/news.");
    if typed.len() > URL_BYTES_MAX {
        return Err(wrong(format!("the address has more than {URL_BYTES_MAX} bytes")));
    }
    let mut url = Url::parse(typed).map_err(|error| wrong(format!("{shown:?} is not an address: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong(format!("{shown:?} is not a web address")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("an address must not carry a user name or password".into()));
    }
    url.set_fragment(None);
    Ok(url)
}

fn documents(class: SourceClass, mut named: Vec<DocumentId>) -> Result<Vec<DocumentId>, Invalid> {
    const FIELD: &str = "source_config.documents";
    if class.is_web() && !named.is_empty() {
        return Err(Invalid::new(FIELD, "a web source takes no documents", "Leave the documents out, or choose upload or company_docs."));
    }
    if class == SourceClass::Upload && named.is_empty() {
        return Err(Invalid::new(FIELD, "no document is named", "Upload a file first and name it here."));
    }
    if named.len() > DOCUMENTS_MAX {
        return Err(Invalid::new(FIELD, format!("{} documents are too many", named.len()), format!("Name at most {DOCUMENTS_MAX}.")));
    }
    let mut seen = std::collections::HashSet::new();
    named.retain(|id| seen.insert(id.clone()));
    Ok(named)
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A valid draft of a web widget.
    pub(crate) fn draft() -> WidgetDraft {
        WidgetDraft {
            title: "Prices".into(),
            objective: "What does a litre cost?".into(),
            source_class: SourceClass::PublicWeb,
            urls: vec!["https://example.com/prices#top".into()],
            documents: vec![],
            crawl: CrawlPolicy::default(),
            recall_from_widgets: vec![],
            max_upstream_age_hours: None,
            schedule: Schedule::Manual,
            stale_after_hours: STALE_AFTER_HOURS_DEFAULT,
            upstream_widget_id: None,
            visibility: Visibility::Company,
            deep_collection: false,
            paused: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::draft;
    use super::*;
    use crate::base::seams::Seams;

    #[test]
    fn a_good_draft_is_taken_in_its_one_form() {
        let spec = WidgetDraft { title: "  Prices ".into(), urls: vec!["https://example.com/a#x".into(), "https://example.com/a".into()], ..draft() };
        let spec = spec.validated().unwrap();
        assert_eq!(spec.title, "Prices");
        assert_eq!(spec.source.urls.iter().map(Url::as_str).collect::<Vec<_>>(), ["https://example.com/a"]);
        assert_eq!(WidgetDraft::from(spec.clone()).validated().unwrap(), spec);
    }

    #[test]
    fn each_wrong_field_is_named() {
        let document = DocumentId::new(&Seams::system());
        let cases = [
            ("title", WidgetDraft { title: "  ".into(), ..draft() }),
            ("title", WidgetDraft { title: "x".repeat(201), ..draft() }),
            ("objective", WidgetDraft { objective: "a\0b".into(), ..draft() }),
            ("stale_after_hours", WidgetDraft { stale_after_hours: 0, ..draft() }),
            ("source_config.urls", WidgetDraft { urls: vec![], ..draft() }),
            ("source_config.urls[0]", WidgetDraft { urls: vec!["example.com".into()], ..draft() }),
            ("source_config.urls[0]", WidgetDraft { urls: vec!["file:///etc/passwd".into()], ..draft() }),
            ("source_config.urls[1]", WidgetDraft { urls: vec!["http://a.example/".into(), "https://me:secret@b.example/".into()], ..draft() }),
            ("source_config.source_class", WidgetDraft { source_class: SourceClass::Feed, ..draft() }),
            ("source_config.source_class", WidgetDraft { source_class: SourceClass::Api, ..draft() }),
            ("source_config.documents", WidgetDraft { documents: vec![document], ..draft() }),
            ("source_config.documents", WidgetDraft { source_class: SourceClass::Upload, urls: vec![], ..draft() }),
            ("source_config.urls", WidgetDraft { source_class: SourceClass::CompanyDocs, ..draft() }),
            ("source_config.max_upstream_age_hours", WidgetDraft { max_upstream_age_hours: Some(0), ..draft() }),
            ("source_config.crawl.max_pages", WidgetDraft { crawl: CrawlPolicy { max_pages: 0, ..CrawlPolicy::default() }, ..draft() }),
        ];
        for (field, draft) in cases {
            let invalid = draft.validated().unwrap_err();
            assert_eq!(invalid.field, field, "{invalid}");
            assert!(!invalid.remedy.is_empty());
            assert!(!invalid.message.contains("secret"));
        }
    }

    #[test]
    fn only_deep_collection_goes_further_than_one_link() {
        let mut spec = draft().validated().unwrap();
        assert_eq!(spec.crawl_depth(), 1);
        spec.deep_collection = true;
        assert_eq!(spec.crawl_depth(), CrawlPolicy::default().max_depth);
    }

    #[test]
    fn a_paused_widget_is_never_due() {
        let spec = WidgetDraft { schedule: Schedule::Every { minutes: 5 }, paused: true, ..draft() }.validated().unwrap();
        assert_eq!(spec.next_run_after(Timestamp::from_millis(0)), None);
    }
}
