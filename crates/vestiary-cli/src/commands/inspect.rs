use percent_encoding::percent_decode;
use serde_json::{Map, Value, json};
use vestiary::{
    CookieName, CookieValue, Format, KeyRing, MalformedCookie, SessionId, cookie_header,
};

use crate::{
    description::{Description, Kind},
    failure::{Failure, Verdict},
    locate::{Located, by_id, given},
    output::Output,
    secrets::Secret,
    service::{Service, ServiceArgs},
};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A `Cookie` header, `name=value`, or a value. `-` reads it from standard input, where no other user of the
    /// machine can see it
    #[arg(allow_hyphen_values = true)]
    cookie: String,
    /// Name of the cookie
    #[arg(long, default_value = "connect.sid", help_heading = "Service")]
    name: String,
    #[command(flatten)]
    service: ServiceArgs,
}

pub(crate) async fn run(args: &Args, output: &mut Output) -> Result<Verdict, Failure> {
    if args.cookie == "-" && args.service.secrets.takes_input() {
        let message =
            "standard input cannot be both the cookie and a secret: put the secret into a file";
        return Err(Failure::Usage("input", message.to_owned()));
    }
    let name = CookieName::new(&args.name)?;
    let secrets = args.service.secrets.read()?;
    let text = given(&args.cookie)?;
    let values = values(&text, &name)?;
    let namespace = args.service.keeping.namespace.as_deref();
    let findings = values.iter().map(|value| Finding::of(value, &secrets, namespace));
    let findings: Vec<Finding> = findings.collect::<Result<_, _>>()?;

    let service = if args.service.store.is_named() {
        Some(args.service.open_with(secrets).await?)
    } else {
        None
    };
    let mut good = false;
    let mut documents = Vec::new();
    for (number, finding) in (1..).zip(&findings) {
        let stored = match (&service, &finding.id) {
            (Some(service), Some(id)) => Some(Stored::of(id, service).await?),
            _ => None,
        };
        good |= finding.is_valid() && stored.as_ref().is_none_or(Stored::is_valid);
        if findings.len() > 1 {
            output.line(format_args!("cookie {number} of {}", findings.len()))?;
        }
        finding.show(output)?;
        let mut document = finding.document(output);
        if let Some(stored) = &stored {
            stored.show(output)?;
            document.insert("store".to_owned(), stored.document(output));
        }
        documents.push(Value::from(document));
    }
    output.document(&json!({ "cookies": documents, "good": good }))?;
    Ok(Verdict::of(good))
}

/// The values of the session cookie in the argument.
fn values(text: &str, name: &CookieName) -> Result<Vec<String>, Failure> {
    let header = text.split_once(':').filter(|(field, _)| field.eq_ignore_ascii_case("cookie"));
    let header = header.map_or(text, |(_, header)| header).trim();
    if !header.contains('=') {
        return Ok(vec![header.to_owned()]);
    }
    let found = cookie_header::candidates(header.as_bytes(), name);
    let found: Vec<String> =
        found.map(|value| String::from_utf8_lossy(value).into_owned()).collect();
    if found.is_empty() {
        let others = header.split(';').filter_map(|pair| pair.split_once('='));
        let others: Vec<String> = others.map(|(name, _)| name.trim().to_owned()).collect();
        let message = format!(
            "no cookie is named `{}`, but {}: choose one with --name",
            name.as_str(),
            others.join(", ")
        );
        return Err(Failure::No("cookie_missing", message));
    }
    Ok(found)
}

/// Facts about a value that need no store.
struct Finding {
    /// The ID, unless the value is malformed.
    id: Option<SessionId>,
    format: Option<Format>,
    encoded: bool,
    signature: Signature,
}

