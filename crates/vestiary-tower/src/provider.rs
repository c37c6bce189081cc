//! The provider of OpenID Connect at which a visitor has logged in.

use vestiary_store::Provider;

use crate::LogIn;

impl LogIn {
    /// The provider of OpenID Connect at which the visitor has logged in, by the claims of its ID token, so that it can end
    /// the session: `BackChannelLogout`, of the feature `openid-connect`. Default: none.
    ///
    /// ```
    /// # use vestiary_tower::{Provider, Session, SessionError};
    /// # async fn callback(session: Session) -> Result<(), SessionError> {
    /// # let (iss, sub, sid) = ("https://login.example.com", "ada", Some("s1"));
    /// session.login("ada").provider(Provider::new(iss, sub, sid)).await
    /// # }
    /// ```
    pub fn provider(mut self, provider: Provider) -> Self {
        self.login.provider = Some(provider);
        self
    }
}
