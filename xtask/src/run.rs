//! Runs other programs.

use std::{
    ffi::OsStr,
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, bail};

use crate::progress::Log;

/// A program to run in the root of the repository.
pub(crate) struct Run {
    command: Command,
}

impl Run {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.current_dir(crate::root()).stdin(Stdio::null());
        Self { command }
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn envs(mut self, all: &[(&str, &OsStr)]) -> Self {
        self.command.envs(all.iter().copied());
        self
    }

    pub(crate) fn within(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(crate::root().join(folder));
        self
    }

    /// Gives the program only a third of the processor's time beside another one, because tests that run at the same time
    /// have deadlines.
    pub(crate) fn gently(self) -> Self {
        if cfg!(not(unix)) {
            return self;
        }
        let mut nice = Command::new("nice");
        nice.args(["-n", "5"])
            .arg(self.command.get_program())
            .args(self.command.get_args())
            .stdin(Stdio::null());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => nice.env(name, value),
                None => nice.env_remove(name),
            };
        }
        if let Some(folder) = self.command.get_current_dir() {
            nice.current_dir(folder);
        }
        Self { command: nice }
    }

    /// Runs the program with its output in the log.
    pub(crate) fn logged(mut self, log: &Log) -> anyhow::Result<()> {
        log.note(&format!("$ {:?}", self.command))?;
        let out = File::options().append(true).open(log.path())?;
        self.command.stdout(out.try_clone()?).stderr(out);
        self.finish()
    }

    /// Runs the program with its output on the terminal.
    pub(crate) fn shown(mut self) -> anyhow::Result<()> {
        self.finish()
    }

    /// Starts the program in the background, with its output on the terminal.
    pub(crate) fn started(mut self) -> anyhow::Result<Running> {
        let program = self.command.get_program().to_string_lossy().into_owned();
        let child =
            self.command.spawn().with_context(|| format!("`{program}` could not be started"))?;
        Ok(Running(child))
    }

    /// Runs the program, and returns its standard output if it succeeds.
    pub(crate) fn output(mut self) -> Option<String> {
        let output = self.command.stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        let program = self.command.get_program().to_string_lossy().into_owned();
        let status =
            self.command.status().with_context(|| format!("`{program}` could not be started"))?;
        if !status.success() {
            bail!("`{program}` ended with {status}");
        }
        Ok(())
    }
}

/// A program that runs until this is dropped.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, as with Ctrl-C.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The `cargo` that runs this program.
pub(crate) fn cargo(args: &[&str]) -> Run {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Run::new(cargo).args(args)
}

/// A `cargo` command that builds with clippy in place of rustc, and takes all warnings of clippy for errors. It builds the
/// code that it checks, so that dependencies are not compiled a second time for `cargo clippy`.
pub(crate) fn with_clippy(cargo: Run) -> Run {
    let driver = std::env::var_os("CARGO").map_or_else(
        || "clippy-driver".into(),
        |it| Path::new(&it).with_file_name("clippy-driver"),
    );
    // `cargo clippy` does the same.
    cargo
        .env("RUSTC_WORKSPACE_WRAPPER", driver)
        .env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gentle_program_has_its_arguments_environment_and_folder() {
        let run =
            || Run::new("sh").args(["-c", "echo $GREETING $0", "you"]).env("GREETING", "hello");
        assert_eq!(run().gently().output().unwrap(), "hello you");
        let folder = Run::new("pwd").within("xtask/src").gently().output().unwrap();
        assert!(folder.ends_with("xtask/src"), "{folder}");
    }
}
