//! What the tests of this crate share.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use lakh_journal::JournalOptions;
use proptest::test_runner::{Config, RngSeed};

/// Runs `cases` random cases from a seed that is printed; `PROPTEST_RNG_SEED` repeats a run.
pub(crate) fn random_cases(cases: u32) -> Config {
    let default = Config::default();
    let seed = match default.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().hash_one(0),
    };
    println!("PROPTEST_RNG_SEED={seed}");
    Config { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..default }
}

/// A journal of small segments and a small ring, of exchange 1.
pub(crate) fn small_journal(directory: &Path) -> JournalOptions {
    const BYTES: usize = 64 * 1024;
    JournalOptions { segment_bytes: BYTES as u64, ring_bytes: BYTES, ..JournalOptions::new(directory, [1; 16]) }
}
