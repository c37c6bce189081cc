use alloc::{string::String, vec::Vec};

use super::{
    Changes, Cookies, Fault, Request, Visit, confirm, confirm_user, finish, open, put, refresh,
    regenerate, renew, take, update,
    write::{Edit, execute},
};
use crate::{decide::Operation, protocol::Rules, session::Spent};

/// An operation of a visit, for a driver that runs all of them by one function.
#[derive(Debug)]
pub enum Act {
    /// [`open`]
    Open(Cookies),
    /// [`save`](super::save)
    Save(Changes),
    /// [`assigned`](super::assigned)
    Assigned(Changes),
    /// [`update`]
    Update(Option<Changes>),
    /// [`touch`](super::touch)
    Touch,
    /// [`renew`]
    Renew,
    /// [`regenerate`]
    Regenerate,
    /// [`destroy`](super::destroy)
    Destroy,
    /// [`put`]: the key, the value, and its lifetime in milliseconds.
    Put(String, String, u64),
    /// [`take`]: the key.
    Take(String),
    /// [`confirm_user`]
    ConfirmUser,
    /// [`refresh`]
    Refresh,
    /// [`finish`]
    Finish(Option<Changes>),
    /// [`confirm`]
    Confirm,
}

/// Runs an operation. The visit says afterwards whether the session is stored. Returns the obsolete records, for
/// [`session::tidy`](crate::session::tidy).
///
/// In WebAssembly, operations that are called in only one place are much smaller.
///
/// # Errors
/// Those of the operation.
#[cfg_attr(plain, maybe_async::must_be_sync)]
pub async fn act<R: Request>(
    request: &mut R,
    rules: &Rules,
    visit: &mut Visit<Fault<R>>,
    act: Act,
) -> Result<Vec<Spent>, Fault<R>> {
    let (operation, edit) = match act {
        Act::Open(cookies) => return Ok(open(request, rules, visit, cookies).await),
        Act::Update(changes) => {
            update(request, rules, visit, changes).await?;
            return Ok(Vec::new());
        }
        Act::Renew => {
            renew(request, rules, visit).await?;
            return Ok(Vec::new());
        }
        Act::Regenerate => {
            regenerate(request, rules, visit).await?;
            return Ok(Vec::new());
        }
        Act::Refresh => {
            refresh(request, rules, visit).await;
            return Ok(Vec::new());
        }
        Act::Finish(changes) => {
            finish(request, rules, visit, changes).await?;
            return Ok(Vec::new());
        }
        Act::Confirm => {
            confirm(request, rules, visit).await;
            return Ok(Vec::new());
        }
        Act::Put(key, value, millis) => {
            put(request, rules, visit, key, value, millis).await?;
            return Ok(Vec::new());
        }
        Act::Take(key) => {
            take(request, rules, visit, key).await?;
            return Ok(Vec::new());
        }
        Act::ConfirmUser => {
            confirm_user(request, rules, visit).await?;
            return Ok(Vec::new());
        }
        Act::Save(changes) => (Operation::Save, Edit::Merge(changes)),
        Act::Assigned(changes) => (Operation::Change, Edit::Merge(changes)),
        Act::Touch => (Operation::Touch, Edit::None),
        Act::Destroy => (Operation::Destroy, Edit::None),
    };
    execute(request, rules, visit, operation, edit).await?;
    Ok(Vec::new())
}
