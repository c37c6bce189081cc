//! The conformance suite detects broken stores: each of these breaks one promise, in a way that real stores do.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use vestiary::{Ttl, UnixMillis, WriteId};
use vestiary_store::{
    ChangeListener, Cursor, Entry, Outcome, Page, Polling, ReadTwo, Scan, Stamped, Store,
    StoreError, begin_alike,
    testing::{Broken, conformance, scan_conformance},
    write_id_of,
};

/// A store with one fault.
struct Faulty {
    fault: Fault,
    records: Mutex<BTreeMap<String, (String, UnixMillis)>>,
    /// The names of the changed records.
    changed: Mutex<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Nothing,
    CreateOverwrites,
    ReplaceCreates,
    ReplaceIgnoresTheWriteId,
    ReplaceComparesFirst,
    RemoveIgnoresTheWriteId,
    RemoveComparesFirst,
    CreateLooksFirst,
    TouchCreates,
    TouchForgetsToPersist,
    TouchWritesBack,
    NeverExpires,
    CountsInSeconds,
    CountsInMicroseconds,
    WritesRenewExpired,
    ExpiredIsInTheWay,
    SaysConflictForGone,
    SaysGoneForConflict,
    ReadTwoHasTheOrderOfTheKeys,
    StampCreatesOnly,
    StampForgetsTheTime,
    StampOverwrites,
    StampReadsFirst,
    KeysHaveNoCase,
    KeysArePatterns,
    LosesCharacters,
    CutsOff,
    FindsWriteIdsAnywhere,
    FindsOneFormatOnly,
    StoresForALifeOfNothing,
    EndsWhatHasNoEnd,
    ScanSkips,
    ScanCountsPlaces,
    ScanShowsExpired,
    ScanTellsNoLife,
    ScanNeverEnds,
    EntryTellsNoLife,
    EntryShowsExpired,
    FeedShowsKeys,
    FeedEnds,
    WriteIdsHaveTheirOwnOrder,
    WriteIdsKeepWhatIsGone,
    StateForgetsRemovals,
}

use Fault::*;

impl Faulty {
    fn new(fault: Fault) -> Self {
        Self { fault, records: Mutex::default(), changed: Mutex::default() }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<String, (String, UnixMillis)>> {
        self.records.lock().unwrap()
    }

    fn key(&self, key: &str) -> String {
        if self.is(KeysHaveNoCase) { key.to_lowercase() } else { key.to_owned() }
    }

    fn deadline(&self, ttl: Ttl) -> UnixMillis {
        let life = match ttl {
            Ttl::Infinite | Ttl::Millis(u64::MAX) if self.is(EndsWhatHasNoEnd) => 0,
            Ttl::Infinite => 86_400_000,
            Ttl::Millis(life) if self.is(CountsInSeconds) => life.saturating_mul(1_000),
            Ttl::Millis(life) if self.is(CountsInMicroseconds) => life / 1_000,
            Ttl::Millis(life) => life,
        };
        now().plus(life)
    }

    fn get(&self, key: &str) -> Option<String> {
        let records = self.records();
        if self.is(KeysArePatterns) && key.contains('_') {
            // As SQL's LIKE compares.
            let fits = |found: &str| {
                found.chars().count() == key.chars().count()
                    && found.chars().zip(key.chars()).all(|(a, b)| a == b || b == '_')
            };
            return records.iter().find(|(found, _)| fits(found)).map(|(_, found)| found.0.clone());
        }
        let (record, deadline) = records.get(&self.key(key))?;
        (self.is(NeverExpires) || *deadline > now()).then(|| record.clone())
    }

    fn put(&self, key: &str, record: &str, ttl: Ttl) {
        let mut record = record.to_owned();
        if self.is(LosesCharacters) {
            record =
                record.chars().map(|char| if char > '\u{ffff}' { '?' } else { char }).collect();
        }
        if self.is(CutsOff) && record.len() > 65_535 {
            record.truncate(65_000);
        }
        if ttl == Ttl::Millis(0) && !self.is(StoresForALifeOfNothing) {
            self.records().remove(&self.key(key));
            return;
        }
        let ttl = if ttl == Ttl::Millis(0) { Ttl::Infinite } else { ttl };
        self.records().insert(self.key(key), (record, self.deadline(ttl)));
    }

    fn write_id(&self, record: &str) -> Option<String> {
        if self.is(FindsWriteIdsAnywhere) {
            let (_, rest) = record.split_once("\"v\":\"")?;
            return rest.get(..16).map(str::to_owned);
        }
        if self.is(FindsOneFormatOnly) && record.starts_with("{\"cookie\"") {
            return None;
        }
        write_id_of(record).map(str::to_owned)
    }

    fn compare(&self, key: &str, expected: Option<&WriteId>) -> Outcome {
        match self.get(key) {
            None if self.is(SaysConflictForGone) => Outcome::Conflict,
            None => Outcome::Gone,
            Some(record) if self.write_id(&record).as_deref() == expected.map(WriteId::as_str) => {
                Outcome::Done
            }
            Some(_) if self.is(SaysGoneForConflict) => Outcome::Gone,
            Some(_) => Outcome::Conflict,
        }
    }
}

impl Store for Faulty {
    async fn read(&self, key: &str) -> Result<Option<String>, StoreError> {
        Ok(self.get(key))
    }

