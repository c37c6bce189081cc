use alloc::string::String;

use percent_encoding::percent_decode_str;

/// The value of a field of a form, or of a parameter of an address (`application/x-www-form-urlencoded`). `None` if the
/// field is absent, stands there twice, or is not UTF-8.
///
/// ```
/// use vestiary::jwt::form_value;
///
/// assert_eq!(form_value("sid=a%20b+c&iss=x", "sid").as_deref(), Some("a b c"));
/// assert_eq!(form_value("sid=a&sid=b", "sid"), None);
/// assert_eq!(form_value("sid", "sid").as_deref(), Some(""));
/// assert_eq!(form_value("sid=%FF", "sid"), None);
/// ```
#[must_use]
pub fn form_value(form: &str, name: &str) -> Option<String> {
    let fields = form.split('&').map(|field| field.split_once('=').unwrap_or((field, "")));
    let mut found = fields.filter(|(field, _)| decoded(field).as_deref() == Some(name));
    let (_, value) = found.next()?;
    if found.next().is_some() {
        return None;
    }
    decoded(value)
}

fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(Into::into)
}
