//! How a code travels: one pasted line, or an armoured `.onsite` file around the same groups. Both carry the same bytes.
//!
//! `ONSITE1-` and groups of eight characters: seven of Crockford base 32 and a check symbol. The check symbol is a weighted sum over
//! GF(32) plus a number for the group's place, so it catches every single wrong character, every two swapped ones, and groups that
//! are swapped, missing or doubled, and says in which group.

use super::encoding::{CODE_BYTES_MAX, SignedCode};
use super::reason::MalformedCode;
use crate::base::secret::{crockford_decode, crockford_encode, crockford_value};

/// First line of an armoured file.
pub const ARMOUR_BEGIN: &str = "-----BEGIN ONSITE ACTIVATION CODE-----";
/// Last line of an armoured file.
pub const ARMOUR_END: &str = "-----END ONSITE ACTIVATION CODE-----";

const NAME: &str = "ONSITE";
const FORMAT: &str = "1";
/// Characters of a group before its check symbol.
const GROUP_DATA: usize = 7;
const GROUP_CHARS: usize = GROUP_DATA + 1;
const GROUPS_PER_LINE: usize = 8;
/// Longest text that is looked at: the longest code with its check symbols, separators and armour, and room for spaces.
pub const TEXT_BYTES_MAX: usize = CODE_BYTES_MAX * 4;
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl SignedCode {
    /// Reads a code from what somebody pasted or uploaded.
    ///
    /// # Errors
    /// What is wrong with it; typing errors by group.
    pub fn from_text(text: &str) -> Result<Self, MalformedCode> {
        let data = data_of(text)?;
        if let Some(bytes) = crockford_decode(&data) {
            return Self::parse(&bytes);
        }
        // No encoding has this length or this end. If whole bytes are missing, that is what helps to say.
        let whole = crockford_decode(&data[..data.len() / 8 * 8]).unwrap_or_default();
        match Self::parse(&whole) {
            Err(incomplete @ MalformedCode::Incomplete { .. }) => Err(incomplete),
            _ => Err(MalformedCode::NotCanonical),
        }
    }

    /// The one line to paste: the canonical text.
    #[must_use]
    pub fn to_line(&self) -> String {
        format!("{NAME}{FORMAT}-{}", groups(self.bytes()).join("-"))
    }

    /// The armoured file.
    #[must_use]
    pub fn to_armour(&self) -> String {
        let groups = groups(self.bytes());
        let mut lines = vec![ARMOUR_BEGIN.to_owned(), format!("{NAME}{FORMAT}")];
        lines.extend(groups.chunks(GROUPS_PER_LINE).map(|line| line.join("-")));
        lines.push(ARMOUR_END.to_owned());
        lines.join("\n") + "\n"
    }
}

fn groups(bytes: &[u8]) -> Vec<String> {
    let text = crockford_encode(bytes);
    let data: Vec<&[u8]> = text.as_bytes().chunks(GROUP_DATA).collect();
    data.iter()
        .enumerate()
        .map(|(place, data)| {
            let group = String::from_utf8_lossy(data);
            let check = check_symbol(&group, place).unwrap_or_default();
            format!("{group}{}", char::from(ALPHABET[usize::from(check)]))
        })
        .collect()
}

/// The characters of the groups, checked; plain ASCII.
fn data_of(text: &str) -> Result<String, MalformedCode> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(MalformedCode::TooLong);
    }
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err(MalformedCode::Empty);
    }
    let code = dearmour(text)?;
    let mut parts = code.split(is_separator).filter(|part| !part.is_empty());
    let head = parts.next().ok_or(MalformedCode::Empty)?;
    let format = head.get(..NAME.len()).filter(|name| name.eq_ignore_ascii_case(NAME)).map(|name| &head[name.len()..]);
    match format {
        Some(FORMAT) => {}
        Some(other) if !other.is_empty() && other.len() <= 4 && other.bytes().all(|b| b.is_ascii_digit()) => {
            return Err(MalformedCode::Version(other.to_owned()));
        }
        _ => return Err(MalformedCode::NotACode),
    }
    let parts: Vec<&str> = parts.collect();
    check_groups(&parts)
}

