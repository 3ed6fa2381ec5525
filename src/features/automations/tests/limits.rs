//! What an automation may do, whose it is, and how much it reads.

use super::*;

#[tokio::test]
async fn the_plan_is_asked_and_what_a_widget_has_it_keeps() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    let refused = [
        ("deep_collection", WidgetDraft { deep_collection: true, ..draft() }),
        ("shared_pool_access", WidgetDraft { visibility: Visibility::Public, ..draft() }),
        ("crawl_pages_max", {
            let mut draft = draft();
            draft.crawl.max_pages = 51;
            draft
        }),
    ];
    for (feature, draft) in refused {
        let AutomationError::Refused(refusal) = bench.automations.create_widget(&viewer, draft).await.unwrap_err() else { panic!("not refused") };
        assert_eq!(refusal.feature.key(), feature);
    }
    for _ in 0..3 {
        widget(&bench, &viewer, draft()).await;
    }
    let AutomationError::Refused(refusal) = bench.automations.create_widget(&viewer, draft()).await.unwrap_err() else { panic!("not refused") };
    assert_eq!((refusal.feature.key(), refusal.limit, refusal.used), ("max_widgets", 3, 3));
}

#[tokio::test]
async fn a_private_widget_is_its_makers_and_the_admins() {
    let bench = bench().await;
    let owner = bench.viewer().await;
    bench.world.set_pages(two_pages());
    let id = widget(&bench, &owner, WidgetDraft { visibility: Visibility::Private, ..draft() }).await;
    let run = bench.run_through(&owner, &id).await;
    let other = bench.viewer().await;
    let member = Viewer { company: owner.company.clone(), user: other.user.clone(), role: Role::Member };
    assert!(matches!(bench.automations.widget(&member, &id).await, Err(AutomationError::NotFound)));
    assert!(matches!(bench.automations.run(&member, &run.id, &Part::default()).await, Err(AutomationError::NotFound)));
    assert!(matches!(bench.automations.report(&member, run.report_id.as_ref().unwrap()).await, Err(AutomationError::NotFound)));
    assert_eq!(bench.automations.widgets(&member, &Part::default(), None).await.unwrap().0.len(), 0);
    let admin = Viewer { role: Role::Admin, ..member };
    assert_eq!(bench.automations.widgets(&admin, &Part::default(), None).await.unwrap().0.len(), 1);
}

#[tokio::test]
async fn documents_are_a_source_like_any_other() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    let of = |id: &DocumentId| WidgetDraft { source_class: SourceClass::Upload, urls: vec![], documents: vec![id.clone()], ..draft() };
    let foreign = bench.document(&bench.viewer().await, "Leave=20").await;
    let AutomationError::Invalid(invalid) = bench.automations.create_widget(&viewer, of(&foreign)).await.unwrap_err() else { panic!("not refused") };
    assert_eq!(invalid.field, "source_config.documents[0]");
    let id = bench.document(&viewer, "Leave=30|Leave is thirty days.").await;
    bench.store.test_document((DocumentId::new(&bench.seams), viewer.company.clone(), viewer.user.clone())).await;
    let draft = of(&id);
    let upload = widget(&bench, &viewer, draft).await;
    let run = bench.run_through(&viewer, &upload).await;
    assert_eq!((run.state, run.pages_collected), (RunState::Succeeded, 1));
    let view = bench.automations.run(&viewer, &run.id, &Part::default()).await.unwrap();
    assert_eq!(view.pages[0].url, format!("document:{id}"));
    let report = bench.automations.report(&viewer, run.report_id.as_ref().unwrap()).await.unwrap().report;
    assert_eq!(report.body.evidence[0].source.document_id, Some(id));
    let all = WidgetDraft { source_class: SourceClass::CompanyDocs, urls: vec![], ..crate::model::widget::testing::draft() };
    let all = widget(&bench, &viewer, all).await;
    let run = bench.run_through(&viewer, &all).await;
    let fates: Vec<PageFate> = bench.automations.run(&viewer, &run.id, &Part::default()).await.unwrap().pages.iter().map(|page| page.fate).collect();
    assert_eq!(fates, [PageFate::New, PageFate::Skipped]);
}

