//! The cost of the parts of a request, beside the least possible cost.

use std::{hint::black_box, time::Duration};

use cookie::{Cookie, CookieJar, Key};
use hmac::{Hmac, KeyInit as _, Mac as _};
use memchr::memchr_iter;
use sha2::{Digest as _, Sha256};
use vestiary::{
    CookieName, Format, KeyRing, Limits, Meta, Record, SealRing, SessionId, UnixMillis, WriteId,
    cookie_header,
};

use crate::{
    harness::{Cell, Effort, measure},
    layer::now,
    payload::Payload,
    peers::{COOKIE, SECRET},
    report::Row,
};

const VESTIARY: &str = "vestiary";
const COOKIE_CRATE: &str = "cookie";
/// The least possible cost.
const LIMIT: &str = "limit";

pub(crate) fn times(effort: Effort, random: &mut fastrand::Rng) -> Vec<Row> {
    let mut cells = signatures();
    cells.extend(headers());
    cells.extend(records());
    cells.extend(seals());
    Row::of(measure(cells, effort, random))
}

fn cell<T>(
    case: String,
    peer: &'static str,
    mut act: impl FnMut() -> T + 'static,
) -> Cell<'static> {
    let run = move |times| -> Duration {
        let began = now();
        for _ in 0..times {
            black_box(act());
        }
        began.elapsed()
    };
    Cell { case, peer, over: None, run: Box::new(run) }
}

fn signatures() -> Vec<Cell<'static>> {
    let ring = |secrets: &[String]| KeyRing::new(secrets).expect("long enough");
    let mut cells = Vec::new();
    for secrets in [1, 2, 4, 8] {
        let secrets: Vec<_> = (0..secrets).map(|number| format!("{SECRET} {number}")).collect();
        // The oldest secret has signed it, so all secrets are tried.
        let oldest = secrets.last().cloned().unwrap_or_default();
        let value = ring(&[oldest]).sign(&id(), Format::SvelteKitSessions);
        let keys = ring(&secrets);
        assert_eq!(keys.verify(value.as_bytes()), Some(id()), "it is verified");
        let case = match secrets.len() {
            1 => "verify a cookie".to_owned(),
            many => format!("verify a cookie, the last of {many} secrets"),
        };
        cells.push(cell(case, VESTIARY, move || keys.verify(black_box(value.as_bytes()))));
    }
    let (keys, own) = (ring(&[SECRET.to_owned()]), id());
    cells.push(cell("sign a cookie".to_owned(), VESTIARY, move || {
        keys.sign(black_box(&own), Format::SvelteKitSessions)
    }));

    let key = Key::from(SECRET.as_bytes());
    let mut jar = CookieJar::new();
    jar.signed_mut(&key).add((COOKIE, id().expose().to_owned()));
    let signed = jar.get(COOKIE).cloned().expect("it was just put there");
    assert!(CookieJar::new().signed(&key).verify(signed.clone()).is_some(), "it is verified");
    let (jar_key, jar) = (key.clone(), CookieJar::new());
    cells.push(cell("verify a cookie".to_owned(), COOKIE_CRATE, move || {
        jar.signed(&jar_key).verify(black_box(signed.clone()))
    }));
    let own = id();
    cells.push(cell("sign a cookie".to_owned(), COOKIE_CRATE, move || {
        let mut jar = CookieJar::new();
        jar.signed_mut(&key).add((COOKIE, black_box(&own).expose().to_owned()));
        jar
    }));

    // The key's two states are computed once; each value copies and finishes them.
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length is good");
    for case in ["verify a cookie", "sign a cookie"] {
        let mac = mac.clone();
        cells.push(cell(case.to_owned(), LIMIT, move || {
            let mut mac = mac.clone();
            mac.update(black_box(b"0123456789abcdef0123456789abcdef"));
            mac.finalize().into_bytes()
        }));
    }
    cells.push(cell("SHA-256 of 55 bytes: one block".to_owned(), LIMIT, || {
        Sha256::digest(black_box([7_u8; 55]))
    }));
    cells
}

