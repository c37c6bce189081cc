//! The sessions of users: revoked while requests and streams have them open, in deployments whose instances cannot
//! read each other's records, and under IDs that logins have replaced.

#![allow(
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    http::{Method, StatusCode},
    routing::get,
};
use vestiary::{Error, MemoryLimits, UnixMillis, WriteId};
use vestiary_store::{
    Encrypt, Login, MemoryStore, Outcome, SessionError, Sessions, SessionsPerUser, Store as _,
    UserList, WhenFull,
};
use vestiary_tower::{Config, Session, SessionLayer};

use crate::support::{Browser, Events, Fault, Faulty, config, set_cookies, text};

const OLD: &str = "the old secret, of more than 32 bytes";
const NEW: &str = "the new secret, of more than 32 bytes";

type Held = Arc<Mutex<Option<Session>>>;

async fn whoami(session: Session) -> Result<String, SessionError> {
    Ok(session.user_id().await?.unwrap_or_default())
}

async fn n_of(session: Session) -> Result<String, SessionError> {
    Ok(session.get::<u8>("n").await?.unwrap_or_default().to_string())
}

fn routes() -> Router {
    Router::new()
        .route("/whoami", get(whoami))
        .route("/login", get(|session: Session| async move { session.login("ada").await }))
        .route("/login-eve", get(|session: Session| async move { session.login("eve").await }))
        .route("/logout", get(|session: Session| async move { session.destroy().await }))
        .route("/write", get(|session: Session| async move { session.insert("n", 1).await }))
        .route("/n", get(n_of))
        .route("/touch", get(|session: Session| async move { session.touch().await }))
        .route("/renew", get(|session: Session| async move { session.renew().await }))
        .route("/save", get(|session: Session| async move { session.save().await.map(drop) }))
}

fn app(config: &Config, store: Faulty) -> Router {
    routes().layer(SessionLayer::new(config, store).unwrap())
}

/// Old and new instances during a deployment.
fn deployments() -> Vec<(Config, Config)> {
    let with = |secret: &str| Config::new(secret).name("sid");
    vec![
        (with(OLD), with(OLD).encrypt(Encrypt::Migrate)),
        (with(OLD).encrypt(Encrypt::On), with(NEW).previous_secret(OLD).encrypt(Encrypt::On)),
        (with(OLD).encrypt(Encrypt::On), with(OLD)),
    ]
}

/// A device that is logged in, with a cookie of the old secret; the new instance has written its record and its
/// list since.
async fn device(old: &Config, fresh: &Config, store: &Faulty) -> Browser {
    let app = app(fresh, store.clone());
    let mut device = Browser::new(&app);
    device.ok("/login").await;
    let (fresh, signer) = (sessions(fresh, store), sessions(old, store));
    let cookie = format!("sid={}", device.cookie());
    let [id] = &fresh.cookies([cookie.as_bytes()]).ids[..] else { panic!() };
    device.cookie = Some(signer.sign(id));
    device
}

fn sessions(config: &Config, store: &Faulty) -> Sessions {
    Sessions::new(config, store.clone()).unwrap()
}

#[tokio::test]
async fn a_request_to_an_old_instance_logs_no_visitor_out_during_a_deployment() {
    for (old, fresh) in deployments() {
        let (store, events) = (Faulty::default(), Events::default());
        let old = old.on_event(events.listener());
        let devices = [device(&old, &fresh, &store).await, device(&old, &fresh, &store).await];
        let key = sessions(&fresh, &store).options().user_key("ada");
        let list = store.read(&key).await.unwrap();
        assert!(list.is_some());
        let rolling = old.clone().rolling(true).max_age(Duration::from_secs(600));
        for instance in [app(&old, store.clone()), app(&rolling, store.clone())] {
            for device in &devices {
                let mut device = Browser::with(&instance, device.cookie());
                let response = device.send(Method::GET, "/whoami").await;
                assert_eq!(set_cookies(&response), Vec::<String>::new());
                assert_eq!(text(response).await, "");
                assert_eq!(events.take(), ["unreadable"]);
                for path in ["/write", "/touch", "/renew", "/save", "/login"] {
                    events.take();
                    let response = device.send(Method::GET, path).await;
                    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR, "{path}");
                    assert_eq!(set_cookies(&response), Vec::<String>::new(), "{path}");
                }
                events.take();
            }
        }
        let ada = sessions(&old, &store).of("ada");
        assert!(matches!(ada.list().await, Err(SessionError::Data(_))));
        assert!(matches!(ada.revoke_all().await, Err(SessionError::Data(_))));
        assert_eq!(store.read(&key).await.unwrap(), list);
        let fresh_app = app(&fresh, store.clone());
        for device in &devices {
            assert_eq!(Browser::with(&fresh_app, device.cookie()).ok("/whoami").await, "ada");
        }
        assert_eq!(sessions(&fresh, &store).of("ada").list().await.unwrap().len(), 2);

        // Another user logs in there, and the unreadable record stays; a logout removes the cookie, and fails.
        let [one, other] = devices;
        let old_app = app(&old, store.clone());
        let mut eve = Browser::with(&old_app, one.cookie());
        eve.ok("/login-eve").await;
        assert_eq!(eve.ok("/whoami").await, "eve");
        let mut out = Browser::with(&old_app, other.cookie());
        assert_eq!(out.get("/logout").await.0, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(out.cookie, None);
        for device in [one, other] {
            assert_eq!(Browser::with(&fresh_app, device.cookie()).ok("/whoami").await, "ada");
        }
    }
}

