//! The options of sessions, and the deadlines that follow from them.

mod cache;
mod device_bound;
mod per_user;
mod text;
mod timeouts;

use alloc::{
    borrow::{Cow, ToOwned as _},
    string::String,
};
use core::ops::RangeInclusive;

pub use cache::CacheOptions;
pub use device_bound::DeviceBoundOptions;
pub use per_user::{SessionsPerUser, WhenFull};
pub use text::{OptionType, OptionsText};
pub use timeouts::Timeouts;

use crate::{
    CookieName, CookieOptions, CookieOverrides, Error, Format, Limits, MaxAge, Meta, SessionId,
    SetCookie, Ttl, UnixMillis,
    cookie::{secure, set_attribute},
    decide::Policy,
    id, record,
    time::date,
};

/// The options of sessions, validated.
///
/// ```
/// # use vestiary::{CookieOptions, Options, OptionsInput};
/// let cookie = CookieOptions { max_age: Some(3600.0), ..CookieOptions::default() };
/// let options = Options::new(OptionsInput { cookie, rolling: true, ..OptionsInput::default() })?;
/// assert_eq!(options.name().as_str(), "connect.sid");
/// assert_eq!(
///     options.set_cookie(true).with_value("x"),
///     "connect.sid=x; Max-Age=3600; Path=/; HttpOnly; Secure; SameSite=Lax"
/// );
/// # Ok::<(), vestiary::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    policy: Policy,
    cookie: SetCookie,
    /// `None`: the host decides by the request's URL.
    secure: Option<bool>,
    /// The minimum time between two touches of a rolling session, in milliseconds.
    touch_after: u64,
    asked: Asked,
    /// The cookie attributes for records: text of a JSON object.
    attributes: String,
    limits: Limits,
    format: Format,
    timeouts: Timeouts,
    namespace: Option<String>,
    hash_ids: bool,
    version: Option<u32>,
    on_reuse: OnReuse,
    sessions_per_user: SessionsPerUser,
    /// The maximum time between two checks of a watched session, in milliseconds.
    recheck_after: u64,
    cache: Option<CacheOptions>,
    device_bound: Option<DeviceBoundOptions>,
}

/// Options whose effect depends on the cookie's attributes, as they were given. A session may have its own attributes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Asked {
    rolling: bool,
    secure: Option<bool>,
    touch_after: Option<u64>,
}

/// The answer to a request that uses an ID which a renewal has replaced, and whose grace period is over.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnReuse {
    /// The request has no session, and the event says so.
    #[default]
    Report,
    /// The session is revoked, too: if the cookie was stolen, the thief may have the later ID, and the visitor this one.
    Revoke,
}

/// The options before validation. They have the meaning that svelte-kit-sessions documents. `secret` is not among them:
/// a [`KeyRing`](crate::KeyRing) is created from it at once.
#[expect(clippy::struct_excessive_bools, reason = "they are the options that users know")]
#[derive(Clone, Debug, Default)]
pub struct OptionsInput<'a> {
    /// The cookie's name. Default: `connect.sid`.
    pub name: Option<&'a str>,
    /// The cookie options.
    pub cookie: CookieOptions<'a>,
    /// Refresh a stored session on every request. Ignored without `maxAge`.
    pub rolling: bool,
    /// Store new sessions, and changes, without a `save()`.
    pub save_uninitialized: bool,
    /// Store changes without a `save()`.
    pub auto_save: bool,
    /// The minimum time between two touches of a rolling session's record, in seconds; 0 touches on every request.
    /// Default: a tenth of `maxAge`.
    pub touch_after: Option<f64>,
    /// The format of the cookies and records that are written.
    pub format: Format,
    /// The timeouts of sessions.
    pub timeouts: Timeouts,
    /// Separates sessions from those of other namespaces with the same store and secret.
    pub namespace: Option<&'a str>,
    /// Store hashes of IDs instead of IDs.
    pub hash_ids: bool,
    /// The maximum size of a session's data, in bytes of JSON. Default: 65,536.
    pub max_bytes: Option<f64>,
    /// Encrypt records.
    pub encrypts: bool,
    /// The maximum number of sessions per user: a whole number of 32 bits, at least 1. Default: 100.
    pub sessions_per_user: Option<f64>,
    /// The effect of a login beyond it.
    pub when_full: WhenFull,
    /// The version of the data that the application writes: a whole number of 32 bits, at least 1. Default: none.
    pub version: Option<f64>,
    /// The answer to a request that uses an ID which a renewal has replaced, and whose grace period is over.
    pub on_reuse: OnReuse,
    /// The maximum time between two checks of a session that a stream watches, in seconds: 1 to 300. Default: 10.
    pub recheck_after: Option<f64>,
    /// The age at which an entry of the near cache answers no longer, in milliseconds: 1 to 60,000. Default: no cache.
    pub max_stale: Option<f64>,
    /// The maximum number of entries of the near cache: 1 to 1,000,000. Default: 10,000.
    pub max_entries: Option<f64>,
    /// Bind the sessions of users to their browser: [`binding`](crate::binding). The store must be atomic.
    pub device_bound: bool,
    /// The lifetime of the bound cookie, in seconds: 1 to 86,400. Default: 300.
    pub bound_max_age: Option<f64>,
    /// The path below which browsers register and refresh. Default: `device-session` below the cookie's path.
    pub bound_path: Option<&'a str>,
    /// The cookie attributes for records: text of a JSON object, as for [`Options::record_cookie`]. Default: none.
    pub attributes: Option<&'a str>,
}

