//! The extractor inside the binary.

use std::sync::Arc;

use super::seams::{CollectedSource, Extractor};
use crate::model::report::ReportBody;
use crate::services::collect::extract::{Objective, SourcePage, extract_report};

/// The extractor inside the binary: tables, key figures and key sentences, without a model.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltInExtractor;

impl Extractor for BuiltInExtractor {
    fn extract(&self, sources: &[CollectedSource], title: &str, objective: &str, context: &str) -> ReportBody {
        let pages: Vec<SourcePage> = sources
            .iter()
            .map(|source| SourcePage { source: source.source.clone(), text: Arc::clone(&source.text), collected_at: source.collected_at })
            .collect();
        extract_report(&pages, &Objective::new(title, objective).with_context(context))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Library;
    use super::super::testing::page_text;
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::model::report::SourceRef;

    #[tokio::test]
    async fn what_is_kept_is_read_again_and_reported_with_its_evidence() {
        let (store, _folder) = crate::store::testing::store();
        let (_, company) = crate::store::testing::user_and_company(&store).await;
        let library = Library::new(store);
        let text = Arc::new(page_text("The Rhine has a length of 1,230 km and flows through six countries to the North Sea."));
        let source = CollectedSource {
            source: SourceRef { url: Some("http://a.example/rhine".into()), document_id: None, title: "Rhine".into(), page_number: None },
            content_hash: text.content_hash(),
            text,
            collected_at: Timestamp::from_millis(1_795_300_000_000),
        };
        library.keep(&company, &source).await.unwrap();
        let kept = library.text(&company, &source.content_hash).await.unwrap().unwrap();
        assert_eq!((kept.source.title.as_str(), &kept.text), ("Rhine", &source.text));
        assert!(library.text(&company, "00").await.unwrap().is_none());

        let body = BuiltInExtractor.extract(std::slice::from_ref(&source), "Rivers", "How long is the Rhine?", "");
        assert_eq!((body.metrics[0].value, body.metrics[0].unit.as_deref()), (1230.0, Some("km")));
        let evidence = body.evidence(&body.metrics[0].evidence[0]).unwrap();
        assert_eq!(evidence.content_hash, source.content_hash);
        assert!(source.text.canonical_text().contains(&evidence.quote));
    }
}
