use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use serde_json::json;
use vestiary::{Handle, SealRing, StoreKey};
use vestiary_store::{Entry, SessionError, Store as _, UserList};

use crate::{
    description::{Description, Kind},
    failure::{Failure, Verdict},
    locate::{Located, given, locate, not_found},
    output::{Output, counted},
    service::{Service, ServiceArgs, no_secret},
    store::{self, each},
};

#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["session", "user", "all"]))]
pub(crate) struct Args {
    /// A cookie, an ID, a key of the store or its first characters as `ls` shows them, or a handle. `-` reads it
    /// from standard input, where no other user of the machine can see it
    #[arg(allow_hyphen_values = true)]
    session: Option<String>,
    /// End all sessions of this user, in one write, and refuse the user's logins in progress
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// End only the session of the user that has this handle (`vestiary ls --user`)
    #[arg(long, value_name = "HANDLE", requires = "user")]
    handle: Option<String>,
    /// End all sessions under the prefix, or of the namespace. A login in progress may still create a session; to
    /// rule that out, also change the secrets or the namespace
    #[arg(long)]
    all: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

pub(crate) async fn run(args: &Args, output: &mut Output) -> Result<Verdict, Failure> {
    let service = args.service.open().await?;
    match (&args.session, &args.user) {
        (Some(session), _) => one(&given(session)?, args.dry_run, &service, output).await,
        (None, Some(user)) => of_user(user, args, &service, output).await,
        (None, None) => all(args, &service, output).await,
    }
}

async fn one(
    text: &str,
    dry_run: bool,
    service: &Service,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let found = locate(text, service).await?;
    let description = Description::of(&found.entry, found.id.as_ref(), service);
    let key = output.key(&found.entry.key);
    if description.kind == Kind::UserList {
        let message = "this is a user's session list: revoke the sessions with --user";
        return Err(Failure::Usage("user_list", message.to_owned()));
    }
    if dry_run {
        output.line(format_args!("would revoke the session {key}"))?;
        output.document(&json!({ "dry_run": true, "sessions": 1, "key": key }))?;
        return Ok(Verdict::Yes);
    }
    let confirmed = if found.id.is_some() && description.kind != Kind::Unreadable {
        end(&found, &description, service).await?
    } else {
        end_by_key(&found, &description, service, output).await?;
        None
    };
    output.line(format_args!("revoked the session {key}"))?;
    if confirmed == Some(false) {
        output.note(
            "no replica has confirmed it: if the primary fails now, the session may come back",
        )?;
    }
    output.document(&json!({ "dry_run": false, "sessions": 1, "key": key }))?;
    Ok(Verdict::Yes)
}

/// Ends a session with the write protocol, so that it also works during and after a renewal.
async fn end(
    found: &Located,
    description: &Description,
    service: &Service,
) -> Result<Option<bool>, Failure> {
    let Some(id) = &found.id else { return Err(not_found()) };
    if description.kind == Kind::Sealed && service.seals(found.namespace()).is_none() {
        return Err(no_secret());
    }
    // In a service that has begun to encrypt, the record may still be plain while its user's list is encrypted. Writing
    // the list as plain text would end all sessions of the user.
    let is_list_sealed = match description.user() {
        Some(user) => list_of_namespace(&user, found.namespace(), service).await?.is_sealed,
        None => false,
    };
    let sealed = description.sealed || is_list_sealed;
    let sessions = service.sessions(found.namespace(), found.hash_ids, sealed)?;
    let stored = sessions.load(id).await?.ok_or_else(not_found)?;
    Ok(sessions.destroy(&stored).await?)
}

/// Ends a session whose ID is unknown, because the store has only its hash, or whose record is unreadable.
async fn end_by_key(
    found: &Located,
    description: &Description,
    service: &Service,
    output: &mut Output,
) -> Result<(), Failure> {
    if description.kind == Kind::Tombstone {
        let message = "this ID was replaced by a renewal, and only its holder can follow the session: revoke it by its \
                       cookie, or with --user";
        return Err(Failure::Usage("tombstone", message.to_owned()));
    }
    if let (Some(user), Some(reference)) = (description.user(), &description.meta.user) {
        // Without its entry in the list the session is invalid, wherever it goes meanwhile.
        let found = list_of_namespace(&user, found.namespace(), service).await?;
        found.list.revoke(&reference.handle).await?;
    } else if description.kind != Kind::Unreadable {
        output.note("if the session is being renewed at this moment, it continues under a new ID: check with `ls`")?;
    }
    let removed = store::remove(&service.store, &found.entry.key, &found.entry.record).await?;
    if removed { Ok(()) } else { Err(not_found()) }
}

async fn of_user(
    user: &str,
    args: &Args,
    service: &Service,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let list = list_of(user, service).await?;
    let sessions = list.list().await?;
    let done = if args.dry_run { "would revoke" } else { "revoked" };
    if let Some(handle) = &args.handle {
        let known = Handle::parse(handle)
            .filter(|handle| sessions.iter().any(|session| session.handle == *handle));
        let handle = known.ok_or_else(|| {
            let message = "the user has no session with this handle: see `vestiary ls --user`";
            Failure::No("not_found", message.to_owned())
        })?;
        if !args.dry_run {
            list.revoke(&handle).await?;
        }
        output.line(format_args!("{done} the session with the handle {}", handle.as_str()))?;
        output.document(&json!({ "dry_run": args.dry_run, "sessions": 1 }))?;
        return Ok(Verdict::Yes);
    }
    if !args.dry_run {
        list.revoke_all().await?;
    }
    let count = sessions.len() as u64;
    if count == 0 {
        // If the user exists, logins in progress are rejected all the same.
        output.line("the user has no sessions: check the name and the --namespace")?;
    } else {
        let ended = counted(count, "session");
        output.line(format_args!("{done} {ended} of the user, and logins in progress"))?;
    }
    output.document(&json!({ "dry_run": args.dry_run, "sessions": count }))?;
    Ok(Verdict::of(count > 0))
}

/// A user's session list, if it can be read and written in such a way that the service can read it.
pub(crate) async fn list_of(user: &str, service: &Service) -> Result<UserList, Failure> {
    Ok(list_of_namespace(user, service.namespace.as_deref(), service).await?.list)
}

struct FoundList {
    list: UserList,
    is_sealed: bool,
}

async fn list_of_namespace(
    user: &str,
    namespace: Option<&str>,
    service: &Service,
) -> Result<FoundList, Failure> {
    let plain = service.sessions(namespace, service.hash_ids, false)?;
    let key = plain.options().user_key(user);
    let sealed = match service.store.read(&key).await? {
        None => service.encrypt,
        Some(text) => SealRing::is_sealed(&text),
    };
    if !sealed {
        return Ok(FoundList { list: plain.of(user), is_sealed: false });
    }
    let ring = service.seals(namespace).ok_or_else(no_secret)?;
    if let Some(text) = service.store.read(&key).await? {
        let id = vestiary::SessionId::parse(&key)?;
        let opened = ring.open(&id, &key, &text);
        opened.map_err(SessionError::Data)?;
    }
    let list = service.sessions(namespace, service.hash_ids, true)?.of(user);
    Ok(FoundList { list, is_sealed: true })
}

/// If more passes are needed, sessions are created faster than they are removed.
const PASSES: usize = 10;

async fn all(args: &Args, service: &Service, output: &mut Output) -> Result<Verdict, Failure> {
    let (mut sessions, mut lists) = (0_u64, 0_u64);
    each(&service.store, async |entry| {
        if service.is_mine(&entry.key) {
            let list = StoreKey::parse(&entry.key).is_user_list;
            *(if list { &mut lists } else { &mut sessions }) += 1;
        }
        Ok(true)
    })
    .await?;
    let place = match &service.namespace {
        Some(namespace) => format!("namespace {namespace} in {}", service.store.name),
        None => format!("{}, under the prefix `{}`", service.store.name, service.store.prefix),
    };
    let what = format!("{} and {}", counted(sessions, "session"), counted(lists, "user's list"));
    if args.dry_run {
        output.line(format_args!("would remove {what}: {place}"))?;
        output.document(&json!({ "dry_run": true, "sessions": sessions, "user_lists": lists }))?;
        return Ok(Verdict::Yes);
    }
    let question = format!("Remove {what}: {place}?");
    if !args.yes && !is_confirmed(&question)? {
        return Err(Failure::No("not_confirmed", "nothing was removed".to_owned()));
    }
    let bar = output.progress("removing", Some(sessions + lists));
    let mut removed = 0_u64;
    let mut rest = true;
    for _ in 0..PASSES {
        let mut found = 0_u64;
        each(&service.store, async |Entry { key, record, .. }| {
            if service.is_mine(&key) {
                found += 1;
                removed += u64::from(store::remove(&service.store, &key, &record).await?);
                bar.set_position(removed);
            }
            Ok(true)
        })
        .await?;
        rest = found > 0;
        if !rest {
            break;
        }
    }
    bar.finish_and_clear();
    output.line(format_args!("removed {}", counted(removed, "record")))?;
    if rest {
        output.note(format_args!(
            "new records appeared in each of {PASSES} passes: stop the service, and run this again"
        ))?;
    } else {
        output.note("a login in progress may still create a session; to rule that out, change the secrets or the namespace")?;
    }
    output.document(&json!({ "dry_run": false, "removed": removed, "empty": !rest }))?;
    Ok(Verdict::of(!rest))
}

fn is_confirmed(question: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        let message = "cannot ask for confirmation without a terminal: pass --yes to proceed, or --dry-run to see what would be done";
        return Err(Failure::Usage("not_confirmed", message.to_owned()));
    }
    write!(io::stderr(), "{question}\nType `yes` to continue: ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}
