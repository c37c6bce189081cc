//! The SvelteKit package, run by Node.js.

use std::process::Command;

use super::{program, repository};

/// Runs a module beside the sources of the npm package, and returns its output.
pub fn run(module: &str, arguments: &[&str]) -> String {
    let package = repository().join("packages/vestiary");
    assert!(
        package.join("dist/stores/sqlite.js").is_file(),
        "the npm package is needed: build it with `cargo xtask build`"
    );
    let ours = repository().join("target/tools/node/node_modules/.bin/node");
    let advice = "install Node.js 22.17 or newer, or let `cargo xtask build` do it";
    let output = Command::new(program("NODE", "node", &[ours], advice))
        .args(["--input-type=module", "--eval", module, "--"])
        .args(arguments)
        .current_dir(package)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}
