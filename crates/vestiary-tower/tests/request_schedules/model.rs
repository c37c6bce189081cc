//! The knowledge of a schedule about sessions, from the responses alone.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;

use vestiary::constants::RENEWALS;

use crate::{
    app::{Report, Want},
    settings::{Settings, user_of},
};

/// A session.
#[derive(Default)]
pub struct Life {
    pub user: Option<&'static str>,
    pub handle: Option<String>,
    pub log_id: Option<String>,
    /// When the request was sent that began it, and when the first response named it.
    pub sent: u64,
    pub known: u64,
    /// Requests that may have ended it.
    pub doubts: BTreeSet<usize>,
    /// When its end was confirmed.
    pub ended: Option<u64>,
    /// The time until which it is certainly valid, unless a request ends it.
    pub until: u64,
    /// The lifetime by the TTL of its record and by its idle deadline.
    pub ttl: u64,
    pub idle: u64,
    /// When the last request left that may have used it, and the number of such requests in progress.
    pub used: u64,
    pub users: usize,
    /// Changes that were confirmed.
    pub confirmed: Vec<usize>,
}

/// The value of a cookie that a response has set.
#[derive(Default)]
pub struct Cookie {
    pub root: Option<usize>,
    /// The number of cookies that were set before.
    pub place: usize,
    /// When it was set first.
    pub set: u64,
    /// When the session may have got another ID.
    pub outdated: Option<u64>,
    /// Requests that may have renewed it since.
    pub renewals: usize,
    /// Another response has set a later ID of the session.
    pub replaced: bool,
    /// A login took its ID out of use.
    pub dead: bool,
}

/// A request that may end or renew sessions, from when it was sent until it has left.
pub struct Reach {
    pub number: usize,
    pub of: Of,
    pub from: u64,
    pub until: u64,
}

/// The sessions that a request may end or renew.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Of {
    Root(usize),
    User(&'static str),
    /// Possibly any session: no response has named the session of its cookie.
    Any,
}

/// A request that is being answered.
pub struct Going {
    pub number: usize,
    pub browser: usize,
    pub want: Want,
    pub detail: String,
    pub sent: Option<String>,
    pub from: u64,
    pub is_troubled: bool,
    /// Whether no other request was in progress.
    pub is_alone: bool,
    /// The session of its cookie, as far as that is known; ended, by a deadline or a request, before it was sent.
    pub root: Option<usize>,
    pub is_expired: Option<&'static str>,
    /// The time until which it was certainly valid when the request was sent.
    pub until: u64,
    /// Sessions of the user that were known when it was sent.
    pub before: Vec<usize>,
}

/// A response, as far as its session goes.
pub struct Answer {
    pub status: StatusCode,
    pub report: Report,
    pub sets: Sets,
}

/// The cookie in a response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Sets {
    Nothing,
    Removal,
    Value(String),
}

#[derive(Default)]
pub struct Model {
    pub lives: BTreeMap<usize, Life>,
    pub cookies: BTreeMap<String, Cookie>,
    pub endings: Vec<Reach>,
    pub renewals: Vec<Reach>,
    /// When each request was sent, and whom it was to log in.
    sent: Vec<(u64, Option<&'static str>)>,
    /// When the last end of all sessions of a user was sent that was confirmed.
    pub refused: BTreeMap<&'static str, u64>,
    pub failed_logins: usize,
    /// When sessions were revoked because an ID was used again, by their names for logs.
    pub reused: BTreeMap<String, u64>,
    /// How long the slowest request took.
    pub slowest: u64,
    /// When the last request left whose cookie's session is unknown, and the number of such requests in progress.
    unknown: (u64, usize),
}

impl Model {
    /// The session of a cookie, as far as that is known.
    pub fn root(&self, value: Option<&String>) -> Option<usize> {
        self.cookies.get(value?)?.root
    }

    /// The sessions of a user.
    pub fn owned<'m>(&'m self, user: &'m str) -> impl Iterator<Item = usize> + 'm {
        let of_user = move |life: &Life| life.user == Some(user);
        self.lives.iter().filter(move |(_, life)| of_user(life)).map(|(root, _)| *root)
    }

