use std::{fmt, sync::Arc, time::Duration};

use vestiary::{
    CookieOptions, Error, Format, Options, OptionsInput, SameSiteOption, Timeouts, constants,
};

use crate::{Event, event::Listener};

/// How sessions are kept and what their cookie looks like: the options of the SvelteKit package, under the
/// same names. For both to share sessions, these have to agree: the secrets, [`name`](Config::name),
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
    namespace: Option<String>,
    hash_ids: bool,
    max_bytes: Option<usize>,
    format: Format,
    pub(crate) encrypt: Encrypt,
    pub(crate) sessions_per_user: usize,
    pub(crate) store_timeout: Option<Duration>,
    pub(crate) on_store_error: OnStoreError,
    pub(crate) on_event: Option<Listener>,
}

/// When browsers send the cookie with requests that come from other sites.
pub use vestiary::SameSite;

/// Whether records are encrypted (XChaCha20-Poly1305), with a key made of the secret and the session's ID.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Encrypt {
    /// They are stored as they are.
    #[default]
    Off,
    /// One that is not encrypted is no session.
    On,
    /// Also those are read that are not, and encrypted when they are written next.
    Migrate,
}

/// What a visitor is while the store cannot be read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnStoreError {
    /// Whoever looks at the session gets the error.
    #[default]
    Error,
    /// A visitor without a session. Nothing can be written over the session that could not be read, and
    /// its cookie stays.
    Anonymous,
}

