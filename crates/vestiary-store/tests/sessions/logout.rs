use vestiary::SessionId;
use vestiary_store::{Sessions, Store as _, Stored};

use super::{Fault, Watched, config, of_user, sessions, taken};

async fn has_record(store: &Watched, sessions: &Sessions, id: &SessionId) -> bool {
    let text = store.memory.read(&sessions.options().store_key(id)).await.unwrap();
    text.is_some_and(|text| !text.contains(r#""next""#))
}

async fn is_listed(sessions: &Sessions) -> bool {
    !sessions.of("ada").list().await.unwrap().is_empty()
}

/// A session of a user, as it was read under its first ID, and its ID now.
async fn session(sessions: &Sessions, is_renewed: bool) -> (Stored, SessionId) {
    let stored = of_user(sessions, "ada", None).await;
    let id = if is_renewed {
        sessions.renew(&stored).await.unwrap().unwrap().id().clone()
    } else {
        stored.id().clone()
    };
    (stored, id)
}

#[tokio::test]
async fn an_interrupted_logout_leaves_the_owner_in_the_record_while_the_session_is_listed() {
    for is_renewed in [false, true] {
        for fault in [Fault::Fails, Fault::LosesTheReply] {
            for done in 0.. {
                let store = Watched::default();
                let (sessions, _) = sessions(config(), &store);
                let (stored, id) = session(&sessions, is_renewed).await;
                let mut asked = 0;
                store.disturb(move |_| {
                    asked += 1;
                    if asked > done { fault } else { Fault::Nothing }
                });
                let ended = sessions.destroy(&stored).await;
                store.is_well();
                let what = format!("renewed: {is_renewed}, after {done} calls: {ended:?}");
                let (is_listed_yet, is_there) =
                    (is_listed(&sessions).await, has_record(&store, &sessions, &id).await);
                assert!(is_there || !is_listed_yet, "{what}");
                // Repeated with the session as it was read before.
                sessions.destroy(&stored).await.unwrap();
                assert!(!is_listed(&sessions).await, "{what}");
                assert!(!has_record(&store, &sessions, &id).await, "{what}");
                if ended.is_ok() {
                    assert!(done > 2, "{what}");
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_left_alone_and_keeps_no_session_from_being_ended() {
    let store = Watched::default();
    let (sessions, events) = sessions(config(), &store);
    let (stored, id) = session(&sessions, false).await;
    let key = sessions.options().user_key("ada");
    let list = store.memory.read(&key).await.unwrap().unwrap();
    let write_id = vestiary_store::write_id_of(&list).and_then(vestiary::WriteId::parse);
    let broken = r#"{"v":"AAAAAAAAAAAAAAAA","sessions":"#;
    store.memory.replace(&key, write_id.as_ref(), broken, vestiary::Ttl::Infinite).await.unwrap();
    taken(&events);
    sessions.destroy(&stored).await.unwrap();
    assert_eq!(taken(&events), ["store_failed"]);
    assert!(!has_record(&store, &sessions, &id).await);
    assert_eq!(store.memory.read(&key).await.unwrap().unwrap(), broken);
}