#[tokio::test]
async fn a_refused_host_is_told_at_once_and_a_deleted_widget_stops_and_is_forgotten() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    bench.world.set_pages(vec![("http://a.example/1", Page::Hangs)]);
    let urls = vec!["http://refused.example/".into(), "http://a.example/".into()];
    let refused = bench.automations.create_widget(&viewer, WidgetDraft { urls, ..draft() }).await;
    assert!(matches!(refused, Err(AutomationError::Destination(error)) if error.code == "egress_not_allowed"));
    let view = bench.automations.create_widget(&viewer, WidgetDraft { urls: vec!["http://a.example/".into()], ..draft() }).await.unwrap();
    let id = view.widget.id;
    let run = bench.automations.start_run(&viewer, &id).await.unwrap();
    bench.automations.drive().await.unwrap();
    bench.automations.delete_widget(&viewer, &id).await.unwrap();
    bench.until(&viewer, &run.id, |run| run.state == RunState::Cancelled).await;
    assert_eq!(bench.world.script.forgotten.lock().unwrap().as_slice(), std::slice::from_ref(&id));
    assert!(matches!(bench.automations.start_run(&viewer, &id).await, Err(AutomationError::NotFound)));
}

#[tokio::test]
async fn a_run_reads_what_it_has_memory_for_and_says_what_it_left_out() {
    // The first page alone fits, in what is read and in what is recalled.
    let text = "Milk is cheap.";
    let one_page = page_text(text).held_bytes();
    let bench = World::new().start(AutomationsSettings { text_bytes_max: one_page, ..settings() }).await;
    let viewer = bench.viewer().await;
    let long: &'static str = "Bread is dear, and has been so for longer than anybody here cares to remember, whatever the millers say of it.";
    bench.world.set_pages(vec![("http://a.example/1", Page::Text(text)), ("http://a.example/2", Page::Text(long))]);
    let id = widget(&bench, &viewer, draft()).await;
    let run = bench.run_through(&viewer, &id).await;
    assert_eq!((run.state, run.ingest, run.pages_collected, run.findings), (RunState::Succeeded, IngestState::Done, 2, 1));
    assert_eq!(bench.automations.report(&viewer, run.report_id.as_ref().unwrap()).await.unwrap().report.pages, 1);
    let notice = run.notice.unwrap();
    assert_eq!(notice.code, "pages_not_read");
    assert!(notice.message.starts_with("1 page is not in the report"), "{}", notice.message);
    assert!(notice.message.contains("1 page is not recallable"), "{}", notice.message);
    assert_eq!(*bench.world.script.ingested.lock().unwrap(), [(run.id.clone(), 1)]);
    let pages = bench.automations.run(&viewer, &run.id, &Part::default()).await.unwrap().pages;
    assert_eq!((pages[0].reason.as_deref(), pages[1].fate), (None, PageFate::New));
    assert!(pages[1].reason.as_deref().unwrap().starts_with("not_read: "));
    let events = bench.store.events_after(run.id.to_string(), 0, 1_000).await.unwrap();
    let told: Vec<_> = events.iter().filter(|event| event.kind == "ingest").map(|event| event.data["notice"]["code"].clone()).collect();
    assert_eq!(told, vec![json!("pages_not_read"); told.len()], "at every step");
}

#[tokio::test]
async fn documents_beyond_the_memory_are_not_read() {
    let text = "Leave is thirty days.";
    let held = page_text(text).held_bytes();
    let bench = World::new().start(AutomationsSettings { text_bytes_max: held, ingest: false, ..settings() }).await;
    let viewer = bench.viewer().await;
    bench.document(&viewer, "Leave was twenty days.").await;
    bench.tick();
    bench.document(&viewer, text).await;
    let all = WidgetDraft { source_class: SourceClass::CompanyDocs, urls: vec![], ..draft() };
    let id = widget(&bench, &viewer, all).await;
    let run = bench.run_through(&viewer, &id).await;
    assert_eq!((run.state, run.ingest, run.findings), (RunState::Succeeded, IngestState::Off, 1));
    assert!(run.notice.unwrap().message.starts_with("1 page is not in the report"));
    let report = bench.automations.report(&viewer, run.report_id.as_ref().unwrap()).await.unwrap().report;
    assert_eq!(report.body.findings[0].text, text, "the newest first");
}
