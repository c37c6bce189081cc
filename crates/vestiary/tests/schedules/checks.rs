use serde_json::{Value, json};
use vestiary::{Record, SessionId, UnixMillis, protocol::UserSessions};

use crate::{
    operations::{SHARED, Want, slot},
    play::{Kind, Schedule},
};

impl Schedule {
    /// The violated invariants in the final state.
    pub(crate) fn faults(&self) -> Vec<&'static str> {
        let mut faults: Vec<&'static str> = self.noticed.iter().copied().collect();
        let ids = |root: &SessionId| -> Vec<SessionId> {
            let of_root = self.roots.iter().filter(|(_, other)| *other == root);
            of_root.map(|(id, _)| SessionId::parse(id).unwrap()).collect()
        };
        let logins: Vec<&SessionId> =
            self.roots.values().filter(|root| **root != self.first).collect();
        // A logout and a login at the same time: the old session ends, that of the login stays.
        if self.ended && self.is_listed() && ids(&self.first).iter().any(|id| self.lives(id)) {
            faults.push("an ended session is back");
        }
        if self.replaced_by_login.iter().any(|id| self.lives(id)) {
            faults.push("an old ID is good after a login");
        }
        // In a slow schedule, a tombstone can expire that leads to a session whose renewal crashed before its response.
        let is_slow = self.kind == Kind::Slow;
        if !is_slow && logins.iter().any(|root| !ids(root).iter().any(|id| self.lives(id))) {
            faults.push("the session of a login is ended by another request");
        }
        let logged_in = self.wants.contains(&Want::LogIn);
        let logged_out = self.wants.contains(&Want::LogOut);
        let stays = !logged_in && !logged_out;
        if stays && !is_slow && !self.lives(&self.first) {
            faults.push("a session is lost");
        }
        if stays && self.given_up {
            faults.push("a living session was taken for ended");
        }
        if !logged_in && self.owned.is_some() && !is_slow {
            let is_there = self.lives(&self.first);
            if !is_there && self.is_listed() {
                faults.push("an ended session is listed");
            }
        }
        if self.taken > 1 {
            faults.push("a value was taken twice");
        }
        if self.settled > 1 || self.lease == u64::MAX && self.holders.len() > 1 {
            faults.push("a lease was held twice");
        }
        if self.store.prolonged {
            faults.push("a tombstone was given more life");
        }
        for root in logins.into_iter().chain((!logged_in).then_some(&self.first)) {
            let reached = ids(root).iter().find_map(|id| self.reached(id));
            if let Some(record) = reached {
                self.check_data(root, &record, &mut faults);
            }
        }
        faults.sort_unstable();
        faults.dedup();
        faults
    }

    /// The requests whose changes are in the session that began with the ID `root`.
    fn check_data(&self, root: &SessionId, record: &Record, faults: &mut Vec<&'static str>) {
        let data: Value = serde_json::from_str(record.data()).unwrap();
        let confirms =
            self.confirms.iter().filter(|(number, _)| self.began_with[**number] == *root);
        let confirmed = record.meta().confirmed;
        if confirmed.is_some_and(|at| !confirms.clone().any(|(_, time)| *time == at)) {
            faults.push("an operation that confirms no user has done so");
        }
        let done = confirms.filter(|(number, _)| self.saved.contains(number));
        if confirmed < done.map(|(_, time)| *time).max() {
            faults.push("an acknowledged confirmation is lost");
        }
        let has_slot = |key: &str| record.meta().slots.value(key, UnixMillis(0)).is_some();
        if self.taken > 0 && has_slot(SHARED) {
            faults.push("a value that was taken is back");
        }
        let holder = record.meta().slots.value(SHARED, UnixMillis(0));
        let holder = holder.and_then(|token| token.parse().ok());
        if holder.is_some_and(|holder| self.refused.contains(&holder)) {
            faults.push("a request does not know of its lease");
        }
        let log = data["log"].as_array().map_or(&[][..], Vec::as_slice);
        for (number, want) in self.wants.iter().enumerate() {
            let entries = log.iter().filter(|entry| **entry == json!(number)).count();
            let is_set = data.get(format!("key{number}")).is_some();
            if self.began_with[number] != *root {
                if entries > 0 || is_set {
                    faults.push("a request wrote to another visitor's session");
                }
                continue;
            }
            if entries > 1 {
                faults.push("a change was made twice");
            }
            let there = match want {
                Want::Update | Want::RenewAndUpdate => entries == 1,
                Want::Save => is_set,
                Want::Put => has_slot(&slot(number)),
                Want::Touch
                | Want::LogOut
                | Want::LogIn
                | Want::Renew
                | Want::Take
                | Want::Claim
                | Want::Settle
                | Want::Confirm => continue,
            };
            if self.saved.contains(&number) && !there {
                faults.push("an acknowledged change is lost");
            }
        }
    }

    /// The session that a browser with this cookie has in the end, with time to spare.
    fn reached(&self, id: &SessionId) -> Option<Record> {
        let record = self.store.record(id)?;
        // A broken store may have it under an ID with which its pointer cannot be read.
        match record.next(id).ok()? {
            None => Some(record),
            Some((next, Some(_))) => self.reached(&next),
            Some((_, None)) => None,
        }
    }

    fn lives(&self, id: &SessionId) -> bool {
        self.reached(id).is_some()
    }

    /// The first session is in its user's list, or belongs to no user.
    fn is_listed(&self) -> bool {
        let Some((key, handle)) = &self.owned else { return true };
        let list = self.store.text(key).map(|text| UserSessions::decode(text).unwrap());
        list.is_some_and(|list| list.knows(handle))
    }
}
