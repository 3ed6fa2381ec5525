//! Walks a document's tree, without recursion, and writes its text as blocks.

use std::collections::HashSet;

use ego_tree::iter::Edge;
use ego_tree::{NodeId, NodeRef};
use scraper::Node;
use scraper::node::Element;

use super::super::grid::Budget;
use super::super::page::{Block, BlockKind, Blocks, PageTable, TABLES_MAX};
use super::table::{TableState, layout_tables};

/// Elements that begin and end a block.
const BLOCK: [&str; 42] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "caption",
    "center",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hgroup",
    "hr",
    "legend",
    "li",
    "main",
    "menu",
    "nav",
    "ol",
    "p",
    "pre",
    "search",
    "section",
    "summary",
    "table",
    "ul",
    "html",
];
/// Elements of a table: blocks when the table only arranges the page.
const TABLE_PARTS: [&str; 6] = ["tr", "td", "th", "thead", "tbody", "tfoot"];
/// Elements whose text is not the page's.
const DROPPED: [&str; 25] = [
    "script", "style", "template", "noscript", "iframe", "object", "embed", "svg", "math", "canvas", "audio", "video", "map", "button", "select",
    "textarea", "input", "datalist", "dialog", "head", "progress", "meter", "noembed", "noframes", "rp",
];
/// Elements beside the content: dropped unless they are all there is.
const ASIDE: [&str; 3] = ["nav", "footer", "aside"];
const ASIDE_ROLES: [&str; 5] = ["navigation", "complementary", "contentinfo", "search", "banner"];
/// Classes under which common site generators keep what is beside the content.
const ASIDE_CLASSES: [&str; 25] = [
    "navbox",
    "mw-editsection",
    "mw-jump-link",
    "headerlink",
    "toc",
    "breadcrumb",
    "breadcrumbs",
    "sidebar",
    "sphinxsidebar",
    "skip-link",
    "sr-only",
    "visually-hidden",
    "noprint",
    "navbar",
    "site-footer",
    "site-header",
    "cookie-banner",
    "table-of-contents",
    "hash-link",
    "header-anchor",
    "anchor-link",
    "catlinks",
    "prev-next-area",
    "theme-doc-breadcrumbs",
    "metadata-footer",
];

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) blocks: Vec<Block>,
    pub(super) tables: Vec<PageTable>,
    pub(super) truncated: bool,
}

/// Writes the text below `root`; `content_only` leaves out menus, footers and their like.
pub(super) fn walk(root: NodeRef<'_, Node>, content_only: bool) -> Walked {
    let mut walker = Walker { content_only, layout: layout_tables(root), ..Walker::default() };
    let mut skipping: Option<NodeId> = None;
    for edge in root.traverse() {
        match edge {
            Edge::Open(_) if skipping.is_some() => {}
            Edge::Open(node) => {
                if node.id() != root.id() && walker.drops(node) {
                    walker.skipped_text |= has_text(node);
                    skipping = Some(node.id());
                } else {
                    walker.open(node);
                }
            }
            Edge::Close(node) => match skipping {
                Some(id) if id == node.id() => skipping = None,
                Some(_) => {}
                None => walker.close(node),
            },
        }
    }
    walker.finish()
}

/// Whether no reader sees this element.
pub(super) fn is_dropped(node: NodeRef<'_, Node>) -> bool {
    let Some(element) = node.value().as_element() else { return false };
    let hidden_style = element.attr("style").is_some_and(|style| {
        let style: String = style.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
        style.contains("display:none") || style.contains("visibility:hidden")
    });
    let aria_hidden = element.attr("aria-hidden").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    DROPPED.contains(&element.name()) || element.attr("hidden").is_some() || hidden_style || aria_hidden
}

fn is_aside(element: &Element) -> bool {
    ASIDE.contains(&element.name())
        || element.attr("role").is_some_and(|role| ASIDE_ROLES.contains(&role.trim()))
        || element.classes().any(|class| ASIDE_CLASSES.contains(&class))
}

/// A page's header without its heading: a logo and a menu.
fn is_site_header(node: NodeRef<'_, Node>, element: &Element) -> bool {
    let is = |node: NodeRef<'_, Node>, name: &str| node.value().as_element().is_some_and(|element| element.name() == name);
    element.name() == "header" && node.parent().is_some_and(|parent| is(parent, "body")) && !node.descendants().any(|below| is(below, "h1"))
}

fn has_text(node: NodeRef<'_, Node>) -> bool {
    node.descendants().any(|below| below.value().as_text().is_some_and(|text| !text.trim().is_empty()))
}

/// Text on its way to a block or a cell: white space collapsed, seams noted.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) text: String,
    pub(super) seams: Vec<u32>,
    space: bool,
    markup: bool,
}

impl Run {
    pub(super) fn push(&mut self, text: &str) {
        for c in text.chars() {
            if c.is_whitespace() {
                self.space = true;
                continue;
            }
            if !self.text.is_empty() {
                if self.space {
                    self.text.push(' ');
                } else if self.markup {
                    self.seams.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
                }
            }
            (self.space, self.markup) = (false, false);
            self.text.push(c);
        }
    }

