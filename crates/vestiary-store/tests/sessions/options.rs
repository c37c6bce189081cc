//! The effect of each option.

use std::time::Duration;

use vestiary::{Ttl, UnixMillis};
use vestiary_store::{Config, Format, SameSite};

use super::{Fault, Watched, config, loaded, planted, sessions, taken};

const MINUTE: Duration = Duration::from_secs(60);

/// The attributes of the cookie, where the options leave `Secure` open.
fn attributes(config: Config) -> String {
    let (sessions, _) = sessions(config, &Watched::default());
    let cookie = sessions.set_cookie(Some(&sessions.new_id().unwrap()), false);
    cookie.split_once("; ").unwrap().1.to_owned()
}

#[test]
fn the_cookie_has_the_attributes_of_the_options() {
    for (config, expected) in [
        (config(), "Path=/; HttpOnly; SameSite=Lax"),
        (config().http_only(false), "Path=/; SameSite=Lax"),
        (config().secure(true), "Path=/; HttpOnly; Secure; SameSite=Lax"),
        (config().same_site(SameSite::Strict), "Path=/; HttpOnly; SameSite=Strict"),
        (config().same_site(SameSite::None), "Path=/; HttpOnly; Secure; SameSite=None"),
        (config().domain("example.com"), "Domain=example.com; Path=/; HttpOnly; SameSite=Lax"),
        (config().path("/app"), "Path=/app; HttpOnly; SameSite=Lax"),
        (config().max_age(MINUTE), "Max-Age=60; Path=/; HttpOnly; SameSite=Lax"),
        (config().partitioned(true), "Path=/; HttpOnly; Secure; Partitioned; SameSite=Lax"),
    ] {
        assert_eq!(attributes(config), expected);
    }
    let (never, _) = sessions(config().secure(false), &Watched::default());
    assert!(!never.set_cookie(None, true).contains("Secure"));
    let (express, _) = sessions(config().format(Format::ExpressSession), &Watched::default());
    assert!(express.sign(&express.new_id().unwrap()).starts_with("s:"));
}

