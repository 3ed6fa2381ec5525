//! Markdown to blocks. A block's text is the source's own characters (marks stay, so that a quote is found in the source); cells, titles
//! and whatever is shown are freed of marks with [`tidy`].

use pulldown_cmark::{Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd};
use url::Url;

use super::grid::{self, Budget, Cell, Row};
use super::html::resolve;
use super::page::{Block, BlockKind, Blocks, LINKS_MAX, PageText, TABLES_MAX};
use crate::base::text::collapse_whitespace;

/// Reads Markdown; links are resolved against `address`.
pub(super) fn read(source: &str, address: &Url) -> PageText {
    let (body, title) = front_matter(source);
    let mut reader = Reader { source: body, title, ..Reader::default() };
    for (event, range) in Parser::new_ext(body, options()).into_offset_iter() {
        reader.event(event, range, address);
    }
    reader.finish()
}

/// Text without marks: what a reader sees of a piece of Markdown.
#[must_use]
pub fn tidy(markdown: &str) -> String {
    if !markdown.contains(['*', '_', '`', '[', '\\', '~', '<', '&']) {
        return markdown.to_owned();
    }
    let mut text = String::with_capacity(markdown.len());
    for event in Parser::new_ext(markdown, Options::ENABLE_STRIKETHROUGH) {
        match event {
            Event::Text(part) | Event::Code(part) => text.push_str(&part),
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            _ => {}
        }
    }
    let text = collapse_whitespace(&text);
    if text.is_empty() { markdown.to_owned() } else { text }
}

fn options() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS | Options::ENABLE_DEFINITION_LIST
}

/// The body, and the title that a leading block of settings gives.
fn front_matter(source: &str) -> (&str, Option<String>) {
    let Some(rest) = source.trim_start_matches('\u{feff}').strip_prefix("---\n") else { return (source, None) };
    let Some(end) = rest.find("\n---\n").filter(|end| *end < 16 * 1024) else { return (source, None) };
    let title = rest[..end].lines().find_map(|line| line.strip_prefix("title:")).map(|title| title.trim().trim_matches(['"', '\'']).to_owned());
    (&rest[end + 5..], title.filter(|title| !title.is_empty()))
}

#[derive(Default)]
struct Reader<'a> {
    source: &'a str,
    title: Option<String>,
    blocks: Blocks,
    /// The open block: its kind, and the source that its inline content covers.
    open: Option<(BlockKind, std::ops::Range<usize>)>,
    /// Pieces of the open block that a tag stripper removes.
    holes: Vec<std::ops::Range<usize>>,
    items: usize,
    quotes: usize,
    tables: Vec<Vec<Row>>,
    in_table: bool,
    links: Vec<Url>,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, range: std::ops::Range<usize>, address: &Url) {
        match event {
            Event::Start(tag) => self.start(&tag, range, address),
            Event::End(tag) => self.end(tag),
            Event::Html(_) => self.close_block(),
            Event::InlineHtml(_) => {
                self.cover(&range);
                self.holes.push(range);
            }
            Event::Text(_) | Event::Code(_) | Event::SoftBreak | Event::HardBreak | Event::TaskListMarker(_) => self.inline(&range),
            _ => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>, range: std::ops::Range<usize>, address: &Url) {
        match tag {
            Tag::Heading { level, .. } => self.open_block(BlockKind::Heading(level_of(*level))),
            Tag::Paragraph => self.open_block(if self.items > 0 { BlockKind::ListItem } else { BlockKind::Paragraph }),
            Tag::Item => {
                self.items += 1;
                self.open_block(BlockKind::ListItem);
            }
            Tag::DefinitionListTitle => self.open_block(BlockKind::Term),
            Tag::DefinitionListDefinition => self.open_block(BlockKind::Definition),
            Tag::BlockQuote(_) => {
                self.close_block();
                self.quotes += 1;
            }
            Tag::CodeBlock(_) => self.open_block(BlockKind::Code),
            Tag::HtmlBlock => self.close_block(),
            Tag::Table(_) => {
                self.close_block();
                self.in_table = self.tables.len() < TABLES_MAX;
                if self.in_table {
                    self.tables.push(Vec::new());
                }
            }
            Tag::TableHead | Tag::TableRow => self.start_row(&range, matches!(tag, Tag::TableHead)),
            Tag::TableCell => self.cell(&range),
            Tag::Link { dest_url, link_type, .. } => {
                self.cover(&range);
                if matches!(link_type, LinkType::Autolink | LinkType::Email) {
                    self.holes.push(range);
                }
                if let Some(url) = resolve(address, dest_url)
                    && self.links.len() < LINKS_MAX
                    && !self.links.contains(&url)
                {
                    self.links.push(url);
                }
            }
            Tag::Emphasis | Tag::Strong | Tag::Strikethrough | Tag::Image { .. } => self.cover(&range),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph | TagEnd::CodeBlock | TagEnd::Heading(_) | TagEnd::DefinitionListTitle | TagEnd::DefinitionListDefinition => {
                self.close_block()
            }
            TagEnd::Item => {
                self.close_block();
                self.items = self.items.saturating_sub(1);
            }
            TagEnd::BlockQuote(_) => self.quotes = self.quotes.saturating_sub(1),
            TagEnd::Table => self.in_table = false,
            _ => {}
        }
    }

    fn start_row(&mut self, range: &std::ops::Range<usize>, head: bool) {
        if !self.in_table {
            return;
        }
        let index = self.tables.len() - 1;
        let Some(table) = self.tables.last_mut() else { return };
        let row = u32::try_from(table.len()).unwrap_or(u32::MAX);
        table.push(Row { cells: Vec::new(), head });
        let line = self.source[range.clone()].lines().next().unwrap_or_default();
        let text = collapse_whitespace(line);
        let text = text.trim_start_matches('|').trim_end_matches('|').trim();
        self.blocks.push(Block::new(BlockKind::TableRow { table: u32::try_from(index).unwrap_or(u32::MAX), row }, text));
    }

    fn cell(&mut self, range: &std::ops::Range<usize>) {
        if let Some(row) = self.tables.last_mut().filter(|_| self.in_table).and_then(|table| table.last_mut()) {
            row.cells.push(Cell::plain(tidy(&collapse_whitespace(self.source[range.clone()].trim().trim_matches('|')))));
        }
    }

    fn inline(&mut self, range: &std::ops::Range<usize>) {
        if !self.in_table {
            self.cover(range);
        }
    }

    fn cover(&mut self, range: &std::ops::Range<usize>) {
        if self.in_table {
            return;
        }
        if let Some((_, covered)) = &mut self.open {
            if covered.start == covered.end {
                *covered = range.clone();
            } else {
                covered.start = covered.start.min(range.start);
                covered.end = covered.end.max(range.end);
            }
        }
    }

    fn open_block(&mut self, kind: BlockKind) {
        self.close_block();
        self.open = Some((kind, 0..0));
    }

    /// Writes the open block, in pieces where something in it is not text.
    fn close_block(&mut self) {
        let holes = std::mem::take(&mut self.holes);
        let Some((kind, covered)) = self.open.take() else { return };
        let mut from = covered.start;
        for hole in holes.into_iter().chain(std::iter::once(covered.end..covered.end)) {
            if hole.start >= from && hole.start <= covered.end {
                self.piece(kind, from, hole.start);
                from = hole.end;
            }
        }
    }

    fn piece(&mut self, kind: BlockKind, from: usize, to: usize) {
        let raw = self.source.get(from..to).unwrap_or_default();
        if self.quotes == 0 {
            self.blocks.push(Block::new(kind, collapse_whitespace(raw)));
        } else {
            // The marks of a quotation stand between its lines: each line is a block of its own.
            for line in raw.lines() {
                self.blocks.push(Block::new(kind, collapse_whitespace(line.trim_start().trim_start_matches('>'))));
            }
        }
    }

    fn finish(mut self) -> PageText {
        self.close_block();
        let mut budget = Budget::default();
        let mut truncated = self.blocks.truncated;
        let mut tables = Vec::with_capacity(self.tables.len());
        for table in &self.tables {
            let (built, cut) = grid::build(None, table, &mut budget);
            truncated |= cut;
            tables.push(built);
        }
        let heading = || self.blocks.list.iter().find(|block| matches!(block.kind, BlockKind::Heading(_))).map(|block| tidy(&block.text));
        PageText { title: self.title.clone().or_else(heading), blocks: self.blocks.list, tables, links: self.links, truncated, ..PageText::default() }
    }
}