fn dearmour(text: &str) -> Result<&str, MalformedCode> {
    if !text.starts_with("-----") {
        return Ok(text);
    }
    let inner = text.strip_prefix(ARMOUR_BEGIN).and_then(|rest| rest.strip_suffix(ARMOUR_END)).ok_or(MalformedCode::BrokenArmour)?;
    // Two codes in one file: which one was meant?
    if inner.contains("-----") { Err(MalformedCode::BrokenArmour) } else { Ok(inner) }
}

/// Hyphens (also the long ones that word processors make) and white space.
fn is_separator(c: char) -> bool {
    c == '-' || c.is_whitespace() || ('\u{2010}'..='\u{2015}').contains(&c) || matches!(c, '\u{200b}' | '\u{feff}')
}

/// The characters without their check symbols; or which groups are wrong.
fn check_groups(parts: &[&str]) -> Result<String, MalformedCode> {
    let joined: Vec<char> = parts.iter().flat_map(|part| part.chars()).collect();
    if joined.is_empty() {
        return Err(MalformedCode::Incomplete { missing: 1, expected: 1 });
    }
    // However it was wrapped on its way, eight characters are a group.
    let regrouped: Vec<String> = joined.chunks(GROUP_CHARS).map(|chunk| chunk.iter().collect()).collect();
    let wrong = wrong_groups(&regrouped);
    if wrong.is_empty() {
        return Ok(regrouped.iter().flat_map(|group| group.chars().take(group.chars().count() - 1)).collect());
    }
    // A character too many or too few shifts all that follow: groups as they were typed say better where.
    let typed: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
    let as_typed = if typed.len() > 1 { wrong_groups(&typed) } else { Vec::new() };
    Err(MalformedCode::WrongGroups(if as_typed.is_empty() || as_typed.len() > wrong.len() { wrong } else { as_typed }))
}

fn wrong_groups(groups: &[String]) -> Vec<(usize, String)> {
    let last = groups.len() - 1;
    let is_right = |place: usize, group: &str| {
        let chars = group.chars().count();
        let length_fits = if place == last { (2..=GROUP_CHARS).contains(&chars) } else { chars == GROUP_CHARS };
        let Some((at, check)) = group.char_indices().next_back().filter(|_| length_fits) else { return false };
        crockford_value(check).is_some_and(|value| check_symbol(&group[..at], place) == Some(value))
    };
    groups
        .iter()
        .enumerate()
        .filter(|(place, group)| !is_right(*place, group))
        .map(|(place, group)| (place + 1, crate::base::text::truncate(group, 40).to_owned()))
        .collect()
}

/// The check symbol of a group's data at its place; `None` for a foreign character.
fn check_symbol(data: &str, place: usize) -> Option<u8> {
    let mut sum = power(place);
    for (at, c) in data.chars().enumerate() {
        sum ^= multiply(crockford_value(c)?, power(at + 1));
    }
    Some(sum)
}

/// The generator of GF(32) to the power of `exponent`: 31 different values, never 0.
fn power(exponent: usize) -> u8 {
    (0..exponent % 31).fold(1, |value, _| double(value))
}

/// Times x, modulo x^5 + x^2 + 1.
const fn double(value: u8) -> u8 {
    let shifted = value << 1;
    if shifted & 0x20 == 0 { shifted } else { (shifted ^ 0x25) & 0x1f }
}

fn multiply(left: u8, right: u8) -> u8 {
    let (mut product, mut addend) = (0, left);
    for bit in 0..5 {
        if right >> bit & 1 == 1 {
            product ^= addend;
        }
        addend = double(addend);
    }
    product
}

#[cfg(test)]
mod tests {
    use super::super::encoding::tests::claims;
    use super::*;
    use proptest::prelude::*;

    fn code() -> SignedCode {
        SignedCode::sign(claims(), |_| [0xa5; 64]).unwrap()
    }

