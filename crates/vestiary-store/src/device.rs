use std::{fmt, net::IpAddr};

use serde_json::Value;

/// The device of a session, as a page of devices shows it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Device {
    /// The browser, such as `Firefox 148`.
    pub browser: Option<String>,
    /// The operating system, such as `Linux`.
    pub system: Option<String>,
    /// The network of the visitor's address: the first 24 bits of IPv4, the first 48 of IPv6, such as `203.0.113.0/24`.
    pub network: Option<String>,
}

/// The device on which a user logs in, as the application knows it. Libraries for `User-Agent` headers know the names.
///
/// ```
/// use std::net::IpAddr;
/// use vestiary_store::LoginDevice;
///
/// let address = IpAddr::from([203, 0, 113, 7]);
/// let device = LoginDevice::new().browser("Firefox 148").system("Linux").address(address);
/// ```
#[derive(Clone, Default)]
pub struct LoginDevice {
    browser: String,
    system: String,
    address: String,
}

impl LoginDevice {
    /// A device of which nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The browser, such as `Firefox 148`. It is cut after 64 characters.
    #[must_use]
    pub fn browser(self, name: impl Into<String>) -> Self {
        Self { browser: name.into(), ..self }
    }

    /// The operating system, such as `Linux`. It is cut after 64 characters.
    #[must_use]
    pub fn system(self, name: impl Into<String>) -> Self {
        Self { system: name.into(), ..self }
    }

    /// The visitor's address. Only its network is kept: [`Device::network`]. Behind a proxy, the address of the connection
    /// is the proxy's.
    #[must_use]
    pub fn address(self, address: impl Into<IpAddr>) -> Self {
        Self { address: address.into().to_string(), ..self }
    }

    pub(crate) fn known(&self) -> vestiary::Device<'_> {
        let Self { browser, system, address } = self;
        vestiary::Device { browser, system, address }
    }
}

impl Device {
    /// Reads the text of a list.
    pub(crate) fn of_json(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let member = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let [browser, system, network] = ["browser", "system", "network"].map(member);
        Some(Self { browser, system, network })
    }
}

/// Hides the device, which belongs to the visitor.
impl fmt::Debug for LoginDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginDevice").finish_non_exhaustive()
    }
}
