//! A request's view of its session when the store fails, or another request is faster.

use super::site::{Act, Site, Visit, changes, id_of};
use vestiary::{
    protocol::{Answered, Question, Stopped},
    visit::{Cookies, State, View},
};

const ROLLING: &str = r#"{"rolling":true,"cookie":{"maxAge":60}}"#;

#[test]
fn a_session_that_another_request_ended_is_gone_for_each_operation() {
    for act in [Act::Touch, Act::Renew, Act::Refresh, Act::Finish(None)] {
        let mut site = Site::new(ROLLING);
        let id = site.session();
        site.touched.clear();
        let (mut slow, mut fast) = (site.visit(&[&id]), site.visit(&[&id]));
        assert_eq!(site.does(&mut fast, Act::Destroy), Ok(true));
        site.take();
        let what = format!("{act:?}");
        assert!(site.does(&mut slow, act).is_ok(), "{what}");
        assert_eq!(site.take(), ["gone"], "{what}");
        assert!(matches!(slow.state, State::Ended), "{what}");
        assert_eq!((slow.view, site.cookie(&slow).as_str()), (View::Dropped, ""), "{what}");
    }
}

#[test]
fn each_operation_finds_a_session_under_its_new_id() {
    for act in [Act::Touch, Act::Renew, Act::Refresh, Act::Save(changes("{}", "{}"))] {
        let mut site = Site::new(ROLLING);
        let id = site.session();
        site.touched.clear();
        let (mut slow, mut fast) = (site.visit(&[&id]), site.visit(&[&id]));
        assert_eq!(site.does(&mut fast, Act::Renew), Ok(true));
        assert_eq!(site.does(&mut slow, act), Ok(true));
        assert_eq!((id_of(&slow), site.cookie(&slow).as_str()), (id_of(&fast), "session"));
    }
}

#[test]
fn two_changes_at_once_are_a_conflict_and_both_are_in() {
    let mut site = Site::new("{}");
    let id = site.session();
    let (mut slow, mut fast) = (site.visit(&[&id]), site.visit(&[&id]));
    let save = |mine| Act::Save(changes(r#"{"n":1}"#, mine));
    assert_eq!(site.does(&mut fast, save(r#"{"n":1,"a":1}"#)), Ok(true));
    assert_eq!((site.take(), fast.view), (vec![], View::Written));
    assert_eq!(site.does(&mut slow, save(r#"{"n":1,"b":1}"#)), Ok(true));
    assert_eq!((site.take(), slow.view), (vec!["conflict"], View::Read));
    assert_eq!(site.data(&id).as_deref(), Some(r#"{"n":1,"a":1,"b":1}"#));
}

#[test]
fn a_refresh_that_fails_is_an_event_and_the_session_stays() {
    let mut site = Site::new(ROLLING);
    let id = site.session();
    site.touched.clear();
    let mut visit = site.visit(&[&id]);
    site.fails = Some((Question::Touch, Answered::Refused(2)));
    assert_eq!(site.does(&mut visit, Act::Finish(None)), Ok(true));
    assert_eq!((site.take(), id_of(&visit)), (vec!["store_failed"], id.clone()));
    // Its record is gone, and the session may have another ID.
    let mut visit = site.visit(&[&id]);
    site.fails = None;
    site.now += 3_600_000;
    site.take();
    assert_eq!(site.does(&mut visit, Act::Finish(None)), Ok(true));
    assert_eq!((site.take(), site.cookie(&visit).as_str()), (vec!["store_failed"], ""));
    assert!(site.out_of_use.contains(&id));
}

#[test]
fn a_logout_by_a_tombstone_that_the_store_did_not_confirm_can_be_repeated() {
    let mut site = Site::new(r#"{"renewGrace":0}"#);
    let id = site.session();
    let mut visit = site.visit(&[&id]);
    assert_eq!(site.does(&mut visit, Act::Renew), Ok(true));
    let mut old = site.visit(&[&id]);
    site.fails = Some((Question::Remove, Answered::Lost(6)));
    assert_eq!(site.does(&mut old, Act::Destroy), Err(Stopped::Host(6)));
    assert_eq!(site.cookie(&old), "removal");
    site.fails = None;
    assert_eq!(site.does(&mut old, Act::Destroy), Ok(true));
    assert_eq!(site.data(&id_of(&visit)), None);
    assert!(matches!(old.state, State::Anonymous));
}

#[test]
fn a_logout_that_the_store_did_not_confirm_takes_the_cookie_away_whatever_comes_after_it() {
    const SAVES: &str = r#"{"rolling":true,"autoSave":true,"cookie":{"maxAge":60}}"#;
    let changed = || Some(changes(r#"{"n":1}"#, r#"{"n":2}"#));
    for is_renewed in [true, false] {
        for after in [Act::Finish(None), Act::Finish(changed()), Act::Refresh] {
            let other = if is_renewed { Act::Renew } else { Act::Destroy };
            let what = format!("{other:?}, {after:?}");
            let mut site = Site::new(SAVES);
            let id = site.session();
            site.touched.clear();
            let (mut slow, mut fast) = (site.visit(&[&id]), site.visit(&[&id]));
            site.fails = Some((Question::Remove, Answered::Refused(2)));
            assert!(site.does(&mut slow, Act::Destroy).is_err(), "{what}");
            site.fails = None;
            assert_eq!(site.does(&mut fast, other), Ok(true), "{what}");
            assert!(site.does(&mut slow, after).is_ok(), "{what}");
            assert_eq!(site.cookie(&slow), "removal", "{what}");
        }
    }
}

#[test]
fn a_cookie_is_reserved_only_for_a_session_that_begins() {
    let mut site = Site::new("{}");
    let mut visit = site.visit(&[]);
    site.fails = Some((Question::Create, Answered::Refused(5)));
    let save = || Act::Save(changes("{}", "{}"));
    assert_eq!(site.does(&mut visit, save()), Err(Stopped::Host(5)));
    assert!(!site.reserved);
    site.fails = None;
    assert_eq!(site.does(&mut visit, save()), Ok(true));
    assert!(site.reserved);
    assert_eq!(site.does(&mut visit, Act::Regenerate), Ok(true));
    assert!(!site.reserved, "it is reserved when it is saved");
}

#[test]
fn a_browser_that_got_a_cookie_in_this_request_loses_it_by_a_logout() {
    let mut site = Site::new("{}");
    let mut visit = site.visit(&[]);
    assert_eq!(site.does(&mut visit, Act::Destroy), Ok(true));
    assert_eq!(site.cookie(&visit), "", "it has none");
    assert_eq!(site.does(&mut visit, Act::LogIn), Ok(true));
    site.take();
    site.does(&mut visit, Act::Confirm).unwrap();
    assert_eq!((site.questions(), site.cookie(&visit).as_str()), (vec![], "session"));
    assert_eq!(site.does(&mut visit, Act::Destroy), Ok(true));
    assert_eq!(site.cookie(&visit), "removal");
}

#[test]
fn a_cookie_that_no_secret_has_signed_is_an_event_and_is_removed_by_a_logout() {
    let mut site = Site::new("{}");
    let mut visit = Visit::default();
    let cookies = Cookies { present: true, ..Cookies::default() };
    site.does(&mut visit, Act::Open(cookies)).unwrap();
    assert_eq!((site.take(), site.cookie(&visit).as_str()), (vec!["rejected"], ""));
    assert_eq!(site.does(&mut visit, Act::Destroy), Ok(true));
    assert_eq!(site.cookie(&visit), "removal");
}
