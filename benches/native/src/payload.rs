use std::{
    collections::HashMap,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};

/// The data of a session beside its counter: a cart, as an application would have it. Together with the counter, the
/// JSON text has about this many bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Payload {
    /// 200 bytes.
    #[default]
    Small,
    /// 2 KiB.
    Medium,
    /// 16 KiB.
    Large,
}

impl Payload {
    pub(crate) const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small => "200 B",
            Self::Medium => "2 KB",
            Self::Large => "16 KB",
        }
    }

    /// The cart.
    pub(crate) fn cart(self) -> &'static Value {
        static CARTS: LazyLock<[Value; 3]> =
            LazyLock::new(|| [200, 2 << 10, 16 << 10].map(cart_of));
        &CARTS[self as usize]
    }

    /// All that the session holds.
    pub(crate) fn data(self) -> HashMap<String, Value> {
        [("count".to_owned(), 1.into()), ("cart".to_owned(), self.cart().clone())].into()
    }

    /// The same, as JSON text.
    pub(crate) fn text(self) -> String {
        text_of(self.cart())
    }
}

/// The name of a new user.
pub(crate) fn new_user() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("user-{:08}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn cart_of(bytes: usize) -> Value {
    let item = |number: usize| {
        let sku = format!("A-{}", 1000 + number);
        json!({"sku": sku, "quantity": 2, "price": 19.5})
    };
    let (all, each) = (bytes - text_of(&json!([])).len(), item(0).to_string().len() + 1);
    (0..all / each).map(item).collect()
}

fn text_of(cart: &Value) -> String {
    json!({"count": 1, "cart": cart}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_have_the_size_that_their_names_say() {
        for (payload, bytes) in Payload::ALL.into_iter().zip([200_usize, 2048, 16_384]) {
            assert!(payload.text().len().abs_diff(bytes) < 30, "{}", payload.text().len());
        }
    }
}
