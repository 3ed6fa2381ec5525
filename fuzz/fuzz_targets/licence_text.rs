//! Text as anything that may be pasted or uploaded: none panics, and whatever is taken reads back from its canonical text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use onsite_fuzz::model::licence::text::Carried;

fuzz_target!(|text: &str| {
    match Carried::from_text(text) {
        Ok(Carried::Code(code)) => assert_eq!(Carried::from_text(&code.to_line()), Ok(Carried::Code(code))),
        Ok(Carried::Revocations(list)) => assert_eq!(Carried::from_text(&list.to_armour()), Ok(Carried::Revocations(list))),
        Ok(Carried::Request(_)) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
