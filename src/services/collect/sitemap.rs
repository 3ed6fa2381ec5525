//! Sitemaps: the addresses in one, read by looking for `<loc>` and nothing else, so that a broken one still gives what it has.

use std::io::Read;

use url::Url;

/// Most bytes of a sitemap, unpacked.
pub(super) const SITEMAP_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most addresses taken from one sitemap: what the format allows.
const LOCATIONS_MAX: usize = 50_000;

/// What a sitemap names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sitemap {
    /// Pages.
    pub(super) pages: Vec<Url>,
    /// Further sitemaps.
    pub(super) maps: Vec<Url>,
}

/// Reads a sitemap or an index of sitemaps, gzip-packed or not, or a plain list of addresses.
pub(super) fn read(bytes: &[u8], base: &Url) -> Sitemap {
    let unpacked = unpack(bytes);
    let text = String::from_utf8_lossy(unpacked.as_deref().unwrap_or(bytes));
    if !text.contains('<') {
        let pages = text.lines().take(LOCATIONS_MAX).filter_map(|line| line.trim().parse().ok()).collect();
        return Sitemap { pages, maps: Vec::new() };
    }
    let is_index = text.contains("<sitemapindex");
    let found = locations(&text, base);
    if is_index { Sitemap { pages: Vec::new(), maps: found } } else { Sitemap { pages: found, maps: Vec::new() } }
}

fn unpack(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(b"\x1f\x8b") {
        return None;
    }
    let mut out = Vec::new();
    // What came out before damage or the limit is used.
    let _ = flate2::read::MultiGzDecoder::new(bytes).take(SITEMAP_BYTES_MAX).read_to_end(&mut out);
    Some(out)
}

fn locations(text: &str, base: &Url) -> Vec<Url> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("<loc>") {
        rest = &rest[start + "<loc>".len()..];
        let Some(end) = rest.find('<').and_then(|first| if rest[first..].starts_with("<![CDATA[") { rest.find("]]>") } else { Some(first) }) else {
            break;
        };
        let raw = rest[..end].trim().trim_start_matches("<![CDATA[").trim();
        if !raw.is_empty() {
            found.extend(base.join(&unescape(raw)));
        }
        if found.len() >= LOCATIONS_MAX {
            break;
        }
        rest = &rest[end..];
    }
    found
}

/// The five entities of XML: more never stand in an address.
fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&#38;", "&").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Url {
        "http://a.example/sitemap.xml".parse().unwrap()
    }

    #[test]
    fn pages_and_indexes_are_told_apart() {
        let map = read(
            b"<urlset><url><loc> http://a.example/x?a=1&amp;b=2 </loc></url><url><loc><![CDATA[http://a.example/y]]></loc></url><url><loc>",
            &base(),
        );
        assert_eq!(map.pages.iter().map(Url::as_str).collect::<Vec<_>>(), ["http://a.example/x?a=1&b=2", "http://a.example/y"]);
        let index = read(b"<?xml version='1.0'?><sitemapindex><sitemap><loc>/more.xml.gz</loc></sitemap></sitemapindex>", &base());
        assert_eq!(index.maps[0].as_str(), "http://a.example/more.xml.gz");
        assert!(index.pages.is_empty());
    }

    #[test]
    fn packed_maps_lists_and_nonsense_are_survived() {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"<urlset><loc>http://a.example/z</loc></urlset>").unwrap();
        assert_eq!(read(&encoder.finish().unwrap(), &base()).pages.len(), 1);
        assert_eq!(read(b"http://a.example/1\nnot an address\nhttp://a.example/2\n", &base()).pages.len(), 2);
        assert_eq!(read(b"<html>\xff\xfe<loc><loc>", &base()), Sitemap::default());
        assert_eq!(read(b"", &base()), Sitemap::default());
    }
}
