//! Onsite: the on-premises appliance of an AI research-and-automation service.
//!
//! The floors, from the roof down (`docs/ARCHITECTURE.md` is the map; a test enforces the direction):
//! `cli` and `app`, `http` and `jobs`, `features`, `services`, `store`, `model`, `config` and `base`.

pub mod app;
pub mod base;
pub mod cli;
pub mod config;
pub mod features;
pub mod http;
pub mod jobs;
pub mod model;
pub mod services;
pub mod store;
