//! What people use. Features never import each other.

pub mod automations;
pub mod chat;
pub mod companies;
pub mod documents;
pub mod issuer;
pub mod members;
pub mod setup;
pub mod sign_on;
