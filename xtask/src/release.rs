//! `cargo xtask release --dry-run`: checks that everything is ready for a release, and prints the steps of making it.
//! `.github/workflows/release.yml` makes the release when a tag is pushed. No developer's machine has the rights.

mod manifests;

use std::{fs, path::Path};

use anyhow::{Context as _, bail, ensure};
use clap::Args as ClapArgs;
use flate2::read::GzDecoder;

use crate::{
    npm,
    progress::{Log, Progress},
    root,
    run::cargo,
    tools, wasm,
};

use self::manifests::Manifests;

/// The published crates. Each comes after its dependencies.
const CRATES: [&str; 4] = ["vestiary", "vestiary-store", "vestiary-tower", "vestiary-cli"];

/// The files that every published crate has.
const IN_EACH_CRATE: [&str; 4] = ["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

/// The files and folders of both npm packages.
const IN_BOTH_PACKAGES: [&str; 6] =
    ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "THIRD-PARTY-NOTICES", "dist", "package.json"];

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Check and pack everything, and print the steps of the release
    #[arg(long)]
    dry_run: bool,
    /// The tag that makes the release, such as v1.2.3. With it, nothing may be left to do
    #[arg(long, requires = "dry_run")]
    tag: Option<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if !args.dry_run {
        bail!(
            "a release is made by pushing its tag, which starts .github/workflows/release.yml: see CONTRIBUTING.md. \
             `cargo xtask release --dry-run` says what is left to do, and which tag that is"
        );
    }
    let progress = Progress::new("release", 12);
    let manifests = Manifests::read()?;
    let version = manifests.version()?;
    let mut left = Vec::new();
    progress.check("one version everywhere", |log| {
        ensure!(manifests.others(&version).is_empty(), "{}", manifests.others(&version).join("\n"));
        log.say(format!("{version}, in {} places", manifests.versions.len()));
        Ok(())
    })?;
    left.extend(manifests.missing_metadata());
    let changelog = fs::read_to_string(root().join("CHANGELOG.md"))?;
    left.extend(section(&changelog, &version));
    let tools = tools::set_up(&progress)?;
    wasm::build(&progress, &tools)?;
    let tarball = npm::build(&progress, &tools)?;
    progress.check("what the npm package has", |log| {
        let notices = fs::read_to_string(root().join("packages/vestiary/THIRD-PARTY-NOTICES"))?;
        let without = without_a_text(&notices);
        ensure!(without.is_empty(), "no text of the license of {}", without.join(", "));
        contents(log, &tarball, &["bin"])
    })?;
    npm::build_add_on(&progress, &tools)?;
    let add_on = npm::pack_add_on(&progress, &tools)?;
    progress.check("what the add-on for sv has", |log| contents(log, &add_on, &[]))?;
    progress.check("cargo package, and the crates compiled from their packages", package)?;

    let tag = format!("v{version}");
    if let Some(given) = &args.tag {
        ensure!(*given == tag, "the tag is {given}, and the version {version}");
        ensure!(left.is_empty(), "left to do:\n- {}", left.join("\n- "));
    }
    println!("\nA release of {version} would:");
    println!("1. publish the crates {}, in this order", CRATES.join(", "));
    println!("2. publish the npm packages vestiary, {}, and", tarball.display());
    println!("   @vestiary/sv, {}, with their provenance", add_on.display());
    println!("It is made by `git tag -s {tag} && git push origin {tag}`.");
    if !left.is_empty() {
        println!("\nLeft to do before:\n- {}", left.join("\n- "));
    }
    Ok(())
}

/// Whether the changelog has a dated section for the version.
fn section(changelog: &str, version: &str) -> Option<String> {
    let heading = format!("## [{version}] - ");
    let has = changelog.lines().any(|line| {
        let date = line.strip_prefix(&heading).unwrap_or_default();
        date.len() == 10 && date.chars().all(|sign| sign.is_ascii_digit() || sign == '-')
    });
    (!has).then(|| format!("CHANGELOG.md: make `## [Unreleased]` the section `{heading}<date>`"))
}