enum Signature {
    /// Valid with the secret at this position, counted from 1.
    Valid(usize),
    /// Valid with the secret at this position, but for a service with another namespace, or none.
    OtherNamespace(usize),
    /// Not valid with any of the secrets, of which there are this many.
    Unknown(usize),
    /// Not valid, and encoded twice.
    Twice,
    Malformed(MalformedCookie, Option<&'static str>),
}

impl Finding {
    fn of(value: &str, secrets: &[Secret], namespace: Option<&str>) -> Result<Self, Failure> {
        let parsed = match CookieValue::parse(value.as_bytes()) {
            Ok(parsed) => parsed,
            Err(why) => {
                let signature = Signature::Malformed(why, hint(value));
                return Ok(Self { id: None, format: None, encoded: false, signature });
            }
        };
        let by = |namespace: Option<&str>| -> Result<Option<usize>, Failure> {
            for (number, secret) in (1..).zip(secrets) {
                let ring = KeyRing::checked(&[secret], namespace, false)?;
                if ring.verify(value.as_bytes()).is_some() {
                    return Ok(Some(number));
                }
            }
            Ok(None)
        };
        let signature = match (by(namespace)?, namespace) {
            (Some(number), _) => Signature::Valid(number),
            _ if is_encoded_twice(value) => Signature::Twice,
            (None, None) => Signature::Unknown(secrets.len()),
            (None, Some(_)) => {
                by(None)?.map_or(Signature::Unknown(secrets.len()), Signature::OtherNamespace)
            }
        };
        let CookieValue { id, format, encoded, .. } = parsed;
        Ok(Self { id: Some(id), format: Some(format), encoded, signature })
    }

    fn is_valid(&self) -> bool {
        matches!(self.signature, Signature::Valid(_))
    }

    fn format(&self) -> Option<&'static str> {
        Some(match self.format? {
            Format::SvelteKitSessions => "svelte-kit-sessions",
            Format::ExpressSession => "express-session",
        })
    }

    fn verdict(&self) -> String {
        match &self.signature {
            Signature::Valid(1) => "valid, signed by secret 1, the current one".to_owned(),
            Signature::Valid(number) => format!("valid, signed by secret {number}, an older one"),
            Signature::OtherNamespace(number) => {
                format!("INVALID: signed by secret {number}, but without this namespace")
            }
            Signature::Unknown(0) => {
                "NOT CHECKED: no secret is given; set SESSION_SECRET, or pass --secret-file".to_owned()
            }
            Signature::Unknown(1) => {
                "INVALID: not signed by the secret. It was signed by another one, for another namespace, or it was \
                 changed"
                    .to_owned()
            }
            Signature::Unknown(count) => format!(
                "INVALID: not signed by any of the {count} secrets. It was signed by another one, for another namespace, \
                 or it was changed"
            ),
            Signature::Twice => "MALFORMED: percent-encoded twice".to_owned(),
            Signature::Malformed(why, hint) => match hint {
                None => format!("MALFORMED: {why}"),
                Some(hint) => format!("MALFORMED: {why}; {hint}"),
            },
        }
    }

    fn show(&self, output: &mut Output) -> Result<(), Failure> {
        let id = self.id.as_ref().map(|id| output.key(id.expose()));
        row(output, "cookie", self.verdict())?;
        if let Some(id) = id {
            row(output, "ID", id)?;
        }
        if let Some(format) = self.format() {
            let encoded = if self.encoded { ", percent-encoded" } else { "" };
            row(output, "cookie format", format!("{format}{encoded}"))?;
        }
        Ok(())
    }

    fn document(&self, output: &Output) -> Map<String, Value> {
        let (state, secret) = match &self.signature {
            Signature::Valid(number) => ("valid", Some(*number)),
            Signature::OtherNamespace(number) => ("other_namespace", Some(*number)),
            Signature::Unknown(0) => ("not_checked", None),
            Signature::Unknown(_) => ("invalid", None),
            Signature::Twice => ("malformed_encoding", None),
            Signature::Malformed(MalformedCookie::TooLong, _) => ("malformed_length", None),
            Signature::Malformed(MalformedCookie::Id, _) => ("malformed_id", None),
            Signature::Malformed(..) => ("malformed_signature", None),
        };
        let mut document = Map::new();
        document.insert("signature".to_owned(), json!(state));
        document.insert("secret".to_owned(), json!(secret));
        document.insert("message".to_owned(), json!(self.verdict()));
        let id = self.id.as_ref().map(|id| output.key(id.expose()));
        document.insert("id".to_owned(), json!(id));
        document.insert("format".to_owned(), json!(self.format()));
        document.insert("encoded".to_owned(), json!(self.encoded));
        document
    }
}

/// After one decoding the value is still encoded, and no session ID has a `%`.
fn is_encoded_twice(value: &str) -> bool {
    value.contains('%') && percent_decode(value.as_bytes()).decode_utf8_lossy().contains(['%'])
}

