//! An application with sessions, whatever its framework and library.

use std::{future::Future, sync::Arc};

use crate::{payload::Payload, store::Meter};

/// Creates an application with one library.
pub(crate) trait Make {
    /// The app.
    type App: App;

    /// Creates an application with an empty store.
    async fn app(&self, setup: &Setup) -> Self::App;
}

/// An application that is ready for requests.
pub(crate) trait App {
    /// A request, ready to be sent.
    type Request;
    /// The response.
    type Response;
    /// Waits for it.
    type Future: Future<Output = Self::Response>;

    /// Makes a request.
    fn request(ask: &Ask) -> Self::Request;

    /// Sends it.
    fn call(&mut self, request: Self::Request) -> Self::Future;

    /// Whether the handler succeeded.
    fn succeeded(response: &Self::Response) -> bool;

    /// Looks at what came back.
    async fn answer(response: Self::Response) -> Answer;
}

/// The settings of an application's sessions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    /// The data of a session beside its counter.
    pub(crate) payload: Payload,
    /// Whether a session is extended when it is used.
    pub(crate) rolling: Rolling,
    /// Whether there is a previous secret beside the one that signs.
    pub(crate) rotated: bool,
    /// The store: with this meter, or the library's own store in memory.
    pub(crate) metered: Option<Arc<Meter>>,
}

/// Whether, and when, a session is extended when it is used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Rolling {
    #[default]
    Off,
    /// In each request.
    Due,
    /// Not in this request, if the library can defer it.
    NotDue,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) route: Route,
    /// The `Cookie` header.
    pub(crate) cookie: Option<String>,
}

/// The handler's work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Route {
    /// Ignores the session.
    Untouched,
    /// Responds with the counter.
    Read,
    /// Adds one to the counter.
    Write,
    /// Sets the counter to its previous value.
    Same,
    /// Begins a session: a counter at 1, and the payload.
    Begin,
    /// Logs in: another ID, and a user in the session.
    Login,
    /// Ends the session.
    Logout,
}

impl Route {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Untouched => "/untouched",
            Self::Read => "/read",
            Self::Write => "/write",
            Self::Same => "/same",
            Self::Begin => "/begin",
            Self::Login => "/login",
            Self::Logout => "/logout",
        }
    }
}

/// The relevant parts of a response.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The `Set-Cookie` headers.
    pub(crate) set_cookies: Vec<String>,
    pub(crate) body: String,
}

impl Answer {
    /// The `Cookie` header of a browser after this response.
    pub(crate) fn cookie(&self) -> Option<String> {
        let pairs: Vec<_> = self.set_cookies.iter().filter_map(|it| it.split(';').next()).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

/// The headers of every request, as a browser's behind a proxy.
pub(crate) const HEADERS: [(&str, &str); 3] = [
    ("host", "shop.example.org"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
];
