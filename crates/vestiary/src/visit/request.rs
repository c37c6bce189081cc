use crate::{SessionId, protocol::Host};

/// One request, with the parts that operations on its visitor's session need: their [`Host`], and facts about the response.
#[cfg_attr(not(plain), expect(async_fn_in_trait, reason = "its host says whether it is `Send`"))]
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub trait Request {
    /// The host of the operations.
    type Host: Host<Error: Clone>;

    /// The host of the operations.
    fn host(&mut self) -> &mut Self::Host;

    /// Sets the purpose of the store calls from now on, which errors and telemetry name.
    fn begin(&mut self, purpose: Purpose);

    /// Whether no cookie reaches the browser any more, because the head of the response has left, or there is no response.
    fn has_left(&self) -> bool;

    /// Whether this process has recently taken an ID out of use, for another request of the visitor.
    fn is_out_of_use(&self, id: &SessionId) -> bool;

    /// Whether the record of a session was written or touched so recently that it need not be touched.
    fn is_touched(&self, id: &SessionId) -> bool;

    /// Reserves the cookie for a session that is about to begin. Of two handles or layers whose cookies have the same name,
    /// only one may begin a session in a request. `session` is the ID of the session that this visit already has.
    ///
    /// # Errors
    /// A configuration error, if the visitor has a session of the other handle or layer.
    async fn reserve(
        &mut self,
        session: Option<&SessionId>,
    ) -> Result<(), <Self::Host as Host>::Error>;

    /// Releases a reserved cookie, because the session did not begin.
    fn release(&mut self);

    /// The error for an application that begins a session after the response has left, too late for its cookie.
    fn response_sent(&self) -> <Self::Host as Host>::Error;

    /// Whether an error reports [`Doubt::Untraced`](crate::protocol::Doubt::Untraced).
    fn is_untraced(error: &<Self::Host as Host>::Error) -> bool;
}

/// The purpose of a store call.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Purpose {
    /// To find a session.
    #[default]
    Read,
    /// To write a session, or to rotate it.
    Write,
    /// To restart the lifetime of a session.
    Touch,
    /// To end a session.
    Remove,
}

/// The error of an operation.
pub(super) type Fault<R> = <<R as Request>::Host as Host>::Error;

/// The host of an operation with this purpose.
pub(super) fn host_for<R: Request>(request: &mut R, purpose: Purpose) -> &mut R::Host {
    request.begin(purpose);
    request.host()
}
