use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use vestiary::{Limits, Record, Ttl};
use vestiary_store::{Cursor, Entry, Outcome, Scan as _, Store as _};

use crate::{
    address::redacted,
    commands::inspect::row,
    failure::{Failure, Verdict},
    output::Output,
    store::{OpenStore, PAGE, Place, each, write_id_of},
};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Store to read
    #[arg(env = "VESTIARY_FROM", hide_env_values = true)]
    from: String,
    /// Store to write. A missing file or table is created
    #[arg(env = "VESTIARY_TO", hide_env_values = true)]
    to: String,
    /// Prefix of every key at FROM
    #[arg(long, default_value = "sess:", value_name = "TEXT")]
    prefix: String,
    /// Prefix of every key at TO. Default: the prefix at FROM
    #[arg(long, value_name = "TEXT")]
    to_prefix: Option<String>,
    /// Table at FROM, in an SQL database
    #[arg(long, default_value = "sessions", value_name = "NAME")]
    table: String,
    /// Table at TO. Default: the table at FROM
    #[arg(long, value_name = "NAME")]
    to_table: Option<String>,
    /// Where records differ, replace those at TO by those at FROM
    #[arg(long)]
    replace: bool,
    /// File that stores the progress. It may contain a key, and is removed at the end
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Start from the beginning, and ignore the state file
    #[arg(long)]
    restart: bool,
    /// Only compare, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// The progress of a migration.
#[derive(Debug, Default, Deserialize, Serialize)]
struct State {
    /// Identifies the two stores: the state of another migration means nothing here.
    stores: String,
    cursor: Option<String>,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
struct Counts {
    /// Written at TO.
    copied: u64,
    /// Already at TO, with the same text.
    same: u64,
    /// Already at TO with another text, and left alone.
    kept: u64,
    /// Already at TO with another text, and replaced.
    replaced: u64,
    /// Without a TTL at FROM; at TO they last a day.
    endless: u64,
    /// Not text, and therefore no records: left at FROM.
    #[serde(default)]
    not_text: u64,
}

/// The outcome of copying one record.
enum Fate {
    Copied,
    Same,
    Kept,
    Replaced,
    NotText,
}

/// The number of concurrent writes.
const AT_ONCE: usize = 16;

pub(crate) async fn run(args: &Args, output: &mut Output) -> Result<Verdict, Failure> {
    let (from, to) = (args.from(), args.to());
    if (from.url, from.prefix, from.table) == (to.url, to.prefix, to.table) {
        let message = "FROM and TO are the same store: there is nothing to copy";
        return Err(Failure::Usage("same_store", message.to_owned()));
    }
    let source = OpenStore::open_place(from).await?;
    if args.dry_run {
        return dry_run(args, &source, output).await;
    }
    let target = OpenStore::open_place(to).await?;
    let stores = args.fingerprint();
    let path = args.state.clone().unwrap_or_else(|| {
        PathBuf::from(format!("vestiary-migrate-{}.json", stores.split_at(12).0))
    });
    let mut state = if args.restart { None } else { State::read(&path, &stores)? }
        .unwrap_or_else(|| State { stores, ..State::default() });
    if state.cursor.is_some() {
        output.note(format_args!(
            "continuing from {}: --restart starts from the beginning",
            path.display()
        ))?;
    }
    copy(args, &source, &target, &path, &mut state, output).await?;
    let differences = verify(&source, &target, output).await?;
    let removed = fs::remove_file(&path);
    removed.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(Failure::Usage("state_file", format!("{}: {error}", path.display()))),
    })?;
    report(&state.counts, &differences, args, output)
}

impl Args {
    fn from(&self) -> Place<'_> {
        Place { url: &self.from, prefix: &self.prefix, table: &self.table, create: false }
    }

    fn to(&self) -> Place<'_> {
        Place {
            url: &self.to,
            prefix: self.to_prefix.as_ref().unwrap_or(&self.prefix),
            table: self.to_table.as_ref().unwrap_or(&self.table),
            create: !self.dry_run,
        }
    }

    /// Tells migrations apart, without revealing their URLs.
    fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for Place { url, prefix, table, .. } in [self.from(), self.to()] {
            for part in [&redacted(url), prefix, table] {
                hash.update(part);
                hash.update([0]);
            }
        }
        Base64UrlUnpadded::encode_string(&hash.finalize())
    }
}

