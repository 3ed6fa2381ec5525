//! How a statement travels: one pasted line, an armoured file around the same groups, or a QR picture of them. All carry the same bytes.
//!
//! A head such as `ONSITE1-` and groups of eight characters: seven of Crockford base 32 and a check symbol. The check symbol is a weighted
//! sum over GF(32) plus a number for the group's place, so it catches every single wrong character, every two swapped ones, and groups that
//! are swapped, missing or doubled, and says in which group.

use super::encoding::{CODE_BYTES_MAX, SignedCode};
use super::reason::MalformedCode;
use super::request::{LicenceRequest, REQUEST_BYTES_MAX};
use super::revocation::{LIST_BYTES_MAX, SignedList};
use crate::base::secret::{crockford_decode, crockford_encode, crockford_value};

/// What travels, and under which name.
#[derive(Debug, PartialEq, Eq)]
pub struct Carrier {
    /// What the head is without its format.
    name: &'static str,
    /// What the first and the last line of a file say.
    title: &'static str,
    /// In words.
    what: &'static str,
    /// Longest statement.
    bytes_max: usize,
}

/// An activation code: `.onsite`.
pub const CODE: Carrier = Carrier { name: "ONSITE", title: "ACTIVATION CODE", what: "an activation code", bytes_max: CODE_BYTES_MAX };
/// A request for one: `.onsite-request`.
pub const REQUEST: Carrier = Carrier { name: "ONSITEREQ", title: "LICENCE REQUEST", what: "a licence request", bytes_max: REQUEST_BYTES_MAX };
/// The list of revoked codes: `.onsite`.
pub const REVOCATIONS: Carrier = Carrier { name: "ONSITEREV", title: "REVOCATION LIST", what: "a revocation list", bytes_max: LIST_BYTES_MAX };

const FORMAT: &str = "1";
/// Characters of a group before its check symbol.
const GROUP_DATA: usize = 7;
const GROUP_CHARS: usize = GROUP_DATA + 1;
const GROUPS_PER_LINE: usize = 8;
/// Longest text that can hold anything of these: the longest statement with its check symbols, separators and armour, and room for spaces.
pub const TEXT_BYTES_MAX: usize = LIST_BYTES_MAX * 4;
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Whatever a text may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// An activation code.
    Code(SignedCode),
    /// A request for one.
    Request(LicenceRequest),
    /// The list of revoked codes.
    Revocations(SignedList),
}

impl Carried {
    /// Reads whatever it is; what looks like none of them is judged as a code.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_text(text: &str) -> Result<Self, MalformedCode> {
        if REQUEST.begins(text) {
            LicenceRequest::from_text(text).map(Self::Request)
        } else if REVOCATIONS.begins(text) {
            SignedList::from_text(text).map(Self::Revocations)
        } else {
            SignedCode::from_text(text).map(Self::Code)
        }
    }
}

impl Carrier {
    /// The one line to paste: the canonical text.
    #[must_use]
    pub fn line(&self, bytes: &[u8]) -> String {
        format!("{}{FORMAT}-{}", self.name, groups(bytes).join("-"))
    }

    /// The text of a QR picture: the line without the hyphens between groups, which a picture does not need. It can be pasted as well.
    #[must_use]
    pub fn picture_text(&self, bytes: &[u8]) -> String {
        format!("{}{FORMAT}-{}", self.name, groups(bytes).concat())
    }

    /// The armoured file.
    #[must_use]
    pub fn armour(&self, bytes: &[u8]) -> String {
        let groups = groups(bytes);
        let mut lines = vec![self.first_line(), format!("{}{FORMAT}", self.name)];
        lines.extend(groups.chunks(GROUPS_PER_LINE).map(|line| line.join("-")));
        lines.push(self.last_line());
        lines.join("\n") + "\n"
    }

    /// Whether a text sets out to be one of these.
    #[must_use]
    pub fn begins(&self, text: &str) -> bool {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let digit_after = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
        let head = text.get(..self.name.len()).is_some_and(|head| head.eq_ignore_ascii_case(self.name));
        head && digit_after(&text[self.name.len()..]) || text.starts_with(&self.first_line())
    }

    /// Reads what somebody pasted or uploaded; `parse` makes it of the bytes.
    ///
    /// # Errors
    /// What is wrong with it; typing errors by group.
    pub fn read<T>(&self, text: &str, parse: impl Fn(&[u8]) -> Result<T, MalformedCode>) -> Result<T, MalformedCode> {
        let data = self.data_of(text)?;
        if let Some(bytes) = crockford_decode(&data) {
            return parse(&bytes);
        }
        // No encoding has this length or this end. If whole bytes are missing, that is what helps to say.
        let whole = crockford_decode(&data[..data.len() / 8 * 8]).unwrap_or_default();
        match parse(&whole) {
            Err(incomplete @ MalformedCode::Incomplete { .. }) => Err(incomplete),
            _ => Err(MalformedCode::NotCanonical),
        }
    }

