//! `vectors/scenarios.json`, as both products read it. `vectors/README.md` explains the language.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    #[expect(dead_code, reason = "for readers")]
    origin: String,
    pub cases: Vec<Scenario>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub title: String,
    #[serde(default)]
    pub options: Map<String, Value>,
    /// Options by instance. A step without an instance uses the first one. Default: one instance, `here`.
    pub instances: Option<InOrder>,
    pub steps: Vec<Step>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Options {
    pub absolute_timeout: Option<u64>,
    /// This product always saves automatically; a scenario without it saves every change itself.
    #[expect(dead_code, reason = "only read by the other player")]
    pub auto_save: Option<bool>,
    pub clock_ahead: Option<i64>,
    pub device_bound: Option<Value>,
    pub encrypt: Option<Value>,
    pub format: Option<String>,
    pub idle_timeout: Option<u64>,
    pub max_age: Option<u64>,
    pub max_bytes: Option<usize>,
    pub namespace: Option<String>,
    pub on_store_error: Option<String>,
    /// Whether all requests of the instance are passive.
    pub on_reuse: Option<String>,
    pub passive: Option<bool>,
    pub renew_after: Option<u64>,
    pub renew_grace: Option<u64>,
    pub rolling: Option<bool>,
    pub secrets: Option<Vec<String>>,
    pub sessions_per_user: Option<Value>,
    pub touch_after: Option<u64>,
    pub version: Option<u32>,
    /// The migration to this version: new names of members, by their old names.
    pub renames: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Operation {
    Read {
        #[serde(default)]
        data: Map<String, Value>,
        user: Option<String>,
    },
    IsAlive {
        gives: Option<String>,
    },
    Set {
        key: String,
        value: Option<Value>,
        size: Option<usize>,
        gives: Option<String>,
    },
    Remove {
        key: String,
        gives: Option<String>,
    },
    Save {
        gives: Option<String>,
    },
    Touch {
        gives: Option<String>,
    },
    Renew {
        gives: Option<String>,
    },
    Destroy {
        gives: Option<String>,
    },
    Update {
        #[serde(default)]
        add: BTreeMap<String, i64>,
        #[serde(default)]
        put: Map<String, Value>,
        inside: Option<Box<Operation>>,
        gives: Option<String>,
    },
    Login {
        user: String,
        #[serde(default)]
        keep: Vec<String>,
        label: Option<String>,
        device: Option<Known>,
        #[serde(default, deserialize_with = "present")]
        max_age: Option<Option<u64>>,
        proven_ago: Option<u64>,
        sid: Option<String>,
        tokens: Option<String>,
        gives: Option<String>,
    },
    Tokens {
        access: Option<String>,
    },
    LoggedOut {
        sid: Option<String>,
        sub: Option<String>,
        token: String,
        gives: Option<String>,
    },
    Confirm {
        gives: Option<String>,
    },
    IsFresh {
        within: f64,
        gives: Option<String>,
    },
    IsBound {
        gives: Option<String>,
    },
    BoundList {
        user: String,
        bound: Vec<bool>,
    },
    Ends {
        expires: Option<u64>,
        idle: Option<u64>,
    },
    Revoke {
        user: String,
        label: String,
        gives: Option<String>,
    },
    RevokeOthers {
        user: String,
        gives: Option<String>,
    },
    RevokeAll {
        user: String,
        gives: Option<String>,
    },
    Put {
        key: String,
        value: Value,
        r#for: f64,
        gives: Option<String>,
    },
    Take {
        key: String,
        value: Option<Value>,
        gives: Option<String>,
    },
    List {
        user: String,
        labels: Vec<Option<String>>,
    },
    Devices {
        user: String,
        devices: Vec<Value>,
    },
    Together {
        ops: Vec<Operation>,
    },
}

/// The device of a login.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Known {
    pub browser: String,
    pub system: String,
    pub address: Option<IpAddr>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "camelCase")]
pub enum StoreOperation {
    Read,
    Create,
    Replace,
    Touch,
    Remove,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// It does nothing and fails.
    Fails,
    /// It loses the reply to the next one.
    Loses,
    /// It answers that it does not.
    Refuses,
    /// It answers that it is full.
    Full,
    /// It does not answer before the next step of this kind.
    Waits,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "step", rename_all = "camelCase", deny_unknown_fields)]
