//! Eight messages hashed at once, one in each 64-bit lane of AVX-512 registers: about a sixth of what one message after the
//! other costs.
//!
//! A message that has fewer blocks than its neighbours keeps the state behind its last block. No unsafe code of ours: pulp's
//! token stands for instructions that the processor was asked for. Functions and loops, no closures: one that the compiler
//! leaves out of line is compiled without the instructions, and calls a function for each of them.
//!
//! Bounds: eight messages of any length at a time; the longest says how long it takes.

use core::arch::x86_64::__m512i;

use pulp::NullaryFnOnce;

use super::{Hash, TOGETHER as LANES};

/// Bytes of a block.
const BLOCK: usize = 136;
/// Words of a block.
const BLOCK_WORDS: usize = BLOCK / 8;

pulp::simd_type! {
    /// Proof that this processor has the instructions; only looking for them at run time makes one.
    pub(super) struct Lanes {
        f: "avx512f",
    }
}

const ROUND_CONSTANTS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];
/// By how much each word is turned, and where it goes, in the order in which they follow on one another.
const TURNS: [u64; 24] = [1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44];
const PLACES: [usize; 24] = [10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1];

impl Lanes {
    /// The hashes of eight messages at most, in their order; what is behind them is of no meaning.
    pub(super) fn keccak256<M: AsRef<[u8]>>(self, messages: &[M]) -> [Hash; LANES] {
        assert!(messages.len() <= LANES, "a message a lane");
        let blocks = messages.iter().map(|message| block_count(message.as_ref())).max().unwrap_or(0);
        let zero = pulp::cast::<[u64; 8], __m512i>([0; 8]);
        let (mut state, mut ends) = ([zero; 25], [[0_u64; LANES]; 4]);
        for block in 0..blocks {
            let mut words = [[0_u64; LANES]; BLOCK_WORDS];
            for (lane, message) in messages.iter().enumerate() {
                spread(message.as_ref(), block, lane, &mut words);
            }
            state = self.vectorize(Absorb { lanes: self, state: &state, words: &words });
            for (lane, message) in messages.iter().enumerate() {
                if block_count(message.as_ref()) == block + 1 {
                    for (end, word) in ends.iter_mut().zip(&state) {
                        end[lane] = pulp::cast::<_, [u64; LANES]>(*word)[lane];
                    }
                }
            }
        }
        let mut hashes = [Hash::ZERO; LANES];
        for (lane, hash) in hashes.iter_mut().enumerate() {
            for (bytes, of_lanes) in hash.0.as_chunks_mut::<8>().0.iter_mut().zip(&ends) {
                *bytes = of_lanes[lane].to_le_bytes();
            }
        }
        hashes
    }
}

/// Blocks of a message with its padding.
const fn block_count(message: &[u8]) -> usize {
    message.len() / BLOCK + 1
}

/// A message's block in its lane, with the padding where it is the last; nothing where the message has ended before.
fn spread(message: &[u8], block: usize, lane: usize, words: &mut [[u64; LANES]; BLOCK_WORDS]) {
    let rest = message.get(block * BLOCK..).unwrap_or_default();
    if let Some(full) = rest.first_chunk::<BLOCK>() {
        return put(full, lane, words);
    }
    if block + 1 != block_count(message) {
        return;
    }
    let mut last = [0; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] ^= 1;
    last[BLOCK - 1] ^= 0x80;
    put(&last, lane, words);
}

fn put(block: &[u8; BLOCK], lane: usize, words: &mut [[u64; LANES]; BLOCK_WORDS]) {
    for (of_lanes, bytes) in words.iter_mut().zip(block.as_chunks::<8>().0) {
        of_lanes[lane] = u64::from_le_bytes(*bytes);
    }
}

/// Takes a block into each lane and permutes.
struct Absorb<'a> {
    lanes: Lanes,
    state: &'a [__m512i; 25],
    words: &'a [[u64; LANES]; BLOCK_WORDS],
}

impl NullaryFnOnce for Absorb<'_> {
    type Output = [__m512i; 25];

    #[inline(always)]
    fn call(self) -> Self::Output {
        let f = self.lanes.f;
        let mut state = *self.state;
        for (word, of_lanes) in state.iter_mut().zip(self.words) {
            *word = f._mm512_xor_si512(*word, pulp::cast(*of_lanes));
        }
        for constant in ROUND_CONSTANTS {
            let mut columns = [f._mm512_setzero_si512(); 5];
            for (x, column) in columns.iter_mut().enumerate() {
                let three = f._mm512_ternarylogic_epi64::<0x96>(state[x], state[x + 5], state[x + 10]);
                *column = f._mm512_ternarylogic_epi64::<0x96>(three, state[x + 15], state[x + 20]);
            }
            for x in 0..5 {
                let turned = f._mm512_rol_epi64::<1>(columns[(x + 1) % 5]);
                for y in 0..5 {
                    let word = &mut state[x + 5 * y];
                    *word = f._mm512_ternarylogic_epi64::<0x96>(*word, columns[(x + 4) % 5], turned);
                }
            }
            let mut moved = state[1];
            for (place, turn) in PLACES.into_iter().zip(TURNS) {
                let next = state[place];
                state[place] = f._mm512_rolv_epi64(moved, f._mm512_set1_epi64(turn.cast_signed()));
                moved = next;
            }
            for y in 0..5 {
                let mut row = [f._mm512_setzero_si512(); 5];
                row.copy_from_slice(&state[5 * y..5 * y + 5]);
                for x in 0..5 {
                    // a ^ (!b & c)
                    state[x + 5 * y] = f._mm512_ternarylogic_epi64::<0xd2>(row[x], row[(x + 1) % 5], row[(x + 2) % 5]);
                }
            }
            state[0] = f._mm512_xor_si512(state[0], f._mm512_set1_epi64(constant.cast_signed()));
        }
        state
    }
}
