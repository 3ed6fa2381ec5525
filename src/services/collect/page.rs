//! The text of a page or a document, and the law that quotes obey.
//!
//! **Canonical text.** The blocks' texts, joined by line feeds. A block's text is what a reader sees there, in document order, with every
//! run of white space collapsed into one space. In HTML a table row is its cells joined by one space; in Markdown, CSV, JSON and plain
//! text a block is the source's own characters, marks and all. So a quote, being part of one block, is found in the source by anybody
//! who strips tags and collapses white space.

use serde::{Deserialize, Serialize};
use url::Url;

pub(super) use super::blocks::Blocks;
use super::{csv, encoding, html, json, markdown, plain};
use crate::base::secret::sha256_hex;
use crate::base::text::truncate;

/// Most blocks of a page; the rest is cut.
pub const BLOCKS_MAX: usize = 20_000;
/// Most bytes of text of a page; the rest is cut.
pub const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most bytes of one block; a longer one is continued in the next.
pub const BLOCK_BYTES_MAX: usize = 16 * 1024;
/// Most tables of a page.
pub const TABLES_MAX: usize = 300;
/// Most rows of a table.
pub const TABLE_ROWS_MAX: usize = 5_000;
/// Most columns of a table.
pub const TABLE_COLUMNS_MAX: usize = 64;
/// Most bytes of a table's cell.
pub const CELL_BYTES_MAX: usize = 2_000;
/// Most cells kept over all tables of a page.
pub const CELLS_MAX: usize = 100_000;
/// Most links kept of a page.
pub const LINKS_MAX: usize = 5_000;

/// What a source was written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PageFormat {
    /// HTML and XHTML.
    #[default]
    Html,
    /// Markdown: blocks keep its marks.
    Markdown,
    /// Plain text.
    Plain,
    /// Delimited values: a block is a line.
    Csv,
    /// JSON: a block is a member or an element, as it stands in the file.
    Json,
}

impl PageFormat {
    /// The media type under which a document of this format is kept.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Html => "text/html",
            Self::Markdown => "text/markdown",
            Self::Plain => "text/plain",
            Self::Csv => "text/csv",
            Self::Json => "application/json",
        }
    }
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// A heading of level 1 to 6.
    Heading(u8),
    /// A paragraph.
    Paragraph,
    /// An item of a list.
    ListItem,
    /// A row of a table: `row` counts from 0 and includes header rows.
    TableRow {
        /// Which of the page's tables.
        table: u32,
        /// Which of its rows.
        row: u32,
    },
    /// A caption of a table or figure.
    Caption,
    /// The term of a definition list.
    Term,
    /// A definition of a definition list.
    Definition,
    /// Program text.
    Code,
    /// Text outside of all these.
    Other,
}

/// A stretch of text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// What it is.
    pub kind: BlockKind,
    /// Its text, canonical.
    pub text: String,
    /// Byte offsets into `text` where ways of stripping markup differ (`Rhine</b>,` is `Rhine,` or `Rhine ,`).
    /// A quote that contains none of them is found by every stripper.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seams: Vec<u32>,
}

impl Block {
    /// A block without seams.
    #[must_use]
    pub fn new(kind: BlockKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), seams: Vec::new() }
    }
}

/// A table with spans expanded: every row has as many cells as the widest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageTable {
    /// Its caption.
    pub caption: Option<String>,
    /// Names of its columns, several header rows joined; empty when it has no header.
    pub header: Vec<String>,
    /// How many rows the header takes: `rows[i]` is the block of row `i + header_rows`.
    pub header_rows: u32,
    /// Its cells.
    pub rows: Vec<Vec<String>>,
}

/// The text of a page, in order, with its structure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageText {
    /// What it was written in.
    #[serde(default)]
    pub format: PageFormat,
    /// Its title, when it has one.
    pub title: Option<String>,
    /// Its language, as declared (`en`, `de-CH`).
    pub language: Option<String>,
    /// Its text.
    pub blocks: Vec<Block>,
    /// Its tables.
    pub tables: Vec<PageTable>,
    /// Where it links to: absolute http and https addresses without fragment, each once, in order. Those in menus too.
    pub links: Vec<Url>,
    /// The next page of a series, as declared (`rel=next`).
    pub next_link: Option<Url>,
    /// Whether something was cut to stay within bounds.
    #[serde(default)]
    pub truncated: bool,
}

