use proptest::prelude::*;

use super::*;
use crate::services::collect::page;

fn source(name: &str, content_type: &str, bytes: &[u8]) -> SourcePage {
    let url: url::Url = format!("http://site.example/{name}").parse().unwrap();
    let text = page::read(bytes, Some(content_type), &url).unwrap();
    let source = SourceRef { url: Some(url.to_string()), document_id: None, title: text.title_at(&url), page_number: None };
    SourcePage { source, text: Arc::new(text), collected_at: Timestamp::from_millis(1_795_300_000_000) }
}

fn fixture(name: &str) -> SourcePage {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pages").join(name);
    let kind = if name.ends_with(".md") {
        "text/markdown"
    } else if name.ends_with(".csv") {
        "text/csv"
    } else {
        "text/html; charset=utf-8"
    };
    source(name, kind, &std::fs::read(path).unwrap())
}

fn metric<'a>(report: &'a ReportBody, name: &str) -> &'a Metric {
    report.metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("no {name} in {:#?}", names(report)))
}

fn names(report: &ReportBody) -> Vec<String> {
    report
        .metrics
        .iter()
        .map(|metric| {
            format!("{} = {} {} {}", metric.name, metric.value, metric.unit.as_deref().unwrap_or(""), metric.as_of.as_deref().unwrap_or(""))
        })
        .collect()
}

/// The law: every reference leads to evidence, and every quote stands within one line of its source's canonical text.
fn assert_lawful(report: &ReportBody, pages: &[SourcePage]) {
    let texts: BTreeMap<String, String> = pages.iter().map(|page| (page.text.content_hash(), page.text.canonical_text())).collect();
    for evidence in &report.evidence {
        assert!(!evidence.quote.is_empty());
        assert!(texts[&evidence.content_hash].split('\n').any(|line| line.contains(&evidence.quote)), "{:?}", evidence.quote);
    }
    let references = report.findings.iter().map(|f| &f.evidence).chain(report.metrics.iter().map(|m| &m.evidence));
    let rows = report.tables.iter().flat_map(|table| table.rows.iter().map(|row| &row.evidence).chain([&table.evidence]));
    for ids in references.chain(rows) {
        assert!(!ids.is_empty() && ids.iter().all(|id| report.evidence(id).is_some()));
    }
    for table in &report.tables {
        assert!(table.rows.iter().all(|row| row.cells.len() == table.columns.len()));
    }
}

fn show(report: &ReportBody) -> String {
    let findings: Vec<String> = report.findings.iter().map(|f| format!("- {} {:?}", f.text, f.entities)).collect();
    let tables: Vec<String> = report.tables.iter().map(|t| format!("# {} {:?} ({} rows)", t.title, t.columns, t.rows.len())).collect();
    format!("SUMMARY {}\n{}\n{}\n{}", report.summary, findings.join("\n"), names(report).join("\n"), tables.join("\n"))
}

#[test]
fn an_encyclopedia_article_gives_its_key_figures_and_sentences() {
    let pages = [fixture("rhine.html"), fixture("rivers.html")];
    let report = extract_report(&pages, &Objective::new("Rivers", "Track the length and discharge of the Rhine"));
    println!("{}", show(&report));
    assert_lawful(&report, &pages);
    let headline = &report.metrics[0];
    assert!(["Rhine: Length", "Rhine: Average discharge"].contains(&headline.name.as_str()), "{:#?}", names(&report));
    assert_eq!(metric(&report, "Rhine: Length").unit.as_deref(), Some("km"));
    assert_eq!(metric(&report, "Rhine: Length").value, 1233.0);
    assert_eq!(metric(&report, "Danube: Length").value, 2850.0);
    assert!(report.findings[0].text.contains("Rhine"), "{}", report.findings[0].text);
    assert!(report.findings.iter().all(|finding| !finding.text.contains('[')));
    assert!((2..=4).contains(&report.summary.matches(". ").count().saturating_add(1)), "{}", report.summary);
    assert!(report.tables.iter().any(|table| table.title == "Longest rivers of Europe"));
    assert!(!report.metrics.iter().any(|metric| metric.name.contains("Rank") || metric.name.contains("Year")));
}

