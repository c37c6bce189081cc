//! Sessions that get another ID, and operations on the old one.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use vestiary_store::{Event, Found, Login, OnReuse, Sessions, Store as _};

use super::{Fault, Watched, config, found, loaded, of_user, planted, sessions, taken};

#[tokio::test]
async fn a_renewed_session_is_found_by_its_old_id_until_the_grace_period_ends() {
    for (grace, leads) in [(Duration::from_secs(600), true), (Duration::ZERO, false)] {
        let store = Watched::default();
        let (sessions, events) = sessions(config().renew_grace(grace), &store);
        let first = sessions.create(r#"{"n":1}"#, None).await.unwrap();
        let second = sessions.renew(&first).await.unwrap().unwrap();
        assert_ne!(first.id(), second.id());
        assert!(sessions.is_out_of_use(first.id()) && !sessions.is_out_of_use(second.id()));
        taken(&events);
        match found(&sessions, first.id()).await {
            Found::Session(session) => {
                assert!(leads && session.renewed);
                assert_eq!(
                    (session.stored.id(), session.stored.data()),
                    (second.id(), r#"{"n":1}"#)
                );
                assert_eq!(taken(&events), Vec::<&str>::new());
            }
            Found::Tombstone(_) => {
                assert!(!leads);
                assert_eq!(taken(&events), ["reuse"]);
            }
            Found::Unbound(_) | Found::Unreadable(_) | Found::Expired(_) | Found::Nothing => {
                panic!("it leads a logout to the session")
            }
        }
        let session = loaded(&sessions, second.id()).await.unwrap();
        assert!(!session.renewed);
    }
}

#[tokio::test]
async fn the_reuse_of_an_id_names_the_session_and_revokes_it_if_the_options_say_so() {
    for on_reuse in [OnReuse::Report, OnReuse::Revoke] {
        let told = Arc::new(Mutex::new(Vec::new()));
        let events = Arc::clone(&told);
        let config = config().renew_grace(Duration::ZERO).on_reuse(on_reuse);
        let config = config.on_event(move |event| events.lock().unwrap().push(event.clone()));
        let sessions = Sessions::new(&config, Watched::default()).unwrap();
        let owner = sessions.of("ada").admit(&Login::default()).await.unwrap();
        let handle = owner.handle.clone();
        let first = sessions.create("{}", Some(owner)).await.unwrap();
        let second = sessions.renew(&first).await.unwrap().unwrap();
        told.lock().unwrap().clear();
        let found = found(&sessions, first.id()).await;
        let revoked = on_reuse == OnReuse::Revoke;
        assert_eq!(matches!(found, Found::Nothing), revoked, "{found:?}");
        let reuse = Event::Reuse { log_id: Some(handle.clone()), revoked };
        assert_eq!(told.lock().unwrap()[..], [reuse]);
        let listed = sessions.of("ada").list().await.unwrap();
        assert_eq!(listed.iter().any(|session| session.handle == handle), !revoked);
        assert_eq!(loaded(&sessions, second.id()).await.is_none(), revoked);
    }
}

#[tokio::test]
async fn after_a_login_the_old_id_is_worth_nothing_but_a_logout() {
    let store = Watched::default();
    let (sessions, events) = sessions(config(), &store);
    let first = sessions.create(r#"{"n":1}"#, None).await.unwrap();
    let second = sessions.rotate(&first, "{}", None).await.unwrap().unwrap();
    assert_eq!(taken(&events), ["rotated"]);
    assert_eq!(second.data(), "{}");
    assert!(sessions.is_out_of_use(first.id()));
    let Found::Tombstone(tombstone) = found(&sessions, first.id()).await else { panic!() };
    assert_eq!(taken(&events), ["reuse"]);
    assert_eq!(tombstone.id(), first.id());
    // No write goes through it.
    let written = sessions.commit(&first, "{}".to_owned(), r#"{"n":2}"#.to_owned()).await.unwrap();
    assert!(written.is_none());
    assert_eq!(loaded(&sessions, second.id()).await.unwrap().stored.data(), "{}");
}

#[tokio::test]
async fn a_late_request_with_the_id_before_a_login_does_not_touch_the_new_session() {
    let (sessions, _) = sessions(config(), &Watched::default());
    let first = sessions.create(r#"{"n":1}"#, None).await.unwrap();
    let second = sessions.rotate(&first, r#"{"n":2}"#, None).await.unwrap().unwrap();
    assert!(sessions.renew(&first).await.unwrap().is_none());
    assert!(sessions.rotate(&first, "{}", None).await.unwrap().is_none());
    let session = loaded(&sessions, second.id()).await.unwrap();
    assert_eq!(session.stored.data(), r#"{"n":2}"#);
    assert!(!sessions.is_out_of_use(second.id()));
}

#[tokio::test]
async fn a_second_cookie_counts_if_the_first_is_out_of_use() {
    let (sessions, _) = sessions(config(), &Watched::default());
    let [old, older] = [(); 2].map(|()| async {
        let stored = sessions.create("{}", None).await.unwrap();
        sessions.rotate(&stored, "{}", None).await.unwrap();
        stored
    });
    let (old, older) = (old.await, older.await);
    let good = sessions.create("{}", None).await.unwrap();
    let find = async |ids: &[&vestiary::SessionId]| {
        let values: Vec<String> =
            ids.iter().map(|id| format!("sid={}", sessions.sign(id))).collect();
        let cookies = sessions.cookies([values.join("; ").as_bytes()]);
        assert!(cookies.present && cookies.ids.len() == ids.len());
        sessions.find(&cookies).await.unwrap()
    };
    let Found::Session(session) = find(&[old.id(), good.id()]).await else { panic!() };
    assert_eq!(session.stored.id(), good.id());
    // The first of two tombstones.
    let Found::Tombstone(tombstone) = find(&[older.id(), old.id()]).await else { panic!() };
    assert_eq!(tombstone.id(), older.id());
}

#[tokio::test]
async fn a_login_ends_a_session_that_was_renewed_meanwhile() {
    let store = Watched::default();
    let (sessions, _) = sessions(config(), &store);
    let first = sessions.create(r#"{"n":1}"#, None).await.unwrap();
    let renewed = sessions.renew(&first).await.unwrap().unwrap();
    // A request that has read the first one.
    let login = sessions.rotate(&first, "{}", None).await.unwrap().unwrap();
    assert!(loaded(&sessions, login.id()).await.is_some());
    for old in [&first, &renewed] {
        assert!(loaded(&sessions, old.id()).await.is_none(), "{old:?}");
    }
}

#[tokio::test]
async fn a_change_follows_the_session_to_its_new_id_and_takes_the_old_one_out_of_use() {
    let (others, ours) = (Watched::default(), Watched::default());
    drop(others);
    // Another process has renewed it.
    let (theirs, _) = sessions(config(), &ours);
    let (sessions, _) = sessions(config(), &ours);
    let first = sessions.create(r#"{"n":1}"#, None).await.unwrap();
    let renewed = theirs.renew(&first).await.unwrap().unwrap();
    assert!(!sessions.is_out_of_use(first.id()));
    let data = |n: u8| format!(r#"{{"n":{n}}}"#);
    let written = sessions.commit(&first, data(1), data(2)).await.unwrap().unwrap();
    assert_eq!((written.stored.id(), written.stored.data()), (renewed.id(), &*data(2)));
    assert!(sessions.is_out_of_use(first.id()));
}

#[tokio::test]
async fn a_logout_ends_the_session_under_each_of_its_ids() {
    let store = Watched::default();
    let (sessions, _) = sessions(config(), &store);
    let first = of_user(&sessions, "ada", None).await;
    let second = sessions.renew(&first).await.unwrap().unwrap();
    sessions.destroy(&first).await.unwrap();
    for id in [first.id(), second.id()] {
        assert!(loaded(&sessions, id).await.is_none());
        assert!(sessions.is_out_of_use(id));
    }
    assert_eq!(sessions.of("ada").list().await.unwrap().len(), 0);
    let gone = sessions.commit(&second, "{}".to_owned(), r#"{"n":1}"#.to_owned()).await.unwrap();
    assert!(gone.is_none());
}

#[tokio::test]
async fn a_taken_id_is_left_alone_and_another_one_made() {
    let store = Watched::default();
    let (sessions, _) = sessions(config(), &store);
    let first = sessions.create("{}", None).await.unwrap();
    let refuse = |times: usize| {
        let mut left = times;
        store.disturb(move |call| {
            if call.operation != "create" || left == 0 {
                return Fault::Nothing;
            }
            left -= 1;
            Fault::Refuses
        });
        store.calls();
    };
    let created = |store: &Watched| store.names().iter().filter(|name| **name == "create").count();
    refuse(2);
    sessions.create("{}", None).await.unwrap();
    assert_eq!(created(&store), 3);
    refuse(2);
    let renewed = sessions.renew(&first).await.unwrap().unwrap();
    assert_eq!(created(&store), 3);
    refuse(2);
    let next = sessions.rotate(&renewed, "{}", None).await.unwrap().unwrap();
    refuse(usize::MAX);
    for error in [
        sessions.create("{}", None).await.err(),
        sessions.renew(&next).await.err(),
        sessions.rotate(&next, "{}", None).await.err(),
    ] {
        assert_eq!(error.unwrap().code(), "store_busy");
    }
    store.is_well();
    assert!(loaded(&sessions, next.id()).await.is_some());
}

#[tokio::test]
async fn a_store_that_is_down_while_an_id_changes_is_not_called_busy() {
    let store = Watched::default();
    let (sessions, _) = sessions(config(), &store);
    let first = sessions.create("{}", None).await.unwrap();
    store.disturb(|_| Fault::Fails);
    for login in [false, true] {
        store.calls();
        let error = if login {
            sessions.rotate(&first, "{}", None).await.err()
        } else {
            sessions.renew(&first).await.err()
        };
        assert_eq!(error.unwrap().code(), "store_failed");
        assert_eq!(store.names(), ["create", "create"]);
    }
    // A single lost reply does not matter.
    let mut left = 1;
    store.disturb(move |call| {
        if call.operation == "create" && left > 0 {
            left -= 1;
            return Fault::Fails;
        }
        Fault::Nothing
    });
    assert!(sessions.renew(&first).await.unwrap().is_some());
}

#[tokio::test]
async fn a_session_that_has_ended_is_removed_but_not_one_that_took_its_place() {
    let store = Watched::default();
    let timed = || config().absolute_timeout(Duration::from_secs(60));
    let (sessions, events) = sessions(timed(), &store);
    let is_there = async |sessions: &Sessions, id| {
        sessions.store().read(&sessions.options().store_key(id)).await.unwrap().is_some()
    };
    let now = sessions.now().0;
    let over = format!(r#"{{"created":{now},"absolute":{now}}}"#);
    let id = planted(&sessions, &over).await;
    assert!(loaded(&sessions, &id).await.is_none());
    assert!(!is_there(&sessions, &id).await);
    // Another request has written in the meantime.
    let id = planted(&sessions, &over).await;
    let key = sessions.options().store_key(&id);
    let memory = store.memory.clone();
    store.meanwhile("remove", async move {
        let [old, new] = ["AAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBB"];
        let record = format!(r#"{{"v":"{new}","cookie":{{"path":"/"}},"data":{{}},"meta":{{}}}}"#);
        let old = vestiary::WriteId::parse(old);
        memory.replace(&key, old.as_ref(), &record, vestiary::Ttl::Infinite).await.unwrap();
    });
    assert!(loaded(&sessions, &id).await.is_none());
    assert!(is_there(&sessions, &id).await);
    taken(&events);
    // A store that fails to remove it is no reason to fail.
    let id = planted(&sessions, &over).await;
    store.disturb(|call| if call.operation == "remove" { Fault::Fails } else { Fault::Nothing });
    assert!(loaded(&sessions, &id).await.is_none());
    assert_eq!(taken(&events), ["expired", "store_failed"]);
}

#[tokio::test]
async fn an_id_is_current_until_its_session_has_ended_or_has_another_one() {
    let store = Watched::default();
    let (sessions, _) = sessions(config(), &store);
    let first = sessions.create("{}", None).await.unwrap();
    assert!(sessions.is_current(first.id()).await.unwrap());
    let second = sessions.renew(&first).await.unwrap().unwrap();
    assert!(!sessions.is_current(first.id()).await.unwrap());
    assert!(sessions.is_current(second.id()).await.unwrap());
    sessions.destroy(&second).await.unwrap();
    assert!(!sessions.is_current(second.id()).await.unwrap());
    // A record that cannot be read is no session.
    let unreadable = sessions.new_id().unwrap();
    let key = sessions.options().store_key(&unreadable);
    store.memory.create(&key, "{", vestiary::Ttl::Infinite, false).await.unwrap();
    assert!(!sessions.is_current(&unreadable).await.unwrap());
    store.disturb(|_| Fault::Fails);
    assert!(sessions.is_current(second.id()).await.unwrap_err().is_store());
}
