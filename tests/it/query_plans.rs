//! No statement that the appliance runs in a day's work reads a whole table that grows.
//!
//! Every connection of this process tells which statements it runs. After the journey each of them is explained, and one that scans such a table must
//! be in the list of those that may, with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::sync::{Mutex, Once, PoisonError};

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OpenFlags, ffi};
use serde_json::json;

use crate::app::TestApp;
use crate::site::rivers;

/// Tables whose rows grow with use.
const GROWING: [&str; 19] = [
    "audit_log",
    "chat_runs",
    "chunks",
    "conversations",
    "document_contents",
    "documents",
    "egress_log",
    "memberships",
    "messages",
    "metric_points",
    "page_texts",
    "reports",
    "run_events",
    "run_pages",
    "sessions",
    "token_transactions",
    "users",
    "widget_runs",
    "widgets",
];

/// What may scan: a part of the statement, the table, and why.
const MAY_SCAN: [(&str, &str, &str); 6] = [
    ("SELECT EXISTS (SELECT 1 FROM users WHERE system_admin = 1)", "users", "ends at the first admin, who was the first account"),
    ("SELECT count(*) FROM users WHERE disabled_at IS NULL", "users", "when an account is made: they are as many as seats"),
    ("FROM users ORDER BY 3 COLLATE NOCASE", "users", "the list of all accounts, with a bound"),
    ("SELECT id FROM users WHERE id <> ?1 AND", "users", "the audit log searched by a name, by a system admin; accounts have a bound"),
    ("ORDER BY sequence DESC LIMIT 1", "audit_log", "one row from the end"),
    ("ORDER BY sequence DESC LIMIT 1", "token_transactions", "one row from the end"),
];

/// Statements by the file of their database.
static RUN: Mutex<BTreeMap<String, BTreeSet<String>>> = Mutex::new(BTreeMap::new());

/// Makes every connection opened from now on tell what it runs.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        type EntryPoint = unsafe extern "C" fn(*mut ffi::sqlite3, *mut *mut c_char, *const ffi::sqlite3_api_routines) -> c_int;
        let entry: EntryPoint = traced;
        #[expect(unsafe_code, reason = "rusqlite has no call for what every connection does at its opening")]
        // SAFETY: `traced` has the signature of an extension's entry point, and lives as long as the process.
        unsafe {
            ffi::sqlite3_auto_extension(Some(entry));
        }
    });
}

#[expect(unsafe_code, reason = "it is called by SQLite")]
unsafe extern "C" fn traced(database: *mut ffi::sqlite3, _error: *mut *mut c_char, _api: *const ffi::sqlite3_api_routines) -> c_int {
    // SAFETY: SQLite gives an open database; `heard` keeps nothing of what it is given.
    unsafe { ffi::sqlite3_trace_v2(database, ffi::SQLITE_TRACE_STMT as c_uint, Some(heard), std::ptr::null_mut()) }
}

#[expect(unsafe_code, reason = "it is called by SQLite")]
unsafe extern "C" fn heard(_event: c_uint, _context: *mut c_void, statement: *mut c_void, text: *mut c_void) -> c_int {
    let statement: *mut ffi::sqlite3_stmt = statement.cast();
    // SAFETY: for this event SQLite gives a statement and a text that ends with zero, alive until this returns.
    let (sql, own, file) = unsafe {
        let file = ffi::sqlite3_db_filename(ffi::sqlite3_db_handle(statement), c"main".as_ptr());
        (text_of(ffi::sqlite3_sql(statement)), text_of(text.cast::<c_char>()), text_of(file))
    };
    // What a trigger runs begins with two dashes, and is part of the statement that set it off.
    if !own.starts_with("--") {
        RUN.lock().unwrap_or_else(PoisonError::into_inner).entry(file).or_default().insert(sql);
    }
    0
}

#[expect(unsafe_code, reason = "SQLite's texts are C's")]
unsafe fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller gives a text that ends with zero.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// The tables that grow, by the names that a statement gives them.
fn names(sql: &str) -> BTreeMap<String, &'static str> {
    let words: Vec<&str> = sql.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty()).collect();
    let mut names: BTreeMap<String, &'static str> = GROWING.iter().map(|table| ((*table).to_owned(), *table)).collect();
    for (at, word) in words.iter().enumerate() {
        let Some(table) = GROWING.iter().find(|table| *table == word) else { continue };
        let next = words.get(at + 1..).unwrap_or_default();
        let alias = if next.first() == Some(&"AS") { next.get(1) } else { next.first() };
        names.extend(
            alias.filter(|alias| alias.chars().all(|letter| letter.is_lowercase() || letter == '_')).map(|alias| ((*alias).to_owned(), *table)),
        );
    }
    names
}

