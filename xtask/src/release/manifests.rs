//! The manifests of all packages: their versions, and the fields that registries show.

use std::fs;

use anyhow::Context as _;
use serde_json::Value;

use crate::{root, run::cargo};

/// The add-on for `sv`, which has the version of the npm package.
const ADD_ON: &str = "packages/sv/package.json";
/// The npm package, and the packages that depend on it.
const PACKAGE: &str = "packages/vestiary/package.json";
const DEPENDENTS: [&str; 6] = [
    "benches/web/app/package.json",
    "benches/web/package.json",
    "examples/openid-connect/package.json",
    "examples/shared-login/package.json",
    "examples/sveltekit-cloudflare/package.json",
    "examples/sveltekit/package.json",
];

pub(super) struct Manifests {
    /// Each place in a manifest, with its version.
    pub(super) versions: Vec<(String, String)>,
    package: Value,
    /// The repository of the crates.
    repository: Option<String>,
}

impl Manifests {
    pub(super) fn read() -> anyhow::Result<Self> {
        let metadata = cargo(&["metadata", "--locked", "--no-deps", "--format-version", "1"]);
        let metadata = metadata.output().context("`cargo metadata` failed")?;
        let package = json(PACKAGE)?;
        let mut manifests =
            Self::of_crates(&serde_json::from_str(&metadata)?, package).context("no metadata")?;
        let add_on = json(ADD_ON)?;
        let version = add_on.get("version").and_then(Value::as_str).context(ADD_ON)?;
        manifests.versions.push((ADD_ON.to_owned(), version.to_owned()));
        for path in DEPENDENTS {
            let manifest = json(path)?;
            let fields =
                ["dependencies", "devDependencies"].iter().filter_map(|it| manifest.get(it));
            let mut versions = fields.filter_map(|it| it.get("vestiary")?.as_str());
            let version = versions.next().with_context(|| format!("{path} needs no vestiary"))?;
            manifests.versions.push((path.to_owned(), version.trim_start_matches('^').to_owned()));
        }
        Ok(manifests)
    }

    fn of_crates(metadata: &Value, package: Value) -> Option<Self> {
        let mut versions = vec![(PACKAGE.to_owned(), package.get("version")?.as_str()?.to_owned())];
        let mut repository = None;
        for one in metadata.get("packages")?.as_array()? {
            // Crates that are never published have versions of their own.
            if one.get("publish").is_some_and(Value::is_array) {
                continue;
            }
            let name = one.get("name")?.as_str()?;
            versions.push((name.to_owned(), one.get("version")?.as_str()?.to_owned()));
            repository = one.get("repository").and_then(Value::as_str).map(str::to_owned);
            for dependency in one.get("dependencies")?.as_array()? {
                let other = dependency.get("name")?.as_str()?;
                let requirement = dependency.get("req")?.as_str()?.trim_start_matches('^');
                // A dependency without a version is for tests only.
                if dependency.get("path").is_some() && requirement != "*" {
                    versions.push((format!("{other} in {name}"), requirement.to_owned()));
                }
            }
        }
        Some(Self { versions, package, repository })
    }

    /// The version of the core crate.
    pub(super) fn version(&self) -> anyhow::Result<String> {
        let found = self.versions.iter().find(|(place, _)| place == "vestiary");
        found.map(|(_, version)| version.clone()).context("there is no crate `vestiary`")
    }

    /// The places with another version.
    pub(super) fn others(&self, version: &str) -> Vec<String> {
        let others = self.versions.iter().filter(|(_, it)| it != version);
        others.map(|(place, it)| format!("{place} has {it}, not {version}")).collect()
    }

    /// Fields that registries need to link to the repository. npm refuses provenance without it.
    pub(super) fn missing_metadata(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.repository.is_none() {
            missing.push("Cargo.toml: set `workspace.package.repository`".to_owned());
        }
        for field in ["repository", "homepage", "bugs"] {
            if self.package.get(field).is_none() {
                missing.push(format!("{PACKAGE}: set `{field}`"));
            }
        }
        missing
    }
}

fn json(path: &str) -> anyhow::Result<Value> {
    let text = fs::read(root().join(path)).with_context(|| path.to_owned())?;
    serde_json::from_slice(&text).with_context(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifests(crates: &Value, package: Value) -> Manifests {
        Manifests::of_crates(&json!({ "packages": crates }), package).unwrap()
    }

    #[test]
    fn another_version_is_found_wherever_it_stands() {
        let dependency =
            |req| json!({ "name": "vestiary", "req": req, "path": "/crates/vestiary" });
        let crates = json!([
            { "name": "vestiary", "version": "1.2.3", "publish": null, "dependencies": [] },
            { "name": "xtask", "version": "0.0.0", "publish": [], "dependencies": [] },
            { "name": "vestiary-store", "version": "1.2.3", "publish": null,
              "dependencies": [dependency("^1.2.2"), dependency("*"), { "name": "serde", "req": "^1" }] }
        ]);
        let manifests = manifests(&crates, json!({ "version": "1.2.4" }));
        let version = manifests.version().unwrap();
        assert_eq!(
            manifests.others(&version),
            [
                "packages/vestiary/package.json has 1.2.4, not 1.2.3",
                "vestiary in vestiary-store has 1.2.2, not 1.2.3"
            ]
        );
    }

    #[test]
    fn missing_registry_metadata_is_reported() {
        let one = |repository: Value| json!([{ "name": "vestiary", "version": "1.0.0", "publish": null, "repository": repository, "dependencies": [] }]);
        let missing =
            manifests(&one(Value::Null), json!({ "version": "1.0.0" })).missing_metadata();
        assert_eq!(missing.len(), 4, "{missing:?}");
        let package =
            json!({ "version": "1.0.0", "repository": "r", "homepage": "h", "bugs": "b" });
        assert_eq!(manifests(&one(json!("r")), package).missing_metadata(), [""; 0]);
    }
}
