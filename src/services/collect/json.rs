//! JSON to tables. A list of objects is a table, an element a row; the members of an object are rows of names and values. A block is the element or the
//! member as the file has it, so that a quote is found there; what it says is read from it beside.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::page::{Block, BlockKind, Blocks, CELL_BYTES_MAX, CELLS_MAX, PageTable, PageText, TABLE_COLUMNS_MAX, TABLE_ROWS_MAX, TABLES_MAX};
use crate::base::text::{collapse_whitespace, truncate};

/// Lines of what is no JSON that make one block.
const LINES: usize = 12;
/// Objects within objects that are opened; what lies deeper is one value.
const DEPTH_MAX: usize = 6;
/// The column of the names under which the rows of a table stand.
const KEY: &str = "key";
/// Objects within a row that are opened: `keeper.phone`.
const ROW_DEPTH_MAX: usize = 3;

/// Reads JSON. What is malformed is still text.
pub(super) fn read(text: &str) -> PageText {
    let Ok(root) = serde_json::from_str::<&RawValue>(text.trim_start_matches('\u{feff}')) else { return as_text(text) };
    let mut reader = Reader { cells: CELLS_MAX, ..Reader::default() };
    reader.value(root.get(), 1);
    PageText { blocks: reader.blocks.list, tables: reader.tables, truncated: reader.cut || reader.blocks.truncated, ..PageText::default() }
}

fn as_text(text: &str) -> PageText {
    let lines: Vec<&str> = text.lines().collect();
    let mut blocks = Blocks::default();
    for group in lines.chunks(LINES) {
        blocks.push(Block::new(BlockKind::Code, collapse_whitespace(&group.join(" "))));
    }
    PageText { blocks: blocks.list, truncated: blocks.truncated, ..PageText::default() }
}

/// A member of an object.
struct Member<'a> {
    name: String,
    /// `"name": value`, as written.
    whole: &'a str,
    value: &'a str,
}

/// The members of an object with their values as written, in order.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Read)
    }
}

/// The members of an object; none for anything else.
fn members(object: &str) -> Vec<Member<'_>> {
    let Ok(Members(read)) = serde_json::from_str::<Members<'_>>(object) else { return Vec::new() };
    let mut from = 1;
    let mut members = Vec::with_capacity(read.len());
    for (name, value) in read {
        let value = value.get();
        let end = value.as_ptr().addr() - object.as_ptr().addr() + value.len();
        let whole = object.get(from..end).unwrap_or(value).trim_start_matches(|c: char| c == ',' || c.is_whitespace());
        members.push(Member { name, whole, value });
        from = end;
    }
    members
}

/// The elements of an array as written; none for anything else.
fn elements(array: &str) -> Vec<&str> {
    let read: Vec<&RawValue> = serde_json::from_str(array).unwrap_or_default();
    read.into_iter().map(RawValue::get).collect()
}

fn is_object(value: &str) -> bool {
    value.starts_with('{')
}

fn is_array(value: &str) -> bool {
    value.starts_with('[')
}

/// What is shown of a value: a text without its quotes, a list of plain values with commas, anything else as it is.
fn shown(value: &str) -> String {
    let text = match value.as_bytes().first() {
        Some(b'"') => serde_json::from_str(value).unwrap_or_else(|_| value.to_owned()),
        Some(b'[') => {
            let list = elements(value);
            let plain = !list.iter().any(|item| is_object(item) || is_array(item));
            if plain { list.into_iter().map(shown).collect::<Vec<_>>().join(", ") } else { value.to_owned() }
        }
        Some(b'n') => String::new(),
        _ => value.to_owned(),
    };
    truncate(&collapse_whitespace(&text), CELL_BYTES_MAX).to_owned()
}

#[derive(Default)]
struct Reader {
    blocks: Blocks,
    tables: Vec<PageTable>,
    /// Cells that tables may still take.
    cells: usize,
    cut: bool,
}

impl Reader {
    fn value(&mut self, value: &str, depth: usize) {
        if is_object(value) {
            self.object(&members(value), depth);
        } else if is_array(value) {
            self.array(&elements(value), depth);
        } else {
            self.blocks.push(Block::new(BlockKind::Paragraph, collapse_whitespace(value)));
        }
    }

