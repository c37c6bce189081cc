//! Writes, and the store's answers to them.

use std::task::Poll;

use vestiary_store::SessionError;

use super::{Fault, Watched, config, loaded, of_user, sessions, taken};

/// The data of a session that counts.
fn data(n: u8) -> String {
    format!(r#"{{"n":{n}}}"#)
}

#[tokio::test]
async fn a_failing_store_is_retried_once() {
    let store = Watched::default();
    let (sessions, _) = sessions(config(), &store);
    let stored = sessions.create(&data(1), None).await.unwrap();
    store.disturb(|_| Fault::Fails);
    let asked = |most: usize| {
        let names = store.names();
        assert!(!names.is_empty() && names.len() <= most, "{names:?}");
    };
    store.calls();
    let code = |error: Option<SessionError>| error.unwrap().code();
    let error = sessions.load(stored.id()).await.unwrap_err();
    assert_eq!(error.code(), "store_failed");
    assert_eq!(error.to_string(), "the session store could not read the session");
    asked(1);
    let error = sessions.create("{}", None).await.unwrap_err();
    assert_eq!(error.to_string(), "the session store could not write the session");
    asked(2);
    assert_eq!(code(sessions.commit(&stored, data(1), data(2)).await.err()), "store_failed");
    asked(2);
    let update = sessions.update(&stored, &mut |_| Ok(data(3))).await;
    assert_eq!(code(update.err()), "store_failed");
    asked(2);
    let error = sessions.touch(&stored).await.unwrap_err();
    assert_eq!(error.to_string(), "the session store could not touch the session");
    asked(2);
    let error = sessions.destroy(&stored).await.unwrap_err();
    assert_eq!(error.to_string(), "the session store could not remove the session");
    asked(2);
    assert_eq!(code(sessions.of("ada").revoke_all().await.err()), "store_failed");
    asked(2);
    assert_eq!(code(sessions.of("ada").list().await.err()), "store_failed");
    asked(1);
    store.is_well();
    assert_eq!(loaded(&sessions, stored.id()).await.unwrap().stored.data(), data(1));
}

#[tokio::test]
async fn an_operation_continues_after_a_successful_retry() {
    let store = Watched::default();
    let (sessions, _) = sessions(config(), &store);
    let stored = sessions.create(&data(0), None).await.unwrap();
    let mut asked = 0;
    store.disturb(move |_| {
        asked += 1;
        if asked == 1 || asked == 3 { Fault::Fails } else { Fault::Nothing }
    });
    sessions.update(&stored, &mut |_| Ok(data(1))).await.unwrap();
    assert_eq!(loaded(&sessions, stored.id()).await.unwrap().stored.data(), data(1));
}

#[tokio::test]
async fn a_store_that_answers_reads_only_is_given_up_after_three_writes() {
    let store = Watched::default();
    let (sessions, _) = sessions(config(), &store);
    let stored = sessions.create(&data(0), None).await.unwrap();
    store.disturb(|call| if call.operation == "replace" { Fault::Fails } else { Fault::Nothing });
    store.calls();
    let error = sessions.commit(&stored, data(0), data(1)).await.unwrap_err();
    assert_eq!(error.code(), "store_failed");
    let names = store.names();
    assert_eq!(names.iter().filter(|name| **name == "replace").count(), 3, "{names:?}");
}

#[tokio::test]
async fn a_lost_reply_does_no_harm_and_nothing_is_done_twice() {
    let store = Watched::default();
    let (sessions, _) = sessions(config(), &store);
    let stored = sessions.create(&data(0), None).await.unwrap();
    store.disturb_once("replace", Fault::LosesTheReply);
    let mut increment = |text: &str| {
        let n: u8 = text.trim_matches(|char: char| !char.is_ascii_digit()).parse().unwrap();
        Ok(data(n + 1))
    };
    let written = sessions.update(&stored, &mut increment).await.unwrap().unwrap();
    assert_eq!(written.stored.data(), data(1));
    store.disturb_once("create", Fault::LosesTheReply);
    let renewed = sessions.renew(&written.stored).await.unwrap().unwrap();
    store.disturb_once("replace", Fault::LosesTheReply);
    let next = sessions.rotate(&renewed, &data(5), None).await.unwrap().unwrap();
    assert_eq!(loaded(&sessions, next.id()).await.unwrap().stored.data(), data(5));
    store.disturb_once("remove", Fault::LosesTheReply);
    sessions.destroy(&next).await.unwrap();
    store.is_well();
    assert!(loaded(&sessions, next.id()).await.is_none());
}

#[tokio::test]
async fn a_write_that_is_in_doubt_is_not_called_busy() {
    let store = Watched::default();
    let (sessions, _) = sessions(config(), &store);
    let stored = sessions.create(&data(0), None).await.unwrap();
    // The first reply is lost, and then every attempt conflicts.
    let mut is_first = true;
    store.disturb(move |call| match call.operation {
        "replace" if std::mem::replace(&mut is_first, false) => Fault::Fails,
        "replace" => Fault::Conflict,
        _ => Fault::Nothing,
    });
    let error = sessions.commit(&stored, data(0), data(1)).await.unwrap_err();
    assert_eq!(error.code(), "store_failed");
    store
        .disturb(|call| if call.operation == "replace" { Fault::Conflict } else { Fault::Nothing });
    let error = sessions.commit(&stored, data(0), data(1)).await.unwrap_err();
    assert_eq!((error.code(), error.status()), ("store_busy", 503));
}

#[tokio::test]
async fn a_full_store_says_so_at_once() {
    let store = Watched::default();
    let (sessions, _) = sessions(config(), &store);
    let stored = sessions.create(&data(0), None).await.unwrap();
    store.disturb(|call| if call.operation == "read" { Fault::Nothing } else { Fault::Full });
    store.calls();
    assert_eq!(sessions.create("{}", None).await.unwrap_err().code(), "store_full");
    assert_eq!(sessions.commit(&stored, data(0), data(1)).await.unwrap_err().code(), "store_full");
    assert_eq!(store.names(), ["create", "replace"]);
}

#[tokio::test]
async fn a_concurrent_change_is_merged_and_reported() {
    let store = Watched::default();
    let (sessions, _) = sessions(config(), &store);
    let stored = sessions.create(r#"{"a":1,"b":1}"#, None).await.unwrap();
    let alone = sessions
        .commit(&stored, r#"{"a":1,"b":1}"#.to_owned(), r#"{"a":2,"b":1}"#.to_owned())
        .await
        .unwrap()
        .unwrap();
    assert!(!alone.merged);
    // By a request that has read the session before.
    let late = sessions
        .commit(&stored, r#"{"a":1,"b":1}"#.to_owned(), r#"{"a":1,"b":2}"#.to_owned())
        .await
        .unwrap()
        .unwrap();
    assert!(late.merged);
    assert_eq!(late.stored.data(), r#"{"a":2,"b":2}"#);
}

#[tokio::test]
async fn a_confirmation_that_fails_leaves_the_logout_done() {
    let store = Watched { confirms: true, ..Watched::default() };
    let (sessions, events) = sessions(config(), &store);
    let stored = of_user(&sessions, "ada", None).await;
    assert_eq!(sessions.destroy(&stored).await.unwrap(), Some(false));
    assert!(loaded(&sessions, stored.id()).await.is_none());
    let (plain, _) = super::sessions(config(), &Watched::default());
    let stored = plain.create("{}", None).await.unwrap();
    assert_eq!(plain.destroy(&stored).await.unwrap(), None);
    taken(&events);
}

#[tokio::test]
async fn a_write_that_others_come_before_waits_before_it_tries_again() {
    let store = Watched::default();
    let (sessions, _) = sessions(config(), &store);
    let stored = sessions.create(&data(0), None).await.unwrap();
    store
        .disturb(|call| if call.operation == "replace" { Fault::Conflict } else { Fault::Nothing });
    // The store replies immediately, so only the back-off waits.
    let mut write = std::pin::pin!(sessions.commit(&stored, data(0), data(1)));
    let first = std::future::poll_fn(|context| Poll::Ready(write.as_mut().poll(context))).await;
    assert!(first.is_pending());
    assert_eq!(write.await.unwrap_err().code(), "store_busy");
}
