//! How long ago the user has proven their identity.

use vestiary::{
    UnixMillis,
    protocol::{Answered, Question, Stopped},
    visit::{State, View},
};

use super::site::{Act, Site, Visit, changes, id_of};

const MINUTE: u64 = 60_000;

/// Whether the user has proven their identity within a minute; both drivers compute the same.
fn is_fresh(site: &Site, visit: &Visit) -> bool {
    let now = UnixMillis(site.now);
    let is_fresh = visit.is_fresh(MINUTE, now);
    let text = visit.text(site.rules.options.load_limits()).unwrap();
    assert_eq!(text.is_fresh(&site.rules, MINUTE, now), Ok(is_fresh));
    is_fresh
}

fn logged_in(site: &mut Site) -> Visit {
    let mut visit = site.visit(&[]);
    assert_eq!(site.does(&mut visit, Act::LogIn), Ok(true));
    visit
}

#[test]
fn a_login_is_fresh_for_a_while_and_writes_nothing_for_it() {
    let mut site = Site::new("{}");
    let visit = logged_in(&mut site);
    assert!(!site.text(&id_of(&visit)).contains("confirmed"));
    assert!(is_fresh(&site, &visit));
    site.now += MINUTE - 1;
    assert!(is_fresh(&site, &visit));
    site.now += 1;
    assert!(!is_fresh(&site, &visit));
}

#[test]
fn a_login_is_as_fresh_as_the_proof_it_rests_on() {
    let mut site = Site::new("{}");
    for (ago, left) in [(999, MINUTE), (1_000, MINUTE - 1_000), (2 * MINUTE, 0)] {
        let mut visit = site.visit(&[]);
        assert_eq!(site.does(&mut visit, Act::LogInProven(ago)), Ok(true));
        site.now += left.saturating_sub(1);
        assert_eq!(is_fresh(&site, &visit), left > 0, "{ago}");
        site.now += 1;
        assert!(!is_fresh(&site, &visit), "{ago}");
    }
}

#[test]
fn nothing_but_a_confirmation_makes_a_session_fresh_again() {
    let mut site = Site::new(r#"{"idleTimeout":600,"rolling":true,"cookie":{"maxAge":900}}"#);
    site.compute = |_| r#"{"n":3}"#.to_owned();
    let mut visit = logged_in(&mut site);
    for act in [
        Act::Save(changes("{}", r#"{"n":1}"#)),
        Act::Assigned(changes("{}", r#"{"n":2}"#)),
        Act::Update(None),
        Act::Touch,
        Act::Renew,
        Act::Put("a", "5", 10),
        Act::Take("a"),
        Act::Refresh,
        Act::Finish(Some(changes("{}", r#"{"n":4}"#))),
        Act::Confirm,
    ] {
        // The idle deadline moves, too.
        site.now += 2 * MINUTE;
        let shown = format!("{act:?}");
        assert!(site.does(&mut visit, act).is_ok(), "{shown}");
        assert!(!is_fresh(&site, &visit), "{shown}");
        visit = site.visit(&[&id_of(&visit)]);
        assert!(!is_fresh(&site, &visit), "{shown}");
    }
    site.take();
    assert_eq!(site.does(&mut visit, Act::ConfirmUser), Ok(true));
    assert_eq!((visit.view, site.questions().pop()), (View::Kept, Some(Question::Replace)));
    assert!(is_fresh(&site, &visit));
    for act in [Act::Renew, Act::Save(changes("{}", r#"{"m":1}"#)), Act::Touch] {
        site.does(&mut visit, act).unwrap();
        assert!(is_fresh(&site, &visit));
    }
    site.now += MINUTE;
    assert!(!is_fresh(&site, &visit));
}

#[test]
fn a_login_and_regenerate_drop_a_confirmation() {
    let mut site = Site::new("{}");
    let mut visit = logged_in(&mut site);
    site.now += MINUTE;
    assert_eq!(site.does(&mut visit, Act::ConfirmUser), Ok(true));
    assert_eq!(site.does(&mut visit, Act::LogIn), Ok(true));
    assert!(is_fresh(&site, &visit) && !site.text(&id_of(&visit)).contains("confirmed"));
    assert_eq!(site.does(&mut visit, Act::Regenerate), Ok(true));
    site.does(&mut visit, Act::Save(changes("{}", r#"{"n":1}"#))).unwrap();
    assert!(!is_fresh(&site, &visit));
}

#[test]
fn a_session_without_a_user_is_never_fresh_and_nothing_confirms_it() {
    let mut site = Site::new("{}");
    let id = site.session();
    for mut visit in [site.visit(&[&id]), site.visit(&[])] {
        site.take();
        assert_eq!(site.does(&mut visit, Act::ConfirmUser), Ok(false));
        assert!(!is_fresh(&site, &visit));
        assert_eq!(
            (site.questions(), site.take(), site.cookie(&visit)),
            (vec![], vec![], String::new())
        );
    }
    assert!(!site.text(&id).contains("confirmed"));
}

#[test]
fn a_session_that_was_ended_is_not_confirmed() {
    let mut site = Site::new("{}");
    let mut visit = logged_in(&mut site);
    let mut other = site.visit(&[&id_of(&visit)]);
    site.does(&mut visit, Act::Destroy).unwrap();
    site.take();
    for _ in 0..2 {
        assert_eq!(site.does(&mut other, Act::ConfirmUser), Ok(false));
        assert!(matches!(other.state, State::Ended) && !is_fresh(&site, &other));
        assert_eq!(site.take(), ["gone"]);
    }
}

#[test]
fn a_confirmation_that_the_store_has_not_written_is_none() {
    let mut site = Site::new("{}");
    let mut visit = logged_in(&mut site);
    let id = id_of(&visit);
    site.now += MINUTE;
    site.fails = Some((Question::Replace, Answered::Refused(4)));
    assert_eq!(site.does(&mut visit, Act::ConfirmUser), Err(Stopped::Host(4)));
    assert!(!is_fresh(&site, &visit) && !site.text(&id).contains("confirmed"));
    site.fails = Some((Question::Read, Answered::Refused(4)));
    let mut down = site.visit(&[&id]);
    assert_eq!(site.does(&mut down, Act::ConfirmUser), Err(Stopped::Host(4)));
    assert!(!is_fresh(&site, &down));
}
