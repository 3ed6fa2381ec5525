//! Bytes as a code, a list or a request: none panics, and whatever is taken is the one form of what it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use onsite_fuzz::model::licence::text::{CODE, REQUEST, REVOCATIONS};
use onsite_fuzz::model::licence::{LicenceRequest, SignedCode, SignedList};

fuzz_target!(|bytes: &[u8]| {
    let code = SignedCode::parse(bytes);
    if let Ok(code) = &code {
        let signature = code.signature();
        assert_eq!(SignedCode::sign(code.claims().clone(), |_| signature).unwrap().bytes(), bytes);
    }
    assert_eq!(SignedCode::from_text(&CODE.line(bytes)).is_ok(), code.is_ok() && !bytes.is_empty());
    if let Ok(list) = SignedList::parse(bytes) {
        let signature = list.signature();
        assert_eq!(SignedList::sign(list.list().clone(), |_| signature).unwrap().bytes(), bytes);
        assert_eq!(SignedList::from_text(&REVOCATIONS.armour(bytes)).unwrap(), list);
    }
    if let Ok(request) = LicenceRequest::parse(bytes) {
        assert_eq!(request.bytes().unwrap(), bytes);
        assert_eq!(LicenceRequest::from_text(&REQUEST.picture_text(bytes)).unwrap(), request);
    }
});
