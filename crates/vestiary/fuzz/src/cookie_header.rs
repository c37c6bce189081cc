use arbitrary::{Arbitrary, Unstructured};
use vestiary::{CookieName, cookie_header as core};

const NAMES: [&str; 2] = ["connect.sid", "__Host-id"];

/// Fuzzes the `Cookie` header: the core finds the session cookie, and nothing else.
pub fn cookie_header(data: &[u8]) {
    check(data);
    if let Ok(pieces) = Unstructured::new(data).arbitrary::<Vec<Piece<'_>>>() {
        check(&pieces.iter().flat_map(Piece::bytes).collect::<Vec<_>>());
    }
}

fn check(header: &[u8]) {
    for name in NAMES {
        let found = candidates(header, name);
        assert!(found.len() <= 4, "{} candidates", found.len());
        assert_eq!(found, expected(header, name), "in {header:?}");

        // They are parts of the header, in its order.
        let mut end = header.as_ptr_range().start;
        for value in &found {
            let value = value.as_ptr_range();
            assert!(end <= value.start && value.end <= header.as_ptr_range().end, "not a part");
            end = value.end;
        }

        // The two halves do not affect each other, so no other cookie can hide ours.
        let (left, right) = header.split_at(header.len() / 2);
        let joined = [left, b";", right].concat();
        let mut halves = [candidates(left, name), candidates(right, name)].concat();
        halves.truncate(4);
        assert_eq!(candidates(&joined, name), halves, "in {joined:?}");
    }
}

fn candidates<'h>(header: &'h [u8], name: &str) -> Vec<&'h [u8]> {
    let name = CookieName::new(name).expect("a cookie name");
    core::candidates(header, &name).collect()
}

/// RFC 6265bis section 5.6, byte by byte, without any code of the core. (A pair without `=` has an empty name there, so
/// it is never ours.)
fn expected(header: &[u8], name: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let (mut key, mut value, mut in_value) = (Vec::new(), Vec::new(), false);
    for byte in header.iter().copied().chain([b';']) {
        match byte {
            b';' => {
                if in_value && stripped(&key) == name.as_bytes() {
                    found.push(stripped(&value));
                }
                (key, value, in_value) = (Vec::new(), Vec::new(), false);
            }
            b'=' if !in_value => in_value = true,
            byte if in_value => value.push(byte),
            byte => key.push(byte),
        }
    }
    found.truncate(4);
    found
}

fn stripped(bytes: &[u8]) -> Vec<u8> {
    let blank = |byte: &u8| *byte == 0x20 || *byte == 0x09;
    let mut bytes: Vec<u8> = bytes.iter().copied().skip_while(blank).collect();
    while bytes.last().is_some_and(blank) {
        bytes.pop();
    }
    bytes
}

/// The parts of interesting headers.
#[derive(Arbitrary, Debug)]
enum Piece<'a> {
    ConnectSid,
    HostId,
    /// A name as a lenient parser would decode it.
    Encoded,
    Equals,
    Semicolon,
    Space,
    Tab,
    /// Unicode white space, which HTTP does not trim.
    NoBreakSpace,
    Quote,
    Bytes(&'a [u8]),
}

impl Piece<'_> {
    fn bytes(&self) -> Vec<u8> {
        match *self {
            Self::ConnectSid => &b"connect.sid"[..],
            Self::HostId => b"__Host-id",
            Self::Encoded => b"%5F%5FHost-id",
            Self::Equals => b"=",
            Self::Semicolon => b";",
            Self::Space => b" ",
            Self::Tab => b"\t",
            Self::NoBreakSpace => "\u{A0}".as_bytes(),
            Self::Quote => b"\"",
            Self::Bytes(bytes) => bytes,
        }
        .to_vec()
    }
}
