use serde_json::Value;
use vestiary::{Limits, Record, SealRing};

use crate::{
    commands::inspect::row,
    description::{self, Description, Kind},
    failure::{Failure, Verdict},
    locate::{given, locate},
    output::Output,
    service::{Service, ServiceArgs, no_secret},
};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A cookie, an ID, a key of the store or its first characters as `ls` shows them, or a handle. `-` reads it
    /// from standard input, where no other user of the machine can see it
    #[arg(allow_hyphen_values = true)]
    session: String,
    /// Also print the session's data
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
        output.line("data")?;
        for line in pretty(data).lines() {
            output.line(line)?;
        }
    }
    let document = Value::from(description.document(output)).to_string();
    match (&data, document.strip_suffix('}')) {
        // As stored, so that no number is rounded.
        (Some(data), Some(document)) => output.part(&format!("{document},\"data\":{data}}}"))?,
        _ => output.part(&document)?,
    }
    output.end_part()?;
    Ok(Verdict::of(description.kind != Kind::Unreadable))
}

/// The text of the session data.
fn data(
    found: &crate::locate::Located,
    description: &Description,
    service: &Service,
) -> Result<String, Failure> {
    if description.kind == Kind::UserList {
        return Ok("null".to_owned());
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
    Ok(record.data().to_owned())
}

/// Formats JSON on several lines, and keeps the spelling of each value.
fn pretty(json: &str) -> String {
    let mut text = String::with_capacity(2 * json.len());
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut is_escaped = false;
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    for char in json.chars() {
        if in_string {
            text.push(char);
            in_string = is_escaped || char != '"';
            is_escaped = !is_escaped && char == '\\';
            continue;
        }
        match char {
            ' ' | '\t' | '\n' | '\r' => {}
            '{' | '[' => {
                text.push(char);
                depth += 1;
                line(&mut text, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                // The object or list is empty.
                if text.trim_end().ends_with(if char == '}' { '{' } else { '[' }) {
                    text.truncate(text.trim_end().len());
                } else {
                    line(&mut text, depth);
                }
                text.push(char);
            }
            ',' => {
                text.push(char);
                line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            char => {
                text.push(char);
                in_string = char == '"';
            }
        }
    }
    text
}

/// Explains why an encrypted record cannot be decrypted.
fn unopened(found: &crate::locate::Located, service: &Service) -> Failure {
    if found.id.is_none() {
        let message = "the record is encrypted, and its key is only a hash: pass the cookie or the ID to decrypt it";
        return Failure::Usage("id_missing", message.to_owned());
    }
    if service.seals(found.namespace()).is_none() {
        return no_secret();
    }
    Failure::No("unsealable", vestiary::Error::Unsealable.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_formatted_and_keeps_the_spelling_of_its_values() {
        let json = r#"{"a":1.50,"b":[ ],"c":{},"d":["]}\\\"",{"e":1e400}],"f":"é: ,"}"#;
        let expected = r#"{
  "a": 1.50,
  "b": [],
  "c": {},
  "d": [
    "]}\\\"",
    {
      "e": 1e400
    }
  ],
  "f": "é: ,"
}"#;
        assert_eq!(pretty(json), expected);
    }
}
