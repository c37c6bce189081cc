use crate::{
    Error, Meta, Ttl, UnixMillis,
    constants::{CENTURY, LONGEST_RECHECK, RECHECK_AFTER},
    protocol::{Lifetime, TOMBSTONE_TTL},
};

/// The timeouts of sessions, independent of cookies and stores. Deadlines are stored in the record and enforced on
/// every load.
///
/// ```
/// # use vestiary::{Meta, Timeouts, Ttl, UnixMillis};
/// let timeouts = Timeouts::new(Some(60.0), Some(3_600.0), None, None)?;
/// let meta = timeouts.stamped(Meta::created(UnixMillis(0)), UnixMillis(0));
/// assert!(!timeouts.is_expired(&meta, UnixMillis(65_999)));
/// assert!(timeouts.is_expired(&meta, UnixMillis(66_000)));
/// // Even in constant use, it expires after an hour.
/// let meta = timeouts.stamped(meta, UnixMillis(3_599_000));
/// assert!(timeouts.is_expired(&meta, UnixMillis(3_600_000)));
/// # Ok::<(), vestiary::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Timeouts {
    idle: Option<u64>,
    absolute: Option<u64>,
    renewal: Option<u64>,
    grace: u64,
}

/// The default grace period of a renewal, in milliseconds.
const GRACE: u64 = 30_000;

/// How long the record of an expired session stays in the store, in milliseconds.
const EXPIRED: u64 = 600_000;

impl Timeouts {
    /// Validates timeouts, all in seconds. A session expires when it was not used for `idle`, and `absolute` after it
    /// began. It gets another ID every `renewal`, and the old one leads to it for `grace` (default: 30 seconds).
    ///
    /// # Errors
    /// [`Error::Timeout`] unless a timeout is a number of seconds of at least 1 (`grace`: 0). `grace` must not exceed
    /// ten minutes, which is how long the tombstone of an old ID stays.
    pub fn new(
        idle: Option<f64>,
        absolute: Option<f64>,
        renewal: Option<f64>,
        grace: Option<f64>,
    ) -> Result<Self, Error> {
        Ok(Self {
            idle: millis("idleTimeout", idle, 1.0)?,
            absolute: millis("absoluteTimeout", absolute, 1.0)?,
            renewal: millis("renewAfter", renewal, 1.0)?,
            grace: grace_of(millis("renewGrace", grace, 0.0)?)?,
        })
    }

    /// Whether sessions have an idle deadline.
    #[must_use]
    pub fn has_idle(&self) -> bool {
        self.idle.is_some()
    }

    /// Whether sessions are renewed.
    pub(crate) fn has_renewal(&self) -> bool {
        self.renewal.is_some()
    }

    /// Whether the session has expired. An absolute deadline in the record counts even if these options have none,
    /// because another service may have set it.
    #[must_use]
    pub fn is_expired(&self, meta: &Meta, now: UnixMillis) -> bool {
        let idle = meta.idle.filter(|_| self.has_idle());
        let is_past =
            |deadline: Option<UnixMillis>| deadline.is_some_and(|deadline| now >= deadline);
        is_past(idle) || is_past(self.absolute(meta))
    }

    /// The metadata for a write at `now`: moves the idle deadline, never the absolute one.
    ///
    /// The idle deadline is a tenth later than `idle`, because a use is only recorded once less than `idle` is left
    /// ([`Timeouts::is_stale`]). So no session expires before it was idle for `idle`, nor more than a tenth later.
    #[must_use]
    pub fn stamped(&self, meta: Meta, now: UnixMillis) -> Meta {
        let created = meta.created.or(Some(now));
        let meta = Meta { created, ..meta };
        Meta { idle: self.idle_from(now), absolute: self.absolute(&meta), ..meta }
    }

    /// The idle deadline of a session that is used at `now`.
    pub(crate) fn idle_from(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.idle.map(|idle| now.plus(with_tenth(idle)))
    }

