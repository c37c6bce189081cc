//! Checks of each response, and of the store in the end.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use vestiary::{Limits, Record};
use vestiary_store::{Entry, Found, Sessions};

use crate::{
    app::{Log, Want},
    model::{Answer, Going, Sets},
    schedule::Schedule,
    settings::Settings,
    support::scheduled::now,
};

/// A response that took longer than this may be late for that reason alone.
const SLOW: u64 = 60_000;

impl Schedule {
    /// Looks at a response.
    pub fn check(&mut self, going: &Going, answer: &Answer) {
        let Answer { status, report, sets } = answer;
        let time = self.tasks.clock.now;
        let (want, is_done, root) = (going.want, answer.is_done(), report.root);
        let numbers = self.numbers();
        let mut notice = |fault| _ = self.noticed.insert(fault);
        if let (Some(fault), true) = (going.is_expired, root.is_some() && root == going.root) {
            notice(fault);
        }
        if want == Want::LogOut && going.sent.is_some() && *sets != Sets::Removal {
            notice(if is_done {
                "a logout left its cookie"
            } else {
                "a logout that failed left its cookie"
            });
        }
        if let (Want::Slow, Some(root), Some(began)) = (want, root, report.detail)
            && self.model.lives[&root].ended.is_some_and(|ended| ended < began)
        {
            notice("a request wrote to a session that had ended");
        }

        // The session that the cookie promised is there.
        let leads = going
            .sent
            .as_ref()
            .and_then(|sent| self.model.leads(sent, going.number, time, &self.settings));
        // If a concurrent request moves the deadline, this one may find that it has passed.
        let is_fast = time - going.from < SLOW && time < going.until;
        if leads.is_some() && is_fast {
            if is_done && want.keeps() && root != leads {
                notice("a living session was not found");
            }
            let is_excused = want.grows() && self.settings.max_bytes.is_some();
            let is_refused = want.is_login() && *status == StatusCode::CONFLICT;
            if self.settings.is_calm && !is_done && !is_excused && !is_refused {
                notice("a visitor is locked out");
            }
        }

        // The cookie that it sets.
        let Some(sent) = going.sent.as_ref().filter(|_| !going.is_troubled) else { return };
        let value = answer.value();
        let is_earlier =
            |value| self.model.cookies.get(value).is_some_and(|cookie| cookie.replaced);
        if value.is_some_and(is_earlier) {
            notice("a late response set an earlier ID of its session");
        }
        let is_alone = going.is_alone && numbers == going.number;
        if !is_alone || !is_done || !want.keeps() || leads.is_none() || root != leads {
            return;
        }
        let is_new = value.is_some_and(|value| value != sent);
        let known = &self.model.cookies[sent];
        if known.replaced && !is_new {
            notice("a visitor keeps an earlier ID of the session");
        }
        if want == Want::Renew && !is_new {
            notice("a renewal set no cookie");
        }
        let is_due = |after| going.from >= known.set + after;
        if self.settings.renew_after.is_some_and(is_due) && !is_new {
            notice("a renewal that is due does not take place");
        }
        if self.settings.is_rolling && value.is_none() {
            notice("a rolling cookie is not set");
        }
    }

