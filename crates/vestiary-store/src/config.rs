use std::{fmt, sync::Arc, time::Duration};

use serde_json::{Map, Value};
use vestiary::{
    CookieOptions, Error, Format, OnReuse, Options, OptionsInput, SameSiteOption, Timeouts,
    constants,
};

use crate::{Event, event::Listener, migration::Migration};

/// Options of sessions and their cookies. They have the names and the meaning of the SvelteKit package's options.
///
/// For both products to share sessions, these must be equal: the secrets, [`name`](Config::name),
/// [`namespace`](Config::namespace), [`hash_ids`](Config::hash_ids), [`encrypt`](Config::encrypt), and the
/// store with its prefix.
///
/// ```
/// use std::time::Duration;
/// use vestiary_store::{Config, MemoryStore, Sessions};
///
/// let config = Config::new("a long random secret, from the environment")
///     .name("__Host-session")
///     .max_age(Duration::from_secs(7 * 86_400))
///     .idle_timeout(Duration::from_secs(3_600));
/// let sessions = Sessions::new(&config, MemoryStore::default())?;
/// # Ok::<(), vestiary::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Config {
    pub(crate) secrets: Vec<String>,
    name: Option<String>,
    domain: Option<String>,
    path: Option<String>,
    max_age: Option<Duration>,
    http_only: Option<bool>,
    secure: Option<bool>,
    same_site: Option<SameSite>,
    partitioned: bool,
    rolling: bool,
    touch_after: Option<Duration>,
    idle_timeout: Option<Duration>,
    absolute_timeout: Option<Duration>,
    renew_after: Option<Duration>,
    renew_grace: Option<Duration>,
    on_reuse: OnReuse,
    recheck_after: Option<Duration>,
    cache: Option<Cache>,
    device_bound: Option<DeviceBound>,
    namespace: Option<String>,
    hash_ids: bool,
    max_bytes: Option<usize>,
    version: Option<u32>,
    pub(crate) migration: Option<Migration>,
    format: Format,
    pub(crate) encrypt: Encrypt,
    sessions_per_user: SessionsPerUser,
    pub(crate) store_timeout: Option<Duration>,
    pub(crate) on_store_error: OnStoreError,
    pub(crate) on_event: Option<Listener>,
}

/// Whether browsers send the cookie with requests from other sites.
pub use vestiary::SameSite;
/// The limit of a user's sessions, and its effect.
pub use vestiary::{SessionsPerUser, WhenFull};

/// Whether records are encrypted (XChaCha20-Poly1305), with a key derived from the secret and the session's ID.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Encrypt {
    /// Records are stored as plain JSON.
    #[default]
    Off,
    /// Records are encrypted. An unencrypted record is rejected, so that write access to the store does not suffice to
    /// plant a session.
    On,
    /// As [`On`](Encrypt::On), but unencrypted records are still accepted, and encrypted at their next write.
    Migrate,
}

/// A near cache: [`Config::cache`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct Cache {
    max_stale: Duration,
    max_entries: Option<usize>,
}

impl Cache {
    /// A cache whose entries answer for this long, in whole milliseconds: at most a minute. The time counts from when the
    /// store was asked.
    pub fn new(max_stale: Duration) -> Self {
        Self { max_stale, max_entries: None }
    }

    /// The maximum number of entries: from 1 to 1,000,000. A session takes one, and its user's session list another one.
    /// All entries together take at most 2 KiB for each, so larger records leave room for fewer. Their table takes 4 MiB, or
    /// 32 MiB for a million. Default: 10,000.
    pub fn max_entries(self, most: usize) -> Self {
        Self { max_entries: Some(most), ..self }
    }
}

/// Device-bound sessions: [`Config::device_bound`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct DeviceBound {
    max_age: Option<Duration>,
    path: Option<String>,
}

impl DeviceBound {
    /// The lifetime of the bound cookie, in whole seconds: at most a day. A stolen cookie is dead after it. Chromium
    /// refreshes two minutes before the end, and at most six times in nine minutes, so less than three minutes are for tests.
    /// Default: 5 minutes.
    pub fn max_age(self, age: Duration) -> Self {
        Self { max_age: Some(age), ..self }
    }

    /// The path below which browsers register and refresh: it must lie below the path of the cookie. Default:
    /// `device-session` below the path of the cookie.
    pub fn path(self, path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..self }
    }
}

/// How to treat requests while the store is unavailable.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnStoreError {
    /// Every use of the session returns the error.
    #[default]
    Error,
    /// The visitor counts as anonymous. The session that could not be read is never overwritten, and its cookie stays.
    Anonymous,
}

