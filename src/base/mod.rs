//! The ground floor: what everything stands on and nothing of the domain.

pub mod clock;
pub mod ids;
pub mod memory;
pub mod paths;
pub mod places;
pub mod qr;
pub mod random;
pub mod seams;
pub mod secret;
pub mod service_manager;
pub mod signal;
pub mod tasks;
pub mod telemetry;
pub mod text;
pub mod vault;
pub mod web_origin;
