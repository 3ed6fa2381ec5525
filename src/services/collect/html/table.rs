//! Tables while they are walked, and which of them only arrange the page.

use std::collections::HashSet;

use ego_tree::iter::Edge;
use ego_tree::{NodeId, NodeRef};
use scraper::Node;
use scraper::node::Element;

use super::super::grid::{self, Budget, Cell, Row};
use super::super::page::{Block, BlockKind, Blocks, PageTable, TABLE_COLUMNS_MAX, TABLE_ROWS_MAX};
use super::walk::Run;

/// Most bytes kept of a table's name.
const CAPTION_BYTES_MAX: usize = 500;

/// A table that is being read.
pub(super) struct TableState {
    pub(super) node: NodeId,
    index: u32,
    caption: Option<String>,
    rows: Vec<Row>,
    place: Place,
    head: bool,
    run: Run,
    /// The open row's text and seams, for its block.
    line: Run,
    /// Rows seen, those beyond the bound too.
    seen: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Caption,
    Cell,
}

impl TableState {
    pub(super) fn new(node: NodeId, index: usize) -> Self {
        Self {
            node,
            index: u32::try_from(index).unwrap_or(u32::MAX),
            caption: None,
            rows: Vec::new(),
            place: Place::Outside,
            head: false,
            run: Run::default(),
            line: Run::default(),
            seen: 0,
        }
    }

    pub(super) fn takes_text(&self) -> bool {
        self.place != Place::Outside
    }

    pub(super) fn run(&mut self) -> &mut Run {
        &mut self.run
    }

    pub(super) fn open(&mut self, name: &str, element: &Element) {
        match name {
            "caption" => {
                self.place = Place::Caption;
                self.run = Run::default();
            }
            "thead" => self.head = true,
            "tr" => {
                self.line = Run::default();
                self.rows.push(Row { cells: Vec::new(), head: self.head });
            }
            "td" | "th" => {
                let span = |name: &str, max: usize| element.attr(name).and_then(|n| n.trim().parse().ok()).unwrap_or(1usize).clamp(1, max);
                let cell = Cell {
                    text: String::new(),
                    columns: span("colspan", TABLE_COLUMNS_MAX),
                    rows: span("rowspan", TABLE_ROWS_MAX),
                    header: name == "th",
                };
                if self.rows.is_empty() {
                    self.rows.push(Row::default());
                }
                if let Some(row) = self.rows.last_mut() {
                    row.cells.push(cell);
                }
                self.place = Place::Cell;
                self.run = Run::default();
            }
            _ => {}
        }
    }

    pub(super) fn close(&mut self, name: &str, blocks: &mut Blocks) {
        match name {
            "caption" => {
                let run = std::mem::take(&mut self.run);
                self.place = Place::Outside;
                self.caption = Some(crate::base::text::truncate(&run.text, CAPTION_BYTES_MAX).to_owned()).filter(|text| !text.is_empty());
                blocks.push(Block { kind: BlockKind::Caption, text: run.text, seams: run.seams });
            }
            "td" | "th" => {
                let run = std::mem::take(&mut self.run);
                self.place = Place::Outside;
                if !run.text.is_empty() {
                    let start = u32::try_from(self.line.text.len() + usize::from(!self.line.text.is_empty())).unwrap_or(u32::MAX);
                    self.line.seams.extend(run.seams.iter().map(|at| at.saturating_add(start)));
                    if !self.line.text.is_empty() {
                        self.line.text.push(' ');
                    }
                    self.line.text.push_str(&run.text);
                }
                if let Some(cell) = self.rows.last_mut().and_then(|row| row.cells.last_mut()) {
                    cell.text = run.text;
                }
            }
            "thead" => self.head = false,
            "tr" => self.end_row(blocks),
            _ => {}
        }
    }

    /// Writes the open row's block.
    pub(super) fn end_row(&mut self, blocks: &mut Blocks) {
        if self.rows.last().is_none_or(|row| row.cells.is_empty()) {
            self.rows.pop();
            return;
        }
        let line = std::mem::take(&mut self.line);
        if self.rows.len() > TABLE_ROWS_MAX {
            self.rows.pop();
            blocks.truncated = true;
        }
        if !line.text.is_empty() {
            blocks.push(Block { kind: BlockKind::TableRow { table: self.index, row: self.seen }, text: line.text, seams: line.seams });
        }
        self.seen += 1;
    }

    pub(super) fn build(&self, budget: &mut Budget) -> (PageTable, bool) {
        grid::build(self.caption.clone(), &self.rows, budget)
    }
}

/// The tables that only arrange the page: those that say so, hold another table or headings, or have a single column.
pub(super) fn layout_tables(root: NodeRef<'_, Node>) -> HashSet<NodeId> {
    let mut layout = HashSet::new();
    // Open tables: the id, the cells of the open row, the most cells of any row.
    let mut open: Vec<(NodeId, usize, usize)> = Vec::new();
    for edge in root.traverse() {
        let (node, opening) = match edge {
            Edge::Open(node) => (node, true),
            Edge::Close(node) => (node, false),
        };
        let Some(element) = node.value().as_element() else { continue };
        match (element.name(), opening) {
            ("table", true) => {
                layout.extend(open.last().map(|(id, ..)| *id));
                if element.attr("role").is_some_and(|role| matches!(role.trim(), "presentation" | "none")) {
                    layout.insert(node.id());
                }
                open.push((node.id(), 0, 0));
            }
            ("table", false) => {
                if let Some((id, _, most)) = open.pop()
                    && most < 2
                {
                    layout.insert(id);
                }
            }
            ("tr", true) => {
                if let Some(table) = open.last_mut() {
                    table.1 = 0;
                }
            }
            ("td" | "th", true) => {
                if let Some(table) = open.last_mut() {
                    table.1 += 1;
                    table.2 = table.2.max(table.1);
                }
            }
            ("h1" | "h2" | "h3" | "h4" | "form", true) => layout.extend(open.last().map(|(id, ..)| *id)),
            _ => {}
        }
    }
    layout
}