#[test]
fn a_documentation_site_gives_its_limits_and_no_versions_or_ports() {
    let pages = [fixture("docs-configuration.html"), fixture("docs-limits.md")];
    let report = extract_report(&pages, &Objective::new("Limits", "What are the default timeouts and limits?"));
    println!("{}", show(&report));
    assert_lawful(&report, &pages);
    assert_eq!(
        (metric(&report, "Connection pool: Default timeout").value, metric(&report, "Connection pool: Default timeout").unit.as_deref()),
        (30.0, Some("s"))
    );
    assert!(report.metrics.iter().all(|metric| ![8080.0, 3.12, 404.0].contains(&metric.value)), "{:#?}", names(&report));
    assert!(report.findings.iter().all(|finding| !finding.text.contains("cookie")));
    assert!(report.findings.iter().any(|finding| finding.text.contains("30 seconds")));
}

#[test]
fn a_file_of_values_gives_metrics_by_row_and_the_extreme_that_was_asked_for() {
    let pages = [fixture("cities.csv")];
    let report = extract_report(&pages, &Objective::new("Cities", "Which city has the largest population?"));
    println!("{}", show(&report));
    assert_lawful(&report, &pages);
    assert_eq!((report.metrics[0].name.as_str(), report.metrics[0].value), ("Istanbul: Population", 15_655_924.0));
    assert_eq!(report.evidence(&report.metrics[0].evidence[0]).unwrap().quote, "Istanbul,Turkey,15655924,5343");
}

#[test]
fn what_belongs_to_another_or_to_a_row_keeps_its_name() {
    let html = "<h1>Puffin</h1><p>The Puffin is a car ferry. The Puffin can carry 40 cars. The replacement will cost £31 million. Its successor is 62 m long. \
        The ferry is 48 m long and 11 m wide.</p><h2>The fleet</h2><table><tr><th>Ship<th>Built<th>Passengers<tr><td>Kittiwake<td>1998<td>640\
        <tr><td>Puffin<td>1987<td>310<tr><td>Fulmar<td>2011<td>455</table>\
        <h2>Traffic</h2><table><tr><th>Route<th>Year<th>Passengers<tr><td>North<td>2023<td>81,000<tr><td>North<td>2024<td>85,500</table>";
    let pages = [source("puffin.html", "text/html", html.as_bytes())];
    let report = extract_report(&pages, &Objective::new("Fleet", "Cost, length and passengers of the ships"));
    println!("{}", show(&report));
    assert_lawful(&report, &pages);
    assert_eq!(metric(&report, "Puffin: Cost of replacement").value, 31e6);
    assert_eq!(metric(&report, "Puffin: Length of successor").value, 62.0);
    assert_eq!(metric(&report, "Puffin: Length").value, 48.0);
    assert!(!names(&report).iter().any(|name| name.starts_with("Puffin: Cost =")), "{:#?}", names(&report));
    let fulmar = metric(&report, "Fulmar: Passengers");
    assert_eq!((fulmar.value, fulmar.as_of.as_deref()), (455.0, None));
    let north = metric(&report, "North: Passengers");
    assert_eq!((north.value, north.as_of.as_deref()), (85_500.0, Some("2024")));
}