/// Checks that a packed package has exactly the files of both packages, and these.
fn contents(log: &Log, tarball: &Path, more: &[&str]) -> anyhow::Result<()> {
    let mut archive = tar::Archive::new(GzDecoder::new(fs::File::open(tarball)?));
    let mut paths = Vec::new();
    for entry in archive.entries()? {
        let path = entry?.path()?.to_string_lossy().into_owned();
        log.note(&path)?;
        paths.push(path.strip_prefix("package/").unwrap_or(&path).to_owned());
    }
    same(&paths, &[&IN_BOTH_PACKAGES, more].concat())
}

/// The crates in the notices whose license text is missing.
fn without_a_text(notices: &str) -> Vec<&str> {
    let (list, texts) = notices.split_once("\n-----").unwrap_or((notices, ""));
    // `name version: license, repository`, below the line of the standard library.
    let crates = list.lines().filter_map(|line| Some(line.split_once(": ")?.0));
    let named = |name: &str| texts.lines().any(|line| line.split(", ").any(|one| one == name));
    crates.filter(|name| *name != "The Rust standard library" && !named(name)).collect()
}

fn same(paths: &[String], expected: &[&str]) -> anyhow::Result<()> {
    let first = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    for name in expected {
        ensure!(paths.iter().any(|path| first(path) == *name), "{name} is missing");
    }
    let other = paths.iter().find(|path| !expected.contains(&first(path).as_str()));
    ensure!(other.is_none(), "{} does not belong there", other.map_or("", |path| path));
    Ok(())
}

/// Packs the crates, and compiles each packed one.
fn package(log: &Log) -> anyhow::Result<()> {
    for name in CRATES {
        let list = cargo(&["package", "--list", "--allow-dirty", "-p", name]).output();
        let list = list.with_context(|| format!("`cargo package --list -p {name}` failed"))?;
        for file in IN_EACH_CRATE {
            ensure!(list.lines().any(|line| line == file), "{name} is packed without {file}");
        }
    }
    let packed = |crates: &[&str]| {
        let packages = crates.iter().flat_map(|name| ["-p", *name]);
        // `cargo publish` refuses changes that are not committed.
        cargo(&["package", "--locked", "--allow-dirty"]).args(packages).gently()
    };
    // The build of the tool asks cargo for the licenses of its dependencies, so they must be published before the tool can
    // be compiled.
    let (_, others) = CRATES.split_last().context("no crate is published")?;
    packed(others).logged(log)?;
    packed(&CRATES).args(["--no-verify"]).logged(log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_its_section_with_a_date() {
        let changelog = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-11-26\n\n## [1.2.2]\n";
        assert_eq!(section(changelog, "1.2.3"), None);
        assert!(section(changelog, "1.2.2").is_some() && section(changelog, "1.2.4").is_some());
    }

    #[test]
    fn each_crate_has_the_text_of_its_license() {
        let list = "The Rust standard library: MIT, r\na 1.0.0: MIT, r\nb 2.0.0: ISC, r\n";
        assert_eq!(without_a_text(&format!("{list}\n-----\na 1.0.0, b 2.0.0\n\nT\n")), [""; 0]);
        assert_eq!(without_a_text(&format!("{list}\n-----\na 1.0.0\n\nT\n")), ["b 2.0.0"]);
    }

    #[test]
    fn a_package_has_its_files_and_no_others() {
        let paths =
            |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        same(&paths(&["a.md", "dist/b.js"]), &["a.md", "dist"]).unwrap();
        same(&paths(&["a.md"]), &["a.md", "dist"]).unwrap_err();
        same(&paths(&["a.md", "dist/b.js", "src/c.ts"]), &["a.md", "dist"]).unwrap_err();
    }
}
