//! Eight messages hashed at once: SHA-512 for the challenges of a batch, Keccak-256 for what messages of the binary face
//! are signed by. One at a time they take a third of a microsecond a block and more, here a tenth of that.
//!
//! Bounds: messages of any length; the longest of eight says how long it takes, so who has many puts those of like length
//! together.

use core::arch::x86_64::__m512i;

use pulp::NullaryFnOnce;

use super::field::Lanes;

/// Bytes of a block of Keccak-256.
const KECCAK_BLOCK: usize = 136;
/// Bytes of a block of SHA-512.
const SHA_BLOCK: usize = 128;

const KECCAK_CONSTANTS: [u64; 24] = [
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

const SHA_START: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];
const SHA_CONSTANTS: [u64; 80] = [
    0x428a_2f98_d728_ae22,
    0x7137_4491_23ef_65cd,
    0xb5c0_fbcf_ec4d_3b2f,
    0xe9b5_dba5_8189_dbbc,
    0x3956_c25b_f348_b538,
    0x59f1_11f1_b605_d019,
    0x923f_82a4_af19_4f9b,
    0xab1c_5ed5_da6d_8118,
    0xd807_aa98_a303_0242,
    0x1283_5b01_4570_6fbe,
    0x2431_85be_4ee4_b28c,
    0x550c_7dc3_d5ff_b4e2,
    0x72be_5d74_f27b_896f,
    0x80de_b1fe_3b16_96b1,
    0x9bdc_06a7_25c7_1235,
    0xc19b_f174_cf69_2694,
    0xe49b_69c1_9ef1_4ad2,
    0xefbe_4786_384f_25e3,
    0x0fc1_9dc6_8b8c_d5b5,
    0x240c_a1cc_77ac_9c65,
    0x2de9_2c6f_592b_0275,
    0x4a74_84aa_6ea6_e483,
    0x5cb0_a9dc_bd41_fbd4,
    0x76f9_88da_8311_53b5,
    0x983e_5152_ee66_dfab,
    0xa831_c66d_2db4_3210,
    0xb003_27c8_98fb_213f,
    0xbf59_7fc7_beef_0ee4,
    0xc6e0_0bf3_3da8_8fc2,
    0xd5a7_9147_930a_a725,
    0x06ca_6351_e003_826f,
    0x1429_2967_0a0e_6e70,
    0x27b7_0a85_46d2_2ffc,
    0x2e1b_2138_5c26_c926,
    0x4d2c_6dfc_5ac4_2aed,
    0x5338_0d13_9d95_b3df,
    0x650a_7354_8baf_63de,
    0x766a_0abb_3c77_b2a8,
    0x81c2_c92e_47ed_aee6,
    0x9272_2c85_1482_353b,
    0xa2bf_e8a1_4cf1_0364,
    0xa81a_664b_bc42_3001,
    0xc24b_8b70_d0f8_9791,
    0xc76c_51a3_0654_be30,
    0xd192_e819_d6ef_5218,
    0xd699_0624_5565_a910,
    0xf40e_3585_5771_202a,
    0x106a_a070_32bb_d1b8,
    0x19a4_c116_b8d2_d0c8,
    0x1e37_6c08_5141_ab53,
    0x2748_774c_df8e_eb99,
    0x34b0_bcb5_e19b_48a8,
    0x391c_0cb3_c5c9_5a63,
    0x4ed8_aa4a_e341_8acb,
    0x5b9c_ca4f_7763_e373,
    0x682e_6ff3_d6b2_b8a3,
    0x748f_82ee_5def_b2fc,
    0x78a5_636f_4317_2f60,
    0x84c8_7814_a1f0_ab72,
    0x8cc7_0208_1a64_39ec,
    0x90be_fffa_2363_1e28,
    0xa450_6ceb_de82_bde9,
    0xbef9_a3f7_b2c6_7915,
    0xc671_78f2_e372_532b,
    0xca27_3ece_ea26_619c,
    0xd186_b8c7_21c0_c207,
    0xeada_7dd6_cde0_eb1e,
    0xf57d_4f7f_ee6e_d178,
    0x06f0_67aa_7217_6fba,
    0x0a63_7dc5_a2c8_98a6,
    0x113f_9804_bef9_0dae,
    0x1b71_0b35_131c_471b,
    0x28db_77f5_2304_7d84,
    0x32ca_ab7b_40c7_2493,
    0x3c9e_be0a_15c9_bebc,
    0x431d_67c4_9c10_0d4c,
    0x4cc5_d4be_cb3e_42b6,
    0x597f_299c_fc65_7e2a,
    0x5fcb_6fab_3ad6_faec,
    0x6c44_198c_4a47_5817,
];

/// Hashes eight messages at a time; see the module.
pub(in super::super) struct LaneHashes {
    pub(super) lanes: Lanes,
    padded: [Vec<u8>; 8],
}

impl std::fmt::Debug for LaneHashes {
    /// Leaves out what was hashed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LaneHashes").finish_non_exhaustive()
    }
}

