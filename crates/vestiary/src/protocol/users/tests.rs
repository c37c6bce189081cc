use alloc::format;

use super::*;
use crate::Device;

const TTL: Lifetime = Lifetime { ttl: Ttl::Millis(10_000), absolute: None };

const ENDLESS: Lifetime = Lifetime { ttl: Ttl::Infinite, absolute: None };

fn handle(n: u8) -> Handle {
    Handle::from_entropy(&[n; 12])
}

fn end(at: u64) -> UserChange {
    UserChange::End { keep: None, at: UnixMillis(at) }
}

fn add(n: u8, since: u64, most: usize) -> UserChange {
    entry(n, since, most.into())
}

fn entry(n: u8, since: u64, limit: SessionsPerUser) -> UserChange {
    let since = UnixMillis(since);
    UserChange::Add {
        handle: handle(n),
        replaces: None,
        label: None,
        device: None,
        provider: None,
        since,
        limit,
    }
}

#[test]
fn the_longest_unused_session_makes_room() {
    let mut sessions = UserSessions::default();
    for n in 0..3 {
        assert_eq!(sessions.apply(&add(n, 1, 3), TTL, UnixMillis(u64::from(n))), Verdict::Made);
    }
    assert_eq!(sessions.apply(&UserChange::Seen(handle(0)), TTL, UnixMillis(5)), Verdict::Made);
    assert_eq!(sessions.apply(&add(3, 6, 3), TTL, UnixMillis(6)), Verdict::Made);
    let used = sessions.sessions().iter().find(|session| session.handle == handle(0)).unwrap();
    assert_eq!((used.created, used.seen), (UnixMillis(0), UnixMillis(5)));
    assert_eq!(used.until, UnixMillis(11_005));
    let known = [0, 1, 2, 3].map(|n| sessions.knows(&handle(n)));
    assert_eq!(known, [true, false, true, true]);
    assert_eq!(sessions.apply(&add(4, 6, 1), TTL, UnixMillis(6)), Verdict::Made);
    assert_eq!(sessions.sessions().len(), 1);
}

#[test]
fn a_session_that_a_login_replaces_is_known_but_not_shown_and_takes_no_room() {
    let mut sessions = UserSessions::default();
    for n in 0..3 {
        assert_eq!(sessions.apply(&add(n, 1, 9), TTL, UnixMillis(1)), Verdict::Made);
    }
    sessions.leave(&handle(2), UnixMillis(5));
    assert!(sessions.knows(&handle(2)));
    let mut shown = sessions.clone();
    shown.sweep(UnixMillis(5));
    assert_eq!([0, 1, 2].map(|n| shown.knows(&handle(n))), [true, true, false]);
    // A late request does not restore the session. The failure of the login does.
    let is_shown = |mut shown: UserSessions| {
        shown.sweep(UnixMillis(6));
        shown.knows(&handle(2))
    };
    let mut used = sessions.clone();
    assert_eq!(used.apply(&UserChange::Seen(handle(2)), TTL, UnixMillis(6)), Verdict::Made);
    assert!(!is_shown(used));
    let mut stays = sessions.clone();
    stays.stay(&handle(2), TTL, UnixMillis(6));
    assert!(is_shown(stays));
    assert_eq!(sessions.apply(&add(3, 5, 3), TTL, UnixMillis(5)), Verdict::Made);
    assert_eq!([0, 1, 2, 3].map(|n| sessions.knows(&handle(n))), [true, true, true, true]);
    assert_eq!(sessions.apply(&add(4, 5, 3), TTL, UnixMillis(5)), Verdict::Made);
    assert_eq!([0, 1, 2, 3].map(|n| sessions.knows(&handle(n))), [false, true, true, true]);
}

/// A login that is refused if there are so many sessions.
fn join(n: u8, replaces: Option<u8>, most: usize) -> UserChange {
    let limit = SessionsPerUser { most, when_full: WhenFull::Refuse };
    let (replaces, since) = (replaces.map(handle), UnixMillis(9));
    UserChange::Add {
        handle: handle(n),
        replaces,
        label: None,
        device: None,
        provider: None,
        since,
        limit,
    }
}

