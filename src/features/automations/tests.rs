//! Whole stories: from a draft to a cited report, with whatever can go wrong on the way.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;

use super::testing::{Bench, Page, World, bench, settings};
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

async fn widget(bench: &Bench, viewer: &Viewer, draft: WidgetDraft) -> WidgetId {
    bench.automations.create_widget(viewer, draft).await.unwrap().widget.id
}

fn two_pages() -> Vec<(&'static str, Page)> {
    vec![("http://a.example/1", Page::Text("Bread=2.5|Bread is dear.")), ("http://a.example/2", Page::Text("Milk is cheap."))]
}

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
async fn a_widget_runs_once_at_a_time_and_missed_ticks_make_one_run() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    bench.world.set_pages(vec![("http://a.example/1", Page::Hangs)]);
    let id = widget(&bench, &viewer, WidgetDraft { schedule: Schedule::Every { minutes: 5 }, ..draft() }).await;
    assert_eq!(bench.automations.queue_due().await.unwrap(), 0);
    bench.world.clock.advance(Duration::from_secs(3_600));
    assert_eq!(bench.automations.queue_due().await.unwrap(), 1, "twelve missed ticks, one run");
    assert_eq!(bench.automations.queue_due().await.unwrap(), 0);
    let due = |bench: &Bench| {
        let (automations, viewer, id) = (bench.automations.clone(), viewer.clone(), id.clone());
        async move { automations.widget(&viewer, &id).await.unwrap().widget.next_run_at.unwrap() }
    };
    assert_eq!(due(&bench).await, bench.world.clock.now().plus(Duration::from_secs(300)));

    bench.automations.drive().await.unwrap();
    let AutomationError::RunInProgress(run) = bench.automations.start_run(&viewer, &id).await.unwrap_err() else { panic!("not refused") };
    bench.world.clock.advance(Duration::from_secs(300));
    assert_eq!(bench.automations.queue_due().await.unwrap(), 0, "its run is still going");
    assert_eq!(due(&bench).await, bench.world.clock.now().plus(Duration::from_secs(300)), "and the tick does not spin");
    bench.automations.cancel_run(&viewer, &run).await.unwrap();
    bench.until(&viewer, &run, |run| run.state == RunState::Cancelled).await;
}

#[tokio::test]
async fn a_working_run_can_be_cancelled_and_costs_what_it_had_read() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    bench.world.set_pages(vec![("http://a.example/1", Page::Text("Bread is dear.")), ("http://a.example/2", Page::Hangs)]);
    let id = widget(&bench, &viewer, draft()).await;
    let run = bench.automations.start_run(&viewer, &id).await.unwrap();
    bench.automations.drive().await.unwrap();
    bench.until(&viewer, &run.id, |run| run.pages_collected == 1).await;
    bench.automations.cancel_run(&viewer, &run.id).await.unwrap();
    bench.until(&viewer, &run.id, |run| run.state == RunState::Cancelled).await;
    assert_eq!(bench.story(&run.id).await, ["queued", "collecting", "page new", "cancelled", "<cancelled>"]);
    let over = bench.automations.cancel_run(&viewer, &run.id).await.unwrap_err();
    assert!(matches!(over, AutomationError::RunOver(RunState::Cancelled)));
    assert_eq!(bench.tasks.stop(Duration::from_secs(5)).await, 0);
    let balance = bench.ledger.balance(&viewer.user).await.unwrap();
    assert_eq!((balance.balance, balance.reserved), (499_999, 0));
    let spent = &bench.ledger.statement(&viewer.user, 10).await.unwrap()[0];
    let detail: serde_json::Value = serde_json::from_str(&spent.metadata_json).unwrap();
    assert_eq!((spent.reference_key.as_str(), &detail["pages"], &detail["cancelled"]), (run.id.as_str(), &json!(1), &json!(true)));
    assert!(bench.ledger.verify().await.unwrap().first_error.is_none());
    assert_eq!(bench.automations.widget(&viewer, &id).await.unwrap().latest.unwrap().run.state, RunState::Cancelled);
}

#[tokio::test]
async fn a_run_cancelled_before_it_read_anything_costs_nothing() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    bench.world.set_pages(vec![("http://a.example/1", Page::Hangs)]);
    let id = widget(&bench, &viewer, draft()).await;
    let run = bench.automations.start_run(&viewer, &id).await.unwrap();
    bench.automations.drive().await.unwrap();
    bench.automations.cancel_run(&viewer, &run.id).await.unwrap();
    bench.until(&viewer, &run.id, |run| run.state == RunState::Cancelled).await;
    assert_eq!(bench.tasks.stop(Duration::from_secs(5)).await, 0);
    let balance = bench.ledger.balance(&viewer.user).await.unwrap();
    assert_eq!((balance.balance, balance.reserved), (500_000, 0));
}