impl LaneHashes {
    /// `None` where the processor lacks the instructions.
    pub(in super::super) fn detect() -> Option<Self> {
        Some(Self { lanes: Lanes::try_new()?, padded: Default::default() })
    }

    /// SHA-512 of eight messages at most, each of three parts, one behind the other; what is behind them is of no meaning.
    pub(in super::super) fn sha512(&mut self, messages: &[[&[u8]; 3]]) -> [[u8; 64]; 8] {
        assert!(messages.len() <= 8, "a message a lane");
        for (lane, padded) in self.padded.iter_mut().enumerate() {
            padded.clear();
            let Some(parts) = messages.get(lane) else { continue };
            parts.iter().for_each(|part| padded.extend_from_slice(part));
            let bits = 8 * padded.len() as u128;
            padded.push(0x80);
            padded.resize((padded.len() + 16).next_multiple_of(SHA_BLOCK) - 16, 0);
            padded.extend_from_slice(&bits.to_be_bytes());
        }
        let state = self.lanes.vectorize(Sha512 { lanes: self.lanes, padded: &self.padded });
        let words = state.map(pulp::cast::<_, [u64; 8]>);
        core::array::from_fn(|lane| {
            let mut digest = [0; 64];
            for (bytes, of_lanes) in digest.as_chunks_mut::<8>().0.iter_mut().zip(&words) {
                *bytes = of_lanes[lane].to_be_bytes();
            }
            digest
        })
    }

    /// Keccak-256 of eight messages at most, each of three parts, one behind the other; what is behind them is of no meaning.
    pub(in super::super) fn keccak256(&mut self, messages: &[[&[u8]; 3]]) -> [[u8; 32]; 8] {
        assert!(messages.len() <= 8, "a message a lane");
        for (lane, padded) in self.padded.iter_mut().enumerate() {
            padded.clear();
            let Some(parts) = messages.get(lane) else { continue };
            parts.iter().for_each(|part| padded.extend_from_slice(part));
            padded.push(1);
            padded.resize(padded.len().next_multiple_of(KECCAK_BLOCK), 0);
            *padded.last_mut().expect("a byte was pushed") |= 0x80;
        }
        let words = self.lanes.vectorize(Keccak { lanes: self.lanes, padded: &self.padded });
        let words = words.map(pulp::cast::<_, [u64; 8]>);
        core::array::from_fn(|lane| {
            let mut digest = [0; 32];
            for (bytes, of_lanes) in digest.as_chunks_mut::<8>().0.iter_mut().zip(&words) {
                *bytes = of_lanes[lane].to_le_bytes();
            }
            digest
        })
    }
}

/// Keccak on messages that are padded; of each the first four words of its state behind its own last block.
struct Keccak<'a> {
    lanes: Lanes,
    padded: &'a [Vec<u8>; 8],
}

impl NullaryFnOnce for Keccak<'_> {
    type Output = [__m512i; 4];

    #[inline(always)]
    fn call(self) -> Self::Output {
        let Self { lanes, padded } = self;
        let f = lanes.f;
        let mut state = [f._mm512_setzero_si512(); 25];
        let mut digest = [f._mm512_setzero_si512(); 4];
        let blocks = padded.iter().map(|message| message.len() / KECCAK_BLOCK).max().unwrap_or(0);
        for block in 0..blocks {
            let mut words = [[0_u64; 8]; KECCAK_BLOCK / 8];
            let mut ends = 0_u8;
            for (lane, message) in padded.iter().enumerate() {
                let Some(bytes) = message.get(block * KECCAK_BLOCK..(block + 1) * KECCAK_BLOCK) else { continue };
                ends |= u8::from(message.len() == (block + 1) * KECCAK_BLOCK) << lane;
                for (of_lanes, word) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
                    of_lanes[lane] = u64::from_le_bytes(*word);
                }
            }
            for (word, of_lanes) in state.iter_mut().zip(words) {
                *word = f._mm512_xor_si512(*word, pulp::cast(of_lanes));
            }
            state = lanes.keccak_f(state);
            // A lane whose message has ended goes on with nothing, and nobody looks at it any more.
            for (kept, word) in digest.iter_mut().zip(state) {
                *kept = f._mm512_mask_blend_epi64(ends, *kept, word);
            }
        }
        digest
    }
}

/// SHA-512 on messages that are padded.
struct Sha512<'a> {
    lanes: Lanes,
    padded: &'a [Vec<u8>; 8],
}

impl NullaryFnOnce for Sha512<'_> {
    type Output = [__m512i; 8];

    #[inline(always)]
    fn call(self) -> Self::Output {
        let Self { lanes, padded } = self;
        let mut state = SHA_START.map(|word| lanes.all(word));
        let blocks = padded.iter().map(|message| message.len() / SHA_BLOCK).max().unwrap_or(0);
        for block in 0..blocks {
            let mut words = [[0_u64; 8]; 16];
            let mut goes_on = 0_u8;
            for (lane, message) in padded.iter().enumerate() {
                let Some(bytes) = message.get(block * SHA_BLOCK..(block + 1) * SHA_BLOCK) else { continue };
                goes_on |= 1 << lane;
                for (of_lanes, word) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
                    of_lanes[lane] = u64::from_be_bytes(*word);
                }
            }
            let next = lanes.sha512_block(&state, words.map(pulp::cast));
            for (word, next) in state.iter_mut().zip(next) {
                *word = lanes.f._mm512_mask_blend_epi64(goes_on, *word, next);
            }
        }
        state
    }
}

