//! When a session ends, as a request knows it.

use vestiary::{Ttl, UnixMillis, protocol::Ends, visit::State};

use super::site::{Act, Site, Visit, changes, id_of};

/// The ends of the session, in milliseconds from now; both drivers compute the same.
fn ends(site: &Site, visit: &Visit) -> (Option<u64>, Option<u64>) {
    let Ends { expires, idle } = visit.ends(&site.rules);
    let text = visit.text(site.rules.options.load_limits()).unwrap();
    assert_eq!(text.ends(&site.rules), Ok(Ends { expires, idle }));
    let left = |end: UnixMillis| end.0 - site.now;
    (expires.map(left), idle.map(left))
}

fn saved(site: &mut Site) -> Visit {
    let mut visit = site.visit(&[]);
    assert_eq!(ends(site, &visit), (None, None));
    site.does(&mut visit, Act::Save(changes("{}", r#"{"n":1}"#))).unwrap();
    visit
}

#[test]
fn without_a_deadline_and_a_lifetime_of_the_cookie_a_session_has_no_known_end() {
    let mut site = Site::new("{}");
    let visit = saved(&mut site);
    assert_eq!(ends(&site, &visit), (None, None));
    assert!(!site.text(&id_of(&visit)).contains("until"));
}

#[test]
fn a_cookie_may_end_at_a_date() {
    let mut site = Site::new(r#"{"cookie":{"expires":1090000}}"#);
    let id = id_of(&saved(&mut site));
    site.now += 1_000;
    let visit = site.visit(&[&id]);
    assert_eq!(ends(&site, &visit), (Some(89_000), None));
}

#[test]
fn in_the_format_of_express_session_only_the_response_that_sets_a_cookie_knows_its_end() {
    let mut site = Site::new(r#"{"format":"express-session","cookie":{"maxAge":60}}"#);
    let visit = saved(&mut site);
    assert_eq!(ends(&site, &visit), (Some(60_000), None));
    let id = id_of(&visit);
    assert!(!site.text(&id).contains("until"));
    let visit = site.visit(&[&id]);
    assert_eq!(ends(&site, &visit), (None, None));
}

#[test]
fn a_record_of_an_older_version_has_an_end_from_its_next_write() {
    let mut site = Site::new(r#"{"cookie":{"maxAge":60}}"#);
    let id = id_of(&saved(&mut site));
    let text = site.text(&id);
    assert!(text.contains(r#","until":1060000"#), "{text}");
    let older = text.replace(r#","until":1060000"#, "");
    site.table.set(id.expose(), &older, Ttl::Infinite, UnixMillis(site.now)).unwrap();
    site.now += 10_000;
    let mut visit = site.visit(&[&id]);
    assert_eq!(ends(&site, &visit), (None, None));
    let edit = changes(r#"{"n":1}"#, r#"{"n":2}"#);
    site.does(&mut visit, Act::Save(edit)).unwrap();
    let visit = site.visit(&[&id]);
    assert_eq!(ends(&site, &visit), (Some(60_000), None));
}

#[test]
fn options_that_let_the_cookie_roll_drop_the_end_from_the_record() {
    let mut site = Site::new(r#"{"cookie":{"maxAge":60}}"#);
    let id = id_of(&saved(&mut site));
    let mut rolling = Site::new(r#"{"cookie":{"maxAge":60},"rolling":true,"touchAfter":0}"#);
    rolling.table = site.table;
    let mut visit = rolling.visit(&[&id]);
    assert!(matches!(visit.state, State::Stored { due: true, .. }));
    assert_eq!(ends(&rolling, &visit), (Some(60_000), None));
    rolling.does(&mut visit, Act::Save(changes("{}", "{}"))).unwrap();
    assert!(!rolling.text(&id).contains("until"));
}