#[tokio::test]
async fn when_time_is_up_the_run_reports_on_what_it_has() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    bench.world.set_pages(vec![("http://a.example/1", Page::Text("Bread is dear.")), ("http://a.example/2", Page::Hangs)]);
    let id = widget(&bench, &viewer, draft()).await;
    let run = bench.automations.start_run(&viewer, &id).await.unwrap();
    bench.automations.drive().await.unwrap();
    bench.until(&viewer, &run.id, |run| run.pages_collected == 1).await;
    bench.world.clock.advance(Duration::from_secs(settings().collect_seconds_max));
    let run = bench.until(&viewer, &run.id, |run| !run.state.is_active()).await;
    assert_eq!((run.state, run.findings), (RunState::Succeeded, 1));
}

#[tokio::test]
async fn each_failure_says_what_happened_and_what_to_do() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    let id = widget(&bench, &viewer, draft()).await;
    let cases = [
        (
            vec![("http://a.example/", Page::Refuses("b.example:8080")), ("http://a.example/x", Page::Refuses("a.example"))],
            "egress_not_allowed",
            "may not reach a.example, b.example:8080.",
        ),
        (vec![("http://a.example/", Page::Fails("connect"))], "connect", "http://a.example/: it did not work"),
        (vec![("http://a.example/", Page::Fails("connect")), ("http://b.example/", Page::Fails("tls"))], "site_unreachable", "a.example"),
        (vec![("http://a.example/", Page::Skips("robots: x"))], "robots_disallowed", "robots.txt"),
        (vec![], "nothing_collected", "No page with text"),
        (vec![("http://a.example/", Page::Skips("no_text: it has no text"))], "nothing_collected", "http://a.example/: no_text"),
        (vec![("http://a.example/", Page::Panics)], "internal_error", "went wrong"),
    ];
    for (pages, code, text) in cases {
        bench.world.set_pages(pages);
        let run = bench.run_through(&viewer, &id).await;
        let error = run.error.unwrap();
        assert_eq!((run.state, error.code.as_str()), (RunState::Failed, code));
        assert!(error.message.contains(text) && !error.remedy.is_empty(), "{error:?}");
        assert_eq!(bench.story(&run.id).await.last().unwrap(), "<failed>");
    }
    assert_eq!(bench.automations.runs(&viewer, &id, &Part::default()).await.unwrap().len(), 7);
    let breaking = widget(&bench, &viewer, WidgetDraft { objective: "break".into(), ..draft() }).await;
    bench.world.set_pages(two_pages());
    assert_eq!(bench.run_through(&viewer, &breaking).await.error.unwrap().code, "extraction_failed");
}

#[tokio::test]
async fn a_stop_in_good_order_puts_the_run_back_and_the_next_start_finishes_it() {
    let world = World::new();
    let bench = world.start(settings()).await;
    let viewer = bench.viewer().await;
    world.set_pages(vec![("http://a.example/1", Page::Text("Bread is dear.")), ("http://a.example/2", Page::Hangs)]);
    let id = widget(&bench, &viewer, draft()).await;
    let run = bench.automations.start_run(&viewer, &id).await.unwrap();
    bench.automations.drive().await.unwrap();
    bench.until(&viewer, &run.id, |run| run.pages_collected == 1).await;
    assert_eq!(bench.tasks.stop(Duration::from_secs(10)).await, 0);
    drop(bench);

    world.set_pages(two_pages());
    let bench = reopened(&world).await;
    let waiting = bench.store.run(viewer.company.clone(), run.id.clone()).await.unwrap().unwrap();
    assert_eq!((waiting.state, waiting.attempt), (RunState::Queued, 0), "a restart is no failed attempt");
    bench.automations.drive().await.unwrap();
    let run = bench.until(&viewer, &run.id, |run| !run.state.is_active()).await;
    assert_eq!((run.state, run.attempt, run.pages_collected), (RunState::Succeeded, 1, 2));
}

/// The old process may still be letting go of the data folder.
async fn reopened(world: &World) -> Bench {
    world.start(settings()).await
}