    /// Why the session must be over for a request that is sent now.
    pub fn is_expired(&self, root: usize, now: u64, settings: &Settings) -> Option<&'static str> {
        let life = &self.lives[&root];
        if life.ended.is_some() {
            return Some("an ended session is back");
        }
        if settings.absolute.is_some_and(|absolute| now >= life.known + absolute) {
            return Some("a session outlives its absolute deadline");
        }
        let used = life.used.max(self.unknown.0);
        let is_unused = life.users == 0 && self.unknown.1 == 0;
        let is_idle = |idle| is_unused && now >= used + idle + idle / 10;
        settings.idle.is_some_and(is_idle).then_some("a session outlives its idle deadline")
    }

    /// A request is sent.
    pub fn sends(&mut self, going: &Going, settings: &Settings) {
        let Going { number, want, from, sent, root, .. } = going;
        self.sent.push((*from, want.is_login().then(|| user_of(&going.detail))));
        match (sent, root) {
            (_, Some(root)) => self.lives.get_mut(root).unwrap().users += 1,
            (Some(_), None) => self.unknown.1 += 1,
            (None, None) => {}
        }
        let own = match (sent, root) {
            (_, Some(root)) => Some(Of::Root(*root)),
            (Some(_), None) => Some(Of::Any),
            (None, None) => None,
        };
        let mut ends = Vec::new();
        match want {
            Want::RevokeAll => ends.push(Of::User(user_of(&going.detail))),
            Want::RevokeOthers if root.is_some() => {
                ends.push(Of::User(user_of(&going.detail)));
            }
            Want::RevokeOthers => ends.extend(own),
            Want::RevokeOne => {
                let is_it = |life: &&Life| life.handle.as_ref() == Some(&going.detail);
                let it = self.lives.iter().find(|(_, life)| is_it(life));
                ends.extend(it.map(|(root, _)| Of::Root(*root)));
            }
            _ if want.ends() => ends.extend(own),
            _ => {}
        }
        // The reuse of an ID ends the session before the event says so.
        let cookie = sent.as_ref().and_then(|sent| self.cookies.get(sent));
        let outdated = cookie.and_then(|cookie| cookie.outdated);
        let is_reuse = outdated.is_some_and(|at| *from >= at + settings.grace);
        ends.extend(own.filter(|_| settings.revokes_reuse && is_reuse));
        if want.is_login() && settings.per_user.is_some() {
            ends.push(Of::User(user_of(&going.detail)));
        }
        for of in ends {
            let reach = Reach { number: *number, of, from: *from, until: u64::MAX };
            for (other, life) in &mut self.lives {
                // `revoke_others` keeps the session of the request itself.
                let is_kept = *want == Want::RevokeOthers && Some(*other) == *root;
                if reach.meets(*other, life) && !is_kept {
                    life.doubts.insert(*number);
                }
            }
            self.endings.push(reach);
        }
        let may_renew = *want == Want::Renew || settings.renew_after.is_some();
        if let Some(of) = own.filter(|_| may_renew) {
            let reach = Reach { number: *number, of, from: *from, until: u64::MAX };
            for cookie in self.cookies.values_mut() {
                if of == Of::Any || cookie.root.map(Of::Root) == Some(of) {
                    cookie.outdated.get_or_insert(*from);
                    cookie.renewals += usize::from(*want == Want::Renew);
                }
            }
            self.renewals.push(reach);
        }
    }

    /// A request has left, or its process has died.
    pub fn leaves(&mut self, going: &Going, now: u64) {
        self.slowest = self.slowest.max(now - going.from);
        match (&going.sent, going.root) {
            (_, Some(root)) => {
                let life = self.lives.get_mut(&root).unwrap();
                (life.users, life.used) = (life.users - 1, now);
            }
            (Some(_), None) => self.unknown = (now, self.unknown.1 - 1),
            (None, None) => {}
        }
        for reach in self.endings.iter_mut().chain(&mut self.renewals) {
            if reach.number == going.number {
                reach.until = now;
            }
        }
    }

    /// A response names a session.
    pub fn names(&mut self, root: usize, now: u64) {
        let Self { lives, endings, sent, refused, .. } = self;
        let life = lives.entry(root).or_insert_with(|| {
            let (sent, user) = sent[root - 1];
            // A login that began before the end of all sessions is refused.
            let refused = user.and_then(|user| refused.get(user)).copied();
            let ended = refused.filter(|refused| sent < *refused).map(|_| now);
            let mut life = Life { user, sent, known: now, ended, ..Life::default() };
            for ending in endings.iter().filter(|ending| ending.until >= sent) {
                if ending.number != root && ending.meets(root, &life) {
                    life.doubts.insert(ending.number);
                }
            }
            life
        });
        life.used = now;
    }

