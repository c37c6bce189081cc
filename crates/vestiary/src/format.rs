/// Whose cookies and records are written. Both kinds are always read.
///
/// ```
/// # use vestiary::{Format, KeyRing, SessionId};
/// let ring = KeyRing::new(&["the secret of the Express app, too"])?;
/// let id = SessionId::from_entropy(&[7; 24]);
/// assert!(ring.sign(&id, Format::Express).starts_with("s:"));
/// assert_eq!(ring.verify(ring.sign(&id, Format::Express).as_bytes()), Some(id));
/// # Ok::<(), vestiary::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// Those of svelte-kit-sessions: the cookie is `<id>.<sig>`, the record has its data under `data`.
    #[default]
    Seed,
    /// Those of express-session 1: the cookie is `s:<id>.<sig>`, and the data lies flat in the record,
    /// beside a `cookie` that counts in milliseconds.
    Express,
}

impl Format {
    /// What stands before the ID in a cookie.
    #[must_use]
    pub fn cookie_prefix(self) -> &'static str {
        match self {
            Self::Seed => "",
            Self::Express => "s:",
        }
    }
}
