//! The options of a scenario, as the crates have them.

use serde_json::{Map, Value};
use vestiary::{Format, OnReuse};
use vestiary_store::{Config, DeviceBound, Encrypt, OnStoreError, SessionsPerUser, WhenFull};

use super::script::{InOrder, Options, Scenario};

/// The options of the instances: their own take precedence over those of the scenario.
pub fn instances(scenario: &Scenario) -> Result<Vec<(String, Options)>, serde_json::Error> {
    let here = || InOrder(vec![("here".to_owned(), Map::new())]);
    let InOrder(instances) = scenario.instances.clone().unwrap_or_else(here);
    let with = |(name, own)| {
        let mut options = scenario.options.clone();
        options.extend(own);
        Ok((name, serde_json::from_value(options.into())?))
    };
    instances.into_iter().map(with).collect()
}

pub fn config_of(options: &Options) -> Config {
    let secret = |name: &String| format!("the secret of the scenarios that is called {name}");
    let names = options.secrets.clone().unwrap_or_else(|| vec!["one".to_owned()]);
    let mut secrets = names.iter().map(secret);
    let mut config = Config::new(secrets.next().unwrap()).name("sid");
    for secret in secrets {
        config = config.previous_secret(secret);
    }
    let seconds = std::time::Duration::from_secs;
    macro_rules! set {
        ($($option:ident $as:expr;)*) => {$(
            if let Some(value) = options.$option.clone() {
                config = config.$option($as(value));
            }
        )*};
    }
    set! {
        absolute_timeout seconds;
        idle_timeout seconds;
        max_age seconds;
        max_bytes std::convert::identity;
        namespace std::convert::identity;
        renew_after seconds;
        renew_grace seconds;
        rolling std::convert::identity;
        sessions_per_user |limit: Value| match &limit {
            Value::Number(most) => usize::try_from(most.as_u64().unwrap()).unwrap().into(),
            Value::Object(limit) => SessionsPerUser {
                most: usize::try_from(limit["most"].as_u64().unwrap()).unwrap(),
                when_full: match limit.get("whenFull").and_then(Value::as_str) {
                    None | Some("evict") => WhenFull::Evict,
                    Some("refuse") => WhenFull::Refuse,
                    other => panic!("whenFull: {other:?}"),
                },
            },
            other => panic!("sessionsPerUser: {other}"),
        };
        device_bound |bound: Value| {
            let mut device = DeviceBound::default();
            if let Some(age) = bound.get("maxAge") {
                device = device.max_age(seconds(age.as_u64().unwrap()));
            }
            if let Some(path) = bound.get("path") {
                device = device.path(path.as_str().unwrap());
            }
            device
        };
        touch_after seconds;
        version std::convert::identity;
        encrypt |encrypt| match encrypt {
            Value::Bool(true) => Encrypt::On,
            Value::Bool(false) => Encrypt::Off,
            Value::String(migrate) if migrate == "migrate" => Encrypt::Migrate,
            other => panic!("encrypt: {other}"),
        };
        on_reuse |on_reuse: String| match on_reuse.as_str() {
            "report" => OnReuse::Report,
            "revoke" => OnReuse::Revoke,
            other => panic!("onReuse: {other}"),
        };
        format |format: String| match format.as_str() {
            "express-session" => Format::ExpressSession,
            "svelte-kit-sessions" => Format::SvelteKitSessions,
            other => panic!("format: {other}"),
        };
        on_store_error |policy: String| match policy.as_str() {
            "anonymous" => OnStoreError::Anonymous,
            "throw" => OnStoreError::Error,
            other => panic!("onStoreError: {other}"),
        };
    }
    if let Some(renames) = options.renames.clone() {
        config = config.migrate(move |data, _| {
            for (old, new) in &renames {
                if let Some(value) = data.remove(old) {
                    data.insert(new.clone(), value);
                }
            }
        });
    }
    config
}
