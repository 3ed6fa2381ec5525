//! One file per noun: its handlers and their transfer objects.

pub mod account;
pub mod audit;
pub mod auth;
pub mod chat_runs;
pub mod companies;
pub mod company_ends;
pub mod conversations;
pub mod documents;
pub mod egress;
pub mod health;
pub mod invitations;
pub mod license;
pub mod me;
pub mod members;
pub mod recall;
pub mod reports;
pub mod runs;
pub mod setup;
pub mod status;
pub mod usage;
pub mod users;
pub mod widgets;
