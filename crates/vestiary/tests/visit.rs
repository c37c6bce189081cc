//! A request's view of its session, on a store that a test watches. Between two operations, the visit is text only, as
//! the SvelteKit package keeps it.

#![allow(
    dead_code,
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail, and uses some of the site"
)]

#[path = "visit/ends.rs"]
mod ends;
#[path = "visit/fresh.rs"]
mod fresh;
#[path = "visit/late.rs"]
mod late;
#[path = "visit/log_id.rs"]
mod log_id;
#[path = "visit/meets.rs"]
mod meets;
#[path = "visit/once.rs"]
mod once;
#[path = "visit/over.rs"]
mod over;
#[path = "visit/reuse.rs"]
mod reuse;
#[path = "visit/site.rs"]
mod site;
#[path = "visit/slots.rs"]
mod slots;
#[path = "visit/tokens.rs"]
mod tokens;

use site::{Act, Site, changes, id_of};
use vestiary::{
    CookieOverrides, SessionId,
    protocol::{Answered, Doubt, Question, Reply, Stopped},
    visit::{Changes, Purpose, State, View},
};

const READ: Question = Question::Read;

fn unknown(n: u8) -> SessionId {
    SessionId::from_entropy(&[n; 24])
}

#[test]
fn a_visitor_without_a_session_costs_nothing_until_something_is_saved() {
    let mut site = Site::new("{}");
    let mut visit = site.visit(&[]);
    site.does(&mut visit, Act::Finish(None)).unwrap();
    site.does(&mut visit, Act::Confirm).unwrap();
    assert_eq!((site.questions(), site.cookie(&visit)), (vec![], String::new()));
    assert_eq!(site.does(&mut visit, Act::Save(changes("{}", r#"{"n":1}"#))), Ok(true));
    assert_eq!(visit.view, View::Written);
    assert_eq!(site.asked, [(Question::Create, Purpose::Write)]);
    assert_eq!(site.take(), ["created"]);
    // No other request can know the new ID, so the store is not asked about it.
    site.does(&mut visit, Act::Confirm).unwrap();
    assert_eq!((site.questions(), site.cookie(&visit).as_str()), (vec![], "session"));
}

#[test]
fn with_save_uninitialized_a_visitor_gets_a_session_and_a_full_store_fails_no_request() {
    let mut site = Site::new(r#"{"saveUninitialized":true}"#);
    let visit = site.visit(&[]);
    assert_eq!((site.take(), site.cookie(&visit).as_str()), (vec!["created"], "session"));

    site.fails = Some((Question::Create, Answered::Refused(7)));
    let mut visit = site.visit(&[]);
    assert_eq!((site.take(), site.cookie(&visit).as_str()), (vec!["store_failed"], ""));
    site.fails = None;
    assert_eq!(site.does(&mut visit, Act::Save(changes("{}", "{}"))), Ok(true));

    site.fails = Some((Question::Create, Answered::Lost(8)));
    let mut visit = site.visit(&[]);
    assert!(matches!(visit.state, State::Unavailable(Stopped::Host(8))));
    site.fails = None;
    let saved = site.does(&mut visit, Act::Save(changes("{}", "{}")));
    assert_eq!(saved, Err(Stopped::Host(8)));
}

#[test]
fn an_unreadable_session_is_not_overwritten() {
    let mut site = Site::new("{}");
    let id = site.session();
    site.fails = Some((READ, Answered::Lost(3)));
    let mut visit = site.visit(&[&id]);
    site.fails = None;
    assert!(visit.readable(true).is_ok());
    assert_eq!(visit.readable(false), Err(Stopped::Host(3)));
    site.take();
    for act in [Act::Save(changes("{}", "{}")), Act::Touch, Act::Renew, Act::Update(None)] {
        assert_eq!(site.does(&mut visit, act), Err(Stopped::Host(3)));
    }
    assert_eq!(site.does(&mut visit, Act::Finish(Some(changes("{}", r#"{"n":2}"#)))), Ok(true));
    assert_eq!((site.questions(), site.cookie(&visit).as_str()), (vec![], ""));
    // A logout takes the cookie away all the same.
    assert_eq!(site.does(&mut visit, Act::Destroy), Err(Stopped::Host(3)));
    assert_eq!(site.cookie(&visit), "removal");
}

#[test]
fn regenerate_reserves_an_id_for_what_is_saved_next() {
    let mut site = Site::new("{}");
    let id = site.session();
    let mut visit = site.visit(&[&id]);
    assert_eq!(site.does(&mut visit, Act::Regenerate), Ok(true));
    assert_eq!((visit.view, site.cookie(&visit).as_str()), (View::Dropped, "removal"));
    let State::Reserved(reserved) = visit.state.clone() else { panic!() };
    assert_eq!((site.data(&id), site.take()), (None, vec!["rotated"]));
    assert_eq!(site.does(&mut visit, Act::Save(changes("{}", r#"{"m":1}"#))), Ok(true));
    assert_eq!((id_of(&visit), site.take()), (reserved.id.clone(), vec!["created"]));
    assert_eq!(site.cookie(&visit), "session");
    assert_eq!(site.data(&reserved.id).as_deref(), Some(r#"{"m":1}"#));
}

#[test]
fn a_session_that_regenerate_begins_has_nothing_of_the_one_before() {
    for options in [r#"{"saveUninitialized":true}"#, r#"{"saveUninitialized":true,"atomic":false}"#]
    {
        let mut site = Site::new(options);
        let id = site.session();
        let mut visit = site.visit(&[&id]);
        assert_eq!(site.does(&mut visit, Act::Regenerate), Ok(true));
        assert_eq!((visit.view, site.data(&id_of(&visit)).as_deref()), (View::Read, Some("{}")));
    }
}

#[test]
fn regenerate_leaves_alone_what_another_request_did() {
    let mut site = Site::new("{}");
    let id = site.session();
    let (mut slow, mut fast) = (site.visit(&[&id]), site.visit(&[&id]));
    assert_eq!(site.does(&mut fast, Act::Destroy), Ok(true));
    assert_eq!(site.does(&mut slow, Act::Regenerate), Ok(true));
    // The browser may have a newer cookie.
    assert_eq!(site.cookie(&slow), "");
    assert!(matches!(slow.state, State::Anonymous));
}

#[test]
fn regenerate_with_a_store_that_is_not_atomic_ends_the_session() {
    let mut site = Site::new(r#"{"atomic":false}"#);
    let id = site.session();
    let mut visit = site.visit(&[&id]);
    assert_eq!(site.does(&mut visit, Act::Regenerate), Ok(true));
    assert_eq!((site.table.len(), site.take()), (0, vec!["destroyed"]));
    assert_eq!(site.does(&mut visit, Act::Save(changes("{}", "{}"))), Ok(true));
    assert_ne!(id_of(&visit), id);
}

#[test]
fn an_update_stores_the_changes_before_it_and_then_changes_what_the_store_has() {
    let mut site = Site::new("{}");
    site.compute = |data| data.replace(r#""n":1"#, r#""n":2"#);
    let id = site.session();
    let mut visit = site.visit(&[&id]);
    let before = changes(r#"{"n":1}"#, r#"{"n":1,"m":1}"#);
    assert_eq!(site.does(&mut visit, Act::Update(Some(before))), Ok(true));
    assert_eq!((visit.view, site.cookie(&visit).as_str()), (View::Read, "session"));
    assert_eq!(site.data(&id).as_deref(), Some(r#"{"n":2,"m":1}"#));

    let mut new = site.visit(&[]);
    assert_eq!(site.does(&mut new, Act::Update(Some(changes("{}", r#"{"n":1}"#)))), Ok(true));
    assert_eq!(site.data(&id_of(&new)).as_deref(), Some(r#"{"n":2}"#));
}

#[test]
fn an_update_reads_anew_from_a_store_that_is_not_atomic() {
    let mut site = Site::new(r#"{"atomic":false}"#);
    site.compute = |data| data.replace(r#""n":5"#, r#""n":6"#);
    let id = site.session();
    let (mut slow, mut fast) = (site.visit(&[&id]), site.visit(&[&id]));
    assert_eq!(site.does(&mut fast, Act::Save(changes(r#"{"n":1}"#, r#"{"n":5}"#))), Ok(true));
    assert_eq!(site.does(&mut slow, Act::Update(None)), Ok(true));
    assert_eq!(site.data(&id).as_deref(), Some(r#"{"n":6}"#));
    site.table.remove(id.expose());
    site.take();
    assert_eq!(site.does(&mut slow, Act::Update(None)), Ok(false));
    assert_eq!((site.take(), site.table.len()), (vec!["gone"], 0));
}

#[test]
fn a_session_that_was_ended_is_written_no_more_and_sets_no_cookie() {
    let mut site = Site::new(r#"{"autoSave":true}"#);
    let id = site.session();
    let (mut slow, mut fast) = (site.visit(&[&id]), site.visit(&[&id]));
    assert_eq!(site.does(&mut fast, Act::Destroy), Ok(true));
    assert_eq!((site.take(), site.cookie(&fast).as_str()), (vec!["destroyed"], "removal"));
    let change = || changes(r#"{"n":1}"#, r#"{"n":2}"#);
    assert_eq!(site.does(&mut slow, Act::Update(Some(change()))), Ok(false));
    assert_eq!((site.take(), slow.view), (vec!["gone"], View::Dropped));
    for act in [Act::Save(change()), Act::Touch, Act::Update(None), Act::Finish(Some(change()))] {
        let _ = site.does(&mut slow, act);
        assert_eq!(site.take(), ["gone"]);
    }
    assert_eq!((site.table.len(), site.cookie(&slow).as_str()), (0, ""));
    // A logout makes room for a new session.
    assert_eq!(site.does(&mut slow, Act::Destroy), Ok(true));
    assert_eq!(site.does(&mut slow, Act::Save(change())), Ok(true));
}

#[test]
fn a_logout_by_an_old_id_finds_the_session() {
    let mut site = Site::new(r#"{"renewGrace":1}"#);
    let id = site.session();
    let mut visit = site.visit(&[&id]);
    assert_eq!(site.does(&mut visit, Act::Renew), Ok(true));
    assert_eq!((visit.view, site.cookie(&visit).as_str()), (View::Kept, "session"));
    let new = id_of(&visit);
    site.now += 2_000;
    let mut old = site.visit(&[&id]);
    assert!(matches!(old.state, State::Tombstone(_)));
    assert_eq!(site.does(&mut old, Act::Save(changes("{}", "{}"))), Ok(false));
    assert_eq!(site.take(), ["rotated", "reuse", "gone"]);
    let mut other = old.clone();
    assert_eq!(site.does(&mut other, Act::Regenerate), Ok(true));
    assert!(matches!(other.state, State::Anonymous) && site.data(&new).is_some());
    assert_eq!(site.does(&mut old, Act::Destroy), Ok(true));
    assert_eq!((site.data(&new), site.cookie(&old).as_str()), (None, "removal"));
}

#[test]
fn a_late_response_takes_no_newer_session_away() {
    let mut site = Site::new(r#"{"absoluteTimeout":60}"#);
    let id = site.session();
    site.now += 61_000;
    let late = site.visit(&[&id]);
    assert_eq!((site.take(), site.cookie(&late).as_str()), (vec!["expired"], "removal"));
    // The record is gone: another request of the visitor begins a new session meanwhile.
    let stranger = unknown(200);
    let mut fast = site.visit(&[&stranger, &id]);
    assert_eq!(fast.lost, [stranger, id]);
    assert_eq!(site.does(&mut fast, Act::LogIn), Ok(true));
    assert_eq!((site.cookie(&late).as_str(), site.cookie(&fast).as_str()), ("", "session"));
}

#[test]
fn an_id_that_another_request_may_have_ended_is_confirmed_before_it_leaves() {
    let mut site = Site::new("{}");
    let id = site.session();
    let (mut slow, mut fast) = (site.visit(&[&id]), site.visit(&[&id]));
    let change = || changes(r#"{"n":1}"#, r#"{"n":2}"#);
    assert_eq!(site.does(&mut slow, Act::Save(change())), Ok(true));
    // By another process, whose IDs out of use are unknown to this one.
    assert_eq!(site.does(&mut fast, Act::LogIn), Ok(true));
    site.out_of_use.clear();
    let new = id_of(&fast);
    let before = slow.clone();
    site.take();
    site.does(&mut slow, Act::Confirm).unwrap();
    assert_eq!((site.questions(), site.cookie(&slow).as_str()), (vec![READ], ""));
    // A browser does not need a refresh, but it needs an ID that it does not have yet.
    site.fails = Some((READ, Answered::Lost(1)));
    let mut visit = before;
    site.does(&mut visit, Act::Confirm).unwrap();
    assert_eq!((site.cookie(&visit).as_str(), site.take()), ("", vec!["store_failed"]));
    // No other request can have found the ID of a login.
    let mut visit = fast;
    site.does(&mut visit, Act::Confirm).unwrap();
    assert_eq!((site.cookie(&visit).as_str(), site.take()), ("session", vec![]));
    assert!(site.data(&new).is_some());
}

#[test]
fn a_rolling_session_is_touched_at_the_end_unless_it_was_a_moment_ago() {
    let mut site = Site::new(r#"{"rolling":true,"cookie":{"maxAge":60}}"#);
    let id = site.session();
    let visit = site.visit(&[&id]);
    assert_eq!((site.questions(), site.cookie(&visit).as_str()), (vec![READ], "session"));
    site.touched.clear();
    let mut visit = site.visit(&[&id]);
    site.does(&mut visit, Act::Finish(None)).unwrap();
    assert_eq!(site.asked[1..], [(Question::Touch, Purpose::Touch)]);
    site.take();
    // The store has compared the record.
    site.does(&mut visit, Act::Confirm).unwrap();
    assert_eq!((site.questions(), site.cookie(&visit).as_str()), (vec![], "session"));

    site.touched.clear();
    let mut visit = site.visit(&[&id]);
    site.does(&mut visit, Act::Refresh).unwrap();
    site.does(&mut visit, Act::Finish(None)).unwrap();
    assert_eq!(site.questions(), [READ, Question::Touch]);
}

#[test]
fn a_session_is_renewed_when_that_is_due_and_a_store_that_fails_does_not_matter() {
    let mut site = Site::new(r#"{"renewAfter":60,"rolling":true,"cookie":{"maxAge":600}}"#);
    let id = site.session();
    site.now += 61_000;
    site.touched.clear();
    site.fails = Some((Question::Create, Answered::Refused(1)));
    let visit = site.visit(&[&id]);
    assert_eq!((id_of(&visit), site.take()), (id.clone(), vec!["store_failed"]));
    site.fails = None;
    let mut visit = site.visit(&[&id]);
    assert_ne!(id_of(&visit), id);
    assert_eq!((visit.view, site.cookie(&visit).as_str()), (View::Read, "session"));
    site.take();
    site.does(&mut visit, Act::Finish(None)).unwrap();
    assert_eq!(site.questions(), [], "its record is new");
}

#[test]
fn a_browser_gets_the_new_id_of_a_session_that_another_request_renewed() {
    // Found by the old ID, written at the end, and refreshed at the end.
    for (options, change) in [
        ("{}", None),
        (r#"{"autoSave":true}"#, Some(changes(r#"{"n":1}"#, r#"{"n":2}"#))),
        (r#"{"idleTimeout":600,"renewGrace":600}"#, None),
    ] {
        let mut site = Site::new(options);
        let id = site.session();
        site.now += 500_000;
        let (mut slow, mut fast) = (site.visit(&[&id]), site.visit(&[&id]));
        assert_eq!(site.does(&mut fast, Act::Renew), Ok(true));
        if options == "{}" {
            slow = site.visit(&[&id]);
        }
        assert_eq!(site.does(&mut slow, Act::Finish(change)), Ok(true));
        assert_eq!((id_of(&slow), site.cookie(&slow).as_str()), (id_of(&fast), "session"));
    }
}

#[test]
fn an_id_is_certain_if_the_store_has_just_written_under_it_and_no_longer_once_it_is_another_one() {
    let mut site = Site::new(r#"{"autoSave":true,"rolling":true,"cookie":{"maxAge":60}}"#);
    let id = site.session();
    let mut visit = site.visit(&[&id]);
    let change = changes(r#"{"n":1}"#, r#"{"n":2}"#);
    site.does(&mut visit, Act::Finish(Some(change))).unwrap();
    site.take();
    site.does(&mut visit, Act::Confirm).unwrap();
    assert_eq!((site.questions(), site.cookie(&visit).as_str()), (vec![], "session"));
    assert_eq!(site.does(&mut visit, Act::Renew), Ok(true));
    site.take();
    site.does(&mut visit, Act::Confirm).unwrap();
    assert_eq!((site.questions(), site.cookie(&visit).as_str()), (vec![READ], "session"));
}

#[test]
fn a_session_that_may_have_another_id_now_counts_as_ended() {
    let mut site = Site::new("{}");
    let id = site.session();
    let mut visit = site.visit(&[&id]);
    site.now += 3_600_000;
    site.table.remove(id.expose());
    let saved = site.does(&mut visit, Act::Save(changes(r#"{"n":1}"#, r#"{"n":2}"#)));
    assert_eq!(saved, Err(Stopped::Doubt(Doubt::Untraced)));
    assert!(matches!(visit.state, State::Ended) && site.out_of_use.contains(&id));
    assert_eq!((site.take(), site.cookie(&visit).as_str()), (vec!["gone"], ""));
}

#[test]
fn deadlines_are_written_at_the_end() {
    let mut site = Site::new(r#"{"idleTimeout":600}"#);
    let id = site.session();
    site.now += 500_000;
    let mut visit = site.visit(&[&id]);
    site.does(&mut visit, Act::Finish(None)).unwrap();
    assert_eq!(site.questions(), [READ, Question::Replace]);
    site.now += 500_000;
    assert!(site.visit(&[&id]).session().is_some());
}

#[test]
fn the_use_of_a_session_is_written_at_the_end_and_a_session_that_was_revoked_ends() {
    let mut site = Site::new(r#"{"cookie":{"maxAge":600}}"#);
    let mut visit = site.visit(&[]);
    assert_eq!(site.does(&mut visit, Act::LogIn), Ok(true));
    let id = id_of(&visit);
    let list = site.rules.options.user_key("ada");
    site.now += 300_000;
    let mut visit = site.visit(&[&id]);
    assert!(matches!(visit.state, State::Stored { unseen: true, .. }));
    site.take();
    site.table.remove(&list);
    site.does(&mut visit, Act::Finish(None)).unwrap();
    assert!(matches!(visit.state, State::Ended));
    assert_eq!((site.data(&id), site.take()), (None, vec!["revoked"]));
}

#[test]
fn a_revocation_by_the_request_itself_removes_the_cookie_and_one_by_another_does_not() {
    for (by_itself, sent) in [(true, "removal"), (false, "")] {
        let mut site = Site::new("{}");
        let id = site.session();
        let mut visit = site.visit(&[&id]);
        site.revokes(&mut visit, by_itself);
        assert_eq!((visit.view, site.cookie(&visit).as_str()), (View::Dropped, sent));
        assert!(site.out_of_use.contains(&id));
        assert_eq!(site.does(&mut visit, Act::Save(changes("{}", "{}"))), Ok(false));
    }
}

#[test]
fn a_revocation_by_the_request_itself_removes_the_cookie_even_if_an_operation_noticed_it_first() {
    for (by_itself, sent) in [(true, r#"removal {"path":"/app"}"#), (false, "")] {
        let mut site = Site::new("{}");
        let id = site.session();
        let own = CookieOverrides::parse(r#"{"path":"/app"}"#).unwrap();
        let with_own = Changes { cookie: Some(own), ..changes(r#"{"n":1}"#, r#"{"n":1}"#) };
        let mut visit = site.visit(&[&id]);
        assert_eq!(site.does(&mut visit, Act::Save(with_own)), Ok(true));
        site.table.remove(id.expose());
        assert_eq!(site.does(&mut visit, Act::Touch), Ok(true));
        assert_eq!(site.cookie(&visit), "");
        // The next operation has the visit as text, too.
        assert_eq!(site.does(&mut visit, Act::Confirm), Ok(true));
        site.revokes(&mut visit, by_itself);
        assert_eq!((site.cookie(&visit).as_str(), visit.view), (sent, View::Kept));
        // Not the cookie of a session that has begun since.
        assert_eq!(site.does(&mut visit, Act::LogIn), Ok(true));
        let mut other = visit.clone();
        other.state = State::Anonymous;
        site.revokes(&mut other, by_itself);
        assert_eq!(site.cookie(&other), "session");
    }
}

#[test]
fn a_session_has_the_cookie_attributes_that_are_saved_with_it() {
    let mut site = Site::new("{}");
    let id = site.session();
    let mut visit = site.visit(&[&id]);
    let own = |text: &str| CookieOverrides::parse(text).unwrap();
    let with = |own| Changes { cookie: Some(own), ..changes(r#"{"n":1}"#, r#"{"n":1}"#) };
    let saved = site.does(&mut visit, Act::Save(with(own(r#"{"maxAge":90}"#))));
    assert_eq!((saved, site.cookie(&visit).as_str()), (Ok(true), r#"session {"maxAge":90}"#));
    let mut visit = site.visit(&[&id]);
    assert_eq!(site.does(&mut visit, Act::Destroy), Ok(true));
    assert_eq!(site.cookie(&visit), r#"removal {"maxAge":90}"#);

    let id = site.session();
    let mut visit = site.visit(&[&id]);
    // It would expire as soon as it is saved.
    let saved = site.does(&mut visit, Act::Save(with(own(r#"{"maxAge":0}"#))));
    assert_eq!((saved, site.data(&id), site.cookie(&visit).as_str()), (Ok(false), None, "removal"));
}

#[test]
fn changes_are_saved_by_themselves_as_the_options_say() {
    let assigned = || Changes { assigned: true, ..changes("{}", r#"{"n":1}"#) };
    for (options, change, is_saved) in [
        ("{}", assigned(), false),
        (r#"{"autoSave":true}"#, changes("{}", r#"{"n":1}"#), true),
        (r#"{"autoSave":true}"#, changes("{}", "{}"), false),
        (r#"{"autoSave":true}"#, assigned(), true),
    ] {
        let mut site = Site::new(options);
        let mut visit = site.visit(&[]);
        site.does(&mut visit, Act::Finish(Some(change.clone()))).unwrap();
        assert_eq!(site.table.len(), usize::from(is_saved), "{options}");
        // A visit that no finish follows.
        let mut visit = site.visit(&[]);
        site.does(&mut visit, Act::Assigned(change)).unwrap();
    }
    // Changed in place, data is saved by `autoSave` only.
    let mut site = Site::new(r#"{"saveUninitialized":true}"#);
    let mut visit = site.visit(&[]);
    let id = id_of(&visit);
    site.does(&mut visit, Act::Finish(Some(changes("{}", r#"{"n":1}"#)))).unwrap();
    assert_eq!(site.data(&id).as_deref(), Some("{}"));
    let own = CookieOverrides::parse(r#"{"maxAge":90}"#).unwrap();
    let change = Changes { cookie: Some(own), ..changes("{}", "{}") };
    site.does(&mut visit, Act::Finish(Some(change))).unwrap();
    assert_eq!(
        site.visit(&[&id]).session().unwrap().record.meta().cookie.as_ref().unwrap().as_str(),
        r#"{"maxAge":90}"#
    );
    site.does(&mut visit, Act::Finish(Some(assigned()))).unwrap();
    assert_eq!(site.data(&id).as_deref(), Some(r#"{"n":1}"#));
}

#[test]
fn a_logout_that_the_store_did_not_confirm_takes_the_cookie_away() {
    let mut site = Site::new("{}");
    let id = site.session();
    let mut visit = site.visit(&[&id]);
    site.fails = Some((Question::Remove, Answered::Lost(4)));
    assert_eq!(site.does(&mut visit, Act::Destroy), Err(Stopped::Host(4)));
    assert_eq!(site.cookie(&visit), "removal");
    // It can be repeated.
    site.fails = Some((Question::Confirm, Answered::Reply(Reply::Confirmed(Some(false)))));
    assert_eq!(site.does(&mut visit, Act::Destroy), Ok(true));
    let destroyed = vestiary::Event::Destroyed { confirmed: Some(false) };
    assert!(site.events.contains(&destroyed));
}
