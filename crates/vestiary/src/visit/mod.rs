//! A request's view of its visitor's session.
//!
//! A [`Visit`] is a plain value: which session the visitor has, what becomes of the cookie, and what is left to do when
//! the response is ready. Each operation is an `async fn` that changes the value: [`open`], [`save`], [`update`],
//! [`touch`], [`renew`], [`regenerate`], [`destroy`], [`finish`], [`confirm`]. The [`Request`] is what it needs to know
//! of the response beside the [`Host`](crate::protocol::Host) of the operations in [`session`](crate::session).
//!
//! A driver keeps the value from one operation to the next, lets one operation of a request run after the other, keeps
//! the application's data ([`View`]), and puts the [`Outgoing`] cookie onto the response. It decides nothing.
//!
//! The operations of a request follow each other like this: [`open`], when the application first asks for the session;
//! what the application does; [`finish`], when its response is ready; then no cookie reaches the browser any more but the
//! one that is on its way, so [`confirm`] asks whether it may leave; [`Visit::outgoing`] is the cookie.

mod act;
mod cookie;
mod finish;
mod identity;
mod open;
mod page;
mod request;
mod state;
mod text;

mod write;

pub use act::{Act, act};
pub use cookie::{Outgoing, confirm};
pub use finish::{finish, refresh};
pub use identity::{logged_in, regenerate, renew};
pub use open::{Cookies, open};
pub use page::{Facts, Page};
pub use request::{Purpose, Request};
pub use state::{Changes, State, View, Visit};
pub use text::VisitText;
pub use write::{assigned, destroy, save, touch, update};

use request::{Fault, host_for};
