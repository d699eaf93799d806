//! Sixteen texts hashed at once with BLAKE3, each of at most one of its chunks: what keeps signed requests from being used
//! twice. One at a time the function waits for its own last step in each of its rounds, 80 ns a block of 64 bytes.
//!
//! Such a text is a chain of blocks that is the root at once: counter 0, the first block with a flag, the last one with two.
//! Words of 32 bits, so twice as many lanes as elsewhere here.
//! Bounds: texts of [`CHUNK_MAX`] bytes; the longest of sixteen says how long it takes, so who has many puts those of like
//! length together.

use core::arch::x86_64::__m512i;

use pulp::NullaryFnOnce;

use super::field::Lanes;
use super::hashes::LaneHashes;

/// Texts that are hashed together.
pub(in super::super) const TEXTS: usize = 16;
/// Longest text, in bytes: a longer one is a tree.
pub(in super::super) const CHUNK_MAX: usize = 1_024;

const BLOCK: usize = 64;
const START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
/// On a chunk's first block.
const FIRST: u32 = 1;
/// On its last block, and on that of what is no part of anything larger.
const LAST_OF_ROOT: u32 = 2 | 8;
/// Which words of a block each round takes, in the order in which it does.
const SCHEDULE: [[usize; 16]; 7] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8],
    [3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1],
    [10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6],
    [12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4],
    [9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7],
    [11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13],
];

impl LaneHashes {
    /// The first 16 bytes of the BLAKE3 of each text; what is behind as many digests as texts is of no meaning.
    pub(in super::super) fn blake3(&self, texts: &[&[u8]]) -> [[u8; 16]; TEXTS] {
        assert!(texts.len() <= TEXTS && texts.iter().all(|text| text.len() <= CHUNK_MAX), "a chunk a lane");
        let words = self.lanes.vectorize(Chunks { lanes: self.lanes, texts }).map(pulp::cast::<_, [u32; TEXTS]>);
        core::array::from_fn(|lane| {
            let mut digest = [0; 16];
            for (bytes, of_lanes) in digest.as_chunks_mut::<4>().0.iter_mut().zip(&words) {
                *bytes = of_lanes[lane].to_le_bytes();
            }
            digest
        })
    }
}

/// Of each text the first four words of its hash.
struct Chunks<'a> {
    lanes: Lanes,
    texts: &'a [&'a [u8]],
}

/// One block of each text.
struct Blocks {
    words: [__m512i; 16],
    lengths: __m512i,
    flags: __m512i,
    /// A bit for each text that ends with it.
    ends: u16,
}

impl NullaryFnOnce for Chunks<'_> {
    type Output = [__m512i; 4];

    #[inline(always)]
    fn call(self) -> Self::Output {
        let Self { lanes, texts } = self;
        let f = lanes.f;
        let mut chain = lanes.start();
        let mut digest = [f._mm512_setzero_si512(); 4];
        let blocks = texts.iter().map(|text| blocks_of(text)).max().unwrap_or(0);
        for at in 0..blocks {
            let block = lanes.blocks(texts, at);
            // A text that has ended goes on with nothing, and nobody looks at it any more.
            chain = lanes.blake3_block(chain, &block);
            for (kept, word) in digest.iter_mut().zip(chain) {
                *kept = f._mm512_mask_blend_epi32(block.ends, *kept, word);
            }
        }
        digest
    }
}

/// Blocks of a text: an empty one has one too.
const fn blocks_of(text: &[u8]) -> usize {
    if text.is_empty() { 1 } else { text.len().div_ceil(BLOCK) }
}

impl Lanes {
    #[inline(always)]
    fn start(self) -> [__m512i; 8] {
        let mut chain = [self.f._mm512_setzero_si512(); 8];
        for (word, start) in chain.iter_mut().zip(START) {
            *word = self.f._mm512_set1_epi32(start.cast_signed());
        }
        chain
    }

    /// The blocks at a place, a word of all texts in each register.
    #[inline(always)]
    fn blocks(self, texts: &[&[u8]], at: usize) -> Blocks {
        let mut rows = [self.f._mm512_setzero_si512(); TEXTS];
        let (mut lengths, mut flags) = ([0_u32; TEXTS], [0_u32; TEXTS]);
        let mut ends = 0;
        for (lane, text) in texts.iter().enumerate() {
            let Some(rest) = text.get(at * BLOCK..) else { continue };
            flags[lane] = if at == 0 { FIRST } else { 0 };
            if at + 1 == blocks_of(text) {
                flags[lane] |= LAST_OF_ROOT;
                ends |= 1 << lane;
            }
            if let Some(whole) = rest.first_chunk::<BLOCK>() {
                rows[lane] = pulp::cast(*whole);
                lengths[lane] = 64;
            } else {
                let mut padded = [0; BLOCK];
                padded[..rest.len()].copy_from_slice(rest);
                rows[lane] = pulp::cast(padded);
                lengths[lane] = u32::try_from(rest.len()).expect("less than a block");
            }
        }
        Blocks { words: self.words_of(rows), lengths: pulp::cast(lengths), flags: pulp::cast(flags), ends }
    }

