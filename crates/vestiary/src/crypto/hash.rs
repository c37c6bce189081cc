//! SHA-256, HMAC and HKDF.
//!
//! The crates for HMAC and HKDF buffer their input, twice for each HMAC. That takes half of the time of a signature, and a
//! hundredth of the WebAssembly core. Here the two states of a key are computed once, and a signature then takes one block
//! or two. The crate sha2 compresses the blocks. The tests compare every result with the crates hmac and hkdf.

use sha2::block_api::compress256;

/// The number of bytes in a hash.
pub(crate) const HASH: usize = 32;

const BLOCK: usize = 64;

type State = [u32; 8];

/// The initial state (FIPS 180-4, section 5.3.3).
const FIRST: State = [
    0x6A09_E667,
    0xBB67_AE85,
    0x3C6E_F372,
    0xA54F_F53A,
    0x510E_527F,
    0x9B05_688C,
    0x1F83_D9AB,
    0x5BE0_CD19,
];

/// Computes the hash of these parts, concatenated.
pub(crate) fn hash(parts: &[&[u8]]) -> [u8; HASH] {
    Hasher { state: FIRST, block: [0; BLOCK], length: 0 }.finish(parts)
}

/// A key of HMAC-SHA256 (RFC 2104).
pub(crate) struct MacKey {
    inner: State,
    outer: State,
}

impl MacKey {
    /// Creates a key from these bytes, of any number.
    pub(crate) fn new(secret: &[u8]) -> Self {
        let mut key = [0; BLOCK];
        let hashed;
        let secret = if secret.len() > BLOCK {
            hashed = hash(&[secret]);
            &hashed
        } else {
            secret
        };
        key.iter_mut().zip(secret).for_each(|(place, byte)| *place = *byte);
        let state = |pad: u8| {
            let mut state = FIRST;
            compress256(&mut state, &[key.map(|byte| byte ^ pad)]);
            state
        };
        Self { inner: state(0x36), outer: state(0x5C) }
    }

    /// Computes the authentication code of these parts, concatenated.
    #[inline(never)]
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; HASH] {
        let after = |state| Hasher { state, block: [0; BLOCK], length: BLOCK };
        after(self.outer).finish(&[&after(self.inner).finish(parts)])
    }

    /// Derives a key from a secret by HKDF-Extract (RFC 5869).
    pub(crate) fn extracted(salt: &[u8], secret: &[u8]) -> Self {
        Self::new(&Self::new(salt).mac(&[secret]))
    }

    /// Computes the first bytes of HKDF-Expand with this key.
    pub(crate) fn expanded(&self, purpose: &[u8]) -> [u8; HASH] {
        self.mac(&[purpose, &[1]])
    }
}

/// A hash in progress.
struct Hasher {
    state: State,
    /// The bytes that are not in the state yet.
    block: [u8; BLOCK],
    /// The number of bytes so far.
    length: usize,
}

impl Hasher {
    #[inline(never)]
    fn finish(mut self, parts: &[&[u8]]) -> [u8; HASH] {
        for part in parts {
            self.push(part);
        }
        let bits = (self.length as u64) << 3;
        // A one bit follows the bytes, and their number ends the last block.
        let zeros = (2 * BLOCK - 9 - self.length % BLOCK) % BLOCK;
        let mut end = [0; BLOCK + 8];
        end[0] = 0x80;
        if let Some(place) = end.get_mut(1 + zeros..9 + zeros) {
            place.copy_from_slice(&bits.to_be_bytes());
        }
        self.push(end.get(..9 + zeros).unwrap_or_default());
        let mut hash = [0; HASH];
        for (place, word) in hash.chunks_exact_mut(4).zip(self.state) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        hash
    }

    fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let used = self.length % BLOCK;
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - used));
            if let Some(place) = self.block.get_mut(used..used + now.len()) {
                place.copy_from_slice(now);
            }
            self.length += now.len();
            if self.length.is_multiple_of(BLOCK) {
                compress256(&mut self.state, &[self.block]);
            }
            bytes = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use hkdf::Hkdf;
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};

    use super::*;

    fn by_crates(key: &[u8], text: &[u8]) -> [[u8; HASH]; 3] {
        let mac = Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize();
        let mut expanded = [0; HASH];
        Hkdf::<Sha256>::new(Some(text), key).expand(text, &mut expanded).unwrap();
        [Sha256::digest(text).into(), mac.into_bytes().into(), expanded]
    }

    fn ours(key: &[u8], text: &[u8]) -> [[u8; HASH]; 3] {
        let extracted = MacKey::extracted(text, key);
        [hash(&[text]), MacKey::new(key).mac(&[text]), extracted.expanded(text)]
    }

    #[test]
    fn keys_and_texts_of_all_lengths_are_hashed_as_the_crates_do() {
        let bytes: Vec<u8> = (0..=255).cycle().skip(7).take(300).collect();
        for length in 0..bytes.len() {
            let (key, text) = (&bytes[..length], &bytes[length / 3..length]);
            assert_eq!(ours(key, text), by_crates(key, text), "{length}");
            assert_eq!(ours(text, key), by_crates(text, key), "{length}");
        }
    }

    proptest! {
        #[test]
        fn texts_may_come_in_parts(key: Vec<u8>, parts: Vec<Vec<u8>>) {
            let text = parts.concat();
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let expected = by_crates(&key, &text);
            prop_assert_eq!(hash(&parts), expected[0]);
            prop_assert_eq!(MacKey::new(&key).mac(&parts), expected[1]);
        }
    }
}
