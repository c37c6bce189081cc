//! Tokens of a provider, kept beside the data and refreshed by one request of all processes.

use super::site::{Act, Site, Visit, id_of};
use vestiary::{
    Error, SessionId, Slots, UnixMillis, binding,
    protocol::{Answered, Question, Stopped},
    visit::{Answer, Grant, State, Tokens, Wanted},
};

const LEASE: u64 = 1_000;
const HOUR: u64 = 3_600_000;
const WANTED: Wanted<'_> = Wanted { early: 60_000, refused: None, lease: LEASE, waited: 0 };

fn given(access: &str) -> Grant {
    let refresh = Some(["refresh of ", access].concat());
    Grant { access: access.to_owned(), refresh, id: None, lifetime: Some(HOUR) }
}

fn grant(access: &str) -> Answer {
    Answer::Granted(given(access))
}

/// Asks for tokens, and shows how they were found: by their access token.
fn ask(site: &mut Site, visit: &mut Visit, wanted: Wanted<'static>) -> String {
    assert_eq!(site.does(visit, Act::Tokens(wanted)), Ok(true));
    let shown = visit.taken.take().unwrap();
    done(&shown).map_or(shown, |tokens| tokens.access)
}

/// The tokens that were found, if any were.
fn done(shown: &str) -> Option<Tokens> {
    let text = shown.strip_prefix("done Some(")?.strip_suffix(')')?;
    Tokens::parse(&serde_json::from_str::<String>(text).unwrap())
}

/// Claims the lease, and returns the text of the tokens.
fn hold(site: &mut Site, visit: &mut Visit, wanted: Wanted<'static>) -> String {
    ask(site, visit, wanted).strip_prefix("held ").unwrap().to_owned()
}

fn keep(site: &mut Site, visit: &mut Visit, held: &str, answer: Answer) -> Result<bool, Stopped> {
    site.does(visit, Act::KeepTokens(Some(held.to_owned()), answer))
}

/// A session with tokens that are valid for an hour.
fn begun(site: &mut Site, answer: Answer) -> SessionId {
    let mut visit = site.visit(&[]);
    assert_eq!(site.does(&mut visit, Act::KeepTokens(None, answer)), Ok(true));
    site.take();
    id_of(&visit)
}

#[test]
fn valid_tokens_cost_no_store_call_and_are_not_in_the_data() {
    let mut site = Site::new("{}");
    let id = begun(&mut site, grant("a"));
    assert_eq!(site.data(&id).as_deref(), Some("{}"));
    let mut visit = site.visit(&[&id]);
    site.take();
    site.now += HOUR - 60_001;
    assert_eq!(ask(&mut site, &mut visit, WANTED), "a");
    assert_eq!(site.questions(), []);
    site.now += 1;
    assert!(ask(&mut site, &mut visit, WANTED).starts_with("held "));
    assert_eq!(site.questions(), [Question::Replace]);
}

#[test]
fn of_two_requests_one_refreshes_and_the_other_waits_only_once_the_token_has_expired() {
    let mut site = Site::new("{}");
    let id = begun(&mut site, grant("a"));
    site.now += HOUR - 1;
    let (mut one, mut other) = (site.visit(&[&id]), site.visit(&[&id]));
    let held = hold(&mut site, &mut one, WANTED);
    assert_eq!(Tokens::parse(&held).unwrap().refresh.as_deref(), Some("refresh of a"));
    // It has read the tokens without the lease.
    assert_eq!(ask(&mut site, &mut other, WANTED), "a");
    site.now += 1;
    assert_eq!(ask(&mut site, &mut other, WANTED), "wait 20");
    assert_eq!(ask(&mut site, &mut other, Wanted { waited: 400, ..WANTED }), "wait 200");
    assert_eq!(keep(&mut site, &mut one, &held, grant("b")), Ok(true));
    assert_eq!(ask(&mut site, &mut other, Wanted { waited: 600, ..WANTED }), "b");
    // Without another claim, by a request that has read the old tokens.
    let mut late = site.visit(&[&id]);
    site.take();
    assert_eq!((ask(&mut site, &mut late, WANTED).as_str(), site.questions()), ("b", vec![]));
}

