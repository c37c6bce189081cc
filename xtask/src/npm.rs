//! Compiles and packs the npm package, and installs it into the example as npm would.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use flate2::read::GzDecoder;

use crate::{
    notices,
    progress::{Log, Progress},
    root,
    tools::{Compiler, Tools},
    wasm,
};

/// Compiles the TypeScript and packs the package. Two steps. Returns the tarball.
pub(crate) fn build(progress: &Progress, tools: &Tools) -> anyhow::Result<PathBuf> {
    progress.step("TypeScript", |log| compile(log, tools))?;
    progress.step("npm pack", |log| pack(log, tools))
}

/// The folder of the add-on for `sv`.
pub(crate) const ADD_ON: &str = "packages/sv";

/// Bundles the add-on for `sv` into one file. One step.
pub(crate) fn build_add_on(progress: &Progress, tools: &Tools) -> anyhow::Result<()> {
    progress.step("the add-on for sv", |log| {
        tools.bin("rolldown").args(["-c", "rolldown.config.js"]).within(ADD_ON).logged(log)
    })
}

/// Packs the add-on for `sv`. One step. Returns the tarball.
pub(crate) fn pack_add_on(progress: &Progress, tools: &Tools) -> anyhow::Result<PathBuf> {
    let folder = root().join("target/npm");
    progress.step("npm pack, the add-on for sv", |log| {
        tools.npm(&["pack", "--pack-destination"]).args([&folder]).within(ADD_ON).logged(log)
    })?;
    Ok(folder.join(format!("vestiary-sv-{}.tgz", version(&root().join(ADD_ON))?)))
}

fn compile(log: &Log, tools: &Tools) -> anyhow::Result<()> {
    let package = root().join("packages/vestiary");
    let dist = package.join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist)?;
    }
    tools
        .tsc(Compiler::JavaScript)
        .args(["-p", "tsconfig.build.json"])
        .within(&package)
        .logged(log)?;
    to_component(&dist.join("client/use-session.svelte"))?;
    let generated = dist.join("generated");
    fs::create_dir_all(&generated)?;
    for entry in fs::read_dir(wasm::generated())? {
        let entry = entry?;
        fs::copy(entry.path(), generated.join(entry.file_name()))?;
    }
    Ok(())
}

/// Turns a compiled module that has Svelte's runes into a component with that module.
///
/// Vite gives a file with the ending `.svelte` to Svelte's compiler, in every app, for the server and for the browser. It
/// leaves the rest of the package to the server as it is. A condition `svelte` in `exports`, and Svelte as a peer
/// dependency, would make it bundle the whole package with the entry for Node.js, whatever the app is built for.
fn to_component(component: &Path) -> anyhow::Result<()> {
    let module = component.with_extension("svelte.js");
    let text = fs::read_to_string(&module)?.replace("</script", r"<\/script");
    fs::write(
        component,
        format!("<svelte:options runes />\n\n<script module>\n{text}</script>\n"),
    )?;
    Ok(fs::remove_file(module)?)
}

fn pack(log: &Log, tools: &Tools) -> anyhow::Result<PathBuf> {
    let package = root().join("packages/vestiary");
    for license in ["LICENSE-APACHE", "LICENSE-MIT"] {
        fs::copy(root().join(license), package.join(license))?;
    }
    fs::write(package.join("THIRD-PARTY-NOTICES"), third_party()?)?;
    let folder = root().join("target/npm");
    fs::create_dir_all(&folder)?;
    tools.npm(&["pack", "--pack-destination"]).args([&folder]).within(&package).logged(log)?;
    Ok(folder.join(format!("vestiary-{}.tgz", version(&package)?)))
}

/// Writes the notices that the licenses of the crates in the WebAssembly require.
fn third_party() -> anyhow::Result<String> {
    let manifest = root().join("Cargo.toml");
    let target = "wasm32-unknown-unknown";
    notices::of("vestiary-wasm", target, "cargo", &manifest, &["--locked"])
        .map_err(|error| anyhow::anyhow!("the notices of the WebAssembly: {error}"))
}

fn version(package: &Path) -> anyhow::Result<String> {
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(package.join("package.json"))?)?;
    manifest
        .get("version")
        .and_then(|v| v.as_str())
        .map(str::to_owned)
        .context("package.json has no version")
}

/// The apps of the npm workspace that use the packed package.
pub(crate) const EXAMPLES: [&str; 3] =
    ["examples/sveltekit", "examples/openid-connect", "examples/shared-login"];

/// Installs the packed package into the apps, as a real folder, as `npm install vestiary` does.
///
/// A link to the workspace would differ: Vite compiles linked packages into the app, and files that `npm pack` leaves
/// out would be there. The lock file cannot name a tarball, because its hash changes with every build.
pub(crate) fn install(log: &Log, tarball: &Path, apps: &[&str]) -> anyhow::Result<()> {
    for app in apps {
        let modules = root().join(app).join("node_modules");
        let target = modules.join("vestiary");
        if target.exists() {
            fs::remove_dir_all(&target)?;
        }
        let unpacked = root().join("target/npm/unpacked");
        if unpacked.exists() {
            fs::remove_dir_all(&unpacked)?;
        }
        tar::Archive::new(GzDecoder::new(File::open(tarball)?)).unpack(&unpacked)?;
        fs::create_dir_all(&modules)?;
        fs::rename(unpacked.join("package"), &target)?;
        log.note(&format!("{} -> {}", tarball.display(), target.display()))?;
    }
    Ok(())
}