async fn copy(
    args: &Args,
    source: &OpenStore,
    target: &OpenStore,
    path: &Path,
    state: &mut State,
    output: &mut Output,
) -> Result<(), Failure> {
    let bar = output.progress("copying", Some(source.estimate().await?));
    bar.set_position(state.counts.all());
    loop {
        let cursor = state.cursor.clone().map(Cursor);
        let page = source.scan(cursor.as_ref(), PAGE).await?;
        let fates: Vec<Fate> = stream::iter(&page.entries)
            .map(|entry| copy_one(entry, target, args.replace))
            .buffer_unordered(AT_ONCE)
            .inspect_ok(|_| bar.inc(1))
            .try_collect()
            .await?;
        for fate in &fates {
            state.counts.add(fate);
        }
        let endless = page.entries.iter().filter(|entry| entry.ttl == Ttl::Infinite);
        state.counts.endless += endless.count() as u64;
        state.cursor = page.next.map(|Cursor(next)| next);
        if state.cursor.is_none() {
            break;
        }
        state.write(path)?;
    }
    bar.finish_and_clear();
    target.settle().await?;
    Ok(())
}

/// Idempotent, so the migration can be stopped anywhere.
async fn copy_one(entry: &Entry, target: &OpenStore, replace: bool) -> Result<Fate, Failure> {
    if !entry.is_text() {
        return Ok(Fate::NotText);
    }
    let Entry { key, record, ttl } = entry;
    let owned = Record::inspect(record, Limits::LOAD).is_ok_and(|seen| seen.meta.user.is_some());
    for _ in 0..TRIES {
        if target.create(key, record, *ttl, owned).await? {
            return Ok(Fate::Copied);
        }
        match target.read(key).await? {
            // It has expired in between.
            None => {}
            Some(there) if there == *record => return Ok(Fate::Same),
            Some(_) if !replace => return Ok(Fate::Kept),
            Some(there) => {
                let expected = write_id_of(&there);
                if target.replace(key, expected.as_ref(), record, *ttl).await? == Outcome::Done {
                    return Ok(Fate::Replaced);
                }
                // It has no write ID to compare. Make sure that no other program wrote it meanwhile.
                if target.read(key).await?.as_ref() == Some(&there) && target.forget(key).await? {
                    let created = target.create(key, record, *ttl, owned).await?;
                    return Ok(if created { Fate::Replaced } else { Fate::Kept });
                }
            }
        }
    }
    let message = "a record at TO changes with every attempt: stop the services that use TO";
    Err(Failure::Store("store_busy", message.to_owned()))
}

const TRIES: usize = 16;

#[derive(Debug, Default)]
struct Differences {
    checked: u64,
    missing: u64,
    different: u64,
    /// Some of the keys that differ.
    keys: Vec<String>,
}

/// The maximum number of keys that are named.
const NAMED: usize = 10;

/// Checks that every active record at FROM is at TO, with the same text.
async fn verify(
    source: &OpenStore,
    target: &OpenStore,
    output: &mut Output,
) -> Result<Differences, Failure> {
    let bar = output.progress("verifying", Some(source.estimate().await?));
    let mut differences = Differences::default();
    each(source, async |entry| {
        bar.inc(1);
        differences.compare(&entry, source, target, output).await?;
        Ok(true)
    })
    .await?;
    bar.finish_and_clear();
    Ok(differences)
}

impl Differences {
    async fn compare(
        &mut self,
        entry: &Entry,
        source: &OpenStore,
        target: &OpenStore,
        output: &Output,
    ) -> Result<(), Failure> {
        if !entry.is_text() {
            return Ok(());
        }
        let there = target.read(&entry.key).await?;
        if there.as_deref() == Some(&entry.record) {
            self.checked += 1;
            return Ok(());
        }
        // It may have expired since the page was read.
        let Some(now) = source.read(&entry.key).await? else { return Ok(()) };
        self.checked += 1;
        match there {
            Some(there) if there == now => return Ok(()),
            Some(_) => self.different += 1,
            None => self.missing += 1,
        }
        if self.keys.len() < NAMED {
            self.keys.push(output.key(&entry.key));
        }
        Ok(())
    }

    fn count(&self) -> u64 {
        self.missing + self.different
    }
}