#[test]
fn a_killed_process_resumes_its_run_and_its_ingest() {
    let world = World::new();
    let first = runtime();
    world.set_pages(vec![("http://a.example/1", Page::Text("Bread is dear.")), ("http://a.example/2", Page::Hangs)]);
    let (viewer, run) = first.block_on(async {
        let bench = world.start(settings()).await;
        let viewer = bench.viewer().await;
        let id = widget(&bench, &viewer, draft()).await;
        let run = bench.automations.start_run(&viewer, &id).await.unwrap();
        bench.automations.drive().await.unwrap();
        bench.until(&viewer, &run.id, |run| run.pages_collected == 1).await;
        (viewer, run)
    });
    // Dropping the runtime drops its tasks where they stand: nothing of them is told to stop.
    first.shutdown_timeout(Duration::from_secs(5));

    let second = runtime();
    *world.script.ingest_hangs.lock().unwrap() = true;
    world.set_pages(two_pages());
    second.block_on(async {
        let bench = reopened(&world).await;
        assert_eq!(bench.ledger.balance(&viewer.user).await.unwrap().reserved, 0, "a crash releases what was reserved");
        bench.automations.drive().await.unwrap();
        let run = bench.until(&viewer, &run.id, |run| !run.state.is_active()).await;
        assert_eq!((run.state, run.attempt, run.ingest, run.pages_collected), (RunState::Succeeded, 2, IngestState::Pending, 2));
        let automations = bench.automations.clone();
        bench.tasks.spawn("ingest", async move { automations.ingest_waiting().await });
        bench.until(&viewer, &run.id, |run| run.ingest == IngestState::Running).await;
    });
    second.shutdown_timeout(Duration::from_secs(5));

    *world.script.ingest_hangs.lock().unwrap() = false;
    runtime().block_on(async {
        let bench = reopened(&world).await;
        assert_eq!(bench.automations.ingest_waiting().await.unwrap(), 1);
        let run = bench.until(&viewer, &run.id, |_| true).await;
        assert_eq!((run.ingest, run.chunks), (IngestState::Done, 3));
        assert_eq!(bench.story(&run.id).await.last().unwrap(), "<done>");
        let spent = bench.ledger.statement(&viewer.user, 10).await.unwrap();
        assert_eq!(spent.iter().filter(|row| row.tx_type.as_str() == "automation_spend").count(), 1, "charged once");
        assert!(bench.ledger.verify().await.unwrap().first_error.is_none());
    });
}

#[tokio::test]
async fn an_ingest_waits_for_tokens_with_a_notice_goes_on_and_says_what_it_leaves_out() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    bench.world.set_pages(two_pages());
    let id = widget(&bench, &viewer, draft()).await;
    *bench.world.script.ingest_waits.lock().unwrap() = Some(RunError::new("insufficient_tokens", "It waits.", "Get some."));
    let run = bench.run_through(&viewer, &id).await;
    assert_eq!((run.ingest, run.chunks, run.error, run.notice.unwrap().code.as_str()), (IngestState::Pending, 1, None, "insufficient_tokens"));
    let last = bench.store.events_after(run.id.to_string(), 0, 1_000).await.unwrap().pop().unwrap();
    assert_eq!((&last.data["state"], &last.data["error"]["message"]), (&json!("pending"), &json!("It waits.")), "a follower is told");

    *bench.world.script.ingest_waits.lock().unwrap() = None;
    *bench.world.script.left_out.lock().unwrap() = LeftOut { passages: 12, pages: 1 };
    assert_eq!(bench.automations.ingest_waiting().await.unwrap(), 0, "it was tried a minute ago");
    bench.world.clock.advance(Duration::from_secs(600));
    assert_eq!(bench.automations.ingest_waiting().await.unwrap(), 1);
    let run = bench.until(&viewer, &run.id, |_| true).await;
    assert_eq!((run.ingest, run.chunks, run.error), (IngestState::Done, 3, None));
    let notice = run.notice.unwrap();
    assert!(notice.message.starts_with("12 passages of 1 page are not recallable"), "{}", notice.message);
    assert_eq!(bench.story(&run.id).await.last().unwrap(), "<done>");
}

#[tokio::test]
async fn what_was_claimed_and_lost_is_taken_up_without_a_restart() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    bench.world.set_pages(two_pages());
    let id = widget(&bench, &viewer, draft()).await;
    let run = bench.automations.start_run(&viewer, &id).await.unwrap();
    bench.store.claim_next_run(Turn::anybody(), bench.seams.now()).await.unwrap().unwrap();
    assert_eq!(bench.automations.drive().await.unwrap(), 1);
    let run = bench.until(&viewer, &run.id, |run| !run.state.is_active()).await;
    assert_eq!((run.state, run.attempt), (RunState::Succeeded, 1), "it was put back and ran");

    bench.store.claim_next_ingest(None, bench.seams.now()).await.unwrap().unwrap();
    assert_eq!(bench.automations.ingest_waiting().await.unwrap(), 1);
    assert_eq!(bench.until(&viewer, &run.id, |_| true).await.ingest, IngestState::Done);
}

#[tokio::test]
async fn a_run_at_work_is_not_taken_for_abandoned() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    bench.world.set_pages(vec![("http://a.example/1", Page::Hangs)]);
    let id = widget(&bench, &viewer, draft()).await;
    let run = bench.automations.start_run(&viewer, &id).await.unwrap();
    assert_eq!((bench.automations.drive().await.unwrap(), bench.automations.drive().await.unwrap()), (1, 0));
    assert_eq!(bench.story(&run.id).await, ["queued", "collecting"]);
}

