//! The results of a group, as JSON for the report and as a table for the terminal.

use std::{collections::BTreeMap, fs, io, path::Path, process::Command};

use serde::Serialize;

use crate::harness::{Measured, Spread};

/// The results of a group of benchmarks.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) group: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) lower_is_better: bool,
    /// The method, in one sentence.
    pub(crate) method: &'static str,
    pub(crate) seed: u64,
    pub(crate) versions: BTreeMap<&'static str, String>,
    pub(crate) machine: Machine,
    pub(crate) rows: Vec<Row>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) peer: &'static str,
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) samples: usize,
    /// The unit, if it is not the group's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<&'static str>,
    /// The peer whose cost was subtracted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) over: Option<&'static str>,
    /// The components of the number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) detail: BTreeMap<&'static str, f64>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    memory: String,
    kernel: String,
    rustc: String,
}

impl Row {
    pub(crate) fn new(case: impl Into<String>, peer: &'static str, spread: Spread) -> Self {
        let Spread { median, low, high, samples } = spread;
        let detail = BTreeMap::new();
        Self { case: case.into(), peer, median, low, high, samples, unit: None, over: None, detail }
    }

    pub(crate) fn over(self, peer: &'static str) -> Self {
        Self { over: Some(peer), ..self }
    }

    pub(crate) fn unit(self, unit: &'static str) -> Self {
        Self { unit: Some(unit), ..self }
    }

    pub(crate) fn detail(mut self, name: &'static str, value: f64) -> Self {
        self.detail.insert(name, value);
        self
    }

    /// The absolute value, and the one over the baseline if there is one.
    pub(crate) fn of(measured: Vec<Measured>) -> Vec<Self> {
        let rows = measured.into_iter().flat_map(|Measured { case, peer, each, over }| {
            let over = over.map(|(bare, spread)| Self::new(case.as_str(), peer, spread).over(bare));
            [Some(Self::new(case.as_str(), peer, each)), over]
        });
        rows.flatten().collect()
    }
}

impl Report {
    /// Writes `<group>.json` into this folder.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        fs::write(folder.join(format!("{}.json", self.group)), text + "\n")
    }

    /// Prints the group: a line for each case and peer.
    pub(crate) fn print(&self) {
        println!("\n{} ({}): {}", self.group, self.unit, self.title);
        for row in &self.rows {
            let Row { case, peer, median, low, high, .. } = row;
            let mut notes: Vec<_> =
                row.detail.iter().map(|(name, value)| format!("{name} {value:.2}")).collect();
            notes.extend(row.over.map(|peer| format!("over {peer}")));
            notes.extend(row.unit.map(str::to_owned));
            println!(
                "  {case:44} {peer:26} {median:>12.1}  [{low:.1} .. {high:.1}]  {}",
                notes.join(", ")
            );
        }
    }
}

impl Machine {
    pub(crate) fn this() -> Self {
        let field = |path: &str, name: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim_start_matches([' ', '\t', ':']).to_owned()
        };
        let rustc = Command::new("rustc").arg("--version").output();
        let rustc = rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        Self {
            cpu: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: field("/proc/meminfo", "MemTotal"),
            kernel: field("/proc/sys/kernel/osrelease", ""),
            rustc: rustc.unwrap_or_default(),
        }
    }
}

/// The measured versions, from the lock file.
pub(crate) fn versions() -> BTreeMap<&'static str, String> {
    const LOCK: &str = include_str!("../Cargo.lock");
    const NAMES: [&str; 12] = [
        "actix-session",
        "actix-web",
        "axum",
        "axum_session",
        "cookie",
        "hmac",
        "sha2",
        "tokio",
        "tower-sessions",
        "tower-sessions-moka-store",
        "tower-sessions-sqlx-store",
        "vestiary",
    ];
    let version = |name: &str| {
        let entries = LOCK.split("[[package]]").filter_map(|entry| {
            let mut lines = entry.lines().filter(|line| !line.is_empty());
            let named = lines.next()? == format!("name = \"{name}\"");
            let version = lines.next()?.strip_prefix("version = ")?.trim_matches('"');
            named.then(|| version.to_owned())
        });
        // The newest of several is the one that is depended on here.
        entries.last()
    };
    NAMES.into_iter().filter_map(|name| Some((name, version(name)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_names_the_versions() {
        let versions = versions();
        assert_eq!(versions["tower-sessions"], "0.15.0");
        assert_eq!(versions.len(), 12);
    }
}
