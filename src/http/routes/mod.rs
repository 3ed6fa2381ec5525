//! One file per noun: its handlers and their transfer objects.

pub mod chat_runs;
pub mod conversations;
pub mod documents;
pub mod egress;
pub mod health;
pub mod license;
pub mod recall;
pub mod usage;