    /// The lifetime of a user's session that is used now and whose record gets this TTL.
    #[must_use]
    pub fn lifetime(&self, ttl: Ttl) -> Lifetime {
        let ttl = match (ttl, self.idle) {
            (Ttl::Millis(millis), Some(idle)) => Ttl::Millis(millis.min(with_tenth(idle))),
            (Ttl::Infinite, Some(idle)) => Ttl::Millis(with_tenth(idle)),
            (ttl, None) => ttl,
        };
        Lifetime { ttl, absolute: self.absolute }
    }

    /// The TTL of a record whose cookie allows `ttl`. The record outlives its deadlines by ten minutes, so that a later
    /// request learns that the session has expired.
    #[must_use]
    pub fn ttl(&self, ttl: Ttl, meta: &Meta, now: UnixMillis) -> Ttl {
        let idle = self.idle.map(|idle| meta.idle.unwrap_or_else(|| now.plus(with_tenth(idle))));
        let Some(deadline) = UnixMillis::first_of(idle, self.absolute(meta)) else {
            return ttl;
        };
        match ttl {
            Ttl::Millis(millis) if now.plus(millis) < deadline => ttl,
            _ => Ttl::Millis(deadline.plus(EXPIRED).since(now)),
        }
    }

    /// Whether the record must be written because the session is in use. This is the case once less than `idle` is left,
    /// which is at most once in a tenth of `idle`. It is also the case if the deadline is too far in the future, for
    /// example because a clock was wrong.
    #[must_use]
    pub fn is_stale(&self, meta: &Meta, now: UnixMillis) -> bool {
        self.idle.is_some_and(|idle| {
            let left = meta.idle.map_or(0, |deadline| deadline.since(now));
            left < idle || left > with_tenth(idle)
        })
    }

    /// Whether the session is due for a renewal.
    #[must_use]
    pub fn wants_renewal(&self, meta: &Meta, now: UnixMillis) -> bool {
        let since = meta.renewed.or(meta.created).unwrap_or_default();
        self.renewal.is_some_and(|renewal| now.since(since) >= renewal)
    }

    /// The end of the grace period of a renewal at `now`.
    #[must_use]
    pub fn grace(&self, now: UnixMillis) -> UnixMillis {
        now.plus(self.grace)
    }

    /// The earlier of the record's and the options' absolute deadline.
    pub(crate) fn absolute(&self, meta: &Meta) -> Option<UnixMillis> {
        let by_options = meta.created.and_then(|at| Some(at.plus(self.absolute?)));
        UnixMillis::first_of(meta.absolute, by_options)
    }
}

fn with_tenth(millis: u64) -> u64 {
    millis.saturating_add(millis / 10)
}

/// Validates the grace period of a renewal. If it were longer than [`TOMBSTONE_TTL`], a tombstone could outlive those of
/// later renewals, and a logout that finds only the first could not tell whether the session has ended.
fn grace_of(grace: Option<u64>) -> Result<u64, Error> {
    match grace {
        Some(grace) if grace > TOMBSTONE_TTL => Err(Error::Timeout { name: "renewGrace" }),
        grace => Ok(grace.unwrap_or(GRACE)),
    }
}

/// Validates the time between two checks of a watched session.
pub(super) fn recheck(seconds: Option<f64>) -> Result<u64, Error> {
    match millis("recheckAfter", seconds, 1.0)? {
        Some(recheck) if recheck > LONGEST_RECHECK * 1_000 => {
            Err(Error::Timeout { name: "recheckAfter" })
        }
        recheck => Ok(recheck.unwrap_or(RECHECK_AFTER * 1_000)),
    }
}

