//! The HTTP door: router, extractors, errors, streams, assets.

pub mod routes;
