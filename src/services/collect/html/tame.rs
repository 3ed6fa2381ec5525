//! Keeps HTML within what a parser handles in linear time: nesting as browsers bound it, and tags with a sane number of attributes.
//!
//! A page of 100,000 nested elements costs an HTML parser minutes, because each tag looks through all open ones.

use std::borrow::Cow;

/// Nesting beyond this is flattened; browsers stop at 512.
const DEPTH_MAX: usize = 256;
/// A tag with more attributes loses them all: the parser compares each with each.
const ATTRIBUTES_MAX: usize = 128;
/// A tag longer than this loses its attributes too, unless they are few (pictures inside of addresses are long).
const TAG_BYTES_MAX: usize = 1024 * 1024;

/// Elements without content.
const VOID: [&str; 15] = ["area", "base", "br", "col", "embed", "frame", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"];
/// Tags beyond this are taken out, and their text stays: each is a node in memory, and its text another (16 MB of `<p>x` took 1.4 GB).
const TAGS_MAX: usize = 200_000;
/// Attributes of all tags; tags beyond this lose theirs: each is 40 bytes in memory, from three in the page.
const PAGE_ATTRIBUTES_MAX: usize = 500_000;
/// Elements that the parser makes anew, with their attributes, in whatever follows while they are open.
const FORMATTING: [&str; 13] = ["b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];
/// A formatting tag with more attributes loses them all.
const FORMATTING_ATTRIBUTES_MAX: usize = 8;
/// Elements that the parser closes by itself: left open, they do not nest.
const SELF_CLOSING: [&str; 10] = ["p", "tr", "td", "th", "thead", "tbody", "tfoot", "option", "optgroup", "a"];
/// Elements whose content is text whatever it looks like.
const RAW: [&str; 9] = ["script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes", "noscript"];

/// The page itself, or a copy with the excess removed. No text is lost.
pub(super) fn tame(html: &str) -> Cow<'_, str> {
    let mut output: Option<String> = None;
    // What `output` holds of `html`: everything before this.
    let mut copied = 0;
    let mut open = Open::default();
    let mut attributes = 0;
    for (count, tag) in Tags::new(html).enumerate() {
        let name = tag.name.to_ascii_lowercase();
        let level = Level::of(&name);
        let keeps = match (level, tag.closing) {
            _ if count >= TAGS_MAX => false,
            (None, _) => true,
            (Some(level), false) => open.enter(level),
            (Some(level), true) => open.leave(level),
        };
        let replacement = (!keeps).then(|| " ".to_owned());
        let attributes_max = if FORMATTING.contains(&name.as_str()) { FORMATTING_ATTRIBUTES_MAX } else { ATTRIBUTES_MAX };
        attributes += tag.attributes;
        let too_many = tag.attributes > attributes_max || (tag.attributes > 0 && attributes > PAGE_ATTRIBUTES_MAX);
        let overloaded = !tag.closing && (too_many || tag.end - tag.start > TAG_BYTES_MAX);
        let replacement = replacement.or_else(|| overloaded.then(|| format!("<{name}>")));
        if let Some(replacement) = replacement {
            let output = output.get_or_insert_with(|| String::with_capacity(html.len()));
            output.push_str(&html[copied..tag.start]);
            output.push_str(&replacement);
            copied = tag.end;
        }
    }
    match output {
        None => Cow::Borrowed(html),
        Some(mut output) => {
            output.push_str(&html[copied..]);
            Cow::Owned(output)
        }
    }
}

/// What an open element is to those within it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    /// `li`: another one closes it, unless something stands between.
    Item,
    /// `dt`, `dd`: likewise.
    Term,
    /// Anything else that nests.
    Box,
}

impl Level {
    /// `None` = it does not nest.
    fn of(name: &str) -> Option<Self> {
        match name {
            "li" => Some(Self::Item),
            "dt" | "dd" => Some(Self::Term),
            _ if VOID.contains(&name) || SELF_CLOSING.contains(&name) || RAW.contains(&name) => None,
            _ => Some(Self::Box),
        }
    }
}

/// The open elements, as far as nesting goes. An item closes an item before it, but an item and a term, left open in turns, nest without end:
/// 800 kB of `<li><dt>` took minutes.
#[derive(Default)]
struct Open {
    levels: Vec<Level>,
    dropped: usize,
}

impl Open {
    /// Whether the opening tag stays.
    fn enter(&mut self, level: Level) -> bool {
        if level != Level::Box && self.levels.last() == Some(&level) {
            return true;
        }
        if self.levels.len() >= DEPTH_MAX {
            self.dropped += usize::from(level == Level::Box);
            return false;
        }
        self.levels.push(level);
        true
    }

    /// Whether the closing tag stays.
    fn leave(&mut self, level: Level) -> bool {
        if level == Level::Box && self.dropped > 0 {
            self.dropped -= 1;
            return false;
        }
        // What is left open within it is closed with it; an item is not looked for beyond its list.
        let place = match level {
            Level::Box => self.levels.iter().rposition(|open| *open == level),
            _ => self.levels.iter().rposition(|open| *open == level || *open == Level::Box).filter(|at| self.levels[*at] == level),
        };
        if let Some(place) = place {
            self.levels.truncate(place);
        }
        true
    }
}

struct Tag<'a> {
    name: &'a str,
    closing: bool,
    attributes: usize,
    start: usize,
    end: usize,
}

/// The tags of a page, roughly as a browser finds them: comments and raw text are skipped.
struct Tags<'a> {
    html: &'a str,
    at: usize,
    /// Raw elements that are never closed, so that the rest of the page is not searched again for each.
    unclosed: Vec<String>,
}