impl Lanes {
    /// The permutation of Keccak.
    #[inline(always)]
    fn keccak_f(self, mut state: [__m512i; 25]) -> [__m512i; 25] {
        let f = self.f;
        for constant in KECCAK_CONSTANTS {
            // No closure: one that is left out of line is compiled without the instructions.
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
                state[place] = f._mm512_rolv_epi64(moved, self.all(turn));
                moved = next;
            }
            for y in 0..5 {
                let row: [__m512i; 5] = core::array::from_fn(|x| state[x + 5 * y]);
                for x in 0..5 {
                    // a ^ (!b & c)
                    state[x + 5 * y] = f._mm512_ternarylogic_epi64::<0xd2>(row[x], row[(x + 1) % 5], row[(x + 2) % 5]);
                }
            }
            state[0] = f._mm512_xor_si512(state[0], self.all(constant));
        }
        state
    }

    /// The state behind one block of SHA-512.
    #[inline(always)]
    fn sha512_block(self, state: &[__m512i; 8], mut words: [__m512i; 16]) -> [__m512i; 8] {
        let f = self.f;
        let [mut a, mut b, mut c, mut d, mut e, mut g, mut h, mut k] = *state;
        for (round, constant) in SHA_CONSTANTS.into_iter().enumerate() {
            let at = round % 16;
            if round >= 16 {
                let (early, late) = (words[(at + 1) % 16], words[(at + 14) % 16]);
                let small_0 = self.xor3(
                    f._mm512_ror_epi64::<1>(early),
                    f._mm512_ror_epi64::<8>(early),
                    f._mm512_srli_epi64::<7>(early),
                );
                let small_1 = self.xor3(
                    f._mm512_ror_epi64::<19>(late),
                    f._mm512_ror_epi64::<61>(late),
                    f._mm512_srli_epi64::<6>(late),
                );
                words[at] = self.plus(self.plus(words[at], small_0), self.plus(words[(at + 9) % 16], small_1));
            }
            let big_1 =
                self.xor3(f._mm512_ror_epi64::<14>(e), f._mm512_ror_epi64::<18>(e), f._mm512_ror_epi64::<41>(e));
            // e chooses between g and h.
            let choice = f._mm512_ternarylogic_epi64::<0xca>(e, g, h);
            let first = self.plus(self.plus(k, self.plus(big_1, choice)), self.plus(self.all(constant), words[at]));
            let big_0 =
                self.xor3(f._mm512_ror_epi64::<28>(a), f._mm512_ror_epi64::<34>(a), f._mm512_ror_epi64::<39>(a));
            let majority = f._mm512_ternarylogic_epi64::<0xe8>(a, b, c);
            (k, h, g, e, d, c, b, a) =
                (h, g, e, self.plus(d, first), c, b, a, self.plus(first, self.plus(big_0, majority)));
        }
        let ends = [a, b, c, d, e, g, h, k];
        let mut next = *state;
        for (word, end) in next.iter_mut().zip(ends) {
            *word = self.plus(*word, end);
        }
        next
    }

    // Functions and no closures: one that is left out of line is compiled without the instructions.

    #[inline(always)]
    fn plus(self, left: __m512i, right: __m512i) -> __m512i {
        self.f._mm512_add_epi64(left, right)
    }

    #[inline(always)]
    fn xor3(self, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        self.f._mm512_ternarylogic_epi64::<0x96>(a, b, c)
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha512};
    use sha3::Keccak256;

    use super::*;

    /// Messages of every length around the edges of blocks, eight different ones and fewer at a time.
    #[test]
    fn hashes_are_those_of_the_libraries() {
        let Some(mut hashes) = LaneHashes::detect() else { return println!("skipped: no AVX-512 IFMA here") };
        let text: Vec<u8> = (0..1_200_u32).map(|index| (index * index / 7) as u8).collect();
        for first in 0..400 {
            let count = 1 + first % 8;
            let parts = |lane: usize, length: usize| {
                let whole = &text[lane..lane + length];
                let (front, rest) = whole.split_at(length / 3);
                let (middle, back) = rest.split_at(rest.len() / 2);
                [front, middle, back]
            };
            let messages: Vec<_> = (0..count).map(|lane| parts(lane, (first + lane * 37) % 500)).collect();
            for (message, digest) in messages.iter().zip(hashes.sha512(&messages)) {
                assert_eq!(digest, <[u8; 64]>::from(Sha512::digest(message.concat())), "{first}");
            }
            for (message, digest) in messages.iter().zip(hashes.keccak256(&messages)) {
                assert_eq!(digest, <[u8; 32]>::from(Keccak256::digest(message.concat())), "{first}");
            }
        }
    }
}
