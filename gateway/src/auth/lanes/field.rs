//! Eight field elements modulo 2^255 − 19 at once, one in each 64-bit lane of AVX-512 registers.
//!
//! An element is five limbs of 51 bits. Multiplication uses the instructions that multiply 52-bit numbers (IFMA): they read
//! only the low 52 bits of what they are given, so every element that leaves a function here has limbs below
//! 2^51 + 2^13, and each function says why; [`Lanes::negated_as_factor`] alone gives larger ones.
//! Values are not unique: only [`Lanes::is_zero`] and [`Lanes::is_odd`] look at the number modulo p.

use core::arch::x86_64::__m512i;

/// An element's limbs, each worked out by itself. Not by a closure: one that the compiler leaves out of line is compiled
/// without the instructions, and calls a function for each of them.
macro_rules! limbs {
    ($lanes:expr, $limb:ident => $value:expr) => {{
        let mut limbs = [$lanes.f._mm512_setzero_si512(); LIMBS];
        let mut $limb = 0;
        while $limb < LIMBS {
            limbs[$limb] = $value;
            $limb += 1;
        }
        limbs
    }};
}
pub(super) use limbs;

pulp::simd_type! {
    /// Proof that this processor has the instructions; only looking for them at run time makes one.
    pub(super) struct Lanes {
        pub(super) f: "avx512f",
        pub(super) dq: "avx512dq",
        pub(super) ifma: "avx512ifma",
    }
}

/// Bits of a limb.
const BITS: u32 = 51;
/// A limb's bits.
const MASK: u64 = (1 << BITS) - 1;
/// Limbs of an element.
pub(super) const LIMBS: usize = 5;
/// Twice the prime, limb by limb: not less than what is subtracted.
const TWICE_P: [u64; LIMBS] = [2 * (MASK - 18), 2 * MASK, 2 * MASK, 2 * MASK, 2 * MASK];

/// Eight elements.
#[derive(Clone, Copy)]
pub(super) struct Element(pub(super) [__m512i; LIMBS]);

/// The limbs of an element given as 32 bytes, the highest bit left out.
pub(super) fn limbs_of(bytes: &[u8; 32]) -> [u64; LIMBS] {
    let word = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("eight bytes within 32"));
    [word(0) & MASK, (word(6) >> 3) & MASK, (word(12) >> 6) & MASK, (word(19) >> 1) & MASK, (word(24) >> 12) & MASK]
}

/// The limbs of an element given as words, the highest bit left out.
pub(super) fn limbs_of_words(words: &[u64; 4]) -> [u64; LIMBS] {
    let [a, b, c, d] = *words;
    [a & MASK, (a >> 51 | b << 13) & MASK, (b >> 38 | c << 26) & MASK, (c >> 25 | d << 39) & MASK, (d >> 12) & MASK]
}

impl Lanes {
    /// The same number in each lane.
    #[inline(always)]
    pub(super) fn all(self, number: u64) -> __m512i {
        self.f._mm512_set1_epi64(number.cast_signed())
    }

    /// The same element in each lane; limbs below 2^51.
    #[inline(always)]
    pub(super) fn constant(self, limbs: [u64; LIMBS]) -> Element {
        Element(limbs!(self, limb => self.all(limbs[limb])))
    }

    /// An element for each lane.
    #[inline(always)]
    pub(super) fn load(self, lanes: &[[u64; 8]; LIMBS]) -> Element {
        Element(limbs!(self, limb => pulp::cast(lanes[limb])))
    }

    /// Each lane's element.
    #[inline(always)]
    pub(super) fn store(self, element: &Element) -> [[u64; 8]; LIMBS] {
        core::array::from_fn(|limb| pulp::cast(element.0[limb]))
    }

    /// The product. One factor may have limbs up to 2^52: columns stay below 2^55.4, so what is carried is below 2^59.7, and
    /// each limb gets at most 2^8.7 of its neighbour, the lowest 19 times as much of the highest.
    ///
    /// The upper half of a product of 52 bits counts twice in the next column of 51. Upper halves are added up first and
    /// doubled once: ten registers hold all columns, where two sets of nine spill. 6.9 ns for 8.3, though a product that waits
    /// for the one before takes 12 for 10, which squares in a row are not made to.
    #[inline(always)]
    pub(super) fn multiply(self, left: &Element, right: &Element) -> Element {
        let mut columns = [self.f._mm512_setzero_si512(); 10];
        for i in 0..LIMBS {
            for j in 0..LIMBS {
                columns[i + j + 1] = self.ifma._mm512_madd52hi_epu64(columns[i + j + 1], left.0[i], right.0[j]);
            }
        }
        for column in &mut columns {
            *column = self.f._mm512_add_epi64(*column, *column);
        }
        for i in 0..LIMBS {
            for j in 0..LIMBS {
                columns[i + j] = self.ifma._mm512_madd52lo_epu64(columns[i + j], left.0[i], right.0[j]);
            }
        }
        let nineteen = self.all(19);
        let limbs = limbs!(self, limb => {
            let wrapped = self.dq._mm512_mullo_epi64(columns[limb + LIMBS], nineteen);
            self.f._mm512_add_epi64(columns[limb], wrapped)
        });
        self.carry(limbs)
    }