async fn dry_run(args: &Args, source: &OpenStore, output: &mut Output) -> Result<Verdict, Failure> {
    // A dry run does not create a missing store.
    let target = match OpenStore::open_place(args.to()).await {
        Ok(target) => Some(target),
        Err(Failure::Store(code, message)) => {
            output.note(format_args!("TO does not exist yet: {message} [{code}]"))?;
            None
        }
        Err(failure) => return Err(failure),
    };
    let (mut counts, bar) =
        (Counts::default(), output.progress("comparing", Some(source.estimate().await?)));
    each(source, async |entry| {
        bar.inc(1);
        let there = match &target {
            Some(target) => target.read(&entry.key).await?,
            None => None,
        };
        counts.endless += u64::from(entry.ttl == Ttl::Infinite);
        counts.add(&match there {
            _ if !entry.is_text() => Fate::NotText,
            None => Fate::Copied,
            Some(there) if there == entry.record => Fate::Same,
            Some(_) if args.replace => Fate::Replaced,
            Some(_) => Fate::Kept,
        });
        Ok(true)
    })
    .await?;
    bar.finish_and_clear();
    report(&counts, &Differences::default(), args, output)
}

fn report(
    counts: &Counts,
    differences: &Differences,
    args: &Args,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let Counts { copied, same, kept, replaced, endless, not_text } = counts;
    let would = if args.dry_run { "would be " } else { "" };
    row(output, &format!("{would}copied"), copied)?;
    row(output, "already there", same)?;
    row(output, &format!("{would}replaced"), replaced)?;
    row(output, "different, kept", kept)?;
    if *endless > 0 {
        row(output, "without TTL", format_args!("{endless}: at TO they last for a day"))?;
    }
    if *not_text > 0 {
        row(output, "not text, skipped", not_text)?;
    }
    let Differences { checked, missing, different, keys } = differences;
    if !args.dry_run {
        row(output, "verified", checked)?;
        row(output, "missing at TO", missing)?;
        row(output, "different at TO", different)?;
        for key in keys {
            row(output, "", key)?;
        }
    }
    output.document(&json!({
        "dry_run": args.dry_run,
        "copied": copied,
        "same": same,
        "replaced": replaced,
        "kept": kept,
        "endless": endless,
        "not_text": not_text,
        "verified": checked,
        "missing": missing,
        "different": different,
        "keys": keys,
    }))?;
    if differences.count() > 0 {
        output.note(
            "TO differs from FROM, perhaps because services are running. Stop them, and run this again; --replace \
             takes the records of FROM",
        )?;
    }
    Ok(Verdict::of(differences.count() == 0))
}

impl Counts {
    fn add(&mut self, fate: &Fate) {
        *match fate {
            Fate::Copied => &mut self.copied,
            Fate::Same => &mut self.same,
            Fate::Kept => &mut self.kept,
            Fate::Replaced => &mut self.replaced,
            Fate::NotText => &mut self.not_text,
        } += 1;
    }

    fn all(&self) -> u64 {
        self.copied + self.same + self.kept + self.replaced + self.not_text
    }
}

impl State {
    /// `None` if there is no state file.
    fn read(path: &Path, stores: &str) -> Result<Option<Self>, Failure> {
        let bad = |why: &str| {
            let message = format!(
                "the state in {} {why}: choose another file with --state, or start from the beginning with --restart",
                path.display()
            );
            Failure::Usage("state_file", message)
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(bad(&format!("cannot be read ({error})"))),
        };
        let state: Self =
            serde_json::from_str(&text).map_err(|_| bad("is not readable as a state"))?;
        if state.stores == stores { Ok(Some(state)) } else { Err(bad("belongs to other stores")) }
    }

    /// Writes the file atomically, even if the machine stops meanwhile, and readable only by its owner.
    fn write(&self, path: &Path) -> Result<(), Failure> {
        let written = || -> io::Result<()> {
            let mut options = fs::OpenOptions::new();
            options.write(true).create(true).truncate(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            // A concurrent run of the same migration has its own temporary file.
            let new = path.with_extension(format!("{}.new", std::process::id()));
            let mut file = options.open(&new)?;
            io::Write::write_all(&mut file, &serde_json::to_vec(self)?)?;
            file.sync_all()?;
            fs::rename(&new, path)
        };
        written().map_err(|error| {
            Failure::Usage("state_file", format!("{} cannot be written: {error}", path.display()))
        })
    }
}