#[test]
fn a_request_that_has_read_old_tokens_gets_the_new_ones_and_never_refreshes_again() {
    let mut site = Site::new("{}");
    let id = begun(&mut site, grant("a"));
    site.now += HOUR;
    let (mut one, mut late) = (site.visit(&[&id]), site.visit(&[&id]));
    let held = hold(&mut site, &mut one, WANTED);
    assert_eq!(keep(&mut site, &mut one, &held, grant("b")), Ok(true));
    assert_eq!(ask(&mut site, &mut late, WANTED), "b");
}

#[test]
fn a_refresh_keeps_the_refresh_token_and_the_id_token_that_it_does_not_get() {
    let mut site = Site::new("{}");
    let first = Grant {
        access: "a\"".into(),
        refresh: Some("r".into()),
        id: Some("i".into()),
        lifetime: Some(1),
    };
    let id = begun(&mut site, Answer::Granted(first));
    site.now += HOUR;
    let mut visit = site.visit(&[&id]);
    let held = hold(&mut site, &mut visit, WANTED);
    let grant = Grant { access: "b".into(), ..Grant::default() };
    assert_eq!(keep(&mut site, &mut visit, &held, Answer::Granted(grant)), Ok(true));
    assert_eq!(site.does(&mut visit, Act::Tokens(Wanted::default())), Ok(true));
    let tokens = done(&visit.taken.take().unwrap()).unwrap();
    assert_eq!((tokens.refresh.as_deref(), tokens.id.as_deref()), (Some("r"), Some("i")));
    assert_eq!(tokens.expires, None);
    // Without a known end, they are valid until a resource server refuses them.
    site.now += 10 * HOUR;
    let mut visit = site.visit(&[&id]);
    assert_eq!(ask(&mut site, &mut visit, WANTED), "b");
    let refused = Wanted { refused: Some("another"), ..WANTED };
    assert_eq!(ask(&mut site, &mut visit, refused), "b");
    let refused = Wanted { refused: Some("b"), ..WANTED };
    assert!(ask(&mut site, &mut visit, refused).starts_with("held "));
}

#[test]
fn a_token_with_a_short_life_is_refreshed_after_half_of_it() {
    let mut site = Site::new("{}");
    let short = Grant {
        access: "a".into(),
        refresh: Some("r".into()),
        lifetime: Some(1_000),
        ..Grant::default()
    };
    let id = begun(&mut site, Answer::Granted(short));
    let mut visit = site.visit(&[&id]);
    site.now += 499;
    assert_eq!(ask(&mut site, &mut visit, WANTED), "a");
    site.now += 1;
    assert!(ask(&mut site, &mut visit, WANTED).starts_with("held "));
}

#[test]
fn a_holder_that_dies_is_replaced_after_its_lease_and_fenced() {
    let mut site = Site::new("{}");
    let id = begun(&mut site, grant("a"));
    site.now += HOUR;
    let (mut dead, mut next) = (site.visit(&[&id]), site.visit(&[&id]));
    let first = hold(&mut site, &mut dead, WANTED);
    site.now += LEASE - 1;
    let waited = Wanted { waited: LEASE - 1, ..WANTED };
    assert_eq!(ask(&mut site, &mut next, waited), "wait 499");
    site.now += 1;
    let second = hold(&mut site, &mut next, waited);
    assert_ne!(first, second);
    assert_eq!(keep(&mut site, &mut dead, &first, grant("late")), Ok(false));
    assert_eq!(keep(&mut site, &mut next, &second, grant("b")), Ok(true));
    assert_eq!(keep(&mut site, &mut dead, &first, grant("late")), Ok(false));
    assert_eq!(ask(&mut site, &mut dead, waited), "b");
    // Waits for two leases at most.
    site.now += HOUR;
    hold(&mut site, &mut next, WANTED);
    assert_eq!(ask(&mut site, &mut dead, Wanted { waited: 2 * LEASE, ..WANTED }), "Busy");
}

