use alloc::string::String;

use crate::{json, record::push_name};

/// The device of a login, as the application knows it. Its user recognises the session by it. An empty text is unknown.
#[derive(Clone, Copy, Default)]
pub struct Device<'a> {
    /// The browser, such as `Firefox 148`.
    pub browser: &'a str,
    /// The operating system, such as `Linux`.
    pub system: &'a str,
    /// The visitor's IP address. Only its network is kept.
    pub address: &'a str,
}

/// The longest name of a browser or a system, in characters.
const NAME: usize = 64;

impl Device<'_> {
    /// The form in a user's session list: a JSON object with `browser`, `system` and `network`, without what is unknown.
    /// Names are cut after 64 characters. `None` if nothing is known.
    ///
    /// ```
    /// # use vestiary::Device;
    /// let device = Device { browser: "Firefox", system: "", address: "203.0.113.7" };
    /// assert_eq!(device.json().unwrap(), r#"{"browser":"Firefox","network":"203.0.113.0/24"}"#);
    /// assert_eq!(Device { address: "unknown", ..Device::default() }.json(), None);
    /// ```
    #[must_use]
    pub fn json(&self) -> Option<String> {
        let network = network(self.address).unwrap_or_default();
        let members = [("browser", self.browser), ("system", self.system), ("network", &network)];
        let mut text = String::from("{");
        for (name, value) in members {
            if !value.is_empty() {
                push_name(&mut text, name);
                text.push_str(&json::quoted(cut(value, NAME)));
            }
        }
        text.push('}');
        (text.len() > 2).then_some(text)
    }
}

/// Hides the device, which belongs to the visitor.
impl core::fmt::Debug for Device<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Device").finish_non_exhaustive()
    }
}

/// The beginning of a text, of at most this many characters.
pub(crate) fn cut(text: &str, chars: usize) -> &str {
    let end = text.char_indices().nth(chars).map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or_default()
}

/// The network of an address: the first 24 bits of IPv4, the first 48 of IPv6. That tells a user a login at home from one
/// abroad, and no one the address. `None` if the text is no address: proxies write other things, too.
///
/// The parser of `core::net` would take 0.9 KB more of the WebAssembly.
fn network(address: &str) -> Option<String> {
    let address = bare(address)?;
    let mut text = String::new();
    // A server that listens on both families sees IPv4 as a part of IPv6.
    let four = address.strip_prefix("::ffff:").unwrap_or(address);
    if four.contains('.') {
        let mut count = 0;
        for part in four.split('.') {
            // Some programs read a number that begins with 0 as octal.
            let is_plain = part == "0" || !part.starts_with('0');
            json::whole(part).filter(|number| is_plain && *number < 256)?;
            count += 1;
            if count < 4 {
                text.extend([part, "."]);
            }
        }
        text.push_str("0/24");
        return (count == 4).then_some(text);
    }
    let groups = first_groups(address)?;
    let used = groups.iter().rposition(|group| *group != 0).map_or(0, |last| last + 1);
    for group in groups.into_iter().take(used) {
        push_hex(&mut text, group);
        text.push(':');
    }
    text.push_str(if used == 0 { "::/48" } else { ":/48" });
    Some(text)
}

/// An address without the brackets, the port and the zone that some servers and proxies add to it.
fn bare(text: &str) -> Option<&str> {
    let is_four = |address: &str| address.contains('.') && !address.contains(':');
    let (address, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').filter(|(address, _)| !is_four(address))?,
        // An IPv6 address with a port has brackets.
        None => match text.find(':').and_then(|end| text.split_at_checked(end)) {
            Some((address, port)) if is_four(address) => (address, port),
            _ => (text, ""),
        },
    };
    let is_port =
        |port: &str| port.strip_prefix(':').and_then(json::whole).is_some_and(|port| port < 65_536);
    if !port.is_empty() && !is_port(port) {
        return None;
    }
    match address.split_once('%') {
        Some((address, zone)) => (address.contains(':') && !zone.is_empty()).then_some(address),
        None => Some(address),
    }
}

/// The first three groups of an IPv6 address.
fn first_groups(address: &str) -> Option<[u32; 3]> {
    let mut groups = [0; 8];
    let (mut count, mut gap) = (0, None);
    let mut rest = address.as_bytes();
    if let [b':', b':', after @ ..] = rest {
        (gap, rest) = (Some(0), after);
    }
    while !rest.is_empty() {
        let before = rest.len();
        let group: &mut u32 = groups.get_mut(count)?;
        while let [byte, after @ ..] = rest
            && let Some(digit) = char::from(*byte).to_digit(16)
        {
            *group = *group << 4 | digit;
            rest = after;
        }
        count += 1;
        if !(1..=4).contains(&(before - rest.len())) {
            return None;
        }
        match rest {
            [] => {}
            [b':', b':', after @ ..] if gap.is_none() => (gap, rest) = (Some(count), after),
            [b':', after @ ..] if !after.is_empty() => rest = after,
            _ => return None,
        }
    }
    let missing = 8 - count;
    if gap.is_some() != (missing > 0) {
        return None;
    }
    let gap = gap.unwrap_or(8);
    let group = |place: usize| {
        let place = if place < gap {
            Some(place)
        } else {
            place.checked_sub(missing).filter(|place| *place >= gap)
        };
        place.and_then(|place| groups.get(place).copied()).unwrap_or_default()
    };
    Some([0, 1, 2].map(group))
}

