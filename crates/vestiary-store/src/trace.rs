use tracing::{debug, info, warn};

use crate::{BoundReason, Error, Event, Handle, event::Reason};

/// Warns of a secret that a release build refuses.
#[cfg(debug_assertions)]
pub(crate) fn refused_in_release(error: &Error) {
    let code = error.code();
    warn!(target: "vestiary", code, "a release build refuses a secret: {error}");
}

/// Emits an event to `tracing`: as a warning if an operator should look at it, logins and logouts as information.
pub(crate) fn event(event: &Event) {
    let name = event.name();
    match event {
        Event::Reuse { log_id, revoked } => {
            let log_id = log_id.as_ref().map(Handle::as_str);
            warn!(target: "vestiary", event = name, log_id, revoked, "a request used an ID that is out of use");
        }
        Event::Bound { reason: reason @ (BoundReason::Missing | BoundReason::Refused) } => {
            let reason = reason.name();
            warn!(target: "vestiary", event = name, reason, "a request did not show the device of its session");
        }
        Event::Unreadable { code } => {
            warn!(target: "vestiary", event = name, code, "a session record cannot be read");
        }
        Event::StoreFailed { code } => {
            warn!(target: "vestiary", event = name, code, "the session store failed");
        }
        Event::Destroyed { confirmed } => {
            info!(target: "vestiary", event = name, confirmed, "a session was ended");
        }
        Event::Rotated { reason: Reason::Login } => {
            info!(target: "vestiary", event = name, "a user logged in");
        }
        _ => debug!(target: "vestiary", event = name),
    }
}
