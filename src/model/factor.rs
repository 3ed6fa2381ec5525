//! Second factors: time-based one-time codes (RFC 6238) and the recovery codes that stand in for a lost device.

use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::base::clock::Timestamp;
use crate::base::seams::Seams;
use crate::base::secret::{Secret, constant_time_eq, crockford_encode, crockford_value, sha256};

/// Bytes of a secret: what RFC 4226 recommends for HMAC-SHA-1.
pub const SECRET_BYTES: usize = 20;
/// Recovery codes made at once.
pub const RECOVERY_CODES: usize = 10;
/// How long a code stands, milliseconds.
const STEP_MILLIS: i64 = 30_000;
/// Steps accepted before and after the present one, for clocks that differ.
const WINDOW: i64 = 1;
/// Digits of a code, of an app or by mail.
const DIGITS: usize = 6;
/// Bytes of a recovery code: 80 bits cannot be guessed even from its hash.
const RECOVERY_BYTES: usize = 10;

/// How somebody shows that they hold a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactorMethod {
    /// A code of an authenticator app.
    Totp,
    /// One of the recovery codes.
    RecoveryCode,
    /// A code sent to their mail address.
    Email,
    /// A passkey.
    Passkey,
}

impl FactorMethod {
    /// The method in JSON and in the audit log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::RecoveryCode => "recovery_code",
            Self::Email => "email",
            Self::Passkey => "passkey",
        }
    }
}

/// The key that an authenticator app shares with us.
#[derive(Clone, Debug)]
pub struct TotpSecret(Secret<Vec<u8>>);

impl TotpSecret {
    /// A new one.
    #[must_use]
    pub fn new(seams: &Seams) -> Self {
        Self(Secret::new(seams.random_bytes::<SECRET_BYTES>().to_vec()))
    }

    /// One that was stored.
    #[must_use]
    pub const fn from_bytes(bytes: Secret<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The bytes, to be sealed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.expose()
    }

    /// As people type it into an app: base 32 in groups of four.
    #[must_use]
    pub fn text(&self) -> String {
        let text = BASE32_NOPAD.encode(self.bytes());
        text.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
    }

    /// As an app reads it from a QR code.
    #[must_use]
    pub fn uri(&self, account: &str) -> String {
        let account = utf8_percent_encode(account, NON_ALPHANUMERIC);
        let secret = BASE32_NOPAD.encode(self.bytes());
        format!("otpauth://totp/Onsite:{account}?secret={secret}&issuer=Onsite&algorithm=SHA1&digits={DIGITS}&period=30")
    }

    /// The step whose code this is, among those that count now. The same work is done for a right and a wrong one.
    #[must_use]
    pub fn matching_step(&self, code: &str, now: Timestamp) -> Option<i64> {
        let typed: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let present = now.millis().div_euclid(STEP_MILLIS);
        let fits = |step: &i64| constant_time_eq(self.code(*step).as_bytes(), typed.as_bytes());
        (present - WINDOW..=present + WINDOW).filter(fits).fold(None, |_, step| Some(step))
    }

    /// The code of a step (RFC 4226, section 5.3).
    #[must_use]
    pub fn code(&self, step: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.bytes());
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let offset = usize::from(tag.last().copied().unwrap_or_default() & 0xf);
        let bytes: [u8; 4] = tag.get(offset..offset + 4).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
        digits(u32::from_be_bytes(bytes) & 0x7fff_ffff)
    }
}

fn digits(number: u32) -> String {
    format!("{:0DIGITS$}", number % 1_000_000)
}

/// A new code to be sent by mail: every one of a million is as likely as the others to one part in ten billion.
#[must_use]
pub fn new_mail_code(seams: &Seams) -> Secret<String> {
    let number = u64::from_be_bytes(seams.random_bytes::<8>()) % 1_000_000;
    Secret::new(digits(u32::try_from(number).unwrap_or_default()))
}

/// A code that replaces a lost device, once.
#[derive(Clone, Debug)]
pub struct RecoveryCode(Secret<String>);

/// A text that is no recovery code.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("a recovery code is four groups of four letters and digits")]
pub struct InvalidRecoveryCode;

