use alloc::{boxed::Box, string::String};

use super::Loaded;
use crate::{
    Follower, Lead, Record, SessionId, Ticket, UnixMillis,
    binding::Shown,
    protocol::{Fault, Host, Place, Rules, Seen, UserSessions, seeded},
};

/// The session under an ID, if the near cache of the process shows that it is valid and needs no write.
///
/// The cache can only admit a session. Whatever else it has, such as a tombstone, an expired session, or a list without the
/// session, may have changed meanwhile, and only the store can say. The session counts as read when the store was asked,
/// so that it proves no more than it did then.
pub(super) fn remembered<H: Host>(
    host: &mut H,
    rules: &Rules,
    id: &SessionId,
    shown: &Shown,
) -> Option<Box<Loaded>> {
    let (text, mut ticket) = text_of(host, rules, Place::Session(id))?;
    let (record, at, now) = (rules.record(text).ok()?, ticket.read, host.now());
    if record.lead(id, Follower::Cookie(now)) != Ok(Lead::Here) {
        return None;
    }
    let mut sessions = None;
    if let Some(user) = record.meta().user.as_ref().filter(|_| !seeded(Fault::CacheSparesList)) {
        let (text, other) = text_of(host, rules, Place::List(&rules.list_key(user)))?;
        if !seeded(Fault::TicketSparesList) {
            ticket = ticket.and(other);
        }
        sessions = Some(UserSessions::decode(&text).ok()?);
    }
    let needs_nothing = |now| needs_nothing(rules, (&record, at), sessions.as_ref(), shown, now);
    if !needs_nothing(now) {
        return None;
    }
    // What holds at two moments holds between them.
    if needs_nothing(ticket.last(now)) {
        host.remembered(ticket);
    }
    let session = Seen { id: id.clone(), record, at };
    Some(Box::new(Loaded { session, renewed: false, due: false, stale: false, unseen: false }))
}

/// Whether a session is valid for this request at `now`, and nothing of it needs a write. `at` is when it was read, and
/// `sessions` the list of its user, if it has one.
#[inline(never)]
fn needs_nothing(
    rules: &Rules,
    (record, at): (&Record, UnixMillis),
    sessions: Option<&UserSessions>,
    shown: &Shown,
    now: UnixMillis,
) -> bool {
    let (timeouts, meta) = (rules.options.timeouts(), record.meta());
    // The store drops the record when its cookie has ended.
    let end = rules.ends(record, at, false, false).expires;
    if end.is_some_and(|end| end <= now)
        || timeouts.wants_renewal(meta, now)
        || timeouts.is_stale(meta, now)
        || !shown.admits(rules, meta, now)
    {
        return false;
    }
    let (Some(user), Some(sessions)) = (&meta.user, sessions) else { return true };
    let ttl = rules.lifetime(Some(meta), now).ttl;
    sessions.knows(&user.handle) && !sessions.is_stale(&user.handle, ttl, now)
}

/// The text that the cache has in a place, with its ticket. The entry is as the store has it, so another secret does not
/// decrypt it.
#[inline(never)]
fn text_of<H: Host>(host: &mut H, rules: &Rules, place: Place<'_>) -> Option<(String, Ticket)> {
    let key = match place {
        Place::Session(id) => rules.options.key_of(id),
        Place::List(key) => key.into(),
    };
    let (text, ticket) = host.cached(&key, rules.options.cache()?.max_stale)?;
    Some((rules.opened(place, &key, text).ok()?, ticket))
}

#[cfg(test)]
mod tests {
    use alloc::{borrow::ToOwned as _, collections::BTreeMap, format, rc::Rc, sync::Arc};

    use super::*;
    use crate::{
        Moment, OptionsInput, SealRing, Timeouts,
        protocol::{Answered, Effect, Pending, Source, testing::rules_of},
        session::{Found, open},
    };

    const READ: UnixMillis = UnixMillis(999_500);
    const NOW: UnixMillis = UnixMillis(1_000_000);
    /// In microseconds, as in a ticket.
    const LEFT: u32 = 500_000;

    struct Texts(BTreeMap<String, String>);

    impl Source for Texts {
        fn cached(&self, key: &str, max_stale: u64, at: Moment) -> Option<(String, Ticket)> {
            assert_eq!((max_stale, at.now, at.elapsed), (1_000, NOW, 7));
            let slots = [[1, 1], [usize::MAX; 2]];
            Some((self.0.get(key)?.clone(), Ticket { read: READ, slots, stamp: 1, left: LEFT }))
        }
    }

    fn id() -> SessionId {
        SessionId::from_entropy(&[3; 24])
    }

    fn options<'a>() -> OptionsInput<'a> {
        OptionsInput { max_stale: Some(1_000.0), ..OptionsInput::default() }
    }

