//! The product's model, as far as it is the parsers.

#[path = "../../src/model/ids.rs"]
pub mod ids;
#[path = "../../src/model/licence/mod.rs"]
pub mod licence;
