//! What the tests of this crate share.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use lakh_journal::JournalOptions;
use proptest::test_runner::{Config, RngSeed};

use crate::batch::journal_parent;
use crate::keccak::Hash;

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

/// The root over leaves by definition: the largest power of two below their number on the left.
pub(crate) fn root_from_scratch(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::ZERO,
        [leaf] => *leaf,
        _ => {
            let left = leaves.len().next_power_of_two() / 2;
            journal_parent(root_from_scratch(&leaves[..left]), root_from_scratch(&leaves[left..]))
        }
    }
}