#[tokio::test]
async fn what_cannot_be_written_is_written_once_there_is_room_again() {
    let bench = bench().await;
    let (tries, full) = (AtomicU32::new(0), || Err(StoreError::DiskFull { operation: "test" }));
    let written = bench.automations.insist("not yet", || std::future::ready(if tries.fetch_add(1, Ordering::SeqCst) < 2 { full() } else { Ok(()) }));
    let mut moved = std::pin::pin!(async {
        loop {
            bench.world.clock.advance(Duration::from_secs(5));
            tokio::task::yield_now().await;
        }
    });
    tokio::select! {
        written = written => assert_eq!(written, Some(())),
        () = &mut moved => {}
    }
    assert_eq!(tries.load(Ordering::SeqCst), 3);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[tokio::test]
async fn no_more_runs_at_once_than_there_are_places_and_answers_leave_one() {
    let world = World { places: 3, ..World::new() };
    let bench = world.start(settings()).await;
    world.set_pages(vec![("http://a.example/1", Page::Hangs)]);
    let viewer = bench.viewer().await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        let id = widget(&bench, &viewer, draft()).await;
        runs.push(bench.automations.start_run(&viewer, &id).await.unwrap());
    }
    assert_eq!(bench.automations.drive().await.unwrap(), 2, "one place is left for answers");
    assert_eq!(bench.automations.drive().await.unwrap(), 0);
    let counts = bench.store.run_counts().await.unwrap();
    assert_eq!((counts.working, counts.queued), (2, 1));
    let _answers = [bench.places.take(Work::Answer).unwrap().begin()];
    assert!(bench.places.take(Work::Answer).is_none(), "runs and answers are counted together");
    bench.automations.cancel_run(&viewer, &runs[0].id).await.unwrap();
    bench.until(&viewer, &runs[0].id, |run| run.state == RunState::Cancelled).await;
    bench.automations.run_nudge().nudged().await;
    assert_eq!(bench.automations.drive().await.unwrap(), 1);
}

#[tokio::test]
async fn companies_take_turns_and_none_holds_every_place() {
    let world = World { places: 5, ..World::new() };
    let bench = world.start(settings()).await;
    world.set_pages(vec![("http://a.example/1", Page::Hangs)]);
    let (busy, late) = (bench.viewer().await, bench.viewer().await);
    for _ in 0..3 {
        let id = widget(&bench, &busy, draft()).await;
        bench.automations.start_run(&busy, &id).await.unwrap();
    }
    // Its plan knows three automations.
    let extra = bench.store.widgets(busy.company.clone()).await.unwrap().remove(0);
    for _ in 0..3 {
        let more = crate::model::widget::Widget { id: WidgetId::new(&bench.seams), ..extra.clone() };
        bench.store.insert_widget(more.clone(), None).await.unwrap();
        bench.automations.start_run(&busy, &more.id).await.unwrap();
    }
    assert_eq!(bench.automations.drive().await.unwrap(), 3, "of four places for runs one is left to whoever comes later");
    let id = widget(&bench, &late, draft()).await;
    let run = bench.automations.start_run(&late, &id).await.unwrap();
    assert_eq!(bench.automations.drive().await.unwrap(), 1);
    bench.until(&late, &run.id, |run| run.state == RunState::Collecting).await;
}

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
async fn edits_at_once_are_both_made_and_leave_the_schedule_alone() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    let id = widget(&bench, &viewer, WidgetDraft { schedule: Schedule::Every { minutes: 5 }, ..draft() }).await;
    bench.tick();
    let edits = (0..4_u32).map(|n| {
        let change = move |draft: &mut WidgetDraft| match n {
            0 => draft.title = "Other".into(),
            1 => draft.objective = "What else?".into(),
            2 => draft.stale_after_hours = 7,
            _ => draft.visibility = Visibility::Private,
        };
        bench.automations.update_widget(&viewer, &id, change)
    });
    for edited in futures_util::future::join_all(edits).await {
        edited.unwrap();
    }
    let widget = bench.automations.widget(&viewer, &id).await.unwrap().widget;
    let spec = &widget.spec;
    assert_eq!(
        (spec.title.as_str(), spec.objective.as_str(), spec.stale_after_hours, spec.visibility),
        ("Other", "What else?", 7, Visibility::Private)
    );
    assert_eq!(widget.next_run_at, Some(bench.world.clock.now().plus(Duration::from_secs(240))), "as it was when it was made");
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

#[tokio::test]
async fn a_run_reads_what_it_has_memory_for_and_says_what_it_left_out() {
    // The first page alone fits, in what is read and in what is recalled.
    let text = "Milk is cheap.";
    let one_page = super::testing::page_text(text).held_bytes();
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
    let held = super::testing::page_text(text).held_bytes();
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
