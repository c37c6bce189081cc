use crate::options::is_namespace;

/// The parts of a key in a store, without the store's prefix, for operators who have nothing else.
/// [`Options::store_key`](crate::Options::store_key) and [`Options::user_key`](crate::Options::user_key) create keys.
///
/// If the application generates IDs with a colon, such an ID looks as if it had a namespace.
///
/// ```
/// # use vestiary::{Options, OptionsInput, SessionId, StoreKey};
/// let input = OptionsInput { namespace: Some("admin"), hash_ids: true, ..OptionsInput::default() };
/// let options = Options::new(input)?;
/// let key = options.store_key(&SessionId::from_entropy(&[1; 24]));
/// assert_eq!(StoreKey::parse(&key).namespace, Some("admin"));
/// assert!(StoreKey::parse(&options.user_key("ada")).is_user_list);
/// # Ok::<(), vestiary::Error>(())
/// ```
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct StoreKey<'k> {
    /// The namespace.
    pub namespace: Option<&'k str>,
    /// The session's ID or its hash; in the key of a session list, the hash of the user's name.
    pub name: &'k str,
    /// Whether it is the key of a user's session list.
    pub is_user_list: bool,
}

/// The length of the hash of a user's name: base64url of SHA-256.
const HASH: usize = 43;

impl<'k> StoreKey<'k> {
    /// Splits a key.
    #[must_use]
    pub fn parse(key: &'k str) -> Self {
        if let Some(name) = user_list(key) {
            return Self { namespace: None, name, is_user_list: true };
        }
        match key.split_once(':').filter(|(namespace, _)| is_namespace(namespace)) {
            None => Self { namespace: None, name: key, is_user_list: false },
            Some((namespace, rest)) => {
                let list = user_list(rest);
                Self {
                    namespace: Some(namespace),
                    name: list.unwrap_or(rest),
                    is_user_list: list.is_some(),
                }
            }
        }
    }
}

fn user_list(key: &str) -> Option<&str> {
    let url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    key.strip_prefix("user:").filter(|name| name.len() == HASH && name.bytes().all(url))
}

/// Hides the name, which may be a session ID.
impl core::fmt::Debug for StoreKey<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("StoreKey")
            .field("namespace", &self.namespace)
            .field("is_user_list", &self.is_user_list)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;
    use crate::{Options, OptionsInput, SessionId};

    #[test]
    fn keys_of_options_are_parsed_back() {
        let id = SessionId::from_entropy(&[1; 24]);
        for (namespace, hash_ids) in
            [(None, false), (None, true), (Some("admin"), false), (Some("a.b-c_d"), true)]
        {
            let input = OptionsInput { namespace, hash_ids, ..OptionsInput::default() };
            let options = Options::new(input).unwrap();
            let name = if hash_ids { id.hashed() } else { id.expose().into() };
            let key = options.store_key(&id);
            let parsed = StoreKey { namespace, name: &name, is_user_list: false };
            assert_eq!(StoreKey::parse(&key), parsed);
            let (key, name) = (options.user_key("ada"), crate::user_key("ada"));
            let parsed = StoreKey { namespace, name: &name, is_user_list: true };
            assert_eq!(StoreKey::parse(&key), parsed);
        }
    }

    #[test]
    fn a_key_that_only_looks_like_a_list_is_a_session() {
        for key in ["user:short", "user:", ":", "a b:c", "", "é:x"] {
            assert!(!StoreKey::parse(key).is_user_list, "{key}");
        }
        assert_eq!(StoreKey::parse("a b:c").namespace, None);
        assert_eq!(StoreKey::parse("a:b:c").name, "b:c");
        assert_eq!(
            format!("{:?}", StoreKey::parse("a:the-id")),
            "StoreKey { namespace: Some(\"a\"), is_user_list: false, .. }"
        );
    }
}