    /// The faults in the final state.
    pub fn faults(&mut self) -> BTreeSet<&'static str> {
        let time = self.tasks.clock.now;
        let mut faults = self.noticed.clone();
        let mut living = BTreeMap::new();
        // Reading a session may remove records. The values of cookies are not reproducible, so they cannot give the
        // order.
        let mut cookies: Vec<_> = self.model.cookies.iter().collect();
        cookies.sort_by_key(|(_, cookie)| cookie.place);
        for (value, cookie) in cookies {
            let found = self.read(value);
            let leads = self.model.leads(value, 0, time, &self.settings);
            if leads.is_some() && found.as_ref().map(|(root, _)| *root) != leads {
                faults.insert("a session is lost");
            }
            let Some((root, data)) = found else { continue };
            if cookie.dead {
                faults.insert("an old ID is good after a login");
            }
            if cookie.root.is_some_and(|promised| promised != root) {
                faults.insert("a cookie leads to another session");
            }
            let Some(life) = self.model.lives.get(&root) else { continue };
            if let Some(fault) = self.model.is_expired(root, time, &self.settings) {
                faults.insert(fault);
            }
            if life.ended.is_some() {
                faults.insert("an ended session is back");
            }
            living.insert(root, data);
        }
        for (root, data) in &living {
            let log: Log = serde_json::from_value(data.clone()).unwrap();
            let count = |number: &usize| log.log.iter().filter(|other| *other == number).count();
            if log.log.iter().any(|number| count(number) > 1) {
                faults.insert("a change was made twice");
            }
            let has =
                |number: &usize| count(number) == 1 || data.get(format!("key{number}")).is_some();
            for (other, life) in &self.model.lives {
                if other == root && !life.confirmed.iter().all(has) {
                    faults.insert("an acknowledged change is lost");
                }
                if other != root && life.confirmed.iter().any(has) {
                    faults.insert("a request wrote to another session");
                }
            }
        }
        for user in ["ada", "bob"] {
            self.check_list(user, &living, &mut faults);
        }
        self.check_end(&mut faults);
        faults
    }

    /// The session to which a cookie leads, and its data.
    fn read(&self, value: &str) -> Option<(usize, serde_json::Value)> {
        let settings = Settings { revokes_reuse: false, ..self.settings };
        let sessions = Sessions::new(&settings.config(0), self.store.clone()).unwrap();
        let cookies = sessions.cookies([format!("sid={value}").as_bytes()]);
        let Found::Session(found) = now(sessions.find(&cookies)).unwrap() else { return None };
        let data: serde_json::Value = serde_json::from_str(found.stored.data()).unwrap();
        let root = data.get("root").and_then(serde_json::Value::as_u64);
        Some((usize::try_from(root.unwrap_or_default()).unwrap(), data))
    }

    /// A user's session is listed exactly if it is valid; an entry without one expires by itself.
    fn check_list(
        &self,
        user: &str,
        living: &BTreeMap<usize, serde_json::Value>,
        faults: &mut BTreeSet<&'static str>,
    ) {
        let time = self.tasks.clock.now;
        let listed = now(self.sessions[0].of(user).list()).unwrap();
        let listed: BTreeSet<_> =
            listed.into_iter().map(|one| one.handle.as_str().to_owned()).collect();
        // After a failed login the previous session stays, even if another login has evicted it from the list
        // meanwhile.
        let failed = self.model.failed_logins;
        // A slow request may restore an entry that had expired when a login evicted it.
        let is_slow = self.model.slowest >= SLOW;
        if !is_slow && self.settings.per_user.is_some_and(|most| listed.len() > most + failed) {
            faults.insert("a user has too many sessions");
        }
        for root in self.model.owned(user) {
            let life = &self.model.lives[&root];
            let Some(handle) = &life.handle else { continue };
            // A login that dies halfway may hide the session that it was to replace.
            let is_sure = life.doubts.is_empty() && time < life.until;
            if is_sure && living.contains_key(&root) && !listed.contains(handle) {
                faults.insert("a living session is not listed");
            }
            if life.ended.is_some() && listed.contains(handle) {
                faults.insert("an ended session is listed");
            }
        }
        // Without failures, only records remain whose TTL has not passed.
        if self.settings.is_calm && !self.settings.is_timed {
            let alive: BTreeSet<_> = self.store.entries().iter().filter_map(handle).collect();
            if !listed.is_subset(&alive) {
                faults.insert("a session is listed and has no record");
            }
        }
    }

    /// In the end all records expire, although no session was ended.
    fn check_end(&mut self, faults: &mut BTreeSet<&'static str>) {
        self.tasks.clock.pass(72 * 3_600_000);
        let is_listed = |user| !now(self.sessions[0].of(user).list()).unwrap().is_empty();
        if is_listed("ada") || is_listed("bob") {
            faults.insert("a session is listed for ever");
        }
        if !self.store.entries().is_empty() {
            faults.insert("a record stays for ever");
        }
    }
}

/// The handle of the session in a record, if it has an owner.
fn handle(entry: &Entry) -> Option<String> {
    let record = Record::decode(&entry.record, Limits::LOAD).ok()?;
    let meta = record.meta();
    let user = meta.user.as_ref().filter(|_| meta.next.is_none())?;
    Some(user.handle.as_str().to_owned())
}
