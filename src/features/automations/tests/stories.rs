//! From a draft to a cited report, and from one report to the next.

use super::*;

#[tokio::test]
async fn a_run_goes_from_the_queue_to_recall_and_is_charged_once() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    bench.world.set_pages(two_pages());
    let id = widget(&bench, &viewer, draft()).await;
    let run = bench.run_through(&viewer, &id).await;
    assert_eq!(
        (run.state, run.ingest, run.pages_collected, run.findings, run.metrics, run.chunks),
        (RunState::Succeeded, IngestState::Done, 2, 2, 1, 3)
    );
    let story = "queued, collecting, page new, page new, extracting, <extracted>, reporting, succeeded, <report>, ingest pending, ingest running, \
                 ingest running, ingest done, <done>";
    assert_eq!(bench.story(&run.id).await.join(", "), story);

    let spent = bench.ledger.statement(&viewer.user, 10).await.unwrap();
    assert_eq!(spent[0].tx_type.as_str(), "automation_spend");
    assert_eq!((spent[0].amount, spent[0].reference_key.as_str()), (-1, run.id.as_str()));
    let balance = bench.ledger.balance(&viewer.user).await.unwrap();
    assert_eq!((balance.balance, balance.reserved), (499_999, 0));
    assert_eq!(*bench.world.script.ingested.lock().unwrap(), [(run.id.clone(), 2)]);

    let view = bench.automations.report(&viewer, run.report_id.as_ref().unwrap()).await.unwrap();
    assert_eq!((view.report.pages, view.changes.clone()), (2, None));
    assert!(view.report.body.findings.iter().all(|finding| !finding.evidence.is_empty()));
}

#[tokio::test]
async fn the_next_run_knows_what_changed() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    bench.world.set_pages(two_pages());
    let id = widget(&bench, &viewer, draft()).await;
    bench.run_through(&viewer, &id).await;
    bench.world.set_pages(vec![
        ("http://a.example/1", Page::Text("Bread=3|Bread is dear.")),
        ("http://a.example/2", Page::Text("Milk is cheap.")),
        ("http://a.example/3", Page::Text("Milk is cheap.")),
        ("http://a.example/4", Page::Fails("timeout")),
    ]);
    let run = bench.run_through(&viewer, &id).await;
    let fates: Vec<PageFate> = bench.automations.run(&viewer, &run.id, &Part::default()).await.unwrap().pages.iter().map(|page| page.fate).collect();
    assert_eq!(fates, [PageFate::Changed, PageFate::Unchanged, PageFate::Skipped, PageFate::Failed]);

    let changes = bench.automations.report(&viewer, run.report_id.as_ref().unwrap()).await.unwrap().changes.unwrap();
    assert_eq!((changes.metrics.len(), changes.metrics[0].change), (1, Some(0.5)));
    assert_eq!((changes.new_findings.len(), changes.gone_findings.len()), (0, 0));

    let view = &bench.automations.widgets(&viewer, &Part::default(), None).await.unwrap().0[0];
    let latest = view.latest.as_ref().unwrap();
    let headline = latest.headline.as_ref().unwrap();
    assert_eq!((headline.name.as_str(), headline.value, headline.change), ("Bread", 3.0, Some(0.5)));
    assert_eq!(view.sparkline.iter().map(|point| point.value).collect::<Vec<_>>(), [2.5, 3.0]);
    assert_eq!(latest.freshness.unwrap().as_str(), "FRESH");
    assert_eq!(&bench.automations.widget(&viewer, &id).await.unwrap(), view, "one widget is shown as in the grid");
    assert_eq!(bench.automations.series(&viewer, &id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_report_does_not_depend_on_which_page_answers_first() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    let id = widget(&bench, &viewer, draft()).await;
    let mut pages = vec![
        ("http://a.example/1", Page::Text("Bread=2.5")),
        ("http://a.example/2", Page::Text("Milk=1")),
        ("http://a.example/3", Page::Text("Salt=4")),
    ];
    let mut told = Vec::new();
    for _ in 0..3 {
        bench.world.set_pages(pages.clone());
        let run = bench.run_through(&viewer, &id).await;
        let body = bench.automations.report(&viewer, run.report_id.as_ref().unwrap()).await.unwrap().report.body;
        told.push(body.metrics.into_iter().map(|metric| metric.name).collect::<Vec<_>>());
        pages.rotate_left(1);
    }
    assert_eq!(told[0], ["Bread", "Milk", "Salt"]);
    assert!(told.iter().all(|names| *names == told[0]), "{told:?}");
}

#[tokio::test]
async fn every_figure_that_moved_since_the_last_look_is_named() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    let page = |text: &'static str| vec![("http://a.example/1", Page::Text(text))];
    bench.world.set_pages(page("Bread=2.5|Milk=1|Salt=4"));
    let id = widget(&bench, &viewer, draft()).await;
    let before = bench.world.clock.now();
    bench.world.clock.advance(Duration::from_secs(60));
    bench.run_through(&viewer, &id).await;
    let first = bench.world.clock.now();
    let moved = |since| {
        let (automations, viewer) = (bench.automations.clone(), viewer.clone());
        async move {
            let changes = automations.widgets(&viewer, &Part::default(), Some(since)).await.unwrap().0.remove(0).latest.unwrap().changes;
            changes.map(|all| all.into_iter().map(|one| (one.name, one.previous, one.current)).collect::<Vec<_>>())
        }
    };
    assert_eq!(moved(before).await, None, "there was no report then");
    assert_eq!(moved(first).await, Some(vec![]));
    for milk in ["Bread=2.5|Milk=1.5|Eggs=3", "Bread=2.5|Milk=2|Eggs=3"] {
        bench.world.clock.advance(Duration::from_secs(60));
        bench.world.set_pages(page(milk));
        bench.run_through(&viewer, &id).await;
    }
    let named = |name: &str, previous, current| (name.to_owned(), previous, current);
    let all = vec![named("Milk", Some(1.0), Some(2.0)), named("Eggs", None, Some(3.0)), named("Salt", Some(4.0), None)];
    assert_eq!(moved(first).await, Some(all), "against what was there at the last look, over all runs since");
    assert_eq!(moved(bench.world.clock.now()).await, Some(vec![]));
    assert_eq!(bench.automations.widgets(&viewer, &Part::default(), None).await.unwrap().0[0].latest.as_ref().unwrap().changes, None);
}

