//! Numbered steps on the terminal: what runs, for how long, and where its output went.

use std::{
    fs::{self, File},
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::Context as _;

/// The steps of one task.
pub(crate) struct Progress {
    task: &'static str,
    steps: usize,
    done: usize,
}

impl Progress {
    pub(crate) fn new(task: &'static str, steps: usize) -> Self {
        Self { task, steps, done: 0 }
    }

    /// Runs a step whose output goes to a log file. If it fails, the end of the log is printed.
    pub(crate) fn step<T>(
        &mut self,
        name: &str,
        work: impl FnOnce(&Log) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.done += 1;
        let label = format!("[{:>2}/{}] {name}", self.done, self.steps);
        let log = Log::create(self.task, self.done, name)?;
        let ticker = Ticker::start(label.clone());
        let result = work(&log);
        let seconds = ticker.stop();
        match &result {
            Ok(_) => println!("{label}  ok, {seconds} s"),
            Err(_) => println!(
                "{label}  FAILED after {seconds} s\n{}\n(all of it: {})",
                log.tail(),
                log.path.display()
            ),
        }
        result.with_context(|| format!("{name} failed"))
    }
}

/// The output of a step.
pub(crate) struct Log {
    path: PathBuf,
}

impl Log {
    fn create(task: &str, number: usize, name: &str) -> anyhow::Result<Self> {
        let folder = crate::root().join("target/xtask/logs").join(task);
        fs::create_dir_all(&folder)?;
        let slug: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let path = folder.join(format!("{number:02}-{}.log", slug.to_lowercase()));
        File::create(&path)?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn text(&self) -> String {
        fs::read(&self.path)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Adds a line.
    pub(crate) fn note(&self, line: &str) -> anyhow::Result<()> {
        let mut file = File::options().append(true).open(&self.path)?;
        Ok(writeln!(file, "{line}")?)
    }

    fn tail(&self) -> String {
        const LINES: usize = 80;
        let text = self.text();
        let lines: Vec<_> = text.lines().collect();
        lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n")
    }
}

/// Shows that a step is alive: a running count on a terminal, a line every half minute elsewhere.
struct Ticker {
    stopped: Arc<(Mutex<bool>, Condvar)>,
    thread: thread::JoinHandle<u64>,
}

impl Ticker {
    fn start(label: String) -> Self {
        let stopped = Arc::new((Mutex::new(false), Condvar::new()));
        let shared = Arc::clone(&stopped);
        let thread = thread::spawn(move || {
            let terminal = std::io::stdout().is_terminal();
            let mut seconds = 0;
            let (flag, wake) = &*shared;
            let mut stop = flag.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                if terminal {
                    print!("\r{label}  {seconds} s ");
                    let _ = std::io::stdout().flush();
                } else if seconds > 0 && seconds % 30 == 0 {
                    println!("{label}  … {seconds} s");
                }
                let (guard, timeout) = wake
                    .wait_timeout(stop, Duration::from_secs(1))
                    .unwrap_or_else(PoisonError::into_inner);
                stop = guard;
                if *stop {
                    if terminal {
                        print!("\r\x1b[2K");
                    }
                    return seconds;
                }
                if timeout.timed_out() {
                    seconds += 1;
                }
            }
        });
        Self { stopped, thread }
    }

    fn stop(self) -> u64 {
        let (flag, wake) = &*self.stopped;
        *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
        wake.notify_all();
        self.thread.join().unwrap_or_default()
    }
}