#[test]
fn a_full_list_refuses_a_login_and_stays_as_it_is() {
    let mut sessions = UserSessions::default();
    for n in 0..2 {
        assert_eq!(sessions.apply(&join(n, None, 2), TTL, UnixMillis(9)), Verdict::Made);
    }
    let before = sessions.clone();
    // Neither a session of another user nor one that has ended is replaced.
    for replaces in [None, Some(7)] {
        let verdict = sessions.apply(&join(2, replaces, 2), TTL, UnixMillis(10));
        assert_eq!((verdict, &sessions), (Verdict::Full, &before));
    }
    // The end of all sessions counts first.
    let mut ended = sessions.clone();
    ended.after = Some(UnixMillis(10));
    assert_eq!(ended.apply(&join(2, None, 2), TTL, UnixMillis(10)), Verdict::Outdated);
    // A lost reply: the list has the login already.
    assert_eq!(sessions.apply(&join(1, None, 2), TTL, UnixMillis(10)), Verdict::Made);
    // A session that has ended takes no place.
    let late = UnixMillis(11_009);
    let mut expired = sessions.clone();
    assert_eq!(expired.apply(&join(2, None, 2), TTL, UnixMillis(11_008)), Verdict::Full);
    assert_eq!(expired.apply(&join(2, None, 2), TTL, late), Verdict::Made);
    assert_eq!(expired.apply(&join(3, None, 2), TTL, late), Verdict::Full);
    assert_eq!(sessions.apply(&UserChange::Remove(handle(0)), TTL, late), Verdict::Made);
    assert_eq!(sessions.apply(&join(2, None, 2), TTL, UnixMillis(10)), Verdict::Made);
}

#[test]
fn a_login_that_replaces_a_session_of_the_list_needs_no_other_place() {
    let mut sessions = UserSessions::default();
    for n in 0..3 {
        assert_eq!(sessions.apply(&join(n, None, 3), TTL, UnixMillis(9)), Verdict::Made);
    }
    // Also beyond a limit that was lowered meanwhile.
    for (n, most) in [(3, 3), (4, 2), (5, 1)] {
        let change = join(n, Some(n - 1), most);
        assert_eq!(sessions.apply(&change, TTL, UnixMillis(9)), Verdict::Made, "{n}");
        assert_eq!(sessions.living(UnixMillis(9)), 3);
        // Twice is like once.
        assert_eq!(sessions.apply(&change, TTL, UnixMillis(9)), Verdict::Made, "{n}");
        // The session that was replaced is in the list for a while, and leaves its place only once.
        let again = join(9, Some(n - 1), most);
        assert_eq!(sessions.apply(&again, TTL, UnixMillis(9)), Verdict::Full, "{n}");
    }
    // It takes no room where another one makes room, either.
    let mut sessions = UserSessions::default();
    for n in 0..2 {
        sessions.apply(&add(n, 9, 2), TTL, UnixMillis(9));
    }
    let mut evicting = join(2, Some(1), 2);
    if let UserChange::Add { limit, .. } = &mut evicting {
        *limit = 2.into();
    }
    assert_eq!(sessions.apply(&evicting, TTL, UnixMillis(9)), Verdict::Made);
    assert!(sessions.knows(&handle(0)) && sessions.living(UnixMillis(9)) == 2);
}

#[test]
fn a_list_as_large_as_a_record_refuses_a_login_if_a_full_one_does() {
    let place = |sessions: &mut UserSessions, n, replaces| {
        let mut change = join(n, replaces, usize::MAX);
        if let UserChange::Add { label, .. } = &mut change {
            *label = Some(UserSessions::label(&"\u{1}".repeat(256)));
        }
        sessions.apply(&change, TTL, UnixMillis(9))
    };
    let mut sessions = UserSessions::default();
    let full = (0..=255).find(|n| place(&mut sessions, *n, None) == Verdict::Full).unwrap();
    assert!(full > 30 && sessions.living(UnixMillis(9)) == usize::from(full));
    let before = sessions.clone();
    assert_eq!(place(&mut sessions, full, None), Verdict::Full);
    assert_eq!(sessions, before);
    // The session that is replaced makes room, and no other one.
    assert_eq!(place(&mut sessions, full, Some(3)), Verdict::Made);
    assert!(!sessions.knows(&handle(3)) && sessions.living(UnixMillis(9)) == usize::from(full));
}