#[tokio::test]
async fn upstream_reports_are_context_and_no_widget_is_upstream_of_itself() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    bench.world.set_pages(two_pages());
    let source = widget(&bench, &viewer, draft()).await;
    bench.run_through(&viewer, &source).await;
    let sink = widget(&bench, &viewer, WidgetDraft { upstream_widget_id: Some(source.clone()), max_upstream_age_hours: Some(1), ..draft() }).await;
    bench.run_through(&viewer, &sink).await;
    assert!(bench.world.script.contexts.lock().unwrap().last().unwrap().contains("Milk is cheap."));
    bench.world.clock.advance(Duration::from_secs(3 * 3_600));
    bench.run_through(&viewer, &sink).await;
    assert_eq!(bench.world.script.contexts.lock().unwrap().last().unwrap(), "", "too old to be used");

    let cycle = bench.automations.update_widget(&viewer, &source, |draft| draft.recall_from_widgets = vec![sink.clone()]).await.unwrap_err();
    let AutomationError::Invalid(invalid) = cycle else { panic!("not refused") };
    assert_eq!(invalid.field, "source_config.recall_from_widgets[0]");
    let stranger = bench.viewer().await;
    let foreign = WidgetDraft { upstream_widget_id: Some(source.clone()), ..draft() };
    let AutomationError::Invalid(invalid) = bench.automations.create_widget(&stranger, foreign).await.unwrap_err() else { panic!("not refused") };
    assert_eq!(invalid.field, "upstream_widget_id");
    assert!(matches!(bench.automations.widget(&stranger, &source).await, Err(AutomationError::NotFound)));
}

#[tokio::test]
async fn without_recall_the_story_ends_at_the_report() {
    let world = World::new();
    let bench = world.start(AutomationsSettings::default()).await;
    let viewer = bench.viewer().await;
    world.set_pages(two_pages());
    let id = widget(&bench, &viewer, draft()).await;
    let run = bench.run_through(&viewer, &id).await;
    assert_eq!((run.state, run.ingest), (RunState::Succeeded, IngestState::Off));
    let story = bench.story(&run.id).await;
    assert_eq!(story[story.len() - 3..], ["<report>", "ingest off", "<done>"]);
}