pub enum Step {
    Visit {
        browser: String,
        at: Option<String>,
        #[serde(default)]
        ops: Vec<Operation>,
        cookie: Option<String>,
        attributes: Option<String>,
        #[serde(default)]
        offers: bool,
        #[serde(default)]
        events: Vec<String>,
        fails: Option<String>,
        #[serde(default)]
        asked: BTreeMap<StoreOperation, usize>,
    },
    Begin {
        request: String,
        browser: String,
        at: Option<String>,
        #[serde(default)]
        ops: Vec<Operation>,
        #[serde(default)]
        events: Vec<String>,
        #[serde(default)]
        asked: BTreeMap<StoreOperation, usize>,
    },
    In {
        request: String,
        ops: Vec<Operation>,
        #[serde(default)]
        events: Vec<String>,
        #[serde(default)]
        asked: BTreeMap<StoreOperation, usize>,
    },
    End {
        request: String,
        #[serde(default)]
        ops: Vec<Operation>,
        cookie: Option<String>,
        attributes: Option<String>,
        #[serde(default)]
        offers: bool,
        #[serde(default)]
        events: Vec<String>,
        fails: Option<String>,
        #[serde(default)]
        asked: BTreeMap<StoreOperation, usize>,
    },
    After {
        request: String,
        ops: Vec<Operation>,
        #[serde(default)]
        events: Vec<String>,
    },
    Open {
        socket: String,
        browser: String,
        at: Option<String>,
        finds: Option<Finds>,
        fails: Option<String>,
        #[serde(default)]
        events: Vec<String>,
        #[serde(default)]
        asked: BTreeMap<StoreOperation, usize>,
    },
    IsAlive {
        socket: String,
        gives: String,
        #[serde(default)]
        events: Vec<String>,
        #[serde(default)]
        asked: BTreeMap<StoreOperation, usize>,
    },
    Prove {
        browser: String,
        at: Option<String>,
        r#as: Proves,
        #[serde(default)]
        with: Proof,
        gives: String,
        cookie: Option<String>,
        #[serde(default)]
        events: Vec<String>,
        #[serde(default)]
        asked: BTreeMap<StoreOperation, usize>,
    },
    Pass {
        seconds: f64,
    },
    Jar {
        browser: String,
        holds: Option<String>,
        bound: Option<String>,
    },
    Store {
        read: Option<Fault>,
        create: Option<Fault>,
        replace: Option<Fault>,
        touch: Option<Fault>,
        remove: Option<Fault>,
    },
    Rewrite {
        session: String,
        text: Option<String>,
        data: Option<String>,
        own: Option<Map<String, Value>>,
    },
    RewriteList {
        text: String,
    },
    Stored {
        sessions: BTreeMap<String, Stored>,
    },
    Refused {
        options: Box<Options>,
        code: String,
    },
    Repeat {
        times: usize,
        steps: Vec<Step>,
    },
}

/// The address to which a browser proves its device.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub enum Proves {
    Registers,
    Refreshes,
}

/// The proof that a browser sends.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub enum Proof {
    /// Its own: of a new key for a registration.
    #[default]
    Own,
    /// None.
    None,
    /// One that another key has signed.
    Forged,
    /// The last one, again.
    Again,
}

/// The session that is read without a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finds {
    #[serde(default)]
    pub data: Map<String, Value>,
    pub user: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    pub data: Option<Map<String, Value>>,
    pub text: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub user: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    pub version: Option<Option<u32>>,
}

/// The members of an object in the order of the file.
#[derive(Clone)]
pub struct InOrder(pub Vec<(String, Map<String, Value>)>);

impl<'de> Deserialize<'de> for InOrder {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = InOrder;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<InOrder, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(InOrder(members))
            }
        }

        from.deserialize_map(Members)
    }
}

/// `null` is something else than no member.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").finish_non_exhaustive()
    }
}

impl Operation {
    /// The expected answer.
    pub fn expected(&self) -> Value {
        let gives = match self {
            Self::Read { data, user } => return serde_json::json!({ "data": data, "user": user }),
            Self::Ends { expires, idle } => {
                return serde_json::json!({ "expires": expires, "idle": idle });
            }
            Self::Take { value, gives: None, .. } => {
                return serde_json::json!({ "value": value });
            }
            Self::List { labels, .. } => return serde_json::json!(labels),
            Self::Tokens { access } => return serde_json::json!({ "access": access }),
            Self::Devices { devices, .. } => return serde_json::json!(devices),
            Self::BoundList { bound, .. } => return serde_json::json!(bound),
            Self::Together { ops } => return ops.iter().map(Self::expected).collect(),
            Self::IsAlive { gives }
            | Self::Confirm { gives }
            | Self::IsBound { gives }
            | Self::IsFresh { gives, .. } => gives.as_deref().unwrap_or("yes"),
            Self::Set { gives, .. }
            | Self::Remove { gives, .. }
            | Self::Save { gives }
            | Self::Touch { gives }
            | Self::Renew { gives }
            | Self::Destroy { gives }
            | Self::Update { gives, .. }
            | Self::Put { gives, .. }
            | Self::Take { gives, .. }
            | Self::Login { gives, .. }
            | Self::Revoke { gives, .. }
            | Self::RevokeOthers { gives, .. }
            | Self::LoggedOut { gives, .. }
            | Self::RevokeAll { gives, .. } => gives.as_deref().unwrap_or("done"),
        };
        match self {
            Self::Update { inside: Some(inside), .. } => {
                serde_json::json!({ "inside": inside.expected(), "gives": gives })
            }
            _ => gives.into(),
        }
    }
}