impl Config {
    /// Creates the default options with the secret that signs the cookies: at least 16 bytes, 32 random ones are
    /// better. All processes need the same secret. A release build refuses one that repeats itself or is a known sample.
    pub fn new(secret: impl Into<String>) -> Self {
        Self {
            secrets: vec![secret.into()],
            name: None,
            domain: None,
            path: None,
            max_age: None,
            http_only: None,
            secure: None,
            same_site: None,
            partitioned: false,
            rolling: false,
            touch_after: None,
            idle_timeout: None,
            absolute_timeout: None,
            renew_after: None,
            renew_grace: None,
            on_reuse: OnReuse::Report,
            recheck_after: None,
            cache: None,
            device_bound: None,
            namespace: None,
            hash_ids: false,
            max_bytes: None,
            version: None,
            migration: None,
            format: Format::SvelteKitSessions,
            encrypt: Encrypt::Off,
            sessions_per_user: SessionsPerUser::default(),
            store_timeout: Some(Duration::from_millis(constants::STORE_TIMEOUT)),
            on_store_error: OnStoreError::Error,
            on_event: None,
        }
    }

    /// Adds a previous secret: accepted for verifying and decrypting, never used to sign or encrypt.
    ///
    /// ```
    /// # use vestiary_store::Config;
    /// # let [secret, previous] = ["the new one, long and random", "the one that is being replaced"];
    /// let config = Config::new(secret).previous_secret(previous);
    /// ```
    pub fn previous_secret(mut self, secret: impl Into<String>) -> Self {
        self.secrets.push(secret.into());
        self
    }

    /// The cookie's name. Default: `connect.sid`.
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// The domain whose hosts receive the cookie. Default: only the host that set it.
    pub fn domain(self, domain: impl Into<String>) -> Self {
        Self { domain: Some(domain.into()), ..self }
    }

