use alloc::{string::String, vec::Vec};

use super::Binding;
use crate::{
    KeyRing, Meta, Options, UnixMillis, cookie_header, json,
    protocol::{Fault, Rules, seeded},
    time::date,
};

/// The device of a request, as far as the request shows it.
#[derive(Clone, Eq, PartialEq)]
pub enum Shown {
    /// The values of its bound cookies, in their order.
    Cookies(Vec<String>),
    /// The request is about to prove the device itself, so it needs no bound cookie: [`visit::bind`](crate::visit::bind()).
    Proves,
}

/// The longest value of a bound cookie, in bytes.
const LONGEST: usize = 64;

impl Default for Shown {
    fn default() -> Self {
        Self::Cookies(Vec::new())
    }
}

impl Shown {
    /// The bound cookies in a `Cookie` header. None if the options bind no sessions.
    #[must_use]
    pub fn of(header: &[u8], options: &Options) -> Vec<String> {
        let Some(device) = options.device_bound() else { return Vec::new() };
        let values = cookie_header::candidates(header, device.name());
        let texts = values.filter(|value| value.len() <= LONGEST);
        texts.filter_map(|value| str::from_utf8(value).ok().map(Into::into)).collect()
    }

    /// Whether a request that shows this may open the session with this metadata.
    pub(crate) fn admits(&self, rules: &Rules, meta: &Meta, now: UnixMillis) -> bool {
        // A handle without the option asks nothing, so that it costs nothing.
        if rules.options.device_bound().is_none() {
            return true;
        }
        let (key, since) = match (self, Binding::of(meta)) {
            (Self::Proves, _) | (_, None | Some(Binding::Offered(_))) => return true,
            (_, Some(Binding::Unreadable)) => return false,
            (_, Some(Binding::Bound { key, since, .. })) => (key, since),
        };
        if seeded(Fault::AdmitsUnbound) {
            return true;
        }
        let timeouts = rules.options.timeouts();
        // Requests that were on their way when the browser registered.
        if now < timeouts.grace(since) {
            return true;
        }
        let (Self::Cookies(values), Some(keys)) = (self, &rules.keys) else { return false };
        values.iter().any(|value| {
            let Some((until, signature)) = value.split_once('.') else { return false };
            // A cookie that has ended just now was on its way.
            let end = json::whole(until).map(|until| timeouts.grace(UnixMillis(until)));
            let is_living = end.is_some_and(|end| now < end) || seeded(Fault::BoundNeverEnds);
            is_living && keys.signs_bound(until, signed(&key), signature)
        })
    }
}

/// The value of a bound cookie that ends at this time: `<until>.<signature>`.
pub(super) fn value(keys: &KeyRing, key: &str, until: UnixMillis) -> String {
    let mut value = String::new();
    date::push_number(&mut value, until.0, 1);
    let signature = keys.sign_bound(&value, signed(key));
    value + "." + &signature
}

/// The key for which a cookie is signed.
fn signed(key: &str) -> &str {
    if seeded(Fault::BoundForAnyKey) { "" } else { key }
}

/// Hides the cookies.
impl core::fmt::Debug for Shown {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Cookies(_) => "Cookies",
            Self::Proves => "Proves",
        })
    }
}
