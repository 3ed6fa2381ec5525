//! The recurring tasks: a driver and one thin file each.
//!
//! A job is a reconciler: it looks at the store and does what is missing. It takes no input, so a tick, a nudge, a restart
//! and a second call in a row are all the same to it.

pub mod chat_retention;
pub mod chat_runner;
pub mod clock_mark;
pub mod company_purge;
pub mod documents;
pub mod driver;
pub mod idle_memory;
pub mod ingest;
pub mod issuer_signer;
pub mod licence_drop_in;
pub mod licence_watch;
pub mod mail;
pub mod retention;
pub mod run_driver;
pub mod run_stops;
pub mod scheduler;
pub mod secret_rotation;
pub mod session_ends;
pub mod sign_of_life;

pub use chat_retention::ChatRetention;
pub use chat_runner::ChatRunner;
pub use clock_mark::ClockMark;
pub use company_purge::CompanyPurge;
pub use driver::{Driver, Reconciler};
pub use idle_memory::IdleMemory;
pub use ingest::Ingest;
pub use issuer_signer::IssuerSigner;
pub use licence_drop_in::LicenceDropIn;
pub use licence_watch::LicenceWatch;
pub use mail::MailOut;
pub use retention::Retention;
pub use run_driver::RunDriver;
pub use run_stops::RunStops;
pub use scheduler::Schedule;
pub use secret_rotation::SecretRotation;
pub use session_ends::SessionEnds;
pub use sign_of_life::SignOfLife;
