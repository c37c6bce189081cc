use alloc::{format, sync::Arc};

use super::super::{
    Answered, Effect, Question, Reply, Stopped, TRIES, TRUSTED,
    testing::{
        BEGIN, CONFLICT, DONE, Driven, GONE, LOST, NOW, doubts, id, record, rules_of, seen, text,
        tombstone, write_id, written,
    },
};
use super::*;
use crate::OptionsInput;

fn running(record: Record, change: Change) -> Driven<Written> {
    Driven::new(|mut host, rules| async move {
        let rules = Arc::clone(&rules);
        commit(&mut host, &rules, seen(1, record), &change, CookieEdit::default()).await
    })
}

/// A change of `n` to 2 in the session that holds `{"n":1}` under the write ID 1. It has been tried once, with the
/// write ID 9.
fn tried() -> Driven<Written> {
    let change = Change::Merge { base: r#"{"n":1}"#.into(), mine: r#"{"n":2}"#.into() };
    let mut commit = running(record(1, r#"{"n":1}"#), change);
    let asked = commit.asks(BEGIN);
    assert_eq!(asked.brief(), (Question::Replace, 1, Some(1)));
    assert_eq!(asked.record().write_id(), Some(&write_id(9)));
    commit.write_id = 50;
    commit
}

fn saved(ended: Result<Written, Stopped>) -> (Box<Seen>, bool, bool) {
    match ended {
        Ok(Written::Saved { session, merged, reread, .. }) => (session, merged, reread),
        ended => panic!("{ended:?}"),
    }
}

#[test]
fn gone_is_trusted_after_a_write_but_not_after_a_read() {
    let mut commit = tried();
    assert_eq!(commit.asks(CONFLICT).brief(), (Question::Read, 1, None));
    assert_eq!(commit.asks(GONE).brief(), (Question::Replace, 1, Some(1)));
    assert_eq!(commit.ends(GONE), Ok(Written::Gone));
}

#[test]
fn a_confirmed_write_keeps_its_write_id() {
    let (session, merged, reread) = saved(tried().ends(DONE));
    assert_eq!((session.record.write_id(), merged, reread), (Some(&write_id(9)), false, false));
}

#[test]
fn a_lost_reply_to_a_read_leaves_no_doubt_about_a_write() {
    let mut commit = tried();
    // The store has refused.
    commit.asks(CONFLICT);
    assert_eq!(commit.asks(LOST).brief(), (Question::Read, 1, None));
    let again = commit.asks(text(&record(3, r#"{"n":3}"#)));
    assert_eq!(again.brief(), (Question::Replace, 1, Some(3)));
}

#[test]
fn a_request_that_had_the_session_open_follows_a_renewal_after_the_grace_period_too() {
    for grace in [NOW.plus(4), NOW] {
        let mut commit = tried();
        commit.asks(CONFLICT);
        let look = commit.asks(text(&tombstone(1, Some(grace))));
        assert_eq!(look.brief(), (Question::Read, 2, None));
        assert_eq!(
            commit.asks(text(&record(3, r#"{"n":1}"#))).brief(),
            (Question::Replace, 2, Some(3))
        );
        assert_eq!(saved(commit.ends(DONE)).0.id, id(2));
    }
    let mut commit = tried();
    commit.asks(CONFLICT);
    assert_eq!(commit.ends(text(&tombstone(1, None))), Ok(Written::Gone));
}

#[test]
fn a_change_is_merged_only_with_what_another_request_has_changed() {
    let merged = |theirs: Record, first: Answered| {
        let mut commit = tried();
        commit.asks(first);
        commit.asks(text(&theirs));
        saved(commit.ends(DONE)).1
    };
    assert!(merged(record(3, r#"{"n":1,"m":5}"#), CONFLICT));
    // For example a write of new deadlines.
    assert!(!merged(record(3, r#"{"n":1}"#), CONFLICT));
    // A lost reply does not count as a conflict.
    assert!(!merged(record(1, r#"{"n":1}"#), LOST));
    let mut commit = tried();
    commit.asks(LOST);
    let later = written(5, &[9], r#"{"n":7}"#);
    let (session, merged, reread) = saved(commit.ends(text(&later)));
    assert_eq!((session.record.data(), merged, reread), (r#"{"n":7}"#, false, true));
}

#[test]
fn a_pointer_that_leads_nowhere_leaves_the_earlier_record_unchanged() {
    let mut commit = running(tombstone(1, Some(NOW.plus(5))), Change::Rerun);
    assert_eq!(commit.asks(BEGIN).brief(), (Question::Read, 2, None));
    assert_eq!(commit.asks(GONE).brief(), (Question::Replace, 2, Some(2)));
    assert_eq!(commit.asks(CONFLICT).brief(), (Question::Read, 2, None));
    let found = commit.effect(text(&record(3, r#"{"n":3}"#)));
    assert_eq!(found, Effect::Compute(r#"{"n":3}"#.into()));
    commit.asks(Answered::Computed(r#"{"n":4}"#.into()));
    assert_eq!(commit.ends(GONE), Ok(Written::Gone));
}

#[test]
fn a_tombstone_is_never_overwritten() {
    let tombstone = || tombstone(1, Some(NOW.plus(5)));
    assert_eq!(running(tombstone(), Change::Rerun).asks(BEGIN).brief(), (Question::Read, 2, None));
    let mut late = running(tombstone(), Change::Rerun);
    late.now = NOW.plus(5);
    assert_eq!(late.ends(BEGIN), Ok(Written::Gone));
}

#[test]
fn it_gives_up_after_too_many_attempts() {
    let mut commit = tried();
    for n in 0..TRIES {
        assert_eq!(commit.asks(CONFLICT).brief(), (Question::Read, 1, None), "{n}");
        let theirs = record(10 + n, &format!(r#"{{"n":1,"m":{n}}}"#));
        assert_eq!(commit.asks(text(&theirs)).kind, Question::Replace, "{n}");
    }
    assert_eq!(commit.ends(CONFLICT), doubts(Doubt::Busy));
}

#[test]
fn a_write_whose_reply_was_lost_is_found_as_long_as_the_record_remembers_it() {
    let lost = || {
        let mut commit = tried();
        commit.asks(LOST);
        commit
    };
    // Our write was stored, and another one since.
    let done = written(40, &[9, 1], "{}");
    assert_eq!(saved(lost().ends(text(&done))).0.record.write_id(), Some(&write_id(40)));
    // Another write is in its place, so ours is made again, with another write ID.
    let again = lost().asks(text(&written(40, &[1], "{}")));
    assert_eq!(again.brief(), (Question::Replace, 1, Some(40)));
    assert_eq!(again.record().write_id(), Some(&write_id(50)));
    // Our write may have been lost or may still arrive. It is made again, and only one of the two can be stored.
    let again = lost().asks(text(&record(1, "{}")));
    assert_eq!(again.brief(), (Question::Replace, 1, Some(1)));
    // After so many writes, the record does not say whether ours was stored. It may also come from an old replica.
    let inconclusive = written(40, &[31, 32, 33, 34, 35, 36, 37, 38], "{}");
    let mut commit = lost();
    for _ in 0..INCONCLUSIVE {
        assert_eq!(commit.asks(text(&inconclusive)).brief(), (Question::Read, 1, None));
    }
    assert_eq!(commit.ends(text(&inconclusive)), Err(Stopped::Host(1)));
    // After a conflict, our write is known not to be stored, however many writes followed.
    let mut commit = tried();
    commit.asks(CONFLICT);
    assert_eq!(commit.asks(text(&inconclusive)).kind, Question::Replace);
}

#[test]
fn a_conflict_of_a_request_that_may_have_been_sent_twice_is_in_doubt() {
    let inconclusive = written(40, &[31, 32, 33, 34, 35, 36, 37, 38], "{}");
    let mut commit = tried();
    commit.slow(CONFLICT);
    for _ in 0..INCONCLUSIVE {
        assert_eq!(commit.asks(text(&inconclusive)).brief(), (Question::Read, 1, None));
    }
    assert_eq!(commit.ends(text(&inconclusive)), doubts(Doubt::LostReply));
}

#[test]
fn a_record_without_a_write_id_remembers_all_later_writes_or_none() {
    let doubt = Attempt {
        expected: None,
        write_id: write_id(9),
        is_in_doubt: true,
        merges: false,
        taken: None,
    };
    let mut many = record(1, "{}");
    for n in 0..8 {
        assert!(doubt.is_settled_by(&many), "{n}");
        let meta = many.meta().clone();
        many = many
            .rewritten(
                crate::Format::SvelteKitSessions,
                write_id(60 + n),
                "{}",
                "{}",
                meta,
                Limits::SAVE,
            )
            .unwrap();
    }
    assert!(!doubt.is_settled_by(&many));
}

#[test]
fn the_absence_of_the_record_is_no_proof_once_a_tombstone_may_have_expired() {
    for (later, ended) in [(TRUSTED - 1, Ok(Written::Gone)), (TRUSTED, doubts(Doubt::Untraced))] {
        let mut commit = tried();
        commit.now = NOW.plus(later);
        assert_eq!(commit.ends(GONE), ended);
    }
}

#[test]
fn a_host_that_answers_another_effect_gets_an_error() {
    let mut commit = tried();
    assert_eq!(commit.ends(Answered::Slept), Err(Stopped::Misuse));
    assert_eq!(commit.ends(Answered::Reply(Reply::Done)), Err(Stopped::Misuse));
}

#[test]
fn debug_shows_no_data() {
    let change = Change::Merge { base: r#"{"n":"secret"}"#.into(), mine: "{}".into() };
    assert_eq!(format!("{change:?} {:?}", Change::Rerun), "Merge Rerun");
    let (key, value) = (String::from("secret"), String::from("secret"));
    let put = Change::Put { key: key.clone(), value, until: NOW };
    assert_eq!(format!("{put:?} {:?}", Change::Take(key)), "Put Take");
}

#[test]
fn a_record_that_is_read_again_is_as_old_as_the_question() {
    for (took, ended) in [(TRUSTED - 1, Ok(Written::Gone)), (TRUSTED, doubts(Doubt::Untraced))] {
        let mut commit = tried();
        commit.asks(CONFLICT);
        commit.now = NOW.plus(took);
        let again = commit.asks(text(&written(5, &[1], "{}")));
        assert_eq!(again.brief(), (Question::Replace, 1, Some(5)));
        assert_eq!(commit.ends(GONE), ended);
    }
}

#[test]
fn a_session_that_has_expired_meanwhile_is_ended_unless_another_request_is_faster() {
    let (write_id, over) = (write_id(5), NOW.0);
    let found =
        format!(r#"{{"v":"{}","data":{{}},"meta":{{"absolute":{over}}}}}"#, write_id.as_str());
    let found = Record::decode(&found, Limits::LOAD).unwrap();
    for removed in [DONE, GONE] {
        let mut commit = tried();
        commit.asks(CONFLICT);
        assert_eq!(commit.asks(text(&found)).brief(), (Question::Remove, 1, Some(5)));
        assert_eq!(commit.ends(removed), Ok(Written::Gone));
    }
    let mut commit = tried();
    commit.asks(CONFLICT);
    commit.asks(text(&found));
    // The other request has renewed the session before the deadline.
    assert_eq!(commit.asks(CONFLICT).brief(), (Question::Read, 1, None));
    let look = commit.asks(text(&tombstone(1, Some(NOW))));
    assert_eq!(look.brief(), (Question::Read, 2, None));
}

/// The session's record with the write ID `n`, after the write ID `before`, with the slots `slots`.
fn with_slots(n: u8, before: u8, slots: &str) -> Record {
    let (v, before) = (write_id(n), write_id(before));
    let meta = format!(r#"{{"slots":{slots},"writes":["{}"]}}"#, before.as_str());
    let text = format!(r#"{{"v":"{}","data":{{}},"meta":{meta}}}"#, v.as_str());
    Record::decode(&text, Limits::LOAD).unwrap()
}

const SLOT: &str = r#"{"a":{"until":5000,"value":7},"b":{"until":5000,"value":8}}"#;

/// A take of the value 7 under the key `a`, whose first write was sent.
fn taking() -> Driven<Written> {
    let mut take = running(with_slots(1, 2, SLOT), Change::Take("a".into()));
    let asked = take.asks(BEGIN);
    assert_eq!(asked.brief(), (Question::Replace, 1, Some(1)));
    let slots = &asked.record().meta().slots.clone();
    assert_eq!((slots.value("a", NOW), slots.value("b", NOW)), (None, Some("8")));
    take.write_id = 50;
    take
}

fn taken(ended: Result<Written, Stopped>) -> Option<String> {
    match ended {
        Ok(Written::Saved { taken, .. }) => taken,
        ended => panic!("{ended:?}"),
    }
}

#[test]
fn a_value_is_taken_by_the_request_whose_write_has_removed_it() {
    assert_eq!(taken(taking().ends(DONE)).as_deref(), Some("7"));
    // Another request has taken it: no write follows.
    let mut take = taking();
    assert_eq!(take.asks(CONFLICT).brief(), (Question::Read, 1, None));
    assert_eq!(
        taken(take.ends(text(&with_slots(3, 1, r#"{"b":{"until":5000,"value":8}}"#)))),
        None
    );
    // Another request has written something else.
    let mut take = taking();
    take.asks(CONFLICT);
    assert_eq!(take.asks(text(&with_slots(3, 1, SLOT))).brief(), (Question::Replace, 1, Some(3)));
    assert_eq!(taken(take.ends(DONE)).as_deref(), Some("7"));
    // A new value is under the key meanwhile.
    let mut take = taking();
    take.asks(CONFLICT);
    take.asks(text(&with_slots(3, 1, r#"{"a":{"until":5000,"value":9}}"#)));
    assert_eq!(taken(take.ends(DONE)).as_deref(), Some("9"));
}

#[test]
fn a_take_whose_reply_was_lost_returns_what_it_has_taken() {
    let mut take = taking();
    assert_eq!(take.asks(LOST).brief(), (Question::Read, 1, None));
    // Its write is in the record, and another request has put a new value since.
    let later = with_slots(3, 9, r#"{"a":{"until":5000,"value":9}}"#);
    assert_eq!(taken(take.ends(text(&later))).as_deref(), Some("7"));
    // Without its write in the record, it is not known whether it took the value.
    let mut take = taking();
    take.asks(LOST);
    let other = with_slots(3, 4, "{}");
    assert_eq!(take.asks(text(&other)).brief(), (Question::Read, 1, None));
}

#[test]
fn a_value_is_put_beside_what_other_requests_have_put() {
    let change = Change::Put { key: "a".into(), value: "1".into(), until: NOW.plus(5) };
    let mut put = running(record(1, r#"{"n":1}"#), change);
    put.asks(BEGIN);
    put.asks(CONFLICT);
    let theirs = with_slots(3, 1, r#"{"a":{"until":5000,"value":7},"b":{"until":1000,"value":8}}"#);
    let asked = put.asks(text(&theirs));
    assert!(asked.text.contains(r#""slots":{"a":{"until":1005,"value":1}}"#), "{}", asked.text);
    let (session, merged, _) = saved(put.ends(DONE));
    assert_eq!((session.record.data(), merged), ("{}", false));
}

/// A change in an application that writes the version 2, of a session with this record.
fn of_version_2(record: Record, change: Change) -> Driven<Written> {
    let rules = rules_of(OptionsInput { version: Some(2.0), ..OptionsInput::default() });
    Driven::new(|mut host, _| async move {
        commit(&mut host, &rules, seen(1, record), &change, CookieEdit::default()).await
    })
}

/// A record with the write ID `n`, and data of this version.
fn of_version(n: u8, version: u32, data: &str) -> Record {
    let (v, meta) = (write_id(n), format!(r#"{{"version":{version}}}"#));
    let text = format!(r#"{{"v":"{}","meta":{meta},"data":{data}}}"#, v.as_str());
    Record::decode(&text, Limits::LOAD).unwrap()
}

/// The data that a write stores, and its version.
fn stored(record: &Record) -> (&str, Option<u32>) {
    (record.data(), record.meta().version)
}

#[test]
fn a_change_is_merged_into_the_migrated_data_of_an_older_version() {
    let base = r#"{"name":"Ada Byron","n":1}"#;
    let change = Change::Merge { base: base.into(), mine: base.replace('1', "2") };
    for (old, version) in [(record(1, r#"{"first":"Ada"}"#), 0), (of_version(1, 1, "{}"), 1)] {
        let mut commit = of_version_2(old.clone(), change.clone());
        assert_eq!(commit.effect(BEGIN), Effect::Migrate(old.data().into(), version));
        let asked = commit.asks(Answered::Computed(base.into()));
        assert_eq!(asked.brief(), (Question::Replace, 1, Some(1)));
        assert_eq!(stored(&asked.record()), (r#"{"name":"Ada Byron","n":2}"#, Some(2)));
        // Another request has migrated and renamed the session meanwhile: the name of the migration is not put over it.
        commit.asks(CONFLICT);
        let theirs = of_version(3, 2, r#"{"name":"Countess","n":1}"#);
        let asked = commit.asks(text(&theirs));
        assert_eq!(stored(&asked.record()), (r#"{"name":"Countess","n":2}"#, Some(2)));
    }
}

#[test]
fn a_function_of_the_application_gets_migrated_data() {
    let mut commit = of_version_2(record(1, r#"{"n":1}"#), Change::Rerun);
    assert_eq!(commit.effect(BEGIN), Effect::Migrate(r#"{"n":1}"#.into(), 0));
    let migrated = Answered::Computed(r#"{"count":1}"#.into());
    assert_eq!(commit.effect(migrated), Effect::Compute(r#"{"count":1}"#.into()));
    let asked = commit.asks(Answered::Computed(r#"{"count":2}"#.into()));
    assert_eq!(stored(&asked.record()), (r#"{"count":2}"#, Some(2)));
}

#[test]
fn a_write_without_data_neither_migrates_nor_numbers_it() {
    let asked = of_version_2(record(1, r#"{"n":1}"#), Change::Keep).asks(BEGIN);
    assert_eq!(stored(&asked.record()), (r#"{"n":1}"#, None));
    let asked = of_version_2(of_version(1, 1, r#"{"n":1}"#), Change::Keep).asks(BEGIN);
    assert_eq!(stored(&asked.record()), (r#"{"n":1}"#, Some(1)));
}

#[test]
fn data_of_a_newer_version_keeps_its_number_and_its_other_members() {
    let change = Change::Merge { base: r#"{"n":1}"#.into(), mine: r#"{"n":2}"#.into() };
    let asked = of_version_2(of_version(1, 3, r#"{"n":1,"new":[1.50]}"#), change).asks(BEGIN);
    assert_eq!(stored(&asked.record()), (r#"{"n":2,"new":[1.50]}"#, Some(3)));
}