#[tokio::test]
async fn the_documented_steps_log_no_visitor_out() {
    let with = |secret: &str| Config::new(secret).name("sid").encrypt(Encrypt::On);
    let steps = [with(OLD), with(OLD).previous_secret(NEW), with(NEW).previous_secret(OLD)];
    let store = Faulty::default();
    let mut devices = Vec::new();
    for (number, fresh) in steps.iter().enumerate() {
        for instance in [fresh, &steps[number.saturating_sub(1)], fresh] {
            let app = app(instance, store.clone());
            let mut added = Browser::new(&app);
            added.ok("/login").await;
            devices.push(added.cookie());
            for cookie in &mut devices {
                let mut device = Browser::with(&app, cookie.clone());
                assert_eq!(device.ok("/whoami").await, "ada");
                device.ok("/save").await;
                *cookie = device.cookie();
            }
        }
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    for text in
        ["broken", "{}", r#"{"v":"AAAAAAAAAAAAAAAA","sessions":[]}"#, &" ".repeat((1 << 20) + 1)]
    {
        let (store, events) = (Faulty::default(), Events::default());
        let config = config().on_event(events.listener());
        let app = app(&config, store.clone());
        let mut browser = Browser::new(&app);
        browser.ok("/login").await;
        let key = sessions(&config, &store).options().user_key("ada");
        let list = store.read(&key).await.unwrap().unwrap();
        let write_id = WriteId::parse(vestiary_store::write_id_of(&list).unwrap());
        let replaced = store.replace(&key, write_id.as_ref(), text, vestiary::Ttl::Infinite).await;
        assert_eq!(replaced.unwrap(), Outcome::Done);
        events.take();
        assert_eq!(browser.ok("/whoami").await, "");
        assert_eq!(events.take(), ["unreadable"]);
        assert_eq!(Browser::new(&app).get("/login").await.0, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(store.read(&key).await.unwrap().as_deref(), Some(text));
        assert!(browser.cookie.is_some());
    }
}

/// Two processes with one store; the first one's requests can be held open.
struct Two {
    here: Router,
    elsewhere: Sessions,
    events: Events,
    held: Held,
}

fn two(config: &Config) -> Two {
    let (events, store, held) = (Events::default(), Faulty::default(), Held::default());
    let keeps = {
        let held = Arc::clone(&held);
        |session: Session| async move {
            let user = session.user_id().await?;
            *held.lock().unwrap() = Some(session);
            Ok::<_, SessionError>(user.unwrap_or_default())
        }
    };
    let elsewhere = Sessions::new(config, store.clone()).unwrap();
    let ends = {
        let elsewhere = elsewhere.clone();
        |session: Session| async move {
            session.insert("n", 1).await?;
            elsewhere.of("ada").revoke_all().await?;
            Ok::<_, SessionError>(())
        }
    };
    let layer = SessionLayer::new(&config.clone().on_event(events.listener()), store).unwrap();
    let here = routes().route("/keep", get(keeps)).route("/end", get(ends)).layer(layer);
    Two { here, elsewhere, events, held }
}

#[tokio::test]
async fn a_request_with_a_session_revoked_elsewhere_writes_nothing() {
    for number in 0..4 {
        let Two { here, elsewhere, events, held } = two(&config());
        let mut browser = Browser::new(&here);
        browser.ok("/login").await;
        assert_eq!(browser.ok("/keep").await, "ada");
        let session = held.lock().unwrap().take().unwrap();
        let ada = elsewhere.of("ada");
        if number == 0 {
            let [device] = &ada.list().await.unwrap()[..] else { panic!() };
            ada.revoke(&device.handle).await.unwrap();
        } else {
            ada.revoke_all().await.unwrap();
        }
        events.take();
        match number {
            0 | 1 => assert!(
                !session.update(|data| drop(data.insert("n".into(), 1.into()))).await.unwrap()
            ),
            2 => {
                session.insert("n", 1).await.unwrap();
                assert!(!session.save().await.unwrap());
            }
            _ => session.touch().await.unwrap(),
        }
        assert_eq!(events.take(), ["gone"], "{number}");
        assert_eq!(session.user_id().await.unwrap(), None);
        assert_eq!(browser.ok("/whoami").await, "");
    }
}

#[tokio::test]
async fn a_response_whose_session_was_revoked_elsewhere_sets_no_cookie_and_stores_nothing() {
    let rolling = config().rolling(true).max_age(Duration::from_secs(600));
    for config in [config(), rolling] {
        let Two { here, events, .. } = two(&config);
        let mut browser = Browser::new(&here);
        browser.ok("/login").await;
        events.take();
        let response = browser.send(Method::GET, "/end").await;
        assert_eq!(set_cookies(&response), Vec::<String>::new());
        assert_eq!(events.take(), ["gone"]);
    }
}

#[tokio::test]
async fn no_operation_on_an_id_that_a_login_has_replaced_touches_the_new_session() {
    let app = app(&config(), Faulty::default());
    let mut victim = Browser::new(&app);
    victim.ok("/save").await;
    let planted = victim.cookie();
    victim.ok("/login").await;
    for attack in ["/logout", "/login-eve", "/login", "/touch", "/renew", "/write"] {
        Browser::with(&app, &planted).ok(attack).await;
        assert_eq!(victim.ok("/whoami").await, "ada", "{attack}");
    }
}

#[tokio::test]
async fn a_logout_by_the_id_before_a_renewal_ends_the_session_and_its_entry_in_the_list() {
    let config = config().renew_grace(Duration::ZERO);
    let store = Faulty::default();
    let app = app(&config, store.clone());
    let mut browser = Browser::new(&app);
    browser.ok("/login").await;
    let before = browser.cookie();
    browser.ok("/renew").await;
    Browser::with(&app, &before).ok("/logout").await;
    assert_eq!(browser.ok("/whoami").await, "");
    assert_eq!(sessions(&config, &store).of("ada").list().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_logins_at_once_a_full_list_admits_so_many_and_the_others_keep_their_sessions() {
    let limit = SessionsPerUser { most: 2, when_full: WhenFull::Refuse };
    let (config, store) = (config().sessions_per_user(limit), Faulty::default());
    // Two processes.
    let apps = [app(&config, store.clone()), app(&config, store.clone())];
    let mut logins = Vec::new();
    for n in 0..8 {
        let mut browser = Browser::new(&apps[n % 2]);
        if n < 4 {
            browser.ok("/write").await;
        }
        logins.push(tokio::spawn(async move {
            let before = browser.cookie.clone();
            let response = browser.send(Method::GET, "/login").await;
            (browser, before, response)
        }));
    }
    let mut admitted = 0;
    for login in logins {
        let (mut browser, before, response) = login.await.unwrap();
        if response.status() == StatusCode::OK {
            admitted += 1;
            assert_eq!(browser.ok("/whoami").await, "ada");
            continue;
        }
        assert_eq!((response.status(), set_cookies(&response)), (StatusCode::CONFLICT, vec![]));
        let n = browser.ok("/n").await;
        assert_eq!(
            (n.as_str(), &browser.cookie),
            (if before.is_some() { "1" } else { "0" }, &before)
        );
    }
    assert_eq!(admitted, 2);
    assert_eq!(sessions(&config, &store).of("ada").list().await.unwrap().len(), 2);
}

#[tokio::test]
async fn names_labels_and_limits_are_checked() {
    for most in [0, 1 << 32] {
        let none = SessionLayer::new(&config().sessions_per_user(most), Faulty::default());
        assert_eq!(none.err(), Some(Error::SessionsPerUser), "{most}");
    }
    assert_eq!(Error::SessionsPerUser.code(), "options");
    let store = Faulty::default();
    let sessions = sessions(&config().sessions_per_user(usize::MAX), &store);
    let unnamed = sessions.of("");
    let refused = |error: SessionError| matches!(error, SessionError::Data(Error::UserName));
    assert!(refused(unnamed.admit(&Login::default()).await.unwrap_err()));
    assert!(refused(unnamed.list().await.unwrap_err()));
    assert!(refused(unnamed.revoke_all().await.unwrap_err()));
    let long = sessions.of(&"n".repeat(1_025));
    assert!(refused(long.admit(&Login::default()).await.unwrap_err()));
    let ada = sessions.of("ada");
    let login = Login { label: Some("😀".repeat(1_000)), ..Login::default() };
    for _ in 0..100 {
        ada.admit(&login).await.unwrap();
    }
    let list = ada.list().await.unwrap();
    assert!((50..70).contains(&list.len()), "{}", list.len());
    assert!(list[0].label.as_ref().is_some_and(|label| label.contains(&"😀".repeat(256))));
    assert!(list.iter().all(|one| !one.label.as_ref().unwrap().contains(&"😀".repeat(257))));
}

fn ahead() -> UnixMillis {
    UnixMillis(here().0 + 3_000)
}

fn behind() -> UnixMillis {
    UnixMillis(here().0 - 3_000)
}

fn here() -> UnixMillis {
    Sessions::new(&config(), MemoryStore::default()).unwrap().now()
}

#[tokio::test]
async fn a_login_and_the_end_of_all_sessions_are_ordered_by_the_clock_of_the_store() {
    const HOUR: u64 = 3_600_000;
    for clock in [ahead, behind] {
        let store = MemoryStore::with_clock(MemoryLimits::default(), clock);
        let ada = Sessions::new(&config(), store).unwrap().of("ada");
        let began = here();
        ada.revoke_all().await.unwrap();
        // If only this server's clock counted, a store that is ahead would have revoked them after the login.
        admitted_in_the_end(&ada, &Login::default()).await;
        // A proof dated in the future counts as of now.
        let ahead = Login { proven: Some(UnixMillis(here().0 + HOUR)), ..Login::default() };
        admitted_in_the_end(&ada, &ahead).await;
        let under_way = Login { proven: Some(UnixMillis(began.0 - 1_000)), ..Login::default() };
        assert!(matches!(ada.admit(&under_way).await, Err(SessionError::LoginOutdated)));
    }
}

/// The age of a proof is known up to a round trip: on a busy machine, one right after a revocation may be refused.
async fn admitted_in_the_end(user: &UserList, login: &Login) {
    for _ in 0..100 {
        match user.admit(login).await {
            Err(SessionError::LoginOutdated) => tokio::time::sleep(Duration::from_millis(5)).await,
            admitted => return drop(admitted.unwrap()),
        }
    }
    panic!("a login after the revocation is refused each time");
}

#[tokio::test]
async fn a_login_whose_proof_is_older_than_the_list_remembers_is_refused() {
    const DAY: u64 = 86_400_000;
    fn later() -> UnixMillis {
        UnixMillis(here().0 + DAY + 400_000)
    }
    let store = MemoryStore::with_clock(MemoryLimits::default(), later);
    let ada = Sessions::new(&config(), store).unwrap().of("ada");
    // Whether or not there was a revocation: after so long, the store no longer knows.
    let proven = |ago| Login { proven: Some(UnixMillis(here().0 - ago)), ..Login::default() };
    for ago in [DAY + 60_000, 30 * DAY] {
        let refused = ada.admit(&proven(ago)).await;
        assert!(matches!(refused, Err(SessionError::LoginOutdated)), "{ago}");
    }
    ada.admit(&proven(DAY - 60_000)).await.unwrap();
}

#[tokio::test]
async fn a_session_is_listed_no_longer_than_the_store_keeps_a_record_without_a_ttl() {
    for (default_ttl, listed) in [(0, 0), (60_000, 1)] {
        let store = MemoryStore::new(MemoryLimits { default_ttl, ..MemoryLimits::default() });
        let ada = Sessions::new(&config(), store).unwrap().of("ada");
        ada.admit(&Login::default()).await.unwrap();
        assert_eq!(ada.list().await.unwrap().len(), listed);
    }
}

#[tokio::test]
async fn a_login_that_fails_and_a_logout_that_is_repeated_leave_no_entry() {
    let store = Faulty::default();
    let app = app(&config(), store.clone());
    let ada = sessions(&config(), &store).of("ada");
    for (operation, fault) in [("create", Fault::Loses), ("replace", Fault::Fails)] {
        let mut browser = Browser::new(&app);
        browser.ok("/save").await;
        browser.ok("/login").await;
        store.breaks(operation, fault);
        assert_eq!(Browser::new(&app).get("/login").await.0, StatusCode::SERVICE_UNAVAILABLE);
        store.breaks(operation, Fault::Fails);
        let status = browser.clone().get("/logout").await.0;
        store.is_well();
        if operation == "replace" {
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        }
        browser.ok("/logout").await;
        let listed = ada.list().await.unwrap().len();
        assert_eq!(listed, 0, "{operation}");
    }
}

#[tokio::test]
async fn a_login_that_was_listed_although_the_answer_was_lost_is_done() {
    let store = Faulty::default();
    let ada = sessions(&config(), &store).of("ada");
    ada.admit(&Login::default()).await.unwrap();
    let gate = store.holds("replace");
    store.breaks("replace", Fault::Loses);
    store.calls();
    let login = Login::default();
    let (admitted, ()) = tokio::join!(ada.admit(&login), async {
        gate.reached.notified().await;
        // The answer is lost in another millisecond than that of the login.
        tokio::time::sleep(Duration::from_millis(3)).await;
        gate.open.notify_one();
    });
    admitted.unwrap();
    assert_eq!(store.calls(), [("read", 2), ("replace", 1)]);
    assert_eq!(ada.list().await.unwrap().len(), 2);
}
