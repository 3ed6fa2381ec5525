//! The parsers of activation codes, revocation lists and requests, compiled from the product's own sources and without the rest of it: a fuzzer
//! builds in a minute, not in ten.

pub mod base;
pub mod model;
