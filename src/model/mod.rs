//! Pure data and rules. No I/O.

pub mod crawl;
pub mod ids;
pub mod invalid;
pub mod run;
pub mod schedule;
pub mod widget;
