//! Tables of so many multiples of a point that a scalar times it is additions alone, and whether signatures hold by them.
//!
//! One signature alone spends its time on what a batch shares: 32 doublings, the tables of its key, and the root out of
//! which R's x comes. Where a point has a *comb*, a table for each window of the scalar, there is nothing to double, and of
//! s B − k A the *encoding* is compared with R, as bytes: one inversion for up to 32 signatures instead of a root for each.
//! What is not equal may still be a signature (R with torsion), so "not equal" says nothing here.
//!
//! A scalar's eight words of 32 bits have a lane each, and each of their windows has a table of odd multiples: an odd scalar
//! is a sum of odd digits, so that no table needs a zero, and L more makes any scalar odd. Points are kept affine: an entry is
//! two cache lines for three, an addition seven multiplications for eight.
//! Variable-time on purpose: nothing it sees is secret.
//! Bounds: a comb of a key is 64 KB, that of the base point half a megabyte; [`TOGETHER`] signatures at a time.

use prefetch_index::prefetch_index;
use pulp::NullaryFnOnce;

use super::KnownPoints;
use super::field::{Element, LIMBS, Lanes, limbs_of, limbs_of_words};
use super::inversion::inverse;
use super::points::Points;

/// Signatures that are looked at together, for one inversion: a lane each in groups of eight, once their sums are made.
pub(in super::super) const TOGETHER: usize = 8 * GROUPS;
const GROUPS: usize = 4;

/// L, the order of the base point, as words.
const ORDER: [u64; 4] = [0x5812_631a_5cf5_d3ed, 0x14de_f9de_a2f7_9cd6, 0, 0x1000_0000_0000_0000];

/// A multiple in a table: Y + X and the first three limbs of 2 d X Y; Y − X and the other two. Z is one.
#[derive(Clone, Copy)]
#[repr(align(128))]
struct Entry([[u64; 8]; 2]);

/// A comb: for each lane's 32 bits ROWS windows, each with a table of ENTRIES odd multiples, half as many as a window has
/// values. Row by row, in a row lane by lane.
pub(in super::super) struct Comb<const ROWS: usize, const ENTRIES: usize>(Box<[Entry]>);

/// The comb of a key.
pub(in super::super) type KeyComb = Comb<8, 8>;
/// The comb of the base point: there is one, so it may be large.
pub(in super::super) type BaseComb = Comb<4, 128>;

/// An odd scalar's windows: each bit counts as it is or negative, and the highest is always set.
#[derive(Clone, Copy)]
pub(in super::super) struct Windows([u32; 8]);

/// One signature: what its scalars are to be multiplied by, and the R that has to come out.
pub(in super::super) struct CombTerm<'a> {
    /// The key's comb.
    pub(in super::super) key: &'a KeyComb,
    /// k.
    pub(in super::super) key_windows: Windows,
    /// s.
    pub(in super::super) base_windows: Windows,
    /// R, canonical.
    pub(in super::super) encoding: [u8; 32],
}

/// Rows of both combs.
const ROWS: usize = KeyComb::ROWS + BaseComb::ROWS;

/// What is asked for of a table: which entry, and one where it is to be negated.
struct Digit {
    index: usize,
    is_negative: usize,
}

/// Bits of a window whose table has so many entries.
const fn bits(entries: usize) -> usize {
    entries.trailing_zeros() as usize + 1
}

impl Windows {
    /// A lane's digit in a row of tables: u above the middle is an odd number from 1 on, below it the same negative.
    #[inline(always)]
    fn digit<const ENTRIES: usize>(&self, lane: usize, row: usize) -> Digit {
        let u = (self.0[lane] >> (row * bits(ENTRIES))) as usize & (2 * ENTRIES - 1);
        let is_negative = usize::from(u < ENTRIES);
        Digit { index: (u ^ is_negative.wrapping_neg()) & (ENTRIES - 1), is_negative }
    }

