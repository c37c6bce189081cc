use std::sync::Arc;

pub use vestiary::{Event, Reason};

/// Who hears of events.
pub(crate) type Listener = Arc<dyn Fn(&Event) + Send + Sync>;
