//! A function that one request of all processes runs.

use super::site::{Act, Site, Visit, changes, id_of};
use vestiary::{
    Error,
    protocol::{Answered, Question, Stopped},
    visit::{State, View},
};

const LEASE: u64 = 1_000;

/// Claims the lease, and shows how it was found.
fn claim(site: &mut Site, visit: &mut Visit, waited: u64) -> String {
    assert_eq!(site.does(visit, Act::Claim(None, LEASE, waited)), Ok(true));
    visit.taken.take().unwrap()
}

/// Claims the lease, and returns its token.
fn hold(site: &mut Site, visit: &mut Visit) -> String {
    claim(site, visit, 0).strip_prefix("held ").unwrap().to_owned()
}

fn settle(
    site: &mut Site,
    visit: &mut Visit,
    token: &str,
    result: Result<&'static str, ()>,
) -> Result<bool, Stopped> {
    site.does(visit, Act::Settle(token.to_owned(), result))
}

#[test]
fn of_two_requests_one_holds_the_lease_and_the_other_waits_for_its_result() {
    for (result, shown) in
        [(Ok("5"), "done Some(\"5\")"), (Ok(""), "done None"), (Err(()), "Failed")]
    {
        let mut site = Site::new("{}");
        let id = site.session();
        let (mut one, mut other) = (site.visit(&[&id]), site.visit(&[&id]));
        site.take();
        let token = hold(&mut site, &mut one);
        assert_eq!((one.view, site.questions()), (View::Read, vec![Question::Replace]));
        assert_eq!(claim(&mut site, &mut other, 0), "wait 20");
        assert_eq!(
            (other.view, site.questions()),
            (View::Kept, vec![Question::Replace, Question::Read])
        );
        assert_eq!(claim(&mut site, &mut other, 400), "wait 200");
        assert_eq!(site.questions(), [Question::Read]);
        assert_eq!(claim(&mut site, &mut other, 1_999), "wait 500");
        assert_eq!(settle(&mut site, &mut one, &token, result), Ok(true));
        site.take();
        assert_eq!(claim(&mut site, &mut other, 1_999), shown);
        assert_eq!((other.view, site.questions()), (View::Read, vec![Question::Read]));
        // A request that begins now has read the result with the record.
        let mut next = site.visit(&[&id]);
        site.take();
        assert_eq!((claim(&mut site, &mut next, 0).as_str(), site.questions()), (shown, vec![]));
        assert_eq!(site.take(), Vec::<&str>::new());
    }
}

#[test]
fn a_result_is_kept_for_ten_seconds_and_a_failure_for_two() {
    for (result, kept) in [(Ok("5"), 10_000), (Err(()), 2_000)] {
        let mut site = Site::new("{}");
        let id = site.session();
        let mut visit = site.visit(&[&id]);
        let token = hold(&mut site, &mut visit);
        assert_eq!(settle(&mut site, &mut visit, &token, result), Ok(true));
        site.now += kept - 1;
        assert!(!claim(&mut site, &mut visit, 0).starts_with("held"));
        site.now += 1;
        assert!(claim(&mut site, &mut visit, 0).starts_with("held"));
    }
}

#[test]
fn a_lease_whose_holder_has_died_is_claimed_again_and_the_first_holder_is_fenced() {
    let mut site = Site::new("{}");
    let id = site.session();
    let (mut dead, mut next) = (site.visit(&[&id]), site.visit(&[&id]));
    let first = hold(&mut site, &mut dead);
    site.now += LEASE - 1;
    assert_eq!(claim(&mut site, &mut next, LEASE - 1), "wait 499");
    site.now += 1;
    let taken_over = claim(&mut site, &mut next, LEASE);
    let second = taken_over.strip_prefix("held ").unwrap();
    assert_ne!(first, second);
    // While the other request holds it, and when that has settled it.
    assert_eq!(settle(&mut site, &mut dead, &first, Ok("1")), Ok(false));
    assert_eq!(settle(&mut site, &mut next, second, Ok("2")), Ok(true));
    assert_eq!(settle(&mut site, &mut dead, &first, Ok("1")), Ok(false));
    assert_eq!(claim(&mut site, &mut dead, 0), "done Some(\"2\")");
}

#[test]
fn a_lease_that_has_ended_cannot_be_settled_even_if_no_other_request_has_claimed_it() {
    let mut site = Site::new("{}");
    let id = site.session();
    let mut visit = site.visit(&[&id]);
    let token = hold(&mut site, &mut visit);
    site.now += LEASE;
    assert_eq!(settle(&mut site, &mut visit, &token, Ok("1")), Ok(false));
    assert!(claim(&mut site, &mut visit, 0).starts_with("held"));
}

