//! Tables of pages to tables of the report, and their figures to metrics.

use std::collections::{BTreeMap, BTreeSet};

use super::super::page::{BlockKind, PageFormat, PageTable};
use super::context::{MetricDraft, PageContext, TableDraft};
use super::figures;
use super::titles::{shown, without_references};
use super::units;
use super::words::capitalise;
use crate::base::text::truncate;
use crate::model::report::PAIR_COLUMNS;

/// Most figures taken from one table.
const METRICS_MAX: usize = 400;
/// Most rows kept of one table.
const ROWS_MAX: usize = 100;
/// Most columns kept of one table.
const COLUMNS_MAX: usize = 16;
/// Longest name of a row or column that still reads as one, in bytes.
const NAME_BYTES_MAX: usize = 70;
/// Columns that number or name things although they hold digits.
const NAMING_COLUMNS: [&str; 32] = [
    "#", "chapter", "class", "code", "date", "founded", "grade", "id", "isbn", "issue", "level", "line", "no", "no.", "number", "opened", "page",
    "phone", "port", "position", "postcode", "rank", "release", "section", "since", "stage", "stars", "tier", "type", "version", "year", "zip",
];

/// A column: its name without the unit, and what the header says of its figures.
struct Column {
    name: String,
    unit: Option<String>,
    factor: f64,
    as_of: Option<String>,
    figures: bool,
}

/// The tables of a page with what they say in figures.
pub(super) fn read(context: &PageContext<'_>) -> (Vec<TableDraft>, Vec<MetricDraft>) {
    let blocks = row_blocks(context);
    let (mut tables, mut metrics) = (Vec::new(), Vec::new());
    for source in sources(context, &blocks) {
        if let Some(draft) = source.draft(ROWS_MAX, COLUMNS_MAX) {
            source.metrics(&draft, &mut metrics);
            tables.push(draft);
        }
    }
    (tables, metrics)
}

/// The tables of a page, with as many rows and columns as are wanted.
pub(super) fn drafts(context: &PageContext<'_>, rows_max: usize, columns_max: usize) -> Vec<TableDraft> {
    sources(context, &row_blocks(context)).filter_map(|source| source.draft(rows_max, columns_max)).collect()
}

fn sources<'a>(context: &'a PageContext<'a>, blocks: &'a [Vec<usize>]) -> impl Iterator<Item = Source<'a>> {
    context.page.tables.iter().zip(blocks).map(move |(table, blocks)| Source { context, table, blocks })
}

/// For each table, the block of each of its rows.
fn row_blocks(context: &PageContext<'_>) -> Vec<Vec<usize>> {
    let mut rows_of: Vec<Vec<usize>> = vec![Vec::new(); context.page.tables.len()];
    for (at, block) in context.page.blocks.iter().enumerate() {
        if let BlockKind::TableRow { table, row } = block.kind
            && let Some(rows) = rows_of.get_mut(table as usize)
        {
            // A row without text has no block: place by number.
            let row = row as usize;
            if rows.len() <= row {
                rows.resize(row + 1, usize::MAX);
            }
            if rows[row] == usize::MAX {
                rows[row] = at;
            }
        }
    }
    rows_of
}

struct Source<'a> {
    context: &'a PageContext<'a>,
    table: &'a PageTable,
    blocks: &'a [usize],
}

