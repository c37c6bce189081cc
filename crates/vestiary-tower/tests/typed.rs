//! `Session<T>`: a type sees a part of a session that others share, and changes only that part.

#![allow(
    clippy::missing_docs_in_private_items,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{collections::BTreeMap, future::Future};

use axum::{Router, http::StatusCode, routing::get};
use serde::{Deserialize, Serialize};
use vestiary_store::{Found, Sessions};
use vestiary_tower::{Data, Session, SessionError, SessionLayer};

use crate::support::{Browser, Faulty, config};

/// The record of a SvelteKit app: members that the types of these tests do not have, and numbers that a
/// JSON value cannot hold.
const SHARED: &str = r#"{"discord":1234567890123456789,"price":1.50,"big":1e400,"theme":"light","half":"\ud800","clicks":1}"#;

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Visitor {
    #[serde(skip_serializing_if = "Option::is_none")]
    theme: Option<String>,
    clicks: u64,
}

/// The stored data after a handler, which began with `data`.
async fn after<F, Fut>(data: &str, handler: F) -> String
where
    F: FnOnce(Session) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), SessionError>> + Send,
{
    let layer = SessionLayer::new(&config(), Faulty::default()).unwrap();
    let sessions: Sessions = layer.sessions().clone();
    let stored = sessions.create(data, None).await.unwrap();
    let app = Router::new().route("/", get(handler)).layer(layer);
    let (status, text) = Browser::with(&app, sessions.sign(stored.id())).get("/").await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let cookie = format!("sid={}", sessions.sign(stored.id()));
    match sessions.find(&sessions.cookies([cookie.as_bytes()])).await.unwrap() {
        Found::Session(session) => session.stored.data().to_owned(),
        _ => panic!("the session is gone"),
    }
}

fn dark(visitor: &mut Visitor) {
    visitor.theme = Some("dark".to_owned());
}

#[tokio::test]
async fn members_that_a_type_lacks_stay_byte_for_byte() {
    let expected = SHARED.replace("light", "dark");
    let update = |session: Session| async move {
        session.typed::<Visitor>().update(dark).await?;
        Ok(())
    };
    assert_eq!(after(SHARED, update).await, expected);
    let modify = |session: Session| async move { session.typed::<Visitor>().modify(dark).await };
    assert_eq!(after(SHARED, modify).await, expected);
    let write = |session: Session| async move {
        let visitor = Visitor { theme: Some("dark".to_owned()), clicks: 1 };
        session.typed::<Visitor>().write(&visitor).await
    };
    assert_eq!(after(SHARED, write).await, expected);
}