    /// What a row's digits ask for of its tables.
    #[inline(always)]
    fn pick<'a, const ENTRIES: usize>(&self, tables: &'a [[Entry; ENTRIES]; 8], row: usize) -> Picked<'a> {
        let mut picked = Picked { entries: [&tables[0][0]; 8], negative: 0 };
        for (lane, table) in tables.iter().enumerate() {
            let Digit { index, is_negative } = self.digit::<ENTRIES>(lane, row);
            picked.entries[lane] = &table[index];
            picked.negative |= (is_negative as u8) << lane;
        }
        picked
    }

    /// Of a scalar below L.
    pub(in super::super) fn of(scalar: &[u8; 32]) -> Self {
        let mut words: [u64; 4] = core::array::from_fn(|word| u64::from_le_bytes(scalar.as_chunks().0[word]));
        if words[0] & 1 == 0 {
            let mut carry = false;
            for (word, order) in words.iter_mut().zip(ORDER) {
                (*word, carry) = word.carrying_add(order, carry);
            }
        }
        // With odd digits 2 u − (2^BITS − 1) the u are what half of the scalar and 2^255 more have in their windows.
        let [a, b, c, d] = words;
        let halves = [a >> 1 | b << 63, b >> 1 | c << 63, c >> 1 | d << 63, d >> 1 | 1 << 63];
        Self(core::array::from_fn(|lane| (halves[lane / 2] >> (32 * (lane % 2))) as u32))
    }
}

impl<const ROWS: usize, const ENTRIES: usize> Comb<ROWS, ENTRIES> {
    const ROWS: usize = ROWS;
    /// Bits of a window.
    const BITS: usize = bits(ENTRIES);
    const FITS: () = assert!(ENTRIES.is_power_of_two() && ROWS * Self::BITS == 32, "the windows of a lane's 32 bits");
    /// A comb of a point that is not there yet.
    pub(super) fn empty() -> Self {
        let () = Self::FITS;
        Self(vec![Entry([[0; 8]; 2]); ROWS * 8 * ENTRIES].into_boxed_slice())
    }

    /// Makes it the comb of a point.
    pub(super) fn fill(&mut self, lanes: Lanes, points: &KnownPoints, sign: Sign) {
        lanes.vectorize(Fill { lanes, points, sign, comb: self });
    }

    fn row(&self, row: usize) -> &[[Entry; ENTRIES]; 8] {
        let tables = self.0.as_chunks::<ENTRIES>().0.as_chunks::<8>().0;
        &tables[row]
    }
}

/// Whether a comb is of a point or of its negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// Of the point.
    Same,
    /// Of its negative.
    Negated,
}

/// Which of at most [`TOGETHER`] signatures hold for certain, a bit each.
pub(super) fn holding<'a>(lanes: Lanes, base: &'a BaseComb, terms: impl ExactSizeIterator<Item = CombTerm<'a>>) -> u32 {
    let count = terms.len();
    assert!((1..=TOGETHER).contains(&count), "a lane for each signature");
    lanes.vectorize(Holding { lanes, base, terms, count, ahead: None })
}

/// A row's entries, and a bit for each that is to be negated.
#[derive(Clone, Copy)]
struct Picked<'a> {
    entries: [&'a Entry; 8],
    negative: u8,
}

/// Those of all rows of a signature.
type Rows<'a> = [Picked<'a>; ROWS];

impl<'a> CombTerm<'a> {
    /// What the digits ask for, row by row.
    #[inline(always)]
    fn picked(&self, base: &'a BaseComb) -> Rows<'a> {
        let mut rows = [Picked { entries: [&base.0[0]; 8], negative: 0 }; ROWS];
        for (row, picked) in rows.iter_mut().enumerate() {
            *picked = match row.checked_sub(KeyComb::ROWS) {
                None => self.key_windows.pick(self.key.row(row), row),
                Some(row) => self.base_windows.pick(base.row(row), row),
            };
        }
        rows
    }
}

impl Picked<'_> {
    /// Asks for the cache lines of the entries, and does not wait for them.
    #[inline(always)]
    fn prefetch(&self) {
        for Entry(lines) in self.entries {
            prefetch_index(lines, 0);
            prefetch_index(lines, 1);
        }
    }
}

struct Holding<'a, T> {
    lanes: Lanes,
    base: &'a BaseComb,
    terms: T,
    count: usize,
    /// The signature that comes next.
    ahead: Option<(CombTerm<'a>, Rows<'a>)>,
}