impl Source<'_> {
    fn block(&self, row: usize) -> Option<usize> {
        self.blocks.get(row + self.table.header_rows as usize).copied().filter(|at| *at != usize::MAX)
    }

    /// The table as the report shows it; none when it holds too little to be one.
    fn draft(&self, rows_max: usize, columns_max: usize) -> Option<TableDraft> {
        let width = self.table.rows.first().map_or(0, Vec::len).min(columns_max);
        let first_block = self.blocks.iter().copied().find(|at| *at != usize::MAX)?;
        let tidy = |text: &String| shown(text, self.context.page.format);
        let mut rows = Vec::new();
        for (at, row) in self.table.rows.iter().enumerate() {
            let Some(block) = self.block(at) else { continue };
            let spanned = row.len() > 1 && row.iter().all(|cell| *cell == row[0]);
            if !spanned && rows.len() < rows_max {
                rows.push((row.iter().take(width).map(tidy).collect::<Vec<_>>(), block));
            }
        }
        let pair = self.table.header.iter().all(String::is_empty) && width == 2;
        // A lone row without a header only arranges the page, unless it is a member of an object.
        let lone = rows.len() < 2 && self.table.header.is_empty() && self.context.page.format != PageFormat::Json;
        if width < 2 || rows.is_empty() || lone {
            return None;
        }
        let named = |at: usize| self.table.header.get(at).map(tidy).filter(|name| !name.is_empty());
        let columns =
            (0..width).map(|at| named(at).unwrap_or_else(|| if pair { PAIR_COLUMNS[at].to_owned() } else { format!("Column {}", at + 1) })).collect();
        let caption = self.table.caption.as_ref().map(tidy).filter(|text| !text.is_empty());
        let caption_block = caption.is_some().then(|| self.caption_block(first_block)).flatten();
        let heading = self.context.heading_at(first_block);
        let title = caption.unwrap_or_else(|| match (heading, self.context.subject.as_str()) {
            (Some(heading), subject) if subject.is_empty() || subject == heading => heading.to_owned(),
            (Some(heading), subject) => format!("{subject}: {heading}"),
            (None, "") => self.context.title.clone(),
            (None, subject) => subject.to_owned(),
        });
        let header = (0..self.table.header_rows as usize).filter_map(|row| self.blocks.get(row).copied()).collect();
        Some(TableDraft { title, columns, rows, header, page: self.context.index, lead: caption_block.unwrap_or(first_block), pair })
    }

    /// The caption's block stands right before the rows, or at the table's start.
    fn caption_block(&self, first: usize) -> Option<usize> {
        let caption = self.table.caption.as_deref()?;
        let from = first.saturating_sub(3);
        let last = self.blocks.iter().copied().filter(|at| *at != usize::MAX).max()?;
        (from..=(last + 1).min(self.context.page.blocks.len() - 1))
            .find(|at| self.context.page.blocks[*at].kind == BlockKind::Caption && self.context.page.blocks[*at].text.starts_with(caption))
    }

    fn metrics(&self, draft: &TableDraft, metrics: &mut Vec<MetricDraft>) {
        let before = metrics.len();
        if draft.pair {
            for (cells, block) in &draft.rows {
                self.pair(draft, &cells[0], &cells[1], *block, metrics);
            }
        } else if self.table.header.iter().any(|name| !name.is_empty()) {
            let columns: Vec<Column> = (0..draft.columns.len()).map(|at| self.column(draft, at)).collect();
            match years(draft, &columns) {
                Some(years) => self.latest(draft, &columns, years, metrics),
                None => self.grid(draft, &columns, metrics),
            }
        }
        metrics.truncate(before + METRICS_MAX);
    }

    /// A row of names and values: `Length | 1,230 km`.
    fn pair(&self, draft: &TableDraft, name: &str, value: &str, block: usize, metrics: &mut Vec<MetricDraft>) {
        let Some((value, unit)) = figures::cell(value, self.context.comma) else { return };
        let column = column_of(name);
        let year = unit.is_none() && (1000.0..2101.0).contains(&value);
        if year || !readable(&column.name) || is_naming(&column.name) {
            return;
        }
        let owner = self.table.caption.as_deref().map_or_else(|| self.context.owner(block), without_references);
        metrics.push(MetricDraft {
            name: join(&owner, &column.name),
            value: value * column.factor,
            unit: column.unit.or(unit),
            as_of: column.as_of,
            topic: draft.title.clone(),
            page: self.context.index,
            block,
            quote: 0..self.context.page.blocks[block].text.len(),
            bonus: 0.0,
        });
    }

    fn column(&self, draft: &TableDraft, at: usize) -> Column {
        let mut column = column_of(&draft.columns[at]);
        let (mut filled, mut numbers, mut yearly) = (0, 0, 0);
        for (cells, _) in &draft.rows {
            filled += usize::from(!cells[at].is_empty());
            if let Some((value, unit)) = figures::cell(&cells[at], self.context.comma) {
                numbers += 1;
                yearly += usize::from(unit.is_none() && cells[at].len() == 4 && (1000.0..2101.0).contains(&value));
            }
        }
        column.figures = numbers * 10 >= filled * 6 && numbers > 0 && !is_naming(&column.name) && !(yearly == numbers && column.unit.is_none());
        column
    }

    /// One metric for each figure: `Rhine: Length`.
    fn grid(&self, draft: &TableDraft, columns: &[Column], metrics: &mut Vec<MetricDraft>) {
        let Some(label) = columns.iter().position(|column| !column.figures && !is_naming(&column.name)) else { return };
        for (at, column) in columns.iter().enumerate().filter(|(_, column)| column.figures && readable(&column.name)) {
            let value_of = |cells: &[String]| figures::cell(&cells[at], self.context.comma);
            let values: Vec<f64> = draft
                .rows
                .iter()
                .filter(|(cells, _)| !is_total(&cells[label]))
                .filter_map(|(cells, _)| value_of(cells))
                .map(|(value, _)| value)
                .collect();
            let (least, most) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(*value), most.max(*value)));
            for (cells, block) in draft.rows.iter().filter(|(cells, _)| readable(&cells[label])) {
                if let Some((value, unit)) = value_of(cells) {
                    // A row may name the unit too: `Upload size (MB)`.
                    let row = column_of(&cells[label]);
                    metrics.push(MetricDraft {
                        name: join(&row.name, &column.name),
                        value: value * column.factor * row.factor,
                        unit: column.unit.clone().or(unit).or(row.unit),
                        as_of: column.as_of.clone(),
                        topic: draft.title.clone(),
                        page: self.context.index,
                        block: *block,
                        quote: 0..self.context.page.blocks[*block].text.len(),
                        bonus: if values.len() > 1 { self.context.extreme.bonus(value, least, most) } else { 0.0 },
                    });
                }
            }
        }
    }

    /// A series by year: its latest figures, as of that year; where the years follow names (`Rhine | 2023`), the latest of each name.
    fn latest(&self, draft: &TableDraft, columns: &[Column], years: usize, metrics: &mut Vec<MetricDraft>) {
        let mut series: BTreeMap<&str, Vec<&(Vec<String>, usize)>> = BTreeMap::new();
        for row in &draft.rows {
            series.entry(if years == 0 { "" } else { row.0[0].as_str() }).or_default().push(row);
        }
        for (at, column) in columns.iter().enumerate().filter(|(at, column)| *at > 0 && *at != years && column.figures && readable(&column.name)) {
            let figure = |cells: &[String]| figures::cell(&cells[at], self.context.comma);
            for (label, rows) in &series {
                let latest = rows.iter().filter(|(cells, _)| figure(cells).is_some()).max_by_key(|(cells, _)| cells[years].clone());
                let Some(((cells, block), (value, unit))) = latest.and_then(|row| figure(&row.0).map(|figure| (*row, figure))) else { continue };
                let of_table = || self.table.caption.as_deref().map_or_else(|| self.context.owner(*block), without_references);
                let owner = if label.is_empty() { of_table() } else { (*label).to_owned() };
                metrics.push(MetricDraft {
                    name: join(&owner, &column.name),
                    value: value * column.factor,
                    unit: column.unit.clone().or(unit),
                    as_of: Some(cells[years].clone()),
                    topic: draft.title.clone(),
                    page: self.context.index,
                    block: *block,
                    quote: 0..self.context.page.blocks[*block].text.len(),
                    bonus: 0.1,
                });
            }
        }
    }
}

