use alloc::{
    borrow::{Cow, ToOwned as _},
    string::String,
};

use core::ops::RangeInclusive;

use crate::{
    CookieName, CookieOptions, CookieOverrides, Error, Format, Limits, Meta, SessionId, SetCookie,
    Timeouts, Ttl, UnixMillis,
    cookie_options::{secure, set_attribute},
    date,
    decide::Policy,
    id, record, timeouts,
};

/// The options of a session, checked: what is in here cannot be wrong.
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
    /// `None`: the host knows whether the visitor came over https.
    secure: Option<bool>,
    /// Milliseconds in which a rolling session is touched at most once.
    touch_after: u64,
    asked: Asked,
    /// The cookie attributes that a record shows: text of a JSON object.
    attributes: String,
    limits: Limits,
    format: Format,
    timeouts: Timeouts,
    namespace: Option<String>,
    hash_ids: bool,
}

/// Options whose effect depends on the cookie's attributes, as they were given: a session may have others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Asked {
    rolling: bool,
    secure: Option<bool>,
    touch_after: Option<u64>,
}

/// The options as somebody wrote them, after the seed's README. `secret` is not among them: a
/// [`KeyRing`](crate::KeyRing) is made of it at once.
#[expect(clippy::struct_excessive_bools, reason = "they are the options that users know")]
#[derive(Clone, Debug, Default)]
pub struct OptionsInput<'a> {
    /// Name of the cookie; `connect.sid` unless said otherwise.
    pub name: Option<&'a str>,
    /// Options of the cookie.
    pub cookie: CookieOptions<'a>,
    /// Refresh an existing session on every request; ignored without `maxAge`.
    pub rolling: bool,
    /// Store new sessions, and changes, without a `save()`.
    pub save_uninitialized: bool,
    /// Store changes without a `save()`.
    pub auto_save: bool,
    /// Seconds in which a rolling session is touched in the store at most once; a tenth of `maxAge`
    /// unless said otherwise. 0 touches it on every request.
    pub touch_after: Option<f64>,
    /// Whose cookies and records are written.
    pub format: Format,
    /// How long a session lasts.
    pub timeouts: Timeouts,
    /// Sessions of one namespace do not exist for another one, on the same store and with the same
    /// secret.
    pub namespace: Option<&'a str>,
    /// The store knows no IDs, only their hashes.
    pub hash_ids: bool,
    /// Most bytes of a session's data as JSON. Default: 65,536.
    pub max_bytes: Option<f64>,
    /// Records are encrypted.
    pub encrypts: bool,
    /// Most sessions of one user: a whole number of 32 bits. The caller keeps the limit itself; here it is checked.
    /// Default: nothing to check.
    pub sessions_per_user: Option<f64>,
    /// The cookie attributes that a record shows: text of a JSON object, as for
    /// [`Options::record_cookie`]. Default: none.
    pub attributes: Option<&'a str>,
}