#[test]
fn a_request_waits_for_two_leases_at_most() {
    let mut site = Site::new("{}");
    let id = site.session();
    let (mut one, mut other) = (site.visit(&[&id]), site.visit(&[&id]));
    hold(&mut site, &mut one);
    assert_eq!(claim(&mut site, &mut other, 2 * LEASE), "Busy");
    assert!(site.does(&mut other, Act::Claim(None, u64::MAX, u64::MAX)).is_ok());
}

#[test]
fn earlier_changes_are_stored_first_and_the_application_gets_the_stored_data() {
    let mut site = Site::new("{}");
    let id = site.session();
    let (mut one, mut other) = (site.visit(&[&id]), site.visit(&[&id]));
    let theirs = changes(r#"{"n":1}"#, r#"{"n":1,"m":2}"#);
    assert_eq!(site.does(&mut other, Act::Save(theirs)), Ok(true));
    site.take();
    let mine = changes(r#"{"n":1}"#, r#"{"n":3}"#);
    assert_eq!(site.does(&mut one, Act::Claim(Some(mine), LEASE, 0)), Ok(true));
    assert!(one.taken.take().unwrap().starts_with("held"));
    assert_eq!(site.data(&id).as_deref(), Some(r#"{"n":3,"m":2}"#));
    assert_eq!((one.view, one.session().unwrap().record.data()), (View::Read, r#"{"n":3,"m":2}"#));
}

#[test]
fn an_anonymous_visitor_gets_a_session_and_keeps_the_changes_of_the_data() {
    let mut site = Site::new("{}");
    let mut visit = site.visit(&[]);
    let mine = changes("{}", r#"{"n":3}"#);
    assert_eq!(site.does(&mut visit, Act::Claim(Some(mine), LEASE, 0)), Ok(true));
    let token = visit.taken.take().unwrap().strip_prefix("held ").unwrap().to_owned();
    assert_eq!((visit.view, site.cookie(&visit).as_str()), (View::Kept, "session"));
    assert_eq!(settle(&mut site, &mut visit, &token, Ok("1")), Ok(true));
    let mut next = site.visit(&[&id_of(&visit)]);
    assert_eq!(claim(&mut site, &mut next, 0), "done Some(\"1\")");
}

#[test]
fn a_session_that_was_ended_has_no_lease() {
    let mut site = Site::new("{}");
    let id = site.session();
    let [mut one, mut two, mut three, mut ends] = [(); 4].map(|()| site.visit(&[&id]));
    let token = hold(&mut site, &mut one);
    site.does(&mut ends, Act::Destroy).unwrap();
    // The first claim writes, a later one reads.
    assert_eq!(claim(&mut site, &mut two, 0), "Ended");
    assert_eq!(claim(&mut site, &mut three, 20), "Ended");
    assert_eq!(claim(&mut site, &mut two, 20), "Ended");
    assert_eq!(settle(&mut site, &mut one, &token, Ok("1")), Ok(false));
    assert!(matches!((&one.state, &two.state), (State::Ended, State::Ended)));
    assert_eq!(settle(&mut site, &mut one, &token, Ok("1")), Ok(false));
    let mut stranger = site.visit(&[]);
    assert_eq!(settle(&mut site, &mut stranger, &token, Ok("1")), Ok(false));
    assert!(stranger.session().is_none());
}

#[test]
fn a_renewal_keeps_the_lease_and_a_login_drops_it() {
    for (act, settles) in [(Act::Renew, true), (Act::LogIn, false)] {
        let mut site = Site::new("{}");
        let id = site.session();
        let (mut one, mut other) = (site.visit(&[&id]), site.visit(&[&id]));
        let token = hold(&mut site, &mut one);
        assert_eq!(site.does(&mut other, act), Ok(true));
        assert_eq!(settle(&mut site, &mut one, &token, Ok("1")), Ok(settles));
    }
}

#[test]
fn a_result_that_cannot_be_stored_leaves_the_lease_to_its_holder() {
    let mut site = Site::new("{}");
    let id = site.session();
    let mut visit = site.visit(&[&id]);
    let token = hold(&mut site, &mut visit);
    let json = Stopped::Core(Error::Json);
    assert_eq!(settle(&mut site, &mut visit, &token, Ok("{")), Err(json));
    site.fails = Some((Question::Replace, Answered::Refused(4)));
    assert_eq!(settle(&mut site, &mut visit, &token, Ok("1")), Err(Stopped::Host(4)));
    site.fails = None;
    assert_eq!(settle(&mut site, &mut visit, &token, Err(())), Ok(true));
    assert_eq!(claim(&mut site, &mut visit, 0), "Failed");
}
