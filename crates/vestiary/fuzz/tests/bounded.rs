//! A bounded run of the targets on stable Rust: their corpus seeds, and as many mutations of them as `MUTATIONS` says.
//!
//! Everything follows from a random seed, which is printed: `SEED=… cargo test`. An input that libFuzzer finds becomes
//! a file in `corpus_seeds`, and runs here from then on.

use std::{
    env, fs,
    panic::{self, AssertUnwindSafe},
    path::Path,
};

#[test]
fn cookie_header() {
    run("cookie_header", vestiary_fuzz::cookie_header);
}

#[test]
fn cookie_value() {
    run("cookie_value", vestiary_fuzz::cookie_value);
}

#[test]
fn device_proof() {
    run("device_proof", vestiary_fuzz::device_proof);
}

#[test]
fn options() {
    run("options", vestiary_fuzz::options);
}

#[test]
fn record() {
    run("record", vestiary_fuzz::record);
}

#[test]
fn sealed() {
    run("sealed", vestiary_fuzz::sealed);
}

fn run(name: &str, target: fn(&[u8])) {
    let (seed, mutations) = (number("SEED", 1), number("MUTATIONS", 20_000));
    println!("{name}: SEED={seed} MUTATIONS={mutations}");
    let seeds = seeds(name);
    let mut random = Random(seed);
    for (file, input) in &seeds {
        attempt(target, input, file);
    }
    for n in 0..mutations {
        let input = random.mutated(&seeds);
        attempt(target, &input, &format!("SEED={seed}, mutation {n}"));
    }
}

/// Runs the target, and prints its input if it panics.
fn attempt(target: fn(&[u8]), input: &[u8], what: &str) {
    if let Err(cause) = panic::catch_unwind(AssertUnwindSafe(|| target(input))) {
        println!("{what}: \"{}\"", input.escape_ascii());
        panic::resume_unwind(cause);
    }
}

/// The files of `corpus_seeds`, by name, without the line break at their end.
fn seeds(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus_seeds").join(name);
    let mut seeds: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|file| {
            let path = file.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            bytes.truncate(bytes.trim_ascii_end().len());
            (path.display().to_string(), bytes)
        })
        .collect();
    assert!(!seeds.is_empty(), "no seeds in {}", folder.display());
    seeds.sort();
    seeds
}

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// `SplitMix64`: the same seed gives the same run, whatever the versions of crates.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// A corpus seed after some edits. In a quarter of the cases nothing of it is left, for the recipes.
    fn mutated(&mut self, seeds: &[(String, Vec<u8>)]) -> Vec<u8> {
        if self.below(4) == 0 {
            let length = self.below(600);
            return (0..length).map(|_| self.byte()).collect();
        }
        let mut input = seeds[self.below(seeds.len())].1.clone();
        for _ in 0..=self.below(4) {
            let at = self.below(input.len() + 1);
            let end = (at + self.below(16)).min(input.len());
            match self.below(7) {
                0 if at < input.len() => input[at] ^= 1 << self.below(8),
                1 if at < input.len() => input[at] = self.byte(),
                2 => input.insert(at, *b"\"{}[]:,;=% \t.\\0s"[..].get(self.below(16)).unwrap()),
                3 => drop(input.drain(at..end)),
                4 => {
                    let copied = input[at..end].to_vec();
                    let to = self.below(input.len() + 1);
                    input.splice(to..to, copied);
                }
                5 => {
                    let other = &seeds[self.below(seeds.len())].1;
                    let from = self.below(other.len() + 1);
                    let piece = &other[from..(from + self.below(64)).min(other.len())];
                    input.splice(at..end, piece.iter().copied());
                }
                _ => input.truncate(at),
            }
        }
        input
    }
}
