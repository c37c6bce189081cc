use std::time::Duration;

use crate::{MaybeSend, MaybeSync};

/// A listener of a store's feed of changes: [`Store::watch`](crate::Store::watch).
pub trait ChangeListener: MaybeSend + MaybeSync {
    /// A record with this name ([`Store::name_of`](crate::Store::name_of)) has changed.
    fn changed(&self, name: &str);
    /// From now on no change is missed. Any earlier one may have been.
    fn connected(&self);
}

/// How a store is asked about changes: [`Store::polling`](crate::Store::polling).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Polling {
    /// The time between two questions about a record.
    pub every: Duration,
    /// The maximum number of keys in one question.
    pub most: usize,
}
