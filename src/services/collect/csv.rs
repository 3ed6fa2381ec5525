//! Delimited values to a table. A row's block is its line as the file has it, so that a quote is found there.

use super::grid::{self, Budget, Cell, Row};
use super::page::{Block, BlockKind, Blocks, PageText, TABLE_COLUMNS_MAX, TABLE_ROWS_MAX};
use crate::base::text::collapse_whitespace;

/// Records from which the delimiter is guessed.
const SNIFF_RECORDS: usize = 50;
/// Bytes from which the delimiter is guessed.
const SNIFF_BYTES: usize = 64 * 1024;

/// Reads delimited values; the delimiter is the one that gives the most even columns.
pub(super) fn read(text: &str) -> PageText {
    let Some(delimiter) = sniff(text) else { return super::plain::read(text) };
    let mut reader = builder(delimiter).from_reader(text.as_bytes());
    let mut blocks = Blocks::default();
    let mut rows: Vec<Row> = Vec::new();
    let mut record = ::csv::StringRecord::new();
    let mut number = 0u32;
    let mut cut = false;
    loop {
        let start = position(&reader);
        // A record that is no text or has broken quotes ends what can be read.
        let Ok(true) = reader.read_record(&mut record) else { break };
        let line = collapse_whitespace(text.get(start..position(&reader)).unwrap_or_default());
        if record.iter().all(|field| field.trim().is_empty()) {
            continue;
        }
        if rows.len() >= TABLE_ROWS_MAX {
            cut = true;
        } else {
            rows.push(Row {
                cells: record.iter().take(TABLE_COLUMNS_MAX).map(|field| Cell::plain(collapse_whitespace(field))).collect(),
                head: false,
            });
        }
        blocks.push(Block::new(BlockKind::TableRow { table: 0, row: number }, line));
        number += 1;
    }
    if let Some(first) = rows.first_mut()
        && is_header(first)
    {
        first.head = true;
    }
    let (table, shortened) = grid::build(None, &rows, &mut Budget::default());
    PageText { blocks: blocks.list, tables: vec![table], truncated: cut || shortened || blocks.truncated, ..PageText::default() }
}

fn builder(delimiter: u8) -> ::csv::ReaderBuilder {
    let mut builder = ::csv::ReaderBuilder::new();
    builder.delimiter(delimiter).has_headers(false).flexible(true);
    builder
}

fn position(reader: &::csv::Reader<&[u8]>) -> usize {
    usize::try_from(reader.position().byte()).unwrap_or(usize::MAX)
}

/// The delimiter under which most records have the same number of fields, more than one; none when no delimiter does.
fn sniff(text: &str) -> Option<u8> {
    let sample = crate::base::text::truncate(text, SNIFF_BYTES);
    let mut best: Option<(usize, u8)> = None;
    for delimiter in [b',', b';', b'\t', b'|'] {
        let mut reader = builder(delimiter).from_reader(sample.as_bytes());
        let widths: Vec<usize> = reader.records().take(SNIFF_RECORDS).map_while(Result::ok).map(|record| record.len()).collect();
        let Some(first) = widths.first().copied().filter(|width| *width > 1) else { continue };
        let even = widths.iter().filter(|width| **width == first).count();
        let score = even * 100 / widths.len().max(1) * 100 + first.min(99);
        if best.is_none_or(|(most, _)| score > most) {
            best = Some((score, delimiter));
        }
    }
    best.map(|(_, delimiter)| delimiter)
}

/// A first record of distinct names, none of them a figure, is the header: nearly every file has one.
fn is_header(row: &Row) -> bool {
    let mut names: Vec<&str> = row.cells.iter().map(|cell| cell.text.as_str()).collect();
    let named = names.iter().all(|name| !name.is_empty() && name.len() <= 100 && !name.starts_with(|c: char| c.is_ascii_digit() || c == '-'));
    names.sort_unstable();
    names.dedup();
    named && names.len() == row.cells.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_and_the_header_are_found_and_lines_stay_as_they_are() {
        let page = read("River;Length (km);Note\nRhine;1.230;\"Basel; CH\"\n\nElbe;1.094;x\n");
        assert_eq!(page.tables[0].header, ["River", "Length (km)", "Note"]);
        assert_eq!(page.tables[0].rows, [["Rhine", "1.230", "Basel; CH"], ["Elbe", "1.094", "x"]]);
        assert_eq!(page.blocks[1].text, "Rhine;1.230;\"Basel; CH\"");
        assert_eq!(page.blocks[2].kind, BlockKind::TableRow { table: 0, row: 2 });
    }

    #[test]
    fn rows_without_header_and_text_without_delimiter_are_read_too() {
        let page = read("1,2\n3,4\n");
        assert!(page.tables[0].header.is_empty() && page.tables[0].rows.len() == 2);
        assert!(read("just a line\nanother").tables.is_empty());
    }

    #[test]
    fn a_long_file_is_cut_at_the_bound() {
        let page = read(&format!("a,b\n{}", "x,1\n".repeat(30_000)));
        assert!(page.truncated);
        assert_eq!(page.tables[0].rows.len() + 1, TABLE_ROWS_MAX);
    }
}
