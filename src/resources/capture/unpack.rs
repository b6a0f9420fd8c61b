//! From the bytes of a request to its JSON text: compression and forms are undone, recognized by what the bytes are,
//! whatever headers say.

use std::io::Read;
use std::sync::Arc;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};

use super::{BUSY, Fault, Outcome, Refusal, TOO_LARGE, refusal};
use crate::api::json::without_mark;
use crate::app::App;
use crate::error::Result;
use crate::pool::{Share, Shortage};

/// The JSON text, which is no larger than `bytes_max`.
pub(super) async fn plain(
    app: &Arc<App>,
    bytes: Bytes,
    share: &Share,
    bytes_max: usize,
) -> Result<Outcome<Bytes>> {
    let bytes = match unpack(app, bytes, share, bytes_max).await? {
        Ok(bytes) if may_be_form(&bytes) => bytes,
        other => return Ok(other),
    };
    // The form is undone twice, and is there meanwhile.
    if let Err(refusal) = grow(share, 3 * bytes.len()).await {
        return Ok(Err(refusal));
    }
    match form_data(&bytes) {
        None => Ok(Ok(bytes)),
        Some(Err(refusal)) => Ok(Err(refusal)),
        Some(Ok(data)) => unpack(app, data.into(), share, bytes_max).await,
    }
}

