//! The name of a session for logs.

use vestiary::{Limits, Record, SessionId, UnixMillis, protocol::Seen};

use super::site::{Act, Site, Visit, changes, id_of};

/// The name; both drivers compute the same.
fn log_id(site: &Site, visit: &Visit) -> Option<String> {
    let log_id = visit.log_id();
    let text = visit.text(site.rules.options.load_limits()).unwrap();
    assert_eq!(text.log_id(&site.rules), Ok(log_id.clone()));
    log_id
}

#[test]
fn a_session_without_a_user_has_the_name_of_its_first_id_also_over_renewals() {
    let mut site = Site::new("{}");
    let id = site.session();
    let mut visit = site.visit(&[&id]);
    let first = log_id(&site, &visit).unwrap();
    assert_eq!(first.len(), 16);
    assert!(!id.expose().contains(first.get(..4).unwrap()));
    // Only a renewal writes it into the record.
    assert!(!site.text(&id).contains("log"));
    for _ in 0..3 {
        site.does(&mut visit, Act::Renew).unwrap();
        assert_eq!(log_id(&site, &visit).as_ref(), Some(&first));
        assert!(site.text(&id_of(&visit)).contains(&format!(r#""log":"{first}""#)));
        site.does(&mut visit, Act::Save(changes("{}", r#"{"n":5}"#))).unwrap();
        visit = site.visit(&[&id_of(&visit)]);
        assert_eq!(log_id(&site, &visit).as_ref(), Some(&first));
    }
    assert_ne!(id_of(&visit), id);
}

#[test]
fn the_session_of_a_user_has_the_name_in_the_users_list() {
    let mut site = Site::new("{}");
    let id = site.session();
    let mut visit = site.visit(&[&id]);
    let anonymous = log_id(&site, &visit);
    site.does(&mut visit, Act::LogIn).unwrap();
    let handle = visit.session().unwrap().record.meta().user.as_ref().unwrap().handle.clone();
    assert_ne!(Some(handle.as_str().to_owned()), anonymous);
    for _ in 0..2 {
        assert_eq!(log_id(&site, &visit).as_deref(), Some(handle.as_str()));
        site.does(&mut visit, Act::Renew).unwrap();
        assert!(!site.text(&id_of(&visit)).contains("log"));
    }
}

#[test]
fn another_session_has_another_name_and_no_session_has_none() {
    let mut site = Site::new("{}");
    let mut visit = site.visit(&[]);
    assert_eq!(log_id(&site, &visit), None);
    site.does(&mut visit, Act::Save(changes("{}", "{}"))).unwrap();
    let first = log_id(&site, &visit);
    site.does(&mut visit, Act::Renew).unwrap();
    site.does(&mut visit, Act::Regenerate).unwrap();
    assert_eq!(log_id(&site, &visit), None);
    site.does(&mut visit, Act::Save(changes("{}", "{}"))).unwrap();
    assert_ne!(log_id(&site, &visit), first);
    site.does(&mut visit, Act::Destroy).unwrap();
    assert_eq!(log_id(&site, &visit), None);
}

#[test]
fn a_name_that_another_library_has_spoilt_is_that_of_the_id() {
    let id = SessionId::from_entropy(&[5; 24]);
    let of = |log: &str| {
        let text = format!(r#"{{"v":"AAAAAAAAAAAAAAAA","meta":{{"log":{log}}},"data":{{}}}}"#);
        let record = Record::decode(&text, Limits::LOAD).unwrap();
        Seen { id: id.clone(), record, at: UnixMillis(0) }.log_id()
    };
    assert_eq!(of(r#""abcdefghABCDEF-_""#), "abcdefghABCDEF-_");
    // SHA-256 of `vestiary.log.v1` and the ID, by another implementation.
    for spoilt in ["5", "null", r#""short""#, r#""abcdefghABCDEF__x""#] {
        assert_eq!(of(spoilt), "j4ZjAEfh8WAOwdN6");
    }
}
