//! Operations on a session: open, create, save, renew, log in, destroy; and on its user's session list.
//!
//! Each operation is an `async fn` over a [`Host`](crate::protocol::Host), built from those of
//! [`protocol`](crate::protocol). It checks the user's session list wherever that matters: a session that is not in the
//! list was revoked, whatever its record says. Both products run these operations, and have no rules of their own about
//! records and lists.

mod admission;
mod identity;
mod login;
mod open;
mod provider;
mod remembered;
mod reuse;
mod user;
mod write;

pub use admission::is_listed;
pub(crate) use admission::leave;
pub use identity::{renew, rotate};
pub use login::log_in;
pub use open::{
    Found, Loaded, Opening, Spent, alive, current, is_current, is_revoked, load, open, read, tidy,
};
pub use provider::{LoggedOut, Provider, logged_out, provider_list, provider_receipt};
pub use user::{Join, end_all, enter, list, revoke, revoke_each};
pub use write::{create, destroy, new_record, save, touch};
