//! Which passages of a run's pages can be recalled: what pages repeat is taken once, the first passages of every page come first, and there is a
//! bound on what one page and one run put in.

use std::collections::HashSet;

use super::SourceText;

/// A stretch of blocks that an earlier page has word for word is left away from this many characters on: navigation, footers, a book that stands
/// on one page beside its chapters. A shorter one stays: a heading, a bracket of code.
const REPEATED_CHARS_MIN: usize = 80;
/// Passages of one page: 300 kB of text. Longer pages are lists and dumps, whose beginning says what they are.
pub(super) const PAGE_PASSAGES_MAX: usize = 200;
/// Passages of one run: seven minutes of embedding on two cores, and a fifth of what a company's search looks through in 20 ms.
pub(super) const RUN_PASSAGES_MAX: usize = 3_000;

/// What is not put in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Passages.
    pub passages: u32,
    /// Pages that have such passages.
    pub pages: u32,
}

/// The text of each page, in the pages' order, without what another page has. Of pages that share text the shortest keeps it: so a page that only
/// puts others together has nothing of its own.
pub(super) fn new_texts(pages: &[SourceText]) -> Vec<String> {
    let mut order: Vec<usize> = (0..pages.len()).collect();
    order.sort_by_key(|&at| (pages[at].text.len(), &pages[at].content_hash, at));
    let mut texts = vec![String::new(); pages.len()];
    let mut seen = HashSet::new();
    for at in order {
        texts[at] = new_text(&pages[at].text, &seen);
        seen.extend(pages[at].text.split('\n'));
    }
    texts
}

fn new_text(text: &str, seen: &HashSet<&str>) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let (mut stretch, mut characters): (Vec<&str>, usize) = (Vec::new(), 0);
    for block in text.split('\n') {
        if seen.contains(block) {
            stretch.push(block);
            characters += block.chars().count();
            continue;
        }
        if characters < REPEATED_CHARS_MIN {
            kept.append(&mut stretch);
        }
        stretch.clear();
        characters = 0;
        kept.push(block);
    }
    // At the end a stretch is a footer, or all there is.
    if characters < REPEATED_CHARS_MIN && !kept.is_empty() {
        kept.append(&mut stretch);
    }
    kept.join("\n")
}

/// The first passage of every page, then the second of each, and so on: recall is useful before all is in, and a bound takes from the long
/// pages.
pub(super) fn in_turns<T>(pages: Vec<Vec<T>>, page_max: usize, run_max: usize) -> (Vec<T>, LeftOut) {
    let mut pages: Vec<_> = pages.into_iter().map(Vec::into_iter).collect();
    let mut taken = Vec::new();
    for _ in 0..page_max {
        let round: Vec<T> = pages.iter_mut().take(run_max - taken.len()).filter_map(Iterator::next).collect();
        if round.is_empty() {
            break;
        }
        taken.extend(round);
    }
    let mut left_out = LeftOut::default();
    for left in pages.iter().map(ExactSizeIterator::len).filter(|left| *left > 0) {
        left_out.passages = left_out.passages.saturating_add(u32::try_from(left).unwrap_or(u32::MAX));
        left_out.pages += 1;
    }
    (taken, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::model::report::SourceRef;

    fn page(text: &str) -> SourceText {
        SourceText {
            source: SourceRef { url: None, document_id: None, title: String::new(), page_number: None },
            text: text.into(),
            rows: Vec::new(),
            content_hash: crate::base::secret::sha256_hex(text.as_bytes()),
            collected_at: Timestamp::default(),
        }
    }

    #[test]
    fn what_pages_repeat_is_taken_once_and_a_book_on_one_page_adds_nothing() {
        let menu = "Home\nGuide to everything that is here\nReference of all commands and settings\nAbout the makers of this site";
        let footer = "This site may be copied under the terms that are found on the page about its makers, as of this year.";
        let chapter = |name: &str| format!("Example\nThis is the chapter on {name}, {}.", "which goes on for a while ".repeat(3).trim());
        let (one, two) = (chapter("rivers"), chapter("lakes of the north"));
        let pages = [
            page(&format!("{menu}\n{one}\n{two}\n{footer}\nPrinted.")),
            page(&format!("{menu}\n{two}\n{footer}")),
            page(&format!("{menu}\n{one}\n{footer}")),
        ];
        let texts = new_texts(&pages);
        assert_eq!(texts[2], format!("{menu}\n{one}\n{footer}"), "the shortest keeps what all have");
        assert_eq!(texts[1], two.split_once('\n').unwrap().1, "the menu and the heading in it are one stretch");
        assert_eq!(texts[0], "Printed.");
    }

    #[test]
    fn short_repeats_stay_with_what_is_new() {
        let long = |name: &str| format!("A sentence that is long enough to stand for itself, and is about {name} alone.");
        let pages = [page(&format!("Example\n{}", long("a"))), page(&format!("Example\n{}\n{{", long("bb"))), page("Example")];
        assert_eq!(new_texts(&pages)[0], pages[0].text);
        assert_eq!(new_texts(&pages)[1], pages[1].text);
        let same = [page(&long("c")), page(&long("c"))];
        assert_eq!(new_texts(&same), [long("c"), String::new()]);
    }

    #[test]
    fn every_pages_beginning_comes_first_and_what_is_beyond_the_bounds_is_counted() {
        let pages = || vec![vec!["a1", "a2", "a3", "a4"], vec!["b1"], vec!["c1", "c2"]];
        let (taken, left) = in_turns(pages(), 9, 99);
        assert_eq!((taken.join(" ").as_str(), left), ("a1 b1 c1 a2 c2 a3 a4", LeftOut::default()));
        let (taken, left) = in_turns(pages(), 2, 99);
        assert_eq!((taken.join(" ").as_str(), left), ("a1 b1 c1 a2 c2", LeftOut { passages: 2, pages: 1 }));
        let (taken, left) = in_turns(pages(), 9, 4);
        assert_eq!((taken.join(" ").as_str(), left), ("a1 b1 c1 a2", LeftOut { passages: 3, pages: 2 }));
    }
}
