//! A request's view of its session if the cookie's options make the session expire as soon as it is saved.

use std::sync::Arc;

use super::site::{Act, Site, changes};
use vestiary::{
    Options, OptionsText,
    protocol::{Answered, Question},
    visit::{Changes, State},
};

const OVER: &str = r#"{"autoSave":true,"cookie":{"maxAge":0}}"#;

/// Gives the site's sessions these options from now on, as a new release does.
fn release(site: &mut Site, options: &str) {
    let text = OptionsText::read(&options.replacen('{', r#"{"atomic":true,"#, 1)).unwrap();
    site.rules = Arc::new(text.rules(Options::new(text.input().unwrap()).unwrap()).unwrap());
}

fn change() -> Changes {
    changes(r#"{"n":1}"#, r#"{"n":2}"#)
}

#[test]
fn a_session_that_was_ended_is_gone_for_each_write_and_its_cookie_is_left_alone() {
    for act in [
        Act::Save(change()),
        Act::Touch,
        Act::Update(None),
        Act::Update(Some(change())),
        Act::Assigned(change()),
        Act::Finish(Some(change())),
    ] {
        let mut site = Site::new("{}");
        let id = site.session();
        let (mut ended, mut fast) = (site.visit(&[&id]), site.visit(&[&id]));
        assert_eq!(site.does(&mut fast, Act::LogIn), Ok(true));
        release(&mut site, OVER);
        assert_eq!(site.does(&mut ended, Act::Renew), Ok(true));
        assert!(matches!(ended.state, State::Ended));
        site.take();
        let what = format!("{act:?}");
        assert!(site.does(&mut ended, act).is_ok(), "{what}");
        assert_eq!((site.questions(), site.cookie(&ended)), (vec![], String::new()), "{what}");
        assert_eq!(site.take(), ["gone"], "{what}");
    }
}

#[test]
fn an_opening_leaves_alone_what_is_out_of_use_or_cannot_be_read() {
    let options = r#"{"saveUninitialized":true,"cookie":{"maxAge":0}}"#;
    let mut site = Site::new("{}");
    let id = site.session();
    let mut fast = site.visit(&[&id]);
    assert_eq!(site.does(&mut fast, Act::LogIn), Ok(true));
    release(&mut site, options);
    let old = site.visit(&[&id]);
    assert!(matches!(old.state, State::Tombstone(_)));
    assert_eq!(site.cookie(&old), "");
    site.fails = Some((Question::Read, Answered::Lost(3)));
    let unavailable = site.visit(&[&id]);
    assert!(matches!(unavailable.state, State::Unavailable(_)));
    assert_eq!(site.cookie(&unavailable), "");
}

#[test]
fn an_update_that_expires_the_session_ends_it_despite_earlier_changes() {
    for before in [None, Some(change())] {
        let mut site = Site::new("{}");
        site.compute = str::to_owned;
        let id = site.session();
        release(&mut site, OVER);
        let mut visit = site.visit(&[&id]);
        site.take();
        assert_eq!(site.does(&mut visit, Act::Update(before)), Ok(false));
        assert_eq!(site.questions(), [Question::Remove, Question::Confirm]);
        assert_eq!((site.data(&id), site.cookie(&visit).as_str()), (None, "removal"));
        assert!(matches!(visit.state, State::Anonymous));
    }
}

#[test]
fn an_update_of_a_new_session_stores_nothing() {
    let mut site = Site::new(OVER);
    site.compute = str::to_owned;
    let mut visit = site.visit(&[]);
    assert_eq!(site.does(&mut visit, Act::Update(None)), Ok(false));
    assert_eq!((site.questions(), site.cookie(&visit)), (vec![], String::new()));
}

#[test]
fn the_end_of_a_cookie_is_compared_with_the_time_of_the_save() {
    let mut site = Site::new(r#"{"cookie":{"expires":1060000}}"#);
    let id = site.session();
    let mut visit = site.visit(&[&id]);
    assert_eq!(site.does(&mut visit, Act::Save(change())), Ok(true));
    site.now = 1_060_000;
    let saved = site.does(&mut visit, Act::Save(change()));
    assert_eq!((saved, site.cookie(&visit).as_str()), (Ok(false), "removal"));
}
