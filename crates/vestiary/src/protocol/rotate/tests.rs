use super::super::{
    Answered, Asked, Effect, Question, Stopped, TRUSTED,
    testing::{
        BEGIN, CONFLICT, DONE, Driven, GONE, LOST, NOW, doubts, id, record, seen, text, tombstone,
        write_id, written,
    },
};
use super::*;
use crate::Limits;

fn rotating(loaded: Record, reason: Reason) -> Driven<Moved> {
    Driven::new(|mut host, rules| async move {
        rotate(&mut host, &rules, seen(1, loaded), reason, false).await
    })
}

/// A renewal of the session 1 with the write ID 1 to the session 2, with the write ID 9, which was created. The old
/// one gets a tombstone with the write ID 11.
fn renewal() -> Driven<Moved> {
    let mut rotate = rotating(record(1, r#"{"n":1}"#), Reason::Renewal(NOW.plus(30_000)));
    let created = rotate.asks(BEGIN);
    assert_eq!((created.brief(), created.ttl), ((Question::Create, 2, None), Ttl::Infinite));
    let meta = created.record().meta().clone();
    assert_eq!((meta.created, meta.renewed), (Some(NOW), Some(NOW)));
    rotate.write_id = 11;
    assert_eq!(rotate.asks(DONE).brief(), (Question::Replace, 1, Some(1)));
    rotate.write_id = 4;
    rotate
}

/// Another request changes the old record's TTL each time, and nothing else.
fn busy(rotate: &mut Driven<Moved>, last: Answered) -> Effect<Moved> {
    for n in 1..=TRIES {
        assert_eq!(rotate.asks(CONFLICT).brief(), (Question::Read, 1, None), "{n}");
        let replacing = rotate.asks(text(&record(1, r#"{"n":1}"#)));
        assert_eq!(replacing.brief(), (Question::Replace, 1, Some(1)), "{n}");
    }
    rotate.effect(last)
}

fn asked(effect: Effect<Moved>) -> Asked {
    match effect {
        Effect::Call(asked) => asked,
        effect => panic!("{effect:?}"),
    }
}

#[test]
fn it_gives_up_after_too_many_attempts_and_removes_the_unknown_record() {
    let rotate = &mut renewal();
    assert_eq!(asked(busy(rotate, CONFLICT)).brief(), (Question::Remove, 2, Some(9)));
    assert_eq!(rotate.ends(DONE), doubts(Doubt::Busy));
}

#[test]
fn the_record_that_a_late_request_may_still_lead_to_is_kept() {
    let rotate = &mut renewal();
    assert_eq!(busy(rotate, LOST), Effect::Finished(Err(Stopped::Host(1))));
    // Another request has written the old record since, so the late write is refused.
    let rotate = &mut renewal();
    rotate.asks(LOST);
    let carry = rotate.asks(text(&written(5, &[1], "{}")));
    assert_eq!(carry.brief(), (Question::Replace, 2, Some(9)));
    assert_eq!(rotate.asks(GONE).brief(), (Question::Remove, 2, Some(9)));
}

#[test]
fn a_tombstone_is_not_replaced_again() {
    let tombstone = tombstone(1, Some(NOW.plus(5)));
    let login = Reason::Login(Box::new(record(2, "{}")), Ttl::Infinite);
    assert_eq!(rotating(tombstone, login).ends(BEGIN), Ok(Moved::Elsewhere(Some(id(2)))));
}

#[test]
fn later_writes_of_the_old_record_go_along() {
    let rotate = &mut renewal();
    rotate.asks(CONFLICT);
    let carry = rotate.asks(text(&written(5, &[1], r#"{"n":5}"#)));
    assert_eq!(carry.brief(), (Question::Replace, 2, Some(9)));
    assert_eq!(
        (carry.record().data(), carry.record().write_id()),
        (r#"{"n":5}"#, Some(&write_id(4)))
    );
    assert_eq!(rotate.asks(LOST), carry);
    // The conflict is with the first attempt.
    assert_eq!(rotate.asks(CONFLICT).brief(), (Question::Replace, 1, Some(5)));
    let Ok(Moved::To(session)) = rotate.ends(DONE) else { panic!() };
    assert_eq!((session.id, session.record), (id(2), carry.record()));
}

#[test]
fn a_record_older_than_the_one_read_is_not_carried_over() {
    let rotate = &mut renewal();
    rotate.asks(CONFLICT);
    assert_eq!(rotate.asks(text(&record(6, "{}"))).brief(), (Question::Read, 1, None));
}

#[test]
fn each_new_record_has_an_id_of_its_own() {
    let mut rotate = rotating(record(1, "{}"), Reason::Renewal(NOW));
    for n in 0..IDS {
        let answer = [BEGIN, LOST, CONFLICT][usize::from(n)].clone();
        assert_eq!(rotate.asks(answer).brief(), (Question::Create, 2 + n, None));
    }
    assert_eq!(rotate.ends(CONFLICT), Err(Stopped::Host(1)));
}

#[test]
fn a_rotation_ends_when_the_old_id_is_out_of_use() {
    let Ok(Moved::To(session)) = renewal().ends(DONE) else { panic!() };
    assert_eq!(session.id, id(2));
    // Also if the reply was lost.
    let rotate = &mut renewal();
    rotate.asks(LOST);
    let tombstone = record(1, "{}").tombstone(write_id(11), &id(1), &id(2), Some(NOW)).unwrap();
    let Ok(Moved::To(session)) = rotate.ends(text(&tombstone)) else { panic!() };
    assert_eq!(session.id, id(2));
}

#[test]
fn a_request_that_had_the_session_open_follows_a_renewal_after_the_grace_period_too() {
    for (grace, elsewhere) in [(Some(NOW), Some(id(2))), (None, None)] {
        let theirs = tombstone(1, grace);
        let rotate = &mut renewal();
        rotate.asks(CONFLICT);
        assert_eq!(rotate.asks(text(&theirs)).brief(), (Question::Remove, 2, Some(9)));
        assert_eq!(rotate.ends(DONE), Ok(Moved::Elsewhere(elsewhere)));
        // A request that comes with the old ID is not admitted any more.
        let late = rotating(theirs, Reason::Renewal(NOW)).ends(BEGIN);
        assert_eq!(late, Ok(Moved::Elsewhere(None)));
    }
}

#[test]
fn the_absence_of_the_old_record_is_no_proof_once_a_tombstone_may_have_expired() {
    for (later, ended) in [(TRUSTED - 1, Ok(Moved::Gone)), (TRUSTED, doubts(Doubt::Untraced))] {
        let rotate = &mut renewal();
        rotate.now = NOW.plus(later);
        assert_eq!(rotate.asks(GONE).brief(), (Question::Remove, 2, Some(9)));
        assert_eq!(rotate.ends(DONE), ended);
    }
    // The new record stays: the tombstone may lead to it.
    let rotate = &mut renewal();
    rotate.asks(LOST);
    rotate.asks(GONE);
    rotate.now = NOW.plus(TRUSTED);
    assert_eq!(rotate.ends(GONE), Err(Stopped::Host(1)));
}

#[test]
fn a_record_that_is_read_again_is_as_old_as_the_question() {
    for (took, ended) in [(TRUSTED - 1, Ok(Moved::Gone)), (TRUSTED, doubts(Doubt::Untraced))] {
        let rotate = &mut renewal();
        rotate.asks(CONFLICT);
        rotate.now = NOW.plus(took);
        rotate.asks(text(&written(5, &[1], "{}")));
        assert_eq!(rotate.asks(DONE).brief(), (Question::Replace, 1, Some(5)));
        assert_eq!(rotate.asks(GONE).brief(), (Question::Remove, 2, Some(4)));
        assert_eq!(rotate.ends(DONE), ended);
    }
}

#[test]
fn the_new_record_is_as_old_as_its_last_write() {
    // The new record was created when the renewal began.
    let rotate = &mut renewal();
    rotate.asks(CONFLICT);
    rotate.now = NOW.plus(5);
    rotate.asks(text(&record(1, r#"{"n":1}"#)));
    let Ok(Moved::To(session)) = rotate.ends(DONE) else { panic!() };
    assert_eq!(session.at, NOW);
    // The new record was written once more, because the reply to the first attempt was lost.
    let rotate = &mut renewal();
    rotate.asks(CONFLICT);
    rotate.now = NOW.plus(5);
    rotate.asks(text(&written(5, &[1], "{}")));
    rotate.now = NOW.plus(9);
    rotate.asks(LOST);
    rotate.asks(CONFLICT);
    let Ok(Moved::To(session)) = rotate.ends(DONE) else { panic!() };
    assert_eq!(session.at, NOW.plus(5));
}

/// This record with an absolute deadline five milliseconds from now.
fn ending(record: &Record) -> Record {
    let deadline = Some(NOW.plus(5));
    let meta = Meta { absolute: deadline, ..record.meta().clone() };
    let write_id = record.write_id().cloned().unwrap();
    record
        .rewritten(Format::SvelteKitSessions, write_id, "{}", record.data(), meta, Limits::SAVE)
        .unwrap()
}

#[test]
fn a_session_that_expires_meanwhile_gets_no_new_id() {
    let begun = || {
        let mut rotate = rotating(ending(&record(1, "{}")), Reason::Renewal(NOW.plus(30_000)));
        rotate.asks(BEGIN);
        rotate
    };
    // While the new record was created. Another request may have moved the deadline.
    let later = record(1, "{}").rewritten(
        Format::SvelteKitSessions,
        write_id(5),
        "{}",
        "{}",
        record(1, "{}").meta().clone(),
        Limits::SAVE,
    );
    let removal = (Question::Remove, 2, Some(9));
    let ends = [
        (text(&ending(&record(1, "{}"))), removal),
        (GONE, removal),
        (text(&later.unwrap()), (Question::Replace, 2, Some(9))),
    ];
    for (found, next) in ends {
        let rotate = &mut begun();
        rotate.now = NOW.plus(5);
        assert_eq!(rotate.asks(DONE).brief(), (Question::Read, 1, None));
        assert_eq!(rotate.asks(found).brief(), next);
        if next.0 == Question::Remove {
            assert_eq!(rotate.ends(DONE), Ok(Moved::Gone));
        }
    }
    // While the old one was read again.
    let rotate = &mut begun();
    rotate.asks(DONE);
    rotate.asks(CONFLICT);
    rotate.now = NOW.plus(5);
    let removed = rotate.asks(text(&ending(&written(5, &[1], "{}"))));
    assert_eq!(removed.brief(), (Question::Remove, 2, Some(9)));
    assert_eq!(rotate.ends(DONE), Ok(Moved::Gone));
    // The new record stays where a tombstone may lead to it.
    for found in [GONE, text(&ending(&record(1, "{}")))] {
        let rotate = &mut begun();
        rotate.asks(DONE);
        rotate.asks(LOST);
        rotate.now = NOW.plus(5);
        let mut effect = rotate.effect(found.clone());
        while let Effect::Call(asked) = effect {
            assert_eq!(asked.brief(), (Question::Read, 1, None));
            effect = rotate.effect(found.clone());
        }
        assert_eq!(effect, Effect::Finished(Err(Stopped::Host(1))));
    }
}
