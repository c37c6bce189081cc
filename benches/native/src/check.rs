//! Checks, before anything is measured, that a library really does the measured work.

use std::sync::Arc;

use crate::{
    app::{Answer, App, Ask, Make, Rolling, Route, Setup},
    cases::{Case, Visitor},
    layer::block_on,
    peers::{Job, Peer},
    store::Meter,
};

/// A requirement that a library does not meet.
#[derive(Debug, thiserror::Error)]
#[error("{peer}, {case}: {wrong}")]
pub(crate) struct Failed {
    peer: &'static str,
    case: String,
    wrong: String,
}

/// Checks all cases, on both stores.
pub(crate) fn check(peers: &[Peer]) -> Result<usize, Failed> {
    let mut checked = 0;
    let cases = Case::all().into_iter().chain(Case::concurrent());
    for case in cases {
        for &peer in peers.iter().filter(|peer| peer.can(&case)) {
            for metered in [None, Some(Arc::new(Meter::default()))] {
                let setup = Setup { metered, ..case.setup.clone() };
                let check = Check { peer, case: &case, setup };
                block_on(peer.run(check)).map_err(|wrong| Failed::of(peer, &case, wrong))?;
                checked += 1;
            }
        }
    }
    Ok(checked)
}

/// The check of a case.
pub(crate) struct Check<'a> {
    pub(crate) peer: Peer,
    pub(crate) case: &'a Case,
    pub(crate) setup: Setup,
}

impl Failed {
    pub(crate) fn of(peer: Peer, case: &Case, wrong: String) -> Self {
        Self { peer: peer.name(), case: case.name.clone(), wrong }
    }
}

impl Job for Check<'_> {
    type Output = Result<(), String>;

    async fn run(self, make: &impl Make) -> Result<(), String> {
        let mut app = make.app(&self.setup).await;
        let cookies = self.case.cookies(make, &mut app, 3).await;
        let cookie = cookies.into_iter().next().flatten();
        let mut answers = Vec::new();
        // A login or a logout works only once with a cookie.
        for _ in 0..if self.case.visitor == Visitor::Fresh { 1 } else { 3 } {
            answers.push(ask(&mut app, self.case.route, cookie.clone()).await);
        }
        for answer in &answers {
            expect("status", &200, &answer.status)?;
            let sets = sets_cookie(self.peer, self.case);
            expect("whether a cookie is set", &sets, &!answer.set_cookies.is_empty())?;
        }
        if self.peer.is_baseline() {
            return Ok(());
        }
        let known = matches!(self.case.visitor, Visitor::Known(_) | Visitor::OldKey);
        let bodies: Vec<_> = answers.iter().map(|answer| answer.body.as_str()).collect();
        let now = ask(&mut app, Route::Read, cookie).await.body;
        match self.case.route {
            Route::Read if known => expect("what was read", &vec!["1", "1", "1"], &bodies),
            Route::Read => expect("what was read", &vec!["0", "0", "0"], &bodies),
            Route::Write => {
                expect("what was written", &vec!["2", "3", "4"], &bodies)?;
                expect("what is read then", &"4", &now.as_str())
            }
            Route::Untouched | Route::Same if known => {
                expect("what is read then", &"1", &now.as_str())
            }
            Route::Untouched | Route::Same => Ok(()),
            Route::Logout => expect("what is read after a logout", &"0", &now.as_str()),
            Route::Begin | Route::Login => {
                if self.case.route == Route::Login {
                    expect("what is read with the previous ID", &"0", &now.as_str())?;
                }
                let new = answers.first().and_then(Answer::cookie);
                let read = ask(&mut app, Route::Read, new).await.body;
                expect("what is read with the new ID", &"1", &read.as_str())
            }
        }
    }
}

/// Whether the library is known to set a cookie in that case.
fn sets_cookie(peer: Peer, case: &Case) -> bool {
    let rolls = case.setup.rolling != Rolling::Off;
    let begins_or_ends = matches!(case.route, Route::Begin | Route::Login | Route::Logout);
    let writes = case.route == Route::Write;
    match peer {
        Peer::Bare | Peer::ActixBare => false,
        Peer::Vestiary => rolls || begins_or_ends,
        Peer::TowerSessions => {
            let removes = case.route == Route::Read && case.visitor == Visitor::Unknown;
            rolls || begins_or_ends || writes || removes
        }
        Peer::AxumSession => true,
        Peer::ActixSession => rolls || begins_or_ends || writes || case.route == Route::Same,
    }
}

async fn ask<A: App>(app: &mut A, route: Route, cookie: Option<String>) -> Answer {
    let request = A::request(&Ask { route, cookie });
    let response = app.call(request).await;
    A::answer(response).await
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, wanted: &T, found: &T) -> Result<(), String> {
    if wanted == found {
        return Ok(());
    }
    Err(format!("{what} should be {wanted:?}, and is {found:?}"))
}
