use vestiary::Ttl;

/// What all stores outside the process have in common, with the defaults of the TypeScript stores: both then
/// share one Redis or one file.
///
/// ```
/// # use vestiary_store::StoreOptions;
/// let options = StoreOptions { prefix: "shop:".into(), ..StoreOptions::default() };
/// assert_eq!(options.default_ttl, 86_400_000);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoreOptions {
    /// Put before every key; may be empty. `sess:` unless said otherwise.
    pub prefix: String,
    /// The life of a record that is stored with [`Ttl::Infinite`], in milliseconds; a day unless said
    /// otherwise.
    pub default_ttl: u64,
}

/// In milliseconds, some 140,000 years: what is added to the time of today is still a number to JavaScript
/// and to Redis.
const LONGEST: u64 = 1 << 52;

impl Default for StoreOptions {
    fn default() -> Self {
        Self { prefix: "sess:".to_owned(), default_ttl: vestiary::constants::STORE_TTL }
    }
}

impl StoreOptions {
    pub(crate) fn key(&self, key: &str) -> String {
        [&self.prefix, key].concat()
    }

    pub(crate) fn default_ttl(&self) -> Ttl {
        Ttl::Millis(self.default_ttl)
    }

    /// Milliseconds to live; 0 if the record is over.
    pub(crate) fn life(&self, ttl: Ttl) -> i64 {
        let millis = match ttl {
            Ttl::Infinite => self.default_ttl,
            Ttl::Millis(millis) => millis,
        };
        i64::try_from(millis.min(LONGEST)).unwrap_or(i64::MAX)
    }
}