impl Options {
    /// Checks what somebody wrote.
    ///
    /// # Errors
    /// [`Error`] says which option is wrong and what a valid one looks like.
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
            cookie,
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
        };
        options.settle()?;
        if options.format == Format::ExpressSession && options.timeouts.has_renewal() {
            return Err(Error::ExpressRenewal);
        }
        if options.format == Format::ExpressSession && input.encrypts {
            return Err(Error::EncryptExpress);
        }
        if let Some(most) = input.sessions_per_user {
            whole(most, &(1..=u32::MAX), Error::SessionsPerUser)?;
        }
        if let Some(bytes) = input.max_bytes {
            options.limits.bytes = whole(bytes, &BYTES, Error::MaxBytes)? as usize;
        }
        options.namespace = input.namespace.map(namespace).transpose()?;
        Ok(options)
    }

    /// The options of a session that has its own cookie attributes.
    ///
    /// # Errors
    /// [`Error`] names the attribute that is not valid.
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

    /// Settles the options whose effect depends on the cookie's attributes.
    #[inline(never)]
    fn settle(&mut self) -> Result<(), Error> {
        let Asked { rolling, secure: asked, touch_after } = self.asked;
        self.secure = secure(&self.cookie, asked)?;
        let max_age = self.cookie.max_age.filter(|_| rolling);
        self.policy.rolling = max_age.is_some();
        self.touch_after =
            max_age.map_or(0, |max_age| touch_after.unwrap_or(max_age.millis() / 10));
        Ok(())
    }

    /// The options that apply to the session of this record. Attributes of its own that these options do not
    /// allow are without effect.
    #[must_use]
    pub fn for_session(&self, meta: &Meta) -> Cow<'_, Self> {
        let own = meta.cookie.as_ref().and_then(|overrides| self.overridden(overrides).ok());
        own.map_or(Cow::Borrowed(self), Cow::Owned)
    }

    /// The cookie attributes of its own that a session with this metadata has, and that apply to it.
    #[must_use]
    pub fn own_cookie<'m>(&self, meta: &'m Meta) -> Option<&'m CookieOverrides> {
        let own = meta.cookie.as_ref()?;
        (self.overridden(own).is_ok() && !self.are_repeated_by(own)).then_some(own)
    }

    /// Whether these attributes only say what the options say, and no application asked for them: then options
    /// that change still reach the session.
    #[must_use]
    #[cold]
    pub fn are_repeated_by(&self, overrides: &CookieOverrides) -> bool {
        overrides.is_by_express()
            && self.overridden(overrides).is_ok_and(|own| own.cookie == self.cookie)
    }

    /// Limits of data that is written.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Limits of a record that is read, or written again with the data that it has.
    #[must_use]
    pub fn load_limits(&self) -> Limits {
        Limits { bytes: self.limits.bytes.max(Limits::LOAD.bytes), ..self.limits }
    }

    /// [`Options::record_cookie`] of the attributes in the options.
    ///
    /// # Errors
    /// [`Error`] if they are no JSON object.
    pub fn shown_cookie(&self, now: UnixMillis) -> Result<Cow<'_, str>, Error> {
        self.record_cookie(&self.attributes, now)
    }

    /// Name of the cookie.
    #[must_use]
    pub fn name(&self) -> &CookieName {
        &self.cookie.name
    }

    /// What a request does by itself.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// The cookie to set. `secure_here` is what the host would choose for this request; it counts
    /// where the options do not say `secure`.
    #[must_use]
    pub fn set_cookie(&self, secure_here: bool) -> SetCookie {
        SetCookie { secure: self.secure.unwrap_or(secure_here), ..self.cookie.clone() }
    }

    /// What the options say of `Secure`, with what prefix and attributes demand.
    #[must_use]
    pub fn secure(&self) -> Option<bool> {
        self.secure
    }

    /// How long a record that is written or touched at `now` may stay in the store.
    ///
    /// A rolling session lives [`Options::touch_after`] longer than its cookie: so long it may go
    /// untouched while the cookie is refreshed, and the record must not expire first.
    #[must_use]
    pub fn ttl(&self, now: UnixMillis) -> Ttl {
        match Ttl::of(self.cookie.max_age, self.cookie.expires, now) {
            Ttl::Millis(millis) if millis > 0 => {
                Ttl::Millis(millis.saturating_add(self.touch_after))
            }
            ttl => ttl,
        }
    }

    /// Whether a session is over the moment it is saved. The time is asked for only if it counts.
    pub(crate) fn is_over(&self, now: impl FnOnce() -> UnixMillis) -> bool {
        let now = if self.cookie.expires.is_some() { now() } else { UnixMillis(0) };
        self.ttl(now).is_over()
    }

    /// Whose cookies and records are written.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// What a record that is written at `now` says of its cookie: text of a JSON object.
    ///
    /// `attributes` is such a text, with the options as they were given. express-session reads a
    /// `maxAge` in there as milliseconds, so for [`Format::ExpressSession`] it must have neither `maxAge`
    /// nor `expires`; they are put in here, as express-session has them.
    ///
    /// # Errors
    /// [`Error`] if `attributes` is no JSON object.
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

    /// How long a session lasts.
    #[must_use]
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// Whose sessions these are.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// What the store knows a session by, after its own prefix: the ID, as in the seed, or its hash,
    /// with the namespace and a colon before it.
    #[must_use]
    pub fn store_key(&self, id: &SessionId) -> String {
        if self.hash_ids { self.in_namespace(&id.hashed()) } else { self.in_namespace(id.expose()) }
    }

    /// What the store knows the list of a user's sessions by: `user:` and the hash of the user's name.
    #[must_use]
    pub fn user_key(&self, name: &str) -> String {
        self.list_key(&id::user_key(name))
    }

    /// [`Options::user_key`] for the hash of a user's name, as [`KeyRing::hint`](crate::KeyRing::hint) gives it.
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

    /// Milliseconds after a write in which a rolling session need not be touched.
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

/// The least that `maxBytes` may be: no session is smaller that holds something. The most is 64 MiB: more is a mistake, and
/// no store's idea of a value.
const BYTES: RangeInclusive<u32> = 1_024..=67_108_864;

/// A whole number in this range.
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