    fn wrong(text: &str) -> Vec<usize> {
        match SignedCode::from_text(text) {
            Err(MalformedCode::WrongGroups(groups)) => groups.into_iter().map(|(number, _)| number).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn line_and_file_carry_the_same_bytes_however_they_are_wrapped() {
        let code = code();
        let line = code.to_line();
        assert!(line.starts_with("ONSITE1-"));
        let wrapped = line.replace('-', " \n ");
        let unhyphenated = format!("ONSITE1 {}", line[8..].replace('-', ""));
        let dashed = line.replace('-', "\u{2013}");
        let windows = format!("\u{feff}{}", code.to_armour().replace('\n', "\r\n"));
        for text in [&line, &line.to_lowercase(), &code.to_armour(), &windows, &wrapped, &unhyphenated, &dashed] {
            assert_eq!(SignedCode::from_text(text).as_ref(), Ok(&code), "{text}");
        }
    }

    #[test]
    fn a_typing_error_names_its_group() {
        let line = code().to_line();
        let groups: Vec<&str> = line.split('-').collect();
        let with = |at: usize, text: &str| {
            let mut groups = groups.clone();
            groups[at] = text;
            groups.join("-")
        };
        assert_eq!(wrong(&with(7, &groups[7][..7])), [7], "a character is missing");
        assert_eq!(wrong(&with(7, &format!("{}7", groups[7]))), [7], "a character too many");
        assert_eq!(wrong(&with(3, "UUUUUUUU")), [3], "U is not in the alphabet");
        let mut swapped = groups.clone();
        swapped.swap(4, 5);
        assert_eq!(wrong(&swapped.join("-")), [4, 5], "two groups are swapped");
        let mut shorter = groups.clone();
        shorter.remove(4);
        assert_eq!(wrong(&shorter.join("-"))[0], 4, "a group is missing");
        assert!(matches!(SignedCode::from_text(&groups[..6].join("-")), Err(MalformedCode::Incomplete { .. })), "the end is missing");
        let Err(error) = SignedCode::from_text(&with(3, "UUUUUUUU")) else { panic!("taken") };
        assert_eq!(error.to_string(), "there is a typing error in group 3 (UUUUUUUU)");
    }

    #[test]
    fn what_is_not_a_code_is_told_apart() {
        let refused = |text: &str| SignedCode::from_text(text).unwrap_err();
        assert_eq!(refused("  \n"), MalformedCode::Empty);
        assert_eq!(refused("eyJhbGciOiJub25lIn0.e30."), MalformedCode::NotACode);
        assert_eq!(refused("ONSITE2-ABCDEFGH"), MalformedCode::Version("2".into()));
        assert_eq!(refused("ONSITE1-").reason().as_str(), "malformed");
        assert_eq!(refused(&"A".repeat(100_000)), MalformedCode::TooLong);
        let armour = code().to_armour();
        assert_eq!(refused(armour.lines().take(3).collect::<Vec<_>>().join("\n").as_str()), MalformedCode::BrokenArmour);
        assert_eq!(refused(&format!("{armour}{armour}")), MalformedCode::BrokenArmour);
    }

    #[test]
    fn every_single_wrong_character_and_every_swap_within_a_group_is_caught() {
        let line = code().to_line();
        let chars: Vec<char> = line.chars().collect();
        for at in 8..chars.len() {
            if chars[at] == '-' {
                continue;
            }
            let mut mistyped = chars.clone();
            let value = usize::from(crockford_value(chars[at]).unwrap());
            mistyped[at] = char::from(ALPHABET[(value + 1 + at % 31) % 32]);
            if mistyped[at] != chars[at] {
                assert_eq!(wrong(&mistyped.iter().collect::<String>()), [(at - 8) / 9 + 1]);
            }
            let mut swapped = chars.clone();
            swapped.swap(at, at - 1);
            if swapped[at] != chars[at] && chars[at - 1] != '-' {
                assert_eq!(wrong(&swapped.iter().collect::<String>()), [(at - 8) / 9 + 1]);
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,300}", tail in "[ -~]{0,300}") {
            let _ = SignedCode::from_text(&text);
            let _ = SignedCode::from_text(&format!("ONSITE1-{tail}"));
            let _ = SignedCode::from_text(&format!("{ARMOUR_BEGIN}{text}{ARMOUR_END}"));
        }
    }
}
