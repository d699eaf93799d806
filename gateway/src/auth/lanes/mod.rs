//! The sum that a batch of signatures comes to, eight points at a time, on processors that have AVX-512 with its
//! multiplication of 52-bit numbers (IFMA).
//!
//! Why beside the library: what a batch costs there is a point R for each signature, decompressed one at a time (3 of 5
//! microseconds) and added with four lanes within one point. Here each lane has a point of its own, so nothing is shuffled
//! between lanes but where tables are read. The library has no way in for points by their coordinates, so the
//! whole sum is ours then; where the processor lacks the instructions [`super::signature`] uses the library for all of it.
//!
//! Points are added by Straus' method in windows of four bits: a table of each point's multiples 0 to 8, digits −8 to 7,
//! and four doublings between two windows that all points share. Coefficients are of 128 bits; a scalar of 253 is two
//! of them, over the point and over 2^128 times it. One signature alone has its lanes for the eighths of its two scalars, so
//! that the doublings, which all eight do at once, are 32 and not 253 ([`KnownPoints`] are kept with a key).
//! Everything is variable-time on purpose: nothing it sees is secret. No unsafe code of ours: pulp's tokens stand for
//! instructions that the processor was asked for.
//! Bounds: tables of [`ROWS_MAX`] rows (0.6 MB), and what the caller adds before [`LaneSum::is_small`].

mod chunks;
mod comb;
mod field;
mod hashes;
mod inversion;
mod points;

use pulp::NullaryFnOnce;

pub(super) use self::chunks::{CHUNK_MAX, TEXTS};
use self::comb::Sign;
pub(super) use self::comb::{BaseComb, CombTerm, KeyComb, TOGETHER, Windows};
use self::field::{LIMBS, Lanes};
pub(super) use self::hashes::LaneHashes;
use self::points::{EMPTY_ROW, Points, Row};

/// Windows of four bits in a coefficient.
pub(super) const WINDOWS: usize = 32;
/// Windows of an eighth of a scalar.
const EIGHTH_WINDOWS: usize = WINDOWS / 4;
/// Rows of eight points whose tables are used together: more would not fit the second-level cache with the rest.
const ROWS_MAX: usize = 40;
/// The encoding of the neutral point.
const NEUTRAL: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
};

/// A coefficient's digits, the lowest first: the amount in the low bits, the sign in the highest.
pub(super) type Digits = [u8; WINDOWS];

/// A point that was decompressed before.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownPoint {
    x: [u64; LIMBS],
    y: [u64; LIMBS],
    t: [u64; LIMBS],
}

impl KnownPoint {
    const NEUTRAL: Self = Self { x: [0; LIMBS], y: [1, 0, 0, 0, 0], t: [0; LIMBS] };
}

/// A point that was decompressed before, and 2^32, 2^64 and so on to 2^224 times it.
pub(super) type KnownPoints = [KnownPoint; 8];

/// Their tables.
pub(super) struct KnownTables(Box<Row>);

/// A sum of points times coefficients; see the module.
pub(super) struct LaneSum {
    lanes: Lanes,
    encoded: Vec<([u8; 32], Digits)>,
    known: Vec<(KnownPoint, Digits)>,
    rows: Vec<Row>,
    row_digits: Vec<[[u8; 8]; WINDOWS]>,
}

const fn digit(value: i8) -> u8 {
    let amount = value.unsigned_abs();
    if value < 0 { amount | 0x80 } else { amount }
}

/// The digits of a random number of 128 bits less 8 in each window, so that no digit carries: the number less
/// [`RANDOM_OFFSET`]. As many numbers as there are, so as hard to guess.
pub(super) fn digits_of_random(random: &[u8; 16]) -> Digits {
    core::array::from_fn(|window| digit(nibble(random, window) - 8))
}

/// 8 in each window of four bits, little-endian.
pub(super) const RANDOM_OFFSET: u128 = 0x8888_8888_8888_8888_8888_8888_8888_8888;