#[test]
fn tokens_that_come_after_the_lease_are_kept_unless_another_request_has_taken_over() {
    let mut site = Site::new("{}");
    let id = begun(&mut site, grant("a"));
    site.now += HOUR;
    let mut visit = site.visit(&[&id]);
    let held = hold(&mut site, &mut visit, WANTED);
    site.now += 10 * LEASE;
    assert_eq!(keep(&mut site, &mut visit, &held, grant("b")), Ok(true));
    assert_eq!(ask(&mut site, &mut visit, WANTED), "b");
}

#[test]
fn after_a_failure_no_request_asks_for_two_seconds_and_a_usable_token_is_given() {
    let mut site = Site::new("{}");
    let id = begun(&mut site, grant("a"));
    site.now += HOUR - 1_000;
    let mut visit = site.visit(&[&id]);
    let held = hold(&mut site, &mut visit, WANTED);
    assert_eq!(keep(&mut site, &mut visit, &held, Answer::Failed), Ok(true));
    assert_eq!(ask(&mut site, &mut visit, WANTED), "a");
    site.now += 1_999;
    assert_eq!(ask(&mut site, &mut visit, WANTED), "Failed");
    site.now += 1;
    assert!(ask(&mut site, &mut visit, WANTED).starts_with("held "));
}

#[test]
fn a_refresh_token_that_the_provider_refuses_ends_all_tokens() {
    let mut site = Site::new("{}");
    let id = begun(&mut site, grant("a"));
    site.now += HOUR;
    let (mut one, mut other) = (site.visit(&[&id]), site.visit(&[&id]));
    let held = hold(&mut site, &mut one, WANTED);
    assert_eq!(ask(&mut site, &mut other, WANTED), "wait 20");
    assert_eq!(keep(&mut site, &mut one, &held, Answer::Refused), Ok(true));
    for visit in [&mut one, &mut other] {
        assert_eq!(ask(&mut site, visit, Wanted { waited: 20, ..WANTED }), "done None");
    }
    assert!(!site.text(&id).contains("refresh of a"));
}

#[test]
fn tokens_without_a_refresh_token_end_with_the_access_token() {
    let mut site = Site::new("{}");
    let grant = Grant { access: "a".into(), lifetime: Some(HOUR), ..Grant::default() };
    let id = begun(&mut site, Answer::Granted(grant));
    let mut visit = site.visit(&[&id]);
    site.take();
    site.now += HOUR - 1;
    assert_eq!(ask(&mut site, &mut visit, WANTED), "a");
    let refused = Wanted { refused: Some("a"), ..WANTED };
    assert_eq!(ask(&mut site, &mut visit, refused), "done None");
    site.now += 1;
    assert_eq!(ask(&mut site, &mut visit, WANTED), "done None");
    assert_eq!(ask(&mut site, &mut visit, Wanted::default()), "a");
    assert_eq!(site.questions(), []);
}

#[test]
fn a_visitor_without_tokens_gets_none_and_no_session() {
    let mut site = Site::new("{}");
    let mut visit = site.visit(&[]);
    assert_eq!(ask(&mut site, &mut visit, WANTED), "done None");
    assert!(matches!(visit.state, State::Anonymous));
    assert_eq!(site.questions(), []);
}

#[test]
fn a_renewal_keeps_tokens_and_a_lease_and_a_login_drops_them() {
    for (act, keeps) in [(Act::Renew, true), (Act::LogIn, false), (Act::Regenerate, false)] {
        let mut site = Site::new("{}");
        let id = begun(&mut site, grant("a"));
        site.now += HOUR;
        let (mut one, mut other) = (site.visit(&[&id]), site.visit(&[&id]));
        let held = hold(&mut site, &mut one, WANTED);
        assert_eq!(site.does(&mut other, act), Ok(true));
        assert_eq!(keep(&mut site, &mut one, &held, grant("b")), Ok(keeps));
        let found = ask(&mut site, &mut other, Wanted { waited: u64::from(keeps), ..WANTED });
        assert_eq!(found, if keeps { "b" } else { "done None" });
    }
}

