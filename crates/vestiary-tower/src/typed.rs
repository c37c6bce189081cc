//! The data of a session as a type of the application. A type need not have all keys of the data, because other code
//! shares it, so it changes only its own keys.

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};
use vestiary::{Limits, json_members};
use vestiary_store::{SessionError, WrongType};

use crate::{
    contents::{Contents, NOTHING, is_empty, kind_of, said_by, without_twins, wrong_type},
    view::{self, Misfit, Why},
};

/// The data as a type sees it.
struct Seen<T> {
    value: T,
    /// Names of the members that the type takes.
    taken: Vec<String>,
    /// Whether the data had none of the type's members, so that the value is the type's default.
    is_default: bool,
}

impl Contents {
    /// The data as a type, which ignores members that it lacks; the type's default if it has none of them.
    pub(crate) fn read<T: DeserializeOwned + Default>(&mut self) -> Result<T, SessionError> {
        let text = self.text();
        // In the usual case everything fits, and the members that the type takes need not be known.
        if !is_empty(&text)
            && let Ok(value) = serde_json::from_str(&text)
        {
            return Ok(value);
        }
        self.seen().map(|seen| seen.value).map_err(|misfit| self.wrong_type::<T>(misfit))
    }

    /// Changes the data as a type: only members that the function sets, adds or removes.
    pub(crate) fn change<T: Serialize + DeserializeOwned + Default, R>(
        &mut self,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, SessionError> {
        let seen = self.seen::<T>();
        let Seen { mut value, taken, is_default } =
            seen.map_err(|misfit| self.wrong_type::<T>(misfit))?;
        // A type that finds none of its members adds all of them.
        let before = if is_default { NOTHING.to_owned() } else { object_of(&value)? };
        let result = change(&mut value);
        let after = object_of(&value)?;
        let (before, after) = (members_of(&before)?, members_of(&after)?);
        self.take_over(&before, &after, |_| false)?;
        self.remove_old_names::<T>(&taken, |name| before.has(name))?;
        Ok(result)
    }

    /// Sets the members that the type has.
    pub(crate) fn write<T: Serialize + DeserializeOwned + Default>(
        &mut self,
        value: &T,
    ) -> Result<(), SessionError> {
        let text = object_of(value)?;
        let after = members_of(&text)?;
        let (mut misfits, mut missing) = (Vec::new(), Vec::new());
        let mut rest = Self::of_text(&self.text());
        // A member that does not fit the type still belongs to it. Members that are missing come from the new value.
        let seen = loop {
            let misfit = match rest.seen::<T>() {
                Ok(seen) => break seen,
                Err(misfit) => misfit,
            };
            let Some(key) = misfit.key else { break Seen::begun() };
            let text = after.values.get(&key).filter(|_| misfit.why == Why::Missing);
            if let Some(text) = text.filter(|_| !missing.contains(&key)) {
                rest.set(&key, (*text).to_owned())?;
                missing.push(key);
            } else if rest.remove(&key)?.is_some() {
                misfits.push(key);
            } else {
                break Seen::begun();
            }
        };
        let before = object_of(&seen.value)?;
        let before = members_of(&before)?;
        for name in misfits.iter().filter(|name| !after.has(name)) {
            self.remove(name)?;
        }
        // A member that the type did not read may have its default here, which is not the session's value.
        let is_unread = |name: &str| {
            let mut read = seen.taken.iter().filter(|name| !missing.contains(name));
            !read.any(|read| read == name)
        };
        self.take_over(&before, &after, is_unread)?;
        self.remove_old_names::<T>(&seen.taken, |name| before.has(name) || after.has(name))
    }

    /// Removes the members that do not fit the type. If a member is missing that the type needs, removes all members of the
    /// type, so that it reads as its default. Returns the names of the removed members.
    pub(crate) fn discard<T: DeserializeOwned + Default>(
        &mut self,
    ) -> Result<Vec<String>, SessionError> {
        let mut discarded = Vec::new();
        while let Err(misfit) = self.seen::<T>() {
            let names = match &misfit.key {
                Some(key) if misfit.why != Why::Missing => vec![key.clone()],
                _ => self.with_texts(|members| names_of::<T>(&members))?,
            };
            let before = discarded.len();
            for name in names {
                if self.remove(&name)?.is_some() {
                    discarded.push(name);
                }
            }
            // Without a member to remove, no data fits the type.
            if discarded.len() == before {
                return Err(self.wrong_type::<T>(misfit));
            }
        }
        Ok(discarded)
    }

    /// Applies the difference between two texts of one type: removes the members that only the first one has, and sets
    /// those of the second one that have another value or are always wanted.
    fn take_over(
        &mut self,
        before: &Written<'_>,
        after: &Written<'_>,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<(), SessionError> {
        for name in before.names.iter().filter(|name| !after.has(name)) {
            self.remove(name)?;
        }
        for name in &after.names {
            let is_changed = before.values.get(name) != after.values.get(name);
            if (is_changed || is_wanted(name))
                && let Some(text) = after.values.get(name)
            {
                self.set(name, (*text).to_owned())?;
            }
        }
        Ok(())
    }

    /// Removes members under old names. A type may read a member under an old name (`#[serde(alias)]`) and write it
    /// under the new one; with both, it could not be read again.
    fn remove_old_names<T: DeserializeOwned + Default>(
        &mut self,
        taken: &[String],
        is_written: impl Fn(&str) -> bool,
    ) -> Result<(), SessionError> {
        let old: Vec<&String> = taken.iter().filter(|name| !is_written(name)).collect();
        if old.is_empty() || !self.is_changed() {
            return Ok(());
        }
        let is_old = |name: &str| old.iter().any(|old| *old == name);
        while let Err(Misfit { key: Some(key), why: Why::Twice, .. }) = self.seen_last::<T>(is_old)
            && is_old(&key)
        {
            self.remove(&key)?;
        }
        Ok(())
    }

    fn seen<T: DeserializeOwned + Default>(&mut self) -> Result<Seen<T>, Misfit> {
        self.seen_last(|_| false)
    }

    /// The data as a type sees it if some members come after all others.
    fn seen_last<T: DeserializeOwned + Default>(
        &mut self,
        is_last: impl Fn(&str) -> bool,
    ) -> Result<Seen<T>, Misfit> {
        let seen = self.with_texts(|mut members| {
            members.sort_by_key(|(name, _)| is_last(name));
            seen(&members)
        });
        seen.unwrap_or(Err(Misfit::of(Why::Type)))
    }

    /// The error for data that does not fit the type.
    fn wrong_type<T>(&mut self, misfit: Misfit) -> SessionError {
        let Misfit { key, why, reason } = misfit;
        let wanted = std::any::type_name::<T>();
        let Some(key) = key else { return wrong_type(None, "the session data", wanted, &reason) };
        if why == Why::Missing {
            let problem = format!(
                "the session data has no `{key}`, which `{wanted}` needs: give it a default (`#[serde(default)]`)"
            );
            return SessionError::Type(WrongType::new(Some(key), problem));
        }
        let kind = self.with_value(&key, |text| text.map(kind_of)).unwrap_or_default();
        let what = format!("`{key}` of the session data, {},", kind.unwrap_or("a value"));
        wrong_type(Some(&key), &what, wanted, &reason)
    }
}

impl<T: Default> Seen<T> {
    fn begun() -> Self {
        Self { value: T::default(), taken: Vec::new(), is_default: true }
    }
}

/// Reads these members as a type.
fn seen<T: DeserializeOwned + Default>(members: &[(&str, &str)]) -> Result<Seen<T>, Misfit> {
    if members.is_empty() {
        return Ok(Seen::begun());
    }
    let mut taken = Vec::with_capacity(members.len());
    let read = view::read(members, &mut taken).or_else(|misfit| {
        // If the type refuses duplicate keys in a value, the last one counts, as everywhere else.
        let plain: Vec<String> = members.iter().map(|(_, text)| without_twins(text)).collect();
        let plain: Vec<(&str, &str)> =
            members.iter().zip(&plain).map(|((name, _), text)| (*name, &**text)).collect();
        view::read(&plain, &mut taken).map_err(|_| misfit)
    });
    match read {
        Ok(value) => {
            let names = members.iter().zip(&taken).filter(|(_, taken)| **taken);
            let taken = names.map(|((name, _), _)| (*name).to_owned()).collect();
            Ok(Seen { value, taken, is_default: false })
        }
        // The session holds only members of other code.
        Err(Misfit { why: Why::Missing, .. }) if !taken.contains(&true) => Ok(Seen::begun()),
        Err(misfit) => Err(misfit),
    }
}

/// The names of the members that the type takes.
fn names_of<T: DeserializeOwned>(members: &[(&str, &str)]) -> Vec<String> {
    let mut taken = Vec::with_capacity(members.len());
    // Its error is known.
    let _ = view::read::<T>(members, &mut taken);
    let names = members.iter().zip(&taken).filter(|(_, taken)| **taken);
    names.map(|((name, _), _)| (*name).to_owned()).collect()
}

/// Serialises a value, which must be an object, to JSON text.
fn object_of<T: Serialize>(value: &T) -> Result<String, SessionError> {
    let text = serde_json::to_string(value).map_err(|_| {
        let problem = format!("`{}` cannot be JSON", std::any::type_name::<T>());
        SessionError::Type(WrongType::new(None, problem))
    })?;
    if text.starts_with('{') {
        return Ok(text);
    }
    Err(SessionError::Data(vestiary::Error::DataNotObject))
}

/// The members of an object that was just serialised.
struct Written<'t> {
    names: Vec<String>,
    values: BTreeMap<String, &'t str>,
}

impl Written<'_> {
    fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }
}

fn members_of(object: &str) -> Result<Written<'_>, SessionError> {
    let mut written = Written { names: Vec::new(), values: BTreeMap::new() };
    json_members(object, Limits::LOAD, &mut |key, value| {
        let [key, value] = [key, value].map(|place| object.get(place).unwrap_or_default());
        let name = said_by(key).unwrap_or_default();
        if written.values.insert(name.clone(), value).is_none() {
            written.names.push(name);
        }
    })?;
    Ok(written)
}
