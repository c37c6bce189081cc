use alloc::format;

use super::super::{
    Question, TRIES, TRUSTED,
    testing::{
        BEGIN, CONFLICT, DONE, Driven, GONE, LOST, NOW, doubts, id, record, seen, text, tombstone,
        write_id,
    },
};
use super::*;
use crate::{Limits, Record};

fn touching(loaded: Record) -> Driven<Option<Box<Seen>>> {
    Driven::new(|mut host, rules| async move { touch(&mut host, &rules, seen(1, loaded)).await })
}

#[test]
fn a_pointer_of_a_login_is_never_touched() {
    let mut touch = touching(record(1, "{}"));
    assert_eq!(touch.asks(BEGIN).brief(), (Question::Touch, 1, Some(1)));
    assert_eq!(touch.asks(CONFLICT).brief(), (Question::Read, 1, None));
    assert_eq!(touch.ends(text(&tombstone(1, None))), Ok(None));
    assert_eq!(touching(tombstone(1, None)).ends(BEGIN), Ok(None));
}

#[test]
fn a_session_that_was_renewed_is_touched_under_its_new_id_after_the_grace_period_too() {
    for grace in [NOW, NOW.plus(5)] {
        let mut touch = touching(record(1, "{}"));
        touch.asks(BEGIN);
        touch.asks(CONFLICT);
        let look = touch.asks(text(&tombstone(1, Some(grace))));
        assert_eq!(look.brief(), (Question::Read, 2, None));
        // A stale replica does not know it. The probe touches no record.
        assert_eq!(touch.asks(GONE).brief(), (Question::Touch, 2, Some(2)));
        assert_eq!(touch.asks(CONFLICT).brief(), (Question::Read, 2, None));
        let again = touch.asks(text(&record(3, "{}")));
        assert_eq!(again.brief(), (Question::Touch, 2, Some(3)));
        let touched = touch.ends(DONE).unwrap().unwrap();
        assert_eq!((touched.id, touched.record.write_id()), (id(2), Some(&write_id(3))));
    }
    // A request that comes with the old ID is not admitted after the grace period.
    assert_eq!(touching(tombstone(1, Some(NOW))).ends(BEGIN), Ok(None));
    let within = touching(tombstone(1, Some(NOW.plus(1)))).asks(BEGIN);
    assert_eq!(within.brief(), (Question::Read, 2, None));
}

#[test]
fn a_session_that_has_expired_meanwhile_is_not_touched() {
    let mut touch = touching(record(1, "{}"));
    touch.asks(BEGIN);
    touch.asks(CONFLICT);
    let (write_id, over) = (write_id(3), NOW.0);
    let found =
        format!(r#"{{"v":"{}","data":{{}},"meta":{{"absolute":{over}}}}}"#, write_id.as_str());
    let found = Record::decode(&found, Limits::LOAD).unwrap();
    assert_eq!(touch.ends(text(&found)), Ok(None));
}

#[test]
fn a_touch_accepts_the_record_of_another_request_and_gives_up_in_the_end() {
    let mut touch = touching(record(1, "{}"));
    touch.asks(BEGIN);
    for n in 0..TRIES {
        let answer = if n == 0 { LOST } else { CONFLICT };
        assert_eq!(touch.asks(answer).brief(), (Question::Read, 1, None));
        let again = touch.asks(text(&record(10 + n, "{}")));
        assert_eq!(again.brief(), (Question::Touch, 1, Some(10 + n)));
    }
    assert_eq!(touch.ends(CONFLICT), Err(super::super::Stopped::Host(1)));
}

#[test]
fn the_absence_of_the_record_is_no_proof_once_a_tombstone_may_have_expired() {
    for (later, ended) in [(TRUSTED - 1, Ok(None)), (TRUSTED, doubts(Doubt::Untraced))] {
        let mut touch = touching(record(1, "{}"));
        touch.now = NOW.plus(later);
        touch.asks(BEGIN);
        assert_eq!(touch.ends(GONE), ended);
    }
}

#[test]
fn a_record_that_is_read_again_is_as_old_as_the_question() {
    for (took, ended) in [(TRUSTED - 1, Ok(None)), (TRUSTED, doubts(Doubt::Untraced))] {
        let mut touch = touching(record(1, "{}"));
        touch.asks(BEGIN);
        touch.asks(CONFLICT);
        touch.now = NOW.plus(took);
        assert_eq!(touch.asks(text(&record(5, "{}"))).brief(), (Question::Touch, 1, Some(5)));
        assert_eq!(touch.ends(GONE), ended);
    }
}

#[test]
fn an_expired_session_is_read_again_because_its_deadline_may_have_moved() {
    let over = format!(r#"{{"v":"{}","data":{{}},"meta":{{"absolute":1}}}}"#, write_id(1).as_str());
    let mut touch = touching(Record::decode(&over, Limits::LOAD).unwrap());
    assert_eq!(touch.asks(BEGIN).brief(), (Question::Read, 1, None));
    assert_eq!(touch.asks(text(&record(5, "{}"))).brief(), (Question::Touch, 1, Some(5)));
    assert!(matches!(touch.ends(DONE), Ok(Some(_))));
}
