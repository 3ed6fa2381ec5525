//! The product's ground floor, as far as the parsers stand on it.

#[path = "../../src/base/clock.rs"]
pub mod clock;
#[path = "../../src/base/ids.rs"]
pub mod ids;
#[path = "../../src/base/random.rs"]
pub mod random;
#[path = "../../src/base/seams.rs"]
pub mod seams;
#[path = "../../src/base/secret.rs"]
pub mod secret;
#[path = "../../src/base/text.rs"]
pub mod text;
