//! Runs that stop, wait, fail or are killed, and what becomes of them.

use super::*;

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
async fn a_run_reads_the_latest_version_of_the_documents_it_names() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    let first = bench.document_named(&viewer, "leave.txt", "Leave=20").await;
    let beside = bench.document_named(&viewer, "pay.txt", "Pay=9").await;
    let of = |documents: Vec<DocumentId>| WidgetDraft { source_class: SourceClass::Upload, urls: vec![], documents, ..draft() };
    let id = widget(&bench, &viewer, of(vec![first.clone(), beside.clone()])).await;
    bench.run_through(&viewer, &id).await;
    let second = bench.document_named(&viewer, "leave.txt", "Leave=30").await;
    let run = bench.run_through(&viewer, &id).await;
    let pages = bench.automations.run(&viewer, &run.id, &Part::default()).await.unwrap().pages;
    let read: Vec<(String, PageFate)> = pages.into_iter().map(|page| (page.url, page.fate)).collect();
    assert_eq!(read, [(format!("document:{second}"), PageFate::Changed), (format!("document:{beside}"), PageFate::Unchanged)]);
    let report = bench.automations.report(&viewer, run.report_id.as_ref().unwrap()).await.unwrap();
    assert_eq!((report.report.body.metrics[0].value, report.changes.unwrap().metrics[0].change), (30.0, Some(10.0)));
    let shown = bench.automations.widget(&viewer, &id).await.unwrap();
    assert_eq!(shown.widget.spec.source.documents, [second.clone(), beside.clone()], "the form shows what is read");
    assert_eq!(bench.automations.widgets(&viewer, &Part::default(), None).await.unwrap().0, [shown]);

    // Whoever names two versions of a name means one document.
    let both = |draft: &mut WidgetDraft| draft.documents = vec![second.clone(), first.clone()];
    let changed = bench.automations.update_widget(&viewer, &id, both).await.unwrap();
    assert_eq!(changed.widget.spec.source.documents, std::slice::from_ref(&second));
    let run = bench.run_through(&viewer, &id).await;
    assert_eq!((run.pages_collected, run.metrics), (1, 1));
}

#[tokio::test]
async fn a_run_over_all_documents_says_how_many_it_did_not_read() {
    let bench = bench().await;
    let viewer = bench.viewer().await;
    put_documents(&bench.store, &viewer.company, &viewer.user, DocumentId::new(&bench.seams), 502).await;
    bench.document(&viewer, "Leave=30").await;
    let all = WidgetDraft { source_class: SourceClass::CompanyDocs, urls: vec![], ..draft() };
    let id = widget(&bench, &viewer, all).await;
    *bench.world.script.ingest_waits.lock().unwrap() = Some(RunError::new("insufficient_tokens", "wait", "wait"));
    let run = bench.run_through(&viewer, &id).await;
    assert_eq!((run.state, run.pages_collected, run.documents_left_out), (RunState::Succeeded, 1, 3));
    assert_eq!(run.notice.unwrap().code, "insufficient_tokens");
    *bench.world.script.ingest_waits.lock().unwrap() = None;
    bench.world.clock.advance(Duration::from_secs(600));
    bench.automations.ingest_waiting().await.unwrap();
    let notice = bench.store.run(viewer.company.clone(), run.id).await.unwrap().unwrap().notice.unwrap();
    assert_eq!((notice.code.as_str(), notice.message.as_str()), ("pages_not_read", "3 documents are not in the report: a run reads the newest 500."));
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
    // What the starts nudged is not taken for the place that comes free.
    bench.automations.run_nudge().nudged().await;
    bench.automations.cancel_run(&viewer, &runs[0].id).await.unwrap();
    bench.until(&viewer, &runs[0].id, |run| run.state == RunState::Cancelled).await;
    bench.automations.run_nudge().nudged().await;
    assert_eq!(bench.automations.drive().await.unwrap(), 1);
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
