use serde_json::json;

use crate::{
    failure::{Failure, Verdict},
    output::Output,
};

/// The licenses of the software in this program, collected at build time.
const NOTICES: &str = include_str!(concat!(env!("OUT_DIR"), "/THIRD-PARTY-NOTICES"));

pub(crate) fn run(output: &mut Output) -> Result<Verdict, Failure> {
    output.document(&json!({ "notices": NOTICES }))?;
    for line in NOTICES.trim_end().lines() {
        output.line(line)?;
    }
    Ok(Verdict::Yes)
}