    async fn read_two(&self, one: &str, other: &str) -> ReadTwo {
        let mut keys = [one, other];
        if self.is(ReadTwoHasTheOrderOfTheKeys) {
            keys.sort_unstable();
        }
        keys.map(|key| Ok(self.get(key)))
    }

    async fn create(
        &self,
        key: &str,
        record: &str,
        ttl: Ttl,
        _bound: bool,
    ) -> Result<bool, StoreError> {
        let there = match self.fault {
            CreateOverwrites => false,
            ExpiredIsInTheWay => self.records().contains_key(key),
            _ => self.get(key).is_some(),
        };
        if self.is(CreateLooksFirst) {
            tokio::task::yield_now().await;
        }
        if !there {
            self.put(key, record, ttl);
        }
        Ok(!there)
    }

    async fn replace(
        &self,
        key: &str,
        expected: Option<&WriteId>,
        record: &str,
        ttl: Ttl,
    ) -> Result<Outcome, StoreError> {
        let mut outcome = self.compare(key, expected);
        match outcome {
            Outcome::Gone if self.is(ReplaceCreates) => outcome = Outcome::Done,
            Outcome::Gone if self.is(WritesRenewExpired) && self.records().contains_key(key) => {
                outcome = Outcome::Done;
            }
            Outcome::Conflict if self.is(ReplaceIgnoresTheWriteId) => outcome = Outcome::Done,
            _ => {}
        }
        if self.is(ReplaceComparesFirst) {
            tokio::task::yield_now().await;
        }
        if outcome == Outcome::Done {
            self.put(key, record, ttl);
            self.changed.lock().unwrap().extend(self.name_of(key));
        }
        Ok(outcome)
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool, StoreError> {
        let found = self.get(key);
        match (found, self.fault) {
            (None, TouchCreates) => self.put(key, "{}", ttl),
            (None, _) => return Ok(false),
            (Some(_), TouchForgetsToPersist) => {}
            (Some(found), TouchWritesBack) => {
                tokio::task::yield_now().await;
                self.put(key, &found, ttl);
            }
            (Some(found), _) => self.put(key, &found, ttl),
        }
        Ok(true)
    }

    async fn remove(&self, key: &str, expected: Option<&WriteId>) -> Result<Outcome, StoreError> {
        let mut outcome = self.compare(key, expected);
        if outcome == Outcome::Conflict && self.is(RemoveIgnoresTheWriteId) {
            outcome = Outcome::Done;
        }
        if self.is(RemoveComparesFirst) {
            tokio::task::yield_now().await;
        }
        if outcome == Outcome::Done {
            self.records().remove(&self.key(key));
            if !self.is(StateForgetsRemovals) {
                self.changed.lock().unwrap().extend(self.name_of(key));
            }
        }
        Ok(outcome)
    }

    async fn stamp(&self, key: &str, text: &str, ttl: Ttl) -> Result<Option<Stamped>, StoreError> {
        let before = self.get(key);
        if self.is(StampReadsFirst) {
            tokio::task::yield_now().await;
        }
        let is_alike = before.as_ref().is_none_or(|before| begin_alike(before, text));
        let is_left = !is_alike && !self.is(StampOverwrites);
        if is_left || before.is_some() && self.is(StampCreatesOnly) {
            return Ok(None);
        }
        let time = now();
        let shown = if self.is(StampForgetsTheTime) { 0 } else { time.0 };
        self.put(key, &format!("{text}{shown}}}"), ttl);
        Ok(Some(Stamped { time, before }))
    }

    async fn watch(&self, listener: &dyn ChangeListener) -> Result<(), StoreError> {
        let mut told = self.changed.lock().unwrap().len();
        listener.connected();
        while !self.is(FeedEnds) {
            let changed = self.changed.lock().unwrap().clone();
            changed[told..].iter().for_each(|name| listener.changed(name));
            told = changed.len();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    fn name_of(&self, key: &str) -> Option<String> {
        Some(if self.is(FeedShowsKeys) { key.to_owned() } else { key.chars().rev().collect() })
    }

    fn polling(&self) -> Option<Polling> {
        Some(Polling { every: Duration::from_secs(1), most: 10 })
    }

    async fn write_ids(&self, keys: &[String]) -> Result<Vec<Option<String>>, StoreError> {
        let mut keys = keys.to_vec();
        if self.is(WriteIdsHaveTheirOwnOrder) {
            keys.sort_unstable();
        }
        let gone = self.is(WriteIdsKeepWhatIsGone).then(String::new);
        Ok(keys.iter().map(|key| self.get(key).or_else(|| gone.clone())).collect())
    }

    async fn state(&self) -> Result<Option<String>, StoreError> {
        Ok(Some(self.changed.lock().unwrap().len().to_string()))
    }
}

impl Scan for Faulty {
    async fn scan(&self, from: Option<&Cursor>, most: usize) -> Result<Page, StoreError> {
        let records = self.records();
        let (place, now) = (from.map_or("", |Cursor(text)| text), now());
        // Places are counted, so removals move the later records up.
        let skipped = if self.is(ScanCountsPlaces) { place.parse().unwrap_or(0) } else { 0 };
        let rest =
            records.iter().filter(|(key, _)| self.is(ScanCountsPlaces) || key.as_str() > place);
        let mut entries = Vec::new();
        for (key, (record, deadline)) in rest.skip(skipped).take(most) {
            let ttl = match self.fault {
                ScanTellsNoLife => Ttl::Infinite,
                _ => Ttl::Millis(deadline.since(now)),
            };
            if ttl != Ttl::Millis(0) || self.is(ScanShowsExpired) {
                entries.push(Entry { key: key.clone(), record: record.clone(), ttl });
            }
        }
        let next = (entries.len() >= most).then(|| match self.fault {
            ScanCountsPlaces => Cursor((skipped + most).to_string()),
            _ => Cursor(entries.last().unwrap().key.clone()),
        });
        if self.is(ScanSkips) {
            entries.pop();
        }
        let next = if self.is(ScanNeverEnds) { Some(Cursor(String::new())) } else { next };
        Ok(Page { entries, next })
    }

    async fn entry(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let records = self.records();
        let Some((record, deadline)) = records.get(key) else { return Ok(None) };
        let ttl = match self.fault {
            EntryTellsNoLife => Ttl::Infinite,
            _ => Ttl::Millis(deadline.since(now())),
        };
        let there = ttl != Ttl::Millis(0) || self.is(EntryShowsExpired);
        Ok(there.then(|| Entry { key: key.to_owned(), record: record.clone(), ttl }))
    }
}

fn now() -> UnixMillis {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    UnixMillis(u64::try_from(since.as_millis()).unwrap())
}

/// Runs all faults concurrently, since most of the time is spent waiting. A single thread makes the order of operations
/// the same each time.
macro_rules! faults {
    ($($fault:ident is seen by $($check:ident),+;)*) => {
        #[tokio::test]
        async fn the_suite_sees_each_fault() {
            let tests = vec![$((Fault::$fault, vec![$(stringify!($check)),+])),*];
            let tests: Vec<_> = tests.into_iter().map(|(fault, by)| tokio::spawn(unseen(fault, by))).collect();
            let mut unseen = Vec::new();
            for test in tests {
                unseen.extend(test.await.unwrap());
            }
            assert!(unseen.is_empty(), "{}", unseen.join("\n\n"));
        }
    };
}

/// The checks that fail to detect a fault.
async fn unseen(fault: Fault, checks: Vec<&str>) -> Vec<String> {
    let make = || async move { Faulty::new(fault) };
    let found = [conformance(make).await, scan_conformance(make).await];
    let found: Vec<Broken> = found.into_iter().filter_map(Result::err).collect();
    let seen = |check: &&str| {
        let told = |line: &str| line.starts_with(&format!("{check}: "));
        found.iter().any(|broken| broken.to_string().lines().any(told))
    };
    let unseen = checks.into_iter().filter(|check| !seen(check));
    unseen.map(|check| format!("{check} does not see {fault:?}; what is seen: {found:?}")).collect()
}

faults! {
    CreateOverwrites is seen by
        create_creates_once, of_many_creations_at_once_one_is_done, does_what_a_model_does;
    ReplaceCreates is seen by
        nothing_but_create_creates, records_expire, does_what_a_model_does;
    ReplaceIgnoresTheWriteId is seen by
        replace_and_remove_compare_write_ids, of_many_writes_at_once_one_is_done,
        with_compare_and_retry_no_change_is_lost;
    ReplaceComparesFirst is seen by
        of_many_writes_at_once_one_is_done, with_compare_and_retry_no_change_is_lost,
        what_was_removed_stays_removed_whatever_else_happens;
    RemoveIgnoresTheWriteId is seen by replace_and_remove_compare_write_ids;
    RemoveComparesFirst is seen by of_many_writes_at_once_one_is_done;
    CreateLooksFirst is seen by of_many_creations_at_once_one_is_done;
    TouchCreates is seen by
        nothing_but_create_creates, records_expire,
        what_was_removed_stays_removed_whatever_else_happens;
    TouchForgetsToPersist is seen by touch_gives_a_new_life, records_expire;
    TouchWritesBack is seen by
        what_was_removed_stays_removed_whatever_else_happens;
    NeverExpires is seen by records_expire;
    CountsInSeconds is seen by records_expire;
    CountsInMicroseconds is seen by touch_gives_a_new_life;
    WritesRenewExpired is seen by records_expire;
    ExpiredIsInTheWay is seen by
        records_expire, of_many_creations_at_once_one_is_done;
    SaysConflictForGone is seen by knows_nothing_that_was_not_stored;
    SaysGoneForConflict is seen by replace_and_remove_compare_write_ids;
    ReadTwoHasTheOrderOfTheKeys is seen by read_two_reads_both;
    StampCreatesOnly is seen by stamp_dates_what_it_stores;
    StampForgetsTheTime is seen by stamp_dates_what_it_stores;
    StampOverwrites is seen by stamp_dates_what_it_stores;
    StampReadsFirst is seen by of_many_stamps_each_replaces_another_one;
    KeysHaveNoCase is seen by keys_are_kept_apart;
    KeysArePatterns is seen by keys_are_kept_apart;
    LosesCharacters is seen by gives_back_every_character;
    CutsOff is seen by gives_back_every_character;
    FindsWriteIdsAnywhere is seen by replace_and_remove_compare_write_ids;
    FindsOneFormatOnly is seen by replace_and_remove_compare_write_ids;
    StoresForALifeOfNothing is seen by a_life_of_nothing_stores_nothing;
    EndsWhatHasNoEnd is seen by a_record_without_an_end_is_kept;
    ScanSkips is seen by scan_finds_everything_that_is_there_all_the_time;
    ScanCountsPlaces is seen by scan_finds_everything_that_is_there_all_the_time;
    ScanShowsExpired is seen by scan_finds_nothing_else;
    ScanTellsNoLife is seen by
        scan_finds_everything_that_is_there_all_the_time;
    ScanNeverEnds is seen by scan_finds_nothing_else;
    EntryTellsNoLife is seen by scan_finds_everything_that_is_there_all_the_time;
    EntryShowsExpired is seen by scan_finds_nothing_else;
    FeedShowsKeys is seen by a_feed_tells_of_each_change;
    FeedEnds is seen by a_feed_tells_of_each_change;
    WriteIdsHaveTheirOwnOrder is seen by write_ids_show_each_change;
    WriteIdsKeepWhatIsGone is seen by write_ids_show_each_change;
    StateForgetsRemovals is seen by write_ids_show_each_change;
}

#[tokio::test]
async fn nothing_is_wrong_with_the_same_store_without_a_fault() {
    conformance(|| async { Faulty::new(Nothing) }).await.unwrap();
    scan_conformance(|| async { Faulty::new(Nothing) }).await.unwrap();
}

#[tokio::test]
async fn a_failure_says_what_was_promised() {
    let broken = conformance(|| async { Faulty::new(TouchCreates) }).await.unwrap_err().to_string();
    let line = "nothing_but_create_creates: `touch` of what was never stored: the answer must be false, and was \
                true";
    assert!(broken.contains(line), "{broken}");
}
