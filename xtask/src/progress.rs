//! Shows numbered steps on the terminal, with their names, times, and logs.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;

/// The steps of one task. Lanes may run steps at the same time; each step prints one block when it ends.
pub(crate) struct Progress {
    task: &'static str,
    steps: usize,
    began: Instant,
    board: Arc<Mutex<Board>>,
}

/// The state of all steps.
#[derive(Default)]
struct Board {
    started: usize,
    running: Vec<Running>,
    ended: Vec<Ended>,
    /// The block of each step that failed.
    failures: Vec<String>,
}

struct Running {
    number: usize,
    label: String,
    began: Instant,
}

/// A step that succeeded.
struct Ended {
    number: usize,
    name: String,
    seconds: u64,
    passed: Option<usize>,
}

/// The error of a step that did not start, because a step of another lane had failed.
#[derive(Debug)]
pub(crate) struct NotStarted;

impl std::fmt::Display for NotStarted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not started, because another step failed")
    }
}

impl std::error::Error for NotStarted {}

impl Progress {
    pub(crate) fn new(task: &'static str, steps: usize) -> Self {
        // Logs are named by the numbers of their steps, which may differ from the previous run.
        let _ = fs::remove_dir_all(logs(task));
        Self { task, steps, began: now(), board: Arc::default() }
    }

    /// Runs a step with its output in a log file. If it fails, prints the end of the log.
    pub(crate) fn step<T>(
        &self,
        name: &str,
        work: impl FnOnce(&Log) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.counted(name, |log| Ok((work(log)?, None)))
    }

    fn counted<T>(
        &self,
        name: &str,
        work: impl FnOnce(&Log) -> anyhow::Result<(T, Option<usize>)>,
    ) -> anyhow::Result<T> {
        let (number, label) = self.begin(name)?;
        let log = Log::create(self.task, number, name)?;
        let ticker = Ticker::start(Arc::clone(&self.board), number);
        let result = work(&log);
        ticker.stop();
        self.end(number, name, &label, &log, result).with_context(|| format!("{name} failed"))
    }

    /// Runs a step that counts as one check.
    pub(crate) fn check<T>(
        &self,
        name: &str,
        work: impl FnOnce(&Log) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.counted(name, |log| Ok((work(log)?, Some(1))))
    }

    /// Runs a step that runs tests and returns how many passed.
    pub(crate) fn tests(
        &self,
        name: &str,
        work: impl FnOnce(&Log) -> anyhow::Result<usize>,
    ) -> anyhow::Result<()> {
        self.counted(name, |log| {
            let passed = work(log)?;
            log.say(format!("{passed} tests"));
            Ok(((), Some(passed)))
        })
    }

    fn begin(&self, name: &str) -> anyhow::Result<(usize, String)> {
        let mut board = locked(&self.board);
        if !board.failures.is_empty() {
            return Err(NotStarted.into());
        }
        board.started += 1;
        let number = board.started;
        let label = format!("[{number:>2}/{}] {name}", self.steps);
        board.running.push(Running { number, label: label.clone(), began: now() });
        Ok((number, label))
    }

    fn end<T>(
        &self,
        number: usize,
        name: &str,
        label: &str,
        log: &Log,
        result: anyhow::Result<(T, Option<usize>)>,
    ) -> anyhow::Result<T> {
        let mut board = locked(&self.board);
        let running = board.running.iter().position(|step| step.number == number);
        let began = running.map(|index| board.running.remove(index).began);
        let seconds = began.map_or(0, |began| began.elapsed().as_secs());
        let mut block = match &result {
            Ok(_) => format!("{label}  ok, {seconds} s"),
            Err(error) => format!(
                "{label}  FAILED after {seconds} s\n{}\n{error:#}\n(all of it: {})",
                log.tail(),
                log.path.display()
            ),
        };
        for line in log.said() {
            let _ = write!(block, "\n        {line}");
        }
        clear_line();
        println!("{block}");
        if result.is_err() {
            board.failures.push(block);
        }
        let (value, passed) = result?;
        board.ended.push(Ended { number, name: name.to_owned(), seconds, passed });
        Ok(value)
    }

