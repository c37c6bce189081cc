//! Revocations in this process, and their effect on requests that have the session open.

use vestiary::UnixMillis;
use vestiary_store::{Login, OnStoreError, RequestId, RevokedBy, SessionError};

use super::{Fault, Watched, config, of_user, sessions, taken};

/// Two requests.
fn requests() -> [RequestId; 2] {
    [RequestId::current_or_new(), RequestId::current_or_new()]
}

#[tokio::test]
async fn a_request_learns_whether_it_or_another_one_has_revoked_its_session() {
    let (sessions, _) = sessions(config(), &Watched::default());
    let [ours, other] = requests();
    let [phone, laptop] =
        [of_user(&sessions, "ada", None).await, of_user(&sessions, "ada", None).await];
    let eve = of_user(&sessions, "eve", None).await;
    let anonymous = sessions.create("{}", None).await.unwrap();
    let by =
        async |seen, stored, request| sessions.revoked_since(seen, stored, request).await.unwrap();
    assert_eq!(sessions.revocations(), 0);
    assert_eq!(by(0, &phone, ours).await, None);
    sessions.of("ada").by(ours).revoke(phone.handle().unwrap()).await.unwrap();
    assert_eq!(sessions.revocations(), 1);
    assert_eq!(by(0, &phone, ours).await, Some(RevokedBy::Itself));
    assert_eq!(by(0, &phone, other).await, Some(RevokedBy::Another));
    // It was known before this one.
    assert_eq!(by(1, &phone, ours).await, None);
    for stays in [&laptop, &eve, &anonymous] {
        assert_eq!(by(0, stays, ours).await, None);
    }
    // On behalf of the request for which the code runs, if no other one is named.
    let list = ours.within(|| sessions.of("ada"));
    let mut ended = std::pin::pin!(list.revoke_all());
    std::future::poll_fn(|context| ours.within(|| ended.as_mut().poll(context))).await.unwrap();
    assert_eq!(sessions.revocations(), 2);
    assert_eq!(by(1, &laptop, ours).await, Some(RevokedBy::Itself));
    assert_eq!(by(1, &laptop, other).await, Some(RevokedBy::Another));
    assert_eq!(by(0, &eve, other).await, None);
    assert_eq!(by(0, &anonymous, other).await, None);
}

#[tokio::test]
async fn after_too_many_revocations_the_list_is_asked_whether_the_session_is_one_of_them() {
    let store = Watched::default();
    let (sessions, _) = sessions(config(), &store);
    let [ours, other] = requests();
    let [phone, laptop] =
        [of_user(&sessions, "ada", None).await, of_user(&sessions, "ada", None).await];
    sessions.of("ada").revoke(phone.handle().unwrap()).await.unwrap();
    let eve = of_user(&sessions, "eve", None).await;
    // More than are noted.
    for _ in 0..4_100 {
        sessions.of("eve").by(other).revoke(eve.handle().unwrap()).await.unwrap();
    }
    let revoked = sessions.revoked_since(0, &phone, ours).await.unwrap();
    assert_eq!(revoked, Some(RevokedBy::Another));
    assert_eq!(sessions.revoked_since(0, &laptop, ours).await.unwrap(), None);
    store.disturb(|_| Fault::Fails);
    assert!(sessions.revoked_since(0, &laptop, ours).await.unwrap_err().is_store());
}

#[tokio::test]
async fn a_request_that_has_ended_all_sessions_may_log_in_with_what_was_proven_before() {
    let (sessions, _) = sessions(config(), &Watched::default());
    let [ours, other] = requests();
    let ada = sessions.of("ada");
    // Within the day for which a revocation of all sessions is remembered.
    let proven = Login { proven: Some(UnixMillis(sessions.now().0 - 60_000)), ..Login::default() };
    ada.clone().by(ours).revoke_all().await.unwrap();
    for refused in [ada.clone(), ada.clone().by(other)] {
        let refused = refused.admit(&proven).await.unwrap_err();
        assert!(matches!(refused, SessionError::LoginOutdated));
    }
    ada.clone().by(ours).admit(&proven).await.unwrap();
    // Not if another request has revoked them after that proof.
    let later = sessions.now();
    while sessions.now() == later {}
    ada.clone().by(other).revoke_all().await.unwrap();
    let later = sessions.now();
    while sessions.now() == later {}
    ada.clone().by(ours).revoke_all().await.unwrap();
    assert!(ada.clone().by(ours).admit(&proven).await.is_err());
}

#[tokio::test]
async fn a_proof_that_is_more_than_a_day_old_is_refused() {
    const HOUR: u64 = 3_600_000;
    let (sessions, _) = sessions(config(), &Watched::default());
    let ada = sessions.of("ada");
    for (hours, is_good) in [(23, true), (25, false)] {
        let proven = Some(UnixMillis(sessions.now().0 - hours * HOUR));
        let admitted = ada.admit(&Login { proven, ..Login::default() }).await;
        assert_eq!(admitted.is_ok(), is_good, "{hours}");
    }
    assert_eq!(ada.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn without_a_name_there_is_no_user() {
    let store = Watched::default();
    let (sessions, _) = sessions(config(), &store);
    let handle = of_user(&sessions, "ada", None).await.handle().unwrap().clone();
    store.calls();
    let none = sessions.of("");
    for refused in [
        none.list().await.map(drop),
        none.revoke(&handle).await,
        none.revoke_others(&handle).await,
        none.revoke_all().await,
        none.admit(&Login::default()).await.map(drop),
    ] {
        assert_eq!(refused.unwrap_err().code(), "options");
    }
    assert!(store.calls().is_empty());
}

#[tokio::test]
async fn a_write_of_a_revoked_session_takes_its_id_out_of_use_and_others_do_not() {
    let (sessions, events) = sessions(config(), &Watched::default());
    let stored = of_user(&sessions, "ada", None).await;
    let write = async || {
        let written = sessions.commit(&stored, "{}".to_owned(), r#"{"n":1}"#.to_owned()).await;
        written.unwrap().is_some()
    };
    assert!(write().await);
    assert!(!sessions.is_out_of_use(stored.id()));
    sessions.of("ada").revoke_all().await.unwrap();
    taken(&events);
    assert!(!write().await);
    assert!(sessions.is_out_of_use(stored.id()));
}

#[test]
fn the_policy_for_a_store_that_fails_is_that_of_the_options() {
    let of = |config| sessions(config, &Watched::default()).0.on_store_error();
    assert_eq!(of(config()), OnStoreError::Error);
    assert_eq!(of(config().on_store_error(OnStoreError::Anonymous)), OnStoreError::Anonymous);
}
