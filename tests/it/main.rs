//! The one integration-test binary.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by failing")]

mod floors;
