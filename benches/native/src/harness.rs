//! Measures many things fairly: in rounds with a new random order each, so that any disturbance of the machine affects
//! all of them.

use std::time::Duration;

/// One thing to measure.
pub(crate) struct Cell<'a> {
    pub(crate) case: String,
    pub(crate) peer: &'static str,
    /// The peer that does the same without the measured part.
    pub(crate) over: Option<&'static str>,
    /// Runs it this many times, and returns the elapsed time.
    pub(crate) run: Box<dyn FnMut(usize) -> Duration + 'a>,
}

/// How thoroughly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// The approximate time for one cell per round.
    pub(crate) batch: Duration,
    /// The fewest and the most runs of a batch.
    pub(crate) least: usize,
    pub(crate) most: usize,
}

impl Effort {
    /// For published numbers. Many short batches instead of few long ones: most then end before the system switches to
    /// another process, and the median is one of them.
    pub(crate) const FULL: Self =
        Self { rounds: 101, batch: Duration::from_micros(300), least: 8, most: 20_000 };
    /// Whether it works.
    pub(crate) const SMOKE: Self =
        Self { rounds: 2, batch: Duration::from_micros(50), least: 8, most: 8 };
}

/// A measurement: the median, and the values between which half of the samples lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) samples: usize,
}

/// The measurement of a [`Cell`].
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) case: String,
    pub(crate) peer: &'static str,
    /// Nanoseconds for one.
    pub(crate) each: Spread,
    /// The same, minus the baseline in the same round.
    pub(crate) over: Option<(&'static str, Spread)>,
}

/// Measures the cells, interleaved.
pub(crate) fn measure(
    mut cells: Vec<Cell<'_>>,
    effort: Effort,
    random: &mut fastrand::Rng,
) -> Vec<Measured> {
    let times: Vec<usize> = cells.iter_mut().map(|cell| calibrated(cell, effort)).collect();
    let mut samples = vec![Vec::with_capacity(effort.rounds); cells.len()];
    let mut order: Vec<usize> = (0..cells.len()).collect();
    for _ in 0..effort.rounds {
        random.shuffle(&mut order);
        for &index in &order {
            let time = (cells[index].run)(times[index]);
            samples[index].push(nanos(time) / number(times[index]));
        }
    }
    let found = |case: &str, peer| cells.iter().position(|it| it.case == case && it.peer == peer);
    let measured = cells.iter().enumerate().map(|(index, cell)| {
        let over = cell.over.and_then(|peer| {
            let baseline = &samples[found(&cell.case, peer)?];
            let both = samples[index].iter().zip(baseline);
            Some((peer, Spread::of(both.map(|(all, without)| all - without).collect())))
        });
        let each = Spread::of(samples[index].clone());
        Measured { case: cell.case.clone(), peer: cell.peer, each, over }
    });
    measured.collect()
}

/// The number of runs per batch, after an uncounted warm-up.
fn calibrated(cell: &mut Cell<'_>, effort: Effort) -> usize {
    let few = effort.most.min(32);
    let first = (cell.run)(few).min((cell.run)(few));
    let each = (first.as_nanos() / few as u128).max(1);
    let times = usize::try_from(effort.batch.as_nanos() / each).unwrap_or(effort.most);
    times.clamp(effort.least, effort.most)
}

impl Spread {
    pub(crate) fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let at = |quarters: usize| {
            let last = samples.len().saturating_sub(1);
            // Interpolates between two samples.
            let (whole, rest) = (last * quarters / 4, last * quarters % 4);
            let one = samples.get(whole).copied().unwrap_or(f64::NAN);
            let next = samples.get(whole + 1).copied().unwrap_or(one);
            one + (next - one) * number(rest) / 4.0
        };
        Self { median: at(2), low: at(1), high: at(3), samples: samples.len() }
    }

    /// Something that is the same each time.
    pub(crate) fn exactly(value: f64) -> Self {
        Self::of(vec![value])
    }
}

/// For a ratio.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(crate) fn number(count: usize) -> f64 {
    count as f64
}

fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_middle_half() {
        let spread = Spread::of(vec![5.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!(spread, Spread { median: 3.0, low: 2.0, high: 4.0, samples: 5 });
        assert!((Spread::of(vec![1.0, 2.0]).median - 1.5).abs() < 1e-9);
    }

    #[test]
    fn the_baseline_is_taken_off_round_by_round() {
        let cell = |peer, over, nanos: u64| Cell {
            case: "case".to_owned(),
            peer,
            over,
            run: Box::new(move |times| Duration::from_nanos(nanos * times as u64)),
        };
        let cells = vec![cell("bare", None, 100), cell("peer", Some("bare"), 250)];
        let measured = measure(cells, Effort::SMOKE, &mut fastrand::Rng::with_seed(1));
        let (peer, over) = measured[1].over.unwrap();
        assert_eq!(peer, "bare");
        assert!((over.median - 150.0).abs() < 1e-6);
        assert!((measured[1].each.median - 250.0).abs() < 1e-6);
    }
}
