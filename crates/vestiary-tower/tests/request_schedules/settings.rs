//! The kinds of schedules.

use std::time::Duration;

use vestiary_store::{Config, OnReuse};

use crate::{
    app::Want,
    support::{
        config,
        scheduled::{Chance, Clock},
    },
};

const SECOND: u64 = 1_000;

/// Time steps of a schedule: slow replies, grace periods, renewals and deadlines.
const TIMES: [u64; 6] =
    [SECOND, 20 * SECOND, 70 * SECOND, 310 * SECOND, 500 * SECOND, 700 * SECOND];

/// The options of the application, and the things that happen beside its requests. Times are in milliseconds.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, not the states of one machine"
)]
pub struct Settings {
    pub mix: &'static [Want],
    /// No store fails, and no process dies.
    pub is_calm: bool,
    pub is_timed: bool,
    /// Responses arrive in another order than they left in, and browsers send cookies that they had before.
    pub reorders: bool,
    pub is_rolling: bool,
    pub max_age: u64,
    pub touch_after: u64,
    pub idle: Option<u64>,
    pub absolute: Option<u64>,
    pub renew_after: Option<u64>,
    pub grace: u64,
    /// The reuse of an ID that a renewal has replaced revokes the session.
    pub revokes_reuse: bool,
    /// The largest data of a session, in each process: one is newer than the other.
    pub max_bytes: Option<[usize; 2]>,
    pub per_user: Option<usize>,
    pub processes: usize,
    pub browsers: usize,
    pub requests: usize,
    pub at_once: usize,
}

/// The requests of any kind, as often as they are sent.
const ALL: [Want; 24] = [
    Want::Update,
    Want::Update,
    Want::Update,
    Want::Modify,
    Want::Modify,
    Want::Finish,
    Want::Finish,
    Want::Touch,
    Want::Work,
    Want::Work,
    Want::Slow,
    Want::Slow,
    Want::Fill,
    Want::Shrink,
    Want::Renew,
    Want::Renew,
    Want::Begin,
    Want::LogIn,
    Want::LogIn,
    Want::Enter,
    Want::LogOut,
    Want::RevokeOne,
    Want::RevokeOthers,
    Want::RevokeAll,
];

/// Requests of returning visitors, until their sessions expire.
const RETURNS: [Want; 10] = [
    Want::Update,
    Want::Modify,
    Want::Finish,
    Want::Work,
    Want::Work,
    Want::Work,
    Want::Work,
    Want::Renew,
    Want::Enter,
    Want::RevokeOthers,
];

/// Requests that end sessions.
const ENDS: [Want; 13] = [
    Want::Update,
    Want::Work,
    Want::Slow,
    Want::Touch,
    Want::LogIn,
    Want::LogIn,
    Want::Enter,
    Want::LogOut,
    Want::LogOut,
    Want::Begin,
    Want::RevokeOne,
    Want::RevokeAll,
    Want::RevokeAll,
];

/// Requests during a rotation.
const ROTATES: [Want; 8] = [
    Want::Update,
    Want::Finish,
    Want::Work,
    Want::Work,
    Want::Slow,
    Want::Renew,
    Want::Enter,
    Want::LogIn,
];

/// Requests of sessions whose data reaches its limit.
const FILLS: [Want; 9] = [
    Want::Update,
    Want::Finish,
    Want::Fill,
    Want::Fill,
    Want::Shrink,
    Want::Work,
    Want::Touch,
    Want::Renew,
    Want::LogIn,
];

impl Settings {
    pub fn new(chance: &mut Chance) -> Self {
        let mix: &[Want] = match chance.below(8) {
            0..2 => &RETURNS,
            2 => &ROTATES,
            3 => &FILLS,
            4 => &ENDS,
            _ => &ALL,
        };
        let (returns, rotates, fills) = (mix == RETURNS, mix == ROTATES, mix == FILLS);
        let is_timed = returns || mix == ALL && chance.below(2) == 0;
        let mut timed = |time: u64| (chance.below(2) == 0 && is_timed).then_some(time * SECOND);
        let (idle, absolute, renew_after) = (timed(600), timed(1_500), timed(300));
        let is_calm = fills || chance.below(if mix == ENDS { 4 } else { 2 }) == 0;
        let reorders = chance.below(3) == 0;
        // A request that fails or dies halfway may have revoked the session, and emitted no event.
        let revokes_reuse = is_calm && is_timed && reorders;
        Self {
            mix,
            is_calm,
            is_timed,
            reorders,
            is_rolling: chance.below(2) == 0,
            max_age: if is_timed { 900 } else { 3_600 } * SECOND,
            touch_after: 60 * SECOND * chance.below(2) as u64,
            idle,
            absolute,
            renew_after,
            grace: 60 * SECOND,
            revokes_reuse,
            max_bytes: (fills || chance.below(8) == 0).then_some([4_096, 1_024]),
            per_user: (chance.below(4) == 0).then_some(2),
            processes: if fills { 2 } else { 1 + chance.below(2) },
            browsers: if returns || rotates { 1 } else { 1 + chance.below(3) },
            requests: 4 + chance.below(10),
            at_once: [1, if returns { 1 } else { 2 }, 4, 4][chance.below(4)],
        }
    }

    pub fn clock(&self) -> Clock {
        Clock::new(if self.is_timed { &TIMES } else { &[] })
    }

    /// The config of a process.
    pub fn config(&self, process: usize) -> Config {
        let mut config = config()
            .store_timeout(None)
            .renew_grace(Duration::from_millis(self.grace))
            .rolling(self.is_rolling)
            .max_age(Duration::from_millis(self.max_age))
            .touch_after(Duration::from_millis(self.touch_after));
        if self.revokes_reuse {
            config = config.on_reuse(OnReuse::Revoke);
        }
        if let Some(idle) = self.idle {
            config = config.idle_timeout(Duration::from_millis(idle));
        }
        if let Some(absolute) = self.absolute {
            config = config.absolute_timeout(Duration::from_millis(absolute));
        }
        if let Some(renew_after) = self.renew_after {
            config = config.renew_after(Duration::from_millis(renew_after));
        }
        if let Some(max_bytes) = self.max_bytes {
            config = config.max_bytes(max_bytes[process]);
        }
        if let Some(most) = self.per_user {
            config = config.sessions_per_user(most);
        }
        config
    }
}

/// A user of the application.
pub fn user_of(name: &str) -> &'static str {
    if name == "bob" { "bob" } else { "ada" }
}
