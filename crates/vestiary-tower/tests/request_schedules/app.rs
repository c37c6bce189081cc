//! The application whose requests are scheduled.

use std::fmt;

use axum::{Router, extract::Path, routing::get};
use serde::{Deserialize, Serialize};
use vestiary::Handle;
use vestiary_store::{SessionError, Sessions};
use vestiary_tower::{Session, SessionLayer};

use crate::support::scheduled::work;

/// The data of a session: the request that began it, and those that changed it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Log {
    #[serde(default)]
    pub root: Option<usize>,
    #[serde(default)]
    pub log: Vec<usize>,
}

impl Log {
    fn add(&mut self, number: usize) {
        self.root.get_or_insert(number);
        self.log.push(number);
    }
}

/// The wish of a request.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "lowercase")]
pub enum Want {
    Update,
    Modify,
    /// A change that is stored at the end of the response.
    Finish,
    /// Data that may be too large.
    Fill,
    /// Takes that data away.
    Shrink,
    Touch,
    /// Looks at the session, and works for a while.
    Work,
    /// The same, and then an update.
    Slow,
    Renew,
    /// Ends the session and begins another one.
    Begin,
    LogIn,
    /// A login that stores nothing else.
    Enter,
    LogOut,
    RevokeOne,
    RevokeOthers,
    RevokeAll,
}

impl Want {
    /// Whether the request ends the visitor's session, or another one of the user.
    pub fn ends(self) -> bool {
        self.is_login() || matches!(self, Self::Begin | Self::LogOut) || self.revokes()
    }

    pub fn is_login(self) -> bool {
        matches!(self, Self::LogIn | Self::Enter)
    }

    pub fn revokes(self) -> bool {
        matches!(self, Self::RevokeOne | Self::RevokeOthers | Self::RevokeAll)
    }

    /// Whether its data may be too large.
    pub fn grows(self) -> bool {
        matches!(self, Self::Update | Self::Modify | Self::Finish | Self::Fill | Self::Slow)
    }

    /// Whether a response that names the session confirms that its record was written, or has its full TTL.
    pub fn writes(self) -> bool {
        !matches!(self, Self::Finish | Self::Work | Self::RevokeOthers)
    }

    /// Whether it is answered from the session of its cookie, if there is one.
    pub fn keeps(self) -> bool {
        !self.ends()
    }

    /// Whether a response that names the session confirms a change to it.
    pub fn changes(self) -> bool {
        matches!(self, Self::Update | Self::Modify | Self::Finish | Self::Slow | Self::LogIn)
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

/// The session of a response.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Report {
    pub root: Option<usize>,
    /// The session's name in its user's session list.
    pub handle: Option<String>,
    /// The session's name for logs.
    pub log_id: Option<String>,
    /// The session that was ended, or the time at which a slow request began to write.
    pub detail: Option<u64>,
}

async fn report(session: &Session<Log>) -> Result<Report, SessionError> {
    let root = session.read().await?.root;
    let handle = session.handle().await?.map(|handle| handle.as_str().to_owned());
    let log_id = session.log_id().await?;
    Ok(Report { root, handle, log_id, detail: None })
}

async fn update(session: &Session<Log>, number: usize) -> Result<Report, SessionError> {
    let is_updated = session.update(|log| log.add(number)).await?;
    if is_updated { report(session).await } else { Ok(Report::default()) }
}

/// Answers a request. `detail` is a user, the handle of a session, or a size.
async fn answer(
    session: &Session<Log>,
    want: Want,
    number: usize,
    detail: &str,
) -> Result<Report, SessionError> {
    let all: Session = session.typed();
    match want {
        Want::Update => return update(session, number).await,
        Want::Modify => {
            // Two concurrent requests that set it would each get another value.
            if session.is_new().await? {
                session.modify(|log| log.root = Some(number)).await?;
            }
            all.insert(&format!("key{number}"), number).await?;
            if !session.save().await? {
                return Ok(Report::default());
            }
        }
        Want::Finish => {
            if session.is_new().await? {
                return Ok(Report::default());
            }
            let report = report(session).await?;
            all.insert(&format!("key{number}"), number).await?;
            return Ok(report);
        }
        Want::Fill | Want::Shrink => {
            if session.is_new().await? {
                return Ok(Report::default());
            }
            if want == Want::Fill {
                all.insert("pad", "x".repeat(detail.parse().unwrap())).await?;
            } else {
                session.remove_key("pad").await?;
            }
            if !session.save().await? {
                return Ok(Report::default());
            }
        }
        Want::Touch => session.touch().await?,
        Want::Work => {
            let report = report(session).await?;
            work().await;
            return Ok(report);
        }
        Want::Slow => {
            if session.is_new().await? {
                return Ok(Report::default());
            }
            work().await;
            let began = session.sessions().now().0;
            return Ok(Report { detail: Some(began), ..update(session, number).await? });
        }
        Want::Renew => session.renew().await?,
        Want::Begin => {
            let detail = report(session).await?.root.map(|root| root as u64);
            session.destroy().await?;
            return Ok(Report { detail, ..update(session, number).await? });
        }
        Want::LogIn | Want::Enter => {
            let before: Option<usize> = all.get("root").await?;
            all.insert("root", number).await?;
            if let Err(error) = session.login(detail).keep(["root"]).await {
                match before {
                    Some(root) => all.insert("root", root).await?,
                    None => _ = session.remove_key("root").await?,
                }
                return Err(error);
            }
            if want == Want::LogIn {
                return update(session, number).await;
            }
        }
        Want::LogOut => {
            let root = report(session).await.unwrap_or_default().root;
            session.destroy().await?;
            return Ok(Report { detail: root.map(|root| root as u64), ..Report::default() });
        }
        Want::RevokeOne => {
            let handle = Handle::parse(detail).unwrap();
            session.sessions_of("ada").revoke(&handle).await?;
            return Ok(Report::default());
        }
        Want::RevokeOthers => {
            let report = report(session).await?;
            if let Some(handle) = session.handle().await? {
                session.sessions_of(detail).revoke_others(&handle).await?;
            }
            return Ok(report);
        }
        Want::RevokeAll => {
            session.sessions_of(detail).revoke_all().await?;
            return Ok(Report::default());
        }
    }
    report(session).await
}

pub fn app(sessions: &Sessions) -> Router {
    let answer = async |Path((want, number, detail)): Path<(Want, usize, String)>,
                        session: Session<Log>| {
        let report = answer(&session, want, number, &detail).await?;
        Ok::<_, SessionError>(serde_json::to_string(&report).unwrap())
    };
    Router::new()
        .route("/{want}/{number}/{detail}", get(answer))
        .layer(SessionLayer::of(sessions.clone()))
}