impl PageText {
    /// The canonical text: the blocks, joined by line feeds.
    #[must_use]
    pub fn canonical_text(&self) -> String {
        let mut text = String::with_capacity(self.blocks.iter().map(|block| block.text.len() + 1).sum());
        for block in &self.blocks {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&block.text);
        }
        text
    }

    /// SHA-256 of the canonical text, hexadecimal: a page whose hash stays has not changed for a reader.
    #[must_use]
    pub fn content_hash(&self) -> String {
        sha256_hex(self.canonical_text().as_bytes())
    }

    /// About how much memory it takes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let blocks = self.blocks.iter().map(|block| size_of::<Block>() + block.text.len() + size_of_val(block.seams.as_slice()));
        let cells = self.tables.iter().flat_map(|table| table.header.iter().chain(table.rows.iter().flatten()));
        let links = self.links.iter().map(|link| size_of::<Url>() + link.as_str().len());
        blocks.chain(cells.map(|cell| size_of::<String>() + cell.len())).chain(links).sum()
    }

    /// The title, else the page's heading, else the name of the file as it is written, else the path.
    #[must_use]
    pub fn title_at(&self, address: &Url) -> String {
        let level = |least: u8| {
            let heading = |block: &&Block| matches!(block.kind, BlockKind::Heading(level) if level <= least);
            self.blocks.iter().find(heading).map(|block| block.text.clone())
        };
        // In JSON a heading is the name of a part.
        let heading = || if self.format == PageFormat::Json { None } else { level(1).or_else(|| level(6)) };
        self.title.clone().or_else(heading).unwrap_or_else(|| file_name(address))
    }
}

/// The last part of an address's path as a person writes it; the whole path where it ends with a folder.
fn file_name(address: &Url) -> String {
    let name = address.path().rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(address.path());
    percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned()
}

/// Why no text came of some bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// No bytes.
    #[error("it is empty")]
    Empty,
    /// Bytes that are not text.
    #[error("it is binary data ({0}), not text")]
    Binary(String),
    /// Text of a kind that is not read.
    #[error("its type {0} is not one that can be read: HTML, Markdown, plain text, CSV or JSON")]
    Unsupported(String),
    /// Nothing to read on it.
    #[error("it has no text")]
    NoText,
    /// Nobody waits for it any more.
    #[error("reading it was stopped")]
    Stopped,
}

impl PageError {
    /// The reason as one word for rows and programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Binary(_) => "binary",
            Self::Unsupported(_) => "unsupported_type",
            Self::NoText => "no_text",
            Self::Stopped => "stopped",
        }
    }
}

/// Reads a page: `content_type` is the HTTP header (its charset counts), `address` resolves links and, by its ending, tells the
/// format when the header does not.
///
/// # Errors
/// When there is nothing to read, or it is not text of a known kind.
pub fn read(bytes: &[u8], content_type: Option<&str>, address: &Url) -> Result<PageText, PageError> {
    read_unless(bytes, content_type, address, &|| false)
}

/// Reads a page, unless it `ended`: that is asked again and again while it is read.
///
/// # Errors
/// As [`read`], and [`PageError::Stopped`].
pub fn read_unless(bytes: &[u8], content_type: Option<&str>, address: &Url, ended: &dyn Fn() -> bool) -> Result<PageText, PageError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(PageError::Empty);
    }
    let declared = content_type.unwrap_or_default();
    let format = format_of(bytes, declared, address.path())?;
    let text = encoding::decode(bytes, encoding::charset_of(declared).as_deref(), format == PageFormat::Html);
    let mut page = match format {
        PageFormat::Html => html::read(&text, address, ended).ok_or(PageError::Stopped)?,
        PageFormat::Markdown => markdown::read(&text, address),
        PageFormat::Plain => plain::read(&text),
        PageFormat::Csv => csv::read(&text),
        PageFormat::Json => json::read(&text),
    };
    page.format = format;
    if page.blocks.iter().all(|block| block.text.is_empty()) { Err(PageError::NoText) } else { Ok(page) }
}

/// The format: by the declared type, else by the name's ending, else by looking.
fn format_of(bytes: &[u8], content_type: &str, path: &str) -> Result<PageFormat, PageError> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let ending = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    let by_ending = match ending.as_str() {
        "html" | "htm" | "xhtml" => Some(PageFormat::Html),
        "md" | "markdown" | "mdown" => Some(PageFormat::Markdown),
        "txt" | "text" | "log" | "rst" => Some(PageFormat::Plain),
        "csv" | "tsv" | "tab" => Some(PageFormat::Csv),
        "json" => Some(PageFormat::Json),
        _ => None,
    };
    let format = match media_type.as_str() {
        "text/html" | "application/xhtml+xml" => Some(PageFormat::Html),
        "text/markdown" | "text/x-markdown" => Some(PageFormat::Markdown),
        "text/csv" | "text/tab-separated-values" | "application/csv" => Some(PageFormat::Csv),
        "application/json" | "text/json" => Some(PageFormat::Json),
        // Web servers call every text file plain: the name knows better.
        "text/plain" => Some(by_ending.filter(|format| *format != PageFormat::Html).unwrap_or(PageFormat::Plain)),
        // What a browser says of an upload that it does not know, and a server of a file that it does not.
        "" | "application/octet-stream" | "application/vnd.ms-excel" => by_ending,
        other if other.ends_with("+json") => Some(PageFormat::Json),
        other => return Err(refused(bytes, other)),
    };
    if let Some(kind) = binary_kind(bytes) {
        return Err(PageError::Binary(kind.to_owned()));
    }
    match format {
        Some(format) => Ok(format),
        None if looks_like_html(bytes) => Ok(PageFormat::Html),
        None if media_type.is_empty() && ending.is_empty() => Ok(PageFormat::Plain),
        None => Err(PageError::Unsupported(if ending.is_empty() { media_type } else { format!(".{ending}") })),
    }
}