/// Appends a group of an IPv6 address, without zeros before it.
fn push_hex(text: &mut String, group: u32) {
    let mut shift = 16;
    while shift > 0 {
        shift -= 4;
        if group >> shift != 0 || shift == 0 {
            text.extend(char::from_digit(group >> shift & 15, 16));
        }
    }
}

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, SocketAddr};

    use super::*;

    #[test]
    fn an_address_is_kept_as_its_network() {
        for (address, expected) in [
            ("203.0.113.7", "203.0.113.0/24"),
            ("0.0.0.0", "0.0.0.0/24"),
            ("::ffff:203.0.113.7", "203.0.113.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
            ("2001:DB8:abcd::1", "2001:db8:abcd::/48"),
            ("2001:db8::1", "2001:db8::/48"),
            ("2a00:0:10::", "2a00:0:10::/48"),
            ("fe80::1", "fe80::/48"),
            ("::1", "::/48"),
            ("::", "::/48"),
            ("1::2:3:4:5:6:7", "1:0:2::/48"),
            ("::2:3:4:5:6:7:8", "0:2:3::/48"),
            ("10:20:30::", "10:20:30::/48"),
            ("1:2:3:4:5:6:7::", "1:2:3::/48"),
            ("203.0.113.7:5678", "203.0.113.0/24"),
            ("[2001:db8::1]", "2001:db8::/48"),
            ("[2001:db8::1]:80", "2001:db8::/48"),
            ("fe80::1%eth0", "fe80::/48"),
            ("[fe80::1%2]:65535", "fe80::/48"),
            ("[::ffff:203.0.113.7]:80", "203.0.113.0/24"),
        ] {
            assert_eq!(network(address).as_deref(), Some(expected), "{address}");
            // Each is a valid address, of the same network.
            let (first, _) = expected.split_once('/').unwrap();
            assert_eq!(network(first).as_deref(), Some(expected), "{first}");
        }
    }

    #[test]
    fn the_standard_library_reads_the_same_addresses() {
        let (mut random, mut valid) = (1_u32, 0);
        for _ in 0..200_000 {
            let mut text = String::new();
            for _ in 0..random % 24 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let parts = ["0", "1", ":", "::", "a", "fff", ".", "25", ":1", "[", "]:"];
                text.push_str(parts[(random >> 8) as usize % parts.len()]);
            }
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) >> 1;
            let address =
                text.parse().or_else(|_| text.parse().map(|socket: SocketAddr| socket.ip()));
            let expected = match address {
                Ok(IpAddr::V4(address)) => Some(u32::from(address.octets()[2])),
                Ok(IpAddr::V6(address)) if !text.contains('.') => {
                    Some(address.segments()[2].into())
                }
                _ => None,
            };
            let found = network(&text).map(|network| {
                let (address, _) = network.split_once('/').unwrap();
                match address.parse().unwrap() {
                    IpAddr::V4(address) => u32::from(address.octets()[2]),
                    IpAddr::V6(address) => address.segments()[2].into(),
                }
            });
            assert_eq!(found, expected, "{text}");
            valid += u32::from(found.is_some());
        }
        assert!(valid > 1_000, "{valid}");
    }

    #[test]
    fn a_text_that_is_no_address_is_unknown() {
        for text in [
            "",
            "unknown",
            "203.0.113",
            "203.0.113.7:",
            "203.0.113.7:http",
            "203.0.113.7:65536",
            "203.0.113.7:1:2",
            "203.0.113.7%eth0",
            "[203.0.113.7]",
            "[203.0.113.7]:80",
            "[::1",
            "[::1]80",
            "[[::1]]",
            "::1]",
            "fe80::1%",
            "[]:80",
            "%eth0",
            ":80",
            "_gazonk",
        ] {
            assert_eq!(network(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_cut_between_characters_and_quoted() {
        let long = "\u{1f600}".repeat(65);
        let device = Device { browser: &long, system: "\"\n", address: "" };
        let browser = "\u{1f600}".repeat(64);
        let expected = alloc::format!(r#"{{"browser":"{browser}","system":"\"\u000a"}}"#);
        assert_eq!(device.json().unwrap(), expected);
        assert_eq!(Device::default().json(), None);
    }
}