/// The column of years, when that is what tells the rows apart: the first, or the second behind names that come again (`Rhine | 2023`,
/// `Rhine | 2024`). Beside names that come once (`Puffin | 1998`) a year says when something was built.
fn years(draft: &TableDraft, columns: &[Column]) -> Option<usize> {
    let is_year = |text: &str| text.len() == 4 && text.parse::<u32>().is_ok_and(|year| (1500..=2100).contains(&year));
    let at = (0..columns.len().min(2)).find(|at| draft.rows.len() > 1 && draft.rows.iter().all(|(cells, _)| is_year(&cells[*at])))?;
    (is_distinct(draft, at + 1) && (at == 0 || !is_distinct(draft, 1))).then_some(at)
}

/// Whether the first columns, so many of them, tell every row from the others.
fn is_distinct(draft: &TableDraft, columns: usize) -> bool {
    let different: BTreeSet<&[String]> = draft.rows.iter().map(|(cells, _)| &cells[..columns]).collect();
    different.len() == draft.rows.len()
}

/// Name, unit, factor and date of a header: `Population (2021, millions)`, `Length (km)`, `Length [km]`, `Length, km`, `Share %`, `price_eur`.
fn column_of(header: &str) -> Column {
    let mut column = Column { name: header.trim().to_owned(), unit: None, factor: 1.0, as_of: None, figures: false };
    if column.name.contains('_') && !column.name.contains(' ') {
        // A program's name: its last word may be a unit in small letters.
        let words = column.name.replace('_', " ").trim().to_owned();
        let unit = words.rsplit_once(' ').and_then(|(name, last)| Some((name, units::unit(last).or_else(|| units::unit(&last.to_uppercase()))?)));
        column.unit = unit.map(|(_, unit)| unit.to_owned());
        column.name = unit.map_or(words.clone(), |(name, _)| name.to_owned());
        return column;
    }
    while let Some(open) = column.name.rfind(['(', '[']).filter(|_| column.name.ends_with([')', ']'])) {
        let inside = column.name[open + 1..column.name.len() - 1].to_owned();
        if !inside.split([',', ';']).all(|part| column.take(part.trim())) {
            break;
        }
        column.name.truncate(open);
        column.name.truncate(column.name.trim_end().len());
    }
    if column.unit.is_none()
        && let Some((name, last)) = column.name.rsplit_once([' ', ','])
        && let Some(unit) = units::unit(last).filter(|_| is_unit_word(last))
    {
        column.unit = Some(unit.to_owned());
        let name = name.trim_end_matches([',', ' ']);
        column.name = name.strip_suffix(" in").unwrap_or(name).to_owned();
    }
    column.name = column.name.trim_end_matches(':').to_owned();
    column
}

