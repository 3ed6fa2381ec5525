//! Pure data and rules. No I/O.

pub mod ids;