impl Options {
    /// Validates the options.
    ///
    /// # Errors
    /// [`Error`] names the invalid option and describes a valid one.
    #[expect(clippy::needless_pass_by_value, reason = "options are written where they are used")]
    #[inline(never)]
    pub fn new(input: OptionsInput<'_>) -> Result<Self, Error> {
        let cookie = input.cookie.checked(input.name.unwrap_or("connect.sid"))?;
        let mut options = Self {
            policy: Policy {
                rolling: input.rolling,
                save_uninitialized: input.save_uninitialized,
                auto_save: input.auto_save,
            },
            secure: None,
            touch_after: 0,
            asked: Asked {
                rolling: input.rolling,
                secure: input.cookie.secure,
                touch_after: timeouts::millis("touchAfter", input.touch_after, 0.0)?,
            },
            attributes: input.attributes.unwrap_or("{}").to_owned(),
            limits: Limits::SAVE,
            format: input.format,
            timeouts: input.timeouts,
            namespace: None,
            hash_ids: input.hash_ids,
            version: None,
            on_reuse: input.on_reuse,
            sessions_per_user: SessionsPerUser {
                when_full: input.when_full,
                ..SessionsPerUser::default()
            },
            recheck_after: timeouts::recheck(input.recheck_after)?,
            cache: cache::checked(input.max_stale, input.max_entries)?,
            device_bound: device_bound::checked(&input, &cookie)?,
            cookie,
        };
        options.settle()?;
        if options.format == Format::ExpressSession && options.timeouts.has_renewal() {
            return Err(Error::ExpressRenewal);
        }
        if options.format == Format::ExpressSession && input.encrypts {
            return Err(Error::EncryptExpress);
        }
        if let Some(most) = input.sessions_per_user {
            let most = whole(most, &(1..=u32::MAX), Error::SessionsPerUser)?;
            options.sessions_per_user.most = most as usize;
        }
        if let Some(bytes) = input.max_bytes {
            options.limits.bytes = whole(bytes, &BYTES, Error::MaxBytes)? as usize;
        }
        if let Some(version) = input.version {
            let refusal = Error::OptionType { name: "version", expected: "a whole number from 1" };
            options.version = Some(whole(version, &(1..=u32::MAX), refusal)?);
        }
        options.namespace = input.namespace.map(namespace).transpose()?;
        Ok(options)
    }

    /// The options of a session with cookie attributes of its own.
    ///
    /// # Errors
    /// [`Error`] names the invalid attribute.
    #[cold]
    pub fn overridden(&self, overrides: &CookieOverrides) -> Result<Self, Error> {
        let mut own = self.clone();
        for (name, value) in overrides.attributes() {
            set_attribute(&mut own.cookie, &mut own.asked.secure, name, value)?;
        }
        own.settle()?;
        own.attributes =
            overrides.shown(&self.attributes, self.format == Format::SvelteKitSessions)?;
        Ok(own)
    }

    /// Computes the options whose effect depends on the cookie's attributes.
    #[inline(never)]
    fn settle(&mut self) -> Result<(), Error> {
        let Asked { rolling, secure: asked, touch_after } = self.asked;
        self.secure = secure(&self.cookie, asked)?;
        let max_age = self.cookie.max_age.filter(|_| rolling);
        self.policy.rolling = max_age.is_some();
        self.touch_after =
            max_age.map_or(0, |max_age| touch_after.unwrap_or(max_age.millis() / 10));
        self.device_bound.as_ref().map_or(Ok(()), |device| device.check(&self.cookie))
    }

