//! HTML to a tree in small pieces: between two of them it is asked whether anybody still waits for the page, and what its tree has come to.
//!
//! What a parser makes of a page is not bounded by the page: formatting that is left open is made anew in every paragraph that follows, so that a
//! megabyte of `<p>x` after 250 open `<i a1>`, `<i a2>` and so on is sixty million elements.

use html5ever::driver;
use html5ever::tendril::{StrTendril, TendrilSink};
use scraper::{Html, HtmlTreeSink, Node};

use crate::base::text::truncate;

/// Bytes read at once: each of its tags may become as many elements as are open.
const PIECE_BYTES: usize = 512;
/// Most memory of the nodes of a tree, bytes. Pages within the bounds of tags stay below it; what comes beyond it is cut.
const TREE_BYTES_MAX: usize = 64 << 20;
/// A node with its places in the tree: parent, two siblings, two children.
const NODE_BYTES: usize = size_of::<Node>() + 5 * size_of::<usize>();
const ATTRIBUTE_BYTES: usize = size_of::<html5ever::Attribute>();

/// A page as a tree.
pub(super) struct Parsed {
    pub(super) document: Html,
    /// There was more than a tree may hold.
    pub(super) cut: bool,
}

/// Parses a page; `None` when it `ended` before that was done.
pub(super) fn parse(html: &str, ended: &dyn Fn() -> bool) -> Option<Parsed> {
    let mut parser = driver::parse_document(HtmlTreeSink::new(Html::new_document()), driver::ParseOpts::default());
    let (mut rest, mut seen, mut bytes, mut cut) = (html, 0, 0, false);
    while !rest.is_empty() {
        if ended() {
            return None;
        }
        let (piece, after) = rest.split_at(truncate(rest, PIECE_BYTES).len());
        parser.process(StrTendril::from(piece));
        rest = after;
        let document = parser.tokenizer.sink.sink.0.borrow();
        let nodes = document.tree.values();
        let new = nodes.len() - seen;
        bytes += nodes.rev().take(new).map(node_bytes).sum::<usize>();
        seen += new;
        cut = bytes > TREE_BYTES_MAX && !rest.is_empty();
        if cut {
            break;
        }
    }
    Some(Parsed { document: parser.finish(), cut })
}

fn node_bytes(node: &Node) -> usize {
    NODE_BYTES + node.as_element().map_or(0, |element| element.attrs.len() * ATTRIBUTE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn texts(document: &Html) -> String {
        document.root_element().text().collect()
    }

    #[test]
    fn pieces_make_the_same_tree_as_the_whole() {
        let html =
            "<!doctype html><title>ü</title><p class=ä>Größe &amp; <b>Länge</b><table><tr><td>1</table><script>if (a<b) {}</script>".repeat(40);
        let parsed = parse(&html, &|| false).unwrap();
        assert_eq!((parsed.document.html(), parsed.cut), (Html::parse_document(&html).html(), false));
    }

    #[test]
    fn formatting_made_anew_without_end_is_cut() {
        let open: String = (0..200).map(|n| format!("<i a{n}>")).collect();
        let html = format!("<p>first{open}</p>{}", "<p>x".repeat(200_000));
        let parsed = parse(&html, &|| false).unwrap();
        let nodes = parsed.document.tree.values().len();
        assert!(parsed.cut && nodes * NODE_BYTES < TREE_BYTES_MAX * 5 / 4, "{nodes} nodes");
        assert!(texts(&parsed.document).starts_with("firstxx"));
    }

    #[test]
    fn a_page_that_nobody_waits_for_is_left() {
        let asked = Cell::new(0);
        let ended = || asked.replace(asked.get() + 1) == 3;
        assert!(parse(&"<p>x".repeat(100_000), &ended).is_none());
        assert_eq!(asked.get(), 4, "asked before every piece");
    }
}