/// Up to eight signatures: the points that came out, and R's y and the sign of its x.
struct Group {
    points: Points,
    y: [[u64; 8]; LIMBS],
    signs: u8,
    /// The product of all Z of the groups before, lane by lane.
    product: Element,
}

impl<'a, T: Iterator<Item = CombTerm<'a>>> NullaryFnOnce for Holding<'a, T> {
    type Output = u32;

    #[inline(always)]
    fn call(mut self) -> u32 {
        let lanes = self.lanes;
        self.step();
        for row in self.ahead.iter().flat_map(|(_, rows)| rows) {
            row.prefetch();
        }
        let mut product = lanes.constant([1, 0, 0, 0, 0]);
        let mut groups: [Option<Group>; GROUPS] = [const { None }; GROUPS];
        for (index, group) in groups.iter_mut().enumerate().take(self.count.div_ceil(8)) {
            let next = self.next_group((self.count - 8 * index).min(8), &product);
            product = lanes.multiply(&product, &next.points.z);
            *group = Some(next);
        }
        // Alone all lanes are of the one signature.
        let mut inverse = lanes.inverses(&product, self.count);
        let mut holding = 0;
        for (index, group) in groups.iter().enumerate().rev() {
            let Some(Group { points, y: expected, signs, product }) = group else { continue };
            let own = lanes.multiply(&inverse, product);
            inverse = lanes.multiply(&inverse, &points.z);
            let (x, y) = (lanes.multiply(&points.x, &own), lanes.multiply(&points.y, &own));
            let is_equal = lanes.is_zero(&lanes.subtract(&y, &lanes.load(expected)));
            holding |= u32::from(is_equal & !(lanes.is_odd(&x) ^ signs)) << (8 * index);
        }
        // Lanes behind the last signature say nothing.
        holding & (u32::MAX >> (TOGETHER - self.count))
    }
}

impl<'a, T: Iterator<Item = CombTerm<'a>>> Holding<'a, T> {
    /// The signature that comes next; looks at the one behind it.
    #[inline(always)]
    fn step(&mut self) -> Option<(CombTerm<'a>, Rows<'a>)> {
        let behind = self.terms.next().map(|term| {
            let rows = term.picked(self.base);
            (term, rows)
        });
        std::mem::replace(&mut self.ahead, behind)
    }

    #[inline(always)]
    fn next_group(&mut self, count: usize, product: &Element) -> Group {
        let lanes = self.lanes;
        let mut sums = [lanes.neutral(); 8];
        let (mut y, mut signs) = ([[0; 8]; LIMBS], 0);
        for (lane, sum) in sums[..count].iter_mut().enumerate() {
            let (term, rows) = self.step().expect("as many signatures as were counted");
            *sum = lanes.comb_sum(&rows, self.ahead.as_ref().map(|(_, rows)| rows));
            for (of_limb, limb) in y.iter_mut().zip(limbs_of(&term.encoding)) {
                of_limb[lane] = limb;
            }
            signs |= (term.encoding[31] >> 7) << lane;
        }
        lanes.gathered(&mut sums, count);
        let [points, ..] = sums;
        Group { points, y, signs, product: *product }
    }
}

impl Lanes {
    /// The sum of entries, row by row, in eight parts. With each row it asks for that row of the signature that comes next:
    /// whoever waited for them would wait for a third of a signature's time when the combs of a thousand keys take turns.
    #[inline(always)]
    fn comb_sum(self, rows: &Rows<'_>, ahead: Option<&Rows<'_>>) -> Points {
        let ([first, others @ ..], ahead) = (rows, ahead.map_or(&[][..], |rows| rows));
        if let Some(row) = ahead.first() {
            row.prefetch();
        }
        let mut sum = self.begun(&self.looked_up_affine(first));
        // One copy of the addition, which is 7 KB of instructions: unrolled, they come from the second-level cache.
        for (place, row) in std::hint::black_box(others).iter().enumerate() {
            if let Some(row) = ahead.get(place + 1) {
                row.prefetch();
            }
            sum = self.mixed_sum(&sum, &self.looked_up_affine(row));
        }
        sum
    }