/// A guess at what the value is instead.
fn hint(value: &str) -> Option<&'static str> {
    if value.starts_with("eyJ") {
        return Some("it looks like a JSON Web Token, which is not a Vestiary cookie");
    }
    if value.starts_with('"') {
        return Some("it is in quotes");
    }
    // IDs of logged-in sessions end with a hint.
    let own =
        value.split_once('~').filter(|(_, hint)| hint.len() == 44).map_or(value, |(own, _)| own);
    if own.len() == 32 && SessionId::parse(value).is_ok() {
        return Some("it looks like an ID, without the signature of a cookie: use `vestiary show`");
    }
    None
}

/// Facts about the session that are known to the store.
struct Stored {
    found: Option<(Located, Description)>,
    /// Whether the user's session list has it, and when it was last used.
    listed: Option<Listed>,
    now: vestiary::UnixMillis,
}

enum Listed {
    Yes(vestiary::UnixMillis),
    No,
    /// The list is encrypted, and no secret decrypts it.
    Unknown,
}

impl Stored {
    async fn of(id: &SessionId, service: &Service) -> Result<Self, Failure> {
        let now = service.sessions(None, false, false)?.now();
        let Some(found) = by_id(id, service).await? else {
            return Ok(Self { found: None, listed: None, now });
        };
        let description = Description::of(&found.entry, Some(id), service);
        let listed = listed(&description, service).await?;
        Ok(Self { found: Some((found, description)), listed, now })
    }

    fn is_valid(&self) -> bool {
        let session =
            self.found.as_ref().is_some_and(|(_, description)| description.kind == Kind::Session);
        session && !matches!(self.listed, Some(Listed::No))
    }

    fn seen(&self) -> Option<vestiary::UnixMillis> {
        match self.listed {
            Some(Listed::Yes(seen)) => Some(seen),
            _ => None,
        }
    }

    fn show(&self, output: &mut Output) -> Result<(), Failure> {
        let Some((located, description)) = &self.found else {
            return row(
                output,
                "store",
                "NOT FOUND: it has ended or expired, or has another prefix",
            );
        };
        let verdict = match (&self.listed, description.kind) {
            (Some(Listed::No), _) => "REVOKED: no longer in its user's session list",
            (_, Kind::Session) => "found",
            (_, Kind::Tombstone) => "TOMBSTONE: the session has another ID now",
            (_, Kind::Sealed) => "found, encrypted (no key)",
            (_, Kind::Unreadable) => "UNREADABLE: requests have no session",
            (_, Kind::UserList) => "not a session, but a user's session list",
        };
        row(output, "store", verdict)?;
        let other = located.hash_ids.then_some("under the hash of the ID");
        for (name, value) in description.lines(output, self.now).into_iter().skip(1) {
            row(output, name, value)?;
        }
        if let Some(seen) = self.seen() {
            row(output, "last used", crate::time::instant(seen))?;
        }
        if let Some(other) = other {
            row(output, "stored", other)?;
        }
        Ok(())
    }

    fn document(&self, output: &Output) -> Value {
        let Some((_, description)) = &self.found else { return json!({ "found": false }) };
        let mut document = description.document(output);
        document.insert("found".to_owned(), json!(true));
        document.insert("last_used".to_owned(), json!(self.seen().map(crate::time::instant)));
        let listed = match self.listed {
            None | Some(Listed::Unknown) => None,
            Some(Listed::Yes(_)) => Some(true),
            Some(Listed::No) => Some(false),
        };
        document.insert("in_user_list".to_owned(), json!(listed));
        Value::from(document)
    }
}

/// A session with an owner is valid only while the owner's session list has it.
async fn listed(description: &Description, service: &Service) -> Result<Option<Listed>, Failure> {
    let (Some(user), Some(reference)) = (description.user(), &description.meta.user) else {
        return Ok(None);
    };
    let namespace = description.namespace.as_deref();
    let sealed = service.seals(namespace).is_some();
    let sessions = service.sessions(namespace, false, sealed)?;
    let key = sessions.options().user_key(&user);
    let text = vestiary_store::Store::read(&service.store, &key).await?;
    if !sealed && text.is_some_and(|text| vestiary::SealRing::is_sealed(&text)) {
        return Ok(Some(Listed::Unknown));
    }
    let list = sessions.of(&user).list().await?;
    let entry = list.iter().find(|session| session.handle == reference.handle);
    Ok(Some(entry.map_or(Listed::No, |session| Listed::Yes(session.seen))))
}

/// Prints a name and a value.
pub(crate) fn row(
    output: &mut Output,
    name: &str,
    value: impl std::fmt::Display,
) -> Result<(), Failure> {
    output.line(format_args!("{name:<20} {value}"))?;
    Ok(())
}
