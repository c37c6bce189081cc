//! Steps that run at the same time.

use std::{panic, thread};

use crate::progress::NotStarted;

/// Runs two lanes at the same time. After a step of one lane has failed, no step of the other begins.
pub(crate) fn both(
    one: impl FnOnce() -> anyhow::Result<()> + Send,
    other: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        let one = one.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked));
        match (one, other) {
            // The other lane's error is the reason.
            (Err(error), Err(reason)) if error.is::<NotStarted>() => Err(reason),
            (Err(error), _) | (Ok(()), Err(error)) => Err(error),
            (Ok(()), Ok(())) => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lane_that_failed_says_why_and_not_the_one_that_stopped() {
        let failed = || Err(anyhow::anyhow!("broken"));
        let stopped = || Err(NotStarted.into());
        for reason in [both(failed, stopped), both(stopped, failed), both(failed, || Ok(()))] {
            assert_eq!(reason.unwrap_err().to_string(), "broken");
        }
        both(|| Ok(()), || Ok(())).unwrap();
    }
}