/// The digits of a scalar below 2^253: of its lower 128 bits, and of what is above.
pub(super) fn digits_of_scalar(scalar: &[u8; 32]) -> [Digits; 2] {
    let mut carry = 0;
    let mut digits = [[0; WINDOWS]; 2];
    for window in 0..2 * WINDOWS {
        let value = nibble(scalar, window) + carry;
        carry = i8::from(value >= 8);
        digits[window / WINDOWS][window % WINDOWS] = digit(value - 16 * carry);
    }
    digits
}

const fn nibble(bytes: &[u8], window: usize) -> i8 {
    ((bytes[window / 2] >> (4 * (window % 2))) & 0xf).cast_signed()
}

impl LaneSum {
    /// An empty sum; `None` where the processor lacks the instructions.
    pub(super) fn detect() -> Option<Self> {
        let lanes = Lanes::try_new()?;
        Some(Self { lanes, encoded: Vec::new(), known: Vec::new(), rows: Vec::new(), row_digits: Vec::new() })
    }

    /// Empties the sum.
    pub(super) fn clear(&mut self) {
        self.encoded.clear();
        self.known.clear();
    }

    /// Adds a point by its canonical encoding, times a coefficient.
    pub(super) fn add_encoded(&mut self, encoding: [u8; 32], digits: Digits) {
        self.encoded.push((encoding, digits));
    }

    /// Adds a point times a scalar of 253 bits.
    pub(super) fn add_known(&mut self, points: &KnownPoints, digits: [Digits; 2]) {
        self.known.extend([points[0], points[4]].into_iter().zip(digits));
    }

    /// A point and its multiples by their canonical encodings, to be kept; `None` when one is not on the curve.
    pub(super) fn known(&self, encodings: &[[u8; 32]; 8]) -> Option<KnownPoints> {
        let (points, on_curve) = self.lanes.vectorize(DecompressEight { lanes: self.lanes, encodings });
        if on_curve != u8::MAX {
            return None;
        }
        let [x, y, t] = [&points.x, &points.y, &points.t].map(|element| self.lanes.store(element));
        Some(core::array::from_fn(|lane| {
            let of = |limbs: &[[u64; 8]; LIMBS]| core::array::from_fn(|limb| limbs[limb][lane]);
            KnownPoint { x: of(&x), y: of(&y), t: of(&t) }
        }))
    }

    /// The tables of a point that is in many sums.
    pub(super) fn tables(&self, points: &KnownPoints) -> KnownTables {
        let mut row = Box::new(EMPTY_ROW);
        self.lanes.vectorize(TabulateKnown { lanes: self.lanes, points, row: &mut row });
        KnownTables(row)
    }

    /// Whether an encoding is a point of the curve and eight times the sum of it and of two points times a scalar each is
    /// the neutral one. The sum that is being made stays as it is.
    pub(super) fn is_small_alone(
        &mut self,
        encoding: [u8; 32],
        (tables, tables_digits): (&KnownTables, [Digits; 2]),
        (points, digits): (&KnownPoints, [Digits; 2]),
    ) -> bool {
        let lanes = self.lanes;
        let mut encodings = [NEUTRAL; 8];
        encodings[0] = encoding;
        let digits = [eighths(&tables_digits), eighths(&digits)];
        let row = next_row(&mut self.rows, self.row_digits.len());
        lanes.vectorize(Alone { lanes, encodings: &encodings, tables: &tables.0, points, digits: &digits, row })
    }

    /// The comb of the base point; see [`comb`].
    pub(super) fn base_comb(&self, points: &KnownPoints) -> BaseComb {
        let mut comb = BaseComb::empty();
        comb.fill(self.lanes, points, Sign::Same);
        comb
    }

    /// Room for a key's comb.
    #[expect(clippy::unused_self, reason = "there is none without lanes")]
    pub(super) fn empty_comb(&self) -> KeyComb {
        KeyComb::empty()
    }

    /// Makes it the comb of a key. It is of the negative: s B − k A is what R has to be.
    pub(super) fn fill(&self, comb: &mut KeyComb, points: &KnownPoints) {
        comb.fill(self.lanes, points, Sign::Negated);
    }

