//! Collects the license notices of the crates in the program, for `vestiary licenses`.

use std::{env, error::Error, fs, path::Path};

#[path = "build/notices.rs"]
mod notices;

fn main() -> Result<(), Box<dyn Error>> {
    for file in ["Cargo.toml", "build.rs", "build/notices.rs"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let manifest = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("Cargo.toml");
    let cargo = env::var("CARGO")?;
    let target = env::var("TARGET")?;
    let of = |options: &[&str]| notices::of("vestiary-cli", &target, &cargo, &manifest, options);
    // Offline first: the linked crates are downloaded already, other crates of the workspace may not be.
    let notices = of(&["--offline", "--locked"]).or_else(|_| of(&[]))?;
    fs::write(Path::new(&env::var("OUT_DIR")?).join("THIRD-PARTY-NOTICES"), notices)?;
    Ok(())
}
