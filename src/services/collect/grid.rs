//! Tables: spans expanded, header rows found, everything bounded.

use super::page::{CELL_BYTES_MAX, CELLS_MAX, PageTable, TABLE_COLUMNS_MAX, TABLE_ROWS_MAX};
use crate::base::text::truncate;

/// Header rows that are joined into column names; more than this is not a header.
const HEADER_ROWS_MAX: usize = 4;
/// Bytes of cells kept over all tables of a page: spans repeat text, and must not multiply it without end.
const GRID_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A cell as the source has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) columns: usize,
    pub(super) rows: usize,
    /// Marked as a header cell.
    pub(super) header: bool,
}

impl Cell {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), columns: 1, rows: 1, header: false }
    }
}

/// A row as the source has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) cells: Vec<Cell>,
    /// In the table's head.
    pub(super) head: bool,
}

/// What all tables of a page may still take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    cells: usize,
    bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { cells: CELLS_MAX, bytes: GRID_BYTES_MAX }
    }
}

/// Expands spans and finds the header. Rows beyond the bounds are cut, which the flag reports.
pub(super) fn build(caption: Option<String>, rows: &[Row], budget: &mut Budget) -> (PageTable, bool) {
    let (mut grid, cut) = expand(rows, budget);
    let width = grid.iter().map(Vec::len).max().unwrap_or(0);
    for row in &mut grid {
        row.resize(width, String::new());
    }
    let header_rows = header_rows(rows, &grid);
    let header = column_names(&grid[..header_rows], if header_rows == 0 { 0 } else { width });
    let rows = grid.split_off(header_rows);
    (PageTable { caption, header, header_rows: u32::try_from(header_rows).unwrap_or(0), rows }, cut)
}

fn expand(rows: &[Row], budget: &mut Budget) -> (Vec<Vec<String>>, bool) {
    let mut grid: Vec<Vec<String>> = Vec::with_capacity(rows.len().min(TABLE_ROWS_MAX));
    // Cells that reach down from rows above, by column: rows still to fill, and the text.
    let mut hanging: Vec<Option<(usize, String)>> = Vec::new();
    for row in rows {
        let width = row.cells.iter().map(|cell| cell.columns.clamp(1, TABLE_COLUMNS_MAX)).sum::<usize>() + hanging.iter().flatten().count();
        let width = width.min(TABLE_COLUMNS_MAX);
        if grid.len() >= TABLE_ROWS_MAX || budget.cells < width {
            return (grid, true);
        }
        let line = expand_row(row, &mut hanging);
        let bytes: usize = line.iter().map(String::len).sum();
        if budget.bytes < bytes {
            return (grid, true);
        }
        budget.bytes -= bytes;
        budget.cells -= line.len().min(budget.cells);
        grid.push(line);
    }
    (grid, false)
}

fn expand_row(row: &Row, hanging: &mut Vec<Option<(usize, String)>>) -> Vec<String> {
    let mut line: Vec<String> = Vec::new();
    let take_hanging = |line: &mut Vec<String>, hanging: &mut Vec<Option<(usize, String)>>| {
        while let Some(slot) = hanging.get_mut(line.len())
            && let Some((left, text)) = slot
        {
            line.push(text.clone());
            *left -= 1;
            if *left == 0 {
                *slot = None;
            }
        }
    };
    for cell in &row.cells {
        take_hanging(&mut line, hanging);
        let text = truncate(&cell.text, CELL_BYTES_MAX);
        for _ in 0..cell.columns.max(1) {
            if line.len() >= TABLE_COLUMNS_MAX {
                return line;
            }
            if cell.rows > 1 {
                if hanging.len() <= line.len() {
                    hanging.resize(line.len() + 1, None);
                }
                hanging[line.len()] = Some((cell.rows - 1, text.to_owned()));
            }
            line.push(text.to_owned());
        }
    }
    take_hanging(&mut line, hanging);
    line
}

/// How many of the leading rows are the header: those in the head, or made of header cells, or, where nothing is marked, a first row
/// of names above rows with figures. At least one row is left below.
fn header_rows(rows: &[Row], grid: &[Vec<String>]) -> usize {
    let marked = |row: &Row| row.head || (row.cells.len() > 1 && row.cells.iter().all(|cell| cell.header || cell.text.is_empty()));
    let leading = rows.iter().take_while(|row| marked(row)).count();
    let most = HEADER_ROWS_MAX.min(grid.len().saturating_sub(1));
    if leading > 0 {
        return leading.min(most);
    }
    let any_marked = rows.iter().flat_map(|row| &row.cells).any(|cell| cell.header);
    usize::from(!any_marked && most > 0 && first_row_names(grid))
}

