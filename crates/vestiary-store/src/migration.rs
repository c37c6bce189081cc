//! Migrates session data of older versions.

use std::sync::Arc;

use serde_json::{Map, Value};
use vestiary::{Limits, merge};

use crate::{Sessions, Stored};

/// The application's function: changes data of an older version.
pub(crate) type Migration = Arc<dyn Fn(&mut Map<String, Value>, u32) + Send + Sync>;

impl Sessions {
    /// The session's data in the version of this service ([`Config::version`](crate::Config::version)), as the JSON text
    /// of an object. `None` if the stored data has this version, or a newer one.
    #[must_use]
    pub fn migrated(&self, stored: &Stored) -> Option<String> {
        let version = self.options().outdated(stored.meta())?;
        Some(self.migrate(stored.data(), version))
    }

    /// Migrates data of an older version. Members that the function leaves alone stay byte for byte. Data that Rust cannot
    /// represent stays as it is.
    pub(crate) fn migrate(&self, data: &str, version: u32) -> String {
        let migrated = || {
            let migrate = self.inner.migration.as_ref()?;
            let mut members: Map<String, Value> = serde_json::from_str(data).ok()?;
            let before = serde_json::to_string(&members).ok()?;
            migrate(&mut members, version);
            let after = serde_json::to_string(&members).ok()?;
            merge(&before, &after, data, Limits { bytes: usize::MAX, ..Limits::LOAD }).ok()
        };
        migrated().unwrap_or_else(|| data.to_owned())
    }
}