    /// A row's entries as they are added.
    #[inline(always)]
    fn looked_up_affine(self, &Picked { entries, negative }: &Picked<'_>) -> AffineSummands {
        let zero = self.f._mm512_setzero_si512();
        let (mut first, mut second) = ([zero; 8], [zero; 8]);
        for lane in 0..8 {
            // The sum of coordinates of a negated point is the difference of the point's.
            let own = usize::from(negative >> lane & 1);
            let Entry(lines) = entries[lane];
            (first[lane], second[lane]) = (pulp::cast(lines[own]), pulp::cast(lines[own ^ 1]));
        }
        let (a, b) = (self.transposed(first), self.transposed(second));
        let t2d = Element([
            self.f._mm512_mask_blend_epi64(negative, a[5], b[5]),
            self.f._mm512_mask_blend_epi64(negative, a[6], b[6]),
            self.f._mm512_mask_blend_epi64(negative, a[7], b[7]),
            self.f._mm512_mask_blend_epi64(negative, b[5], a[5]),
            self.f._mm512_mask_blend_epi64(negative, b[6], a[6]),
        ]);
        AffineSummands {
            sum: Element([a[0], a[1], a[2], a[3], a[4]]),
            difference: Element([b[0], b[1], b[2], b[3], b[4]]),
            t2d: self.negated_as_factor(negative, &t2d),
        }
    }

    /// The points themselves, which are what a sum begins with.
    #[inline(always)]
    fn begun(self, summands: &AffineSummands) -> Points {
        let twice_x = self.subtract(&summands.sum, &summands.difference);
        let twice_y = self.add(&summands.sum, &summands.difference);
        Points {
            x: self.add(&twice_x, &twice_x),
            y: self.add(&twice_y, &twice_y),
            z: self.constant([4, 0, 0, 0, 0]),
            t: self.multiply(&twice_x, &twice_y),
        }
    }

    /// The sums, whatever the points.
    #[inline(always)]
    fn mixed_sum(self, points: &Points, other: &AffineSummands) -> Points {
        let a = self.multiply(&self.subtract(&points.y, &points.x), &other.difference);
        let b = self.multiply(&self.add(&points.y, &points.x), &other.sum);
        let c = self.multiply(&points.t, &other.t2d);
        let (e, h) = (self.subtract(&b, &a), self.add(&b, &a));
        let [f, g] = self.twice_less_and_more(&points.z, &c);
        self.completed([e, f, g, h])
    }

    /// Sums of eight parts each become one point a lane, in the order of the sums: half of the lanes of two at a time.
    #[inline(always)]
    fn gathered(self, sums: &mut [Points; 8], count: usize) {
        // One copy of the addition, as above.
        for &(bit, mask) in std::hint::black_box(&[(4, 0xf0), (2, 0xcc), (1, 0xaa)]) {
            let own = |index: usize| if index < count { index } else { 0 };
            for index in 0..bit.min(count) {
                let other = own(index + bit);
                let (low, high) = (sums[index], sums[other]);
                let stay = self.select_points(mask, &low, &high);
                let move_over = self.swapped(&self.select_points(mask, &high, &low), bit as u64);
                sums[index] = self.sum(&stay, &self.summands(&move_over));
            }
        }
    }

    #[inline(always)]
    fn select_points(self, mask: u8, points: &Points, other: &Points) -> Points {
        Points {
            x: self.select(mask, &points.x, &other.x),
            y: self.select(mask, &points.y, &other.y),
            z: self.select(mask, &points.z, &other.z),
            t: self.select(mask, &points.t, &other.t),
        }
    }

    /// The inverses of all lanes' elements, none of which is zero. Where they are all the same, `count` is one.
    #[inline(always)]
    fn inverses(self, elements: &Element, count: usize) -> Element {
        if count == 1 {
            return self.constant(limbs_of_words(&inverse(&self.words(elements, 0))));
        }
        // One inverse of the product of all, times the product of the others.
        let neighbours = self.exchanged(elements, 1);
        let pairs = self.multiply(elements, &neighbours);
        let other_pairs = self.exchanged(&pairs, 2);
        let fours = self.multiply(&pairs, &other_pairs);
        let other_fours = self.exchanged(&fours, 4);
        let all = self.multiply(&fours, &other_fours);
        let inverse = self.constant(limbs_of_words(&inverse(&self.words(&all, 0))));
        let others = self.multiply(&self.multiply(&neighbours, &other_pairs), &other_fours);
        self.multiply(&inverse, &others)
    }
}