impl RecoveryCode {
    /// As many new ones as are given out at once.
    #[must_use]
    pub fn new_set(seams: &Seams) -> Vec<Self> {
        let one = |_| Self(Secret::new(crockford_encode(&seams.random_bytes::<RECOVERY_BYTES>()).to_ascii_lowercase()));
        (0..RECOVERY_CODES).map(one).collect()
    }

    /// As it is shown: groups of four.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.expose().as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join("-")
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        sha256(self.0.expose().as_bytes())
    }
}

impl FromStr for RecoveryCode {
    type Err = InvalidRecoveryCode;

    fn from_str(text: &str) -> Result<Self, InvalidRecoveryCode> {
        if text.len() > 64 {
            return Err(InvalidRecoveryCode);
        }
        let values: Option<Vec<u8>> = text.chars().filter(|c| !c.is_whitespace() && *c != '-').map(crockford_value).collect();
        let values = values.filter(|values| values.len() == RECOVERY_BYTES * 8 / 5).ok_or(InvalidRecoveryCode)?;
        // Read back to the one spelling that is hashed: O is 0, I and L are 1.
        let bits = values.iter().fold(0u128, |bits, value| bits << 5 | u128::from(*value));
        let bytes = bits.to_be_bytes();
        Ok(Self(Secret::new(crockford_encode(&bytes[bytes.len() - RECOVERY_BYTES..]).to_ascii_lowercase())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn secret() -> TotpSecret {
        TotpSecret::from_bytes(Secret::new(b"12345678901234567890".to_vec()))
    }

    #[test]
    fn codes_are_those_of_rfc_6238_appendix_b() {
        // The last six of the eight digits that the RFC lists.
        let listed = [(59, "287082"), (1_111_111_109, "081804"), (1_111_111_111, "050471"), (1_234_567_890, "005924"), (2_000_000_000, "279037")];
        for (seconds, code) in listed.into_iter().chain([(20_000_000_000, "353130")]) {
            assert_eq!(secret().code(seconds / 30), code);
            assert_eq!(secret().matching_step(code, at(seconds)), Some(seconds / 30));
        }
    }

    #[test]
    fn one_step_either_side_counts_and_no_more() {
        let code = secret().code(100);
        for (seconds, counts) in [(2_969, false), (2_970, true), (3_000, true), (3_059, true), (3_060, false)] {
            assert_eq!(secret().matching_step(&code, at(seconds)).is_some(), counts, "{seconds}");
        }
        assert_eq!(secret().matching_step(&format!(" {} {}", &code[..3], &code[3..]), at(3_000)), Some(100), "spaces are how apps show it");
        for wrong in ["", "12345", "1234567", "abcdef"] {
            assert_eq!(secret().matching_step(wrong, at(3_000)), None);
        }
    }

    #[test]
    fn an_app_is_told_everything_and_nothing_breaks_the_address() {
        let uri = secret().uri("ada+x@example.org");
        assert_eq!(
            uri,
            "otpauth://totp/Onsite:ada%2Bx%40example%2Eorg?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Onsite&algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(secret().text(), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
        assert!(!format!("{:?}", secret()).contains("GEZD"));
    }

    #[test]
    fn recovery_codes_are_read_as_people_write_them() {
        let codes = RecoveryCode::new_set(&Seams::system());
        assert_eq!(codes.len(), RECOVERY_CODES);
        for code in &codes {
            let text = code.text();
            assert_eq!(text.len(), 19);
            for written in [text.clone(), text.to_uppercase(), text.replace('-', " "), text.replace('0', "o").replace('1', "L")] {
                assert_eq!(written.parse::<RecoveryCode>().unwrap().hash(), code.hash(), "{written}");
            }
        }
        for wrong in ["", "123456", "abcd-efgh-jkmn-pqr", "abcd-efgh-jkmn-pqrs-t", "uuuu-uuuu-uuuu-uuuu", &"0".repeat(65)] {
            assert!(wrong.parse::<RecoveryCode>().is_err(), "{wrong}");
        }
    }
}
