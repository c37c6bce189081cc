use crate::{SessionId, protocol::Host};

/// One request, as the operations on its visitor's session see it: their [`Host`], and its response.
#[cfg_attr(not(plain), expect(async_fn_in_trait, reason = "its host says whether it is `Send`"))]
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub trait Request {
    /// The host of the operations.
    type Host: Host<Error: Clone>;

    /// The host of the operations.
    fn host(&mut self) -> &mut Self::Host;

    /// Notes the purpose for which the store is asked from now on, which errors and telemetry name.
    fn begin(&mut self, purpose: Purpose);

    /// Whether no cookie reaches the browser any more: the head of the response has left, or there is no response.
    fn has_left(&self) -> bool;

    /// Whether this process has taken an ID out of use lately: another request of the visitor was faster.
    fn is_out_of_use(&self, id: &SessionId) -> bool;

    /// Whether the record of a session was written or touched so recently that it need not be touched.
    fn is_touched(&self, id: &SessionId) -> bool;

    /// Reserves the cookie for a session that is about to begin. Of two handles or layers whose cookies have the same name,
    /// only one may begin a session in a request; `session` is the one that this visit has already.
    ///
    /// # Errors
    /// That of the application's configuration, if the visitor has a session of the other one.
    async fn reserve(
        &mut self,
        session: Option<&SessionId>,
    ) -> Result<(), <Self::Host as Host>::Error>;

    /// Gives up a reserved cookie: the session did not begin.
    fn release(&mut self);

    /// The error that tells the application that the cookie of a new session cannot be set any more.
    fn response_sent(&self) -> <Self::Host as Host>::Error;

    /// Whether an error is that of [`Doubt::Untraced`](crate::protocol::Doubt::Untraced).
    fn is_untraced(error: &<Self::Host as Host>::Error) -> bool;
}

/// The purpose for which an operation asks the store.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Purpose {
    /// To find a session.
    #[default]
    Read,
    /// To write one, or to give it another ID.
    Write,
    /// To give one its full lifetime again.
    Touch,
    /// To end one.
    Remove,
}

/// The error of an operation.
pub(super) type Fault<R> = <<R as Request>::Host as Host>::Error;

/// The host of an operation with this purpose.
pub(super) fn host_for<R: Request>(request: &mut R, purpose: Purpose) -> &mut R::Host {
    request.begin(purpose);
    request.host()
}
