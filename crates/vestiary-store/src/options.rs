use vestiary::Ttl;

/// Options of all stores outside this process. The defaults are those of the TypeScript stores, so both products
/// can share one Redis or one file.
///
/// ```
/// # use vestiary_store::StoreOptions;
/// let options = StoreOptions { prefix: "shop:".into(), ..StoreOptions::default() };
/// assert_eq!(options.default_ttl, 86_400_000);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoreOptions {
    /// The prefix of every key; may be empty. Default: `sess:`.
    pub prefix: String,
    /// The TTL of a record that is stored with [`Ttl::Infinite`], in milliseconds. Default: one day.
    pub default_ttl: u64,
}

/// The longest TTL in milliseconds, some 140,000 years: JavaScript and Redis can still add it to the current time.
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

    /// The TTL in milliseconds; 0 for an expired record.
    pub(crate) fn life(&self, ttl: Ttl) -> i64 {
        let millis = match ttl {
            Ttl::Infinite => self.default_ttl,
            Ttl::Millis(millis) => millis,
        };
        i64::try_from(millis.min(LONGEST)).unwrap_or(i64::MAX)
    }
}