/// The growing tables that a statement reads as a whole: all of their rows, or of an index that has all of them. One with a condition has few.
fn scans(connection: &Connection, sql: &str) -> Vec<&'static str> {
    let names = names(sql);
    // What an insert looks for in other tables because of foreign keys, it looks for only where a constraint is deferred. None is.
    connection.pragma_update(None, "foreign_keys", !sql.trim_start().starts_with("INSERT")).unwrap();
    let verb = sql.split_whitespace().next().unwrap_or_default();
    if !["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].contains(&verb) {
        return Vec::new();
    }
    let mut explain = match connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")) {
        Ok(explain) => explain,
        // Tables of extensions have plans of their own, and migrations name what is gone by now. A function that is missing here would hide a plan.
        Err(error) => {
            assert!(!error.to_string().contains("no such function"), "{sql}: {error}");
            return Vec::new();
        }
    };
    let steps = explain.raw_query().mapped(|row| row.get::<_, String>("detail")).collect::<Result<Vec<_>, _>>().unwrap();
    // An index that is made for the one statement is made of all rows.
    let scanned = steps.iter().filter_map(|step| {
        let whole = step.strip_prefix("SCAN ").or_else(|| step.strip_prefix("SEARCH ").filter(|step| step.contains(" AUTOMATIC ")))?;
        let index = step.split_once(" INDEX ").and_then(|(_, index)| index.split(' ').next());
        if index.is_some_and(|index| is_partial(connection, index)) { None } else { whole.split(' ').next() }
    });
    scanned.filter_map(|name| names.get(name).copied()).collect()
}

fn is_partial(connection: &Connection, index: &str) -> bool {
    let sql = "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'index' AND name = ?1 AND sql LIKE '% WHERE %'";
    connection.query_row(sql, [index], |row| row.get(0)).unwrap()
}