#[tokio::test]
async fn a_member_that_a_type_gave_up_is_removed_and_one_that_it_began_with_is_added() {
    let expected = SHARED.replace(r#""theme":"light","#, "");
    let forget = |visitor: &mut Visitor| visitor.theme = None;
    let update = move |session: Session| async move {
        session.typed::<Visitor>().update(forget).await?;
        Ok(())
    };
    assert_eq!(after(SHARED, update).await, expected);
    let modify =
        move |session: Session| async move { session.typed::<Visitor>().modify(forget).await };
    assert_eq!(after(SHARED, modify).await, expected);
    let write = |session: Session| async move {
        session.typed().write(&Visitor { theme: None, clicks: 1 }).await
    };
    assert_eq!(after(SHARED, write).await, expected);
    let add = |session: Session| async move { session.typed::<Visitor>().modify(dark).await };
    let added = r#"{"cart":["coat"],"theme":"dark"}"#;
    assert_eq!(after(r#"{"cart":["coat"]}"#, add).await, added);
}

#[tokio::test]
async fn a_view_that_changes_nothing_writes_nothing() {
    let nothing = |session: Session| async move {
        let typed = session.typed::<Visitor>();
        typed.modify(|_| ()).await?;
        typed.update(|_| ()).await?;
        typed.write(&typed.read().await?).await
    };
    assert_eq!(after(SHARED, nothing).await, SHARED);
}

// Untouched values keep their spelling when another one changes.
#[tokio::test]
async fn a_map_keeps_the_spelling_of_what_it_did_not_change() {
    let data = r#"{"discord":1234567890123456789,"price":1.50,"many":[12345678901234567890123],"theme":"light"}"#;
    let expected = data.replace("light", "dark");
    let set = |data: &mut Data| drop(data.insert("theme".to_owned(), "dark".into()));
    let update = move |session: Session| async move {
        session.update(set).await?;
        Ok(())
    };
    assert_eq!(after(data, update).await, expected);
    let modify = move |session: Session| async move { session.modify(set).await };
    assert_eq!(after(data, modify).await, expected);
    let insert = |session: Session| async move { session.insert("theme", "dark").await };
    assert_eq!(after(data, insert).await, expected);
    let write = move |session: Session| async move {
        let mut data = session.data().await?;
        set(&mut data);
        session.write(&data).await
    };
    assert_eq!(after(data, write).await, expected);
    // A map has all members, so those that it lacks are removed.
    let only = |session: Session| async move {
        session.write(&Data::from_iter([("a".to_owned(), 1.into())])).await
    };
    assert_eq!(after(data, only).await, r#"{"a":1}"#);
}

#[tokio::test]
async fn a_change_beyond_what_a_double_can_tell_is_a_change() {
    let insert = |session: Session| async move {
        session.insert("many", [12_345_678_901_234_567_890_124_u128]).await
    };
    let data = r#"{"many":[12345678901234567890123]}"#;
    assert_eq!(after(data, insert).await, data.replace("123]", "124]"));
}

#[derive(Default, Deserialize, Serialize)]
#[expect(dead_code, reason = "it is only read from the session")]
struct Renamed {
    #[serde(alias = "colour")]
    theme: String,
    #[serde(skip_serializing, default)]
    legacy: Option<u8>,
    #[serde(default)]
    n: u64,
}

#[tokio::test]
async fn a_renamed_member_is_not_left_beside_its_new_name() {
    let dark = |session: Session| async move {
        let typed = session.typed::<Renamed>();
        typed.update(|it| "dark".clone_into(&mut it.theme)).await?;
        assert_eq!(typed.read().await?.theme, "dark");
        Ok(())
    };
    let data = r#"{"colour":"light","legacy":7,"other":1}"#;
    // A type does not remove members that it only reads.
    assert_eq!(after(data, dark).await, r#"{"legacy":7,"other":1,"theme":"dark"}"#);
    let other =
        |session: Session| async move { session.typed::<Renamed>().modify(|it| it.n = 5).await };
    assert_eq!(after(data, other).await, r#"{"colour":"light","legacy":7,"other":1,"n":5}"#);
    let write = |session: Session| async move {
        session.typed().write(&Renamed { theme: "dark".to_owned(), ..Renamed::default() }).await
    };
    assert_eq!(after(data, write).await, r#"{"legacy":7,"other":1,"theme":"dark","n":0}"#);
}

#[derive(Default, Deserialize, Serialize)]
struct Profile {
    name: String,
    age: u8,
}

#[tokio::test]
async fn a_type_that_finds_nothing_of_its_own_begins_with_its_default() {
    let begin = |session: Session| async move {
        let typed = session.typed::<Profile>();
        assert_eq!(typed.read().await?.age, 0);
        typed.update(|profile| profile.age = 36).await?;
        assert_eq!(typed.read().await?.age, 36);
        Ok(())
    };
    assert_eq!(after(r#"{"cart":[1.50]}"#, begin).await, r#"{"cart":[1.50],"name":"","age":36}"#);
}

#[derive(Default, Deserialize, Serialize)]
struct Flat {
    n: u64,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize, Serialize)]
#[serde(tag = "kind")]
enum Step {
    Cart { items: u8 },
    Paid { amount: f64 },
}
impl Default for Step {
    fn default() -> Self {
        Self::Cart { items: 0 }
    }
}

#[tokio::test]
async fn maps_with_keys_of_other_types_flattened_and_tagged_types_are_views_too() {
    let flat =
        |session: Session| async move { session.typed::<Flat>().modify(|it| it.n += 1).await };
    assert_eq!(after(r#"{"x":1.50,"n":1,"y":[ 1 ]}"#, flat).await, r#"{"x":1.50,"n":2,"y":[ 1 ]}"#);
    let numbers = |session: Session| async move {
        session.typed::<BTreeMap<u64, f64>>().modify(|it| it.insert(7, 2.5)).await.map(drop)
    };
    assert_eq!(after(r#"{"10":1.50}"#, numbers).await, r#"{"10":1.50,"7":2.5}"#);
    let paid = |session: Session| async move {
        session.typed::<Step>().modify(|step| *step = Step::Paid { amount: 2.5 }).await
    };
    let data = r#"{"kind":"Cart","items":3,"discord":1234567890123456789}"#;
    let expected = r#"{"kind":"Paid","discord":1234567890123456789,"amount":2.5}"#;
    assert_eq!(after(data, paid).await, expected);
}

#[tokio::test]
async fn a_login_keeps_the_text_of_kept_members() {
    let layer = SessionLayer::new(&config(), Faulty::default()).unwrap();
    let sessions = layer.sessions().clone();
    let stored = sessions.create(SHARED, None).await.unwrap();
    let login = |session: Session| async move {
        session.login("ada").keep(["discord", "big", "price", "half"]).await?;
        Ok::<_, SessionError>(())
    };
    let app = Router::new().route("/", get(login)).layer(layer);
    let mut browser = Browser::with(&app, sessions.sign(stored.id()));
    browser.ok("/").await;
    let cookie = format!("sid={}", browser.cookie());
    let Found::Session(found) =
        sessions.find(&sessions.cookies([cookie.as_bytes()])).await.unwrap()
    else {
        panic!("the visitor is not logged in")
    };
    let kept = r#"{"discord":1234567890123456789,"price":1.50,"big":1e400,"half":"\ud800"}"#;
    assert_eq!(found.stored.data(), kept);
}

/// The error of a handler, as `Display` and `Debug` show it.
fn shown(error: &SessionError) -> String {
    let source = std::error::Error::source(error).map(|it| format!("{it} {it:?}"));
    format!("{error} {error:?} {source:?}")
}

fn key(error: SessionError) -> Option<String> {
    for value in ["canary", "4111", "1e400"] {
        assert!(!shown(&error).contains(value), "{}", shown(&error));
    }
    assert_eq!(error.code(), "type");
    match error {
        SessionError::Type(wrong) => {
            let key = wrong.key().map(str::to_owned);
            assert!(
                wrong.to_string().contains(key.as_deref().unwrap_or("session data")),
                "{wrong}"
            );
            key
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_type_that_no_longer_fits_names_the_key_and_no_value() {
    let look = |session: Session| async move {
        let visitor = session.typed::<Visitor>();
        assert_eq!(key(visitor.read().await.err().unwrap()).as_deref(), Some("clicks"));
        assert_eq!(key(visitor.modify(dark).await.unwrap_err()).as_deref(), Some("clicks"));
        assert_eq!(key(visitor.update(dark).await.unwrap_err()).as_deref(), Some("clicks"));
        let profile = session.typed::<Profile>().read().await;
        assert_eq!(key(profile.err().unwrap()).as_deref(), Some("age"));
        assert_eq!(key(session.get::<u64>("name").await.unwrap_err()).as_deref(), Some("name"));
        assert_eq!(key(session.get::<Vec<u8>>("card").await.unwrap_err()).as_deref(), Some("card"));
        assert_eq!(key(session.data().await.unwrap_err()).as_deref(), Some("big"));
        assert_eq!(key(session.typed::<u8>().read().await.unwrap_err()), None);
        let map = BTreeMap::from([((1, 2), "canary")]);
        assert_eq!(key(session.insert("map", map).await.unwrap_err()).as_deref(), Some("map"));
        Ok(())
    };
    let data = r#"{"clicks":"canary","name":"canary","card":[4111,{"n":"canary"}],"big":1e400}"#;
    assert_eq!(after(data, look).await, data);
}

#[derive(Default, Deserialize, Serialize)]
struct Order {
    number: u64,
    #[serde(default)]
    count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[tokio::test]
async fn a_written_value_replaces_an_unreadable_one_even_if_it_is_the_default() {
    for (data, expected) in [
        (r#"{"number":"one","count":"two","o":1.50}"#, r#"{"number":0,"count":0,"o":1.50}"#),
        (r#"{"number":1e400,"count":null}"#, r#"{"number":0,"count":0}"#),
        (r#"{"number":-1,"count":7}"#, r#"{"number":0,"count":0}"#),
        // A member that the type needs is missing.
        (r#"{"count":7,"note":"old","o":1.50}"#, r#"{"count":0,"o":1.50,"number":0}"#),
        (r#"{"count":"two","note":3}"#, r#"{"count":0,"number":0}"#),
    ] {
        let write = |session: Session| async move {
            session.typed().write(&Order::default()).await?;
            assert_eq!(session.typed::<Order>().read().await?.count, 0);
            Ok(())
        };
        assert_eq!(after(data, write).await, expected, "{data}");
    }
}

#[tokio::test]
async fn a_session_of_another_shape_is_put_right_by_the_key_that_is_named() {
    let data = r#"{"clicks":"many","theme":["light"],"other":1.50}"#;
    let read = |session: Session| async move {
        let visitor = session.typed::<Visitor>();
        loop {
            match visitor.read().await {
                Err(SessionError::Type(wrong)) => {
                    assert!(visitor.remove_key(wrong.key().unwrap()).await?);
                }
                read => break assert_eq!(read?.clicks, 0),
            }
        }
        assert!(!visitor.remove_key("clicks").await?);
        visitor.modify(|visitor| visitor.clicks += 1).await
    };
    assert_eq!(after(data, read).await, r#"{"clicks":1,"other":1.50}"#);
    // Or by a value, or by a map.
    let write = |session: Session| async move {
        session.typed().write(&Visitor { theme: None, clicks: 1 }).await
    };
    assert_eq!(after(data, write).await, r#"{"clicks":1,"other":1.50}"#);
    let map = |session: Session| async move {
        let clicks = session.get::<String>("clicks").await?.unwrap().len();
        session.insert("clicks", clicks).await?;
        session.remove::<serde_json::Value>("theme").await?;
        assert_eq!(session.typed::<Visitor>().read().await?.clicks, 4);
        Ok(())
    };
    assert_eq!(after(data, map).await, r#"{"clicks":4,"other":1.50}"#);
}

#[tokio::test]
async fn members_that_do_not_fit_a_type_are_discarded_and_all_others_stay() {
    let discard = |session: Session| async move {
        let discarded = session.typed::<Visitor>().discard_invalid().await?;
        assert_eq!(discarded, ["clicks", "theme"]);
        assert_eq!(session.typed::<Visitor>().read().await?.clicks, 0);
        assert!(session.typed::<Visitor>().discard_invalid().await?.is_empty());
        Ok(())
    };
    let data = r#"{"clicks":"many","theme":["light"],"other":1.50}"#;
    assert_eq!(after(data, discard).await, r#"{"other":1.50}"#);
    let fits = |session: Session| async move {
        assert!(session.typed::<Visitor>().discard_invalid().await?.is_empty());
        Ok(())
    };
    assert_eq!(after(SHARED, fits).await, SHARED);
}

#[tokio::test]
async fn without_a_member_that_it_needs_all_members_of_a_type_are_discarded() {
    let discard = |session: Session| async move {
        let orders = session.typed::<Order>();
        assert_eq!(orders.discard_invalid().await?, ["count", "note"]);
        assert_eq!(orders.read().await?.number, 0);
        Ok(())
    };
    assert_eq!(after(r#"{"count":7,"o":1.50,"note":"old"}"#, discard).await, r#"{"o":1.50}"#);
    let none = |session: Session| async move {
        let discarded = session.typed::<Vec<u8>>().discard_invalid().await;
        assert!(matches!(discarded, Err(SessionError::Type(_))), "{discarded:?}");
        Ok(())
    };
    assert_eq!(after(SHARED, none).await, SHARED);
}
