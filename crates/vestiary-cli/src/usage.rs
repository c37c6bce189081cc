//! Errors of command-line arguments.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::{failure::Failure, output::shortened_text};

/// Converts an argument error to one line; `None` for output that is no error, such as `--help`.
///
/// An argument in the wrong place may be a secret, a cookie or a URL with a password, so it is shortened.
pub(crate) fn failure(error: &clap::Error) -> Option<Failure> {
    let prints = [
        ErrorKind::DisplayHelp,
        ErrorKind::DisplayVersion,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ];
    if prints.contains(&error.kind()) {
        return None;
    }
    let rendered = error.render().to_string();
    let said = rendered.split("\n\n").next().unwrap_or_default();
    let mut message = said.trim_start_matches("error: ").to_owned();
    for typed in typed(error) {
        let quoted = format!("'{typed}'");
        message = message.replace(&quoted, &format!("'{}'", shortened_text(typed)));
    }
    let lines = message.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let similar = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand]
        .into_iter()
        .find_map(|kind| first(error.get(kind)?))
        .map_or_else(String::new, |similar| format!("; did you mean `{similar}`?"));
    Some(Failure::Usage("arguments", format!("{lines}{similar} (see --help)")))
}

/// The parts of the message that the caller typed, without the names of options.
fn typed(error: &clap::Error) -> impl Iterator<Item = &str> {
    let is_unknown = error.kind() == ErrorKind::UnknownArgument;
    let argument = error.get(ContextKind::InvalidArg).filter(|_| is_unknown);
    let values = [ContextKind::InvalidValue, ContextKind::InvalidSubcommand];
    let values = values.into_iter().filter_map(|kind| error.get(kind));
    let typed = argument.into_iter().chain(values).filter_map(first);
    typed.filter(|typed| !typed.starts_with('-'))
}

fn first(value: &ContextValue) -> Option<&str> {
    match value {
        ContextValue::String(text) => Some(text),
        ContextValue::Strings(texts) => texts.first().map(String::as_str),
        _ => None,
    }
}
