//! A request's view of its visitor's session.
//!
//! A [`Visit`] is a plain value. It has the visitor's session, the fate of the cookie, and the work that is left when the
//! response is ready. Each operation is an `async fn` that changes the value: [`open`], [`save`], [`update`], [`touch`],
//! [`renew`], [`log_in`], [`confirm_user`], [`regenerate`], [`destroy`], [`put`], [`take`], [`claim`], [`settle`],
//! [`tokens`], [`keep_tokens`], [`bind`](bind()), [`finish`] and [`confirm`]. A [`Request`] gives it facts about the
//! response, and the [`Host`](crate::protocol::Host) of the operations in [`session`](crate::session).
//!
//! A driver keeps the value between operations, runs the operations of a request one after the other, keeps the
//! application's data ([`View`]), and puts the [`Outgoing`] cookie onto the response. It decides nothing.
//!
//! The operations of a request follow each other like this:
//!
//! 1. [`open`], when the application first asks for the session.
//! 2. The operations of the application.
//! 3. [`finish`], when the response is ready. From then on, no other cookie reaches the browser.
//! 4. [`confirm`], which asks whether the cookie may leave. [`Visit::outgoing`] is that cookie.
//!
//! A driver that is not written in Rust keeps the visit as [`VisitText`], and lets [`act`] run each operation as
//! [`Pending`](crate::protocol::Pending) on a [`Page`]:
//!
//! ```
//! # use std::{rc::Rc, sync::Arc};
//! # use vestiary::{Error, Options, OptionsInput, Record, SessionId, UnixMillis};
//! # use vestiary::protocol::{Answered, Effect, NewId, Pending, Reply, Rules};
//! use vestiary::visit::{Act, Changes, Facts, Known, Outgoing, Page, Visit, VisitText, act};
//!
//! # let options = Options::new(OptionsInput::default())?;
//! # let rules = Arc::new(Rules { options: options.into(), keys: None, seals: None, atomic: true, migrates: false, resends: false, default_ttl: vestiary::Ttl::Infinite });
//! # let limits = rules.options.load_limits();
//! let (base, mine) = ("{}".to_owned(), r#"{"n":1}"#.to_owned());
//! let save = Act::Save(Changes { base, mine, cookie: None, assigned: false });
//! // A new visit. For later operations, the driver passes the text that the previous one has returned.
//! let mut visit = Visit::of_text(&VisitText::default(), None, |text| Record::decode(text, limits))?;
//! let facts = Rc::new(Facts::default());
//! facts.learn(Known::default());
//! let mut saving = Pending::new(async move |post| {
//!     let done = act(&mut Page::new(post, facts), &rules, &mut visit, save).await;
//!     Ok((visit, done))
//! });
//! let mut poll = |answer| saving.poll(answer, UnixMillis(5), 0, &[7; Pending::<()>::ENTROPY]);
//! assert!(matches!(poll(Answered::Begin), Effect::NewId));
//! let new_id = NewId::Random(SessionId::from_entropy(&[1; SessionId::ENTROPY]));
//! let Effect::Call(_) = poll(Answered::NewId(new_id)) else { panic!() };
//! let Effect::Finished(Ok((visit, Ok(_)))) = poll(Answered::Reply(Reply::Done)) else { panic!() };
//! assert!(matches!(visit.cookie, Outgoing::Session { .. }));
//! assert!(visit.text(limits)?.record.contains(r#"{"n":1}"#));
//! # Ok::<(), Error>(())
//! ```

mod act;
mod bind;
mod cookie;
mod finish;
mod fresh;
mod identity;
mod once;
mod open;
mod page;
mod request;
mod slots;
mod state;
mod text;
mod tokens;
mod write;

pub use act::{Act, act};
pub use bind::bind;
pub use cookie::{Outgoing, confirm};
pub use finish::{finish, refresh};
pub use fresh::confirm_user;
pub use identity::{log_in, regenerate, renew};
pub use once::{Claim, claim, settle};
pub use open::{Cookies, is_alive, open};
pub use page::{Facts, Known, Page};
pub use request::{Purpose, Request};
pub use slots::{put, take};
pub use state::{Changes, State, View, Visit};
pub use text::VisitText;
pub use tokens::{Answer, Wanted, keep_tokens, tokens};
pub use write::{assigned, destroy, save, touch, update};

pub use crate::tokens::{Grant, Tokens};

use request::{Fault, host_for};
