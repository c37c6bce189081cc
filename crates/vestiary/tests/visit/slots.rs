//! Values beside the session data, which are taken once.

use super::site::{Act, Site, Visit, changes, id_of};
use vestiary::{
    Error,
    protocol::{Answered, Question, Stopped},
    visit::{State, View},
};

/// Takes the value under the key `a`.
fn taken(site: &mut Site, visit: &mut Visit) -> Option<String> {
    site.does(visit, Act::Take("a")).unwrap();
    visit.taken.take()
}

fn put(site: &mut Site, visit: &mut Visit, millis: u64) {
    assert_eq!(site.does(visit, Act::Put("a", "5", millis)), Ok(true));
}

#[test]
fn an_anonymous_visitor_gets_a_session_for_a_value_and_keeps_the_changes_of_the_data() {
    let mut site = Site::new("{}");
    let mut visit = site.visit(&[]);
    assert_eq!(taken(&mut site, &mut visit), None);
    assert_eq!(site.questions(), []);
    put(&mut site, &mut visit, 10);
    assert_eq!((visit.view, site.cookie(&visit).as_str()), (View::Kept, "session"));
    assert_eq!((site.questions(), site.take()), (vec![Question::Create], vec!["created"]));
    assert_eq!(site.does(&mut visit, Act::Save(changes("{}", r#"{"n":1}"#))), Ok(true));
    let id = id_of(&visit);
    let mut next = site.visit(&[&id]);
    assert_eq!(site.data(&id).as_deref(), Some(r#"{"n":1}"#));
    assert_eq!(taken(&mut site, &mut next).as_deref(), Some("5"));
    assert_eq!(taken(&mut site, &mut next), None);
}

#[test]
fn a_value_of_a_stored_session_needs_one_write_and_no_cookie() {
    let mut site = Site::new("{}");
    let id = site.session();
    let mut visit = site.visit(&[&id]);
    site.take();
    put(&mut site, &mut visit, 10);
    assert_eq!((visit.view, site.cookie(&visit).as_str()), (View::Kept, ""));
    assert_eq!((site.questions(), site.take()), (vec![Question::Replace], vec![]));
    assert_eq!(site.data(&id).as_deref(), Some(r#"{"n":1}"#));
    assert_eq!(taken(&mut site, &mut visit).as_deref(), Some("5"));
    assert_eq!((site.questions(), site.cookie(&visit).as_str()), (vec![Question::Replace], ""));
}

#[test]
fn of_two_requests_that_have_read_a_value_one_gets_it() {
    let mut site = Site::new("{}");
    let mut visit = site.visit(&[]);
    put(&mut site, &mut visit, 10);
    let id = id_of(&visit);
    let (mut one, mut other) = (site.visit(&[&id]), site.visit(&[&id]));
    assert_eq!(taken(&mut site, &mut one).as_deref(), Some("5"));
    site.take();
    assert_eq!(taken(&mut site, &mut other), None);
    assert_eq!(site.questions(), [Question::Replace, Question::Read]);
    // It is not an event, because no data was merged.
    assert_eq!(site.take(), Vec::<&str>::new());
}

#[test]
fn a_value_ends_by_itself_and_leaves_the_record_with_the_next_write() {
    let mut site = Site::new("{}");
    let mut visit = site.visit(&[]);
    put(&mut site, &mut visit, 10);
    site.now += 9;
    let id = id_of(&visit);
    let mut late = site.visit(&[&id]);
    site.now += 1;
    site.take();
    assert_eq!((taken(&mut site, &mut late), site.questions()), (None, vec![]));
    assert_eq!(site.does(&mut late, Act::Save(changes("{}", "{}"))), Ok(true));
    let record = &late.session().unwrap().record;
    assert!(!record.encode(vestiary::Limits::LOAD).unwrap().contains("slots"));
}

#[test]
fn a_login_and_regenerate_drop_the_values_and_a_renewal_keeps_them() {
    for (act, expected) in
        [(Act::LogIn, None), (Act::Regenerate, None), (Act::Renew, Some("5".to_owned()))]
    {
        let mut site = Site::new("{}");
        let mut visit = site.visit(&[]);
        put(&mut site, &mut visit, 10);
        assert_eq!(site.does(&mut visit, act), Ok(true));
        assert_eq!(site.does(&mut visit, Act::Save(changes("{}", "{}"))), Ok(true));
        let mut next = site.visit(&[&id_of(&visit)]);
        assert_eq!(taken(&mut site, &mut next), expected);
    }
}

#[test]
fn a_session_that_was_ended_gets_and_gives_no_value() {
    let mut site = Site::new("{}");
    let mut visit = site.visit(&[]);
    put(&mut site, &mut visit, 10);
    let id = id_of(&visit);
    let (mut one, mut other) = (site.visit(&[&id]), site.visit(&[&id]));
    site.does(&mut visit, Act::Destroy).unwrap();
    site.take();
    assert_eq!(taken(&mut site, &mut one), None);
    assert_eq!(site.does(&mut other, Act::Put("b", "1", 10)), Ok(false));
    assert!(matches!((&one.state, &other.state), (State::Ended, State::Ended)));
    assert_eq!(site.take(), ["gone", "gone"]);
    assert_eq!(site.does(&mut other, Act::Put("b", "1", 10)), Ok(false));
    assert_eq!(site.take(), ["gone"]);
}

#[test]
fn after_the_response_only_a_stored_session_gets_a_value() {
    let mut site = Site::new("{}");
    let id = site.session();
    site.left = true;
    let mut stored = site.visit(&[&id]);
    put(&mut site, &mut stored, 10);
    let mut new = site.visit(&[]);
    assert_eq!(site.does(&mut new, Act::Put("a", "1", 10)), Err(Stopped::ResponseSent));
}

#[test]
fn a_value_that_cannot_be_stored_changes_nothing() {
    let mut site = Site::new("{}");
    let id = site.session();
    let mut visit = site.visit(&[&id]);
    site.take();
    for (value, error) in
        [("{", Error::Json), (r#"{"__proto__":1}"#, Error::ForbiddenKey { key: "__proto__" })]
    {
        let refused = site.does(&mut visit, Act::Put("a", value, 10));
        assert_eq!(refused, Err(Stopped::Core(error)));
    }
    assert_eq!(site.questions(), []);
    // The store fails: the value stays.
    put(&mut site, &mut visit, 10);
    site.fails = Some((Question::Replace, Answered::Refused(4)));
    assert_eq!(site.does(&mut visit, Act::Take("a")), Err(Stopped::Host(4)));
    site.fails = None;
    assert_eq!(taken(&mut site, &mut visit).as_deref(), Some("5"));
}
