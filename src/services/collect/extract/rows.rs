//! The rows of a document's tables, each with the names of its columns: what recall finds one by one.

use std::collections::BTreeSet;

use super::super::page::{PageFormat, PageText, TABLE_COLUMNS_MAX};
use super::context::{Extreme, PageContext};
use super::entities::Lexicon;
use super::{QUOTE_BYTES_MAX, tables};
use crate::base::text::truncate;
use crate::model::report::read_as;

/// Most rows of a document that are recalled one by one: under a minute of embedding on two cores. Those beyond are recalled as text.
const ROWS_MAX: usize = 5_000;

/// A row as a person reads it, and as it stands in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedRow {
    /// The table's title, then each cell with the name of its column.
    pub text: String,
    /// Word for word: part of one block of the source's canonical text.
    pub quote: String,
}

/// The rows of a page's tables, and the text in which the rest stands. A file of values is nothing but its rows, and their text is left out of the rest; on a
/// page the text around a table tells of it too. `title` names the page where nothing in it does.
#[must_use]
pub fn rows(page: &PageText, title: &str) -> (Vec<NamedRow>, String) {
    let lexicon = Lexicon::default();
    let context = PageContext::new(0, page, title.to_owned(), Extreme::None, &lexicon);
    let mut rows = Vec::new();
    let mut told = BTreeSet::new();
    for table in tables::drafts(&context, ROWS_MAX, TABLE_COLUMNS_MAX) {
        for (cells, block) in table.rows.iter().take(ROWS_MAX - rows.len()) {
            told.insert(*block);
            let quote = truncate(&page.blocks[*block].text, QUOTE_BYTES_MAX).trim_end().to_owned();
            rows.push(NamedRow { text: read_as(&table.title, &table.columns, cells), quote });
        }
        // A header says nothing beside its rows.
        told.extend(table.header);
    }
    let only_values = matches!(page.format, PageFormat::Csv | PageFormat::Json);
    if rows.is_empty() || !only_values {
        return (rows, page.canonical_text());
    }
    let rest: Vec<&str> = page.blocks.iter().enumerate().filter(|(at, _)| !told.contains(at)).map(|(_, block)| block.text.as_str()).collect();
    (rows, rest.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::collect::page;

    fn read(name: &str, text: &str) -> PageText {
        page::read(text.as_bytes(), None, &format!("http://document.invalid/{name}").parse().unwrap()).unwrap()
    }

    fn texts(name: &str, text: &str) -> Vec<(String, String)> {
        rows(&read(name, text), name).0.into_iter().map(|row| (row.text, row.quote)).collect()
    }

    fn row(text: &str, quote: &str) -> (String, String) {
        (text.to_owned(), quote.to_owned())
    }

    #[test]
    fn a_row_of_values_is_read_with_its_columns_and_quoted_as_it_stands() {
        let file = "name;price;note\nKestrel;4.20 EUR;\nWren;2.10 EUR;\"small; brown\"\n";
        assert_eq!(
            texts("prices.csv", file),
            [
                row("prices.csv. name: Kestrel; price: 4.20 EUR", "Kestrel;4.20 EUR;"),
                row("prices.csv. name: Wren; price: 2.10 EUR; note: small; brown", "Wren;2.10 EUR;\"small; brown\""),
            ]
        );
        assert_eq!(rows(&read("prices.csv", file), "prices.csv").1, "", "nothing is left to be told");
    }

    #[test]
    fn an_element_of_json_is_a_row_and_its_quote_stands_in_the_file() {
        let file = r#"{"owner":"Ida","stations":[{"name":"Brackhorn","height_m":2140},{"name":"Grimsdal","height_m":912}]}"#;
        let found = texts("stations.json", file);
        assert_eq!(found[0], row("stations.json. owner: Ida", r#""owner":"Ida""#));
        assert_eq!(found[1], row("stations. name: Brackhorn; height_m: 2140", r#"{"name":"Brackhorn","height_m":2140}"#));
        assert!(found.iter().all(|(_, quote)| file.contains(quote)), "{found:#?}");
    }

    #[test]
    fn a_table_among_prose_gives_its_rows_and_stays_in_the_text() {
        let file = "# Fleet\n\nThe ships of the line.\n\n| Ship | Built |\n|---|---|\n| **Puffin** | 1987 |\n| Skua | 1911 |\n";
        let page = read("fleet.md", file);
        let (found, rest) = rows(&page, "fleet.md");
        assert_eq!(found[0], NamedRow { text: "Fleet. Ship: Puffin; Built: 1987".into(), quote: "**Puffin** | 1987".into() });
        assert_eq!(rest, page.canonical_text());
    }

    #[test]
    fn a_long_file_is_recalled_to_its_end() {
        let lines: String = (0..5_200).map(|n| format!("item {n},{n}\n")).collect();
        let (found, rest) = rows(&read("long.csv", &format!("name,count\n{lines}")), "long.csv");
        assert_eq!(found.len(), 4_999, "the table's bound counts its header");
        assert!(rest.starts_with("item 4999,4999") && rest.ends_with("item 5199,5199"), "{}", &rest[..40]);
    }
}