    /// The path below which browsers send the cookie. Default: `/`.
    pub fn path(self, path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..self }
    }

    /// The lifetime of the cookie in the browser, in whole seconds. Default: until the browser is closed.
    pub fn max_age(self, age: Duration) -> Self {
        Self { max_age: Some(age), ..self }
    }

    /// Whether the cookie is hidden from scripts. Default: `true`.
    pub fn http_only(self, http_only: bool) -> Self {
        Self { http_only: Some(http_only), ..self }
    }

    /// Whether browsers send the cookie over HTTPS only (and to localhost). Default: `true`, except for requests whose
    /// `Host` is localhost.
    pub fn secure(self, secure: bool) -> Self {
        Self { secure: Some(secure), ..self }
    }

    /// Whether browsers send the cookie with requests from other sites. Default: [`SameSite::Lax`].
    pub fn same_site(self, same_site: SameSite) -> Self {
        Self { same_site: Some(same_site), ..self }
    }

    /// Gives each site that embeds this one a cookie of its own (CHIPS). It implies `Secure`. Default: `false`.
    pub fn partitioned(self, partitioned: bool) -> Self {
        Self { partitioned, ..self }
    }

    /// Refreshes cookie and record whenever the session is used, so that it expires [`max_age`](Config::max_age) after
    /// its last use. Default: `false`.
    pub fn rolling(self, rolling: bool) -> Self {
        Self { rolling, ..self }
    }

    /// The minimum time between two refreshes of a rolling session's record. Default: a tenth of
    /// [`max_age`](Config::max_age).
    pub fn touch_after(self, after: Duration) -> Self {
        Self { touch_after: Some(after), ..self }
    }

    /// Ends a session that was not used for this long, whatever its cookie and its store allow. The session ends
    /// at most a tenth of this time later. Default: none.
    pub fn idle_timeout(self, after: Duration) -> Self {
        Self { idle_timeout: Some(after), ..self }
    }

    /// Ends a session this long after it began, however much it is used. Default: none.
    pub fn absolute_timeout(self, after: Duration) -> Self {
        Self { absolute_timeout: Some(after), ..self }
    }

    /// Gives a session another ID, with the same data, this long after it got its current one. Not available in
    /// [`Format::ExpressSession`]: Express would take the tombstone of the old ID for a session. Default: never.
    pub fn renew_after(self, after: Duration) -> Self {
        Self { renew_after: Some(after), ..self }
    }

    /// The grace period of a renewal, in which the old ID still leads to the session: at most 10 minutes.
    /// Default: 30 seconds.
    pub fn renew_grace(self, grace: Duration) -> Self {
        Self { renew_grace: Some(grace), ..self }
    }

    /// The answer to a request that uses an ID which a renewal has replaced, and whose grace period is over. With
    /// [`OnReuse::Revoke`] the session ends for every browser that has its cookie. Default: [`OnReuse::Report`].
    pub fn on_reuse(self, on_reuse: OnReuse) -> Self {
        Self { on_reuse, ..self }
    }

    /// The time between two checks of a session that a stream watches: from 1 to 300 seconds. A logout of which this
    /// process learns in no other way ends its streams that much later. Default: 10 seconds.
    pub fn recheck_after(self, after: Duration) -> Self {
        Self { recheck_after: Some(after), ..self }
    }

    /// Answers requests about the sessions that this process has read just now without asking the store. Another process
    /// that ends a session is noticed at the latest after the time of [`Cache::new`], and at once if the store has a feed that is
    /// connected. What these [`Sessions`](crate::Sessions) and their clones write counts at once. Default: no cache.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use vestiary_store::{Cache, Config};
    /// let config = Config::new("a long random secret, from the environment")
    ///     .cache(Cache::new(Duration::from_secs(1)));
    /// ```
    pub fn cache(self, cache: Cache) -> Self {
        Self { cache: Some(cache), ..self }
    }

    /// Binds the sessions of users to their browser, if the browser can do that (Device Bound Session Credentials): a stolen
    /// cookie is dead after some minutes. All services that share sessions need the option, with the same values, and one of
    /// them serves the addresses to which browsers prove their device. The cookie may have neither a domain nor be
    /// partitioned. Default: sessions are not bound.
    ///
    /// ```
    /// # use vestiary_store::{Config, DeviceBound};
    /// let config = Config::new("a long random secret, from the environment")
    ///     .device_bound(DeviceBound::default());
    /// ```
    pub fn device_bound(self, bound: DeviceBound) -> Self {
        Self { device_bound: Some(bound), ..self }
    }

    /// Separates these sessions from others with the same secret and store: cookies and records of one namespace are
    /// invalid in another. 1 to 64 letters, digits, `-`, `_` or `.`. Default: none.
    pub fn namespace(self, namespace: impl Into<String>) -> Self {
        Self { namespace: Some(namespace.into()), ..self }
    }

    /// Stores hashes of IDs instead of IDs, so that a leaked dump of the store cannot be used as cookies.
    /// Default: `false`.
    pub fn hash_ids(self, hash_ids: bool) -> Self {
        Self { hash_ids, ..self }
    }

    /// The maximum size of a session's data, in bytes of JSON: at least 1,024. The library's own metadata does not
    /// count. Default: 65,536.
    pub fn max_bytes(self, bytes: usize) -> Self {
        Self { max_bytes: Some(bytes), ..self }
    }

    /// The version of the session data that this service writes: a number from 1, stored in the record. Increase it when
    /// the meaning of stored data changes. Default: none.
    ///
    /// All services that share sessions should number their versions alike.
    pub fn version(self, version: u32) -> Self {
        Self { version: Some(version), ..self }
    }

    /// Migrates data of an older [`version`](Config::version), 0 for records without one. It runs when the data is read,
    /// and again when it is stored. Default: the data stays as it is.
    ///
    /// ```
    /// # use vestiary_store::Config;
    /// let config = Config::new("a long random secret, from the environment").version(2).migrate(
    ///     |data, version| {
    ///         if version < 2 && let Some(theme) = data.remove("colour") {
    ///             data.insert("theme".to_owned(), theme);
    ///         }
    ///     },
    /// );
    /// ```
    pub fn migrate(
        self,
        migrate: impl Fn(&mut Map<String, Value>, u32) + Send + Sync + 'static,
    ) -> Self {
        Self { migration: Some(Arc::new(migrate)), ..self }
    }

    /// Whether records are encrypted. Default: [`Encrypt::Off`].
    pub fn encrypt(self, encrypt: Encrypt) -> Self {
        Self { encrypt, ..self }
    }

    /// The format of the cookies and records that are written. Both formats are always read.
    pub fn format(self, format: Format) -> Self {
        Self { format, ..self }
    }

    /// The maximum number of sessions per user, from 1 to 4,294,967,295; `usize::MAX` for no limit. A login beyond it
    /// ends the session that has been idle longest, or is refused ([`WhenFull::Refuse`]). The size of the user's session
    /// list, 64 KiB, is a second limit: several hundred sessions. Default: 100.
    ///
    /// ```
    /// # use vestiary_store::{Config, SessionsPerUser, WhenFull};
    /// # let config = || Config::new("a long random secret, from the environment");
    /// let evicts = config().sessions_per_user(3);
    /// let refuses =
    ///     config().sessions_per_user(SessionsPerUser { most: 3, when_full: WhenFull::Refuse });
    /// ```
    pub fn sessions_per_user(self, limit: impl Into<SessionsPerUser>) -> Self {
        Self { sessions_per_user: limit.into(), ..self }
    }

    /// The timeout of a store operation. `None` and zero disable it. Default: 5 seconds.
    pub fn store_timeout(self, after: impl Into<Option<Duration>>) -> Self {
        // A longer one would overflow the clock.
        let after = after.into().filter(|after| !after.is_zero());
        let longest = Duration::from_secs(constants::CENTURY.into());
        Self { store_timeout: after.map(|after| after.min(longest)), ..self }
    }

    /// How to treat requests while the store is unavailable. Default: fail them.
    pub fn on_store_error(self, policy: OnStoreError) -> Self {
        Self { on_store_error: policy, ..self }
    }

    /// Called for each event. A panic in it is caught, so it cannot block a logout.
    ///
    /// ```
    /// # use vestiary_store::Config;
    /// let config = Config::new("a long random secret, from the environment")
    ///     .on_event(|event| eprintln!("session event: {}", event.name()));
    /// ```
    pub fn on_event(self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self { on_event: Some(Arc::new(listener)), ..self }
    }

    /// Validates the options.
    pub(crate) fn options(&self) -> Result<Options, Error> {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        let timeouts = Timeouts::new(
            seconds(self.idle_timeout),
            seconds(self.absolute_timeout),
            seconds(self.renew_after),
            seconds(self.renew_grace),
        )?;
        let input = OptionsInput {
            name: self.name.as_deref(),
            cookie: CookieOptions {
                domain: self.domain.as_deref(),
                http_only: self.http_only,
                max_age: seconds(self.max_age),
                partitioned: self.partitioned,
                path: self.path.as_deref(),
                same_site: self.same_site.map(|same_site| SameSiteOption::Name(name_of(same_site))),
                secure: self.secure,
                ..CookieOptions::default()
            },
            rolling: self.rolling,
            save_uninitialized: false,
            auto_save: true,
            touch_after: seconds(self.touch_after),
            format: self.format,
            timeouts,
            on_reuse: self.on_reuse,
            recheck_after: seconds(self.recheck_after),
            #[expect(clippy::cast_precision_loss, reason = "what is beyond 2^53 is refused")]
            max_stale: self.cache.map(|cache| cache.max_stale.as_millis() as f64),
            #[expect(clippy::cast_precision_loss, reason = "what is beyond 2^53 is refused")]
            max_entries: self.cache.and_then(|cache| cache.max_entries).map(|most| most as f64),
            namespace: self.namespace.as_deref(),
            hash_ids: self.hash_ids,
            #[expect(clippy::cast_precision_loss, reason = "what is beyond 2^53 is refused")]
            max_bytes: self.max_bytes.map(|bytes| bytes as f64),
            encrypts: self.encrypt != Encrypt::Off,
            #[expect(clippy::cast_precision_loss, reason = "what is beyond 2^32 is refused")]
            sessions_per_user: Some(match self.sessions_per_user.most {
                // More sessions than a list can hold.
                usize::MAX => f64::from(u32::MAX),
                most => most as f64,
            }),
            when_full: self.sessions_per_user.when_full,
            version: self.version.map(f64::from),
            device_bound: self.device_bound.is_some(),
            bound_max_age: seconds(self.device_bound.as_ref().and_then(|bound| bound.max_age)),
            bound_path: self.device_bound.as_ref().and_then(|bound| bound.path.as_deref()),
            attributes: None,
        };
        let attributes = self.record_cookie(&Options::new(input.clone())?);
        Options::new(OptionsInput { attributes: Some(&attributes), ..input })
    }

    /// The cookie attributes in a record: JSON text, as the SvelteKit package writes it.
    fn record_cookie(&self, options: &Options) -> String {
        let cookie = options.set_cookie(false);
        // Escapes quotes and backslashes, which a path may contain.
        let text = |name: &str, value: &str| format!("\"{name}\":{}", Value::from(value));
        let mut members = Vec::new();
        members
            .extend(cookie.domain.as_ref().and(self.domain.as_ref()).map(|it| text("domain", it)));
        members.extend(self.http_only.map(|it| format!("\"httpOnly\":{it}")));
        members.extend(self.partitioned.then(|| "\"partitioned\":true".to_owned()));
        members.push(text("path", cookie.path.as_str()));
        members.extend(self.secure.map(|it| format!("\"secure\":{it}")));
        members.extend(self.same_site.map(|it| text("sameSite", name_of(it))));
        if self.format == Format::SvelteKitSessions {
            members.extend(cookie.max_age.map(|it| format!("\"maxAge\":{}", it.seconds())));
        }
        format!("{{{}}}", members.join(","))
    }
}

fn name_of(same_site: SameSite) -> &'static str {
    match same_site {
        SameSite::Lax => "lax",
        SameSite::None => "none",
        SameSite::Strict => "strict",
    }
}

/// Never shows a secret.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("secrets", &self.secrets.len())
            .field("name", &self.name)
            .field("namespace", &self.namespace)
            .field("encrypt", &self.encrypt)
            .finish_non_exhaustive()
    }
}
