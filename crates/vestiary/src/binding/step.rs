use alloc::string::String;

use super::{Binding, Challenge, Exchange, Proof};
use crate::{
    UnixMillis,
    protocol::{Fault, Rules, seeded},
};

/// The step that a browser's request takes.
pub(crate) enum Step {
    /// None: there is no such binding any more.
    Ended,
    /// None: the proof is refused.
    Refused,
    /// The browser is asked for a proof.
    Asked { key: String, next: Challenge },
    /// A registration whose reply was lost gets it again: the same cookie, which lasts from the registration on.
    Repeated(UnixMillis),
    /// The binding of the session is replaced by this one, with another challenge.
    Replaced {
        with: Binding,
        /// Whether the device has proven its key. Otherwise the browser is asked for a proof.
        is_proven: bool,
    },
}

impl Step {
    /// Chooses the step. The signature of the proof is valid.
    pub(crate) fn of(
        exchange: &Exchange<'_>,
        proof: Option<Proof<'_>>,
        binding: Option<Binding>,
        rules: &Rules,
        now: UnixMillis,
    ) -> Self {
        let timeouts = rules.options.timeouts();
        match binding {
            Some(Binding::Bound { next, .. })
                if exchange.registers && seeded(Fault::RegistersAgain) =>
            {
                Self::of(exchange, proof, Some(Binding::Offered(next)), rules, now)
            }
            Some(Binding::Offered(next)) if exchange.registers => {
                let answers =
                    |proof: &Proof<'_>| proof.challenge == next.text && next.is_fresh(now);
                let Some(Proof { point: key, challenge: first, .. }) = proof.filter(answers) else {
                    return Self::Refused;
                };
                let with = Binding::Bound { key, since: now, first, next };
                Self::Replaced { with, is_proven: true }
            }
            Some(Binding::Bound { key, since, first, .. }) if exchange.registers => {
                let is_same = |proof: &Proof<'_>| proof.point == key && proof.challenge == first;
                let is_recent = now < timeouts.grace(since) || seeded(Fault::RepeatsForever);
                if proof.is_some_and(|proof| is_same(&proof)) && is_recent {
                    return Self::Repeated(since);
                }
                Self::Refused
            }
            Some(Binding::Bound { key, since, first, next }) => {
                if !exchange.is_about(&key) {
                    return Self::Ended;
                }
                if proof.is_none() && !exchange.proof.is_empty() {
                    return Self::Refused;
                }
                // A stale proof that is signed is no attack: its reply was lost, or the browser has kept the challenge for
                // too long.
                let answers = |proof: &Proof<'_>| proof.challenge == next.text;
                let is_fresh = next.is_fresh(now);
                let is_proven = is_fresh && proof.as_ref().is_some_and(answers);
                // Without a proof, the challenge that waits stays, even if it is stale: a new one is a write, by which a thief
                // would restart the lifetime of the session.
                if proof.is_none() || (is_fresh && !is_proven) {
                    return Self::Asked { key, next };
                }
                let with = Binding::Bound { key, since, first, next };
                Self::Replaced { with, is_proven }
            }
            Some(Binding::Offered(_) | Binding::Unreadable) | None => Self::Ended,
        }
    }
}