    /// The session that a request finds in the cache; `None` if it asks the store.
    fn found(rules: &Arc<Rules>, ids: &[SessionId], texts: &[(&str, &str)]) -> Option<Loaded> {
        found_for(rules, ids, texts).map(|(loaded, _)| loaded)
    }

    /// The same, with the time in milliseconds for which requests with the same cookies find it again.
    fn found_for(
        rules: &Arc<Rules>,
        ids: &[SessionId],
        texts: &[(&str, &str)],
    ) -> Option<(Loaded, u32)> {
        let texts = texts.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
        let (rules, ids) = (Arc::clone(rules), ids.to_owned());
        let mut opening = Pending::new(async move |mut host| {
            open(&mut host, &rules, &ids, &Shown::default()).await
        });
        opening.answer_by(Rc::new(Texts(texts.collect())), true);
        let effect = opening.poll(Answered::Begin, NOW, 7, &[7; Pending::<()>::ENTROPY]);
        let opening_ticket = opening.ticket();
        match effect {
            Effect::Finished(Ok(opening)) => match opening.found {
                Found::Session(loaded) => {
                    let left = opening_ticket.map_or(0, |ticket| ticket.left / 1_000);
                    Some((*loaded, left))
                }
                found => panic!("{found:?}"),
            },
            Effect::Call(_) => None,
            effect => panic!("{effect:?}"),
        }
    }