    /// Which of at most [`TOGETHER`] signatures hold for certain, a bit each; see [`comb`].
    pub(super) fn holding<'a>(&self, base: &'a BaseComb, terms: impl ExactSizeIterator<Item = CombTerm<'a>>) -> u32 {
        comb::holding(self.lanes, base, terms)
    }

    /// Whether every encoding is a point of the curve and eight times the sum is the neutral one.
    pub(super) fn is_small(&mut self) -> bool {
        let lanes = self.lanes;
        let mut total = lanes.vectorize(Neutral { lanes });
        for first in (0..self.encoded.len()).step_by(16) {
            let place = |lane: usize| self.encoded.get(first + lane).map_or(NEUTRAL, |(encoding, _)| *encoding);
            let encodings: [[u8; 32]; 16] = core::array::from_fn(place);
            let (points, on_curve) = lanes.vectorize(Decompress { lanes, encodings: &encodings });
            if on_curve != u16::MAX {
                return false;
            }
            for (half, points) in points.iter().enumerate().take((self.encoded.len() - first).div_ceil(8)) {
                lanes.vectorize(Tabulate { lanes, points, row: next_row(&mut self.rows, self.row_digits.len()) });
                self.row_digits.push(digits_row(&self.encoded[first + 8 * half..]));
            }
            total = self.drained(total, ROWS_MAX);
        }
        for first in (0..self.known.len()).step_by(8) {
            let place = |lane: usize| self.known.get(first + lane).map_or(KnownPoint::NEUTRAL, |(point, _)| *point);
            let points: [KnownPoint; 8] = core::array::from_fn(place);
            let row = next_row(&mut self.rows, self.row_digits.len());
            lanes.vectorize(TabulateKnown { lanes, points: &points, row });
            self.row_digits.push(digits_row(&self.known[first..]));
            total = self.drained(total, ROWS_MAX);
        }
        total = self.drained(total, 1);
        lanes.vectorize(IsSmall { lanes, points: &total })
    }

    /// Adds what stands in the tables to `total`, once there are so many rows.
    fn drained(&mut self, total: Points, rows_min: usize) -> Points {
        if self.row_digits.len() < rows_min {
            return total;
        }
        let (lanes, rows) = (self.lanes, &self.rows[..self.row_digits.len()]);
        let total = lanes.vectorize(Accumulate { lanes, rows, digits: &self.row_digits, total: &total });
        self.row_digits.clear();
        total
    }
}

/// The table behind the `used` first ones.
fn next_row(rows: &mut Vec<Row>, used: usize) -> &mut Row {
    if rows.len() == used {
        rows.push(EMPTY_ROW);
    }
    &mut rows[used]
}

/// Eight points' digits by window. Lanes without a point get digits of zero.
fn digits_row<P>(terms: &[(P, Digits)]) -> [[u8; 8]; WINDOWS] {
    let mut row = [[0; 8]; WINDOWS];
    for (lane, (_, digits)) in terms.iter().take(8).enumerate() {
        for (of_window, digit) in row.iter_mut().zip(digits) {
            of_window[lane] = *digit;
        }
    }
    row
}

/// A scalar's digits by window, a lane for each eighth.
fn eighths(digits: &[Digits; 2]) -> [[u8; 8]; EIGHTH_WINDOWS] {
    let [low, high] = digits;
    let digit = |lane: usize, window: usize| [low, high][lane / 4][lane % 4 * EIGHTH_WINDOWS + window];
    core::array::from_fn(|window| core::array::from_fn(|lane| digit(lane, window)))
}

// What runs with the instructions: each is compiled for them as a whole, so everything that it calls is in line.

struct Neutral {
    lanes: Lanes,
}

impl NullaryFnOnce for Neutral {
    type Output = Points;

    #[inline(always)]
    fn call(self) -> Points {
        self.lanes.neutral()
    }
}

struct Decompress<'a> {
    lanes: Lanes,
    encodings: &'a [[u8; 32]; 16],
}