/// The bytes without compression.
pub(super) async fn unpack(
    app: &Arc<App>,
    bytes: Bytes,
    share: &Share,
    bytes_max: usize,
) -> Result<Outcome<Bytes>> {
    let Some(packing) = packing(&bytes) else { return Ok(Ok(unmarked(bytes))) };
    let packed = bytes.clone();
    let len = match app.run_blocking(move || packing.len(&packed, bytes_max)).await? {
        Ok(len) => len,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Err(refusal) = grow(share, len).await {
        return Ok(Err(refusal));
    }
    let unpacked = app.run_blocking(move || packing.undo(&bytes, len)).await?;
    Ok(unpacked.map(unmarked))
}

pub(super) async fn grow(share: &Share, bytes: usize) -> Outcome<()> {
    share.grow(bytes).await.map_err(|shortage| match shortage {
        Shortage::Busy => BUSY,
        Shortage::Never => TOO_LARGE,
    })
}

/// Without a byte order mark.
fn unmarked(bytes: Bytes) -> Bytes {
    let mark = bytes.len() - without_mark(&bytes).len();
    bytes.slice(mark..)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    /// What HTTP calls deflate.
    Zlib,
}

/// How the bytes are packed. Neither JSON nor a form begins so.
pub(super) fn packing(bytes: &[u8]) -> Option<Packing> {
    const ZLIB_LEVELS: [u8; 4] = [0x01, 0x5e, 0x9c, 0xda];
    match bytes {
        [0x1f, 0x8b, 0x08, ..] => Some(Packing::Gzip),
        [0x78, level, ..] if ZLIB_LEVELS.contains(level) => Some(Packing::Zlib),
        _ => None,
    }
}

impl Packing {
    /// How many bytes these are unpacked.
    fn len(self, bytes: &[u8], bytes_max: usize) -> Outcome<usize> {
        let count = |reader: &mut dyn Read| std::io::copy(reader, &mut std::io::sink());
        let len = match self {
            Packing::Gzip => count(&mut MultiGzDecoder::new(bytes).take(bytes_max as u64 + 1)),
            Packing::Zlib => count(&mut ZlibDecoder::new(bytes).take(bytes_max as u64 + 1)),
        };
        let len = len.map_err(|_| self.damaged())?;
        usize::try_from(len).ok().filter(|len| *len <= bytes_max).ok_or(TOO_LARGE)
    }

    /// The bytes unpacked, of which it is known how many they are.
    fn undo(self, bytes: &[u8], len: usize) -> Outcome<Bytes> {
        let mut plain = Vec::with_capacity(len);
        let read = match self {
            Packing::Gzip => MultiGzDecoder::new(bytes).take(len as u64).read_to_end(&mut plain),
            Packing::Zlib => ZlibDecoder::new(bytes).take(len as u64).read_to_end(&mut plain),
        };
        read.map_err(|_| self.damaged())?;
        Ok(plain.into())
    }

    fn damaged(self) -> Refusal {
        match self {
            Packing::Gzip => refusal(400, "failed to decode request: invalid gzip data", Fault::Packing),
            Packing::Zlib => refusal(400, "failed to decode request: invalid deflate data", Fault::Packing),
        }
    }
}

/// Whether the bytes may be a form: JSON never looks like one.
fn may_be_form(bytes: &[u8]) -> bool {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    first.is_some_and(|byte| !b"{[\"".contains(byte))
}

/// The `data` of a form, base64 undone. Of a field that comes again, the last counts, as in Django.
fn form_data(bytes: &[u8]) -> Option<Outcome<Vec<u8>>> {
    let (_, data) = form_urlencoded::parse(bytes).filter(|(name, _)| name == "data").last()?;
    Some(data_of(&data))
}

/// What a `data` parameter holds: JSON, or anything in base64.
pub(super) fn data_of(data: &str) -> Outcome<Vec<u8>> {
    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    if data.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']) {
        return Ok(data.to_owned().into_bytes());
    }
    // A plus that was not escaped has become a blank.
    let text: String = data.trim().replace([' ', '-'], "+").replace('_', "/");
    BASE64
        .decode(text)
        .map_err(|_| refusal(400, "failed to decode request: invalid base64 data", Fault::Packing))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn zlib(bytes: &[u8], level: u32) -> Vec<u8> {
        let mut packer = ZlibEncoder::new(Vec::new(), Compression::new(level));
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn packed_bodies_are_recognized_by_what_they_are() {
        let plain = br#"{"event": "a"}"#;
        let mut all: Vec<_> = (0..10).map(|level| (Packing::Zlib, zlib(plain, level))).collect();
        all.push((Packing::Gzip, gzip(plain)));
        for (wanted, packed) in all {
            assert_eq!(packing(&packed), Some(wanted));
            assert_eq!(wanted.len(&packed, plain.len()), Ok(plain.len()));
            assert_eq!(wanted.len(&packed, plain.len() - 1), Err(TOO_LARGE));
            assert_eq!(wanted.undo(&packed, plain.len()).unwrap(), &plain[..]);
        }
        for bytes in [&b"{"[..], b"x=1", b"data=x", b"xyz", b""] {
            assert_eq!(packing(bytes), None);
        }
        assert_eq!(Packing::Gzip.len(b"\x1f\x8b\x08nonsense", 100), Err(Packing::Gzip.damaged()));
        assert_eq!(Packing::Zlib.len(b"x\x9cnonsense", 100), Err(Packing::Zlib.damaged()));
    }

    #[test]
    fn forms_are_undone() {
        let plain = br#"{"event": "a"}"#;
        let encoded = base64::engine::general_purpose::STANDARD.encode(plain);
        let form: String =
            form_urlencoded::Serializer::new(String::new()).append_pair("data", &encoded).finish();
        let text = String::from_utf8_lossy(plain);
        for body in [form, format!("data={encoded}"), format!("data={text}"), format!("data=x&data={text}")] {
            assert!(may_be_form(body.as_bytes()));
            assert_eq!(form_data(body.as_bytes()), Some(Ok(plain.to_vec())), "{body}");
        }
        for json in ["{}", " []", "\"data=x\"", ""] {
            assert!(!may_be_form(json.as_bytes()), "{json}");
        }
        assert_eq!(form_data(b"data=%%%").unwrap().err().map(|refusal| refusal.status), Some(400));
        assert_eq!(form_data(b"x=y"), None);
    }

    #[test]
    fn a_byte_order_mark_is_dropped() {
        assert_eq!(unmarked(Bytes::from_static(b"\xef\xbb\xbf{}")), "{}");
        assert_eq!(unmarked(Bytes::from_static(b"{}")), "{}");
    }
}