#[test]
fn a_login_keeps_its_tokens_in_the_record_that_it_creates() {
    let mut site = Site::new("{}");
    let id = begun(&mut site, grant("a"));
    let (mut with, mut without) = (site.visit(&[&id]), site.visit(&[]));
    site.take();
    assert_eq!(site.does(&mut without, Act::LogIn), Ok(true));
    assert_eq!(site.questions(), [Question::Create, Question::ReadTimed, Question::Create]);
    let tokens = Grant { id: Some("id".to_owned()), ..given("b") };
    assert_eq!(site.does(&mut with, Act::LogInWith(tokens)), Ok(true));
    // The old session, and no write more for the tokens.
    let replaced = [Question::Create, Question::ReadTimed, Question::Replace, Question::Replace];
    assert_eq!(site.questions(), replaced);
    let logged_in = id_of(&with);
    assert_eq!(site.data(&logged_in).as_deref(), Some("{}"));
    let mut later = site.visit(&[&logged_in]);
    assert_eq!(ask(&mut site, &mut later, WANTED), "b");
    site.does(&mut later, Act::Tokens(Wanted::default())).unwrap();
    let tokens = done(&later.taken.take().unwrap()).unwrap();
    let expected = (Some("refresh of b"), Some("id"), Some(UnixMillis(site.now + HOUR)));
    assert_eq!((tokens.refresh.as_deref(), tokens.id.as_deref(), tokens.expires), expected);
}

#[test]
fn a_login_that_fails_keeps_the_session_and_its_tokens() {
    let mut site = Site::new("{}");
    let id = begun(&mut site, grant("a"));
    let mut visit = site.visit(&[&id]);
    site.fails = Some((Question::Create, Answered::Refused(4)));
    let failed = site.does(&mut visit, Act::LogInWith(given("b")));
    assert_eq!(failed, Err(Stopped::Host(4)));
    site.fails = None;
    assert_eq!(ask(&mut site, &mut visit, WANTED), "a");
    // Too many bytes of tokens.
    site.take();
    let large = Grant { access: "x".repeat(Slots::BYTES), ..Grant::default() };
    let failed = site.does(&mut visit, Act::LogInWith(large));
    assert_eq!(failed, Err(Stopped::Core(Error::SlotsFull)));
    assert_eq!((site.questions(), site.take()), (vec![], vec![]));
    assert_eq!(ask(&mut site, &mut visit, WANTED), "a");
}

#[test]
fn a_login_on_a_bound_site_offers_a_binding_beside_its_tokens() {
    let mut site = Site::new(r#"{"deviceBound":true}"#);
    let mut visit = site.visit(&[]);
    assert_eq!(site.does(&mut visit, Act::LogInWith(given("a"))), Ok(true));
    assert_eq!(ask(&mut site, &mut visit, WANTED), "a");
    let meta = visit.session().unwrap().record.meta().clone();
    assert!(binding::registration(&site.rules, &meta).is_some());
}

#[test]
fn a_session_that_was_ended_has_no_tokens() {
    let mut site = Site::new("{}");
    let id = begun(&mut site, grant("a"));
    site.now += HOUR;
    let [mut one, mut two, mut three, mut ends] = [(); 4].map(|()| site.visit(&[&id]));
    let held = hold(&mut site, &mut one, WANTED);
    site.does(&mut ends, Act::Destroy).unwrap();
    // The first claim writes, a later one reads.
    assert_eq!(ask(&mut site, &mut two, WANTED), "Ended");
    assert_eq!(ask(&mut site, &mut three, Wanted { waited: 20, ..WANTED }), "Ended");
    assert_eq!(keep(&mut site, &mut one, &held, grant("b")), Ok(false));
    assert_eq!(keep(&mut site, &mut one, &held, grant("b")), Ok(false));
}

#[test]
fn a_store_that_fails_fails_the_request_and_stores_no_token() {
    let mut site = Site::new("{}");
    let id = begun(&mut site, grant("a"));
    site.now += HOUR;
    let mut visit = site.visit(&[&id]);
    let held = hold(&mut site, &mut visit, WANTED);
    site.fails = Some((Question::Replace, Answered::Refused(4)));
    assert_eq!(keep(&mut site, &mut visit, &held, grant("b")), Err(Stopped::Host(4)));
    site.fails = None;
    assert_eq!(keep(&mut site, &mut visit, &held, grant("b")), Ok(true));
    assert_eq!(ask(&mut site, &mut visit, WANTED), "b");
}
