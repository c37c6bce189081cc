use alloc::{boxed::Box, sync::Arc};
use core::{fmt, hash::BuildHasher as _};

use rustc_hash::FxBuildHasher;

use super::KeyRing;
use crate::SessionId;

/// Cookie values that a process has verified, so that a returning visitor costs no HMAC. For WebAssembly, where an HMAC
/// takes several times as long as with the instructions of the processor.
///
/// Only the very value that was verified with these keys counts, byte for byte. A forged value is never kept, so it costs
/// its HMAC each time, and evicts nothing.
///
/// The time of a lookup says whether the presented value was verified before, which its sender knows. It says nothing
/// about other values: they are compared only with a value of the same 64-bit hash, which no part of an unknown signature
/// reveals.
///
/// ```
/// # use std::sync::Arc;
/// # use vestiary::{Format, KeyRing, SessionId, VerifiedCookies};
/// let keys = Arc::new(KeyRing::new(&["a long random secret, from the environment"])?);
/// let id = SessionId::from_entropy(&[1; 24]);
/// let value = keys.sign(&id, Format::SvelteKitSessions);
/// let mut cookies = VerifiedCookies::new(keys);
/// assert_eq!(cookies.verify(value.as_bytes()), Some(id.clone()));
/// assert_eq!(cookies.verify(value.as_bytes()), Some(id));
/// assert_eq!(cookies.verify(b"forged"), None);
/// # Ok::<(), vestiary::Error>(())
/// ```
pub struct VerifiedCookies {
    /// They never change, so no value has to be forgotten.
    keys: Arc<KeyRing>,
    /// The slots into which values fall by their hash. A later value evicts the one in its slot.
    slots: Box<[Option<Verified>]>,
}

struct Verified {
    hash: u64,
    value: Box<[u8]>,
    id: SessionId,
}

impl VerifiedCookies {
    /// The maximum number of values. Each takes about 170 bytes.
    pub const MOST: usize = 1_024;

    /// Creates an empty table for values that are signed with these keys.
    #[must_use]
    pub fn new(keys: Arc<KeyRing>) -> Self {
        Self { keys, slots: (0..Self::MOST).map(|_| None).collect() }
    }

    /// The ID of a cookie value, if one of the secrets has signed it: [`KeyRing::verify`].
    #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
    pub fn verify(&mut self, value: &[u8]) -> Option<SessionId> {
        let hash = FxBuildHasher.hash_one(value);
        // Their number is a power of two.
        let last = self.slots.len().wrapping_sub(1);
        let slot = self.slots.get_mut(hash as usize & last)?;
        if let Some(known) = slot
            && known.hash == hash
            && *known.value == *value
        {
            return Some(known.id.clone());
        }
        let id = self.keys.verify(value)?;
        *slot = Some(Verified { hash, value: value.into(), id: id.clone() });
        Some(id)
    }
}

/// Hides the values, which are sessions.
impl fmt::Debug for VerifiedCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedCookies").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String, vec::Vec};

    use super::*;
    use crate::Format;

    fn keys(secrets: &[&str]) -> Arc<KeyRing> {
        Arc::new(KeyRing::new(secrets).unwrap())
    }

    fn id(n: u32) -> SessionId {
        let mut entropy = [7; SessionId::ENTROPY];
        entropy[..4].copy_from_slice(&n.to_le_bytes());
        SessionId::from_entropy(&entropy)
    }

    /// More than there are slots, so that values evict each other.
    const VISITORS: u32 = 3_000;

    #[test]
    fn each_value_is_verified_as_the_keys_alone_do_again_and_again() {
        let ring = keys(&["the secret of this year", "the secret of last year"]);
        let signers = [keys(&["the secret of last year"]), keys(&["another secret of all"])];
        let mut cookies = VerifiedCookies::new(Arc::clone(&ring));
        let values: Vec<String> = (0..VISITORS)
            .flat_map(|n| {
                let [known, foreign] = [&signers[0], &signers[1]]
                    .map(|keys| keys.sign(&id(n), Format::ExpressSession));
                [ring.sign(&id(n), Format::SvelteKitSessions), known, foreign]
            })
            .collect();
        for value in values.iter().chain(&values).chain(values.iter().rev()) {
            assert_eq!(cookies.verify(value.as_bytes()), ring.verify(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn a_value_that_differs_from_a_verified_one_in_a_byte_is_rejected() {
        let ring = keys(&["a long random secret"]);
        let value = ring.sign(&id(1), Format::SvelteKitSessions);
        let mut cookies = VerifiedCookies::new(ring);
        for at in 0..value.len() {
            assert_eq!(cookies.verify(value.as_bytes()), Some(id(1)));
            let mut forged = value.clone().into_bytes();
            forged[at] ^= 1;
            assert_eq!(cookies.verify(&forged), None, "{at}");
            assert_eq!(cookies.verify(&forged), None, "{at}");
        }
        assert_eq!(cookies.verify(&value.as_bytes()[1..]), None);
        assert_eq!(cookies.verify(format!("{value}A").as_bytes()), None);
    }

    #[test]
    fn values_of_one_slot_do_not_stand_for_each_other() {
        let ring = keys(&["a long random secret"]);
        let value = |n| ring.sign(&id(n), Format::SvelteKitSessions);
        let mut cookies = VerifiedCookies::new(Arc::clone(&ring));
        // All fall into one slot, whatever their hashes are.
        cookies.slots = Box::new([None]);
        for n in [1, 2, 1, 1, 2] {
            assert_eq!(cookies.verify(value(n).as_bytes()), Some(id(n)));
        }
    }
}
