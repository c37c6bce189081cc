use std::collections::BTreeMap;

use serde_json::json;
use vestiary::{StoreKey, Ttl, UnixMillis, protocol::UserSessions};

use crate::{
    commands::inspect::row,
    description::{Description, Kind},
    failure::{Failure, Verdict},
    output::Output,
    service::ServiceArgs,
    store::each,
    time,
};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    service: ServiceArgs,
}

pub(crate) async fn run(args: &Args, output: &mut Output) -> Result<Verdict, Failure> {
    let service = args.service.open().await?;
    let bar = output.progress("counting", Some(service.store.estimate().await?));
    let mut stats = Stats::default();
    each(&service.store, async |entry| {
        bar.inc(1);
        if service.is_mine(&entry.key) {
            stats.count(&Description::of(&entry, None, &service), &entry.record);
        }
        Ok(true)
    })
    .await?;
    bar.finish_and_clear();
    stats.show(output)?;
    Ok(Verdict::Yes)
}

#[derive(Default)]
struct Stats {
    logged_in: u64,
    anonymous: u64,
    tombstones: u64,
    /// Encrypted records without a key: whether a user is logged in is unknown.
    closed: u64,
    unreadable: u64,
    encrypted: u64,
    users: u64,
    user_lists: u64,
    formats: BTreeMap<&'static str, u64>,
    namespaces: BTreeMap<String, u64>,
    ending: BTreeMap<usize, u64>,
    sizes: Sizes,
    oldest: Option<UnixMillis>,
}

/// Upper bounds of the remaining TTL, in milliseconds.
const LIVES: [(u64, &str); 6] = [
    (3_600_000, "less than an hour"),
    (86_400_000, "less than a day"),
    (7 * 86_400_000, "less than a week"),
    (30 * 86_400_000, "less than 30 days"),
    (u64::MAX, "longer"),
    (u64::MAX, "without TTL"),
];

impl Stats {
    fn count(&mut self, record: &Description, text: &str) {
        if record.kind == Kind::UserList {
            self.user_lists += 1;
            // Whether an encrypted list has sessions is unknown.
            let has_sessions = UserSessions::decode(text).is_ok_and(|it| !it.sessions().is_empty());
            self.users += u64::from(record.sealed || has_sessions);
            return;
        }
        match record.kind {
            Kind::Session if record.meta.user.is_some() => self.logged_in += 1,
            Kind::Session => self.anonymous += 1,
            Kind::Tombstone => self.tombstones += 1,
            Kind::Sealed => self.closed += 1,
            Kind::Unreadable => self.unreadable += 1,
            Kind::UserList => {}
        }
        self.encrypted += u64::from(record.sealed);
        if let Some(format) = record.written_by() {
            *self.formats.entry(format).or_default() += 1;
        }
        if let Some(namespace) = StoreKey::parse(&record.key).namespace
            && (self.namespaces.contains_key(namespace) || self.namespaces.len() < MOST_NAMESPACES)
        {
            *self.namespaces.entry(namespace.to_owned()).or_default() += 1;
        }
        let life = match record.ttl {
            Ttl::Infinite => LIVES.len() - 1,
            Ttl::Millis(left) => {
                LIVES.iter().position(|(most, _)| left < *most).unwrap_or(LIVES.len() - 2)
            }
        };
        *self.ending.entry(life).or_default() += 1;
        record.bytes.into_iter().for_each(|bytes| self.sizes.add(bytes));
        let created = record.meta.created;
        self.oldest = match (self.oldest, created) {
            (Some(oldest), Some(created)) => Some(oldest.min(created)),
            (oldest, created) => oldest.or(created),
        };
    }

    fn show(&self, output: &mut Output) -> Result<(), Failure> {
        let all = self.logged_in + self.anonymous + self.closed;
        let oldest = self.oldest.map(time::instant);
        row(output, "sessions", all)?;
        row(output, "  logged in", self.logged_in)?;
        row(output, "  anonymous", self.anonymous)?;
        row(output, "  encrypted (no key)", self.closed)?;
        row(output, "tombstones", self.tombstones)?;
        row(output, "unreadable", self.unreadable)?;
        row(output, "users", self.users)?;
        row(output, "encrypted", self.encrypted)?;
        for (format, count) in &self.formats {
            row(output, "written by", format_args!("{count} {format}"))?;
        }
        for (namespace, count) in &self.namespaces {
            row(output, "namespace", format_args!("{count} {namespace}"))?;
        }
        let Sizes { total, largest, .. } = self.sizes;
        let [median, p95] = [50, 95].map(|percent| self.sizes.percentile(percent));
        row(
            output,
            "bytes",
            format_args!("{total}, median {median}, 95 % at most {p95}, largest {largest}"),
        )?;
        for (life, count) in &self.ending {
            let name = LIVES.get(*life).map_or("", |(_, name)| name);
            row(output, "expires in", format_args!("{count} {name}"))?;
        }
        row(output, "oldest", oldest.as_deref().unwrap_or("–"))?;
        let ending: BTreeMap<&str, u64> = LIVES
            .iter()
            .zip(["hour", "day", "week", "month", "longer", "no_ttl"])
            .enumerate()
            .map(|(at, (_, name))| (name, self.ending.get(&at).copied().unwrap_or_default()))
            .collect();
        output.document(&json!({
            "sessions": all,
            "logged_in": self.logged_in,
            "anonymous": self.anonymous,
            "encrypted_no_key": self.closed,
            "tombstones": self.tombstones,
            "unreadable": self.unreadable,
            "users": self.users,
            "user_lists": self.user_lists,
            "encrypted": self.encrypted,
            "formats": self.formats,
            "namespaces": self.namespaces,
            "bytes": { "total": total, "median": median, "p95": p95, "largest": largest },
            "expires_within": ending,
            "oldest": oldest,
        }))?;
        Ok(())
    }
}

/// A limit, because prefixes that an application puts into its IDs may look like namespaces.
const MOST_NAMESPACES: usize = 100;

/// Counts how often each size occurs: exactly up to the largest size that Vestiary writes, above that in KiB.
#[derive(Default)]
struct Sizes {
    counts: BTreeMap<usize, u64>,
    count: u64,
    total: u64,
    largest: usize,
}

impl Sizes {
    fn add(&mut self, bytes: usize) {
        let rounded = if bytes <= 65_536 { bytes } else { bytes.next_multiple_of(1_024) };
        *self.counts.entry(rounded).or_default() += 1;
        self.count += 1;
        self.total += bytes as u64;
        self.largest = self.largest.max(bytes);
    }

    /// The size that this many percent do not exceed.
    fn percentile(&self, percent: u64) -> usize {
        let wanted = (self.count * percent).div_ceil(100);
        let mut seen = 0;
        self.counts
            .iter()
            .find(|(_, count)| {
                seen += **count;
                seen >= wanted
            })
            .map_or(0, |(bytes, _)| *bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_computed_from_the_counted_sizes() {
        let mut sizes = Sizes::default();
        assert_eq!(sizes.percentile(50), 0);
        (1..=100).for_each(|bytes| sizes.add(bytes));
        assert_eq!((sizes.percentile(50), sizes.percentile(95)), (50, 95));
        sizes.add(65_537);
        assert_eq!((sizes.percentile(100), sizes.largest), (66_560, 65_537));
    }
}