    /// The seconds since the first step, by the wall clock.
    pub(crate) fn seconds(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    /// The number of checks and tests that passed.
    pub(crate) fn passed(&self) -> usize {
        locked(&self.board).ended.iter().filter_map(|step| step.passed).sum()
    }

    /// The blocks of the steps that failed. Much may have been printed since they ended.
    pub(crate) fn failures(&self) -> String {
        locked(&self.board).failures.join("\n\n")
    }

    /// The number of steps that failed.
    pub(crate) fn failed(&self) -> usize {
        locked(&self.board).failures.len()
    }

    /// A table of the steps that succeeded, with their seconds and the number of checks that passed.
    pub(crate) fn table(&self) -> String {
        let mut board = locked(&self.board);
        board.ended.sort_by_key(|step| step.number);
        let mut table = String::from("seconds  passed  step");
        for Ended { name, seconds, passed, .. } in &board.ended {
            let passed = passed.map_or_else(String::new, |passed| passed.to_string());
            let _ = write!(table, "\n{seconds:>7}  {passed:>6}  {name}");
        }
        table
    }
}

/// The folder of the logs of a task.
fn logs(task: &str) -> PathBuf {
    crate::root().join("target/xtask/logs").join(task)
}

#[expect(clippy::disallowed_methods, reason = "the rule is about sessions: steps are timed")]
fn now() -> Instant {
    Instant::now()
}

/// Locks a mutex, even after a panic in another step, which has printed its message itself.
fn locked(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the running count from a terminal.
fn clear_line() {
    if std::io::stdout().is_terminal() {
        print!("\r\x1b[2K");
    }
}

/// The output of a step.
pub(crate) struct Log {
    path: PathBuf,
    said: Mutex<Vec<String>>,
}

impl Log {
    fn create(task: &str, number: usize, name: &str) -> anyhow::Result<Self> {
        let folder = logs(task);
        fs::create_dir_all(&folder)?;
        let slug: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let path = folder.join(format!("{number:02}-{}.log", slug.to_lowercase()));
        File::create(&path)?;
        Ok(Self { path, said: Mutex::default() })
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

    /// Prints a line on the terminal below that of the step, once the step ends.
    pub(crate) fn say(&self, line: impl Into<String>) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).push(line.into());
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last lines, without those of tests that passed.
    fn tail(&self) -> String {
        const LINES: usize = 80;
        let text = self.text();
        let lines: Vec<_> = text.lines().filter(|line| !is_about_success(line)).collect();
        lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n")
    }
}

/// Whether vitest or cargo says in this line that a test passed.
fn is_about_success(line: &str) -> bool {
    line.contains('\u{2713}') || (line.starts_with("test ") && line.ends_with("... ok"))
}

/// Shows that a step is alive: a running count on a terminal, a line every half minute elsewhere.
struct Ticker {
    stopped: Arc<(Mutex<bool>, Condvar)>,
    thread: thread::JoinHandle<()>,
}

impl Ticker {
    fn start(board: Arc<Mutex<Board>>, number: usize) -> Self {
        let stopped = Arc::new((Mutex::new(false), Condvar::new()));
        let shared = Arc::clone(&stopped);
        let thread = thread::spawn(move || {
            let (flag, wake) = &*shared;
            let mut seconds: u64 = 0;
            let mut stop = flag.lock().unwrap_or_else(PoisonError::into_inner);
            while !*stop {
                show(&locked(&board), number, seconds);
                let (guard, timeout) = wake
                    .wait_timeout(stop, Duration::from_secs(1))
                    .unwrap_or_else(PoisonError::into_inner);
                stop = guard;
                seconds += u64::from(timeout.timed_out());
            }
        });
        Self { stopped, thread }
    }

    fn stop(self) {
        let (flag, wake) = &*self.stopped;
        *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
        wake.notify_all();
        let _ = self.thread.join();
    }
}

/// The line about the oldest running step and the number of others, or about this step alone.
fn show(board: &Board, number: usize, seconds: u64) {
    if std::io::stdout().is_terminal() {
        let [oldest, others @ ..] = board.running.as_slice() else { return };
        let more = match others.len() {
            0 => String::new(),
            others => format!(", and {others} more"),
        };
        print!("\r\x1b[2K{}  {} s{more} ", oldest.label, oldest.began.elapsed().as_secs());
        let _ = std::io::stdout().flush();
    } else if seconds > 0 && seconds.is_multiple_of(30) {
        let this = board.running.iter().find(|step| step.number == number);
        if let Some(Running { label, .. }) = this {
            println!("{label}  … {seconds} s");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_steps_in_the_order_in_which_they_began() {
        let progress = Progress::new("test-of-the-table", 2);
        let inner = |_: &Log| Ok(((), Some(7)));
        let outer = |_: &Log| progress.counted("inner", inner);
        progress.step("outer", outer).unwrap();
        let table = progress.table();
        let names: Vec<_> = table.lines().filter_map(|line| line.rsplit(' ').next()).collect();
        assert_eq!(names, ["step", "outer", "inner"]);
        assert_eq!(progress.passed(), 7);
    }

    #[test]
    fn after_a_failure_no_step_begins() {
        let progress = Progress::new("test-of-a-failure", 2);
        let failed = progress.step("fails", |_| anyhow::bail!("broken") as anyhow::Result<()>);
        assert!(!failed.unwrap_err().is::<NotStarted>());
        let next = progress.step("next", |_| Ok(()));
        assert!(next.unwrap_err().is::<NotStarted>());
        assert_eq!(progress.failed(), 1);
    }

    #[test]
    fn the_block_of_a_failure_leaves_out_the_tests_that_passed() {
        let progress = Progress::new("test-of-a-summary", 1);
        let failed = progress.step("fails", |log| {
            log.note("test good ... ok\n \u{2713} fine\ntest bad ... FAILED")?;
            anyhow::bail!("broken") as anyhow::Result<()>
        });
        failed.unwrap_err();
        let said = progress.failures();
        assert!(said.contains("bad") && !said.contains("good") && !said.contains("fine"), "{said}");
        assert!(said.contains("broken"), "{said}");
    }
}