#[test]
fn a_login_that_began_before_the_end_of_all_is_too_old() {
    let mut sessions = UserSessions::default();
    sessions.apply(&add(1, 5, 9), TTL, UnixMillis(5));
    sessions.apply(&add(2, 5, 9), TTL, UnixMillis(5));
    let keep = UserChange::End { keep: Some(handle(2)), at: UnixMillis(7) };
    assert_eq!(sessions.apply(&keep, TTL, UnixMillis(7)), Verdict::Made);
    assert!(!sessions.knows(&handle(1)) && sessions.knows(&handle(2)));
    assert_eq!(sessions.apply(&UserChange::Seen(handle(1)), TTL, UnixMillis(7)), Verdict::Outdated);
    for since in 0..7 {
        assert_eq!(
            sessions.apply(&add(3, since, 9), TTL, UnixMillis(8)),
            Verdict::Outdated,
            "{since}"
        );
    }
    // In the same millisecond, as when a request ends all sessions and logs in again.
    assert_eq!(sessions.apply(&add(3, 7, 9), TTL, UnixMillis(8)), Verdict::Made);
    // A clock that is behind does not make the end earlier.
    assert_eq!(sessions.apply(&end(3), TTL, UnixMillis(3)), Verdict::Made);
    assert_eq!(sessions.apply(&add(4, 6, 9), TTL, UnixMillis(8)), Verdict::Outdated);
}

#[test]
fn a_list_outlives_its_sessions_in_the_store() {
    let mut sessions = UserSessions::default();
    sessions.apply(&add(1, 5, 9), TTL, UnixMillis(5));
    assert_eq!(sessions.ttl(UnixMillis(5)), Ttl::Millis(11_000 + KEPT));
    assert!(!sessions.is_stale(&handle(1), TTL.ttl, UnixMillis(1_004)));
    assert!(sessions.is_stale(&handle(1), TTL.ttl, UnixMillis(1_005)));
    // The use of a session that is not in the list is not recorded.
    assert!(!sessions.is_stale(&handle(2), TTL.ttl, UnixMillis(1_005)));
    sessions.apply(&add(2, 5, 9), ENDLESS, UnixMillis(20_004));
    assert_eq!(sessions.sessions().len(), 2);
    assert_eq!(sessions.ttl(UnixMillis(20_004)), Ttl::Infinite);
    let late = UnixMillis(11_005 + KEPT);
    sessions.apply(&UserChange::Remove(handle(2)), TTL, late);
    assert_eq!((sessions.sessions(), sessions.ttl(late)), (&[][..], Ttl::Millis(1_000)));
    sessions.apply(&end(late.0), TTL, late);
    assert_eq!(sessions.ttl(late), Ttl::Millis(UserSessions::REMEMBERED + KEPT));
}

