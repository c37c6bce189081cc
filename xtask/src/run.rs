//! Running other programs.

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

    pub(crate) fn within(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(crate::root().join(folder));
        self
    }

    /// Runs it with its output in the log.
    pub(crate) fn logged(mut self, log: &Log) -> anyhow::Result<()> {
        log.note(&format!("$ {:?}", self.command))?;
        let out = File::options().append(true).open(log.path())?;
        self.command.stdout(out.try_clone()?).stderr(out);
        self.finish()
    }

    /// Runs it with its output on the terminal.
    pub(crate) fn shown(mut self) -> anyhow::Result<()> {
        self.finish()
    }

    /// Starts it beside this program, with its output on the terminal.
    pub(crate) fn started(mut self) -> anyhow::Result<Running> {
        let program = self.command.get_program().to_string_lossy().into_owned();
        let child =
            self.command.spawn().with_context(|| format!("`{program}` could not be started"))?;
        Ok(Running(child))
    }

    /// Its standard output, if it can be run and succeeds.
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

/// The cargo that runs this program.
pub(crate) fn cargo(args: &[&str]) -> Run {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Run::new(cargo).args(args)
}
