//! The operations that a driver runs: those of `vestiary::session`.

use alloc::{borrow::ToOwned as _, string::String, sync::Arc, vec::Vec};

use vestiary::{
    CookieOverrides, Handle, Record, SessionId, Ttl, UnixMillis, UserRef, merge,
    protocol::{self, Change, OwnEnd, Pending, Post, Rules, Seen, Stopped, UserSession, boxed},
    session::{self, Join, Spent},
};
use wasm_bindgen::prelude::*;

use crate::{
    convert::{millis, session_id, thrown, ttl_of},
    ending::Ending,
    options::Core,
    running::{Answer, Ended, Running, Step},
};

/// The kind of an operation. Beside each stand the arguments of `begin` that it is given; `session` is `id`, `text` and
/// `at`: a record, and when it was read.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
pub enum Task {
    /// The session of one of the IDs in `id`, in lines: the first that may be used.
    Open,
    /// Removes a record that counts for nothing (`session`), and its entry in its user's session list if `number` is 1.
    Tidy,
    /// Whether the store has a session under `id`: `Done`, or else `Gone`.
    IsCurrent,
    /// The record under `id`, as the store has it.
    Load,
    /// Writes in its user's session list that a session is used (`session`): `Gone` if it was revoked.
    NoteUse,
    /// Stores a new session: `data`, `user` and `handle`, `cookie`.
    Create,
    /// Changes a session (`session`): from `data` to `other`, or by a function if that is missing; `cookie` changes its own
    /// cookie attributes, `{}` to none.
    Save,
    /// Gives a session (`session`) its full lifetime again; without a question about its user's list if `number` is 1.
    Touch,
    /// Ends a session (`session`). `Done` if the store can say whether replicas know it: then `at` is 1 or 0.
    Destroy,
    /// Gives a session (`session`) another ID.
    Renew,
    /// Puts another session in the place of one (`session`): `data`, `user` and `handle`, for `number` milliseconds at
    /// most.
    Supersede,
    /// Puts a new session on the list of its user (`user`), with the label `other`, who proved at `at` who it is; at most
    /// `number`. `Done` with the session's handle, `Gone` if all sessions of the user were ended since. This request has
    /// ended them itself at `own_end`, and they had been ended at `end_before`.
    Enter,
    /// The sessions of `user`, the one that was used last first: JSON text of an object, by handle.
    List,
    /// Ends the session `handle` of `user`.
    Revoke,
    /// Ends all sessions of `user` but `handle`.
    EndAll,
}

#[wasm_bindgen]
impl Core {
    /// An operation.
    #[expect(clippy::too_many_arguments, reason = "an object would cost a JSON reader or js-sys")]
    pub fn begin(
        &self,
        task: Task,
        id: &str,
        text: String,
        at: f64,
        data: String,
        other: Option<String>,
        cookie: Option<String>,
        user: String,
        handle: Option<String>,
        number: f64,
        own_end: f64,
        end_before: f64,
    ) -> Result<Running, String> {
        let seen = |text| {
            let record = Record::decode_owned(text, self.options.load_limits()).map_err(thrown)?;
            Ok::<_, String>(Seen { id: session_id(id)?, record, at: millis(at) })
        };
        let cookie = cookie.as_deref().map(CookieOverrides::parse).transpose().map_err(thrown)?;
        let handle = handle.as_deref().and_then(Handle::parse);
        let owner = handle.clone().map(|handle| UserRef::new(&user, handle));
        Ok(Running::new(
            Arc::clone(&self.rules),
            match task {
                Task::Open => {
                    Operation::Open(id.lines().filter_map(|id| SessionId::parse(id).ok()).collect())
                }
                Task::Tidy => {
                    Operation::Tidy(Spent { session: seen(text)?, is_listed: number > 0.0 })
                }
                Task::IsCurrent => Operation::IsCurrent(session_id(id)?),
                Task::Load => Operation::Load(session_id(id)?),
                Task::NoteUse => Operation::NoteUse(seen(text)?),
                Task::Create => Operation::Create { data, user: owner, cookie: cookie.flatten() },
                Task::Save => Operation::Save {
                    session: seen(text)?,
                    change: other.map_or(Change::Rerun, |mine| Change::Merge { base: data, mine }),
                    cookie,
                },
                Task::Touch => Operation::Touch(seen(text)?, number > 0.0),
                Task::Destroy => Operation::Destroy(seen(text)?),
                Task::Renew => Operation::Renew(seen(text)?),
                Task::Supersede => Operation::Supersede {
                    session: seen(text)?,
                    data,
                    user: owner,
                    longest: ttl_of(number),
                },
                Task::Enter => Operation::Enter {
                    name: user,
                    label: other,
                    proven: millis(at),
                    own_end: (!own_end.is_nan())
                        .then(|| OwnEnd { at: millis(own_end), before: millis(end_before) }),
                    most: number as usize,
                },
                Task::List => Operation::List(user),
                Task::Revoke => Operation::Revoke(user, handle),
                Task::EndAll => Operation::EndAll(user, handle),
            },
        ))
    }

