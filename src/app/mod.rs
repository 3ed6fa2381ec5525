//! Composition and lifecycle: what is built, in which order, and how it stops.

pub mod compose;
pub mod connections;
pub mod instance;
mod mail;
mod sso;
pub mod tls;

pub use instance::{Instance, StartError, StartOptions};
