//! Pure data and rules. No I/O.

pub mod chunker;
pub mod crawl;
pub mod egress;
pub mod ids;
pub mod invalid;
pub mod ledger;
pub mod rates;
pub mod report;
pub mod run;
pub mod schedule;
pub mod widget;
