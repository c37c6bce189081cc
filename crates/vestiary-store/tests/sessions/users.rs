//! The sessions of a user.

use vestiary::UnixMillis;
use vestiary_store::{Login, SessionError, SessionsPerUser, Store as _, WhenFull};

use super::{Fault, Watched, config, loaded, of_user, sessions, taken};

#[tokio::test]
async fn the_list_has_the_last_used_session_first() {
    let (sessions, _) = sessions(config(), &Watched::default());
    let mut handles = Vec::new();
    for label in ["phone", "laptop", "desk"] {
        let stored = of_user(&sessions, "ada", Some(label)).await;
        handles.push(stored.handle().unwrap().clone());
    }
    of_user(&sessions, "eve", Some("elsewhere")).await;
    let list = sessions.of("ada").list().await.unwrap();
    handles.reverse();
    assert_eq!(list.iter().map(|one| one.handle.clone()).collect::<Vec<_>>(), handles);
    let labels: Vec<String> = list.into_iter().map(|one| one.label.unwrap_or_default()).collect();
    for (label, name) in labels.iter().zip(["desk", "laptop", "phone"]) {
        assert!(label.contains(name), "{labels:?}");
    }
}

#[tokio::test]
async fn one_session_the_others_or_all_can_be_revoked() {
    let store = Watched::default();
    let (sessions, events) = sessions(config(), &store);
    let [phone, laptop, desk] = [
        of_user(&sessions, "ada", None).await,
        of_user(&sessions, "ada", None).await,
        of_user(&sessions, "ada", None).await,
    ];
    let eve = of_user(&sessions, "eve", None).await;
    let ada = sessions.of("ada");
    // The session of another user cannot be revoked.
    sessions.of("eve").revoke(laptop.handle().unwrap()).await.unwrap();
    assert!(loaded(&sessions, laptop.id()).await.is_some());
    ada.revoke(laptop.handle().unwrap()).await.unwrap();
    taken(&events);
    assert!(loaded(&sessions, laptop.id()).await.is_none());
    assert_eq!(taken(&events), ["revoked"]);
    // Its record is useless without the entry in the list.
    let key = sessions.options().store_key(laptop.id());
    assert_eq!(store.read(&key).await.unwrap(), None);
    ada.revoke_others(phone.handle().unwrap()).await.unwrap();
    assert!(loaded(&sessions, desk.id()).await.is_none());
    assert!(loaded(&sessions, phone.id()).await.is_some());
    ada.revoke_all().await.unwrap();
    assert!(loaded(&sessions, phone.id()).await.is_none());
    assert!(loaded(&sessions, eve.id()).await.is_some());
    assert_eq!(ada.list().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_login_that_was_proven_before_all_sessions_ended_is_refused() {
    let (sessions, _) = sessions(config(), &Watched::default());
    let ada = sessions.of("ada");
    of_user(&sessions, "ada", None).await;
    ada.revoke_all().await.unwrap();
    let long_ago = Login { proven: Some(UnixMillis(1_000)), ..Login::default() };
    let refused = ada.admit(&long_ago).await.unwrap_err();
    assert!(matches!(refused, SessionError::LoginOutdated) && refused.status() == 409);
    assert_eq!(ada.list().await.unwrap().len(), 0);
    let later = UnixMillis(sessions.now().0 + 3_600_000);
    ada.admit(&Login { proven: Some(later), ..Login::default() }).await.unwrap();
    assert_eq!(ada.list().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_list_refuses_a_login_and_of_many_at_once_so_many_get_in() {
    let limit = SessionsPerUser { most: 2, when_full: WhenFull::Refuse };
    let (sessions, _) = sessions(config().sessions_per_user(limit), &Watched::default());
    let ada = sessions.of("ada");
    let logins: Vec<_> = (0..8)
        .map(|_| {
            let ada = ada.clone();
            tokio::spawn(async move { ada.admit(&Login::default()).await })
        })
        .collect();
    let mut admitted = 0;
    for login in logins {
        match login.await.unwrap() {
            Ok(_) => admitted += 1,
            Err(error) => {
                assert!(matches!(error, SessionError::TooManySessions), "{error:?}");
                assert_eq!((error.code(), error.status()), ("too_many_sessions", 409));
            }
        }
    }
    assert_eq!(admitted, 2);
    let listed = ada.list().await.unwrap();
    assert_eq!(listed.len(), 2);
    ada.revoke(&listed[0].handle).await.unwrap();
    ada.admit(&Login::default()).await.unwrap();
    assert!(ada.list().await.unwrap().iter().any(|one| one.handle == listed[1].handle));
}

#[tokio::test]
async fn beyond_the_limit_the_longest_unused_one_ends() {
    let (sessions, _) = sessions(config().sessions_per_user(2), &Watched::default());
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(of_user(&sessions, "ada", None).await);
    }
    let mut alive = Vec::new();
    for stored in &all {
        alive.push(loaded(&sessions, stored.id()).await.is_some());
    }
    assert_eq!(alive, [false, true, true]);
}

#[tokio::test]
async fn without_an_option_a_user_has_a_hundred_sessions() {
    let (sessions, _) = sessions(config(), &Watched::default());
    let ada = sessions.of("ada");
    for _ in 0..101 {
        ada.admit(&Login::default()).await.unwrap();
    }
    assert_eq!(ada.list().await.unwrap().len(), 100);
}

#[tokio::test]
async fn a_replica_that_has_not_heard_of_a_login_ends_no_session() {
    let store = Watched::default();
    let (sessions, events) = sessions(config(), &store);
    let stored = of_user(&sessions, "ada", None).await;
    taken(&events);
    let mut is_first = true;
    store.disturb(move |call| {
        let is_list = call.operation == "read" && call.key.contains("user:");
        let lags = is_list && std::mem::replace(&mut is_first, false);
        if lags { Fault::Refuses } else { Fault::Nothing }
    });
    assert!(loaded(&sessions, stored.id()).await.is_some());
    assert!(!taken(&events).contains(&"revoked"));
}

#[tokio::test]
async fn the_list_and_the_sessions_of_users_are_not_anonymous_to_the_store() {
    let store = Watched::default();
    let (sessions, _) = sessions(config(), &store);
    let anonymous = sessions.create("{}", None).await.unwrap();
    let user = of_user(&sessions, "ada", None).await;
    let is_owned: Vec<bool> = store
        .calls()
        .into_iter()
        .filter(|call| call.operation == "create")
        .map(|call| call.owned)
        .collect();
    // The anonymous session, the list, the session of the user.
    assert_eq!(is_owned, [false, true, true]);
    let owner = sessions.of("ada").admit(&Login::default()).await.unwrap();
    sessions.rotate(&anonymous, "{}", Some(owner)).await.unwrap();
    sessions.renew(&user).await.unwrap();
    let created = store.calls().into_iter().filter(|call| call.operation == "create");
    assert!(created.into_iter().all(|call| call.owned));
}

#[tokio::test]
async fn a_use_that_cannot_be_noted_is_no_reason_to_refuse_the_session() {
    let store = Watched::default();
    let (sessions, events) = sessions(config(), &store);
    let user = of_user(&sessions, "ada", None).await;
    // An hour ago, as the list has it.
    let key = sessions.options().user_key("ada");
    let text = store.read(&key).await.unwrap().unwrap();
    let now = sessions.now().0.to_string();
    let digits = &now[..7];
    let hour_ago = (sessions.now().0 - 3_600_000).to_string();
    let aged = text
        .split(|char: char| !char.is_ascii_digit())
        .filter(|number| number.len() == now.len() && number.starts_with(&digits[..4]))
        // The end of the session stays unchanged.
        .filter(|number| **number <= *now)
        .fold(text.clone(), |text, number| text.replace(number, &hour_ago));
    assert_ne!(aged, text);
    let write_id = vestiary_store::write_id_of(&text).and_then(vestiary::WriteId::parse);
    store.replace(&key, write_id.as_ref(), &aged, vestiary::Ttl::Infinite).await.unwrap();
    taken(&events);
    store.disturb(|call| if call.operation == "replace" { Fault::Fails } else { Fault::Nothing });
    let found = loaded(&sessions, user.id()).await.unwrap();
    assert!(found.unseen);
    // Reading leaves the list unchanged.
    assert_eq!(taken(&events), Vec::<&str>::new());
    assert!(sessions.note_use(&found.stored).await.unwrap_err().is_store());
    assert!(sessions.touch(&found.stored).await.unwrap().is_some());
    assert_eq!(taken(&events), ["store_failed"]);
    store.is_well();
    let found = loaded(&sessions, user.id()).await.unwrap();
    store.calls();
    assert!(sessions.note_use(&found.stored).await.unwrap());
    assert!(store.names().contains(&"replace"));
    assert!(!loaded(&sessions, user.id()).await.unwrap().unseen);
    let seen = sessions.of("ada").list().await.unwrap()[0].seen;
    assert!(seen.0 > sessions.now().0 - 600_000);
}

#[tokio::test]
async fn the_list_shows_no_session_that_has_expired() {
    let store = Watched::default();
    let (sessions, _) = sessions(config().max_age(std::time::Duration::from_secs(60)), &store);
    of_user(&sessions, "ada", None).await;
    of_user(&sessions, "ada", None).await;
    let key = sessions.options().user_key("ada");
    let text = store.read(&key).await.unwrap().unwrap();
    let (before, after) = text.split_once(r#""until":"#).unwrap();
    let rest = after.trim_start_matches(|char: char| char.is_ascii_digit());
    let write_id = vestiary_store::write_id_of(&text).and_then(vestiary::WriteId::parse);
    let aged = format!(r#"{before}"until":1{rest}"#);
    store.replace(&key, write_id.as_ref(), &aged, vestiary::Ttl::Infinite).await.unwrap();
    assert_eq!(sessions.of("ada").list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_list_that_becomes_encrypted_keeps_its_sessions() {
    let store = Watched::default();
    let (sessions, _) = sessions(config().encrypt(vestiary_store::Encrypt::On), &store);
    let first = of_user(&sessions, "ada", None).await;
    of_user(&sessions, "ada", None).await;
    assert_eq!(sessions.of("ada").list().await.unwrap().len(), 2);
    assert!(loaded(&sessions, first.id()).await.is_some());
}

#[tokio::test]
async fn a_session_whose_record_is_gone_leaves_the_list_when_it_is_written() {
    let store = Watched::default();
    let (sessions, events) = sessions(config(), &store);
    let stored = of_user(&sessions, "ada", None).await;
    let evict = async || {
        let key = sessions.options().store_key(stored.id());
        let write_id = store.read(&key).await.unwrap();
        let write_id = write_id.as_deref().and_then(vestiary_store::write_id_of);
        store.remove(&key, write_id.and_then(vestiary::WriteId::parse).as_ref()).await.unwrap();
    };
    evict().await;
    let write =
        async || sessions.commit(&stored, "{}".to_owned(), r#"{"n":1}"#.to_owned()).await.unwrap();
    taken(&events);
    // A list that cannot be written is no reason to fail.
    store.disturb(|call| {
        let is_list = call.operation == "replace" && call.key.contains("user:");
        if is_list { Fault::Fails } else { Fault::Nothing }
    });
    assert!(write().await.is_none());
    assert_eq!(taken(&events), ["store_failed"]);
    store.is_well();
    assert_eq!(sessions.of("ada").list().await.unwrap().len(), 1);
    assert!(write().await.is_none());
    assert_eq!(taken(&events), Vec::<&str>::new());
    assert_eq!(sessions.of("ada").list().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_list_that_cannot_be_written_stops_a_logout_only_if_it_may_have_been_written() {
    for (fault, code) in [(Fault::Full, None), (Fault::Fails, Some("store_failed"))] {
        let store = Watched::default();
        let (sessions, events) = sessions(config(), &store);
        let stored = of_user(&sessions, "ada", None).await;
        taken(&events);
        store.disturb(move |call| {
            let is_list = call.operation == "replace" && call.key.contains("user:");
            if is_list { fault } else { Fault::Nothing }
        });
        let ended = sessions.destroy(&stored).await;
        assert_eq!(ended.as_ref().err().map(SessionError::code), code);
        // The list was refused, so the record was removed without it, and the session has ended.
        let told = if code.is_none() { &["store_failed"][..] } else { &[] };
        assert_eq!(taken(&events), told);
        store.is_well();
        assert_eq!(loaded(&sessions, stored.id()).await.is_some(), code.is_some());
    }
}

#[tokio::test]
async fn the_store_keeps_a_list_longer_than_its_sessions_but_not_for_ever() {
    let store = Watched::default();
    let day = std::time::Duration::from_secs(86_400);
    let (sessions, _) = sessions(config().max_age(day), &store);
    of_user(&sessions, "ada", None).await;
    let created =
        store.calls().into_iter().find(|call| call.key.contains("user:") && call.ttl.is_some());
    let Some(vestiary::Ttl::Millis(ttl)) = created.unwrap().ttl else { panic!("it has an end") };
    assert!((86_400_000..7 * 86_400_000).contains(&ttl), "{ttl}");
}
