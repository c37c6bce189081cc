/// The format of the cookies and records that are written. Both formats are always read.
///
/// ```
/// # use vestiary::{Format, KeyRing, SessionId};
/// let ring = KeyRing::new(&["the secret of the Express app, too"])?;
/// let id = SessionId::from_entropy(&[7; 24]);
/// assert!(ring.sign(&id, Format::ExpressSession).starts_with("s:"));
/// assert_eq!(ring.verify(ring.sign(&id, Format::ExpressSession).as_bytes()), Some(id));
/// # Ok::<(), vestiary::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// The format of svelte-kit-sessions: the cookie is `<id>.<sig>`, and the record has the session data under `data`.
    #[default]
    SvelteKitSessions,
    /// The format of express-session 1: the cookie is `s:<id>.<sig>`, and the session data lies flat in the record,
    /// beside a `cookie` whose times are in milliseconds.
    ExpressSession,
}

impl Format {
    /// The text before the ID in a cookie value.
    #[must_use]
    pub fn cookie_prefix(self) -> &'static str {
        match self {
            Self::SvelteKitSessions => "",
            Self::ExpressSession => "s:",
        }
    }
}