    /// Plain members as rows of names and values, then those that hold more, each under its name.
    fn object(&mut self, members: &[Member<'_>], depth: usize) {
        if are_alike(members) {
            let keyed: Vec<_> = members.iter().map(|member| (member.whole, Some(member.name.as_str()), member.value)).collect();
            return self.rows(&keyed);
        }
        let opens = |member: &Member<'_>| {
            depth < DEPTH_MAX
                && (is_object(member.value) || is_array(member.value) && elements(member.value).iter().any(|item| is_object(item) || is_array(item)))
        };
        let plain: Vec<_> = members.iter().filter(|member| !opens(member)).collect();
        let rows = plain.iter().map(|member| (member.whole, vec![member.name.clone(), shown(member.value)])).collect();
        self.table(Vec::new(), rows);
        for member in members.iter().filter(|member| opens(member)) {
            let level = u8::try_from(depth).unwrap_or(6);
            self.blocks.push(Block::new(BlockKind::Heading(level), collapse_whitespace(written_name(member))));
            self.value(member.value, depth + 1);
        }
    }

    fn array(&mut self, elements: &[&str], depth: usize) {
        if !elements.is_empty() && elements.iter().all(|element| is_object(element)) {
            let rows: Vec<_> = elements.iter().map(|element| (*element, None, *element)).collect();
            return self.rows(&rows);
        }
        for element in elements {
            if depth < DEPTH_MAX && (is_object(element) || is_array(element)) {
                self.value(element, depth + 1);
            } else {
                self.blocks.push(Block::new(BlockKind::ListItem, collapse_whitespace(element)));
            }
        }
    }

    /// Objects of a list, or under keys: their members are the columns, in the order in which they are met.
    fn rows(&mut self, objects: &[(&str, Option<&str>, &str)]) {
        let mut header: Vec<String> = Vec::new();
        let mut rows = Vec::new();
        for (whole, key, object) in objects {
            let mut cells = vec![String::new(); header.len()];
            let mut fields: Vec<(String, String)> = key.map(|key| (KEY.to_owned(), collapse_whitespace(key))).into_iter().collect();
            flatten("", object, ROW_DEPTH_MAX, &mut fields);
            for (name, value) in fields {
                let at = header.iter().position(|known| *known == name).unwrap_or(header.len());
                if at == header.len() {
                    if at >= TABLE_COLUMNS_MAX {
                        self.cut = true;
                        continue;
                    }
                    header.push(name);
                }
                if cells.len() <= at {
                    cells.resize(at + 1, String::new());
                }
                cells[at] = value;
            }
            rows.push((*whole, cells));
        }
        self.table(header, rows);
    }

    fn table(&mut self, header: Vec<String>, rows: Vec<(&str, Vec<String>)>) {
        if rows.is_empty() {
            return;
        }
        let width = rows.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0).max(1);
        let kept = if self.tables.len() < TABLES_MAX { TABLE_ROWS_MAX.min(self.cells / width) } else { 0 };
        self.cut |= rows.len() > kept;
        let table = u32::try_from(self.tables.len()).unwrap_or(u32::MAX);
        let mut cells_of = Vec::new();
        for (row, (whole, mut cells)) in rows.into_iter().enumerate() {
            let text = collapse_whitespace(whole);
            if row >= kept {
                self.blocks.push(Block::new(BlockKind::Other, text));
                continue;
            }
            self.blocks.push(Block::new(BlockKind::TableRow { table, row: u32::try_from(row).unwrap_or(u32::MAX) }, text));
            cells.resize(width, String::new());
            cells_of.push(cells);
        }
        if kept > 0 {
            self.cells -= width * cells_of.len();
            self.tables.push(PageTable { caption: None, header, header_rows: 0, rows: cells_of });
        }
    }
}

