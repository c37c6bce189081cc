//! Builds the WebAssembly core and its glue code into `packages/vestiary/src/generated`.

use std::{env, fs, io::Write as _, path::PathBuf};

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use wasm_bindgen_cli_support::Bindgen;

use crate::{
    progress::{Log, Progress},
    root,
    run::cargo,
    tools::Tools,
};

/// The largest size of the core in a bundle, gzipped.
const LARGEST_GZIP: usize = 110 * 1024;

/// The stack ends below 1,024, where no address is computed.
///
/// The last three make the module larger, but a hundredth smaller when gzipped: functions that stay apart and
/// expressions that are written twice repeat each other.
const OPTIMISATIONS: [&str; 7] = [
    "-Oz",
    "--converge",
    "--low-memory-unused",
    "--strip-target-features",
    "--one-caller-inline-max-function-size=30",
    "--always-inline-max-function-size=4",
    "--skip-pass=local-cse",
];

/// Flags that omit the messages and places of panics, which no reader sees. A panic still ends the module. Applied to `core`
/// and `alloc` as well, they save 3 KB gzipped. They are unstable, but the toolchain is pinned.
const WITHOUT_MESSAGES: [&str; 4] =
    ["-Zlocation-detail=none", "-Zfmt-debug=none", "-Zunstable-options", "-Cpanic=immediate-abort"];

/// The folder of generated code, which git ignores.
pub(crate) fn generated() -> PathBuf {
    root().join("packages/vestiary/src/generated")
}

/// Compiles, binds and optimises. One step.
pub(crate) fn build(progress: &Progress, tools: &Tools) -> anyhow::Result<()> {
    progress.step("WebAssembly core", |log| compile(log, tools))
}

fn compile(log: &Log, tools: &Tools) -> anyhow::Result<()> {
    let mut flags = remapped()?;
    flags.extend(WITHOUT_MESSAGES.map(String::from));
    // When gzipped, repeated expressions are smaller than variables for their values.
    flags.push("-Cllvm-args=-enable-pre=0".into());
    // Builds operations without futures: see `vestiary::protocol::Pending`.
    flags.push("--cfg=plain".into());
    let flags = format!("target.wasm32-unknown-unknown.rustflags={flags:?}");
    cargo(&[
        "build",
        "-Zbuild-std=core,alloc",
        "--config",
        &flags,
        "--locked",
        "--profile",
        "wasm",
        "--target",
        "wasm32-unknown-unknown",
        "-p",
        "vestiary-wasm",
    ])
    .env("RUSTC_BOOTSTRAP", "1")
    .logged(log)?;
    let work = root().join("target/xtask/wasm");
    fs::create_dir_all(&work)?;
    // `omit_default_module_path` keeps out `new URL('….wasm', import.meta.url)`, which makes Vite
    // emit a file that no page loads.
    Bindgen::new()
        .input_path(root().join("target/wasm32-unknown-unknown/wasm/vestiary_wasm.wasm"))
        .out_name("vestiary")
        .web(true)?
        .omit_default_module_path(true)
        .remove_producers_section(true)
        .remove_name_section(true)
        .typescript(true)
        .generate(&work)
        .context("wasm-bindgen failed")?;
    let optimised = work.join("vestiary.wasm");
    tools
        .bin("wasm-opt")
        .args(OPTIMISATIONS)
        .args(["vestiary_bg.wasm", "-o", "vestiary.wasm"])
        .within(&work)
        .logged(log)?;

    let wasm = fs::read(&optimised)?;
    let gzip = gzipped(&wasm)?;
    let sizes = format!("{} bytes, {gzip} gzipped", wasm.len());
    log.note(&sizes)?;
    log.say(sizes);
    if gzip > LARGEST_GZIP {
        bail!("the core has {gzip} bytes gzipped, more than the {LARGEST_GZIP} promised");
    }
    let generated = generated();
    fs::create_dir_all(&generated)?;
    fs::write(generated.join("vestiary.wasm"), &wasm)?;
    for file in ["vestiary.js", "vestiary.d.ts"] {
        fs::copy(work.join(file), generated.join(file))?;
    }
    fs::write(
        generated.join("wasm-base64.js"),
        format!("export default '{}';\n", STANDARD.encode(&wasm)),
    )?;
    fs::write(
        generated.join("wasm-base64.d.ts"),
        "declare const base64: string;\nexport default base64;\n",
    )?;
    Ok(())
}

/// Flags that remove the folder of the dependencies from the module. These paths of this machine are a hundredth of its
/// size.
fn remapped() -> anyhow::Result<Vec<String>> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let sources = home.context("the folder of cargo is not known")?.join("registry/src");
    let mut flags = Vec::new();
    for folder in fs::read_dir(&sources).into_iter().flatten() {
        flags.push(format!("--remap-path-prefix={}/=", folder?.path().display()));
    }
    Ok(flags)
}

fn gzipped(bytes: &[u8]) -> anyhow::Result<usize> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len())
}