    fn text(meta: &str) -> String {
        format!(r#"{{"v":"AAAAAAAAAAAAAAAA","cookie":{{}},"data":{{"n":1}},"meta":{meta}}}"#)
    }

    const OWNED: &str = r#"{"user":"ada","handle":"AQEBAQEBAQEBAQEB"}"#;

    #[test]
    fn a_valid_session_counts_as_read_when_the_store_was_asked() {
        let rules = rules_of(options());
        let loaded = found(&rules, &[id()], &[(id().expose(), &text("{}"))]).unwrap();
        assert_eq!((loaded.session.id, loaded.session.at), (id(), READ));
        assert_eq!(loaded.session.record.data(), r#"{"n":1}"#);
        assert!(!(loaded.renewed || loaded.due || loaded.stale || loaded.unseen));
        // Without the option, nothing is taken from a cache.
        let without = rules_of(OptionsInput::default());
        assert!(found(&without, &[id()], &[(id().expose(), &text("{}"))]).is_none());
    }

    #[test]
    fn the_store_is_asked_about_everything_but_a_valid_session() {
        let rules = rules_of(OptionsInput {
            timeouts: Timeouts::new(Some(60.0), Some(900.0), Some(600.0), None).unwrap(),
            ..options()
        });
        let idle = NOW.0 + 66_000;
        let meta = |rest: &str| format!(r#"{{"created":{},"idle":{idle}{rest}}}"#, NOW.0 - 1_000);
        let key = id();
        let hits = |text: &str| found(&rules, &[id()], &[(key.expose(), text)]).is_some();
        assert!(hits(&text(&meta(""))));
        let other = SessionId::from_entropy(&[4; 24]);
        let record = rules.record(text(&meta(""))).unwrap();
        let write_id = crate::WriteId::from_entropy(&[9; 12]);
        let tombstone = |grace| {
            let tombstone = record.tombstone(write_id.clone(), &id(), &other, grace).unwrap();
            tombstone.encode(crate::Limits::LOAD).unwrap()
        };
        let old = format!(r#"{{"created":{},"idle":{idle}}}"#, NOW.0 - 600_000);
        let over = format!(r#"{{"created":{},"idle":{idle}}}"#, NOW.0 - 900_000);
        let stale = format!(r#"{{"created":{},"idle":{}}}"#, NOW.0 - 1_000, NOW.0 + 59_999);
        let idle = format!(r#"{{"created":{},"idle":{}}}"#, NOW.0 - 1_000, NOW.0);
        for (what, text) in [
            ("another's pointer", tombstone(Some(NOW.plus(9_000)))),
            ("a tombstone", tombstone(None)),
            ("due for a renewal", text(&old)),
            ("past its absolute deadline", text(&over)),
            ("past its idle deadline", text(&idle)),
            ("its idle deadline must move", text(&stale)),
            ("unreadable", "{".to_owned()),
        ] {
            assert!(!hits(&text), "{what}");
        }
        // A cookie that has ended, and a session that is not the first one.
        let cookie = crate::CookieOptions { max_age: Some(60.0), ..Default::default() };
        let lasting = rules_of(OptionsInput { cookie, ..options() });
        for (until, expected) in [(NOW.0 + 1, true), (NOW.0, false)] {
            let text = text(&format!(r#"{{"until":{until}}}"#));
            assert_eq!(found(&lasting, &[id()], &[(key.expose(), &text)]).is_some(), expected);
        }
        let ids = [other, id()];
        assert!(found(&rules, &ids, &[(key.expose(), &text(&meta("")))]).is_none());
    }

    #[test]
    fn a_session_is_found_again_unless_something_is_due_before_its_entry_ends() {
        let limited = |idle, absolute, renewal| {
            let timeouts = Timeouts::new(idle, absolute, renewal, None).unwrap();
            let cookie = crate::CookieOptions { max_age: Some(600.0), ..Default::default() };
            rules_of(OptionsInput { cookie, timeouts, ..options() })
        };
        let (idle, absolute) = (limited(Some(60.0), None, None), limited(None, Some(60.0), None));
        let (renewal, lasting) = (limited(None, None, Some(60.0)), limited(None, None, None));
        let (began, until) = (NOW.0 - 60_000, NOW.0 + 60_000);
        for (rules, name, due) in [
            // The use must be recorded, because less than a minute is left.
            (&idle, "idle", until),
            (&absolute, "created", began),
            (&renewal, "created", began),
            (&lasting, "until", NOW.0),
        ] {
            // The entry answers for the next 499 ms.
            for (millis, expected) in [(0, None), (499, Some(0)), (500, Some(500))] {
                let due = if name == "idle" { due - 1 } else { due };
                let text = text(&format!(r#"{{"{name}":{}}}"#, due + millis));
                let found = found_for(rules, &[id()], &[(id().expose(), &text)]);
                assert_eq!(found.map(|(_, left)| left), expected, "{name} {millis}");
            }
        }
        // The use of a user's session must be recorded in the list.
        let list = lasting.options.user_key("ada");
        for (seen, expected) in [(60_000, None), (59_999, Some(0)), (59_500, Some(500))] {
            let seen = NOW.0 - seen;
            let entry = format!(r#"{{"created":1,"seen":{seen},"until":9999999}}"#);
            let list_text =
                format!(r#"{{"v":"AAAAAAAAAAAAAAAA","sessions":{{"AQEBAQEBAQEBAQEB":{entry}}}}}"#);
            let (key, record) = (id(), text(OWNED));
            let texts = [(key.expose(), &*record), (&*list, &*list_text)];
            let found = found_for(&lasting, &[id()], &texts);
            assert_eq!(found.map(|(_, left)| left), expected, "{seen}");
        }
    }

    #[test]
    fn a_bound_session_is_found_only_for_its_device() {
        let rules = rules_of(OptionsInput { device_bound: true, ..options() });
        let binding = r#"{"key":"AAAA","first":"a","since":1,"challenge":"b","at":1}"#;
        let slots = format!(r#"{{"vestiary:device":{{"until":9999999,"value":{binding}}}}}"#);
        let text = text(&format!(r#"{{"slots":{slots}}}"#));
        let key = id();
        assert!(found(&rules, &[id()], &[(key.expose(), &text)]).is_none());
        let without = rules_of(options());
        assert!(found(&without, &[id()], &[(key.expose(), &text)]).is_some());
    }

    #[test]
    fn a_users_session_needs_the_list_too() {
        let rules = rules_of(options());
        let (key, list) = (id(), rules.options.user_key("ada"));
        let record = text(OWNED);
        let seen = |handle: &str, seen: u64| {
            format!(
                r#"{{"v":"AAAAAAAAAAAAAAAA","sessions":{{"{handle}":{{"created":1,"seen":{seen},"until":9999999}}}}}}"#
            )
        };
        let hits = |list_text: &str| {
            found(&rules, &[id()], &[(key.expose(), &record), (&list, list_text)]).is_some()
        };
        assert!(found(&rules, &[id()], &[(key.expose(), &record)]).is_none());
        let sessions = UserSessions::decode(&seen("AQEBAQEBAQEBAQEB", NOW.0));
        assert!(sessions.is_ok(), "{sessions:?}");
        assert!(hits(&seen("AQEBAQEBAQEBAQEB", NOW.0)));
        assert!(!hits(&seen("BBBBBBBBBBBBBBBB", NOW.0)));
        assert!(!hits("{"));
    }

    #[test]
    fn an_entry_that_another_secret_has_sealed_admits_no_session() {
        let secrets = ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"];
        let ring = |secret: &str| Arc::new(SealRing::new(&[secret.to_owned()], None).unwrap());
        let key = id();
        let sealed = ring(secrets[0]).seal(&id(), key.expose(), &text("{}"), &[1; SealRing::NONCE]);
        for (secret, expected) in [(secrets[0], true), (secrets[1], false)] {
            let rules = Arc::into_inner(rules_of(options())).unwrap();
            let rules = Arc::new(Rules { seals: Some(ring(secret)), ..rules });
            let loaded = found(&rules, &[id()], &[(key.expose(), &sealed)]);
            assert_eq!(loaded.is_some(), expected);
        }
    }
}