fn level_of(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(source: &str) -> PageText {
        read(source, &"http://a.example/docs/".parse().unwrap())
    }

    #[test]
    fn blocks_are_the_sources_own_characters() {
        let source = "# Rivers of `Europe`\n\nThe **Rhine** is [1,230 km](rhine.md) long\nand old. See <https://b.example/>.\n\n- one\n- two\n\n> Quoted\n> twice\n\n```rust\nlet x = 1;\n```\n";
        let page = page(source);
        use BlockKind::{Code, Heading, ListItem, Paragraph};
        let blocks: Vec<_> = page.blocks.iter().map(|block| (block.kind, block.text.as_str())).collect();
        assert_eq!(
            blocks,
            [
                (Heading(1), "Rivers of `Europe`"),
                (Paragraph, "The **Rhine** is [1,230 km](rhine.md) long and old. See"),
                (Paragraph, "."),
                (ListItem, "one"),
                (ListItem, "two"),
                (Paragraph, "Quoted"),
                (Paragraph, "twice"),
                (Code, "let x = 1;"),
            ]
        );
        assert_eq!(page.title.as_deref(), Some("Rivers of Europe"));
        assert_eq!(page.links.iter().map(Url::as_str).collect::<Vec<_>>(), ["http://a.example/docs/rhine.md", "https://b.example/"]);
        let collapsed = collapse_whitespace(source);
        assert!(page.blocks.iter().all(|block| collapsed.contains(&block.text)));
    }

    #[test]
    fn tables_have_clean_cells_and_faithful_rows() {
        let page = page("---\ntitle: \"Facts\"\n---\n\n| River | Length |\n|---|--:|\n| **Rhine** |   1,230 |\n| Elbe | 1,094 |\n\nAfter.\n");
        assert_eq!(page.title.as_deref(), Some("Facts"));
        assert_eq!(page.tables[0].header, ["River", "Length"]);
        assert_eq!(page.tables[0].rows, [["Rhine", "1,230"], ["Elbe", "1,094"]]);
        assert_eq!(page.blocks[1].text, "**Rhine** | 1,230");
        assert_eq!(page.blocks.last().unwrap().text, "After.");
    }

    #[test]
    fn marks_go_where_text_is_shown() {
        assert_eq!(tidy("The **Rhine** is [1,230 km](x.md) `long`"), "The Rhine is 1,230 km long");
        assert_eq!(tidy("snake_case stays"), "snake_case stays");
    }

    #[test]
    fn deep_quotations_do_not_overflow() {
        assert!(!page(&format!("{} deep", "> ".repeat(50_000))).blocks.is_empty());
        assert!(!page(&format!("{}x", "[".repeat(50_000))).blocks.is_empty());
    }
}
