//! Encrypted and unencrypted records.

use vestiary_store::{Encrypt, Store as _};

use super::{Watched, config, found, loaded, of_user, planted, sessions, taken};

#[tokio::test]
async fn a_plain_record_is_no_session_unless_the_service_migrates() {
    for (encrypt, is_read) in [(Encrypt::Off, true), (Encrypt::On, false), (Encrypt::Migrate, true)]
    {
        let store = Watched::default();
        let (sessions, events) = sessions(config().encrypt(encrypt), &store);
        let id = planted(&sessions, "{}").await;
        assert_eq!(loaded(&sessions, &id).await.is_some(), is_read, "{encrypt:?}");
        assert_eq!(taken(&events).contains(&"unreadable"), !is_read, "{encrypt:?}");
        let Some(session) = loaded(&sessions, &id).await else { continue };
        let data = |n: u8| format!(r#"{{"n":{n}}}"#);
        let written = sessions.commit(&session.stored, data(1), data(2)).await.unwrap().unwrap();
        assert_eq!(written.stored.data(), data(2));
        let text = store.read(&sessions.options().store_key(&id)).await.unwrap().unwrap();
        assert_eq!(text.contains("sealed"), encrypt != Encrypt::Off, "{text}");
        assert_eq!(text.contains(r#""n""#), encrypt == Encrypt::Off, "{text}");
    }
}

#[tokio::test]
async fn while_a_service_migrates_a_record_that_does_not_open_is_no_session() {
    let store = Watched::default();
    let (others, _) = sessions(
        vestiary_store::Config::new("another secret of more than 32 bytes").encrypt(Encrypt::On),
        &store,
    );
    let theirs = others.create(r#"{"n":1}"#, None).await.unwrap();
    let (sessions, events) = sessions(config().encrypt(Encrypt::Migrate), &store);
    assert!(loaded(&sessions, theirs.id()).await.is_none());
    assert_eq!(taken(&events), ["unreadable"]);
    // Nor by plain members beside a part that cannot be decrypted.
    let key = sessions.options().store_key(theirs.id());
    let text = store.read(&key).await.unwrap().unwrap();
    let write_id = vestiary_store::write_id_of(&text).and_then(vestiary::WriteId::parse);
    let beside = text.replace(r#""sealed""#, r#""cookie":{"path":"/"},"data":{"n":1},"sealed""#);
    store.replace(&key, write_id.as_ref(), &beside, vestiary::Ttl::Infinite).await.unwrap();
    assert!(loaded(&sessions, theirs.id()).await.is_none());
    assert_eq!(taken(&events), ["unreadable"]);
}

#[tokio::test]
async fn nothing_of_a_session_or_of_its_user_is_legible_in_the_store() {
    let store = Watched::default();
    let (sessions, _) = sessions(config().encrypt(Encrypt::On).hash_ids(true), &store);
    let first = sessions.create(r#"{"secret":"canary"}"#, None).await.unwrap();
    let renewed = sessions.renew(&first).await.unwrap().unwrap();
    let user = of_user(&sessions, "canary", Some("canary")).await;
    let next = sessions.rotate(&renewed, r#"{"secret":"canary"}"#, None).await.unwrap().unwrap();
    sessions.commit(&next, "{}".to_owned(), r#"{"more":"canary"}"#.to_owned()).await.unwrap();
    assert_eq!(sessions.of("canary").list().await.unwrap().len(), 1);
    assert_eq!(
        loaded(&sessions, user.id()).await.unwrap().stored.user().as_deref(),
        Some("canary")
    );
    let calls = store.calls();
    assert!(calls.len() > 8);
    for call in calls {
        assert!(!call.text.contains("canary"), "{call:?}");
        assert!(call.text.is_empty() || call.text.contains("sealed"), "{call:?}");
        for id in [&first, &renewed, &user, &next] {
            assert!(!call.text.contains(id.id().expose()) && !call.key.contains(id.id().expose()));
        }
    }
    assert!(matches!(
        found(&sessions, first.id()).await,
        vestiary_store::Found::Tombstone(_)
            | vestiary_store::Found::Expired(_)
            | vestiary_store::Found::Nothing
    ));
}

#[tokio::test]
async fn a_plain_list_of_a_users_sessions_admits_no_session() {
    let store = Watched::default();
    let (sealed, _) = sessions(config().encrypt(Encrypt::On), &store);
    let user = of_user(&sealed, "ada", None).await;
    let key = sealed.options().user_key("ada");
    let list = store.read(&key).await.unwrap().unwrap();
    let write_id = vestiary_store::write_id_of(&list).and_then(vestiary::WriteId::parse);
    // The same list as another service would have it that does not encrypt.
    let elsewhere = Watched::default();
    let (plain, _) = sessions(config(), &elsewhere);
    let theirs = of_user(&plain, "ada", None).await;
    let text = elsewhere.read(&plain.options().user_key("ada")).await.unwrap().unwrap();
    let text = text.replace(theirs.handle().unwrap().as_str(), user.handle().unwrap().as_str());
    let ttl = vestiary::Ttl::Infinite;
    store.replace(&key, write_id.as_ref(), &text, ttl).await.unwrap();
    let list = sealed.of("ada").list().await;
    assert!(list.is_err() || list.is_ok_and(|list| list.is_empty()));
    // No session, or an error: not that of the planted list.
    let cookie = format!("sid={}", sealed.sign(user.id()));
    let found = sealed.find(&sealed.cookies([cookie.as_bytes()])).await;
    assert!(!matches!(found, Ok(vestiary_store::Found::Session(_))), "{found:?}");
}
