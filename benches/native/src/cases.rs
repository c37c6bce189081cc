//! The requests of visitors.

use crate::{
    app::{App, Ask, Make, Rolling, Route, Setup},
    payload::Payload,
    peers::vestiary::with_old_signature,
};

/// A repeated request.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) route: Route,
    pub(crate) visitor: Visitor,
    /// Whether the session's cookie is one of 20, in a header of 4 KB.
    pub(crate) crowded: bool,
    pub(crate) setup: Setup,
}

/// The sender of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Visitor {
    /// A visitor without a cookie.
    Anonymous,
    /// This many visitors with a session each, in turn.
    Known(usize),
    /// Another visitor with a session for each request.
    Fresh,
    /// A visitor with a valid cookie, whose session is not in the store.
    Unknown,
    /// A visitor with a cookie of an invalid signature.
    Forged,
    /// A visitor whose cookie is signed with the previous secret.
    OldKey,
}

impl Case {
    fn new(name: &str, route: Route, visitor: Visitor) -> Self {
        let setup = Setup::default();
        Self { name: name.to_owned(), route, visitor, crowded: false, setup }
    }

    fn with(self, setup: Setup) -> Self {
        Self { setup, ..self }
    }

    /// The cases in which a library is compared to others.
    pub(crate) fn all() -> Vec<Self> {
        use Route::{Begin, Login, Logout, Read, Same, Untouched, Write};
        use Visitor::{Anonymous, Forged, Fresh, Known, OldKey, Unknown};

        let rolling = |rolling| Setup { rolling, ..Setup::default() };
        let crowded = |case: Self| Self { crowded: true, ..case };
        let rotated = || Setup { rotated: true, ..Setup::default() };
        let mut cases = vec![
            Self::new("no cookie, untouched", Untouched, Anonymous),
            Self::new("no cookie, read", Read, Anonymous),
            Self::new("valid cookie, untouched", Untouched, Known(1)),
            Self::new("valid cookie, read", Read, Known(1)),
            Self::new("valid cookie, write the same value", Same, Known(1)),
            Self::new("valid cookie, write", Write, Known(1)),
            Self::new("no cookie, begin a session", Begin, Anonymous),
            Self::new("login (new ID)", Login, Fresh),
            Self::new("logout", Logout, Fresh),
            Self::new("unknown ID, read", Read, Unknown),
            Self::new("bad signature, read", Read, Forged),
            Self::new("old key, read", Read, OldKey).with(rotated()),
            crowded(Self::new("20 cookies of 4 KB, untouched", Untouched, Known(1))),
            crowded(Self::new("20 cookies of 4 KB, read", Read, Known(1))),
            Self::new("rolling, touch due, read", Read, Known(1)).with(rolling(Rolling::Due)),
            Self::new("rolling, touch not due, read", Read, Known(1))
                .with(rolling(Rolling::NotDue)),
        ];
        for payload in [Payload::Medium, Payload::Large] {
            let setup = Setup { payload, ..Setup::default() };
            for (what, route) in [("read", Read), ("write", Write)] {
                let name = format!("{} session, {what}", payload.name());
                cases.push(Self::new(&name, route, Known(1)).with(setup.clone()));
            }
        }
        cases
    }

    /// The cases that are worth a slower measurement.
    pub(crate) fn chosen(names: &[&str]) -> Vec<Self> {
        Self::all().into_iter().filter(|case| names.contains(&case.name.as_str())).collect()
    }

    /// Many concurrent requests, on one session or on many.
    pub(crate) fn concurrent() -> Vec<Self> {
        let mut cases = Vec::new();
        for (ids, sessions) in [("one ID", 1), ("64 IDs", 64)] {
            for (what, route) in [("read", Route::Read), ("write", Route::Write)] {
                let name = format!("{ids}, {what}");
                cases.push(Self::new(&name, route, Visitor::Known(sessions)));
            }
        }
        cases
    }

    /// This many requests, ready to be sent to `app`.
    pub(crate) async fn requests<M: Make>(
        &self,
        make: &M,
        app: &mut M::App,
        number: usize,
    ) -> Vec<<M::App as App>::Request> {
        let cookies = self.cookies(make, app, number).await;
        let asks = (0..number).map(|index| Ask {
            route: self.route,
            cookie: cookies.get(index % cookies.len().max(1)).cloned().flatten(),
        });
        asks.map(|ask| M::App::request(&ask)).collect()
    }

    /// The `Cookie` headers of the visitors.
    pub(crate) async fn cookies<M: Make>(
        &self,
        make: &M,
        app: &mut M::App,
        number: usize,
    ) -> Vec<Option<String>> {
        let visitors = match self.visitor {
            Visitor::Anonymous => return vec![None],
            Visitor::Known(visitors) => visitors,
            Visitor::Fresh => number,
            Visitor::Unknown => {
                let elsewhere = Setup { metered: None, ..self.setup.clone() };
                let cookie = begun(&mut make.app(&elsewhere).await).await;
                return vec![Some(cookie.unwrap_or_else(|| STRANGER.to_owned()))];
            }
            Visitor::Forged | Visitor::OldKey => 1,
        };
        let mut cookies = Vec::with_capacity(visitors);
        for _ in 0..visitors {
            let cookie = begun(app).await;
            // An application without sessions gets a header of the same size.
            let cookie = cookie.unwrap_or_else(|| STRANGER.to_owned());
            cookies.push(Some(match self.visitor {
                Visitor::Forged => forged(&cookie),
                Visitor::OldKey => with_old_signature(&cookie).unwrap_or(cookie),
                _ if self.crowded => crowded(&cookie),
                _ => cookie,
            }));
        }
        cookies
    }
}

/// Begins a session and returns its cookie, if there are sessions.
async fn begun<A: App>(app: &mut A) -> Option<String> {
    let begin = A::request(&Ask { route: Route::Begin, cookie: None });
    let response = app.call(begin).await;
    A::answer(response).await.cookie()
}

/// A cookie that the app has not set.
const STRANGER: &str =
    "id=VW5rbm93bi1pZC1vZi0zMi1jaGFyYWN0ZXJz.c2lnbmF0dXJlLW9mLTQ0LWNoYXJhY3RlcnMtaW4tYmFzZTY0LS0";

/// The session's cookie with one letter changed, in the signature or in the signed part.
fn forged(cookies: &str) -> String {
    let forge = |cookie: &str| {
        let Some(value) = cookie.strip_prefix("id=") else { return cookie.to_owned() };
        // Escapes use capital letters.
        let letter = value.find(|letter: char| letter.is_ascii_lowercase()).unwrap_or_default();
        let (before, after) = value.split_at(letter);
        let (letter, after) = after.split_at(1);
        format!("id={before}{}{after}", letter.to_ascii_uppercase())
    };
    cookies.split("; ").map(forge).collect::<Vec<_>>().join("; ")
}

/// The cookie in the middle of others: 4 KB.
fn crowded(cookie: &str) -> String {
    let other = |number: usize| format!("other-{number:02}={}", "0123456789abcdef".repeat(12));
    let mut cookies: Vec<_> = (0..19).map(other).collect();
    cookies.insert(9, cookie.to_owned());
    cookies.join("; ")
}
