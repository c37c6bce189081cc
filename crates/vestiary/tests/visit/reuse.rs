//! The reuse of an ID that a renewal has replaced.

use vestiary::{Event, SessionId, Ttl, UnixMillis, protocol::Question, visit::State};

use super::site::{Act, Site, Visit, changes, id_of};

/// A session, its ID before a renewal, and the event of a later request with that ID.
fn renewed(site: &mut Site, act: Act) -> (Visit, SessionId) {
    let mut visit = site.visit(&[]);
    site.does(&mut visit, act).unwrap();
    let old = id_of(&visit);
    site.does(&mut visit, Act::Renew).unwrap();
    site.now += 31_000;
    (visit, old)
}

fn reuse(site: &mut Site, ids: &[&SessionId]) -> (Visit, Option<String>, bool) {
    site.take();
    let visit = site.visit(ids);
    let [Event::Reuse { log_id, revoked }] = &site.events[..] else { panic!("{:?}", site.events) };
    let log_id = log_id.as_ref().map(|log_id| log_id.as_str().to_owned());
    (visit, log_id, *revoked)
}

fn save() -> Act {
    Act::Save(changes("{}", r#"{"n":1}"#))
}

#[test]
fn the_event_names_the_session_without_another_read() {
    for options in [r#"{"onReuse":"report"}"#, r#"{"onReuse":"revoke"}"#] {
        for act in [save(), Act::LogIn] {
            let mut site = Site::new(options);
            let (current, old) = renewed(&mut site, act);
            let (_, log_id, revoked) = reuse(&mut site, &[&old]);
            assert_eq!(log_id, current.log_id());
            assert_eq!(revoked, options.contains("revoke"));
            if !revoked {
                assert_eq!(site.questions(), [Question::Read]);
            }
        }
    }
}

#[test]
fn only_with_the_option_a_tombstone_names_the_user_and_lasts_longer() {
    for (options, names) in [("{}", false), (r#"{"onReuse":"revoke"}"#, true)] {
        let mut site = Site::new(options);
        let (_, old) = renewed(&mut site, Act::LogIn);
        assert_eq!(site.text(&old).contains("user"), names);
        site.now += 600_000;
        let remains = site.table.get(old.expose(), UnixMillis(site.now)).is_some();
        assert_eq!(remains, names);
    }
    // Without a user, later tombstones must last as long as this one, which leads to the session.
    let mut site = Site::new(r#"{"onReuse":"revoke"}"#);
    let (_, old) = renewed(&mut site, save());
    site.now += 600_000;
    assert!(site.table.get(old.expose(), UnixMillis(site.now)).is_none());
}

#[test]
fn a_browser_that_also_sends_the_later_cookie_is_no_thief() {
    for act in [save(), Act::LogIn] {
        let mut site = Site::new(r#"{"onReuse":"revoke"}"#);
        let (current, old) = renewed(&mut site, act);
        let (visit, _, revoked) = reuse(&mut site, &[&old, &id_of(&current)]);
        assert!(!revoked && matches!(visit.state, State::Stored { .. }));
        let visit = site.visit(&[&id_of(&current)]);
        assert!(matches!(visit.state, State::Stored { .. }));
    }
}

#[test]
fn of_several_reused_ids_each_revokes_its_session() {
    let mut site = Site::new(r#"{"onReuse":"revoke"}"#);
    let (_, one) = renewed(&mut site, Act::LogIn);
    let (_, other) = renewed(&mut site, Act::LogIn);
    site.take();
    let visit = site.visit(&[&one, &other]);
    let revoked = |event: &Event| matches!(event, Event::Reuse { revoked: true, .. });
    assert!(site.events.len() == 2 && site.events.iter().all(revoked), "{:?}", site.events);
    assert!(matches!(visit.state, State::Anonymous));
    assert_eq!(visit.lost, [one, other]);
}

#[test]
fn the_tombstone_of_an_older_version_still_leads_to_the_session() {
    let mut site = Site::new(r#"{"onReuse":"report"}"#);
    let (current, old) = renewed(&mut site, Act::LogIn);
    let log = format!(r#""log":"{}","#, current.log_id().unwrap());
    let text = site.text(&old).replace(&log, "");
    assert!(!text.contains("log"), "{text}");
    let mut late = Site::new(r#"{"onReuse":"revoke"}"#);
    (late.table, late.now) = (site.table, site.now);
    late.table.set(old.expose(), &text, Ttl::Infinite, UnixMillis(late.now)).unwrap();
    let (_, log_id, revoked) = reuse(&mut late, &[&old]);
    assert_eq!((log_id, revoked), (None, true));
    let ended = late.visit(&[&id_of(&current)]);
    assert!(matches!(ended.state, State::Anonymous));
}

#[test]
fn a_session_that_a_login_has_replaced_is_not_ended_again() {
    let mut site = Site::new(r#"{"onReuse":"revoke"}"#);
    let (mut current, old) = renewed(&mut site, Act::LogIn);
    site.does(&mut current, Act::LogIn).unwrap();
    let login = id_of(&current);
    // At once, and when the list has forgotten the session that the login has replaced.
    for later in [1_000, 400_000] {
        site.now += later;
        let (late, _, revoked) = reuse(&mut site, &[&old]);
        assert!(!revoked, "after {later} ms");
        // Another session's cookie would take the place of the login's in the browser.
        assert!(matches!(late.state, State::Tombstone(_)), "after {later} ms: {:?}", late.state);
        assert_eq!(late.lost, []);
        let visit = site.visit(&[&login]);
        assert!(matches!(visit.state, State::Stored { .. }));
    }
}
