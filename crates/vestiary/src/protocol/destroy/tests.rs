use super::super::{
    Question, Stopped, TRUSTED,
    testing::{
        BEGIN, CONFLICT, DONE, Driven, GONE, LOST, NOW, doubts, id, record, seen, text, tombstone,
    },
};
use super::*;
use crate::{Limits, Record};

fn ending(loaded: Record) -> Driven<SessionId> {
    Driven::new(|mut host, rules| async move { destroy(&mut host, &rules, seen(1, loaded)).await })
}

/// The tombstone of a renewal, under the ID `n`.
fn renewed(n: u8) -> Record {
    tombstone(n, Some(crate::UnixMillis(0)))
}

#[test]
fn gone_is_trusted_after_a_remove_but_not_after_a_read() {
    let mut destroy = ending(record(1, "{}"));
    assert_eq!(destroy.asks(BEGIN).brief(), (Question::Remove, 1, Some(1)));
    assert_eq!(destroy.asks(LOST).brief(), (Question::Read, 1, None));
    assert_eq!(destroy.asks(GONE).brief(), (Question::Remove, 1, Some(1)));
    assert_eq!(destroy.ends(GONE), Ok(id(1)));
}

#[test]
fn a_logout_follows_every_rotation_and_removes_no_tombstone() {
    let mut destroy = ending(renewed(1));
    assert_eq!(destroy.asks(BEGIN).brief(), (Question::Read, 2, None));
    assert_eq!(destroy.asks(text(&renewed(2))).brief(), (Question::Read, 3, None));
    assert_eq!(destroy.asks(text(&record(7, "{}"))).brief(), (Question::Remove, 3, Some(7)));
    assert_eq!(destroy.asks(CONFLICT).brief(), (Question::Read, 3, None));
    assert_eq!(destroy.asks(text(&record(8, "{}"))).brief(), (Question::Remove, 3, Some(8)));
    assert_eq!(destroy.ends(DONE), Ok(id(3)));
}

#[test]
fn the_session_of_a_login_is_not_ended_by_the_id_that_the_login_replaced() {
    assert_eq!(ending(tombstone(1, None)).ends(BEGIN), Ok(id(1)));
    let mut destroy = ending(record(1, "{}"));
    assert_eq!(destroy.asks(BEGIN).brief(), (Question::Remove, 1, Some(1)));
    assert_eq!(destroy.asks(CONFLICT).brief(), (Question::Read, 1, None));
    assert_eq!(destroy.ends(text(&tombstone(1, None))), Ok(id(1)));
    // Renewed first, then logged in.
    let mut destroy = ending(renewed(1));
    assert_eq!(destroy.asks(BEGIN).brief(), (Question::Read, 2, None));
    assert_eq!(destroy.ends(text(&tombstone(2, None))), Ok(id(2)));
}

#[test]
fn a_session_of_a_user_leaves_the_list_before_its_record_is_removed() {
    let owned = Record::decode(
        r#"{"v":"AAAAAAAAAAAAAAAA","meta":{"user":"ada","handle":"BBBBBBBBBBBBBBBB"},"data":{}}"#,
        Limits::LOAD,
    )
    .unwrap();
    // A session whose owner is known only under its new ID leaves the list, too.
    let mut found = ending(renewed(1));
    found.asks(BEGIN);
    let listed = ending(owned.clone()).asks(BEGIN);
    assert_eq!(found.asks(text(&owned)), listed);
    assert!(listed.kind == Question::Read && listed.key.starts_with("user:"), "{listed:?}");
    assert_eq!(found.asks(GONE).kind, Question::Create);
    assert_eq!(found.asks(DONE).kind, Question::Remove);
    // Once is enough.
    found.asks(CONFLICT);
    assert_eq!(found.asks(text(&owned)).kind, Question::Remove);
    assert_eq!(found.ends(DONE), Ok(id(2)));
}

#[test]
fn a_logout_fails_if_the_store_does_not_reply() {
    let mut destroy = ending(record(1, "{}"));
    destroy.asks(BEGIN);
    destroy.asks(LOST);
    assert_eq!(destroy.ends(LOST), Err(Stopped::Host(1)));
}

#[test]
fn it_gives_up_after_too_many_attempts() {
    let mut destroy = ending(record(1, "{}"));
    destroy.asks(BEGIN);
    for _ in 0..2 * TRIES {
        assert_eq!(destroy.asks(CONFLICT).brief(), (Question::Read, 1, None));
        assert_eq!(destroy.asks(text(&record(1, "{}"))).brief(), (Question::Remove, 1, Some(1)));
    }
    assert_eq!(destroy.ends(CONFLICT), doubts(Doubt::Busy));
}

#[test]
fn the_absence_of_a_record_is_no_proof_once_a_tombstone_may_have_expired() {
    for (later, ended) in [(TRUSTED - 1, Ok(id(1))), (TRUSTED, doubts(Doubt::Untraced))] {
        let mut destroy = ending(record(1, "{}"));
        destroy.asks(BEGIN);
        destroy.now = NOW.plus(later);
        assert_eq!(destroy.ends(GONE), ended);
    }
    // The record existed a moment ago.
    let mut destroy = ending(record(1, "{}"));
    destroy.asks(BEGIN);
    destroy.now = NOW.plus(TRUSTED);
    destroy.asks(CONFLICT);
    assert_eq!(destroy.asks(text(&record(7, "{}"))).brief(), (Question::Remove, 1, Some(7)));
    assert_eq!(destroy.ends(GONE), Ok(id(1)));
}

#[test]
fn the_absence_of_the_record_a_pointer_leads_to_is_proof_only_while_the_pointer_is_there() {
    for (pointer, ended) in [(text(&renewed(1)), Ok(id(2))), (GONE, doubts(Doubt::Untraced))] {
        let mut destroy = ending(renewed(1));
        assert_eq!(destroy.asks(BEGIN).brief(), (Question::Read, 2, None));
        assert_eq!(destroy.asks(GONE).brief(), (Question::Remove, 2, Some(2)));
        assert_eq!(destroy.asks(GONE).brief(), (Question::Read, 1, None));
        assert_eq!(destroy.asks(LOST).brief(), (Question::Read, 1, None));
        assert_eq!(destroy.ends(pointer), ended);
    }
}

#[test]
fn a_record_that_is_read_again_is_as_old_as_the_question() {
    for (took, ended) in [(TRUSTED - 1, Ok(id(1))), (TRUSTED, doubts(Doubt::Untraced))] {
        let mut destroy = ending(record(1, "{}"));
        destroy.asks(BEGIN);
        destroy.asks(CONFLICT);
        destroy.now = NOW.plus(took);
        assert_eq!(destroy.asks(text(&record(7, "{}"))).brief(), (Question::Remove, 1, Some(7)));
        assert_eq!(destroy.ends(GONE), ended);
    }
}
