use super::*;
use crate::services::collect::page::PageFormat;

fn page(html: &str) -> PageText {
    read(html, &"http://a.example/docs/page.html".parse().unwrap(), &|| false).unwrap()
}

fn texts(page: &PageText) -> Vec<(BlockKind, &str)> {
    page.blocks.iter().map(|block| (block.kind, block.text.as_str())).collect()
}

#[test]
fn the_main_content_comes_out_in_order_and_nothing_else() {
    let page = page(
        "<!doctype html><html lang=en-GB><head><title> Rivers &mdash; Site </title><style>p{}</style></head><body>
         <header><a href=/>Home</a></header><nav><ul><li><a href='b.html#x'>Menu</a></ul></nav>
         <main><h1>Rivers<a class=headerlink href='#r'>¶</a></h1><p>The <b>Rhine</b> is\n long &amp; old.</p>
         <ul><li>One</li><li><p>Two</p></li></ul><dl><dt>Source<dd>Alps</dl><pre>let x =\n   1;</pre>
         <p hidden>secret</p><script>x()</script><aside>ad</aside><blockquote>Said.</blockquote>Loose text</main>
         <footer>Imprint</footer></body></html>",
    );
    assert_eq!(page.title.as_deref(), Some("Rivers — Site"));
    assert_eq!(page.language.as_deref(), Some("en-GB"));
    assert_eq!(page.format, PageFormat::Html);
    use BlockKind::{Code, Definition, Heading, ListItem, Other, Paragraph, Term};
    assert_eq!(
        texts(&page),
        [
            (Heading(1), "Rivers"),
            (Paragraph, "The Rhine is long & old."),
            (ListItem, "One"),
            (ListItem, "Two"),
            (Term, "Source"),
            (Definition, "Alps"),
            (Code, "let x = 1;"),
            (Paragraph, "Said."),
            (Other, "Loose text"),
        ]
    );
    assert_eq!(
        page.links.iter().map(Url::as_str).collect::<Vec<_>>(),
        ["http://a.example/", "http://a.example/docs/b.html", "http://a.example/docs/page.html"]
    );
}

#[test]
fn without_main_content_the_body_and_in_the_end_even_its_menu_is_read() {
    assert_eq!(texts(&page("<nav>Menu</nav><div>Hello <i>you</i></div>")), [(BlockKind::Other, "Hello you")]);
    assert_eq!(texts(&page("<main></main><p>Body text</p>")), [(BlockKind::Paragraph, "Body text")]);
    assert_eq!(texts(&page("<nav>Only a menu</nav>")), [(BlockKind::Other, "Only a menu")]);
}

#[test]
fn tables_have_captions_headers_and_expanded_spans_and_layout_tables_are_none() {
    let page = page(
        "<table><tr><td><h2>Left</h2></td><td><table><caption>Rivers</caption>
         <thead><tr><th rowspan=2>River<th colspan=2>Length</tr><tr><th>km<th>mi</tr></thead>
         <tbody><tr><td>Rhine<td>1,230<td>764<tr><td>Elbe<td><p>1,094</p><p>x</p><td></tbody></table></td></tr></table>",
    );
    assert_eq!(page.tables.len(), 1);
    let table = &page.tables[0];
    assert_eq!((table.caption.as_deref(), table.header_rows), (Some("Rivers"), 2));
    assert_eq!(table.header, ["River", "Length km", "Length mi"]);
    assert_eq!(table.rows, [["Rhine", "1,230", "764"], ["Elbe", "1,094 x", ""]]);
    let row = |row| BlockKind::TableRow { table: 0, row };
    assert_eq!(
        texts(&page),
        [
            (BlockKind::Heading(2), "Left"),
            (BlockKind::Caption, "Rivers"),
            (row(0), "River Length"),
            (row(1), "km mi"),
            (row(2), "Rhine 1,230 764"),
            (row(3), "Elbe 1,094 x"),
        ]
    );
}

#[test]
fn seams_mark_where_strippers_differ_and_hidden_text_splits_a_block() {
    let page = page("<p>The <a href=x>Rhine</a>, a <b>big</b> river<sup>[1]</sup>.</p><p>It is <span hidden>0012</span>12 long</p><p>a<br>b</p>");
    assert_eq!(page.blocks[0].text, "The Rhine, a big river[1].");
    assert_eq!(page.blocks[0].seams, [9, 22, 25]);
    assert_eq!(page.blocks[1].text, "It is");
    assert_eq!(page.blocks[2].text, "12 long");
    assert_eq!(page.blocks[3].text, "a b");
}

#[test]
fn links_are_absolute_honour_the_base_and_know_the_next_page() {
    let page = page(
        "<head><base href='/v2/'><link rel='next nofollow' href='two.html'></head>
         <p>Text enough</p><a href='a.html#one'>a</a><a href='a.html#two'>b</a><a href='mailto:x@y'>m</a><a href='javascript:x()'>j</a>",
    );
    assert_eq!(page.next_link.as_ref().map(Url::as_str), Some("http://a.example/v2/two.html"));
    assert_eq!(page.links.iter().map(Url::as_str).collect::<Vec<_>>(), ["http://a.example/v2/two.html", "http://a.example/v2/a.html"]);
}

#[test]
fn a_hundred_thousand_nested_elements_neither_overflow_nor_stall() {
    for tag in ["div", "b", "table", "ul", "x-y", "blockquote", "svg", "button", "font"] {
        let html = format!("<p>before</p>{}inside{}<p>after</p>", format!("<{tag}>").repeat(99_900), format!("</{tag}>").repeat(99_900));
        let text = page(&html).canonical_text();
        assert!(text.contains("before") && text.contains("after"), "{tag}: {text}");
    }
    let lists = "<ul><li>".repeat(50_000) + "inside";
    assert!(page(&lists).canonical_text().contains("inside"));
    let tables = "<table><tr><td>".repeat(50_000) + "inside";
    assert!(page(&tables).canonical_text().contains("inside"));
}
