//! QR codes as one path.

use std::fmt::Write;

use maud::{Markup, html};
use qrcodegen::{QrCode, QrCodeEcc};

/// Light modules around the code, which readers need.
const QUIET: i32 = 4;

/// The text as a code, or nothing where it is too long for one. `name` says what it is.
pub fn svg(text: &str, name: &str) -> Option<Markup> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let side = code.size() + 2 * QUIET;
    Some(html! {
        svg.qr role="img" aria-label=(name) viewBox={ "0 0 " (side) " " (side) } shape-rendering="crispEdges" {
            rect width=(side) height=(side) {}
            path d=(path(&code)) {}
        }
    })
}

/// Dark modules, those beside each other joined.
fn path(code: &QrCode) -> String {
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let run = (x..code.size()).take_while(|x| code.get_module(*x, y)).count();
            let run = i32::try_from(run).unwrap_or(0);
            if run > 0 {
                let _ = write!(path, "M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET);
            }
            x += run.max(1);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws the path again and compares it with the code.
    #[test]
    fn the_path_is_the_code() {
        let code = QrCode::encode_text(
            "otpauth://totp/orgd:ada@example.com?secret=JBSWY3DPEHPK3PXP",
            QrCodeEcc::Medium,
        )
        .unwrap();
        let mut drawn = vec![vec![false; code.size() as usize]; code.size() as usize];
        for run in path(&code).split('M').skip(1) {
            let numbers: Vec<usize> =
                run.split(['h', 'v', ' ', 'z']).take(3).map(|number| number.parse().unwrap()).collect();
            for x in numbers[0]..numbers[0] + numbers[2] {
                drawn[numbers[1] - QUIET as usize][x - QUIET as usize] = true;
            }
        }
        for y in 0..code.size() {
            for x in 0..code.size() {
                assert_eq!(drawn[y as usize][x as usize], code.get_module(x, y), "{x} {y}");
            }
        }
    }

    #[test]
    fn a_text_that_is_too_long_has_no_code() {
        assert!(svg(&"x".repeat(5000), "A link").is_none());
        assert!(svg("x", "A link").unwrap().0.len() < 3000);
    }
}
