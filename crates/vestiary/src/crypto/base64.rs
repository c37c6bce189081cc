//! base64 without padding (RFC 4648), four characters at a time.
//!
//! No branch and no address depends on the bytes, so the time does not reveal them. The same holds for the crate base64ct,
//! with which the tests compare every result. That crate works on one character at a time, takes three times as long, and
//! is larger in the WebAssembly core.

use alloc::{string::String, vec, vec::Vec};

/// The characters of the values 62 and 63, as distances from the preceding characters.
#[derive(Clone, Copy)]
pub(crate) struct Alphabet {
    minus: u32,
    plus: u32,
}

/// The alphabet with `+` and `/`.
pub(crate) const STANDARD: Alphabet = Alphabet { minus: 15, plus: 3 };

/// The alphabet with `-` and `_`.
pub(crate) const URL: Alphabet = Alphabet { minus: 13, plus: 49 };

/// A one in each byte of a word.
const EACH: u32 = u32::from_le_bytes([1; 4]);

/// Encodes bytes into a buffer that has the length of the text.
#[inline(never)]
pub(crate) fn encode<'b>(alphabet: Alphabet, bytes: &[u8], buffer: &'b mut [u8]) -> &'b str {
    for (bytes, place) in bytes.chunks(3).zip(buffer.chunks_mut(4)) {
        let mut word = 0;
        for (shift, byte) in [16, 8, 0].into_iter().zip(bytes) {
            word |= u32::from(*byte) << shift;
        }
        let characters = alphabet.characters(word).to_le_bytes();
        place.iter_mut().zip(characters).for_each(|(place, byte)| *place = byte);
    }
    str::from_utf8(buffer).unwrap_or_default()
}

/// Encodes bytes for URLs.
pub(crate) fn url(bytes: &[u8]) -> String {
    let mut text = vec![0; (bytes.len() * 4).div_ceil(3)];
    encode(URL, bytes, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// Decodes a text of [`url`]; `None` for any other text.
pub(crate) fn decode_url(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let mut wrong = u32::from(text.len() % 4 == 1);
    for characters in text.as_bytes().chunks(4) {
        let mut word = [b'A'; 4];
        word.iter_mut().zip(characters).for_each(|(place, byte)| *place = *byte);
        let word = u32::from_le_bytes(word);
        let within = |first: u8, last: u8| above(word, first - 1) - above(word, last);
        let (upper, lower, digit) = (within(b'A', b'Z'), within(b'a', b'z'), within(b'0', b'9'));
        let (minus, underscore) = (within(b'-', b'-'), within(b'_', b'_'));
        wrong |= (upper | lower | digit | minus | underscore) ^ EACH | word & (EACH << 7);
        // Some steps borrow from the byte above; the sum does not.
        let values = word
            .wrapping_sub(upper * 65)
            .wrapping_sub(lower * 71)
            .wrapping_add(digit * 4)
            .wrapping_add(minus * 17)
            .wrapping_sub(underscore * 32);
        let value = |shift: u32| values >> shift & 63;
        let bits = value(0) << 18 | value(8) << 12 | value(16) << 6 | value(24);
        let bytes = (bits << 8).to_be_bytes();
        let (bytes, rest) = bytes.split_at(characters.len() * 3 / 4);
        decoded.extend(bytes);
        // The unused bits of the last character must be zero.
        wrong |= rest.iter().fold(0, |rest, byte| rest | u32::from(*byte));
    }
    (wrong == 0).then_some(decoded)
}

/// A one in each byte of the word that is greater than `most`. Bytes have seven bits, so none overflows.
fn above(word: u32, most: u8) -> u32 {
    (((word & (EACH * 127)) + EACH * u32::from(127 - most)) >> 7) & EACH
}

impl Alphabet {
    /// The characters of four values of six bits each, which are the bytes of a word, lowest first.
    fn characters(self, bits: u32) -> u32 {
        let value = |shift: u32| bits >> shift & 63;
        let values = value(18) | value(12) << 8 | value(6) << 16 | value(0) << 24;
        // Some steps borrow from the byte above; the sum does not.
        values
            .wrapping_add(EACH * u32::from(b'A'))
            .wrapping_add(above(values, 25) * 6)
            .wrapping_sub(above(values, 51) * 75)
            .wrapping_sub(above(values, 61) * self.minus)
            .wrapping_add(above(values, 62) * self.plus)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use base64ct::{Base64Unpadded, Base64UrlUnpadded, Encoding as _};

    use super::*;

    #[test]
    fn every_value_at_every_place_is_encoded_as_base64ct_does() {
        let bits = (0..64u32).flat_map(|value| [18, 12, 6, 0].map(|shift| value << shift));
        let bytes: Vec<u8> = bits.flat_map(|bits| bits.to_be_bytes()[1..].to_vec()).collect();
        for start in 0..bytes.len() - 48 {
            for length in [0, 1, 2, 3, 12, 24, 32, 48] {
                let bytes = &bytes[start..start + length];
                let text = Base64UrlUnpadded::encode_string(bytes);
                assert_eq!(url(bytes), text);
                assert_eq!(decode_url(&text).as_deref(), Some(bytes));
                let expected = Base64Unpadded::encode_string(bytes);
                let buffer = &mut vec![0; expected.len()];
                assert_eq!(encode(STANDARD, bytes, buffer), expected);
            }
        }
    }

    #[test]
    fn what_is_no_base64_is_refused_as_base64ct_does() {
        for code in 0..=0xFF {
            for place in 0..8 {
                for length in place + 1..=8 {
                    let text: String = (0..length)
                        .map(|at| if at == place { char::from(code) } else { 'A' })
                        .collect();
                    let expected = Base64UrlUnpadded::decode_vec(&text).ok();
                    assert_eq!(decode_url(&text), expected, "{text}");
                }
            }
        }
    }
}
