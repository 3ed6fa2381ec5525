//! Bytes to text: what the page says of its encoding counts, unless its bytes say otherwise.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// How far into a page a `meta charset` is looked for, in bytes. The standard's 1024 miss pages with long comments.
const META_SCAN_BYTES: usize = 4096;

/// The `charset` parameter of a content type.
#[must_use]
pub fn charset_of(content_type: &str) -> Option<String> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']).to_owned())
    })
}

/// Decodes a page. Order: byte order mark, valid UTF-8 (a page in another encoding is not UTF-8 by chance), the HTTP header, `meta`
/// (when `html`), detection. A declaration that the bytes contradict is not believed.
#[must_use]
pub fn decode<'a>(bytes: &'a [u8], declared: Option<&str>, html: bool) -> Cow<'a, str> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return encoding.decode_without_bom_handling(&bytes[mark..]).0;
    }
    if let Some(encoding) = utf16_without_mark(bytes) {
        return encoding.decode_without_bom_handling(bytes).0;
    }
    let declared = declared.and_then(|label| Encoding::for_label(label.as_bytes())).or_else(|| if html { meta_charset(bytes) } else { None });
    // ISO-2022-JP is all ASCII bytes, and so valid UTF-8 in any case.
    let escapes = declared.is_some_and(|encoding| encoding == encoding_rs::ISO_2022_JP);
    if !escapes && let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    if mostly_utf8(bytes) {
        return String::from_utf8_lossy(bytes);
    }
    // UTF-16 without zeros is a lie, and UTF-8 was just ruled out.
    let believable = declared.filter(|encoding| *encoding != UTF_8 && *encoding != UTF_16LE && *encoding != UTF_16BE);
    if let Some(encoding) = believable {
        let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
        if !(had_errors || encoding.is_single_byte() && is_implausible(&text)) {
            return text;
        }
    }
    detect(bytes).decode_without_bom_handling(bytes).0
}

/// UTF-16 that does not say so: every second byte of ASCII text is zero.
#[must_use]
pub fn utf16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    let start = &bytes[..bytes.len().min(1024) & !1];
    if start.len() < 4 {
        return None;
    }
    let zeros = |offset: usize| start.iter().skip(offset).step_by(2).filter(|b| **b == 0).count();
    let (even, odd, half) = (zeros(0), zeros(1), start.len() / 2);
    match () {
        () if odd * 10 > half * 7 && even * 20 < half => Some(UTF_16LE),
        () if even * 10 > half * 7 && odd * 20 < half => Some(UTF_16BE),
        () => None,
    }
}

/// UTF-8 with some damage (cut off by a size limit, or pasted together): whole sequences outweigh the broken ones.
fn mostly_utf8(bytes: &[u8]) -> bool {
    let (mut whole, mut broken) = (0usize, 0usize);
    for chunk in bytes.utf8_chunks() {
        whole += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    whole > 4 * broken
}

/// Text of Western letters is mostly ASCII letters; one where most are not was decoded wrongly. Right for Cyrillic and Greek
/// encodings too: there the letters are not Latin.
fn is_implausible(text: &str) -> bool {
    let (mut ascii, mut latin) = (0usize, 0usize);
    // The markup's own letters would outweigh the text's.
    let mut in_tag = false;
    for c in text.chars().take(200_000) {
        match c {
            '<' => in_tag = true,
            '>' => in_tag = false,
            _ if in_tag => {}
            c if c.is_ascii_alphabetic() => ascii += 1,
            '\u{c0}'..='\u{24f}' => latin += 1,
            _ => {}
        }
    }
    latin > 20 && latin > ascii
}

fn detect(bytes: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(&bytes[..bytes.len().min(256 * 1024)], true);
    detector.guess(None, Utf8Detection::Allow)
}

/// The encoding that a `meta` element near the start declares.
fn meta_charset(bytes: &[u8]) -> Option<&'static Encoding> {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(META_SCAN_BYTES)]).to_ascii_lowercase();
    let mut rest = start.as_str();
    while let Some(at) = rest.find("<meta") {
        rest = &rest[at + 5..];
        let tag = &rest[..rest.find('>').unwrap_or(rest.len())];
        if let Some(at) = tag.find("charset") {
            let value = tag[at + 7..].trim_start().strip_prefix('=').unwrap_or_default().trim_start().trim_start_matches(['"', '\'']);
            let end = value.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':' | '.'))).unwrap_or(value.len());
            if let Some(encoding) = Encoding::for_label(&value.as_bytes()[..end]) {
                return Some(encoding);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::{KOI8_R, SHIFT_JIS, WINDOWS_1251, WINDOWS_1252};

    const GERMAN: &str = "<p>Die Länge der Flüsse wird in größeren Abständen gemessen; für den Rhein überprüfte man sie.</p>";
    const RUSSIAN: &str = "<p>Волга является одной из крупнейших рек на Земле и самой длинной в Европе, её длина три тысячи километров.</p>";
    const JAPANESE: &str = "<p>信濃川は、新潟県および長野県を流れる一級河川で、日本で一番長い川である。全長は三百六十七キロメートル。</p>";

    #[test]
    fn what_is_declared_counts_when_it_fits() {
        let latin = WINDOWS_1252.encode(GERMAN).0;
        assert_eq!(decode(&latin, Some("iso-8859-1"), true), GERMAN);
        let page = format!("<html><head><meta http-equiv=Content-Type content=\"text/html; charset=koi8-r\"></head>{RUSSIAN}");
        assert_eq!(decode(&KOI8_R.encode(&page).0, None, true), page);
        assert_eq!(charset_of("text/html; Charset=\"UTF-8\""), Some("UTF-8".into()));
        assert_eq!(charset_of("text/html"), None);
    }

    #[test]
    fn a_page_that_lies_is_still_readable() {
        assert_eq!(decode(GERMAN.as_bytes(), Some("iso-8859-1"), true), GERMAN);
        assert_eq!(decode(&WINDOWS_1252.encode(GERMAN).0, Some("utf-8"), true), GERMAN);
        assert_eq!(decode(&WINDOWS_1251.encode(RUSSIAN).0, Some("iso-8859-1"), true), RUSSIAN);
        assert_eq!(decode(&SHIFT_JIS.encode(JAPANESE).0, Some("utf-8"), true), JAPANESE);
        assert_eq!(decode(GERMAN.as_bytes(), Some("utf-16"), true), GERMAN);
        let unmarked: Vec<u8> = GERMAN.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(decode(&unmarked, Some("utf-8"), true), GERMAN);
    }

    #[test]
    fn a_page_cut_within_a_character_stays_utf_8() {
        let cut = &RUSSIAN.as_bytes()[..RUSSIAN.len() - 6];
        assert!(decode(cut, None, true).starts_with("<p>Волга является"));
    }

    #[test]
    fn a_byte_order_mark_beats_everything_and_is_not_text() {
        let bytes = [b"\xef\xbb\xbf".as_slice(), GERMAN.as_bytes()].concat();
        assert_eq!(decode(&bytes, Some("koi8-r"), true), GERMAN);
    }
}
