use std::sync::Arc;

pub use vestiary::{BoundReason, Event, Reason};

/// The application's event listener.
pub(crate) type Listener = Arc<dyn Fn(&Event) + Send + Sync>;
