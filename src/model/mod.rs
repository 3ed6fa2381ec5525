//! Pure data and rules. No I/O.

pub mod audit;
pub mod bootstrap;
pub mod chunk;
pub mod chunker;
pub mod company;
pub mod crawl;
pub mod egress;
pub mod freshness;
pub mod ids;
pub mod installation;
pub mod invalid;
pub mod ledger;
pub mod licence;
pub mod password;
pub mod plans;
pub mod rates;
pub mod report;
pub mod report_history;
pub mod role;
pub mod run;
pub mod run_event;
pub mod schedule;
pub mod session;
pub mod user;
pub mod widget;
pub mod words;
