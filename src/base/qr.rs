//! QR codes as SVG: one path of attributes only, so that it shows under a policy that allows no inline style.

use std::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc};

/// White modules around the code, which readers need.
const BORDER: i32 = 4;

/// The text as a QR code; `None` when it is longer than one holds (2,331 bytes).
#[must_use]
pub fn svg(text: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let size = code.size() + 2 * BORDER;
    let mut path = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            let _ = write!(path, "M{},{}h1v1h-1z", x + BORDER, y + BORDER);
        }
    }
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size} {size}\" shape-rendering=\"crispEdges\">\
         <rect width=\"{size}\" height=\"{size}\" fill=\"#fff\"/><path d=\"{path}\" fill=\"#000\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_finders_a_border_and_nothing_inline() {
        let svg = svg("otpauth://totp/Onsite:ada").unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>"));
        assert!(svg.contains("M4,4h1v1h-1z") && !svg.contains("M3,") && !svg.contains("style") && !svg.contains("script"));
        assert!(super::svg(&"x".repeat(3_000)).is_none());
    }
}