    /// The square: what stands twice in the product is worked out once.
    #[inline(always)]
    pub(super) fn square(self, element: &Element) -> Element {
        let zero = self.f._mm512_setzero_si512();
        let (mut low, mut high) = ([zero; 9], [zero; 9]);
        for i in 0..LIMBS {
            for j in i + 1..LIMBS {
                low[i + j] = self.ifma._mm512_madd52lo_epu64(low[i + j], element.0[i], element.0[j]);
                high[i + j] = self.ifma._mm512_madd52hi_epu64(high[i + j], element.0[i], element.0[j]);
            }
        }
        for column in 1..8 {
            low[column] = self.f._mm512_add_epi64(low[column], low[column]);
            high[column] = self.f._mm512_add_epi64(high[column], high[column]);
        }
        for i in 0..LIMBS {
            low[2 * i] = self.ifma._mm512_madd52lo_epu64(low[2 * i], element.0[i], element.0[i]);
            high[2 * i] = self.ifma._mm512_madd52hi_epu64(high[2 * i], element.0[i], element.0[i]);
        }
        self.fold(low, high)
    }

    /// Columns of a product into an element. The upper half of a product of 52 bits counts twice in the next column of 51.
    #[inline(always)]
    fn fold(self, low: [__m512i; 9], high: [__m512i; 9]) -> Element {
        let zero = self.f._mm512_setzero_si512();
        let mut columns = [zero; 10];
        for column in 0..10 {
            let own = if column < 9 { low[column] } else { zero };
            columns[column] = match column {
                0 => own,
                _ => {
                    let twice = self.f._mm512_add_epi64(high[column - 1], high[column - 1]);
                    self.f._mm512_add_epi64(own, twice)
                }
            };
        }
        let nineteen = self.all(19);
        let limbs = limbs!(self, limb => {
            let wrapped = self.dq._mm512_mullo_epi64(columns[limb + LIMBS], nineteen);
            self.f._mm512_add_epi64(columns[limb], wrapped)
        });
        self.carry(limbs)
    }

    /// Moves what is above 51 bits into the next limb, once: numbers below 2^60 leave limbs below 2^51 + 2^13.
    #[inline(always)]
    fn carry(self, limbs: [__m512i; LIMBS]) -> Element {
        let mask = self.all(MASK);
        let over = limbs!(self, limb => self.f._mm512_srli_epi64::<BITS>(limbs[limb]));
        let wrapped = self.dq._mm512_mullo_epi64(over[LIMBS - 1], self.all(19));
        Element(limbs!(self, limb => {
            let from_below = if limb == 0 { wrapped } else { over[limb - 1] };
            self.f._mm512_add_epi64(self.f._mm512_and_si512(limbs[limb], mask), from_below)
        }))
    }

    /// The sum.
    #[inline(always)]
    pub(super) fn add(self, left: &Element, right: &Element) -> Element {
        self.carry(limbs!(self, limb => self.f._mm512_add_epi64(left.0[limb], right.0[limb])))
    }

    /// The difference. Twice the prime is added, limb by limb, so no lane goes below zero.
    #[inline(always)]
    pub(super) fn subtract(self, left: &Element, right: &Element) -> Element {
        self.carry(limbs!(self, limb => {
            let raised = self.f._mm512_add_epi64(left.0[limb], self.all(TWICE_P[limb]));
            self.f._mm512_sub_epi64(raised, right.0[limb])
        }))
    }

    /// Twice an element less another, and twice it and another: limbs below 2^54 before they are carried.
    #[inline(always)]
    pub(super) fn twice_less_and_more(self, element: &Element, other: &Element) -> [Element; 2] {
        let twice = limbs!(self, limb => self.f._mm512_slli_epi64::<1>(element.0[limb]));
        let less = self.carry(limbs!(self, limb => {
            let raised = self.f._mm512_add_epi64(twice[limb], self.all(TWICE_P[limb]));
            self.f._mm512_sub_epi64(raised, other.0[limb])
        }));
        [less, self.carry(limbs!(self, limb => self.f._mm512_add_epi64(twice[limb], other.0[limb])))]
    }

    /// The elements negated where `mask` has a bit, not carried: below 2^52, which a factor may be once.
    #[inline(always)]
    pub(super) fn negated_as_factor(self, mask: u8, element: &Element) -> Element {
        Element(limbs!(self, limb => {
            self.f._mm512_mask_sub_epi64(element.0[limb], mask, self.all(TWICE_P[limb]), element.0[limb])
        }))
    }

