use futures_util::FutureExt as _;
use serde_json::json;
use vestiary_store::{Config, MemoryStore, Sessions};

use super::*;

/// Contents as read from a store.
fn read(data: &str) -> Contents {
    let config = Config::new("a long random secret, from the environment");
    let sessions = Sessions::new(&config, MemoryStore::default()).unwrap();
    Contents::of(sessions.create(data, None).now_or_never().unwrap().unwrap())
}

fn json(value: &Value) -> String {
    value.to_string()
}

/// The values in their text.
fn values(contents: &Contents) -> Value {
    serde_json::from_str(&contents.text()).unwrap()
}

#[test]
fn unchanged_members_are_written_as_they_were() {
    let data = r#"{ "z":1.50, "a" : {"y":1,"x":[ ]}, "n":1e2 }"#;
    let mut contents = read(data);
    assert_eq!(contents.get::<f64>("z").unwrap(), Some(1.5));
    assert_eq!((contents.text().as_ref(), contents.is_changed()), (data, false));
    contents.set("n", json(&json!(5))).unwrap();
    assert_eq!(contents.text(), r#"{"z":1.50,"a":{"y":1,"x":[ ]},"n":5}"#);
    assert_eq!((contents.before(), contents.is_changed()), (data, true));
}

#[test]
fn a_value_that_is_there_already_is_no_change_however_it_is_spelled() {
    let mut contents = read(r#"{"o":{"b":1, "a":"\u00e9"},"n":1,"gone":null}"#);
    contents.set("o", json(&json!({"a": "é", "b": 1}))).unwrap();
    contents.set("n", json(&json!(2))).unwrap();
    assert!(contents.is_changed());
    contents.set("n", json(&json!(1))).unwrap();
    assert!(!contents.is_changed(), "{}", contents.text());
    contents.set("n", json(&json!(1.0))).unwrap();
    assert!(contents.is_changed());
    // A member that is added and removed again never existed; one that is removed and set again never went away.
    let mut contents = read(r#"{"n":1}"#);
    contents.set("new", json(&json!(1))).unwrap();
    assert_eq!(contents.remove("new").unwrap().as_deref(), Some("1"));
    assert_eq!(contents.remove("n").unwrap().as_deref(), Some("1"));
    assert_eq!((contents.text().as_ref(), contents.is_changed()), ("{}", true));
    assert_eq!(contents.remove("n").unwrap(), None);
    contents.set("n", json(&json!(1))).unwrap();
    assert!(!contents.is_changed());
}

#[derive(serde::Deserialize)]
struct B {
    x: u8,
}

#[test]
fn the_last_of_two_members_with_one_name_counts() {
    let mut contents = read(r#"{"b":1,"a":1,"a":2,"b":{"x":1,"x":2}}"#);
    assert_eq!(contents.get::<u8>("a").unwrap(), Some(2));
    assert_eq!(contents.get::<B>("b").unwrap().unwrap().x, 2);
    contents.set("a", json(&json!(3))).unwrap();
    assert_eq!(contents.text(), r#"{"a":3,"b":{"x":1,"x":2}}"#);
    let mut contents = read(r#"{"a":1,"a":2}"#);
    assert_eq!(contents.read::<Data>().unwrap().get("a"), Some(&json!(2)));
}

#[test]
fn a_key_is_what_it_says_and_stays_spelled_as_it_is() {
    let mut contents = read(r#"{"\u0031":1,"tab\t":2,"\u00e9":3}"#);
    assert_eq!(contents.get::<u8>("1").unwrap(), Some(1));
    assert_eq!(contents.get::<u8>("tab\t").unwrap(), Some(2));
    assert_eq!(contents.get::<u8>(r"tab\t").unwrap(), None);
    contents.set("1", json(&json!(7))).unwrap();
    assert_eq!(contents.remove("é").unwrap().as_deref(), Some("3"));
    contents.set("\"quoted\"", json(&json!(null))).unwrap();
    assert_eq!(contents.text(), r#"{"\u0031":7,"tab\t":2,"\"quoted\"":null}"#);
    assert_eq!(values(&contents), json!({"\"quoted\"": null, "1": 7, "tab\t": 2}));
    assert_eq!(contents.get::<Option<u8>>("\"quoted\"").unwrap(), Some(None));
}

#[test]
fn all_can_be_replaced_removed_or_kept_in_part() {
    let mut contents = read(r#"{"a":1,"b":2,"c":[1]}"#);
    let names = ["c", "none", "a"].map(str::to_owned);
    contents.set("a", json(&json!("new"))).unwrap();
    assert_eq!(contents.only(&names).unwrap(), r#"{"a":"new","c":[1]}"#);
    contents.write(json!({"b": 2, "d": 4}).as_object().unwrap()).unwrap();
    assert_eq!(contents.text(), r#"{"b":2,"d":4}"#);
    contents.write(json!({"c": [1], "a": 1, "b": 2}).as_object().unwrap()).unwrap();
    assert!(!contents.is_changed());
    contents.clear().unwrap();
    assert_eq!(contents.get::<u8>("a").unwrap(), None);
    assert_eq!(contents.text(), "{}");
    let mut new = Contents::default();
    assert_eq!((new.text().as_ref(), new.is_changed()), ("{}", false));
    new.set("a", json(&json!(1))).unwrap();
    assert_eq!((new.text().as_ref(), new.is_changed()), (r#"{"a":1}"#, true));
    new.clear().unwrap();
    assert!(!new.is_changed());
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Plan {
    Free,
    Paid {
        #[serde(rename = "n")]
        _n: u8,
    },
}

#[test]
fn the_error_for_a_wrong_type_shows_no_value() {
    for (data, said) in [
        (r#"{"v":"secret"}"#, "expected `free` or `paid`"),
        (r#"{"v":{"paid":{}}}"#, "missing field `n`"),
        (r#"{"v":{"paid":{"n":"secret, expected secret"}}}"#, "expected u8"),
        (r#"{"v":{"paid":{"n":300}}}"#, "expected u8"),
        (r#"{"v":{"paid":{"secret":3}}}"#, "expected `n`"),
    ] {
        let Err(SessionError::Type(cause)) = read(data).get::<Plan>("v") else { panic!("{data}") };
        let shown = format!("{cause} {cause:?}");
        assert!(shown.contains(said) && !shown.contains("secret"), "{data}: {shown}");
        assert!(!shown.contains(" at line "), "{shown}");
    }
    let custom = <serde_json::Error as serde::de::Error>::custom("not 'secret', expected secret");
    assert_eq!(expectation(&custom.to_string()), "another type was expected");
}

#[test]
fn nothing_is_the_default_of_a_type() {
    for nothing in ["{}", "{ }", "{\n}"] {
        assert_eq!(read(nothing).read::<u8>().ok(), Some(0), "{nothing:?}");
    }
    assert!(matches!(read(r#"{"a":1}"#).read::<u8>(), Err(SessionError::Type(_))));
}

#[test]
fn a_value_that_rust_cannot_read_fails_only_its_own_key() {
    // Half of a UTF-16 surrogate pair: `JSON.stringify` writes it.
    let mut contents = read(r#"{"half":"\ud800","n":1}"#);
    assert!(matches!(contents.get::<String>("half"), Err(SessionError::Type(_))));
    assert_eq!(contents.get::<u8>("n").unwrap(), Some(1));
    contents.set("n", json(&json!(2))).unwrap();
    assert_eq!(contents.text(), r#"{"half":"\ud800","n":2}"#);
}