#[test]
fn a_stored_list_is_read_back_and_no_other_text_is_accepted() {
    let mut sessions = UserSessions::default();
    sessions.apply(&add(1, 5, 9), TTL, UnixMillis(5));
    let label = Some(r#""Firefox, \"old\"""#.to_owned());
    let (handle, since) = (handle(2), UnixMillis(6));
    let device = Device { browser: "Firefox", system: "Linux", address: "2001:db8::1" }.json();
    let (replaces, limit) = (None, SessionsPerUser::default());
    let change = UserChange::Add { handle, replaces, label, device, provider: None, since, limit };
    sessions.apply(&change, ENDLESS, UnixMillis(6));
    sessions.after = Some(UnixMillis(3));
    let write_id = WriteId::from_entropy(&[9; 12]);
    let text = sessions.encode(&write_id);
    let read = UserSessions { write_id: Some(write_id.clone()), ..sessions };
    assert_eq!(read.write_id(), Some(&write_id));
    assert_eq!(UserSessions::decode(&text), Ok(read));
    let unnamed = text.replace(r#""label":"Firefox, \"old\"""#, r#""label":5"#);
    assert_ne!(unnamed, text);
    assert_eq!(UserSessions::decode(&unnamed).unwrap().sessions()[1].label, None);
    let other = text.replace(r#""device":{"#, r#""device":5,"other":{"#);
    assert_ne!(other, text);
    assert_eq!(UserSessions::decode(&other).unwrap().sessions()[1].device, None);
    for end in 0..text.len() {
        assert!(UserSessions::decode(text.get(..end).unwrap_or("")).is_err(), "{end}");
    }
    for bad in [
        "{}",
        r#"{"v":"AAAAAAAAAAAAAAAA"}"#,
        r#"{"v":"AAAAAAAAAAAAAAAA","sessions":[]}"#,
        r#"{"v":"AAAAAAAAAAAAAAAA","sessions":{"short":{"created":1,"seen":1,"until":1}}}"#,
        r#"{"v":"AAAAAAAAAAAAAAAA","sessions":{"AAAAAAAAAAAAAAAA":{"created":1,"seen":1}}}"#,
    ] {
        assert!(UserSessions::decode(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_session_is_listed_until_its_record_has_ended_and_never_beyond_its_absolute_deadline() {
    let listed = |sessions: &UserSessions, now| {
        let mut sessions = sessions.clone();
        sessions.sweep(UnixMillis(now));
        sessions.sessions().len()
    };
    let mut sessions = UserSessions::default();
    sessions.apply(&add(1, 0, 9), TTL, UnixMillis(0));
    assert_eq!((listed(&sessions, 10_999), listed(&sessions, 11_000)), (1, 0));
    // A server whose clock is ahead drops no session that another server still takes for live.
    sessions.apply(&add(2, 0, 9), TTL, UnixMillis(KEPT + 10_999));
    assert!(sessions.knows(&handle(1)));
    sessions.apply(&add(3, 0, 9), TTL, UnixMillis(KEPT + 11_000));
    assert!(!sessions.knows(&handle(1)));

    let absolute = Lifetime { absolute: Some(15_000), ..TTL };
    let mut sessions = UserSessions::default();
    sessions.apply(&add(1, 0, 9), absolute, UnixMillis(0));
    assert_eq!(
        sessions.apply(&UserChange::Seen(handle(1)), absolute, UnixMillis(9_000)),
        Verdict::Made
    );
    assert_eq!((listed(&sessions, 14_999), listed(&sessions, 15_000)), (1, 0));
}

#[test]
fn a_list_is_no_larger_than_a_record_and_the_longest_unused_session_makes_room() {
    let long = "\u{1}".repeat(100_000);
    let label = Some(UserSessions::label(&long));
    let device = Device { browser: &long, ..Device::default() }.json();
    let mut sessions = UserSessions::default();
    for n in 0..=255 {
        let (handle, label, device) = (handle(n), label.clone(), device.clone());
        let (since, limit) = (UnixMillis(0), usize::MAX.into());
        let change =
            UserChange::Add { handle, replaces: None, label, device, provider: None, since, limit };
        assert_eq!(sessions.apply(&change, TTL, UnixMillis(0)), Verdict::Made);
        assert!(sessions.encode(&WriteId::from_entropy(&[0; 12])).len() <= Limits::SAVE.bytes);
    }
    let kept = sessions.sessions().len();
    assert!((30..60).contains(&kept), "{kept}");
    assert!(sessions.knows(&handle(255)) && !sessions.knows(&handle(0)));
}

#[test]
fn no_more_sessions_are_evicted_than_a_list_has_to_lose() {
    let mut sessions = UserSessions::default();
    let mut length = 0;
    for n in 0..=255 {
        let label = Some(UserSessions::label(&"x".repeat(200 + usize::from(n) % 40)));
        let change = UserChange::Add {
            handle: handle(n),
            replaces: None,
            label,
            device: None,
            provider: None,
            since: UnixMillis(0),
            limit: usize::MAX.into(),
        };
        assert_eq!(sessions.apply(&change, TTL, UnixMillis(0)), Verdict::Made);
        length = sessions.encode(&WriteId::from_entropy(&[0; 12])).len();
        assert!(length <= Limits::SAVE.bytes, "{n} {length}");
    }
    assert!(!sessions.knows(&handle(0)));
    // One more session would not have fitted beside the room for the other members.
    assert!(length + 400 > Limits::SAVE.bytes - ROOM, "{length}");
}

#[test]
fn a_name_has_a_limit_in_bytes() {
    for (name, is_valid) in [(1, true), (NAME, true), (0, false), (NAME + 1, false)] {
        assert_eq!(UserSessions::check_name(&"n".repeat(name)).is_ok(), is_valid, "{name}");
    }
    assert_eq!(UserSessions::check_name(&"é".repeat(513)), Err(Error::UserName));
}

#[test]
fn a_label_is_cut_between_characters() {
    for (text, label) in
        [("", r#""""#), ("a\"b\\c\n\u{1}\u{7f}é😀", "\"a\\\"b\\\\c\\u000a\\u0001\u{7f}é😀\"")]
    {
        assert_eq!(UserSessions::label(text), label);
    }
    let label = UserSessions::label(&"😀".repeat(257));
    assert_eq!(label, format!("\"{}\"", "😀".repeat(256)));
}