/// Whether the first row reads as names of what stands below.
fn first_row_names(grid: &[Vec<String>]) -> bool {
    let Some((first, rest)) = grid.split_first() else { return false };
    let has_digit = |text: &String| text.chars().any(|c| c.is_ascii_digit());
    let starts_as_figure =
        |text: &String| text.trim_start_matches(['-', '+', '−', '$', '€', '£', '<', '>', '~', '(']).starts_with(|c: char| c.is_ascii_digit());
    let named = first.len() > 1 && first.iter().all(|text| !text.is_empty() && text.len() <= 80 && !starts_as_figure(text));
    let mut distinct: Vec<&String> = first.iter().collect();
    distinct.sort();
    distinct.dedup();
    let figures_below = (0..first.len()).any(|column| {
        let filled = rest.iter().filter(|row| !row[column].is_empty()).count();
        !has_digit(&first[column]) && filled > 0 && rest.iter().filter(|row| starts_as_figure(&row[column])).count() * 2 > filled
    });
    named && distinct.len() == first.len() && figures_below
}

/// The last header row where it tells the columns apart by words, else all header rows joined (`Length km`, `Length mi`).
fn column_names(header: &[Vec<String>], width: usize) -> Vec<String> {
    let leaf = |column: usize| header.last().map(|row| row[column].as_str()).unwrap_or_default();
    let words = |text: &str| text.chars().filter(|c| c.is_alphabetic()).count() >= 4;
    let distinct: std::collections::BTreeSet<&str> = (0..width).map(leaf).collect();
    let grouped = |column: usize| header.iter().any(|row| row[column] != leaf(column));
    let clear = distinct.len() == width && (0..width).all(|column| !grouped(column) || words(leaf(column)));
    if clear { (0..width).map(|column| leaf(column).to_owned()).collect() } else { (0..width).map(|column| column_name(header, column)).collect() }
}

fn column_name(header: &[Vec<String>], column: usize) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for row in header {
        let text = row[column].as_str();
        if !text.is_empty() && !parts.contains(&text) {
            parts.push(text);
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(lines: &[&[&str]]) -> Vec<Row> {
        lines.iter().map(|line| Row { cells: line.iter().map(|text| Cell::plain(*text)).collect(), head: false }).collect()
    }

    #[test]
    fn a_first_row_of_names_above_figures_is_the_header() {
        let (table, _) = build(None, &rows(&[&["River", "Length"], &["Rhine", "1,230"], &["Elbe", "1,094"]]), &mut Budget::default());
        assert_eq!((table.header.as_slice(), table.header_rows), (["River".to_owned(), "Length".to_owned()].as_slice(), 1));
        let (table, _) = build(None, &rows(&[&["Length", "1,230 km"], &["Basin", "185,000 km²"]]), &mut Budget::default());
        assert_eq!((table.header_rows, table.rows.len()), (0, 2));
    }

    #[test]
    fn spans_fill_every_place_they_cover() {
        let mut source = rows(&[&["Country", "Size", ""], &["", "km", "mi"], &["Rhine", "1,230", "764"], &["Elbe", "1,094"]]);
        source[0].head = true;
        source[1].head = true;
        source[0].cells.truncate(2);
        source[0].cells[0].rows = 2;
        source[0].cells[1].columns = 2;
        source[1].cells.remove(0);
        let (table, cut) = build(None, &source, &mut Budget::default());
        assert_eq!(table.header, ["Country", "Size km", "Size mi"]);
        assert_eq!(table.rows, [["Rhine", "1,230", "764"], ["Elbe", "1,094", ""]]);
        assert!(!cut);
    }

    #[test]
    fn absurd_spans_stay_within_bounds() {
        let huge = Cell { text: "x".repeat(2000), columns: 1_000_000, rows: 1_000_000, header: false };
        let source: Vec<Row> = (0..20_000).map(|_| Row { cells: vec![huge.clone()], head: false }).collect();
        let (table, cut) = build(None, &source, &mut Budget::default());
        assert!(cut);
        assert!(table.rows.iter().all(|row| row.len() <= TABLE_COLUMNS_MAX));
        assert!(table.rows.iter().flatten().map(String::len).sum::<usize>() <= GRID_BYTES_MAX);
    }
}
