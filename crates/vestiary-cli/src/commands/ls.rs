use std::time::Duration;

use serde_json::{Value, json};
use vestiary::{Ttl, UnixMillis};
use vestiary_store::Device;

use crate::{
    commands::revoke::list_of,
    description::{Description, Kind},
    failure::{Failure, Verdict},
    output::{Output, plain},
    service::{Service, ServiceArgs},
    store::each,
    time,
};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// List this user's session list. A session missing from it is invalid
    #[arg(long, value_name = "USER", conflicts_with = "expiring")]
    user: Option<String>,
    /// Maximum number of sessions; 0 means all
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
    /// List only sessions created longer ago than this, such as `30d` or `12h`
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,
    /// List only sessions that will expire within this time if they are not used
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expiring: Option<Duration>,
    #[command(flatten)]
    service: ServiceArgs,
}

pub(crate) async fn run(args: &Args, output: &mut Output) -> Result<Verdict, Failure> {
    let service = args.service.open().await?;
    match &args.user {
        Some(user) => of_user(args, user, &service, output).await,
        None => all(args, &service, output).await,
    }
}

async fn all(args: &Args, service: &Service, output: &mut Output) -> Result<Verdict, Failure> {
    let now = service.sessions(None, false, false)?.now();
    let mut list = List::new(args.limit);
    output.part("{\"sessions\":[")?;
    each(&service.store, async |entry| {
        if !service.is_mine(&entry.key) {
            return Ok(true);
        }
        let session = Description::of(&entry, None, service);
        if session.kind == Kind::UserList || !args.wants(session.meta.created, session.ttl, now) {
            return Ok(true);
        }
        if !list.has_room() {
            return Ok(false);
        }
        if list.shown == 0 {
            output.line(format_args!(
                "{:<24} {:<10} {:<20} {:<20} {:>8} {:>7}",
                "KEY", "KIND", "USER", "CREATED", "EXPIRES", "BYTES"
            ))?;
        }
        list.item(output, &Value::from(session.document(output)))?;
        let user = session.user().map_or_else(|| "–".to_owned(), |user| cut(&plain(&user)));
        let created = session.meta.created.map_or_else(|| "–".to_owned(), time::instant);
        let key = plain(&output.key(&session.key));
        let kind = session.kind.name();
        let left = time::left(session.ttl);
        let bytes = session.bytes.map_or_else(|| "–".to_owned(), |bytes| bytes.to_string());
        output.line(format_args!(
            "{key:<24} {kind:<10} {user:<20} {created:<20} {left:>8} {bytes:>7}"
        ))?;
        Ok(true)
    })
    .await?;
    list.end(output)
}

async fn of_user(
    args: &Args,
    user: &str,
    service: &Service,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let list = list_of(user, service).await?;
    let now = service.sessions(None, false, false)?.now();
    let sessions = list.list().await?;
    let mut list = List::new(args.limit);
    output.part("{\"sessions\":[")?;
    for session in sessions {
        if !args.wants(Some(session.created), Ttl::Infinite, now) {
            continue;
        }
        if !list.has_room() {
            break;
        }
        if list.shown == 0 {
            output.line(format_args!(
                "{:<16} {:<20} {:<20} LABEL",
                "HANDLE", "CREATED", "LAST USED"
            ))?;
        }
        let (label, device) = (session.label.clone(), session.device.clone());
        let Device { browser, system, network, .. } = device.clone().unwrap_or_default();
        let [created, seen] = [session.created, session.seen].map(time::instant);
        let handle = session.handle.as_str();
        list.item(
            output,
            &json!({
                "handle": handle, "created": created, "last_used": seen, "label": label,
                "device": device.map(|_| json!({
                    "browser": &browser, "system": &system, "network": &network,
                })),
            }),
        )?;
        let known: Vec<_> = [browser, system, network].into_iter().flatten().collect();
        let device = (!known.is_empty()).then(|| known.join(", "));
        let label = label.or(device).unwrap_or_else(|| "–".to_owned());
        output.line(format_args!("{handle:<16} {created:<20} {seen:<20} {label}"))?;
    }
    list.end(output)
}

impl Args {
    fn wants(&self, created: Option<UnixMillis>, ttl: Ttl, now: UnixMillis) -> bool {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let old = self
            .older_than
            .map(millis)
            .is_none_or(|age| created.is_some_and(|created| now.since(created) > age));
        let ending = self
            .expiring
            .map(millis)
            .is_none_or(|soon| time::millis(ttl).is_some_and(|left| left <= soon));
        old && ending
    }
}

/// The items that were shown so far.
struct List {
    limit: usize,
    shown: usize,
    more: bool,
}

impl List {
    fn new(limit: usize) -> Self {
        Self { limit, shown: 0, more: false }
    }

    fn has_room(&mut self) -> bool {
        self.more = self.limit > 0 && self.shown >= self.limit;
        !self.more
    }

    fn item(&mut self, output: &mut Output, item: &Value) -> Result<(), Failure> {
        if self.shown > 0 {
            output.part(",")?;
        }
        self.shown += 1;
        Ok(output.part(&item.to_string())?)
    }

    fn end(self, output: &mut Output) -> Result<Verdict, Failure> {
        let Self { shown, more, limit } = self;
        output.part(&format!("],\"more\":{more}}}"))?;
        output.end_part()?;
        if more {
            output.note(format_args!("only the first {limit}: --limit 0 lists all"))?;
        } else if shown == 0 && !output.is_json() {
            output.note("no sessions found")?;
        }
        Ok(Verdict::Yes)
    }
}

/// Truncates a text, so that columns stay aligned.
fn cut(text: &str) -> String {
    if text.chars().count() <= 20 {
        return text.to_owned();
    }
    text.chars().take(19).chain(['…']).collect()
}
