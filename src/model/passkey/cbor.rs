//! As much of CBOR (RFC 8949) as authenticators write. A crate would read more than that: indefinite lengths, tags, numbers in several spellings, all
//! of which CTAP2 forbids. Here one value has one spelling, and nothing is copied.

/// How deep values may stand in each other (CTAP2, section 8).
const DEPTH_MAX: usize = 4;
/// Entries of one array or map at most: more than anything here has.
const ENTRIES_MAX: u64 = 64;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A whole number.
    Number(i64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Text.
    Text(&'a str),
    /// Values in order.
    Array(Vec<Self>),
    /// Values by their keys, of which no two are equal.
    Map(Vec<(Self, Self)>),
    /// `false`, `true` or `null`.
    Simple(u8),
}

impl<'a> Value<'a> {
    /// The bytes, if it is bytes.
    pub(super) const fn bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// The entries, if it is a map.
    pub(super) fn map(self) -> Option<Vec<(Self, Self)>> {
        if let Self::Map(entries) = self { Some(entries) } else { None }
    }
}

/// The value that the bytes begin with, and what comes after it. `None` for anything else.
pub(super) fn read(bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    value(bytes, 0)
}

/// The value that the bytes are, to the last of them.
pub(super) fn read_all(bytes: &[u8]) -> Option<Value<'_>> {
    let (value, rest) = read(bytes)?;
    rest.is_empty().then_some(value)
}

fn value(bytes: &[u8], depth: usize) -> Option<(Value<'_>, &[u8])> {
    let (kind, argument, rest) = head(bytes)?;
    match kind {
        0 => Some((Value::Number(i64::try_from(argument).ok()?), rest)),
        1 => Some((Value::Number(-1 - i64::try_from(argument).ok()?), rest)),
        2 | 3 => {
            let (own, rest) = rest.split_at_checked(usize::try_from(argument).ok()?)?;
            let value = if kind == 2 { Value::Bytes(own) } else { Value::Text(std::str::from_utf8(own).ok()?) };
            Some((value, rest))
        }
        4 | 5 if argument <= ENTRIES_MAX && depth < DEPTH_MAX => {
            if kind == 4 {
                array(rest, argument, depth + 1)
            } else {
                map(rest, argument, depth + 1)
            }
        }
        7 => match u8::try_from(argument) {
            Ok(simple @ 20..=22) => Some((Value::Simple(simple), rest)),
            _ => None,
        },
        _ => None,
    }
}

fn array(mut rest: &[u8], entries: u64, depth: usize) -> Option<(Value<'_>, &[u8])> {
    let mut values = Vec::new();
    for _ in 0..entries {
        let (entry, after) = value(rest, depth)?;
        values.push(entry);
        rest = after;
    }
    Some((Value::Array(values), rest))
}

fn map(mut rest: &[u8], entries: u64, depth: usize) -> Option<(Value<'_>, &[u8])> {
    let mut pairs: Vec<(Value<'_>, Value<'_>)> = Vec::new();
    for _ in 0..entries {
        let (key, after) = value(rest, depth)?;
        let (entry, after) = value(after, depth)?;
        // Which of two entries counts would be a matter of taste.
        if pairs.iter().any(|(known, _)| *known == key) {
            return None;
        }
        pairs.push((key, entry));
        rest = after;
    }
    Some((Value::Map(pairs), rest))
}

/// Kind, argument and what follows. An argument in more bytes than it needs is another spelling, and refused.
fn head(bytes: &[u8]) -> Option<(u8, u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (kind, short) = (first >> 5, first & 0x1f);
    let (length, least) = match short {
        0..=23 => return Some((kind, u64::from(short), rest)),
        24 => (1, 24),
        25 => (2, 0x100),
        26 => (4, 0x1_0000),
        27 => (8, 0x1_0000_0000),
        _ => return None,
    };
    let (argument, rest) = rest.split_at_checked(length)?;
    let argument = argument.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    (argument >= least).then_some((kind, argument, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_those_of_rfc_8949_appendix_a() {
        let reads: [(&str, Value<'_>); 9] = [
            ("00", Value::Number(0)),
            ("1818", Value::Number(24)),
            ("1b000000e8d4a51000", Value::Number(1_000_000_000_000)),
            ("3903e7", Value::Number(-1_000)),
            ("4401020304", Value::Bytes(&[1, 2, 3, 4])),
            ("6449455446", Value::Text("IETF")),
            ("83010203", Value::Array(vec![Value::Number(1), Value::Number(2), Value::Number(3)])),
            ("a201020304", Value::Map(vec![(Value::Number(1), Value::Number(2)), (Value::Number(3), Value::Number(4))])),
            ("f5", Value::Simple(21)),
        ];
        for (hex, expected) in reads {
            let bytes = hex::decode(hex).unwrap();
            assert_eq!(read_all(&bytes), Some(expected), "{hex}");
        }
    }

    #[test]
    fn one_value_has_one_spelling_and_everything_has_an_end() {
        let wrong = [
            "",
            "1817",               // 23 in two bytes
            "190018",             // 24 in three
            "1b00000000ffffffff", // 32 bits in nine
            "5f42010243030405ff", // bytes of indefinite length
            "bf6161019fff",       // a map of indefinite length
            "c074323031332d",     // a tag
            "fb3ff199999999999a", // 1.1
            "f7",                 // undefined
            "4401",               // bytes that are not there
            "5bffffffffffffffff", // as many as there cannot be
            "9bffffffffffffffff",
            "a201010102", // a key twice
            "62ff00",     // text that is none
            "8181818181", // deeper than anything is
            "0000",       // two values
            "3bffffffffffffffff",
        ];
        for hex in wrong {
            assert_eq!(read_all(&hex::decode(hex).unwrap()), None, "{hex}");
        }
        assert_eq!(read(&[0, 7]), Some((Value::Number(0), &[7][..])));
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some((_, rest)) = read(&bytes) {
                prop_assert!(bytes.ends_with(rest) && rest.len() < bytes.len());
            }
        }
    }
}