    /// The sessions that were revoked because an ID was used again have ended. Returns those of which no ID had outlived its
    /// grace period.
    pub fn revokes_reused(&mut self, grace: u64) -> Vec<usize> {
        let mut too_early = Vec::new();
        for (root, life) in &mut self.lives {
            let Some(at) = life.log_id.as_ref().and_then(|log_id| self.reused.remove(log_id))
            else {
                continue;
            };
            life.ended.get_or_insert(at);
            let mut renewals = self.renewals.iter();
            if !renewals.any(|reach| reach.from + grace <= at && reach.meets(*root, life)) {
                too_early.push(*root);
            }
        }
        too_early
    }

    /// A response sets a cookie of this session.
    pub fn sets(&mut self, value: &str, root: Option<usize>, going: &Going, now: u64) {
        if !self.cookies.contains_key(value) {
            let of = root.map_or(Of::Any, Of::Root);
            // Requests that went on to the new ID may have renewed it before this response left.
            let others = self.renewals.iter().filter(|reach| {
                let is_of = of == Of::Any || reach.of == Of::Any || reach.of == of;
                is_of && reach.number != going.number && reach.until >= going.from
            });
            let times: Vec<_> = others.map(|reach| reach.from.max(going.from)).collect();
            let outdated = times.iter().min().copied();
            let renewals = times.len();
            // While the store fails, a response may set an ID that could not be confirmed: it may be the earlier one.
            for cookie in self.cookies.values_mut().filter(|_| !going.is_troubled) {
                cookie.replaced |= root.is_some() && cookie.root == root;
            }
            let place = self.cookies.len();
            let cookie = Cookie { place, set: now, outdated, renewals, ..Cookie::default() };
            self.cookies.insert(value.to_owned(), cookie);
        }
        let cookie = self.cookies.get_mut(value).unwrap();
        cookie.root = cookie.root.or(root);
    }

    /// The session to which a cookie leads for certain, unless this request has ended it.
    pub fn leads(
        &self,
        value: &str,
        number: usize,
        now: u64,
        settings: &Settings,
    ) -> Option<usize> {
        let cookie = self.cookies.get(value)?;
        let root = cookie.root?;
        let life = &self.lives[&root];
        let is_doubted = life.doubts.iter().any(|doubt| *doubt != number);
        // Only a limited number of pointers is followed.
        let is_near = cookie.renewals < RENEWALS;
        let is_current = is_near && cookie.outdated.is_none_or(|at| now < at + settings.grace);
        let lives = now < life.until && life.ended.is_none() && !cookie.dead;
        (lives && !is_doubted && is_current).then_some(root)
    }

    /// The session was used by a request that was sent then, and that had no trouble.
    pub fn uses(&mut self, root: usize, going: &Going, now: u64, settings: &Settings) {
        let life = self.lives.get_mut(&root).unwrap();
        let from = going.from;
        // The session expired during a request that only read it, so the end of the request did not refresh it.
        if !going.want.writes() && now >= life.until {
            return;
        }
        if settings.is_rolling || going.want.writes() {
            life.ttl = life.ttl.max(from + settings.max_age);
        }
        life.idle = life.idle.max(settings.idle.map_or(u64::MAX, |idle| from + idle));
        let absolute = settings.absolute.map_or(u64::MAX, |absolute| life.sent + absolute);
        life.until = life.ttl.min(life.idle).min(absolute);
    }
}

impl Answer {
    pub fn is_done(&self) -> bool {
        self.status == StatusCode::OK
    }

    /// The value of the cookie that it sets.
    pub fn value(&self) -> Option<&String> {
        match &self.sets {
            Sets::Value(value) => Some(value),
            Sets::Nothing | Sets::Removal => None,
        }
    }
}

impl Reach {
    fn meets(&self, root: usize, life: &Life) -> bool {
        match self.of {
            Of::Root(of) => of == root,
            Of::User(user) => life.user == Some(user),
            Of::Any => true,
        }
    }
}
