//! The recurring tasks: a driver and one thin file each.
//!
//! A job is a reconciler: it looks at the store and does what is missing. It takes no input, so a tick, a nudge, a restart
//! and a second call in a row are all the same to it.

pub mod driver;

pub use driver::{Driver, Reconciler};