fn check(file: &Path) {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    for (function, arguments) in [("sealed", 4), ("opened", 4), ("indexed", 2), ("indexes", 2)] {
        // A plan needs to know that they are there, not what they do.
        connection.create_scalar_function(function, arguments, FunctionFlags::SQLITE_DETERMINISTIC, |_| Ok(0)).unwrap();
    }
    let file = file.canonicalize().unwrap().display().to_string();
    let statements = RUN.lock().unwrap_or_else(PoisonError::into_inner).get(&file).cloned().unwrap_or_default();
    assert!(statements.len() > 150, "they were heard: {}", statements.len());
    for hot in [
        "FROM users WHERE users.email_index IN",
        "FROM sessions",
        "FROM widgets",
        "FROM documents",
        "UPDATE chat_runs SET state = 'running'",
        "UPDATE widget_runs SET state = 'collecting'",
        "next_run_at <=",
        "ingest = 'running', ingest_attempt",
        "FROM messages",
        "FROM audit_log WHERE sequence < :before AND actor",
        "FROM token_transactions",
        "UPDATE widgets SET paused = 1",
    ] {
        assert!(statements.iter().any(|sql| sql.contains(hot)), "{hot} was not heard");
    }
    let mut wrong = Vec::new();
    let mut allowed = BTreeSet::new();
    for sql in &statements {
        for table in scans(&connection, sql) {
            match MAY_SCAN.iter().find(|(part, scanned, _)| *scanned == table && sql.contains(part)) {
                Some((part, table, _)) => drop(allowed.insert((*part, *table))),
                None => wrong.push(format!("reads all of {table}: {}", sql.split_whitespace().collect::<Vec<_>>().join(" "))),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unused: Vec<_> = MAY_SCAN.iter().map(|(part, table, _)| (*part, *table)).filter(|scan| !allowed.contains(scan)).collect();
    assert!(unused.is_empty(), "these do not scan any more: {unused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_days_work_reads_no_growing_table_as_a_whole() {
    listen();
    let site = rivers().await;
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    app.allow(site.address).await;
    let member = app.person(&company, "member").await;

    let widget = app.user.widget(&company, &site.url("/"), 10).await;
    app.user.run(&company, &widget).await;
    let (run, _) = app.user.run(&company, &widget).await;
    let scheduled = json!({ "schedule": { "kind": "every", "minutes": 60 }, "visibility": "private" });
    app.user.try_send(reqwest::Method::PATCH, &format!("{company}/widgets/{widget}"), Some(scheduled)).await;
    let (_, document) =
        app.user.upload(&format!("{company}/documents"), "pump.md", b"# Pump\n\nThe pump is serviced every 90 days.\n".to_vec()).await;
    let document = document["id"].as_str().unwrap().to_owned();
    while app.user.get(&format!("{company}/documents/{document}")).await["state"] != "ready" {
        tokio::task::yield_now().await;
    }
    let (_, answer, _) = member.ask(&company, "How long is the Danube?").await;
    let conversation = member.get(&answer).await["conversation_id"].as_str().unwrap().to_owned();
    // Twice an hour later: the scheduler and whatever else goes round have looked.
    for _ in 0..2 {
        app.advance(std::time::Duration::from_secs(3_700));
        let admin = app.sign_in(crate::app::EMAIL).await;
        let runs = format!("{company}/widgets/{widget}/runs");
        // Unless the schedule was first.
        admin.try_send(reqwest::Method::POST, &runs, Some(json!({}))).await;
        let run = admin.get(&runs).await["runs"][0]["id"].as_str().unwrap().to_owned();
        admin.events(&format!("{company}/runs/{run}/events"), 0).await;
    }
    let report = run["report_id"].as_str().unwrap();
    for path in [
        "/api/me",
        "/api/companies",
        "/api/system-admin/users",
        "/api/system-admin/audit",
        "/api/system-admin/audit?action=member.&outcome=ok",
        "/api/system-admin/audit?actor=system",
        "/api/system-admin/audit?object=nothing",
        "/api/system-admin/egress/log",
        "/api/license",
    ] {
        app.user.try_send(reqwest::Method::GET, path, None).await;
    }
    for path in [
        "widgets".to_owned(),
        format!("widgets/{widget}"),
        format!("widgets/{widget}/runs"),
        format!("widgets/{widget}/reports"),
        format!("widgets/{widget}/series"),
        format!("reports/{report}"),
        "documents".to_owned(),
        "members".to_owned(),
        "invitations".to_owned(),
        "conversations".to_owned(),
        format!("conversations/{conversation}/messages"),
        "usage?days=30".to_owned(),
        "usage/members?days=30".to_owned(),
        "recall?q=pump".to_owned(),
    ] {
        member.try_send(reqwest::Method::GET, &format!("{company}/{path}"), None).await;
        app.user.try_send(reqwest::Method::GET, &format!("{company}/{path}"), None).await;
    }
    app.user.try_send(reqwest::Method::DELETE, &format!("{company}/documents/{document}"), None).await;
    app.user.try_send(reqwest::Method::DELETE, &format!("{company}/widgets/{widget}"), None).await;
    member.try_send(reqwest::Method::DELETE, &format!("{company}/conversations/{conversation}"), None).await;
    // Somebody leaves, and their account is closed.
    let (admin, id) = (app.sign_in(crate::app::EMAIL).await, member.get("/api/me").await["user"]["id"].as_str().unwrap().to_owned());
    let left = admin.try_send(reqwest::Method::DELETE, &format!("{company}/members/{id}"), None).await.0;
    let closed = admin.try_send(reqwest::Method::PATCH, &format!("/api/system-admin/users/{id}"), Some(json!({ "disabled": true }))).await.0;
    assert!(left.is_success() && closed.is_success(), "{left} {closed}");
    check(&app.dir.database());
}

/// The check itself can fail.
#[test]
fn a_scan_is_seen_under_any_name() {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch(
            "CREATE TABLE widgets (id TEXT PRIMARY KEY, title TEXT); CREATE TABLE plans (id TEXT);
             CREATE INDEX untitled ON widgets (id) WHERE title IS NULL;",
        )
        .unwrap();
    assert_eq!(scans(&connection, "SELECT title FROM widgets WHERE title = ?1"), ["widgets"]);
    assert_eq!(scans(&connection, "SELECT w.title FROM plans p JOIN widgets w ON w.title = p.id WHERE p.id = 'x'"), ["widgets"]);
    assert_eq!(scans(&connection, "UPDATE widgets AS t SET title = 'x' WHERE t.title = 'y'"), ["widgets"]);
    assert_eq!(scans(&connection, "SELECT id FROM widgets ORDER BY id"), ["widgets"], "an index as a whole is no better");
    assert_eq!(scans(&connection, "SELECT title FROM widgets WHERE id = ?1"), [""; 0]);
    assert_eq!(scans(&connection, "SELECT id FROM widgets WHERE title IS NULL"), [""; 0], "few are in it");
    assert_eq!(scans(&connection, "SELECT id FROM plans"), [""; 0]);
}