/// Eight affine points in the form in which they are added.
struct AffineSummands {
    sum: Element,
    difference: Element,
    t2d: Element,
}

struct Fill<'a, const ROWS: usize, const ENTRIES: usize> {
    lanes: Lanes,
    points: &'a KnownPoints,
    sign: Sign,
    comb: &'a mut Comb<ROWS, ENTRIES>,
}

impl<const ROWS: usize, const ENTRIES: usize> NullaryFnOnce for Fill<'_, ROWS, ENTRIES> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { lanes, points, sign, comb } = self;
        let mut point = lanes.known_points(points);
        if sign == Sign::Negated {
            let zero = lanes.constant([0; LIMBS]);
            (point.x, point.t) = (lanes.subtract(&zero, &point.x), lanes.subtract(&zero, &point.t));
        }
        let mut multiples = Vec::with_capacity(ROWS * ENTRIES);
        // The products of all Z up to each.
        let mut products = Vec::with_capacity(ROWS * ENTRIES);
        let mut product = lanes.constant([1, 0, 0, 0, 0]);
        for _ in 0..ROWS {
            let mut odd = point;
            let twice = lanes.double::<true>(&point);
            let step = lanes.summands(&twice);
            for entry in 0..ENTRIES {
                if entry > 0 {
                    odd = lanes.sum(&odd, &step);
                }
                products.push(product);
                product = lanes.multiply(&product, &odd.z);
                multiples.push(odd);
            }
            point = twice;
            for _ in 1..bits(ENTRIES) {
                point = lanes.double::<true>(&point);
            }
        }
        let mut inverse = lanes.inverses(&product, 8);
        for (place, (point, product)) in multiples.iter().zip(&products).enumerate().rev() {
            let own = lanes.multiply(&inverse, product);
            inverse = lanes.multiply(&inverse, &point.z);
            let (x, y) = (lanes.multiply(&point.x, &own), lanes.multiply(&point.y, &own));
            let (row, entry) = (place / ENTRIES, place % ENTRIES);
            let (sum, difference) = (lanes.add(&y, &x), lanes.subtract(&y, &x));
            let t2d = lanes.twice_d(&lanes.multiply(&x, &y));
            let [s, m, t] = [sum.0, difference.0, t2d.0];
            let zero = lanes.f._mm512_setzero_si512();
            let first = lanes.transposed([s[0], s[1], s[2], s[3], s[4], t[0], t[1], t[2]]);
            let second = lanes.transposed([m[0], m[1], m[2], m[3], m[4], t[3], t[4], zero]);
            for lane in 0..8 {
                let entry = &mut comb.0[(row * 8 + lane) * ENTRIES + entry];
                *entry = Entry([pulp::cast(first[lane]), pulp::cast(second[lane])]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
    use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
    use curve25519_dalek::scalar::Scalar;

    use super::super::tests::{drawn, known};
    use super::super::{LaneSum, NEUTRAL};
    use super::*;

    /// Scalars at the edges, and drawn ones.
    fn scalar(number: u64) -> Scalar {
        match number {
            0 => Scalar::ZERO,
            1 => Scalar::ONE,
            2 => -Scalar::ONE,
            3 => Scalar::from(2_u8),
            4 => Scalar::from(1_u128 << 64),
            5 => Scalar::from(u128::MAX),
            6 => -Scalar::from(2_u8),
            7 => Scalar::from(1_u64 << 32) - Scalar::ONE,
            _ => Scalar::from_bytes_mod_order_wide(&drawn(number)),
        }
    }

    fn comb_of(sum: &LaneSum, key: &EdwardsPoint) -> KeyComb {
        let mut comb = sum.empty_comb();
        sum.fill(&mut comb, &known(sum, *key));
        comb
    }

    fn term<'a>(key: &'a KeyComb, s: &Scalar, k: &Scalar, encoding: [u8; 32]) -> CombTerm<'a> {
        let [base_windows, key_windows] = [s, k].map(|scalar| Windows::of(scalar.as_bytes()));
        CombTerm { key, key_windows, base_windows, encoding }
    }

    #[test]
    fn windows_are_the_scalar() {
        for number in 0..500 {
            let scalar = scalar(number);
            let windows = Windows::of(scalar.as_bytes());
            let value = |entries: usize| {
                let rows = 32 / bits(entries);
                let digits = (0..8).flat_map(|lane| (0..rows).map(move |row| (lane, row)));
                digits.rev().fold(Scalar::ZERO, |value, (lane, row)| {
                    let digit = match entries {
                        8 => windows.digit::<8>(lane, row),
                        _ => windows.digit::<128>(lane, row),
                    };
                    let amount = Scalar::from(2 * digit.index as u64 + 1);
                    let next = if digit.is_negative == 1 { -amount } else { amount };
                    value * Scalar::from(2 * entries as u64) + next
                })
            };
            assert_eq!([value(8), value(128)], [scalar, scalar], "{number}");
        }
    }

    /// Each pair of scalars at the edges, in groups of each size: what is expected holds, in its lane and no other.
    #[test]
    fn what_holds_is_what_the_library_finds() {
        let Some(sum) = LaneSum::detect() else { return println!("skipped: no AVX-512 IFMA here") };
        let base = sum.base_comb(&known(&sum, ED25519_BASEPOINT_POINT));
        let torsion = CompressedEdwardsY([0; 32]).decompress().expect("y = 0 is of order four");
        let keys: Vec<EdwardsPoint> = (0..20).map(|number| EdwardsPoint::mul_base(&scalar(number + 100))).collect();
        let combs: Vec<KeyComb> = keys.iter().map(|key| comb_of(&sum, key)).collect();
        for round in 0..400_u64 {
            let count = 1 + round as usize % TOGETHER;
            let bad = 7 * round as usize % (count + 1);
            let terms: Vec<CombTerm<'_>> = (0..count)
                .map(|lane| {
                    let number = round + 7 * lane as u64;
                    let (s, k) = (scalar(number % 20), scalar(number / 20));
                    let key = (round as usize + lane) % keys.len();
                    let mut r = ED25519_BASEPOINT_POINT * s - keys[key] * k;
                    if lane == bad {
                        // One step away, with torsion, or the other root.
                        match round % 3 {
                            0 => r += ED25519_BASEPOINT_POINT,
                            1 => r += torsion,
                            _ => r = -r + EdwardsPoint::default(),
                        }
                    }
                    let mut encoding = r.compress().to_bytes();
                    if lane == bad && encoding == NEUTRAL {
                        encoding[31] |= 0x80;
                    }
                    term(&combs[key], &s, &k, encoding)
                })
                .collect();
            let expected = (0..count).filter(|lane| *lane != bad).fold(0, |mask, lane| mask | 1 << lane);
            assert_eq!(sum.holding(&base, terms.into_iter()), expected, "round {round}");
        }
    }

    /// A comb that is filled again is of the new point alone.
    #[test]
    fn a_comb_is_of_the_last_point() {
        let Some(sum) = LaneSum::detect() else { return println!("skipped: no AVX-512 IFMA here") };
        let base = sum.base_comb(&known(&sum, ED25519_BASEPOINT_POINT));
        let points = [scalar(50), scalar(51)].map(|scalar| EdwardsPoint::mul_base(&scalar));
        let mut comb = comb_of(&sum, &points[0]);
        sum.fill(&mut comb, &known(&sum, points[1]));
        let (s, k) = (scalar(60), scalar(61));
        let holds = |point: &EdwardsPoint| {
            let r = (ED25519_BASEPOINT_POINT * s - point * k).compress().to_bytes();
            sum.holding(&base, [term(&comb, &s, &k, r)].into_iter())
        };
        assert_eq!(points.map(|point| holds(&point)), [0, 1]);
    }
}
