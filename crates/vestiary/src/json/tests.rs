use std::{format, vec::Vec};

use super::*;

fn walk(text: &str) -> Result<(), Error> {
    members(text, 3, 32, &mut |_, _| Ok(()))
}

#[test]
fn a_string_is_read_as_it_was_written() {
    for text in ["", "ada", "a\"b\\c\n\u{1}\u{7f}é😀", "/"] {
        assert_eq!(unquoted(&quoted(text)).as_deref(), Some(text));
        let other = serde_json::to_string(text).unwrap();
        assert_eq!(unquoted(&other).as_deref(), Some(text));
    }
    let escaped = r#""\/\b\f\n\r\t\u00e9\ud83d\uDE00""#;
    assert_eq!(unquoted(escaped).as_deref(), Some("/\u{8}\u{c}\n\r\té😀"));
    for none in
        ["", "\"", "5", r#""\u12"#, r#""\u12""#, r#""\ud83d""#, r#""\ud83dx""#, r#""\ud83d\u0041""#]
    {
        assert_eq!(unquoted(none), None, "{none}");
    }
}

#[test]
fn says_of_values_what_the_grammar_says() {
    for value in [
        "0",
        "-0",
        "10",
        "-1.50",
        "1e5",
        "1E+5",
        "1.0e-05",
        "true",
        "false",
        "null",
        "\"\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00Ff\"",
        "\"\u{7f}é\u{2028}😀\\ud800\"",
        "[]",
        "[ ]",
        "[1,[2],{}]",
        "{}",
        "{ }",
        "{\"a\":1,\"a\":2}",
        " \t\r\n1\n",
    ] {
        assert_eq!(walk(&format!("{{\"a\":{value}}}")), Ok(()), "{value}");
        assert_eq!(walk(&format!(" {{ \"a\" : [ {value} , {value} ] }} ")), Ok(()), "{value}");
    }
    for value in [
        "",
        "-",
        "01",
        "+1",
        ".5",
        "1.",
        "1.e5",
        "1e",
        "1e+",
        "0x1",
        "tru",
        "truex",
        "True",
        "nul",
        "NaN",
        "Infinity",
        "'a'",
        "\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u123\"",
        "\"\n\"",
        "\"\0\"",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{",
        "{1:2}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1]",
        "1\u{a0}",
        "\u{feff}1",
        "1//",
        "/**/1",
    ] {
        assert_eq!(walk(&format!("{{\"a\":{value}}}")), Err(Error::Json), "{value}");
    }
}

#[test]
fn invalid_characters_are_rejected_anywhere_in_a_string() {
    // Eight bytes are compared at once, and the remainder one by one.
    for at in 0..20 {
        for byte in 0..=0x7f_u8 {
            let mut text = [b'x'; 20];
            text[at] = byte;
            let text = str::from_utf8(&text).unwrap();
            let fits = byte >= 0x20 && byte != b'"' && byte != b'\\';
            assert_eq!(walk(&format!("{{\"a\":\"{text}\"}}")).is_ok(), fits, "{byte:#x} {at}");
        }
    }
}

#[test]
fn only_an_object_is_accepted() {
    for text in ["[]", "1", "\"a\"", "x"] {
        assert_eq!(walk(text), Err(Error::DataNotObject), "{text}");
    }
    for text in ["", " ", "{", "{}{}", "{} x", "{\"a\":1}}", "{\"a\":1"] {
        assert_eq!(walk(text), Err(Error::Json), "{text}");
    }
}

#[test]
fn tells_keys_and_where_their_values_are() {
    let text = r#" { "a" : [1, {"x":2}] ,"b\n":"}{", "":null}"#;
    let mut told = Vec::new();
    members(text, 3, 3, &mut |key, place| {
        told.push((key.to_vec(), text.get(place).unwrap()));
        Ok(())
    })
    .unwrap();
    let expected = [(&b"a"[..], r#"[1, {"x":2}]"#), (b"b\\n", r#""}{""#), (b"", "null")];
    assert_eq!(told, expected.map(|(key, value)| (key.to_vec(), value)));
}

#[test]
fn goes_as_deep_as_it_may() {
    for (value, fits) in [("[[[1]]]", true), ("[[[[]]]]", false), ("{\"b\":[{}]}", true)] {
        let walked = walk(&format!("{{\"a\":{value}}}"));
        assert_eq!(walked.is_ok(), fits, "{value}");
        assert!(fits || walked == Err(Error::TooDeep { limit: 32 }));
    }
}

#[test]
fn whole_numbers_are_as_the_standard_library_reads_them() {
    for text in ["", "0", "007", "1a", "-1", "1.0", "18446744073709551609"] {
        assert_eq!(whole(text), text.parse().ok(), "{text}");
    }
    assert_eq!(whole("18446744073709551615"), Some(u64::MAX));
    for beyond in ["18446744073709551616", "18446744073709551620", "184467440737095516150"] {
        assert_eq!(whole(beyond), None, "{beyond}");
    }
}

#[test]
fn no_key_becomes_a_prototype_however_it_is_spelled() {
    for key in FORBIDDEN {
        for text in [format!("{{\"{key}\":1}}"), format!("{{\"a\":[{{\"{key}\":1}}]}}")] {
            assert_eq!(walk(&text), Err(Error::ForbiddenKey { key }), "{text}");
        }
    }
    for key in ["__pr\\u006fto__", "\\u005f_proto__", "a\\u0041"] {
        assert_eq!(walk(&format!("{{\"{key}\":1}}")), Err(Error::Json), "{key}");
    }
    for key in ["\\u0031", "\\u00e9", "\\\\u0041x", "__proto", "_\\n"] {
        let walked = walk(&format!("{{\"{key}\":1}}"));
        // `\\u0041` is a backslash and letters. It looks like an escape, so it is rejected, too.
        assert_eq!(walked.is_ok(), !key.contains("u0041"), "{key}");
    }
    assert_eq!(walk("{\"a\":\"__proto__\"}"), Ok(()));
}