#[tokio::test]
async fn the_record_has_the_cookie_attributes_and_the_same_lifetime() {
    let store = Watched::default();
    let all = config()
        .domain("example.com")
        .path("/app")
        .http_only(true)
        .secure(true)
        .same_site(SameSite::Strict)
        .max_age(MINUTE);
    for (config, cookie, ttl) in [
        (config(), r#""cookie":{"path":"/"}"#, Ttl::Infinite),
        (
            all,
            r#""cookie":{"domain":"example.com","httpOnly":true,"path":"/app","secure":true,"sameSite":"strict","maxAge":60}"#,
            Ttl::Millis(60_000),
        ),
        (config().path(r#"/a"b\n"#), r#""cookie":{"path":"/a\"b\\n"}"#, Ttl::Infinite),
        (config().absolute_timeout(MINUTE), r#""cookie":{"path":"/"}"#, Ttl::Millis(60_000)),
        (config().idle_timeout(MINUTE), r#""cookie":{"path":"/"}"#, Ttl::Millis(60_000)),
    ] {
        let (sessions, _) = sessions(config, &store);
        sessions.create("{}", None).await.unwrap();
        let [created] = &store.calls()[..] else { panic!("one call") };
        assert!(created.text.contains(cookie), "{}", created.text);
        // A store may keep it longer than its deadline, but never for less.
        let is_longer = |(kept, life)| matches!((kept, life), (Ttl::Millis(kept), Ttl::Millis(life)) if kept >= life);
        assert!(created.ttl == Some(ttl) || is_longer((created.ttl.unwrap(), ttl)), "{created:?}");
        assert!(created.ttl != Some(Ttl::Infinite) || ttl == Ttl::Infinite);
    }
}

#[test]
fn keys_are_the_id_or_its_hash_and_have_the_namespace() {
    let key = |config: Config| {
        let (sessions, _) = sessions(config, &Watched::default());
        let id = vestiary::SessionId::from_entropy(&[7; 24]);
        let key = sessions.options().store_key(&id);
        (key.contains(id.expose()), key.starts_with("shop:"))
    };
    assert_eq!(key(config()), (true, false));
    assert_eq!(key(config().hash_ids(true)), (false, false));
    assert_eq!(key(config().namespace("shop")), (true, true));
    assert_eq!(key(config().namespace("shop").hash_ids(true)), (false, true));
}

#[tokio::test]
async fn rolling_sessions_are_touched_at_most_once_in_touch_after() {
    let store = Watched::default();
    for (touch_after, expected) in
        [(None, 6_000), (Some(Duration::ZERO), 0), (Some(MINUTE), 60_000)]
    {
        let rolling = config().max_age(MINUTE).rolling(true);
        let rolling = match touch_after {
            Some(after) => rolling.touch_after(after),
            None => rolling,
        };
        let (sessions, _) = sessions(rolling, &store);
        assert!(sessions.options().policy().rolling);
        assert_eq!(sessions.options().touch_after(), expected);
        let stored = sessions.create("{}", None).await.unwrap();
        assert_eq!(sessions.is_touched(stored.id()), expected > 0);
        store.calls();
        sessions.touch(&stored).await.unwrap();
        let touched = store.calls().into_iter().find(|call| call.operation == "touch").unwrap();
        // The record outlives the cookie, so that it need not be touched for a while.
        assert_eq!(touched.ttl, Some(Ttl::Millis(60_000 + expected)));
        assert_eq!(sessions.is_touched(stored.id()), expected > 0);
    }
    let (sessions, _) = sessions(config().max_age(MINUTE), &store);
    assert!(!sessions.options().policy().rolling);
}

#[tokio::test]
async fn a_touch_that_finds_nothing_takes_the_id_out_of_use() {
    let store = Watched::default();
    let (sessions, _) = sessions(config().max_age(MINUTE).rolling(true), &store);
    let stored = sessions.create("{}", None).await.unwrap();
    assert!(!sessions.is_out_of_use(stored.id()));
    store.disturb(|_| Fault::Refuses);
    sessions.touch(&stored).await.unwrap();
    assert!(sessions.is_out_of_use(stored.id()));
}

#[tokio::test]
async fn a_touch_follows_the_session_and_takes_only_its_old_id_out_of_use() {
    let store = Watched::default();
    let (sessions, _) = sessions(config().max_age(MINUTE), &store);
    let (others, _) = super::sessions(config().max_age(MINUTE), &store);
    let stored = sessions.create("{}", None).await.unwrap();
    let touched = sessions.touch(&stored).await.unwrap().unwrap();
    assert_eq!(touched.id(), stored.id());
    assert!(!sessions.is_out_of_use(stored.id()));
    let renewed = others.renew(&stored).await.unwrap().unwrap();
    let touched = sessions.touch(&stored).await.unwrap().unwrap();
    assert_eq!(touched.id(), renewed.id());
    assert!(sessions.is_out_of_use(stored.id()) && !sessions.is_out_of_use(renewed.id()));
}

#[tokio::test]
async fn a_touch_writes_the_next_deadline_and_revives_no_session_that_has_expired() {
    let store = Watched::default();
    let timed = config().idle_timeout(MINUTE * 10).absolute_timeout(MINUTE * 60);
    let (sessions, _) = sessions(timed, &store);
    let now = sessions.now().0;
    let minutes = |minutes: u64| minutes * 60_000;
    let touched = async |created: u64, idle: u64| {
        let id = planted(&sessions, &format!(r#"{{"created":{created},"idle":{idle}}}"#)).await;
        let stored = sessions.load(&id).await.unwrap().unwrap();
        store.calls();
        let touched = sessions.touch(&stored).await.unwrap();
        (touched.map(|it| it.meta().clone()), store.names())
    };
    // Nothing to write: the idle deadline is far enough away.
    let (meta, asked) = touched(now, now + minutes(11)).await;
    assert_eq!(
        (meta.unwrap().idle, asked),
        (Some(UnixMillis(now + minutes(11))), vec!["read", "touch"])
    );
    let (meta, asked) = touched(now, now + minutes(8)).await;
    let meta = meta.unwrap();
    assert!(meta.idle.unwrap().0 >= now + minutes(11), "{meta:?}");
    assert_eq!((meta.created, asked), (Some(UnixMillis(now)), vec!["replace"]));
    // Its absolute deadline has passed, though it was used a moment ago.
    let (meta, asked) = touched(now - minutes(60), now + minutes(11)).await;
    assert_eq!((meta, asked.contains(&"touch")), (None, false));
}

#[tokio::test]
async fn the_cookie_of_a_session_has_its_id_or_is_removed() {
    let (sessions, _) = sessions(config(), &Watched::default());
    let stored = sessions.create("{}", None).await.unwrap();
    let set = sessions.set_cookie_of(&stored, false, false);
    assert_eq!(set, sessions.set_cookie(Some(stored.id()), false));
    assert!(set.starts_with(&format!("sid={}", stored.id().expose())), "{set}");
    let removal = sessions.set_cookie_of(&stored, true, false);
    assert!(removal.starts_with("sid=;") && removal.contains("Max-Age=0"), "{removal}");
}

#[tokio::test]
async fn a_session_with_its_own_cookie_attributes_has_their_lifetime() {
    let store = Watched::default();
    let (sessions, _) = sessions(config().max_age(MINUTE), &store);
    let id = planted(&sessions, r#"{"cookie":{"maxAge":120,"path":"/app"}}"#).await;
    let stored = sessions.load(&id).await.unwrap().unwrap();
    store.calls();
    let saved = sessions.commit(&stored, "{}".to_owned(), r#"{"n":2}"#.to_owned()).await.unwrap();
    let [written] = &store.calls()[..] else { panic!("one call") };
    assert_eq!(written.ttl, Some(Ttl::Millis(120_000)));
    sessions.touch(&saved.unwrap().stored).await.unwrap();
    let touched = store.calls().into_iter().find(|call| call.operation == "touch").unwrap();
    assert_eq!(touched.ttl, Some(Ttl::Millis(120_000)));
    assert!(
        written.text.contains(r#","cookie":{"maxAge":120,"path":"/app"},"data""#),
        "{}",
        written.text
    );
    let cookie = sessions.set_cookie_of(&stored, false, false);
    assert!(cookie.ends_with("; Max-Age=120; Path=/app; HttpOnly; SameSite=Lax"), "{cookie}");
}

#[test]
fn in_the_express_format_sessions_are_not_renewed() {
    let express = config().format(Format::ExpressSession);
    for (config, is_good) in [(express.clone(), true), (express.renew_after(MINUTE), false)] {
        let made = vestiary_store::Sessions::new(&config, Watched::default());
        assert_eq!(made.is_ok(), is_good);
    }
}

#[tokio::test]
async fn data_beyond_the_limit_of_the_options_is_refused() {
    let (sessions, _) = sessions(config().max_bytes(2_000), &Watched::default());
    let data = |bytes: usize| format!(r#"{{"x":"{}"}}"#, "y".repeat(bytes));
    let stored = sessions.create(&data(1_900), None).await.unwrap();
    let refused = sessions.create(&data(2_100), None).await.unwrap_err();
    assert_eq!((refused.code(), refused.status()), ("too_large", 500));
    let refused = sessions.commit(&stored, "{}".to_owned(), data(2_100)).await.unwrap_err();
    assert_eq!(refused.code(), "too_large");
}

#[test]
fn debug_output_shows_the_options_and_no_secret() {
    let config = config().namespace("shop");
    let (sessions, _) = sessions(config.clone(), &Watched::default());
    for text in [format!("{sessions:?}"), format!("{config:?}")] {
        assert!(text.contains("shop") && !text.contains("a secret of the tests"), "{text}");
    }
}

#[tokio::test]
async fn timeouts_are_those_of_the_options() {
    let store = Watched::default();
    let timed = config()
        .idle_timeout(MINUTE * 10)
        .absolute_timeout(MINUTE * 60)
        .renew_after(MINUTE * 20)
        .renew_grace(Duration::from_secs(7));
    let (sessions, events) = sessions(timed, &store);
    let grace = sessions.options().timeouts().grace(UnixMillis(0));
    assert_eq!(grace, UnixMillis(7_000));
    let now = sessions.now().0;
    let minutes = |minutes: u64| minutes * 60_000;
    for (created, idle, expected) in [
        // The deadline is a tenth later, so that no session expires early.
        (now, now + minutes(11), Some((false, false))),
        // Less than the idle timeout is left, so its use must be recorded.
        (now, now + minutes(8), Some((false, true))),
        (now - minutes(21), now + minutes(11), Some((true, false))),
        (now - minutes(60), now + minutes(10), None),
        (now, now, None),
    ] {
        taken(&events);
        let meta = format!(r#"{{"created":{created},"idle":{idle}}}"#);
        let id = planted(&sessions, &meta).await;
        let found = loaded(&sessions, &id).await.map(|session| (session.due, session.stale));
        assert_eq!(found, expected, "{meta}");
        assert_eq!(taken(&events).contains(&"expired"), expected.is_none(), "{meta}");
    }
}

#[tokio::test]
async fn without_an_option_the_store_has_five_seconds() {
    let store = Watched::default();
    let (sessions, _) = sessions(config(), &store);
    let stored = sessions.create("{}", None).await.unwrap();
    store.meanwhile("read", std::future::pending());
    let waiting = sessions.load(stored.id());
    let error = paused(waiting).await.unwrap_err();
    let vestiary_store::SessionError::Timeout { after, .. } = error else { panic!("{error}") };
    assert_eq!(after, Duration::from_secs(5));
}

/// Runs a future with tokio's paused clock, so that nothing waits.
async fn paused<T>(waiting: impl Future<Output = T>) -> T {
    #[cfg(feature = "tokio")]
    tokio::time::pause();
    waiting.await
}
