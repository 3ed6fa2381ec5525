//! Collecting pages and documents, and reading them: bytes become text and tables, and these become a report.

mod blocks;
pub mod crawl;
#[cfg(test)]
mod crawl_tests;
mod crawler;
mod csv;
mod encoding;
pub mod extract;
mod frontier;
mod grid;
mod html;
mod json;
mod markdown;
pub mod page;
mod plain;
mod politeness;
mod robots;
mod sitemap;
pub mod texts;