impl Config {
    /// With the secret that signs the cookies: at least 16 bytes, better 32 random ones, the same for all
    /// processes.
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
            namespace: None,
            hash_ids: false,
            max_bytes: None,
            format: Format::Seed,
            encrypt: Encrypt::Off,
            sessions_per_user: constants::SESSIONS_PER_USER,
            store_timeout: Some(Duration::from_millis(constants::STORE_TIMEOUT)),
            on_store_error: OnStoreError::Error,
            on_event: None,
        }
    }

    /// A secret of before: what it signed and encrypted is still good, and it makes nothing new.
    pub fn previous_secret(mut self, secret: impl Into<String>) -> Self {
        self.secrets.push(secret.into());
        self
    }

    /// Name of the cookie; `connect.sid` unless said otherwise.
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// The domain whose hosts get the cookie; else only the host that set it.
    pub fn domain(self, domain: impl Into<String>) -> Self {
        Self { domain: Some(domain.into()), ..self }
    }

    /// The path under which browsers send the cookie; `/` unless said otherwise.
    pub fn path(self, path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..self }
    }

    /// How long the browser keeps the cookie, in whole seconds; else until it is closed.
    pub fn max_age(self, age: Duration) -> Self {
        Self { max_age: Some(age), ..self }
    }

    /// Whether scripts are kept from the cookie; they are unless said otherwise.
    pub fn http_only(self, http_only: bool) -> Self {
        Self { http_only: Some(http_only), ..self }
    }

    /// Whether the cookie is sent over HTTPS only (and to localhost). Unless said otherwise it is, but
    /// not for a request whose `Host` is localhost.
    pub fn secure(self, secure: bool) -> Self {
        Self { secure: Some(secure), ..self }
    }

    /// When the cookie comes along from other sites; [`SameSite::Lax`] unless said otherwise.
    pub fn same_site(self, same_site: SameSite) -> Self {
        Self { same_site: Some(same_site), ..self }
    }

    /// A jar for each site that embeds this one (CHIPS). Makes the cookie `Secure`.
    pub fn partitioned(self, partitioned: bool) -> Self {
        Self { partitioned, ..self }
    }

    /// Refreshes cookie and record whenever the session is used, so that it ends
    /// [`max_age`](Config::max_age) after the last use.
    pub fn rolling(self, rolling: bool) -> Self {
        Self { rolling, ..self }
    }

    /// In which time a rolling session is refreshed in the store once at most; a tenth of
    /// [`max_age`](Config::max_age) unless said otherwise.
    pub fn touch_after(self, after: Duration) -> Self {
        Self { touch_after: Some(after), ..self }
    }

    /// After which time a session ends that was not used, whatever its cookie and its store say: not before
    /// that time, and at most a tenth later.
    pub fn idle_timeout(self, after: Duration) -> Self {
        Self { idle_timeout: Some(after), ..self }
    }

    /// After which time a session ends in any case.
    pub fn absolute_timeout(self, after: Duration) -> Self {
        Self { absolute_timeout: Some(after), ..self }
    }

    /// After which time a session gets another ID, with all that it holds. Not in
    /// [`Format::Express`]: Express would take the old ID for a session.
    pub fn renew_after(self, after: Duration) -> Self {
        Self { renew_after: Some(after), ..self }
    }

    /// How long the old ID still leads to a session that was renewed: at most ten minutes. Default: half a minute.
    pub fn renew_grace(self, grace: Duration) -> Self {
        Self { renew_grace: Some(grace), ..self }
    }

    /// Keeps these sessions apart from others with the same secret and store: neither cookies nor records
    /// of one are good for the other. 1 to 64 letters, digits, `-`, `_` or `.`.
    pub fn namespace(self, namespace: impl Into<String>) -> Self {
        Self { namespace: Some(namespace.into()), ..self }
    }

    /// The store gets hashes of IDs, so that whoever reads it has no cookie.
    pub fn hash_ids(self, hash_ids: bool) -> Self {
        Self { hash_ids, ..self }
    }

    /// Most bytes of a session's data as JSON, at least 1,024. What the library adds does not count. Default:
    /// 65,536.
    pub fn max_bytes(self, bytes: usize) -> Self {
        Self { max_bytes: Some(bytes), ..self }
    }

    /// Whether records are encrypted; they are not unless said otherwise.
    pub fn encrypt(self, encrypt: Encrypt) -> Self {
        Self { encrypt, ..self }
    }

    /// Whose cookies and records are written; those of express-session are read in any case.
    pub fn format(self, format: Format) -> Self {
        Self { format, ..self }
    }

    /// Most sessions of one user, from 1 to 4,294,967,295, or `usize::MAX` for no limit: the longest unused one ends. The size of the list bounds them, too: 64
    /// KiB, enough for several hundred. Default: 100.
    pub fn sessions_per_user(self, most: usize) -> Self {
        Self { sessions_per_user: most, ..self }
    }

    /// How long to wait for the store. `None` and zero wait as long as it takes. Default: 5 seconds.
    pub fn store_timeout(self, after: impl Into<Option<Duration>>) -> Self {
        // A longer time than there is would be an overflow of the clock.
        let after = after.into().filter(|after| !after.is_zero());
        Self { store_timeout: after.map(|after| after.min(CENTURY)), ..self }
    }

    /// What a visitor is while the store cannot be read; nobody, and an error, unless said otherwise.
    pub fn on_store_error(self, policy: OnStoreError) -> Self {
        Self { on_store_error: policy, ..self }
    }

    /// Hears of what happens. What it says of a panic of its own is ignored, so that it stops no logout.
    pub fn on_event(self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self { on_event: Some(Arc::new(listener)), ..self }
    }

    /// What the core makes of it.
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
            namespace: self.namespace.as_deref(),
            hash_ids: self.hash_ids,
            #[expect(clippy::cast_precision_loss, reason = "what is beyond 2^53 is refused")]
            max_bytes: self.max_bytes.map(|bytes| bytes as f64),
            encrypts: self.encrypt != Encrypt::Off,
            #[expect(clippy::cast_precision_loss, reason = "what is beyond 2^32 is refused")]
            sessions_per_user: Some(self.sessions_per_user)
                .filter(|most| *most < usize::MAX)
                .map(|most| most as f64),
            attributes: None,
        };
        let attributes = self.record_cookie(&Options::new(input.clone())?);
        Options::new(OptionsInput { attributes: Some(&attributes), ..input })
    }

    /// What records say of the cookie: JSON text, as the SvelteKit package writes it.
    fn record_cookie(&self, options: &Options) -> String {
        let cookie = options.set_cookie(false);
        // A path may have quotes and backslashes.
        let text =
            |name: &str, value: &str| format!("\"{name}\":{}", serde_json::Value::from(value));
        let mut members = Vec::new();
        members
            .extend(cookie.domain.as_ref().and(self.domain.as_ref()).map(|it| text("domain", it)));
        members.extend(self.http_only.map(|it| format!("\"httpOnly\":{it}")));
        members.extend(self.partitioned.then(|| "\"partitioned\":true".to_owned()));
        members.push(text("path", cookie.path.as_str()));
        members.extend(self.secure.map(|it| format!("\"secure\":{it}")));
        members.extend(self.same_site.map(|it| text("sameSite", name_of(it))));
        if self.format == Format::Seed {
            members.extend(cookie.max_age.map(|it| format!("\"maxAge\":{}", it.seconds())));
        }
        format!("{{{}}}", members.join(","))
    }
}

const CENTURY: Duration = Duration::from_secs(3_153_600_000);

fn name_of(same_site: SameSite) -> &'static str {
    match same_site {
        SameSite::Lax => "lax",
        SameSite::None => "none",
        SameSite::Strict => "strict",
    }
}

/// A secret is never shown.
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