impl NullaryFnOnce for Decompress<'_> {
    type Output = ([Points; 2], u16);

    #[inline(always)]
    fn call(self) -> Self::Output {
        self.lanes.sixteen_decompressed(self.encodings)
    }
}

struct DecompressEight<'a> {
    lanes: Lanes,
    encodings: &'a [[u8; 32]; 8],
}

impl NullaryFnOnce for DecompressEight<'_> {
    type Output = (Points, u8);

    #[inline(always)]
    fn call(self) -> Self::Output {
        self.lanes.eight_decompressed(self.encodings)
    }
}

struct Tabulate<'a> {
    lanes: Lanes,
    points: &'a Points,
    row: &'a mut Row,
}

impl NullaryFnOnce for Tabulate<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.lanes.tabulate(self.points, self.row);
    }
}

struct TabulateKnown<'a> {
    lanes: Lanes,
    points: &'a [KnownPoint; 8],
    row: &'a mut Row,
}

impl NullaryFnOnce for TabulateKnown<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.lanes.tabulate(&self.lanes.known_points(self.points), self.row);
    }
}

impl Lanes {
    /// A known point in each lane.
    #[inline(always)]
    fn known_points(self, points: &[KnownPoint; 8]) -> Points {
        let [mut x, mut y, mut t] = [[[0; 8]; LIMBS]; 3];
        for (lane, point) in points.iter().enumerate() {
            for limb in 0..LIMBS {
                (x[limb][lane], y[limb][lane], t[limb][lane]) = (point.x[limb], point.y[limb], point.t[limb]);
            }
        }
        Points { x: self.load(&x), y: self.load(&y), z: self.neutral().z, t: self.load(&t) }
    }
}

struct Accumulate<'a> {
    lanes: Lanes,
    rows: &'a [Row],
    digits: &'a [[[u8; 8]; WINDOWS]],
    total: &'a Points,
}

impl NullaryFnOnce for Accumulate<'_> {
    type Output = Points;

    #[inline(always)]
    fn call(self) -> Points {
        let Self { lanes, rows, digits, total } = self;
        let mut sum = lanes.neutral();
        for window in (0..WINDOWS).rev() {
            for _ in 0..3 {
                sum = lanes.double::<false>(&sum);
            }
            sum = lanes.double::<true>(&sum);
            for (row, digits) in rows.iter().zip(digits) {
                sum = lanes.sum(&sum, &lanes.looked_up(row, digits[window]));
            }
        }
        lanes.sum(&sum, &lanes.summands(total))
    }
}

struct Alone<'a> {
    lanes: Lanes,
    encodings: &'a [[u8; 32]; 8],
    tables: &'a Row,
    points: &'a KnownPoints,
    /// Of the tables, and of the points.
    digits: &'a [[[u8; 8]; EIGHTH_WINDOWS]; 2],
    row: &'a mut Row,
}

impl NullaryFnOnce for Alone<'_> {
    type Output = bool;

    #[inline(always)]
    fn call(self) -> bool {
        let Self { lanes, encodings, tables, points, digits, row } = self;
        let (encoded, on_curve) = lanes.eight_decompressed(encodings);
        if on_curve != u8::MAX {
            return false;
        }
        TabulateKnown { lanes, points, row: &mut *row }.call();
        let mut sum = lanes.neutral();
        for window in (0..EIGHTH_WINDOWS).rev() {
            // Nothing doubled is nothing.
            if window + 1 < EIGHTH_WINDOWS {
                for _ in 0..3 {
                    sum = lanes.double::<false>(&sum);
                }
                sum = lanes.double::<true>(&sum);
            }
            for (row, digits) in [tables, &*row].into_iter().zip(digits) {
                sum = lanes.sum(&sum, &lanes.looked_up(row, digits[window]));
            }
        }
        let sum = lanes.sum(&sum, &lanes.summands(&encoded));
        IsSmall { lanes, points: &sum }.call()
    }
}

struct IsSmall<'a> {
    lanes: Lanes,
    points: &'a Points,
}