fn refused(bytes: &[u8], media_type: &str) -> PageError {
    match binary_kind(bytes) {
        Some(kind) => PageError::Binary(kind.to_owned()),
        None => PageError::Unsupported(truncate(media_type, 100).to_owned()),
    }
}

fn looks_like_html(bytes: &[u8]) -> bool {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).trim_start().to_ascii_lowercase();
    start.starts_with("<!doctype html") || start.starts_with("<html") || start.starts_with("<head") || start.starts_with("<body")
}

/// What kind of binary data this is, when it is not text. UTF-16 is text although it has zeros.
#[must_use]
pub fn binary_kind(bytes: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&[u8], &str); 12] = [
        (b"%PDF-", "a PDF"),
        (b"PK\x03\x04", "a ZIP archive or an Office document"),
        (b"\x89PNG", "a PNG picture"),
        (b"\xff\xd8\xff", "a JPEG picture"),
        (b"GIF8", "a GIF picture"),
        (b"\x1f\x8b", "gzip-compressed data"),
        (b"\x7fELF", "a program"),
        (b"MZ\x90", "a program"),
        (b"\xd0\xcf\x11\xe0", "an old Office document"),
        (b"SQLite format 3", "an SQLite database"),
        (b"BZh", "bzip2-compressed data"),
        (b"\x28\xb5\x2f\xfd", "zstd-compressed data"),
    ];
    if let Some((_, kind)) = KNOWN.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some(kind);
    }
    if encoding::utf16_without_mark(bytes).is_some() || bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return None;
    }
    let start = &bytes[..bytes.len().min(64 * 1024)];
    let control = start.iter().filter(|&&b| b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b)).count();
    // A stray zero happens in text; one control byte in fifty does not.
    (control * 50 > start.len()).then_some("unknown data")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Url {
        "http://a.example/".parse().unwrap()
    }

    #[test]
    fn nothing_and_binary_and_unknown_types_are_refused_by_name() {
        assert_eq!(read(b" \n", Some("text/html"), &address()), Err(PageError::Empty));
        assert_eq!(read(b"%PDF-1.7 ...", Some("text/html"), &address()).unwrap_err().code(), "binary");
        assert_eq!(read(&[0u8, 1, 2, 3, 200].repeat(99), Some("text/plain"), &address()).unwrap_err().code(), "binary");
        let refused = read(b"plain enough", Some("application/x-foo"), &address()).unwrap_err();
        assert_eq!(refused, PageError::Unsupported("application/x-foo".into()));
        assert_eq!(read(b"<html><body><script>x()</script></body></html>", Some("text/html"), &address()), Err(PageError::NoText));
    }

    #[test]
    fn the_name_refines_what_the_server_calls_plain_or_does_not_know() {
        let page = |path: &str, kind: Option<&str>| {
            read(b"a,b\n1,2\n3,4\n", kind, &format!("http://a.example/{path}").parse().unwrap()).map(|page| page.format)
        };
        assert_eq!(page("x.csv", Some("text/plain; charset=utf-8")), Ok(PageFormat::Csv));
        assert_eq!(page("x.md", None), Ok(PageFormat::Markdown));
        assert_eq!(page("x", None), Ok(PageFormat::Plain));
        assert!(page("x.exe", Some("application/octet-stream")).is_err());
    }

    #[test]
    fn a_page_without_a_title_is_called_by_its_heading_then_by_its_file_as_it_is_written() {
        let title = |bytes: &[u8], path: &str, kind: &str| {
            let address: Url = format!("http://127.0.0.1:18090/{path}").parse().unwrap();
            read(bytes, Some(kind), &address).unwrap().title_at(&address)
        };
        assert_eq!(title(b"<html><body><h2>News</h2><h1>Plan your visit</h1><p>x</p></body></html>", "visit.html", "text/html"), "Plan your visit");
        assert_eq!(title(b"<html><body><p>Come in.</p></body></html>", "a/come%20in.html", "text/html"), "come in.html");
        assert_eq!(title(b"name,price\nKestrel,4.20\n", "prices%20Q3.csv", "text/csv"), "prices Q3.csv");
        assert_eq!(title(b"{\"stations\": [{\"name\": \"Brackhorn\"}]}", "stations.json", "application/json"), "stations.json");
        assert_eq!(title(b"<html><body><p>Come in.</p></body></html>", "", "text/html"), "/");
        assert_eq!(title(b"<html><body><p>Come in.</p></body></html>", "guide/", "text/html"), "/guide/");
    }
}
