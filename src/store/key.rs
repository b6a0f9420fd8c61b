//! Keys as bytes whose order is the order of their values.

use std::fmt::Write;

use uuid::Uuid;

use crate::clock::Time;

/// A value that can be part of a key. `read` undoes `write`, and the bytes sort as the values do.
pub trait Key: Sized {
    fn write(&self, out: &mut Vec<u8>);
    /// `None` where the bytes are not such a key; the rest of the bytes stays in `from`.
    fn read(from: &mut &[u8]) -> Option<Self>;
    /// How many bytes `write` adds, or a few less.
    fn size(&self) -> usize;

    fn key_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size());
        self.write(&mut out);
        out
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*head)
}

impl Key for Uuid {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
    fn read(from: &mut &[u8]) -> Option<Self> {
        take(from).map(Uuid::from_bytes)
    }
    fn size(&self) -> usize {
        size_of::<Uuid>()
    }
}

impl<const N: usize> Key for [u8; N] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn read(from: &mut &[u8]) -> Option<Self> {
        take(from)
    }
    fn size(&self) -> usize {
        N
    }
}

/// Moments before 1970 sort before those after it.
impl Key for Time {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.0.cast_unsigned() ^ (1 << 63)).to_be_bytes());
    }
    fn read(from: &mut &[u8]) -> Option<Self> {
        take(from).map(|bytes| Time((u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed()))
    }
    fn size(&self) -> usize {
        size_of::<u64>()
    }
}

impl Key for u32 {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }
    fn read(from: &mut &[u8]) -> Option<Self> {
        take(from).map(u32::from_be_bytes)
    }
    fn size(&self) -> usize {
        size_of::<u32>()
    }
}

/// A string ends with two zero bytes, and a zero byte inside is followed by 0xff, so that a string
/// sorts before every longer one that begins with it.
impl Key for String {
    fn write(&self, out: &mut Vec<u8>) {
        let bytes = self.as_bytes();
        if bytes.contains(&0) {
            for part in bytes.split_inclusive(|byte| *byte == 0) {
                out.extend_from_slice(part);
                if part.ends_with(&[0]) {
                    out.push(0xff);
                }
            }
        } else {
            out.extend_from_slice(bytes);
        }
        out.extend_from_slice(&[0, 0]);
    }
    fn read(from: &mut &[u8]) -> Option<Self> {
        let mut text = Vec::new();
        loop {
            match *take::<1>(from)?.first()? {
                0 if take::<1>(from)?[0] == 0 => return String::from_utf8(text).ok(),
                byte => text.push(byte),
            }
        }
    }
    fn size(&self) -> usize {
        self.len() + 2
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }
    fn read(from: &mut &[u8]) -> Option<Self> {
        Some((A::read(from)?, B::read(from)?))
    }
    fn size(&self) -> usize {
        self.0.size() + self.1.size()
    }
}

impl<A: Key, B: Key, C: Key> Key for (A, B, C) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
        self.2.write(out);
    }
    fn read(from: &mut &[u8]) -> Option<Self> {
        Some((A::read(from)?, B::read(from)?, C::read(from)?))
    }
    fn size(&self) -> usize {
        self.0.size() + self.1.size() + self.2.size()
    }
}

/// Bytes for people, as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_and_sort_as_their_values() {
        let texts = ["", "a", "a\0", "a\0b", "ab", "b"].map(String::from);
        for (place, text) in texts.iter().enumerate() {
            let key = (text.clone(), u32::try_from(place).unwrap());
            assert_eq!(<(String, u32)>::read(&mut key.key_bytes().as_slice()), Some(key));
        }
        let keys: Vec<Vec<u8>> = texts.iter().map(|text| (text.clone(), 7u32).key_bytes()).collect();
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(255u32.key_bytes() < 256u32.key_bytes());
    }

    #[test]
    fn moments_sort_across_1970() {
        let times = [Time(i64::MIN), Time(-1), Time(0), Time(1), Time(i64::MAX)];
        let keys: Vec<Vec<u8>> = times.iter().map(Key::key_bytes).collect();
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
        let read = keys.iter().map(|key| Time::read(&mut key.as_slice()));
        assert_eq!(read.collect::<Option<Vec<Time>>>(), Some(times.to_vec()));
    }

    #[test]
    fn a_key_cut_short_is_no_key() {
        assert_eq!(Uuid::read(&mut [0u8; 15].as_slice()), None);
        assert_eq!(String::read(&mut b"abc".as_slice()), None);
    }
}
