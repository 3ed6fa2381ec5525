//! The token ledger's grants.

use super::definition::{Kind, section};

section! {
    /// The token ledger's grants.
    Tokens {
        /// Tokens granted to each user on a day of activity. Below 10000 only with ALLOW_LOW_DAILY_FREE_TOKENS=1.
        daily_free_amount: u64 = "DAILY_FREE_TOKEN_AMOUNT", Kind::Integer(0, 1_000_000_000_000), Some("500000"), Yes;
        /// Allows a DAILY_FREE_TOKEN_AMOUNT below 10000.
        allow_low_daily_free: bool = "ALLOW_LOW_DAILY_FREE_TOKENS", Kind::Flag, Some("0"), Yes;
    }
}
