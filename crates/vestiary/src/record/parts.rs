//! The parts of a record's text.

use alloc::string::String;
use core::ops::Range;

use super::Limits;
use crate::{CookieOverrides, Error, Format, Meta, SealRing, WriteId, json};

/// The members of a stored record, and their places in its text.
pub(super) struct Parts<'t> {
    text: &'t str,
    pub(super) format: Format,
    /// `None` if it is not an object.
    pub(super) cookie: Option<Range<usize>>,
    /// An object; without meaning in [`Format::ExpressSession`].
    pub(super) data: Range<usize>,
    meta: Option<&'t str>,
    /// In [`Format::ExpressSession`], the `originalMaxAge` of express-session, if that wrote the record last.
    max_age: Option<&'t str>,
}

impl<'t> Parts<'t> {
    pub(super) fn of(text: &'t str, limits: Limits) -> Result<Self, Error> {
        check_whole(text.len(), limits)?;
        let [_, lasting, meta, cookie, data] =
            find(text, [b"v", b"vestiary", b"meta", b"cookie", b"data"], limits)?;
        let is_object = |place: &Range<usize>| text.as_bytes().get(place.start) == Some(&b'{');
        let cookie = cookie.filter(is_object);
        let inner = text_at(text, cookie.as_ref());
        // Usually the cookie does not contain the name, which shows without a walk, because no key escapes a letter.
        let may_be = inner.as_bytes().windows(MAX_AGE.len()).any(|part| part == MAX_AGE);
        if may_be
            && let Ok([_, meta, Some(max_age), _]) =
                find(inner, [b"v", b"meta", MAX_AGE, b"data"], limits)
        {
            check_size(text.len() - inner.len(), limits)?;
            let ours = meta.and_then(|place| inner.get(place));
            let max_age = inner.get(max_age).filter(|_| ours.is_none());
            let meta = ours.or_else(|| text.get(lasting?));
            return Ok(Self {
                text,
                format: Format::ExpressSession,
                cookie,
                data: 0..0,
                meta,
                max_age,
            });
        }
        let data = data.filter(is_object).ok_or_else(|| unreadable(text, Error::DataNotObject))?;
        check_size(data.len(), limits)?;
        let meta = meta.and_then(|place| text.get(place));
        Ok(Self { text, format: Format::SvelteKitSessions, cookie, data, meta, max_age: None })
    }

    pub(super) fn meta(&self) -> Result<Meta, Error> {
        let mut meta = self.meta.map_or_else(|| Ok(Meta::default()), Meta::read)?;
        if let Some(max_age) = self.max_age {
            meta.cookie = CookieOverrides::by_express(meta.cookie, max_age);
        }
        Ok(meta)
    }

    pub(super) fn cookie(&self) -> &'t str {
        text_at(self.text, self.cookie.as_ref())
    }

    pub(super) fn data(&self) -> &'t str {
        text_at(self.text, Some(&self.data))
    }
}

/// A member that only the express-session format has.
const MAX_AGE: &[u8; 14] = b"originalMaxAge";

/// The error of an unreadable text. If another instance has encrypted it, that is the reason, whatever `error` says.
pub(crate) fn unreadable(text: &str, error: Error) -> Error {
    if SealRing::is_sealed(text) { Error::Unsealable } else { error }
}

/// The write ID at the head of a record's text, where a store finds it without parsing. A write ID elsewhere in the text
/// does not count, because no store would find it.
pub(crate) fn write_id_of(text: &str) -> Option<&str> {
    let rest = HEADS.into_iter().find_map(|head| text.strip_prefix(head))?;
    let (write_id, rest) = rest.split_at_checked(WriteId::LENGTH)?;
    rest.starts_with('"').then_some(write_id)
}

/// The text before the write ID, in either format.
const HEADS: [&str; 2] = ["{\"v\":\"", "{\"cookie\":{\"v\":\""];

/// Finds the places of these members' values in an object.
fn find<const N: usize>(
    object: &str,
    names: [&[u8]; N],
    Limits { depth, .. }: Limits,
) -> Result<[Option<Range<usize>>; N], Error> {
    let mut found = [const { None }; N];
    json::members(object, depth, depth, &mut |key, place| {
        let at = names.iter().position(|name| *name == key);
        let Some(value) = at.and_then(|at| found.get_mut(at)) else { return Ok(()) };
        // If two members had one name, readers would disagree which one counts.
        match value.replace(place) {
            Some(_) => Err(Error::Json),
            None => Ok(()),
        }
    })?;
    Ok(found)
}

/// Appends the members of an object, except those in `without`. Puts a comma before each but the first.
pub(crate) fn push_members(
    text: &mut String,
    object: &str,
    without: &[&[u8]],
    Limits { depth, .. }: Limits,
) -> Result<(), Error> {
    let mut end = 0;
    json::members(object, depth, depth, &mut |key, place| {
        let before = object.as_bytes().get(end..).unwrap_or_default();
        let quote = end + before.iter().take_while(|byte| **byte != b'"').count();
        end = place.end;
        if !without.contains(&key) {
            if !text.ends_with('{') {
                text.push(',');
            }
            text.push_str(object.get(quote..end).unwrap_or_default());
        }
        Ok(())
    })
}

/// The object at this place, or an empty one.
pub(super) fn text_at<'t>(text: &'t str, place: Option<&Range<usize>>) -> &'t str {
    place.and_then(|place| text.get(place.clone())).unwrap_or("{}")
}

pub(super) fn check_whole(size: usize, limits: Limits) -> Result<(), Error> {
    let bytes = limits.bytes.saturating_add(Limits::BESIDE);
    check_size(size, Limits { bytes, ..limits })
}

pub(crate) fn check_size(size: usize, limits: Limits) -> Result<(), Error> {
    if size <= limits.bytes { Ok(()) } else { Err(Error::TooLarge { size, limit: limits.bytes }) }
}
