use alloc::borrow::ToOwned as _;

use super::super::{
    Answered, Question, Reply, Stopped, TRIES,
    testing::{BEGIN, CONFLICT, DONE, Driven, GONE, LOST, NOW},
};
use super::*;
use crate::{Error, Handle, SessionsPerUser, WhenFull};

/// The verdict, and the time at which all sessions were ended before.
type Outcome = (Verdict, Option<UnixMillis>);

fn changing(change: UserChange) -> Driven<Outcome> {
    Driven::new(|mut host, rules| async move {
        let changed = change_list(&mut host, &rules, "user:AAAAAAAA", &change, None).await?;
        Ok((changed.verdict, changed.ended_before))
    })
}

fn handle(n: u8) -> Handle {
    Handle::from_entropy(&[n; 12])
}

fn add(n: u8) -> UserChange {
    let (handle, limit) = (handle(n), SessionsPerUser::default());
    UserChange::Add {
        handle,
        replaces: None,
        label: None,
        device: None,
        provider: None,
        since: NOW,
        limit,
    }
}

fn text(text: &str) -> Answered {
    Answered::Reply(Reply::Text(text.to_owned()))
}

const MADE: Result<Outcome, Stopped> = Ok((Verdict::Made, None));

#[test]
fn a_change_is_made_again_until_it_is_made() {
    let mut login = changing(add(1));
    assert_eq!(login.asks(BEGIN).kind, Question::Read);
    let created = login.asks(GONE);
    assert!(created.kind == Question::Create && created.owned, "{created:?}");
    assert_eq!(login.asks(LOST).kind, Question::Read);
    // The list has the change already: the reply was lost.
    assert_eq!(login.ends(text(&created.text)), MADE);
    // Every attempt met a conflict.
    let mut other = changing(add(2));
    other.asks(BEGIN);
    for _ in 0..TRIES {
        let replaced = other.asks(text(&created.text));
        assert!(replaced.kind == Question::Replace && replaced.expected.is_some());
        assert_eq!(other.asks(CONFLICT).kind, Question::Read);
    }
    other.asks(text(&created.text));
    assert_eq!(other.ends(CONFLICT), Err(Stopped::Doubt(super::super::Doubt::Busy)));
    // Only the reply to a write proves that a session is not listed.
    for (change, verdict) in [
        (UserChange::Remove(handle(7)), Verdict::Made),
        (UserChange::Seen(handle(7)), Verdict::Outdated),
    ] {
        for found in [GONE, text(&created.text)] {
            let mut absent = changing(change.clone());
            absent.asks(BEGIN);
            assert_ne!(absent.asks(found).kind, Question::Read);
            assert_eq!(absent.ends(DONE), Ok((verdict, None)));
        }
    }
}

#[test]
fn only_the_reply_to_a_write_proves_that_a_list_is_full() {
    let login = |n| {
        let limit = SessionsPerUser { most: 1, when_full: WhenFull::Refuse };
        let (handle, device) = (handle(n), None);
        changing(UserChange::Add {
            handle,
            replaces: None,
            label: None,
            device,
            provider: None,
            since: NOW,
            limit,
        })
    };
    let mut first = login(1);
    first.asks(BEGIN);
    let full = first.asks(GONE).text;
    let mut refused = login(2);
    refused.asks(BEGIN);
    let replaced = refused.asks(text(&full));
    assert_eq!(replaced.kind, Question::Replace);
    let sessions = |text| UserSessions::decode(text).unwrap().sessions().to_vec();
    assert_eq!(sessions(&replaced.text), sessions(&full));
    let verdict = Verdict::Full;
    assert_eq!(refused.ends(DONE), Ok((verdict, None)));
    // A replica has returned an old list.
    let mut admitted = login(2);
    admitted.asks(BEGIN);
    admitted.asks(text(&full));
    assert_eq!(admitted.asks(CONFLICT).kind, Question::Read);
    assert_eq!(admitted.asks(GONE).kind, Question::Create);
    assert_eq!(admitted.ends(DONE), MADE);
}

#[test]
fn an_unreadable_list_is_not_overwritten() {
    let large = r#"{"v":"AAAAAAAAAAAAAAAA","sessions":{}}"#.to_owned() + &" ".repeat(2 << 20);
    let sealed = r#"{"v":"AAAAAAAAAAAAAAAA","sealed":"AAAA"}"#;
    let end = UserChange::End { keep: None, at: NOW };
    for change in [add(1), end, UserChange::Seen(handle(1)), UserChange::Remove(handle(1))] {
        for (list, error) in [
            ("broken", Error::Json),
            ("{}", Error::Json),
            (sealed, Error::Unsealable),
            (large.as_str(), Error::TooLarge { size: 0, limit: 0 }),
        ] {
            let mut changing = changing(change.clone());
            changing.asks(BEGIN);
            let ended = changing.ends(text(list));
            let Err(Stopped::Core(stopped)) = ended else { panic!("{change:?}: {ended:?}") };
            assert_eq!(stopped.code(), error.code(), "{change:?}");
        }
    }
}
