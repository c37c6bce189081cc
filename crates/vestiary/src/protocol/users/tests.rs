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
    let since = UnixMillis(since);
    UserChange::Add { handle: handle(n), label: None, device: None, since, most }
}

#[test]
fn the_longest_unused_session_makes_room() {
    let mut sessions = UserSessions::default();
    for n in 0..3 {
        assert!(sessions.apply(&add(n, 1, 3), TTL, UnixMillis(u64::from(n))));
    }
    assert!(sessions.apply(&UserChange::Seen(handle(0)), TTL, UnixMillis(5)));
    assert!(sessions.apply(&add(3, 6, 3), TTL, UnixMillis(6)));
    let used = sessions.sessions().iter().find(|session| session.handle == handle(0)).unwrap();
    assert_eq!((used.created, used.seen), (UnixMillis(0), UnixMillis(5)));
    assert_eq!(used.until, UnixMillis(11_005));
    let known = [0, 1, 2, 3].map(|n| sessions.knows(&handle(n)));
    assert_eq!(known, [true, false, true, true]);
    assert!(sessions.apply(&add(4, 6, 1), TTL, UnixMillis(6)));
    assert_eq!(sessions.sessions().len(), 1);
}

#[test]
fn a_session_that_a_login_replaces_is_known_but_not_shown_and_takes_no_room() {
    let mut sessions = UserSessions::default();
    for n in 0..3 {
        assert!(sessions.apply(&add(n, 1, 9), TTL, UnixMillis(1)));
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
    assert!(used.apply(&UserChange::Seen(handle(2)), TTL, UnixMillis(6)));
    assert!(!is_shown(used));
    let mut stays = sessions.clone();
    stays.stay(&handle(2), TTL, UnixMillis(6));
    assert!(is_shown(stays));
    assert!(sessions.apply(&add(3, 5, 3), TTL, UnixMillis(5)));
    assert_eq!([0, 1, 2, 3].map(|n| sessions.knows(&handle(n))), [true, true, true, true]);
    assert!(sessions.apply(&add(4, 5, 3), TTL, UnixMillis(5)));
    assert_eq!([0, 1, 2, 3].map(|n| sessions.knows(&handle(n))), [false, true, true, true]);
}

#[test]
fn a_login_that_began_before_the_end_of_all_is_too_old() {
    let mut sessions = UserSessions::default();
    sessions.apply(&add(1, 5, 9), TTL, UnixMillis(5));
    sessions.apply(&add(2, 5, 9), TTL, UnixMillis(5));
    let keep = UserChange::End { keep: Some(handle(2)), at: UnixMillis(7) };
    assert!(sessions.apply(&keep, TTL, UnixMillis(7)));
    assert!(!sessions.knows(&handle(1)) && sessions.knows(&handle(2)));
    assert!(!sessions.apply(&UserChange::Seen(handle(1)), TTL, UnixMillis(7)));
    for since in 0..7 {
        assert!(!sessions.apply(&add(3, since, 9), TTL, UnixMillis(8)), "{since}");
    }
    // In the same millisecond, as when a request ends all sessions and logs in again.
    assert!(sessions.apply(&add(3, 7, 9), TTL, UnixMillis(8)));
    // A clock that is behind does not make the end earlier.
    assert!(sessions.apply(&end(3), TTL, UnixMillis(3)));
    assert!(!sessions.apply(&add(4, 6, 9), TTL, UnixMillis(8)));
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
    let change = UserChange::Add { handle, label, device, since, most: 9 };
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
    assert!(sessions.apply(&UserChange::Seen(handle(1)), absolute, UnixMillis(9_000)));
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
        let (since, most) = (UnixMillis(0), usize::MAX);
        let change = UserChange::Add { handle, label, device, since, most };
        assert!(sessions.apply(&change, TTL, UnixMillis(0)));
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
            label,
            device: None,
            since: UnixMillis(0),
            most: usize::MAX,
        };
        assert!(sessions.apply(&change, TTL, UnixMillis(0)));
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
