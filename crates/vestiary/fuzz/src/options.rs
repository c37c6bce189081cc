use serde_json::Value;
use vestiary::{Options, OptionsText, UnixMillis};

/// Fuzzes the JSON text of options: it is parsed as another parser does, or rejected.
pub fn options(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        check_options(text);
    }
}

fn check_options(text: &str) {
    let read = match OptionsText::read(text) {
        Ok(read) => read,
        Err(error) => return assert_eq!(error.code(), "options"),
    };
    let given: Value = serde_json::from_str(text).unwrap_or_default();
    // A number beyond its range, or half a character, is JSON; serde_json takes it for none.
    if given.is_null() {
        return;
    }
    let _ = (read.keys(), format!("{read:?}"));
    let Ok(input) = read.input() else { return };
    let text_of = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    assert_eq!(input.name.map(str::to_owned), text_of(&given["name"]), "in {text}");
    assert_eq!(
        input.cookie.path.map(str::to_owned),
        text_of(&given["cookie"]["path"]),
        "in {text}"
    );
    assert_eq!(input.rolling, given["rolling"] == true, "in {text}");
    assert_eq!(input.cookie.secure, given["cookie"]["secure"].as_bool(), "in {text}");
    if let (Some(read), Some(given)) = (input.max_bytes, given["maxBytes"].as_f64()) {
        assert!((read - given).abs() <= given.abs() * 1.2e-15, "{read} in {text}");
    }
    let Ok(options) = Options::new(input) else { return };
    let shown = options.shown_cookie(UnixMillis(0)).expect("the attributes are an object");
    assert!(serde_json::from_str::<Value>(&shown).is_ok(), "{shown}");
    let _ = read.rules(options);
}