    /// Words by their place in a row instead of rows of words.
    #[inline(always)]
    fn words_of(self, rows: [__m512i; 16]) -> [__m512i; 16] {
        let f = self.f;
        let mut fours = rows;
        for four in fours.as_chunks_mut::<4>().0 {
            let [a, b, c, d] = *four;
            let (ab, cd) = (f._mm512_unpacklo_epi32(a, b), f._mm512_unpacklo_epi32(c, d));
            let (ab_high, cd_high) = (f._mm512_unpackhi_epi32(a, b), f._mm512_unpackhi_epi32(c, d));
            *four = [
                f._mm512_unpacklo_epi64(ab, cd),
                f._mm512_unpackhi_epi64(ab, cd),
                f._mm512_unpacklo_epi64(ab_high, cd_high),
                f._mm512_unpackhi_epi64(ab_high, cd_high),
            ];
        }
        // Register c of the rows from 4 r on has words c, 4 + c, 8 + c and 12 + c of these four rows.
        let mut words = rows;
        for c in 0..4 {
            let [a, b, c2, d] = [fours[c], fours[4 + c], fours[8 + c], fours[12 + c]];
            let (even, even_back) = (f._mm512_shuffle_i32x4::<0x88>(a, b), f._mm512_shuffle_i32x4::<0x88>(c2, d));
            let (odd, odd_back) = (f._mm512_shuffle_i32x4::<0xdd>(a, b), f._mm512_shuffle_i32x4::<0xdd>(c2, d));
            words[c] = f._mm512_shuffle_i32x4::<0x88>(even, even_back);
            words[4 + c] = f._mm512_shuffle_i32x4::<0x88>(odd, odd_back);
            words[8 + c] = f._mm512_shuffle_i32x4::<0xdd>(even, even_back);
            words[12 + c] = f._mm512_shuffle_i32x4::<0xdd>(odd, odd_back);
        }
        words
    }

    /// The chain behind one block.
    #[inline(always)]
    fn blake3_block(self, chain: [__m512i; 8], block: &Blocks) -> [__m512i; 8] {
        let f = self.f;
        let [a, b, c, d, e, g, h, k] = chain;
        let [i0, i1, i2, i3, ..] = self.start();
        let zero = f._mm512_setzero_si512();
        let mut state = [a, b, c, d, e, g, h, k, i0, i1, i2, i3, zero, zero, block.lengths, block.flags];
        self.round::<0>(&mut state, &block.words);
        self.round::<1>(&mut state, &block.words);
        self.round::<2>(&mut state, &block.words);
        self.round::<3>(&mut state, &block.words);
        self.round::<4>(&mut state, &block.words);
        self.round::<5>(&mut state, &block.words);
        self.round::<6>(&mut state, &block.words);
        let mut next = [zero; 8];
        for (word, next) in next.iter_mut().enumerate() {
            *next = f._mm512_xor_si512(state[word], state[word + 8]);
        }
        next
    }

    /// One round: columns, then diagonals. No loops: where the compiler leaves one, state and words are not in registers, and
    /// all takes three times as long.
    #[inline(always)]
    fn round<const ROUND: usize>(self, state: &mut [__m512i; 16], words: &[__m512i; 16]) {
        let order = const { SCHEDULE[ROUND] };
        self.mix::<0, 4, 8, 12>(state, words[order[0]], words[order[1]]);
        self.mix::<1, 5, 9, 13>(state, words[order[2]], words[order[3]]);
        self.mix::<2, 6, 10, 14>(state, words[order[4]], words[order[5]]);
        self.mix::<3, 7, 11, 15>(state, words[order[6]], words[order[7]]);
        self.mix::<0, 5, 10, 15>(state, words[order[8]], words[order[9]]);
        self.mix::<1, 6, 11, 12>(state, words[order[10]], words[order[11]]);
        self.mix::<2, 7, 8, 13>(state, words[order[12]], words[order[13]]);
        self.mix::<3, 4, 9, 14>(state, words[order[14]], words[order[15]]);
    }

    /// Mixes four words of the state with two of the block.
    #[inline(always)]
    fn mix<const A: usize, const B: usize, const C: usize, const D: usize>(
        self,
        state: &mut [__m512i; 16],
        x: __m512i,
        y: __m512i,
    ) {
        let f = self.f;
        let [mut a, mut b, mut c, mut d] = [state[A], state[B], state[C], state[D]];
        a = f._mm512_add_epi32(f._mm512_add_epi32(a, b), x);
        d = f._mm512_ror_epi32::<16>(f._mm512_xor_si512(d, a));
        c = f._mm512_add_epi32(c, d);
        b = f._mm512_ror_epi32::<12>(f._mm512_xor_si512(b, c));
        a = f._mm512_add_epi32(f._mm512_add_epi32(a, b), y);
        d = f._mm512_ror_epi32::<8>(f._mm512_xor_si512(d, a));
        c = f._mm512_add_epi32(c, d);
        b = f._mm512_ror_epi32::<7>(f._mm512_xor_si512(b, c));
        (state[A], state[B], state[C], state[D]) = (a, b, c, d);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of every length that a chunk may have, sixteen different ones and fewer at a time.
    #[test]
    fn digests_are_those_of_the_library() {
        let Some(hashes) = LaneHashes::detect() else { return println!("skipped: no AVX-512 IFMA here") };
        let bytes: Vec<u8> = (0..2_048_u32).map(|index| (index * index / 7) as u8).collect();
        for first in 0..=CHUNK_MAX {
            let count = 1 + first % TEXTS;
            let texts = (0..count).map(|lane| &bytes[7 * lane..][..(first + lane * 37) % (CHUNK_MAX + 1)]);
            let texts: Vec<_> = texts.collect();
            for (text, digest) in texts.iter().zip(hashes.blake3(&texts)) {
                assert_eq!(digest, ::blake3::hash(text).as_bytes()[..16], "{first}, {} bytes", text.len());
            }
        }
    }
}
