//! Compression of a file while it is written.

use std::io::Write;

#[cfg(feature = "brotli")]
use brotli::CompressorWriter;
use flate2::write::GzEncoder;

/// The compressions of files, each of some formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Brotli,
    Zstd,
    Lz4,
    Snappy,
}

impl Compression {
    /// By its name in a configuration, which was checked.
    pub(super) fn named(name: Option<&str>) -> Compression {
        match name {
            Some("gzip") => Compression::Gzip,
            Some("brotli") => Compression::Brotli,
            Some("zstd") => Compression::Zstd,
            Some("lz4") => Compression::Lz4,
            Some("snappy") => Compression::Snappy,
            _ => Compression::None,
        }
    }

    /// Whether this program was built with it, as far as the format of the file does not decide that.
    pub(super) fn is_built(self) -> bool {
        cfg!(feature = "brotli") || self != Compression::Brotli
    }

    /// How names of such files end.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Brotli => ".br",
            Compression::Zstd => ".zst",
            Compression::Lz4 => ".lz4",
            Compression::Snappy => ".sz",
        }
    }
}

/// Compresses a file as a whole, piece by piece. Parquet files are compressed within instead.
pub(super) enum Compressor {
    None,
    Gzip(GzEncoder<Vec<u8>>),
    #[cfg(feature = "brotli")]
    Brotli(Option<Box<CompressorWriter<Vec<u8>>>>),
}

impl Compressor {
    /// `None` for a compression that only Parquet has.
    pub(super) fn new(compression: Compression) -> Option<Compressor> {
        match compression {
            Compression::None => Some(Compressor::None),
            Compression::Gzip => {
                Some(Compressor::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::default())))
            }
            #[cfg(feature = "brotli")]
            Compression::Brotli => {
                const BUFFER_BYTES: usize = 64 * 1024;
                /// Quality and window that compress a few times better than gzip's fastest at its speed.
                const QUALITY: u32 = 4;
                const WINDOW: u32 = 22;
                let inner = CompressorWriter::new(Vec::new(), BUFFER_BYTES, QUALITY, WINDOW);
                Some(Compressor::Brotli(Some(Box::new(inner))))
            }
            _ => None,
        }
    }

    /// Compresses more bytes; the result may be empty so far.
    pub(super) fn compress(&mut self, plain: &[u8]) -> Vec<u8> {
        // Writing to memory does not fail.
        match self {
            Compressor::None => plain.to_vec(),
            Compressor::Gzip(encoder) => {
                let _ = encoder.write_all(plain);
                std::mem::take(encoder.get_mut())
            }
            #[cfg(feature = "brotli")]
            Compressor::Brotli(Some(encoder)) => {
                let _ = encoder.write_all(plain);
                std::mem::take(encoder.get_mut())
            }
            #[cfg(feature = "brotli")]
            Compressor::Brotli(None) => Vec::new(),
        }
    }

    /// The last bytes.
    pub(super) fn end(&mut self) -> Vec<u8> {
        match self {
            Compressor::None => Vec::new(),
            Compressor::Gzip(encoder) => {
                let _ = encoder.try_finish();
                std::mem::take(encoder.get_mut())
            }
            #[cfg(feature = "brotli")]
            Compressor::Brotli(encoder) => {
                encoder.take().map(|encoder| encoder.into_inner()).unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_compressed_piece_by_piece_is_decompressed_as_a_whole() {
        let pieces: Vec<Vec<u8>> =
            (0..50).map(|number| format!("line {number}\n").repeat(997).into_bytes()).collect();
        for compression in [
            Compression::None,
            Compression::Gzip,
            #[cfg(feature = "brotli")]
            Compression::Brotli,
        ] {
            let mut compressor = Compressor::new(compression).unwrap();
            let mut compressed: Vec<u8> =
                pieces.iter().flat_map(|piece| compressor.compress(piece)).collect();
            compressed.extend(compressor.end());
            let mut plain = Vec::new();
            let mut reader: Box<dyn Read> = match compression {
                Compression::None => Box::new(compressed.as_slice()),
                Compression::Gzip => Box::new(flate2::read::GzDecoder::new(compressed.as_slice())),
                _ => Box::new(brotli::Decompressor::new(compressed.as_slice(), 4096)),
            };
            reader.read_to_end(&mut plain).unwrap();
            drop(reader);
            assert_eq!(plain, pieces.concat(), "{compression:?}");
            assert!(compression == Compression::None || compressed.len() * 3 < plain.len());
        }
    }
}