    /// The options for the session with this metadata. If its own attributes contradict the options, they are ignored.
    #[must_use]
    pub fn for_session(&self, meta: &Meta) -> Cow<'_, Self> {
        let own = meta.cookie.as_ref().and_then(|overrides| self.overridden(overrides).ok());
        own.map_or(Cow::Borrowed(self), Cow::Owned)
    }

    /// The cookie attributes of the session itself, if they are valid with these options.
    #[must_use]
    pub fn own_cookie<'m>(&self, meta: &'m Meta) -> Option<&'m CookieOverrides> {
        let own = meta.cookie.as_ref()?;
        (self.overridden(own).is_ok() && !self.are_repeated_by(own)).then_some(own)
    }

    /// Whether the attributes only repeat the options, and not because an application assigned them. If so, they are
    /// dropped, and later changes of the options reach the session.
    #[must_use]
    #[cold]
    pub fn are_repeated_by(&self, overrides: &CookieOverrides) -> bool {
        overrides.is_by_express()
            && self.overridden(overrides).is_ok_and(|own| own.cookie == self.cookie)
    }

    /// The limits for data that is written.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The limits for a record that is read, or rewritten with unchanged data.
    #[must_use]
    pub fn load_limits(&self) -> Limits {
        Limits { bytes: self.limits.bytes.max(Limits::LOAD.bytes), ..self.limits }
    }

    /// [`Options::record_cookie`] with the attributes of the options.
    ///
    /// # Errors
    /// [`Error`] if they are not a JSON object.
    pub fn shown_cookie(&self, now: UnixMillis) -> Result<Cow<'_, str>, Error> {
        self.record_cookie(&self.attributes, now)
    }

    /// The cookie's name.
    #[must_use]
    pub fn name(&self) -> &CookieName {
        &self.cookie.name
    }

    /// The options for automatic saving and refreshing.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// The cookie to set. `secure_here` is the value of `Secure` for this request if the options leave it open.
    #[must_use]
    pub fn set_cookie(&self, secure_here: bool) -> SetCookie {
        SetCookie { secure: self.secure.unwrap_or(secure_here), ..self.cookie.clone() }
    }

    /// The option `Secure`, with the requirements of prefix and attributes; `None` if the host decides.
    #[must_use]
    pub fn secure(&self) -> Option<bool> {
        self.secure
    }

    /// The TTL of a record that is written or touched at `now`.
    ///
    /// The record of a rolling session outlives its cookie by [`Options::touch_after`], because it may stay untouched for
    /// that long while the cookie is refreshed.
    #[must_use]
    pub fn ttl(&self, now: UnixMillis) -> Ttl {
        match Ttl::of(self.cookie.max_age, self.cookie.expires, now) {
            Ttl::Millis(millis) if millis > 0 => {
                Ttl::Millis(millis.saturating_add(self.touch_after))
            }
            ttl => ttl,
        }
    }

    /// The lifetime of the cookie from the moment it is set, in milliseconds, if a record says when that was. A rolling
    /// cookie is set with every response, and express-session keeps its own deadline.
    pub(crate) fn lasting(&self) -> Option<u64> {
        let is_counted = !self.policy.rolling && self.format == Format::SvelteKitSessions;
        self.cookie.max_age.filter(|_| is_counted).map(MaxAge::millis)
    }

    /// When the browser drops the cookie. `set` is the time at which it is set, if that is now; `until` is when a cookie
    /// ends that was set before.
    pub(crate) fn cookie_end(
        &self,
        set: Option<UnixMillis>,
        until: Option<UnixMillis>,
    ) -> Option<UnixMillis> {
        match (self.cookie.max_age, set) {
            (Some(max_age), Some(at)) => Some(at.plus(max_age.millis())),
            (Some(_), None) => until.filter(|_| self.lasting().is_some()),
            (None, _) => self.cookie.expires,
        }
    }

    /// Whether a session expires as soon as it is saved. Reads the clock only if `expires` is set.
    pub(crate) fn is_expired(&self, now: impl FnOnce() -> UnixMillis) -> bool {
        let now = if self.cookie.expires.is_some() { now() } else { UnixMillis(0) };
        self.ttl(now).is_expired()
    }

    /// The format of the cookies and records that are written.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The cookie object of a record that is written at `now`: text of a JSON object.
    ///
    /// `attributes` is the text of an object with the options as they were given. express-session takes `maxAge` for
    /// milliseconds, so for [`Format::ExpressSession`] it must contain neither `maxAge` nor `expires`; they are added
    /// in express-session's form.
    ///
    /// # Errors
    /// [`Error`] if `attributes` is not a JSON object.
    pub fn record_cookie<'a>(
        &self,
        attributes: &'a str,
        now: UnixMillis,
    ) -> Result<Cow<'a, str>, Error> {
        if self.format == Format::SvelteKitSessions {
            return Ok(attributes.into());
        }
        let ttl = Ttl::of(self.cookie.max_age, self.cookie.expires, now);
        let mut text = String::from("{\"originalMaxAge\":");
        match (ttl, ttl.deadline(now)) {
            (Ttl::Millis(millis), Some(deadline)) => {
                date::push_number(&mut text, millis, 1);
                text.push_str(",\"expires\":\"");
                date::push_iso(&mut text, deadline);
                text.push('"');
            }
            _ => text.push_str("null,\"expires\":null"),
        }
        record::push_members(&mut text, attributes, &[], Limits::LOAD)?;
        text.push('}');
        Ok(text.into())
    }

    /// The timeouts of sessions.
    #[must_use]
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// The limit of the number of a user's sessions.
    #[must_use]
    pub fn sessions_per_user(&self) -> SessionsPerUser {
        self.sessions_per_user
    }

    /// The version of the data that the application writes; `None` if it does not number its versions.
    #[must_use]
    pub fn version(&self) -> Option<u32> {
        self.version
    }

    /// The version of a record's data, if it is older than the application's: 0 if the record has none.
    #[must_use]
    pub fn outdated(&self, meta: &Meta) -> Option<u32> {
        let version = meta.version.unwrap_or_default();
        self.version.filter(|current| version < *current).map(|_| version)
    }

    /// The answer to a request that uses an ID which a renewal has replaced, and whose grace period is over.
    #[must_use]
    pub fn on_reuse(&self) -> OnReuse {
        self.on_reuse
    }

    /// The maximum time between two checks of a session that a stream watches, in milliseconds.
    #[must_use]
    pub fn recheck_after(&self) -> u64 {
        self.recheck_after
    }

    /// The near cache of a process, if it has one.
    #[must_use]
    pub fn cache(&self) -> Option<CacheOptions> {
        self.cache
    }

    /// The options of device-bound sessions, if the sessions of users are bound.
    #[must_use]
    pub fn device_bound(&self) -> Option<&DeviceBoundOptions> {
        self.device_bound.as_ref()
    }

    /// The namespace of the sessions.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The key of a session in the store, without the store's prefix: the ID, as in svelte-kit-sessions, or its hash,
    /// after the namespace and a colon if there is one.
    #[must_use]
    pub fn store_key(&self, id: &SessionId) -> String {
        self.key_of(id).into_owned()
    }

    /// [`Options::store_key`], without a copy where the ID itself is the key.
    pub(crate) fn key_of<'i>(&self, id: &'i SessionId) -> Cow<'i, str> {
        match (self.hash_ids, &self.namespace) {
            (false, None) => id.expose().into(),
            (false, Some(_)) => self.in_namespace(id.expose()).into(),
            (true, _) => self.in_namespace(&id.hashed()).into(),
        }
    }

    /// The key of a user's session list in the store: `user:` and the hash of the user's name.
    #[must_use]
    pub fn user_key(&self, name: &str) -> String {
        self.list_key(&id::user_key(name))
    }

    /// As [`Options::user_key`], from the hash of a user's name that [`KeyRing::hint`](crate::KeyRing::hint) returns.
    #[must_use]
    pub fn list_key(&self, hash: &str) -> String {
        self.in_namespace(&["user:", hash].concat())
    }

    fn in_namespace(&self, key: &str) -> String {
        match &self.namespace {
            None => key.to_owned(),
            Some(namespace) => [namespace, ":", key].concat(),
        }
    }

    /// The time after a write in which a rolling session is not touched again, in milliseconds.
    #[must_use]
    pub fn touch_after(&self) -> u64 {
        self.touch_after
    }
}

fn namespace(name: &str) -> Result<String, Error> {
    if is_namespace(name) { Ok(name.to_owned()) } else { Err(Error::Namespace) }
}

pub(crate) fn is_namespace(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// The range of `maxBytes`. No useful session is smaller. More than 64 MiB is a mistake, and more than stores accept as
/// one value.
const BYTES: RangeInclusive<u32> = 1_024..=67_108_864;

/// Validates a whole number.
#[cold]
#[inline(never)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "a number that is another one afterwards is none of 32 bits"
)]
fn whole(number: f64, range: &RangeInclusive<u32>, refusal: Error) -> Result<u32, Error> {
    let whole = number as u32;
    if f64::from(whole) == number && range.contains(&whole) { Ok(whole) } else { Err(refusal) }
}

#[cfg(test)]
mod tests;
