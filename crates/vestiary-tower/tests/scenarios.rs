//! Scenarios for which the SvelteKit package and the Rust crates must give the same answers:
//! `packages/vestiary/test/scenarios.test.ts` plays the same file.

#![allow(
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};
use vestiary_store::set_clock;

use crate::scenario::{
    player::{Played, Player},
    script::{File, Scenario, Step},
};

async fn play(scenario: &Scenario) -> Played {
    let played = played(scenario).await;
    // Other tests run on this thread if there is only one.
    set_clock(None);
    played
}

async fn played(scenario: &Scenario) -> Played {
    let mut player = Player::new(scenario).map_err(|error| error.to_string())?;
    player.play(&scenario.steps).await?;
    player.end()
}

#[tokio::test]
async fn both_products_play_every_scenario() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/scenarios.json");
    let text = fs::read_to_string(path).unwrap();
    let file: File = serde_json::from_str(&text).unwrap();
    let (mut played, mut wrong) = (BTreeSet::new(), Vec::new());
    for scenario in &file.cases {
        // Without the feature, no layer serves the addresses for a device. All scenarios are played with all features.
        let needs_devices = scenario.steps.iter().any(|step| matches!(step, Step::Prove { .. }));
        if needs_devices && cfg!(not(feature = "device-bound")) {
            played.insert(&scenario.title);
            continue;
        }
        if let Err(how) = play(scenario).await {
            wrong.push(format!("{}\n {how}", scenario.title));
        }
        assert!(played.insert(&scenario.title), "two scenarios are called {}", scenario.title);
    }
    assert!(wrong.is_empty(), "{} of {}:\n\n{}", wrong.len(), played.len(), wrong.join("\n\n"));
    let all: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(played.len(), all["cases"].as_array().unwrap().len());
}

/// A session that is stored, and read by its cookie.
fn sound() -> Value {
    json!({
        "title": "sound",
        "steps": [
            {
                "step": "visit",
                "browser": "ann",
                "ops": [{ "do": "set", "key": "n", "value": 1 }],
                "cookie": "sets A",
                "events": ["created"],
                "asked": { "create": 1 }
            },
            { "step": "visit", "browser": "ann", "ops": [{ "do": "read", "data": { "n": 1 } }] },
            { "step": "stored", "sessions": { "A": { "data": { "n": 1 }, "user": null } } }
        ]
    })
}

#[tokio::test]
async fn the_player_notices_what_is_wrong() {
    let play = async |text: Value| {
        let scenario = serde_json::from_value(text).map_err(|error| error.to_string())?;
        play(&scenario).await
    };
    play(sound()).await.unwrap();
    let wrong = [
        (1, json!({ "ops": [{ "do": "read", "data": { "n": 2 } }] })),
        (1, json!({ "ops": [{ "do": "save", "gives": "gone" }], "cookie": "sets A" })),
        (0, json!({ "cookie": "none" })),
        (1, json!({ "cookie": "sets A" })),
        (0, json!({ "cookie": "removes" })),
        (1, json!({ "ops": [{ "do": "save" }], "cookie": "sets B" })),
        (0, json!({ "attributes": "Path=/app" })),
        (1, json!({ "events": ["created"] })),
        (0, json!({ "events": [] })),
        (0, json!({ "fails": "store_failed" })),
        (0, json!({ "asked": { "create": 2 } })),
        (2, json!({ "sessions": { "A": {}, "B": {} } })),
        (2, json!({ "sessions": {} })),
        (2, json!({ "sessions": { "A": { "data": {} } } })),
        (2, json!({ "sessions": { "A": { "user": "ada" } } })),
        (0, json!({ "step": "visits" })),
        (0, json!({ "cookies": "sets A" })),
        (1, json!({ "ops": [{ "do": "reads" }] })),
        (1, json!({ "ops": [{ "do": "read", "dat": {} }] })),
        (1, json!({ "at": "there" })),
    ];
    for (at, change) in wrong {
        let mut scenario = sound();
        let step = scenario["steps"][at].as_object_mut().unwrap();
        step.extend(change.as_object().unwrap().clone());
        assert!(play(scenario).await.is_err(), "{change}");
    }
    let mut unanswered = sound();
    let begin = json!({ "step": "begin", "request": "slow", "browser": "ann" });
    unanswered["steps"].as_array_mut().unwrap().push(begin);
    assert!(play(unanswered).await.unwrap_err().contains("have not ended"));
}
