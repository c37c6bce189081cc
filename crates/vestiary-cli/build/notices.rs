//! The notices that the licenses of linked crates require, from Cargo's metadata. `xtask` uses it for the npm package,
//! too.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fmt::Write as _,
    fs,
    path::Path,
    process::Command,
};

use serde_json::Value;

/// The notices of all crates that are linked into `package`, built for `target`. `options` are further options of
/// `cargo metadata`.
pub(crate) fn of(
    package: &str,
    target: &str,
    cargo: &str,
    manifest: &Path,
    options: &[&str],
) -> Result<String, Box<dyn Error>> {
    let mut metadata = Command::new(cargo);
    metadata.args(["metadata", "--format-version", "1", "--filter-platform", target]);
    let output = metadata.args(options).arg("--manifest-path").arg(manifest).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let linked = linked(&metadata, package).ok_or("`cargo metadata` has no dependencies")?;
    let packages = list(&metadata, "packages");
    let mut crates: Vec<&Value> = packages
        .filter(|one| linked.contains(text(one, "id")) && one["source"].is_string())
        .collect();
    crates.sort_by_key(|one| (text(one, "name"), text(one, "version")));
    render(&crates)
}

/// The IDs of the packages whose code ends up in `package`, without those that only run while it is built.
fn linked<'m>(metadata: &'m Value, package: &str) -> Option<BTreeSet<&'m str>> {
    let macros: BTreeSet<&str> = list(metadata, "packages")
        .filter(|one| {
            list(one, "targets").any(|target| kinds(target).any(|kind| kind == "proc-macro"))
        })
        .map(|one| text(one, "id"))
        .collect();
    let nodes: BTreeMap<&str, &Value> =
        list(&metadata["resolve"], "nodes").map(|node| (text(node, "id"), node)).collect();
    let root = list(metadata, "packages").find(|one| text(one, "name") == package)?;
    let mut found = BTreeSet::new();
    let mut open = vec![text(root, "id")];
    while let Some(id) = open.pop() {
        if macros.contains(id) || !found.insert(id) {
            continue;
        }
        let normal =
            |dependency: &&Value| list(dependency, "dep_kinds").any(|kind| kind["kind"].is_null());
        open.extend(list(nodes.get(id)?, "deps").filter(normal).map(|one| text(one, "pkg")));
    }
    Some(found)
}

fn render(crates: &[&Value]) -> Result<String, Box<dyn Error>> {
    let mut notices = String::from(
        "This program contains the following software of others.\n\nThe Rust standard library: MIT OR \
         Apache-2.0, https://www.rust-lang.org\n",
    );
    // Many crates share a text, so each text is printed once.
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in crates {
        let (name, version) = (text(one, "name"), text(one, "version"));
        let license = one["license"].as_str().unwrap_or("see below");
        writeln!(notices, "{name} {version}: {license}, {}", text(one, "repository"))?;
        for file in licenses(one)? {
            texts.entry(file).or_default().push(format!("{name} {version}"));
        }
    }
    for (text, names) in texts {
        let line = "-".repeat(78);
        write!(notices, "\n{line}\n{}\n\n{}\n", names.join(", "), text.trim_end())?;
    }
    Ok(notices)
}

/// The texts of a crate's license. If MIT is one choice, the text of MIT: it is the shortest.
fn licenses(package: &Value) -> Result<Vec<String>, Box<dyn Error>> {
    let folder = Path::new(text(package, "manifest_path")).parent().ok_or("no folder")?;
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().to_uppercase());
        let name = name.unwrap_or_default();
        let prefixes = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];
        if path.is_file() && prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            // The command line prints line breaks, and no other control characters.
            let text = String::from_utf8_lossy(&fs::read(&path)?).replace("\r\n", "\n");
            let text =
                text.replace('\t', "    ").replace(|c: char| c.is_control() && c != '\n', "");
            files.insert(name, text);
        }
    }
    let expression = package["license"].as_str().unwrap_or_default();
    let mit = files.iter().find(|(name, _)| name.contains("MIT"));
    if let (true, Some((_, mit))) = (is_choice_with_mit(expression), mit) {
        return Ok(vec![mit.clone()]);
    }
    Ok(files.into_values().collect())
}

fn is_choice_with_mit(expression: &str) -> bool {
    !expression.contains("AND") && expression.split([' ', '/', '(', ')']).any(|one| one == "MIT")
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value[name].as_array().into_iter().flatten()
}

fn kinds(target: &Value) -> impl Iterator<Item = &str> {
    list(target, "kind").filter_map(Value::as_str)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}