impl<'a> Tags<'a> {
    fn new(html: &'a str) -> Self {
        Self { html, at: 0, unclosed: Vec::new() }
    }

    /// Past the raw element's content, if it ends at all.
    fn skip_raw(&mut self, name: &str, from: usize) -> usize {
        if self.unclosed.iter().any(|known| known == name) {
            return from;
        }
        let bytes = self.html.as_bytes();
        let mut at = from;
        while let Some(found) = self.html[at..].find("</") {
            let start = at + found;
            let end = start + 2 + name.len();
            if bytes.get(start + 2..end).is_some_and(|there| there.eq_ignore_ascii_case(name.as_bytes())) {
                return start;
            }
            at = start + 2;
        }
        self.unclosed.push(name.to_owned());
        from
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        loop {
            let start = self.at + self.html.get(self.at..)?.find('<')?;
            let rest = &self.html[start + 1..];
            if rest.starts_with("!--") {
                let body = &self.html[start + 4..];
                match body.find("-->") {
                    Some(end) => self.at = start + 4 + end + 3,
                    // Unclosed: the parser takes all the rest as comment.
                    None => return None,
                }
                continue;
            }
            let closing = rest.starts_with('/');
            let name_start = start + 1 + usize::from(closing);
            if !self.html.as_bytes().get(name_start).is_some_and(u8::is_ascii_alphabetic) {
                self.at = start + 1;
                continue;
            }
            let after_name = &self.html[name_start..];
            let name_len = after_name.find(|c: char| c.is_ascii_whitespace() || matches!(c, '>' | '/')).unwrap_or(after_name.len());
            let name = &after_name[..name_len];
            let (end, attributes) = end_of_tag(self.html.as_bytes(), name_start + name_len);
            self.at = end;
            if !closing {
                let lower = name.to_ascii_lowercase();
                if RAW.contains(&lower.as_str()) {
                    self.at = self.skip_raw(&lower, end);
                }
            }
            return Some(Tag { name, closing, attributes, start, end });
        }
    }
}

/// Where the tag ends (after its `>`), and about how many attributes it has.
fn end_of_tag(bytes: &[u8], from: usize) -> (usize, usize) {
    let mut quote = None;
    let mut attributes = 0;
    let mut before = b' ';
    for (at, &byte) in bytes.iter().enumerate().skip(from) {
        match quote {
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            None if byte == b'>' => return (at + 1, attributes),
            // A quote opens a value only after `=`; anywhere else it is part of a name.
            None if matches!(byte, b'"' | b'\'') && before == b'=' => quote = Some(byte),
            None if (before.is_ascii_whitespace() || matches!(before, b'/' | b'"' | b'\'')) && !byte.is_ascii_whitespace() && byte != b'/' => {
                attributes += usize::from(byte != b'=');
            }
            None => {}
        }
        if quote.is_some() || !(byte.is_ascii_whitespace() && before == b'=') {
            before = byte;
        }
    }
    (bytes.len(), attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_page_is_left_alone() {
        let html = "<!-- <div> --><html><body class='a>b'><p>One<p>Two<script>if (a<b) '<div>'</script><br><img src=\"x\">< 3</body></html>";
        assert!(matches!(tame(html), Cow::Borrowed(_)));
        let list = "<ul>".to_owned() + &"<li>item <p>text".repeat(5_000) + "</ul>";
        assert!(matches!(tame(&list), Cow::Borrowed(_)));
    }

    #[test]
    fn deep_nesting_is_flattened_and_keeps_its_text() {
        let html = "<div>".repeat(99_900) + "inside" + &"</div>".repeat(99_900) + "<p>after";
        let tamed = tame(&html);
        assert!(tamed.matches("<div>").count() == DEPTH_MAX && tamed.contains("inside") && tamed.ends_with("<p>after"));
        assert_eq!(tamed.matches("</div>").count(), DEPTH_MAX);
    }

    #[test]
    fn items_and_terms_left_open_in_turns_are_flattened_too() {
        let html = "<li><dt>".repeat(100_000) + "inside";
        let tamed = tame(&html);
        // What comes after the deepest level are terms beside each other.
        assert_eq!(tamed.matches("<li>").count(), DEPTH_MAX / 2);
        assert!(tamed.ends_with("inside"));
        let lists = "<ul><li>a<dl><dt>b</dt><dd>c</dl></li></ul>".repeat(5_000);
        assert!(matches!(tame(&lists), Cow::Borrowed(_)));
    }

    #[test]
    fn countless_tags_go_and_their_text_stays() {
        let html = "<p>x".repeat(TAGS_MAX + 1_000);
        let tamed = tame(&html);
        assert_eq!((tamed.matches('<').count(), tamed.matches('x').count()), (TAGS_MAX, TAGS_MAX + 1_000));
    }

    #[test]
    fn a_tag_with_countless_attributes_loses_them() {
        let many: String = (0..10_000).map(|n| format!(" a{n}=1")).collect();
        assert_eq!(tame(&format!("<p{many}>x</p>")), "<p>x</p>");
        assert_eq!(tame("<b 1 2 3 4 5 6 7 8 9>x</b>"), "<b>x</b>", "what is made anew has few");
        let page = "<p a b c>x".repeat(PAGE_ATTRIBUTES_MAX / 3 + 1_000);
        assert_eq!(tame(&page).matches("<p>x").count(), 1_000);
    }

    #[test]
    fn unclosed_raw_elements_do_not_take_quadratic_time() {
        let html = "<xmp></".repeat(100_000);
        assert_eq!(tame(&html).len(), html.len());
    }
}
