//! Reads the members of a JSON object as a type of the application, and records which of them the type takes.
//!
//! `serde_json` reads each value. The object itself is read here, because `serde_json` reports neither the member that
//! did not fit nor those that the type ignored.

use std::{cell::Cell, fmt};

use serde::{
    Deserializer,
    de::{
        self, DeserializeOwned, DeserializeSeed, MapAccess, Visitor, value::MapAccessDeserializer,
    },
    forward_to_deserialize_any,
};

/// A member of an object: its name, and the text of its value.
pub(crate) type Member<'t> = (&'t str, &'t str);

/// The reason why members do not fit a type, without values and without messages that may repeat them.
#[derive(Debug)]
pub(crate) struct Misfit {
    /// The member that did not fit, or that is missing.
    pub(crate) key: Option<String>,
    pub(crate) why: Why,
    /// The reason in words that show no value.
    pub(crate) reason: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Why {
    /// Its value, or the whole object, has another type.
    Type,
    Missing,
    /// The type has already taken it, under this name or another one.
    Twice,
}

/// Reads members as a type, and records in `taken` for each member whether the type took it.
pub(crate) fn read<T: DeserializeOwned>(
    members: &[Member<'_>],
    taken: &mut Vec<bool>,
) -> Result<T, Misfit> {
    taken.clear();
    let at = Cell::new(None);
    let read = T::deserialize(Object(Members { all: members, next: 0, at: &at, taken }));
    read.map_err(|misfit: Misfit| {
        // The member shown last is the one that the type refused.
        let shown = at.get().and_then(|at| members.get(at)).map(|(name, _)| (*name).to_owned());
        let key = if misfit.why == Why::Missing { misfit.key } else { misfit.key.or(shown) };
        Misfit { key, ..misfit }
    })
}

/// An object as a deserialiser.
struct Object<'a, 't>(Members<'a, 't>);

struct Members<'a, 't> {
    all: &'a [Member<'t>],
    next: usize,
    /// The member that the type is reading.
    at: &'a Cell<Option<usize>>,
    taken: &'a mut Vec<bool>,
}

/// The methods with which an option, a newtype and an enum read the value in them. `$any` passes the value to a
/// visitor, `$variant` creates the deserialiser of an enum.
macro_rules! transparent {
    ($any:expr, $variant:expr) => {
        fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            $any(visitor, self)
        }

        fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            visitor.visit_some(self)
        }

        fn deserialize_newtype_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            visitor: V,
        ) -> Result<V::Value, Misfit> {
            visitor.visit_newtype_struct(self)
        }

        fn deserialize_enum<V: Visitor<'de>>(
            self,
            _: &'static str,
            _: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Misfit> {
            visitor.visit_enum($variant(self.0))
        }
    };
}

impl<'de> Deserializer<'de> for Object<'_, 'de> {
    type Error = Misfit;

    transparent!(
        |visitor: V, object: Self| visitor.visit_map(object.0),
        MapAccessDeserializer::new
    );

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for Members<'_, 'de> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Misfit> {
        self.at.set(Some(self.next));
        let Some((name, _)) = self.all.get(self.next) else { return Ok(None) };
        seed.deserialize(Name(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let Some((_, text)) = self.all.get(self.next) else {
            return Err(Misfit::of(Why::Type));
        };
        self.next += 1;
        self.taken.push(true);
        let mut json = serde_json::Deserializer::from_str(text);
        let ignored = &mut false;
        let value = seed.deserialize(Watched { inner: &mut json, ignored });
        if let (true, Some(taken)) = (*ignored, self.taken.last_mut()) {
            *taken = false;
        }
        value.map_err(|error| Misfit { reason: expectation(&error), ..Misfit::of(Why::Type) })
    }
}

/// The name of a member. It can also be read as a number, for maps with numeric keys.
struct Name<'t>(&'t str);

macro_rules! numbers {
    ($($deserialize:ident $visit:ident)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            match self.0.parse() {
                Ok(number) => visitor.$visit(number),
                Err(_) => visitor.visit_borrowed_str(self.0),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Name<'de> {
    type Error = Misfit;

    transparent!(
        |visitor: V, name: Self| visitor.visit_borrowed_str(name.0),
        de::value::BorrowedStrDeserializer::new
    );

    numbers! {
        deserialize_bool visit_bool
        deserialize_i8 visit_i8 deserialize_i16 visit_i16 deserialize_i32 visit_i32
        deserialize_i64 visit_i64 deserialize_i128 visit_i128
        deserialize_u8 visit_u8 deserialize_u16 visit_u16 deserialize_u32 visit_u32
        deserialize_u64 visit_u64 deserialize_u128 visit_u128
        deserialize_f32 visit_f32 deserialize_f64 visit_f64
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The deserialiser of a value that records whether the type ignores it.
struct Watched<'a, D> {
    inner: D,
    ignored: &'a mut bool,
}

macro_rules! forward {
    ($($deserialize:ident($($argument:ident: $of:ty),*))*) => {$(
        fn $deserialize<V: Visitor<'de>>(
            self,
            $($argument: $of,)*
            visitor: V,
        ) -> Result<V::Value, D::Error> {
            self.inner.$deserialize($($argument,)* visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Watched<'_, D> {
    type Error = D::Error;

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        *self.ignored = true;
        self.inner.deserialize_ignored_any(visitor)
    }

    forward! {
        deserialize_any() deserialize_bool()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_char() deserialize_str() deserialize_string()
        deserialize_bytes() deserialize_byte_buf() deserialize_option() deserialize_unit()
        deserialize_seq() deserialize_map() deserialize_identifier()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }
}

impl Misfit {
    pub(crate) fn of(why: Why) -> Self {
        let reason = match why {
            Why::Type => ANOTHER,
            Why::Missing => "it is missing",
            Why::Twice => "the type already has this member, under this or another name",
        };
        Self { key: None, why, reason: reason.to_owned() }
    }
}

const ANOTHER: &str = "another type was expected";

/// The part of a `serde` error that names the expected type. The rest shows the value that was found, which belongs to
/// the application.
pub(crate) fn expectation(error: &impl fmt::Display) -> String {
    const OF_A_TYPE: [&str; 4] = ["invalid type:", "invalid value:", "invalid length", "unknown"];
    let said = error.to_string();
    // Without the position in the text of this one value, which the application never sees.
    let said = said.rsplit_once(" at line ").map_or(&*said, |(said, _)| said);
    let expected = said.rsplit_once(", expected ").map(|(_, expected)| expected);
    match expected.filter(|_| OF_A_TYPE.iter().any(|begin| said.starts_with(begin))) {
        Some(expected) => ["expected ", expected].concat(),
        None if said.starts_with("missing field `") => said.to_owned(),
        None => ANOTHER.to_owned(),
    }
}

impl de::Error for Misfit {
    fn custom<M: fmt::Display>(said: M) -> Self {
        Self { reason: expectation(&said), ..Self::of(Why::Type) }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { key: Some(field.to_owned()), ..Self::of(Why::Missing) }
    }

    fn duplicate_field(_: &'static str) -> Self {
        Self::of(Why::Twice)
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Misfit {}
