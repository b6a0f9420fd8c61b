//! The files that pages load. Their addresses hold their hash, so browsers may keep them for good.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use crate::store::hex;

/// Where they all lie.
pub const FOLDER: &str = "/_static/";

/// One file.
pub struct Asset {
    pub content_type: &'static str,
    pub bytes: &'static [u8],
    /// 12 hexadecimal digits of the SHA-256 of the bytes.
    hash: String,
    address: String,
}

pub static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("app", "css", "text/css; charset=utf-8", include_bytes!("assets/app.css")));
pub static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("app", "js", "text/javascript; charset=utf-8", MODULES.as_bytes()));
pub static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_bytes!("assets/icon.svg")));

/// One module made of all, so that a page asks once. Each stands in a block of its own.
const MODULES: &str = concat!(
    include_str!("assets/app.js"),
    include_str!("assets/copy.js"),
    include_str!("assets/focus.js"),
    include_str!("assets/live.js"),
    include_str!("assets/once.js"),
    include_str!("assets/time.js"),
);

/// The asset with this file name, hash included; nothing for a hash of another version.
pub fn find(file: &str) -> Option<&'static Asset> {
    let all: [&'static Asset; 3] = [&STYLE, &SCRIPT, &ICON];
    all.into_iter().find(|asset| asset.address.strip_prefix(FOLDER) == Some(file))
}

impl Asset {
    fn new(name: &str, ending: &str, content_type: &'static str, bytes: &'static [u8]) -> Asset {
        let digest = Sha256::digest(bytes);
        let hash = hex(&digest[..6]);
        let address = format!("{FOLDER}{name}.{hash}.{ending}");
        Asset { content_type, bytes, hash, address }
    }

    /// The path that pages name.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The value of the header ETag, in quotes.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.hash)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// The bytes as gzip.
    fn packed(asset: &Asset) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(asset.bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn an_asset_is_found_by_its_hash_and_by_no_other() {
        for asset in [&*STYLE, &*SCRIPT, &*ICON] {
            let file = asset.address().strip_prefix(FOLDER).unwrap();
            assert_eq!(find(file).unwrap().bytes, asset.bytes);
            assert_eq!(asset.etag(), format!("\"{}\"", file.split('.').nth(1).unwrap()));
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&*packed(asset)).read_to_end(&mut unpacked).unwrap();
            assert_eq!(unpacked, asset.bytes);
        }
        assert!(find("app.000000000000.css").is_none());
        assert!(find("app.css").is_none());
    }

    #[test]
    fn what_pages_load_is_small() {
        let packed: usize = [&*STYLE, &*SCRIPT, &*ICON].iter().map(|asset| packed(asset).len()).sum();
        assert!(packed < 16 * 1024, "{packed} bytes");
        let lines = MODULES.lines().count();
        assert!(lines <= 200, "{lines} lines of scripts");
    }

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        for asset in [&*STYLE, &*SCRIPT] {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            for word in ["http:", "https:", "@import", "url(", "eval(", "innerHTML"] {
                assert!(!text.contains(word), "{} holds {word}", asset.address());
            }
        }
    }

    /// The colours of one token, on light and on dark ground.
    fn token(name: &str) -> [[f64; 3]; 2] {
        let text = std::str::from_utf8(STYLE.bytes).unwrap();
        let start = format!("--{name}: light-dark(");
        let rest = &text[text.find(&start).unwrap_or_else(|| panic!("no token {name}")) + start.len()..];
        let (light, rest) = rest.split_once(", ").unwrap();
        let (dark, _) = rest.split_once(')').unwrap();
        [light, dark].map(|hex| {
            let channel = |place: usize| f64::from(u8::from_str_radix(&hex[place..place + 2], 16).unwrap());
            [channel(1), channel(3), channel(5)]
        })
    }

    /// The relative luminance of WCAG.
    fn luminance(color: [f64; 3]) -> f64 {
        let linear = color.map(|channel| {
            let channel = channel / 255.0;
            if channel <= 0.04045 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn text_and_borders_of_controls_stand_out_from_their_ground() {
        const TEXT: f64 = 4.5;
        const BORDER: f64 = 3.0;
        for (front, ground, least) in [
            ("text", "bg", TEXT),
            ("text", "sunk", TEXT),
            ("soft", "bg", TEXT),
            ("soft", "sunk", TEXT),
            ("edge", "bg", BORDER),
            ("edge", "sunk", BORDER),
            ("act", "bg", TEXT),
            ("act", "sunk", TEXT),
            ("on-act", "act", TEXT),
            ("ok", "bg", TEXT),
            ("ok", "ok-bg", TEXT),
            ("warn", "warn-bg", TEXT),
            ("text", "warn-bg", TEXT),
            ("text", "ok-bg", TEXT),
            ("text", "bad-bg", TEXT),
            ("bad", "bad-bg", TEXT),
            ("bad", "bg", TEXT),
            ("bad", "sunk", TEXT),
        ] {
            for (front_color, ground_color) in token(front).into_iter().zip(token(ground)) {
                let ratio = contrast(front_color, ground_color);
                assert!(ratio >= least, "--{front} on --{ground}: {ratio:.1}");
            }
        }
    }
}