    fn first_line(&self) -> String {
        format!("-----BEGIN ONSITE {}-----", self.title)
    }

    fn last_line(&self) -> String {
        format!("-----END ONSITE {}-----", self.title)
    }

    const fn not_this(&self) -> MalformedCode {
        MalformedCode::NotThis { what: self.what, head: self.name }
    }

    /// The characters of the groups, checked; plain ASCII.
    fn data_of(&self, text: &str) -> Result<String, MalformedCode> {
        if text.len() > self.bytes_max * 4 {
            return Err(MalformedCode::TooLong);
        }
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Err(MalformedCode::Empty);
        }
        let code = self.dearmour(text)?;
        let mut parts = code.split(is_separator).filter(|part| !part.is_empty());
        let head = parts.next().ok_or(MalformedCode::Empty)?;
        let format = head.get(..self.name.len()).filter(|name| name.eq_ignore_ascii_case(self.name)).map(|name| &head[name.len()..]);
        match format {
            Some(FORMAT) => {}
            Some(other) if !other.is_empty() && other.len() <= 4 && other.bytes().all(|b| b.is_ascii_digit()) => {
                return Err(MalformedCode::Version(other.to_owned()));
            }
            _ => return Err(self.not_this()),
        }
        let parts: Vec<&str> = parts.collect();
        check_groups(&parts)
    }

    fn dearmour<'a>(&self, text: &'a str) -> Result<&'a str, MalformedCode> {
        if !text.starts_with("-----") {
            return Ok(text);
        }
        let inner = text.strip_prefix(&self.first_line()).and_then(|rest| rest.strip_suffix(&self.last_line())).ok_or(MalformedCode::BrokenArmour)?;
        // Two codes in one file: which one was meant?
        if inner.contains("-----") { Err(MalformedCode::BrokenArmour) } else { Ok(inner) }
    }
}

impl SignedCode {
    /// Reads a code from what somebody pasted or uploaded.
    ///
    /// # Errors
    /// What is wrong with it; typing errors by group.
    pub fn from_text(text: &str) -> Result<Self, MalformedCode> {
        CODE.read(text, Self::parse)
    }

    /// The one line to paste: the canonical text.
    #[must_use]
    pub fn to_line(&self) -> String {
        CODE.line(self.bytes())
    }

    /// The armoured file.
    #[must_use]
    pub fn to_armour(&self) -> String {
        CODE.armour(self.bytes())
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
        let picture = CODE.picture_text(code.bytes());
        let windows = format!("\u{feff}{}", code.to_armour().replace('\n', "\r\n"));
        for text in [&line, &line.to_lowercase(), &code.to_armour(), &windows, &wrapped, &unhyphenated, &dashed, &picture] {
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
    fn kinds_are_told_apart_and_one_is_not_read_as_another() {
        let code = code();
        assert_eq!(Carried::from_text(&code.to_armour()), Ok(Carried::Code(code.clone())));
        assert!(CODE.begins(" onsite1-0") && !REQUEST.begins("ONSITE1-0") && !CODE.begins("ONSITEREQ1-0"));
        assert_eq!(Carried::from_text("ONSITEREQ2-00"), Err(MalformedCode::Version("2".into())));
        let as_list = code.to_line().replacen("ONSITE1", "ONSITEREV1", 1);
        assert!(Carried::from_text(&as_list).is_err());
        assert_eq!(LicenceRequest::from_text(&code.to_line()).unwrap_err().to_string(), "a licence request begins with ONSITEREQ1-");
    }

    #[test]
    fn what_is_not_a_code_is_told_apart() {
        let refused = |text: &str| SignedCode::from_text(text).unwrap_err();
        assert_eq!(refused("  \n"), MalformedCode::Empty);
        assert_eq!(refused("eyJhbGciOiJub25lIn0.e30.").to_string(), "an activation code begins with ONSITE1-");
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
            let _ = SignedCode::from_text(&format!("{}{text}{}", CODE.first_line(), CODE.last_line()));
            let _ = Carried::from_text(&format!("ONSITEREV1-{tail}"));
            let _ = Carried::from_text(&format!("ONSITEREQ1-{tail}"));
        }
    }
}