impl NullaryFnOnce for IsSmall<'_> {
    type Output = bool;

    #[inline(always)]
    fn call(self) -> bool {
        let lanes = self.lanes;
        let mut sum = *self.points;
        for bit in [4, 2, 1] {
            sum = lanes.sum(&sum, &lanes.summands(&lanes.swapped(&sum, bit)));
        }
        // Mostly it is the neutral one by itself.
        if lanes.are_neutral(&sum) {
            return true;
        }
        for _ in 0..3 {
            sum = lanes.double::<false>(&sum);
        }
        lanes.are_neutral(&sum)
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
    use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
    use curve25519_dalek::scalar::Scalar;

    use super::super::signature::is_canonical;
    use super::*;

    /// Bytes that follow from a number.
    pub(super) fn drawn<const N: usize>(number: u64) -> [u8; N] {
        let mut bytes = [0; N];
        blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    fn value(digits: &Digits) -> Scalar {
        let sixteen = Scalar::from(16_u8);
        digits.iter().rev().fold(Scalar::ZERO, |value, digit| {
            let amount = Scalar::from(digit & 0xf);
            assert!(digit & 0xf <= 8, "the tables end at eight");
            value * sixteen + if digit & 0x80 == 0 { amount } else { -amount }
        })
    }

    #[test]
    fn digits_are_the_numbers_that_they_stand_for() {
        for number in 0..500 {
            let random: [u8; 16] = match number {
                0 => [0; 16],
                1 => [0xff; 16],
                _ => drawn(number),
            };
            let expected = Scalar::from(u128::from_le_bytes(random)) - Scalar::from(RANDOM_OFFSET);
            assert_eq!(value(&digits_of_random(&random)), expected);
            let scalar = match number {
                0 => Scalar::ZERO,
                1 => -Scalar::ONE,
                _ => Scalar::from_bytes_mod_order_wide(&drawn(number)),
            };
            let [low, high] = digits_of_scalar(scalar.as_bytes());
            assert_eq!(value(&low) + value(&high) * (Scalar::from(u128::MAX) + Scalar::ONE), scalar);
        }
    }

    /// A point and its multiples, as they are kept.
    pub(super) fn known(sum: &LaneSum, point: EdwardsPoint) -> KnownPoints {
        let mut multiple = point;
        let encodings = core::array::from_fn(|_| {
            let encoding = multiple.compress().to_bytes();
            multiple *= Scalar::from(1_u64 << 32);
            encoding
        });
        sum.known(&encodings).expect("points of the curve")
    }

    /// One signature's sum, its scalars at the edges too, with and without torsion in R, and one step away from it.
    #[test]
    fn a_sum_alone_is_that_of_the_library() {
        let Some(mut sum) = LaneSum::detect() else { return println!("skipped: no AVX-512 IFMA here") };
        let torsion = CompressedEdwardsY([0; 32]).decompress().expect("y = 0 is of order four");
        let off_curve = (2_u8..).map(|y| core::array::from_fn(|at| if at == 0 { y } else { 0 }));
        let off_curve =
            { off_curve }.find(|bytes| CompressedEdwardsY(*bytes).decompress().is_none()).expect("half of all");
        let scalar = |number: u64| match number {
            0 => Scalar::ZERO,
            1 => Scalar::ONE,
            2 => -Scalar::ONE,
            3 => Scalar::from(1_u128 << 64),
            4 => Scalar::from(u128::MAX),
            _ => Scalar::from_bytes_mod_order_wide(&drawn(number)),
        };
        for round in 0..400 {
            let (one, other) = (round % 20, round / 20);
            let points = [ED25519_BASEPOINT_POINT, EdwardsPoint::mul_base(&scalar(round + 100))];
            let scalars = [scalar(one), scalar(other)];
            let kept = points.map(|point| known(&sum, point));
            let tables = sum.tables(&kept[0]);
            let digits = scalars.map(|scalar| digits_of_scalar(scalar.as_bytes()));
            let mut is_small = |encoding| sum.is_small_alone(encoding, (&tables, digits[0]), (&kept[1], digits[1]));
            let mut r = -(points[0] * scalars[0] + points[1] * scalars[1]);
            if round % 3 == 0 {
                r += torsion;
            }
            assert!(is_small(r.compress().to_bytes()), "{one} {other}");
            assert!(!is_small((r + ED25519_BASEPOINT_POINT).compress().to_bytes()), "{one} {other}");
            assert!(!is_small(off_curve), "{one} {other}");
        }
    }

    /// Any bytes: half of them are no points, and both sides have to agree which.
    #[test]
    fn the_same_encodings_are_points_as_the_library_finds() {
        let Some(mut sum) = LaneSum::detect() else { return println!("skipped: no AVX-512 IFMA here") };
        let mut points = 0;
        for number in 0..2_000 {
            let bytes: [u8; 32] = match number {
                // y of small points and their neighbours: 0, 1, 2, and the largest below p.
                0..6 => core::array::from_fn(|at| if at == 0 { (number / 2) as u8 } else { 0 }),
                6..12 => core::array::from_fn(|at| match at {
                    0 => 0xec - ((number - 6) / 2) as u8,
                    31 => 0x7f,
                    _ => 0xff,
                }),
                _ => drawn(number),
            };
            let mut bytes = bytes;
            if number % 2 == 1 {
                bytes[31] |= 0x80;
            }
            if !is_canonical(&bytes) {
                continue;
            }
            let expected = CompressedEdwardsY(bytes).decompress();
            let mut encodings = [NEUTRAL; 8];
            encodings[number as usize % 8] = bytes;
            let known = sum.known(&encodings);
            assert_eq!(known.is_some(), expected.is_some(), "{bytes:?}");
            let Some(point) = expected else { continue };
            points += 1;
            // The coordinates are right as well: the point and its negative are nothing together.
            sum.clear();
            let one: Digits = core::array::from_fn(|window| u8::from(window == 0));
            sum.add_encoded(bytes, one);
            sum.add_encoded((-point + ED25519_BASEPOINT_POINT).compress().to_bytes(), one);
            sum.add_encoded((-ED25519_BASEPOINT_POINT).compress().to_bytes(), one);
            assert!(sum.is_small(), "{bytes:?}");
        }
        assert!(points > 900, "{points}");
    }

    /// Sums of every size around the edges of rows and groups, of points with torsion among them, against the library.
    #[test]
    fn sums_are_those_of_the_library() {
        let Some(mut sum) = LaneSum::detect() else { return println!("skipped: no AVX-512 IFMA here") };
        let torsion = CompressedEdwardsY([0; 32]).decompress().expect("y = 0 is of order four");
        for (round, size) in [1, 2, 7, 8, 9, 15, 16, 17, 24, 63, 318, 319, 320, 321, 330, 700].into_iter().enumerate() {
            for keys in [0, 1, 3, 4, 5, 30] {
                sum.clear();
                let mut total = EdwardsPoint::default();
                for index in 0..size {
                    let number = ((round * 1_000 + keys) * 1_000 + index) as u64;
                    let mut point = EdwardsPoint::mul_base(&Scalar::from_bytes_mod_order_wide(&drawn(number)));
                    if index % 3 == 0 {
                        point += torsion;
                    }
                    let random = drawn(number + 1);
                    let scalar = Scalar::from(u128::from_le_bytes(random)) - Scalar::from(RANDOM_OFFSET);
                    sum.add_encoded(point.compress().to_bytes(), digits_of_random(&random));
                    total += point * scalar;
                }
                for index in 0..keys {
                    let point = EdwardsPoint::mul_base(&Scalar::from_bytes_mod_order_wide(&drawn(index as u64 + 7)));
                    let scalar = Scalar::from_bytes_mod_order_wide(&drawn(index as u64 + 8));
                    sum.add_known(&known(&sum, point), digits_of_scalar(scalar.as_bytes()));
                    total += point * scalar;
                }
                assert!(!sum.is_small(), "{size} {keys}");
                let one: Digits = core::array::from_fn(|window| u8::from(window == 0));
                sum.add_encoded((-total).compress().to_bytes(), one);
                assert!(sum.is_small(), "{size} {keys}");
            }
        }
    }
}