#[test]
fn opening_hours_and_contacts_are_findings_with_what_leads_to_them() {
    let html = "<h1>Museum</h1><p>The museum stands on the old quay and shows four centuries of seafaring.</p><h2>Opening hours</h2>\
        <ul><li>Monday: closed</li><li>Tuesday to Friday: 10:00–17:00</li><li>Saturday: 11:00–18:00</li></ul>\
        <p>You may bring:</p><ul><li>small bags and baby carriers</li><li>water in closed bottles</li></ul>\
        <h2>Contact</h2><dl><dt>Ticket desk</dt><dd>+47 70 11 20 00</dd><dt>Director</dt><dd>Dr. Kaja Strand</dd></dl>\
        <h2>Pages</h2><ul><li>Visit</li><li>Ships</li><li>Shop</li></ul>";
    let pages = [source("museum.html", "text/html", html.as_bytes())];
    let report = extract_report(&pages, &Objective::new("Museum", "Opening hours, contact of the director, and what to bring"));
    println!("{}", show(&report));
    assert_lawful(&report, &pages);
    let find = |start: &str| report.findings.iter().find(|finding| finding.text.starts_with(start)).unwrap_or_else(|| panic!("{}", show(&report)));
    let hours = find("Opening hours: ");
    assert_eq!(hours.text, "Opening hours: Monday: closed; Tuesday to Friday: 10:00–17:00; Saturday: 11:00–18:00");
    let quotes: Vec<&str> = hours.evidence.iter().map(|id| report.evidence(id).unwrap().quote.as_str()).collect();
    assert_eq!(quotes, ["Monday: closed", "Tuesday to Friday: 10:00–17:00", "Saturday: 11:00–18:00"]);
    assert_eq!(find("Contact: ").text, "Contact: Ticket desk: +47 70 11 20 00; Director: Dr. Kaja Strand");
    assert_eq!(find("You may bring: ").text, "You may bring: small bags and baby carriers; water in closed bottles");
    assert!(!report.findings.iter().any(|finding| finding.text.contains("Shop")), "a menu says nothing");
    let other = extract_report(&pages, &Objective::new("Museum", "What does it show?"));
    assert!(!other.findings.iter().any(|finding| finding.text.contains("closed")), "what was not asked is left out: {}", show(&other));
}

#[test]
fn a_figure_in_a_table_keeps_its_zero() {
    let pages = [source("prices.csv", "text/csv", b"name,price_eur\nKestrel,4.20\nWren,12.00\n")];
    let report = extract_report(&pages, &Objective::new("Prices", "price of the Kestrel"));
    let kestrel = metric(&report, "Kestrel: Price");
    assert_eq!((kestrel.figure().as_str(), kestrel.unit.as_deref()), ("4.20", Some("EUR")));
    assert_eq!(metric(&report, "Wren: Price").figure(), "12.00");
}

#[test]
fn the_first_figure_is_the_one_whose_name_says_what_was_asked() {
    let html = "<p>Ticket prices of the museum. Prices include all halls, and prices hold until spring.</p>
        <table><caption>Ticket prices</caption><tr><th>Visitor</th><th>Single ticket (EUR)</th><th>Year ticket (EUR)</th></tr>
        <tr><td>Child</td><td>4</td><td>20</td></tr><tr><td>Adult</td><td>12</td><td>60</td></tr></table>";
    let pages = [source("prices.html", "text/html", html.as_bytes())];
    let first = |title: &str, question: &str| extract_report(&pages, &Objective::new(title, question)).metrics[0].name.clone();
    assert_eq!(first("Museum", "What does a single ticket for an adult cost?"), "Adult: Single ticket");
    assert_eq!(first("Year ticket of an adult", "What does it cost?"), "Adult: Year ticket", "the title says it where the question does not");
    assert_eq!(first("Adults", "Key figures of this site"), "Adult: Single ticket", "what asks for anything asks for no figure");
    assert_eq!(first("Museum", "What is new?"), "Child: Single ticket", "nothing is asked of a figure: the first in the source");
}

#[test]
fn the_same_pages_give_the_same_report() {
    let pages = [fixture("rhine.html"), fixture("docs-limits.md"), fixture("cities.csv")];
    let objective = Objective::new("All", "Population, length and limits");
    assert_eq!(extract_report(&pages, &objective), extract_report(&pages, &objective));
}