    /// Markup begins or ends here: some strippers leave a space, some do not.
    pub(super) fn markup(&mut self) {
        self.markup = true;
    }

    /// A reader sees a gap here.
    pub(super) fn space(&mut self) {
        self.space = true;
    }
}

#[derive(Default)]
struct Walker {
    content_only: bool,
    layout: HashSet<NodeId>,
    blocks: Blocks,
    tables: Vec<PageTable>,
    budget: Budget,
    run: Run,
    /// The kinds of the open block elements.
    kinds: Vec<(NodeId, BlockKind)>,
    table: Option<TableState>,
    /// Text was left out since the last that was written: the two do not touch in the source.
    skipped_text: bool,
}

impl Walker {
    fn drops(&self, node: NodeRef<'_, Node>) -> bool {
        is_dropped(node) || (self.content_only && node.value().as_element().is_some_and(|element| is_aside(element) || is_site_header(node, element)))
    }

    fn open(&mut self, node: NodeRef<'_, Node>) {
        match node.value() {
            Node::Text(text) => self.text(text),
            Node::Element(element) => self.open_element(node, element),
            _ => {}
        }
    }

    fn open_element(&mut self, node: NodeRef<'_, Node>, element: &Element) {
        let name = element.name();
        if self.in_cell_or_caption() {
            self.markup_in_table(name);
            if name == "table" {
                return;
            }
        }
        if name == "table" && !self.layout.contains(&node.id()) && self.table.is_none() && self.tables.len() < TABLES_MAX {
            self.flush();
            self.table = Some(TableState::new(node.id(), self.tables.len()));
            return;
        }
        if let Some(table) = &mut self.table {
            self.skipped_text = false;
            table.open(name, element);
            return;
        }
        if name == "br" {
            // Some strippers leave nothing for it.
            self.run.markup();
            self.run.space();
        } else if BLOCK.contains(&name) || TABLE_PARTS.contains(&name) {
            self.flush();
            let kind = self.kind_of(name);
            self.kinds.push((node.id(), kind));
        } else {
            self.run.markup();
        }
    }

    fn close(&mut self, node: NodeRef<'_, Node>) {
        let Some(element) = node.value().as_element() else { return };
        let name = element.name();
        if let Some(mut table) = self.table.take() {
            if table.node == node.id() {
                table.end_row(&mut self.blocks);
                self.end_table(&table);
                return;
            }
            table.close(name, &mut self.blocks);
            if BLOCK.contains(&name) {
                table.run().space();
            } else {
                table.run().markup();
            }
            self.table = Some(table);
            return;
        }
        if self.kinds.last().is_some_and(|(id, _)| *id == node.id()) {
            self.flush();
            self.kinds.pop();
        } else {
            self.run.markup();
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(table) = &mut self.table {
            if table.takes_text() {
                table.run().push(text);
            }
            return;
        }
        if self.skipped_text && !text.trim().is_empty() {
            self.flush();
        }
        self.run.push(text);
    }

    fn in_cell_or_caption(&self) -> bool {
        self.table.as_ref().is_some_and(TableState::takes_text)
    }

    fn markup_in_table(&mut self, name: &str) {
        let Some(table) = &mut self.table else { return };
        if name == "br" || BLOCK.contains(&name) {
            table.run().space();
        } else {
            table.run().markup();
        }
    }

    fn kind_of(&self, name: &str) -> BlockKind {
        let around = self.kinds.last().map_or(BlockKind::Other, |(_, kind)| *kind);
        match name {
            "h1" => BlockKind::Heading(1),
            "h2" => BlockKind::Heading(2),
            "h3" => BlockKind::Heading(3),
            "h4" => BlockKind::Heading(4),
            "h5" => BlockKind::Heading(5),
            "h6" => BlockKind::Heading(6),
            "li" => BlockKind::ListItem,
            "dt" => BlockKind::Term,
            "dd" => BlockKind::Definition,
            "pre" => BlockKind::Code,
            "figcaption" | "caption" | "legend" => BlockKind::Caption,
            "p" | "blockquote" if matches!(around, BlockKind::Other) => BlockKind::Paragraph,
            _ => around,
        }
    }

    /// Ends the block that is being written.
    fn flush(&mut self) {
        self.skipped_text = false;
        let run = std::mem::take(&mut self.run);
        let kind = self.kinds.last().map_or(BlockKind::Other, |(_, kind)| *kind);
        self.blocks.push(Block { kind, text: run.text, seams: run.seams });
    }

    fn end_table(&mut self, table: &TableState) {
        let (built, cut) = table.build(&mut self.budget);
        self.blocks.truncated |= cut;
        self.tables.push(built);
    }

    fn finish(mut self) -> Walked {
        self.flush();
        Walked { blocks: self.blocks.list, tables: self.tables, truncated: self.blocks.truncated }
    }
}
