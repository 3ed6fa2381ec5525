//! The HTTP door: router, extractors, errors, streams, assets.

pub mod assets;
pub mod caller;
pub mod cors;
pub mod errors;
pub mod extract;
pub mod hosts;
pub mod metrics;
pub mod rates;
pub mod refusals;
pub mod relying_party;
pub mod router;
pub mod routes;
pub mod scopes;
pub mod security;
pub mod sse;
pub mod state;

pub use errors::ApiError;
pub use state::AppState;