impl Column {
    /// Takes a part of what stands in brackets; false when it says none of these things.
    fn take(&mut self, part: &str) -> bool {
        let part = part.strip_prefix("in ").unwrap_or(part);
        if let Some(unit) = units::unit(part) {
            self.unit = Some(unit.to_owned());
            return true;
        }
        if let [date] = super::dates::find(part).as_slice()
            && ["as of", "est.", "estimate", "census", ""].contains(&format!("{}{}", &part[..date.at.start], &part[date.at.end..]).trim())
        {
            self.as_of = Some(date.iso.clone());
            return true;
        }
        let factor = |word: &str| match word.trim_end_matches('s') {
            "thousand" | "'000" | "000" => Some(1e3),
            "million" | "mn" | "m" => Some(1e6),
            "billion" | "bn" => Some(1e9),
            _ => None,
        };
        let mut words = part.split(' ').filter(|word| *word != "of");
        let (first, second) = (words.next().unwrap_or_default(), words.next());
        match (factor(first), second) {
            (Some(factor), None) => self.factor = factor,
            (Some(found), Some(second)) if units::unit(second).is_some() => {
                self.factor = found;
                self.unit = units::unit(second).map(str::to_owned);
            }
            (None, Some(second)) if units::unit(first).is_some() && factor(second).is_some() => {
                self.factor = factor(second).unwrap_or(1.0);
                self.unit = units::unit(first).map(str::to_owned);
            }
            _ => return false,
        }
        true
    }
}

/// Whether the last word of a header is a unit rather than a word: `%`, `km`, `m³/s`.
fn is_unit_word(word: &str) -> bool {
    word == "%" || (word.len() > 1 && !matches!(word, "min" | "in" | "bar") && (word.len() <= 3 || !word.chars().all(char::is_alphabetic)))
}

pub(super) fn is_naming(name: &str) -> bool {
    let lower = name.to_lowercase();
    NAMING_COLUMNS.contains(&lower.as_str())
        || lower.ends_with(" id")
        || lower.ends_with(" code")
        || lower.ends_with(" year")
        || lower.ends_with(" date")
        || [" issue", " number", " no", " version", " tier", " level"].iter().any(|ending| lower.ends_with(ending))
}

fn is_total(label: &str) -> bool {
    let lower = label.to_lowercase();
    ["total", "sum", "world", "average", "all"].iter().any(|word| lower == *word || lower.starts_with(&format!("{word} ")))
}

fn readable(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().any(char::is_alphabetic)
}

/// `Owner: Attribute`.
pub(super) fn join(owner: &str, attribute: &str) -> String {
    let (owner, attribute) = (truncate(owner.trim(), NAME_BYTES_MAX).trim(), capitalise(attribute.trim()));
    if owner.is_empty() || owner.eq_ignore_ascii_case(&attribute) { attribute } else { format!("{owner}: {attribute}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_give_name_unit_factor_and_date() {
        let read = |header: &str| {
            let column = column_of(header);
            (column.name, column.unit.unwrap_or_default(), column.factor, column.as_of.unwrap_or_default())
        };
        assert_eq!(read("Length (km)"), ("Length".into(), "km".into(), 1.0, String::new()));
        assert_eq!(read("Population (2021, millions)"), ("Population".into(), String::new(), 1e6, "2021".into()));
        assert_eq!(read("Revenue (USD million)"), ("Revenue".into(), "USD".into(), 1e6, String::new()));
        assert_eq!(read("Length km"), ("Length".into(), "km".into(), 1.0, String::new()));
        assert_eq!(read("Share %"), ("Share".into(), "%".into(), 1.0, String::new()));
        assert_eq!(read("Mouth (left bank)"), ("Mouth (left bank)".into(), String::new(), 1.0, String::new()));
        assert_eq!(read("price_eur"), ("price".into(), "EUR".into(), 1.0, String::new()));
        assert_eq!(read("height_m"), ("height".into(), "m".into(), 1.0, String::new()));
        assert_eq!(read("article_no"), ("article no".into(), String::new(), 1.0, String::new()));
        assert_eq!(read("Size [MB]"), ("Size".into(), "MB".into(), 1.0, String::new()));
    }
}
