use serde_json::{Value, json};
use vestiary::{Limits, Record, SealRing};

use crate::{
    commands::inspect::row,
    description::{self, Description, Kind},
    failure::{Failure, Verdict},
    locate::{given, locate},
    output::{Output, plain},
    service::{Service, ServiceArgs, no_secret},
};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A cookie, an ID, a key of the store or its first characters as `ls` shows them, or a handle; `-` reads it
    /// from standard input, where no other user of the machine sees it
    #[arg(allow_hyphen_values = true)]
    session: String,
    /// Also print what the session holds
    #[arg(long)]
    data: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

pub(crate) async fn run(args: &Args, output: &mut Output) -> Result<Verdict, Failure> {
    let service = args.service.open().await?;
    let found = locate(&given(&args.session)?, &service).await?;
    let description = Description::of(&found.entry, found.id.as_ref(), &service);
    let data = if args.data { Some(data(&found, &description, &service)?) } else { None };

    let now = service.sessions(None, false, false)?.now();
    for (name, value) in description.lines(output, now) {
        row(output, name, value)?;
    }
    if let Some(data) = &data {
        let text = serde_json::to_string_pretty(data).unwrap_or_default();
        output.line("data")?;
        for line in text.lines() {
            output.line(plain(line))?;
        }
    }
    let mut document = description.document(output);
    if let Some(data) = data {
        document.insert("data".to_owned(), data);
    }
    output.document(&Value::from(document))?;
    Ok(Verdict::of(description.kind != Kind::Unreadable))
}

fn data(
    found: &crate::locate::Located,
    description: &Description,
    service: &Service,
) -> Result<Value, Failure> {
    if description.kind == Kind::UserList {
        return Ok(json!(null));
    }
    let entry = &found.entry;
    let opened = if SealRing::is_sealed(&entry.record) {
        let opened = description::opened(entry, found.id.as_ref(), service);
        Some(opened.ok_or_else(|| unopened(found, service))?)
    } else {
        None
    };
    let text = opened.as_deref().unwrap_or(&entry.record);
    let record = Record::decode(text, Limits::LOAD)
        .map_err(|error| Failure::No(error.code(), error.to_string()))?;
    serde_json::from_str(record.data())
        .map_err(|_| Failure::No("json", vestiary::Error::Json.to_string()))
}

/// Why an encrypted record stays shut.
fn unopened(found: &crate::locate::Located, service: &Service) -> Failure {
    if found.id.is_none() {
        let message =
            "it is encrypted, and its key is only a hash: only the cookie or the ID opens it";
        return Failure::Usage("id_missing", message.to_owned());
    }
    if service.seals(found.namespace()).is_none() {
        return no_secret();
    }
    Failure::No("unsealable", vestiary::Error::Unsealable.to_string())
}