#[test]
fn a_sentence_on_every_page_is_not_a_finding() {
    let page = |n: usize| {
        source(
            &format!("{n}.html"),
            "text/html",
            format!("<p>Example Corp was founded by nine good friends.</p><p>Page number {n} tells of widget{n} and its many uses.</p>").as_bytes(),
        )
    };
    let pages: Vec<SourcePage> = (0..4).map(page).collect();
    let report = extract_report(&pages, &Objective::new("Widgets", "What are the uses?"));
    assert!(report.findings.iter().all(|finding| !finding.text.contains("founded")), "{}", show(&report));
    assert_eq!(report.findings.len(), 4);
}

/// The site of the demonstration: an objective that asks for whatever there is, and a front page with a menu.
#[test]
fn whatever_there_is_is_found_and_no_menu() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo-site");
    let names = ["index", "planets", "sun", "moon", "mars", "giants", "missions", "units"].map(|name| format!("{name}.html"));
    let pages: Vec<SourcePage> = names.iter().map(|name| source(name, "text/html", &std::fs::read(folder.join(name)).unwrap())).collect();
    let report = extract_report(&pages, &Objective::new("Demo: what the site says", "Key figures, dates and statements of this site"));
    assert_lawful(&report, &pages);
    assert!(report.findings.len() >= 20, "{}", show(&report));
    assert!(report.findings.iter().all(|finding| !finding.text.contains("Units of distance")), "{}", show(&report));
    assert!(report.metrics[0].name.starts_with("Mercury"), "{}", show(&report));
}

#[test]
fn nothing_in_gives_an_empty_report() {
    let report = extract_report(&[], &Objective::default());
    assert!(report.findings.is_empty() && report.summary.is_empty() && report.evidence.is_empty());
}

fn markup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ -~]{0,12}",
        "\\PC{0,8}",
        Just("<p>The Rhine is 1,230 km long, as of March 2024. It has 12 bridges.</p>".to_owned()),
        Just("<table><tr><th>River<th colspan=3>Length (km)<tr><td rowspan=9>Rhine<td>1,230".to_owned()),
        Just("</table>".to_owned()),
        Just("<li>Size: 5–10 million €".to_owned()),
        Just("| a | b |\n|---|---|\n| **x** | 1.5 |\n".to_owned()),
        Just("<div hidden>x".to_owned()),
        Just("<h2>§ 3.1 Größe¶</h2>".to_owned()),
        Just("\n\n> ".to_owned()),
        Just("a;b\n1;2\n".to_owned()),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), kind in 0usize..6) {
        let kind = ["text/html", "text/markdown", "text/plain", "text/csv", "application/json", ""][kind];
        if let Ok(text) = page::read(&bytes, Some(kind), &"http://a.example/x.md".parse().unwrap()) {
            let source = SourceRef { url: None, document_id: None, title: String::new(), page_number: None };
            let pages = [SourcePage { source, text: Arc::new(text), collected_at: Timestamp::from_millis(0) }];
            assert_lawful(&extract_report(&pages, &Objective::new("x", "length of the Rhine")), &pages);
        }
    }

    #[test]
    fn every_quote_stands_in_its_source(text in markup(), kind in 0usize..4) {
        let kind = ["text/html", "text/markdown", "text/plain", "text/csv"][kind];
        if let Ok(read) = page::read(text.as_bytes(), Some(kind), &"http://a.example/".parse().unwrap()) {
            // What stands beside markup in Markdown, CSV and text is the source itself.
            if kind != "text/html" && !text.contains('<') && !text.contains('>') && !text.contains('\u{feff}') {
                let collapsed = crate::base::text::collapse_whitespace(&text);
                for block in &read.blocks {
                    prop_assert!(collapsed.contains(&block.text), "{kind}: {:?} in {collapsed:?}", block.text);
                }
            }
            let source = SourceRef { url: None, document_id: None, title: String::new(), page_number: None };
            let pages = [SourcePage { source, text: Arc::new(read), collected_at: Timestamp::from_millis(0) }];
            assert_lawful(&extract_report(&pages, &Objective::new("x", "length of the Rhine")), &pages);
        }
    }
}
