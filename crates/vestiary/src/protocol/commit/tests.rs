use alloc::{format, sync::Arc};

use super::super::{
    Answered, Effect, Question, Reply, Stopped, TRIES, TRUSTED,
    testing::{
        BEGIN, CONFLICT, DONE, Driven, GONE, LOST, NOW, doubts, id, record, seen, text, tombstone,
        write_id, written,
    },
};
use super::*;

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
        Ok(Written::Saved { session, merged, reread }) => (session, merged, reread),
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
    let doubt = Attempt { expected: None, write_id: write_id(9), is_in_doubt: true, merges: false };
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
