use super::*;
use crate::{
    Limits, WriteId,
    protocol::{Answered, Asked, Effect, NewId, Pending, Question, Reply, testing::rules},
};

/// A login that replaces a session of the same user and is refused, because another request has revoked all other
/// sessions of the user. The store answers `first` to the replacement of the old session, and then returns the
/// record `found`. Returns the list that is written last.
fn refused(first: Answered, found: &str) -> String {
    let rules = rules();
    let (id, at) = (SessionId::from_entropy(&[3; 24]), UnixMillis(1_000));
    let old = Seen { id, record: rules.record(OLD.into()).unwrap(), at };
    let mut logging_in = Pending::new(move |mut host| {
        let (rules, old) = (rules.clone(), old.clone());
        async move {
            let join = Join {
                name: "ada",
                label: None,
                device: crate::Device::default(),
                proven: at,
                own_end: None,
                cookie: None,
                provider: None,
                tokens: None,
            };
            log_in(&mut host, &rules, Some(old), &join, "{}").await
        }
    });
    let mut poll = |answer| logging_in.poll(answer, at, 0, &[7; Pending::<()>::ENTROPY]);
    let list = |after: &str| {
        let entry = r#""AQEBAQEBAQEBAQEB":{"created":1,"seen":1,"until":9000}"#;
        let text = [r#"{"v":"BBBBBBBBBBBBBBBB""#, after, r#","sessions":{"#, entry, "}}"];
        Answered::Reply(Reply::Text(text.concat()))
    };
    let done = || Answered::Reply(Reply::Done);
    assert_eq!(poll(Answered::Begin), Effect::NewId);
    let new = NewId::Random(SessionId::from_entropy(&[5; 24]));
    let Answered::Reply(Reply::Text(text)) = list("") else { panic!() };
    let timed = Answered::Reply(Reply::Timed(Some(text), None));
    let steps = [
        (Answered::NewId(new), Question::Create),
        (done(), Question::ReadTimed),
        (timed, Question::Replace),
        (Answered::Reply(Reply::Conflict), Question::Replace),
        (first, Question::Read),
        (list(r#","after":2000"#), Question::Replace),
        (done(), Question::Read),
        (Answered::Reply(Reply::Text(found.into())), Question::Read),
        (list(r#","after":2000"#), Question::Replace),
    ];
    let mut written = String::new();
    for (answer, asked) in steps {
        let effect = poll(answer);
        let Effect::Call(Asked { kind, text, .. }) = effect else { panic!("{effect:?}") };
        assert_eq!(kind, asked);
        written = text;
    }
    let Effect::Call(Asked { kind: Question::Remove, .. }) = poll(done()) else { panic!() };
    assert!(matches!(poll(done()), Effect::Finished(Ok(None))));
    written
}

/// The old session.
const OLD: &str = r#"{"v":"AAAAAAAAAAAAAAAA","cookie":{},"data":{},"meta":{"user":"ada","handle":"AQEBAQEBAQEBAQEB"}}"#;

/// Its tombstone, if a login has given the session this ID.
fn tombstone(n: u8) -> String {
    let [old, new] = [3, n].map(|n| SessionId::from_entropy(&[n; 24]));
    let write_id = WriteId::from_entropy(&[8; WriteId::ENTROPY]);
    let tombstone = rules().record(OLD.into()).unwrap().tombstone(write_id, &old, &new, None);
    tombstone.unwrap().encode(Limits::LOAD).unwrap()
}

#[test]
fn a_refused_login_that_has_replaced_the_previous_session_removes_it_from_the_list() {
    let written = refused(Answered::Reply(Reply::Done), &tombstone(5));
    assert!(written.contains(r#""sessions":{}"#), "{written}");
}

#[test]
fn a_refused_login_keeps_the_previous_session_in_the_list_unless_another_login_has_replaced_it() {
    let conflict = || Answered::Reply(Reply::Conflict);
    let written = refused(conflict(), OLD);
    assert!(written.contains(r#""sessions":{"AQEBAQEBAQEBAQEB""#), "{written}");
    let written = refused(conflict(), &tombstone(4));
    assert!(written.contains(r#""sessions":{}"#), "{written}");
}
