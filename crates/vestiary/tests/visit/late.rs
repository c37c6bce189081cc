//! A request's view of its session where no cookie can leave: the response has left, or another handle has the cookie.

use super::site::{Act, Site, Visit, changes, id_of};
use vestiary::{
    UnixMillis,
    protocol::{Question, Stopped},
    visit::{Cookies, State, View},
};

const READ: Question = Question::Read;

#[test]
fn after_the_response_has_left_no_session_begins_and_a_stored_one_is_written_without_a_cookie() {
    let mut site = Site::new(r#"{"rolling":true,"cookie":{"maxAge":60}}"#);
    let id = site.session();
    site.left = true;
    let mut new = site.visit(&[]);
    let late = Err(Stopped::ResponseSent);
    assert_eq!(site.does(&mut new, Act::Save(changes("{}", "{}"))), late);
    assert_eq!(site.does(&mut new, Act::Update(None)), late);
    assert_eq!(site.does(&mut new, Act::Regenerate), late);
    site.take();
    site.touched.clear();
    let mut visit = site.visit(&[&id]);
    assert_eq!(site.does(&mut visit, Act::Renew), late);
    site.does(&mut visit, Act::Finish(None)).unwrap();
    assert_eq!(site.questions(), [READ], "no refresh");
    assert_eq!(site.does(&mut visit, Act::Save(changes(r#"{"n":1}"#, r#"{"n":2}"#))), Ok(true));
    assert_eq!((site.data(&id).as_deref(), site.cookie(&visit).as_str()), (Some(r#"{"n":2}"#), ""));
}

#[test]
fn a_session_that_was_stored_while_the_response_left_is_taken_back() {
    let mut site = Site::new("{}");
    site.leaves_at = Some(Question::Create);
    let mut visit = site.visit(&[]);
    let saved = site.does(&mut visit, Act::Save(changes("{}", r#"{"n":1}"#)));
    assert_eq!((saved, visit.view), (Err(Stopped::ResponseSent), View::Kept));
    assert_eq!((site.table.len(), site.take(), site.cookie(&visit)), (0, vec![], String::new()));
    assert!(matches!(visit.state, State::Anonymous));
}

#[test]
fn after_the_response_nothing_is_renewed_or_refreshed() {
    let mut site = Site::new(r#"{"renewAfter":60,"idleTimeout":600}"#);
    let id = site.session();
    (site.now, site.left) = (site.now + 500_000, true);
    let mut visit = site.visit(&[&id]);
    site.does(&mut visit, Act::Finish(None)).unwrap();
    assert_eq!((id_of(&visit), site.questions(), site.take()), (id, vec![READ], vec![]));
}

#[test]
fn after_the_response_the_use_of_a_session_is_not_recorded() {
    let mut site = Site::new(r#"{"cookie":{"maxAge":600}}"#);
    let mut visit = site.visit(&[]);
    assert_eq!(site.does(&mut visit, Act::LogIn), Ok(true));
    let id = id_of(&visit);
    (site.now, site.left) = (site.now + 300_000, true);
    let mut visit = site.visit(&[&id]);
    assert!(matches!(visit.state, State::Stored { due: false, unseen: false, .. }));
    site.take();
    site.does(&mut visit, Act::Refresh).unwrap();
    site.does(&mut visit, Act::Finish(None)).unwrap();
    assert_eq!((site.questions(), site.take()), (vec![], vec![]));
    site.left = false;
    assert!(matches!(site.visit(&[&id]).state, State::Stored { unseen: true, .. }));
}

#[test]
fn a_login_whose_response_has_left_meanwhile_leaves_no_session() {
    let mut site = Site::new("{}");
    let mut visit = site.visit(&[]);
    // The list, and then the session.
    site.leaves_at = Some(Question::Create);
    assert_eq!(site.does(&mut visit, Act::LogIn), Err(Stopped::ResponseSent));
    assert!(matches!(visit.state, State::Anonymous));
    let list = site.rules.options.user_key("ada");
    let keys: Vec<_> = site.table.iter(UnixMillis(site.now)).map(|(key, ..)| key).collect();
    assert!(keys.is_empty() || keys == [list], "{keys:?}");
}

#[test]
fn a_cookie_of_another_handle_is_neither_replaced_nor_removed() {
    let mut site = Site::new("{}");
    site.taken = true;
    let mut visit = Visit::default();
    let cookies = Cookies { present: true, shared: true, ..Cookies::default() };
    site.does(&mut visit, Act::Open(cookies)).unwrap();
    let taken = Err(Stopped::CookieTaken);
    assert_eq!(site.does(&mut visit, Act::Save(changes("{}", "{}"))), taken);
    assert_eq!(site.does(&mut visit, Act::Regenerate), taken);
    assert_eq!(site.does(&mut visit, Act::Destroy), Ok(true));
    assert_eq!((site.questions(), site.cookie(&visit)), (vec![], String::new()));
}
