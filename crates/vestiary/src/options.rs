use alloc::{
    borrow::{Cow, ToOwned as _},
    string::String,
};

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
        if options.format == Format::Express && options.timeouts.has_renewal() {
            return Err(Error::ExpressRenewal);
        }
        options.limits.bytes = max_bytes(input.max_bytes)?;
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
        own.attributes = overrides.shown(&self.attributes, self.format == Format::Seed)?;
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
    /// `maxAge` in there as milliseconds, so for [`Format::Express`] it must have neither `maxAge`
    /// nor `expires`; they are put in here, as express-session has them.
    ///
    /// # Errors
    /// [`Error`] if `attributes` is no JSON object.
    pub fn record_cookie<'a>(
        &self,
        attributes: &'a str,
        now: UnixMillis,
    ) -> Result<Cow<'a, str>, Error> {
        if self.format == Format::Seed {
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

/// The least that `maxBytes` may be: no session is smaller that holds something.
const LEAST_BYTES: f64 = 1_024.0;

/// 64 MiB: more is a mistake, and no store's idea of a value.
const MOST_BYTES: f64 = 67_108_864.0;

#[cold]
fn max_bytes(bytes: Option<f64>) -> Result<usize, Error> {
    let Some(bytes) = bytes else { return Ok(Limits::SAVE.bytes) };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked in the same expression"
    )]
    let whole = bytes as usize;
    #[expect(clippy::cast_precision_loss, reason = "at most 64 MiB")]
    let is_whole = whole as f64 >= bytes;
    if is_whole && (LEAST_BYTES..=MOST_BYTES).contains(&bytes) {
        Ok(whole)
    } else {
        Err(Error::MaxBytes)
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;
    use crate::SameSiteOption;

    fn header(name: &str, cookie: CookieOptions<'_>) -> Result<String, Error> {
        let input = OptionsInput { name: Some(name), cookie, ..OptionsInput::default() };
        Ok(Options::new(input)?.set_cookie(false).with_value("v"))
    }

    fn cookie() -> CookieOptions<'static> {
        CookieOptions::default()
    }

    #[test]
    fn defaults_are_the_hosts() {
        let options = Options::new(OptionsInput::default()).unwrap();
        assert_eq!(
            options.set_cookie(false).with_value("v"),
            "connect.sid=v; Path=/; HttpOnly; SameSite=Lax"
        );
        assert!(options.set_cookie(true).with_value("v").contains("; Secure"));
    }

    #[test]
    fn every_attribute_of_the_readme() {
        let all = CookieOptions {
            domain: Some("example.com"),
            expires: Some(1_700_000_000_000.0),
            http_only: Some(true),
            max_age: Some(60.9),
            partitioned: true,
            path: Some("/app"),
            priority: Some("HIGH"),
            same_site: Some(SameSiteOption::Name("None")),
            secure: Some(true),
        };
        assert_eq!(
            header("sid", all).unwrap(),
            "sid=v; Max-Age=60; Domain=example.com; Path=/app; Expires=Tue, 14 Nov 2023 22:13:20 GMT; \
             HttpOnly; Secure; Partitioned; Priority=High; SameSite=None"
        );
        let none = CookieOptions {
            http_only: Some(false),
            same_site: Some(SameSiteOption::Flag(false)),
            ..cookie()
        };
        assert_eq!(header("sid", none).unwrap(), "sid=v; Path=/");
        let strict = CookieOptions { same_site: Some(SameSiteOption::Flag(true)), ..cookie() };
        assert!(header("sid", strict).unwrap().ends_with("SameSite=Strict"));
    }

    #[test]
    fn what_a_browser_would_drop_is_refused_or_mended() {
        let insecure = || CookieOptions { secure: Some(false), ..cookie() };
        let none = CookieOptions { same_site: Some(SameSiteOption::Name("none")), ..cookie() };
        for (name, bad) in [
            ("__Host-id", insecure()),
            ("__host-id", CookieOptions { path: Some("/app"), ..cookie() }),
            ("__Host-id", CookieOptions { domain: Some("example.com"), ..cookie() }),
            ("__Secure-id", insecure()),
            ("sid", CookieOptions { partitioned: true, ..insecure() }),
            (
                "sid",
                CookieOptions { same_site: Some(SameSiteOption::Name("sometimes")), ..cookie() },
            ),
            ("sid", CookieOptions { priority: Some("urgent"), ..cookie() }),
            ("sid", CookieOptions { expires: Some(-1.0), ..cookie() }),
            ("sid", CookieOptions { expires: Some(f64::NAN), ..cookie() }),
            ("sid", CookieOptions { max_age: Some(f64::INFINITY), ..cookie() }),
        ] {
            assert!(header(name, bad.clone()).is_err(), "{name} {bad:?}");
        }
        for (name, mended) in [
            ("__Host-id", cookie()),
            ("__Secure-id", CookieOptions { path: Some("/app"), ..cookie() }),
            ("sid", CookieOptions { partitioned: true, ..cookie() }),
            ("sid", none),
        ] {
            assert!(
                header(name, mended.clone()).unwrap().contains("; Secure"),
                "{name} {mended:?}"
            );
        }
    }

    #[test]
    fn rolling_needs_max_age() {
        let rolling = |max_age| {
            let cookie = CookieOptions { max_age, ..cookie() };
            Options::new(OptionsInput { cookie, rolling: true, ..OptionsInput::default() })
                .unwrap()
                .policy()
                .rolling
        };
        assert!(!rolling(None));
        assert!(rolling(Some(1.0)));
    }

    #[test]
    fn a_rolling_record_outlives_its_cookie_by_the_time_it_is_not_touched() {
        let ttl = |rolling, touch_after| {
            let cookie = CookieOptions { max_age: Some(100.0), ..cookie() };
            let input = OptionsInput { cookie, rolling, touch_after, ..OptionsInput::default() };
            Options::new(input).map(|options| (options.ttl(UnixMillis(5)), options.touch_after()))
        };
        assert_eq!(ttl(false, None), Ok((Ttl::Millis(100_000), 0)));
        assert_eq!(ttl(true, None), Ok((Ttl::Millis(110_000), 10_000)));
        assert_eq!(ttl(true, Some(0.0)), Ok((Ttl::Millis(100_000), 0)));
        assert_eq!(ttl(true, Some(30.0)), Ok((Ttl::Millis(130_000), 30_000)));
        for wrong in [-1.0, f64::NAN, f64::INFINITY, 1e18] {
            let error = Error::Timeout { name: "touchAfter" };
            assert_eq!(ttl(true, Some(wrong)), Err(error.clone()), "{wrong}");
            assert_eq!(ttl(false, Some(wrong)), Err(error), "{wrong}");
        }
    }

    #[test]
    fn stores_know_sessions_by_keys_of_their_namespace() {
        let options = |namespace, hash_ids| {
            Options::new(OptionsInput { namespace, hash_ids, ..OptionsInput::default() })
        };
        let id = SessionId::from_entropy(&[0; 24]);
        let key = |namespace, hash_ids| options(namespace, hash_ids).unwrap().store_key(&id);
        assert_eq!(key(None, false), id.expose());
        assert_eq!(key(Some("admin"), false), ["admin:", id.expose()].concat());
        // printf vestiary.id.v1AAAA… | openssl sha256
        let hash = "6WhF4VkcwMpHyAnTMyRj_mZz0Gy1-9ecNBdGqLqzwoM";
        assert_eq!(key(None, true), hash);
        assert_eq!(key(Some("admin"), true), ["admin:", hash].concat());
        let user = options(Some("admin"), false).unwrap().user_key("ada");
        assert!(user.starts_with("admin:user:") && user.len() == 11 + 43, "{user}");
        for bad in ["", "a:b", "a b", "\u{e9}", &"x".repeat(65)] {
            assert_eq!(options(Some(bad), false).err(), Some(Error::Namespace), "{bad}");
        }
    }
}
