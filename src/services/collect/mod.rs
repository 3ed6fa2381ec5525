//! Collecting pages and documents, and reading them: bytes become text and tables, and these become a report.

mod csv;
mod encoding;
mod grid;
mod html;
mod markdown;
pub mod page;
mod plain;