/// Whether all members are objects of about one form: a table whose rows have names.
fn are_alike(members: &[Member<'_>]) -> bool {
    let names = |member: &Member<'_>| self::members(member.value).into_iter().map(|inner| inner.name).collect::<Vec<_>>();
    let [first, .., last] = members else { return false };
    let (first, last) = (names(first), names(last));
    let shared = first.iter().filter(|name| last.contains(name)).count();
    shared > 0 && shared * 2 >= first.len().max(last.len()) && members.iter().all(|member| is_object(member.value))
}

/// The name of a member as the file has it, without its quotes.
fn written_name<'a>(member: &Member<'a>) -> &'a str {
    let before = member.whole[..member.whole.len() - member.value.len()].trim_end();
    before.strip_suffix(':').unwrap_or(before).trim().trim_matches('"')
}

/// The plain values of an object by name, those of objects within by the names on the way: `keeper.phone`.
fn flatten(path: &str, object: &str, depth: usize, fields: &mut Vec<(String, String)>) {
    for member in members(object) {
        let name = collapse_whitespace(&member.name);
        let name = if path.is_empty() { name } else { format!("{path}.{name}") };
        if is_object(member.value) && depth > 1 {
            flatten(&name, member.value, depth - 1, fields);
        } else if fields.len() < TABLE_COLUMNS_MAX {
            fields.push((name, shown(member.value)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATIONS: &str = r#"{"network":"Upland","updated" : "2026-03-02","stations":[{"name":"Brackhorn","height_m":2140,"sensors":["wind","snow"],"keeper":{"name":"Ida \u00d8"}},{"name":"Grimsdal","height_m":912,"note":null}]}"#;

    #[test]
    fn a_list_of_objects_is_a_table_and_its_rows_stand_in_the_file() {
        let page = read(STATIONS);
        let texts: Vec<&str> = page.blocks.iter().map(|block| block.text.as_str()).collect();
        assert_eq!(texts[..3], [r#""network":"Upland""#, r#""updated" : "2026-03-02""#, "stations"]);
        assert!(texts.iter().all(|text| STATIONS.contains(text)), "{texts:#?}");
        assert_eq!(page.blocks[2].kind, BlockKind::Heading(1));
        assert_eq!(page.tables[0].rows, [["network", "Upland"], ["updated", "2026-03-02"]]);
        assert_eq!(page.tables[1].header, ["name", "height_m", "sensors", "keeper.name", "note"]);
        assert_eq!(page.tables[1].rows[0], ["Brackhorn", "2140", "wind, snow", "Ida Ø", ""]);
        assert_eq!(page.tables[1].rows[1], ["Grimsdal", "912", "", "", ""]);
    }

    #[test]
    fn objects_under_keys_are_rows_with_their_names() {
        let page = read(r#"{"kestrel": {"price": 4.20, "stock": 3}, "wren": {"price": 2.10}}"#);
        assert_eq!(page.tables[0].header, ["key", "price", "stock"]);
        assert_eq!(page.tables[0].rows, [["kestrel", "4.20", "3"], ["wren", "2.10", ""]]);
        assert_eq!(page.blocks[0].text, r#""kestrel": {"price": 4.20, "stock": 3}"#);
        assert_eq!(read(r#"{"a": {"x": 1}, "b": {"y": 2}}"#).tables.len(), 2, "objects that have nothing in common are no table");
    }

    #[test]
    fn lists_of_plain_values_and_broken_json_are_text() {
        assert_eq!(read(r#"["a", {"b": 1}, [2]]"#).canonical_text(), "\"a\"\n\"b\": 1\n2");
        assert_eq!(read("{ oops").canonical_text(), "{ oops");
        assert_eq!(read("{}").canonical_text(), "");
    }

    #[test]
    fn what_is_deep_or_long_stays_within_bounds() {
        let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
        assert!(!read(&deep).blocks.is_empty());
        assert!(!read(&"[".repeat(100_000)).blocks.is_empty());
        let long = format!("[{}]", vec![r#"{"a":1,"b":2}"#; 9_000].join(","));
        let page = read(&long);
        assert!(page.truncated && page.tables[0].rows.len() == TABLE_ROWS_MAX && page.blocks.len() == 9_000);
    }
}