    /// The words of one lane's element, taken modulo p but for one p that may be left.
    #[inline(always)]
    pub(super) fn words(self, element: &Element, lane: usize) -> [u64; 4] {
        let limbs = self.store(&Element(self.tidied(element))).map(|of_lanes| of_lanes[lane]);
        [
            limbs[0] | limbs[1] << 51,
            limbs[1] >> 13 | limbs[2] << 38,
            limbs[2] >> 26 | limbs[3] << 25,
            limbs[3] >> 39 | limbs[4] << 12,
        ]
    }

    /// Lanes of `other` where `mask` has a bit, of `element` elsewhere.
    #[inline(always)]
    pub(super) fn select(self, mask: u8, element: &Element, other: &Element) -> Element {
        Element(limbs!(self, limb => self.f._mm512_mask_blend_epi64(mask, element.0[limb], other.0[limb])))
    }

    /// The elements raised to (p − 5) / 8: the chain of one alone is waiting for the most part.
    #[inline(always)]
    pub(super) fn root_power<const COUNT: usize>(self, elements: &[Element; COUNT]) -> [Element; COUNT] {
        let z = *elements;
        let z2 = self.squares(&z, 1);
        let z9 = self.products(&self.squares(&z2, 2), &z);
        let z11 = self.products(&z9, &z2);
        let two_5 = self.products(&self.squares(&z11, 1), &z9);
        let two_10 = self.products(&self.squares(&two_5, 5), &two_5);
        let two_20 = self.products(&self.squares(&two_10, 10), &two_10);
        let two_40 = self.products(&self.squares(&two_20, 20), &two_20);
        let two_50 = self.products(&self.squares(&two_40, 10), &two_10);
        let two_100 = self.products(&self.squares(&two_50, 50), &two_50);
        let two_200 = self.products(&self.squares(&two_100, 100), &two_100);
        let two_250 = self.products(&self.squares(&two_200, 50), &two_50);
        self.products(&self.squares(&two_250, 2), &z)
    }

    #[inline(always)]
    fn squares<const COUNT: usize>(self, elements: &[Element; COUNT], times: u32) -> [Element; COUNT] {
        let mut elements = *elements;
        for _ in 0..times {
            for element in &mut elements {
                *element = self.square(element);
            }
        }
        elements
    }

    #[inline(always)]
    fn products<const COUNT: usize>(self, left: &[Element; COUNT], right: &[Element; COUNT]) -> [Element; COUNT] {
        let mut products = *left;
        for (product, right) in products.iter_mut().zip(right) {
            *product = self.multiply(product, right);
        }
        products
    }

    /// The same numbers below 2^255, each limb below 2^51: an element is below 2^255 + 2^217 before, so what is over is one
    /// bit at most, and the second round finds the limbs that nineteen made too large.
    #[inline(always)]
    fn tidied(self, element: &Element) -> [__m512i; LIMBS] {
        let (mask, mut limbs) = (self.all(MASK), element.0);
        for _ in 0..2 {
            for limb in 0..LIMBS {
                let over = self.f._mm512_srli_epi64::<BITS>(limbs[limb]);
                limbs[limb] = self.f._mm512_and_si512(limbs[limb], mask);
                let (next, over) = match limb + 1 {
                    LIMBS => (0, self.dq._mm512_mullo_epi64(over, self.all(19))),
                    next => (next, over),
                };
                limbs[next] = self.f._mm512_add_epi64(limbs[next], over);
            }
        }
        limbs
    }

    /// A bit for each lane whose element is zero: 0 or p, there is no other multiple of p below 2^255.
    #[inline(always)]
    pub(super) fn is_zero(self, element: &Element) -> u8 {
        let (limbs, zero) = (self.tidied(element), self.f._mm512_setzero_si512());
        let (mut is_zero, mut is_p) = (u8::MAX, u8::MAX);
        for (index, limb) in limbs.into_iter().enumerate() {
            is_zero &= self.f._mm512_cmpeq_epi64_mask(limb, zero);
            is_p &= self.f._mm512_cmpeq_epi64_mask(limb, self.all(if index == 0 { MASK - 18 } else { MASK }));
        }
        is_zero | is_p
    }

    /// A bit for each lane whose element, taken modulo p, is odd: p is odd itself.
    #[inline(always)]
    pub(super) fn is_odd(self, element: &Element) -> u8 {
        let limbs = self.tidied(element);
        let mut is_above = self.f._mm512_cmpge_epu64_mask(limbs[0], self.all(MASK - 18));
        for limb in &limbs[1..] {
            is_above &= self.f._mm512_cmpeq_epi64_mask(*limb, self.all(MASK));
        }
        self.f._mm512_test_epi64_mask(limbs[0], self.all(1)) ^ is_above
    }
}
