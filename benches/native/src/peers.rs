//! The libraries, each with the same handlers, the same cookie and the configuration that suits it best.

pub(crate) mod actix;
pub(crate) mod axum_app;
pub(crate) mod axum_session;
pub(crate) mod bare;
pub(crate) mod tower_sessions;
pub(crate) mod tower_sessions_sqlx;
pub(crate) mod vestiary;

use crate::{
    app::Make,
    cases::{Case, Visitor},
};

/// A library.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Peer {
    /// axum, without sessions.
    Bare,
    Vestiary,
    TowerSessions,
    AxumSession,
    /// actix-web, without sessions.
    ActixBare,
    ActixSession,
}

/// Something that is done with an application, whatever made it.
pub(crate) trait Job {
    /// The result.
    type Output;

    async fn run(self, make: &impl Make) -> Self::Output;
}

/// The secret that signs cookies, and the previous one.
pub(crate) const SECRET: &str = "a secret of benchmarks, 64 bytes long, that guards nothing at all";
pub(crate) const OLD_SECRET: &str =
    "a secret of benchmarks that was in use before, and still is good.";

/// Name of the cookie.
pub(crate) const COOKIE: &str = "id";

/// The lifetime of a session, in seconds.
pub(crate) const LIFE: u32 = 86_400;

impl Peer {
    pub(crate) const ALL: [Self; 6] = [
        Self::Bare,
        Self::Vestiary,
        Self::TowerSessions,
        Self::AxumSession,
        Self::ActixBare,
        Self::ActixSession,
    ];
    /// The peers that run on axum.
    pub(crate) const AXUM: [Self; 4] =
        [Self::Bare, Self::Vestiary, Self::TowerSessions, Self::AxumSession];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Vestiary => "vestiary",
            Self::TowerSessions => "tower-sessions",
            Self::AxumSession => "axum_session",
            Self::ActixBare => "actix-bare",
            Self::ActixSession => "actix-session",
        }
    }

    /// The same application without sessions.
    pub(crate) fn baseline(self) -> Self {
        match self {
            Self::ActixBare | Self::ActixSession => Self::ActixBare,
            _ => Self::Bare,
        }
    }

    pub(crate) fn is_baseline(self) -> bool {
        self == self.baseline()
    }

    /// Whether the library supports the case.
    pub(crate) fn can(self, case: &Case) -> bool {
        case.visitor != Visitor::OldKey || self.is_baseline() || self == Self::Vestiary
    }

    pub(crate) async fn run<J: Job>(self, job: J) -> J::Output {
        match self {
            Self::Bare => job.run(&bare::Bare).await,
            Self::Vestiary => job.run(&vestiary::Vestiary).await,
            Self::TowerSessions => job.run(&tower_sessions::TowerSessions).await,
            Self::AxumSession => job.run(&axum_session::AxumSession).await,
            Self::ActixBare => job.run(&actix::ActixBare).await,
            Self::ActixSession => job.run(&actix::ActixSession).await,
        }
    }
}
