//! The one row that says which installation this is.

use crate::base::clock::Timestamp;
use crate::base::seams::Seams;
use crate::base::secret::crockford_encode;

/// This installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// `ins_` and 26 characters: random, made at first start; says nothing about the hardware.
    pub install_id: String,
    /// The first start.
    pub created_at: Timestamp,
    /// The latest time this installation has seen: a clock behind it was turned back.
    pub clock_high_water: Timestamp,
}

/// A new installation id: 128 random bits.
#[must_use]
pub fn new_install_id(seams: &Seams) -> String {
    format!("ins_{}", crockford_encode(&seams.random_bytes::<16>()).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_install_id_has_the_form_of_the_other_ids() {
        let id = new_install_id(&Seams::system());
        assert!(crate::base::ids::is_body(id.strip_prefix("ins_").unwrap()), "{id}");
    }
}