fn headers() -> Vec<Cell<'static>> {
    let mut cells = Vec::new();
    for (size, bytes) in [("60 B", 60), ("4 KB", 4 << 10), ("64 KB", 64 << 10)] {
        let header = header_of(bytes);
        let case = format!("find the cookie in a header of {size}");
        let name = CookieName::new(COOKIE).expect("it is a name");
        assert_eq!(cookie_header::candidates(header.as_bytes(), &name).count(), 1, "it is found");
        let text = header.clone();
        cells.push(cell(case.clone(), VESTIARY, move || {
            cookie_header::candidates(black_box(text.as_bytes()), &name).count()
        }));
        // The work of libraries that put all cookies into a jar, without the jar.
        let named = |header: &str| {
            let cookies = Cookie::split_parse_encoded(header);
            cookies.filter(|it| it.as_ref().is_ok_and(|it| it.name() == COOKIE)).count()
        };
        assert_eq!(named(&header), 1, "it is found");
        let text = header.clone();
        cells.push(cell(case.clone(), COOKIE_CRATE, move || named(black_box(&text))));
        cells.push(cell(case, LIMIT, move || {
            memchr_iter(b';', black_box(header.as_bytes())).count()
        }));
    }
    cells
}

/// A header of about this many bytes, with the session's cookie at its end.
fn header_of(bytes: usize) -> String {
    let session = format!("{COOKIE}={}", "s".repeat(46));
    let other = |number: usize| format!("other-{number:06}={}; ", "v".repeat(40));
    let others = bytes.saturating_sub(session.len()) / other(0).len();
    (0..others).map(other).collect::<String>() + &session
}

fn records() -> Vec<Cell<'static>> {
    let mut cells = Vec::new();
    for payload in Payload::ALL {
        let record = record(&payload.text());
        let text = record.encode(Limits::SAVE).expect("it is small enough");
        assert_eq!(Record::decode(&text, Limits::LOAD).as_ref(), Ok(&record), "it is decoded");
        let size = payload.name();
        cells.push(cell(format!("encode a record of {size}"), VESTIARY, move || {
            black_box(&record).encode(Limits::SAVE)
        }));
        let json = text.clone();
        let case = format!("decode a record of {size}");
        cells.push(cell(case.clone(), VESTIARY, move || {
            Record::decode(black_box(&text), Limits::LOAD)
        }));
        cells.push(cell(case, "serde_json", move || {
            serde_json::from_str::<serde_json::Value>(black_box(&json))
        }));
    }
    cells
}

/// A record after its first write.
pub(crate) fn record(data: &str) -> Record {
    let cookie = r#"{"path":"/","secure":true,"maxAge":86400}"#;
    let write_id = WriteId::from_entropy(&[5; WriteId::ENTROPY]);
    let meta = Meta::created(UnixMillis(1_790_000_000_000));
    Record::new(Format::SvelteKitSessions, write_id, cookie, data, meta, Limits::SAVE)
        .expect("it is small enough")
}

fn seals() -> Vec<Cell<'static>> {
    let mut cells = Vec::new();
    for payload in Payload::ALL {
        let text = record(&payload.text()).encode(Limits::SAVE).expect("it is small enough");
        let seals = SealRing::new(&[SECRET], None).expect("long enough");
        let nonce = [9; SealRing::NONCE];
        let sealed = seals.seal(&id(), "key", &text, &nonce);
        assert_eq!(seals.open(&id(), "key", &sealed).as_deref(), Ok(text.as_str()), "it is opened");
        let opens = SealRing::new(&[SECRET], None).expect("long enough");
        let (size, mine, theirs) = (payload.name(), id(), id());
        cells.push(cell(format!("seal a record of {size}"), VESTIARY, move || {
            seals.seal(&mine, "key", black_box(&text), &nonce)
        }));
        cells.push(cell(format!("open a record of {size}"), VESTIARY, move || {
            opens.open(&theirs, "key", black_box(&sealed))
        }));
    }
    cells
}

fn id() -> SessionId {
    SessionId::from_entropy(&[7; SessionId::ENTROPY])
}