    /// The data of a session that follows the one of this record: `kept`, members of `base`, as the record spells
    /// them, and those of `others`. All are JSON text.
    pub fn keep(
        &self,
        text: String,
        base: &str,
        kept: &str,
        others: &str,
    ) -> Result<String, String> {
        let limits = self.options.load_limits();
        let record = Record::decode_owned(text, limits).map_err(thrown)?;
        let kept = merge(base, kept, record.data(), limits).map_err(thrown)?;
        merge("{}", others, &kept, limits).map_err(thrown)
    }

    /// Lets an operation go on with the answer to its last effect: texts, or a number. 64 new random bytes are in the
    /// input.
    #[expect(clippy::too_many_arguments, reason = "an object would cost a JSON reader or js-sys")]
    pub fn answered(
        &self,
        running: &mut Running,
        answer: Answer,
        text: Option<String>,
        list: Option<String>,
        number: f64,
        now: f64,
        elapsed: f64,
    ) -> Result<Step, String> {
        let entropy = self.input.first_chunk().unwrap_or(&[0; Pending::<()>::ENTROPY]);
        let answer = running.answer(answer, text, list, number)?;
        running.answered(answer, now, elapsed, entropy)
    }
}

/// An operation, with what it is given. One type, so that WebAssembly has one function for all of them.
#[derive(Clone)]
pub(crate) enum Operation {
    Open(Vec<SessionId>),
    Tidy(Spent),
    IsCurrent(SessionId),
    Load(SessionId),
    NoteUse(Seen),
    Create {
        data: String,
        user: Option<UserRef>,
        cookie: Option<CookieOverrides>,
    },
    Save {
        session: Seen,
        change: Change,
        cookie: Option<Option<CookieOverrides>>,
    },
    Touch(Seen, bool),
    Destroy(Seen),
    Renew(Seen),
    Supersede {
        session: Seen,
        data: String,
        user: Option<UserRef>,
        longest: Ttl,
    },
    Enter {
        name: String,
        label: Option<String>,
        proven: UnixMillis,
        own_end: Option<OwnEnd>,
        most: usize,
    },
    List(String),
    Revoke(String, Option<Handle>),
    EndAll(String, Option<Handle>),
}

#[cfg_attr(plain, maybe_async::must_be_sync)]
impl Operation {
    pub(crate) async fn run(self, host: &mut Post, rules: &Rules) -> Result<Ending, Stopped> {
        let session = match self {
            Self::Open(ids) => {
                return Ending::opening(rules, session::open(host, rules, &ids).await?);
            }
            Self::Tidy(spent) => {
                boxed(session::tidy(host, rules, &spent)).await;
                return Ok(Ending::of(Ended::Done));
            }
            Self::IsCurrent(id) => {
                return Ok(Ending::is(session::is_current(host, rules, &id).await?));
            }
            Self::Load(id) => session::load(host, rules, &id).await?,
            Self::NoteUse(session) => {
                return Ok(Ending::is(!boxed(session::is_revoked(host, rules, &session)).await?));
            }
            Self::Create { data, user, cookie } => {
                let record = session::new_record(host, rules, &data, user, cookie)?;
                Some(*boxed(session::create(host, rules, record)).await?)
            }
            Self::Save { session, change, cookie } => {
                let written = boxed(session::save(host, rules, session, &change, cookie)).await?;
                return Ending::written(rules, written);
            }
            Self::Touch(session, is_fresh) => {
                let touched = boxed(session::touch(host, rules, session, is_fresh)).await?;
                touched.map(|seen| *seen)
            }
            Self::Destroy(session) => {
                let confirmed = boxed(session::destroy(host, rules, session)).await?;
                return Ok(match confirmed {
                    Some(confirmed) => {
                        Ending { at: UnixMillis(confirmed.into()), ..Ending::is(true) }
                    }
                    None => Ending::is(false),
                });
            }
            Self::Renew(session) => {
                boxed(session::renew(host, rules, session)).await?.map(|seen| *seen)
            }
            Self::Supersede { session, data, user, longest } => {
                let record = session::new_record(host, rules, &data, user, None)?;
                let next =
                    boxed(session::supersede(host, rules, session, &record, longest)).await?;
                next.map(|next| *next)
            }
            Self::Enter { name, label, proven, own_end, most } => {
                let (name, label) = (name.as_str(), label.as_deref());
                let join = Join { name, label, proven, own_end, most };
                let user = boxed(session::enter(host, rules, &join)).await?;
                return Ok(user.map_or(Ending::of(Ended::Gone), |user| {
                    Ending::text(user.handle.as_str().to_owned())
                }));
            }
            Self::List(name) => {
                let sessions = session::list(host, rules, &name).await?;
                return Ok(Ending::text(UserSession::json(&sessions)));
            }
            // No session has another handle.
            Self::Revoke(_, None) => return Ok(Ending::of(Ended::Done)),
            Self::Revoke(name, Some(handle)) => {
                session::revoke(host, rules, &name, &handle).await?;
                return Ok(Ending::of(Ended::Done));
            }
            Self::EndAll(name, keep) => {
                let OwnEnd { at, before } =
                    boxed(session::end_all(host, rules, &name, keep)).await?;
                return Ok(Ending { at, before, ..Ending::of(Ended::Done) });
            }
        };
        Ending::perhaps(rules, session)
    }
}

/// Validates the application's name for a user.
#[wasm_bindgen(js_name = checkName)]
pub fn check_name(name: &str) -> Result<(), String> {
    protocol::UserSessions::check_name(name).map_err(thrown)
}