/// Converts an option in seconds to milliseconds.
pub(crate) fn millis(
    name: &'static str,
    seconds: Option<f64>,
    least: f64,
) -> Result<Option<u64>, Error> {
    let Some(seconds) = seconds else { return Ok(None) };
    if !(least..=f64::from(CENTURY)).contains(&seconds) {
        return Err(Error::Timeout { name });
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked just above"
    )]
    Ok(Some((seconds * 1_000.0) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_id_leads_to_its_session_for_no_longer_than_its_tombstone_stays() {
        let grace = |seconds| Timeouts::new(None, None, Some(1.0), Some(seconds));
        let until = grace(600.0).map(|timeouts| timeouts.grace(UnixMillis(1)));
        assert_eq!(until, Ok(UnixMillis(TOMBSTONE_TTL + 1)));
        assert_eq!(grace(600.001), Err(Error::Timeout { name: "renewGrace" }));
    }

    #[test]
    fn a_watched_session_is_checked_while_its_old_id_still_leads_to_it() {
        assert_eq!(recheck(None), Ok(10_000));
        assert_eq!([recheck(Some(1.0)), recheck(Some(300.0))], [Ok(1_000), Ok(300_000)]);
        // Half of the time for which it is followed, so that one check may fail.
        assert_eq!(LONGEST_RECHECK * 1_000 * 2, TOMBSTONE_TTL);
        for wrong in [0.0, 0.999, 300.001, -1.0, f64::NAN, f64::INFINITY] {
            let refused = Err(Error::Timeout { name: "recheckAfter" });
            assert_eq!(recheck(Some(wrong)), refused, "{wrong}");
        }
    }

    fn timeouts(idle: Option<f64>, absolute: Option<f64>) -> Timeouts {
        Timeouts::new(idle, absolute, None, None).unwrap()
    }

    #[test]
    fn nothing_moves_the_absolute_deadline() {
        let short = timeouts(Some(5.0), Some(60.0));
        let mut meta = short.stamped(Meta::created(UnixMillis(1_000)), UnixMillis(1_000));
        for now in (1_000..60_000).step_by(777) {
            assert!(!short.is_expired(&meta, UnixMillis(now)));
            meta = short.stamped(meta, UnixMillis(now));
            assert_eq!(meta.absolute, Some(UnixMillis(61_000)));
        }
        // Longer timeouts do not matter, nor does their absence.
        for other in [timeouts(None, Some(1e6)), timeouts(None, None)] {
            assert!(!other.is_expired(&meta, UnixMillis(60_999)));
            assert!(other.is_expired(&meta, UnixMillis(61_000)));
            let again = other.stamped(meta.clone(), UnixMillis(60_999));
            assert_eq!(again.absolute, Some(UnixMillis(61_000)));
        }
        // A shorter timeout does.
        assert!(timeouts(None, Some(10.0)).is_expired(&meta, UnixMillis(11_000)));
    }

    #[test]
    fn an_idle_session_expires_at_its_deadline() {
        let five = timeouts(Some(5.0), None);
        let meta = five.stamped(Meta::default(), UnixMillis(10_000));
        assert_eq!(meta.created, Some(UnixMillis(10_000)));
        assert!(!five.is_expired(&meta, UnixMillis(15_499)));
        assert!(five.is_expired(&meta, UnixMillis(15_500)));
        // Without the option the deadline does not count, and the next write drops it.
        assert!(!timeouts(None, None).is_expired(&meta, UnixMillis(15_500)));
        assert_eq!(timeouts(None, None).stamped(meta, UnixMillis(15_500)).idle, None);
    }

    #[test]
    fn a_used_session_is_written_again_now_and_then() {
        let ten = timeouts(Some(10.0), None);
        let meta = ten.stamped(Meta::default(), UnixMillis(10_000));
        assert!(!ten.is_stale(&meta, UnixMillis(11_000)));
        assert!(ten.is_stale(&meta, UnixMillis(11_001)));
        assert!(!ten.is_stale(&meta, UnixMillis(10_000)));
        // The clock was an hour ahead when the record was written.
        let ahead = ten.stamped(Meta::default(), UnixMillis(3_610_000));
        assert!(ten.is_stale(&ahead, UnixMillis(10_000)));
        assert!(ten.is_stale(&Meta::default(), UnixMillis(0)));
        assert!(!timeouts(None, None).is_stale(&meta, UnixMillis(99_999)));
    }

    #[test]
    fn a_session_never_expires_before_it_was_unused_for_its_idle_timeout() {
        let ten = timeouts(Some(10.0), None);
        for pause in (0..10_000).step_by(7) {
            let mut meta = ten.stamped(Meta::default(), UnixMillis(0));
            let mut now = UnixMillis(0);
            for _ in 0..20 {
                now = now.plus(pause);
                assert!(!ten.is_expired(&meta, now), "{pause}");
                if ten.is_stale(&meta, now) {
                    meta = ten.stamped(meta, now);
                }
            }
            assert!(!ten.is_expired(&meta, now.plus(9_999)), "{pause}");
            assert!(ten.is_expired(&meta, now.plus(11_000)), "{pause}");
        }
    }

    #[test]
    fn a_record_outlives_its_deadlines_by_ten_minutes_and_no_cookie() {
        let both = timeouts(Some(5.0), Some(60.0));
        let meta = both.stamped(Meta::created(UnixMillis(0)), UnixMillis(0));
        let ttl = |ttl, now| both.ttl(ttl, &meta, UnixMillis(now));
        assert_eq!(ttl(Ttl::Infinite, 0), Ttl::Millis(605_500));
        assert_eq!(ttl(Ttl::Millis(1_000), 0), Ttl::Millis(1_000));
        assert_eq!(ttl(Ttl::Millis(5_500), 0), Ttl::Millis(605_500));
        assert_eq!(ttl(Ttl::Infinite, 1_000), Ttl::Millis(604_500));
        let meta = both.stamped(meta.clone(), UnixMillis(58_000));
        let at_end = both.ttl(Ttl::Infinite, &meta, UnixMillis(58_000));
        assert_eq!(at_end, Ttl::Millis(602_000));
        assert_eq!(both.ttl(Ttl::Millis(9_000), &meta, UnixMillis(61_000)), Ttl::Millis(599_000));
        assert_eq!(both.lifetime(Ttl::Infinite).ttl, Ttl::Millis(5_500));
        assert_eq!(both.lifetime(Ttl::Millis(5_000)).ttl, Ttl::Millis(5_000));
        assert_eq!(
            timeouts(None, None).ttl(Ttl::Infinite, &Meta::default(), UnixMillis(0)),
            Ttl::Infinite
        );
    }

    #[test]
    fn clocks_at_their_end_overflow_nothing() {
        let both = Timeouts::new(Some(3e9), Some(3e9), Some(3e9), Some(600.0)).unwrap();
        for now in [0, 1, u64::MAX - 1, u64::MAX].map(UnixMillis) {
            for created in [None, Some(UnixMillis(0)), Some(UnixMillis(u64::MAX))] {
                let meta = Meta { created, ..Meta::default() };
                let meta = both.stamped(meta, now);
                let _ =
                    (both.is_expired(&meta, UnixMillis(0)), both.is_stale(&meta, UnixMillis(0)));
                let _ = (both.ttl(Ttl::Infinite, &meta, now), both.wants_renewal(&meta, now));
                let _ = both.grace(now);
            }
        }
    }

    #[test]
    fn invalid_timeouts_are_rejected() {
        for bad in [0.0, -1.0, 0.999, f64::NAN, f64::INFINITY, 1e12] {
            assert!(Timeouts::new(Some(bad), None, None, None).is_err(), "{bad}");
            assert!(Timeouts::new(None, Some(bad), None, None).is_err(), "{bad}");
            assert!(Timeouts::new(None, None, Some(bad), None).is_err(), "{bad}");
        }
        assert!(Timeouts::new(None, None, None, Some(0.0)).is_ok());
        assert!(Timeouts::new(None, None, None, Some(-0.1)).is_err());
    }

    #[test]
    fn a_session_is_due_for_a_renewal_after_its_time() {
        let hourly = Timeouts::new(None, None, Some(3_600.0), Some(10.0)).unwrap();
        let mut meta = Meta::created(UnixMillis(1_000));
        assert!(!hourly.wants_renewal(&meta, UnixMillis(3_600_999)));
        assert!(hourly.wants_renewal(&meta, UnixMillis(3_601_000)));
        meta.renewed = Some(UnixMillis(3_601_000));
        assert!(!hourly.wants_renewal(&meta, UnixMillis(3_602_000)));
        assert_eq!(hourly.grace(UnixMillis(5)), UnixMillis(10_005));
        assert!(!timeouts(None, None).wants_renewal(&meta, UnixMillis(u64::MAX)));
    }
}
