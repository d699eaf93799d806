//! Eight points of the curve at once, and the tables out of which their multiples are added.

use core::arch::x86_64::__m512i;

use super::field::{Element, LIMBS, Lanes, limbs, limbs_of};

/// 2 d of the curve's equation.
const TWO_D: [u64; LIMBS] =
    [1_859_910_466_990_425, 932_731_440_258_426, 1_072_319_116_312_658, 1_815_898_335_770_999, 633_789_495_995_903];
/// d.
const D: [u64; LIMBS] =
    [929_955_233_495_203, 466_365_720_129_213, 1_662_059_464_998_953, 2_033_849_074_728_123, 1_442_794_654_840_575];
/// A square root of −1.
const ROOT_OF_MINUS_ONE: [u64; LIMBS] =
    [1_718_705_420_411_056, 234_908_883_556_509, 2_233_514_472_574_048, 2_117_202_627_021_982, 765_476_049_583_133];
const ZERO: [u64; LIMBS] = [0; LIMBS];
const ONE: [u64; LIMBS] = [1, 0, 0, 0, 0];
const TWO: [u64; LIMBS] = [2, 0, 0, 0, 0];

/// Multiples in a point's table: none to eight times.
const MULTIPLES: usize = 9;

/// Eight points (X : Y : Z : T), x = X / Z, y = Y / Z, x y = T / Z.
#[derive(Clone, Copy)]
pub(super) struct Points {
    pub(super) x: Element,
    pub(super) y: Element,
    pub(super) z: Element,
    pub(super) t: Element,
}

/// Eight points in the form in which they are added: Y + X, Y − X, 2 Z, 2 d T.
#[derive(Clone, Copy)]
pub(super) struct Summands {
    sum: Element,
    difference: Element,
    z2: Element,
    t2d: Element,
}

/// One lane's summand as it lies in a table: four times five limbs, and room to fill whole cache lines.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Entry([[u64; 8]; 3]);

/// The tables of eight points, lane by lane.
pub(super) type Row = [[Entry; MULTIPLES]; 8];

/// A row without points.
pub(super) const EMPTY_ROW: Row = [[Entry([[0; 8]; 3]); MULTIPLES]; 8];

/// Eight points on their way out of their encodings: x is a root of u / v.
struct Ratio {
    u: Element,
    v: Element,
    uv: Element,
    y: Element,
    /// The signs of x that are asked for, a bit a lane.
    signs: u8,
}

impl Lanes {
    /// The neutral point in each lane.
    #[inline(always)]
    pub(super) fn neutral(self) -> Points {
        let (zero, one) = (self.constant(ZERO), self.constant(ONE));
        Points { x: zero, y: one, z: one, t: zero }
    }

    /// Whether all eight are the neutral point.
    #[inline(always)]
    pub(super) fn are_neutral(self, points: &Points) -> bool {
        (self.is_zero(&points.x) & self.is_zero(&self.subtract(&points.y, &points.z))) == u8::MAX
    }

    /// Twice the points. `T` is worked out only where an addition comes next.
    #[inline(always)]
    pub(super) fn double<const WITH_T: bool>(self, points: &Points) -> Points {
        let (a, b) = (self.square(&points.x), self.square(&points.y));
        let zz = self.square(&points.z);
        let h = self.add(&a, &b);
        let e = self.subtract(&h, &self.square(&self.add(&points.x, &points.y)));
        let g = self.subtract(&a, &b);
        let f = self.add(&self.add(&zz, &zz), &g);
        Points {
            x: self.multiply(&e, &f),
            y: self.multiply(&g, &h),
            z: self.multiply(&f, &g),
            t: if WITH_T { self.multiply(&e, &h) } else { points.t },
        }
    }

    /// The sums, whatever the points: the curve's addition has no exceptions.
    #[inline(always)]
    pub(super) fn sum(self, points: &Points, other: &Summands) -> Points {
        let a = self.multiply(&self.subtract(&points.y, &points.x), &other.difference);
        let b = self.multiply(&self.add(&points.y, &points.x), &other.sum);
        let c = self.multiply(&points.t, &other.t2d);
        let d = self.multiply(&points.z, &other.z2);
        let (e, f) = (self.subtract(&b, &a), self.subtract(&d, &c));
        let (g, h) = (self.add(&d, &c), self.add(&b, &a));
        self.completed([e, f, g, h])
    }

    /// The points that an addition has come to but for its last four products: X = e f, Y = g h, Z = f g, T = e h.
    #[inline(always)]
    pub(super) fn completed(self, [e, f, g, h]: [Element; 4]) -> Points {
        Points {
            x: self.multiply(&e, &f),
            y: self.multiply(&g, &h),
            z: self.multiply(&f, &g),
            t: self.multiply(&e, &h),
        }
    }

    /// 2 d times the elements.
    #[inline(always)]
    pub(super) fn twice_d(self, element: &Element) -> Element {
        self.multiply(element, &self.constant(TWO_D))
    }

    /// Points as they are added.
    #[inline(always)]
    pub(super) fn summands(self, points: &Points) -> Summands {
        Summands {
            sum: self.add(&points.y, &points.x),
            difference: self.subtract(&points.y, &points.x),
            z2: self.add(&points.z, &points.z),
            t2d: self.multiply(&points.t, &self.constant(TWO_D)),
        }
    }

    /// Eight points from their encodings: y and the sign of x. A bit for each that is on the curve; the others are
    /// points of nothing. The bytes have to be canonical, which is looked at elsewhere.
    #[inline(always)]
    pub(super) fn eight_decompressed(self, encodings: &[[u8; 32]; 8]) -> (Points, u8) {
        let ratio = self.setup(encodings);
        let [power] = self.root_power(&[ratio.uv]);
        self.finish(&ratio, &power)
    }

    /// The same for sixteen, at less than twice the price.
    #[inline(always)]
    pub(super) fn sixteen_decompressed(self, encodings: &[[u8; 32]; 16]) -> ([Points; 2], u16) {
        let [first, second] = encodings.as_chunks().0 else { unreachable!("sixteen are twice eight") };
        let halves = [self.setup(first), self.setup(second)];
        let powers = self.root_power(&[halves[0].uv, halves[1].uv]);
        let (first, first_on_curve) = self.finish(&halves[0], &powers[0]);
        let (second, second_on_curve) = self.finish(&halves[1], &powers[1]);
        ([first, second], u16::from(first_on_curve) | u16::from(second_on_curve) << 8)
    }

    /// y² − 1 over d y² + 1, which x² has to be.
    #[inline(always)]
    fn setup(self, encodings: &[[u8; 32]; 8]) -> Ratio {
        let mut lanes = [[0; 8]; LIMBS];
        let mut signs = 0;
        for (lane, bytes) in encodings.iter().enumerate() {
            for (of_limb, limb) in lanes.iter_mut().zip(limbs_of(bytes)) {
                of_limb[lane] = limb;
            }
            signs |= (bytes[31] >> 7) << lane;
        }
        let y = self.load(&lanes);
        let (yy, one) = (self.square(&y), self.constant(ONE));
        let u = self.subtract(&yy, &one);
        let v = self.add(&self.multiply(&yy, &self.constant(D)), &one);
        let uv = self.multiply(&u, &v);
        Ratio { u, v, uv, y, signs }
    }

    /// x is u (u v)^((p − 5) / 8), or that times a root of −1: v x² tells which, by being u or −u.
    #[inline(always)]
    fn finish(self, ratio: &Ratio, power: &Element) -> (Points, u8) {
        let Ratio { u, v, y, signs, .. } = ratio;
        let x = self.multiply(u, power);
        let vxx = self.multiply(v, &self.square(&x));
        let is_root = self.is_zero(&self.subtract(&vxx, u));
        let is_other_root = self.is_zero(&self.add(&vxx, u));
        let other = self.multiply(&x, &self.constant(ROOT_OF_MINUS_ONE));
        let x = self.select(!is_root, &x, &other);
        let negated = self.subtract(&self.constant(ZERO), &x);
        let x = self.select(self.is_odd(&x) ^ *signs, &x, &negated);
        let t = self.multiply(&x, y);
        (Points { x, y: *y, z: self.constant(ONE), t }, is_root | is_other_root)
    }

    /// The tables of eight points.
    #[inline(always)]
    pub(super) fn tabulate(self, points: &Points, row: &mut Row) {
        let (zero, one, two) = (self.constant(ZERO), self.constant(ONE), self.constant(TWO));
        self.keep(&Summands { sum: one, difference: one, z2: two, t2d: zero }, row, 0);
        let first = self.summands(points);
        self.keep(&first, row, 1);
        let mut multiple = *points;
        for index in 2..MULTIPLES {
            multiple = self.sum(&multiple, &first);
            self.keep(&self.summands(&multiple), row, index);
        }
    }

    /// Puts one multiple of each point into its table.
    #[inline(always)]
    fn keep(self, summands: &Summands, row: &mut Row, index: usize) {
        let zero = self.f._mm512_setzero_si512();
        let Summands { sum: s, difference: m, z2: z, t2d: t } = summands;
        let blocks = [
            [s.0[0], s.0[1], s.0[2], s.0[3], s.0[4], m.0[0], m.0[1], m.0[2]],
            [m.0[3], m.0[4], z.0[0], z.0[1], z.0[2], z.0[3], z.0[4], t.0[0]],
            [t.0[1], t.0[2], t.0[3], t.0[4], zero, zero, zero, zero],
        ];
        for (block, limbs) in blocks.into_iter().enumerate() {
            let lanes = self.transposed(limbs);
            for lane in 0..8 {
                row[lane][index].0[block] = pulp::cast(lanes[lane]);
            }
        }
    }

    /// What `digits` say of each lane's table: the multiple in the low bits, the sign in the highest.
    #[inline(always)]
    pub(super) fn looked_up(self, row: &Row, digits: [u8; 8]) -> Summands {
        let entries: [&Entry; 8] = core::array::from_fn(|lane| &row[lane][usize::from(digits[lane] & 0xf)]);
        let (a, b, c) = (self.columns(&entries, 0), self.columns(&entries, 1), self.columns(&entries, 2));
        let sum = Element([a[0], a[1], a[2], a[3], a[4]]);
        let difference = Element([a[5], a[6], a[7], b[0], b[1]]);
        let z2 = Element([b[2], b[3], b[4], b[5], b[6]]);
        let t2d = Element([b[7], c[0], c[1], c[2], c[3]]);
        let signs = u64::from_le_bytes(digits) & 0x8080_8080_8080_8080;
        let negative = ((signs >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56).to_le_bytes()[0];
        Summands {
            sum: self.select(negative, &sum, &difference),
            difference: self.select(negative, &difference, &sum),
            z2,
            t2d: self.select(negative, &t2d, &self.subtract(&self.constant(ZERO), &t2d)),
        }
    }

    /// A block of each lane's entry, limb by limb.
    #[inline(always)]
    fn columns(self, entries: &[&Entry; 8], block: usize) -> [__m512i; 8] {
        let mut rows = [self.f._mm512_setzero_si512(); 8];
        for (row, entry) in rows.iter_mut().zip(entries) {
            *row = pulp::cast(entry.0[block]);
        }
        self.transposed(rows)
    }

    /// Rows become columns.
    #[inline(always)]
    pub(super) fn transposed(self, rows: [__m512i; 8]) -> [__m512i; 8] {
        let f = self.f;
        let [mut low, mut high] = [[f._mm512_setzero_si512(); 4]; 2];
        for pair in 0..4 {
            low[pair] = f._mm512_unpacklo_epi64(rows[2 * pair], rows[2 * pair + 1]);
            high[pair] = f._mm512_unpackhi_epi64(rows[2 * pair], rows[2 * pair + 1]);
        }
        let ([a, c, e, g], [b, d, i, h]) = (self.quarters(low), self.quarters(high));
        [a, b, c, d, e, i, g, h]
    }

    /// The second half of the way: pairs of lanes become columns.
    #[inline(always)]
    fn quarters(self, pairs: [__m512i; 4]) -> [__m512i; 4] {
        let f = self.f;
        let even =
            [f._mm512_shuffle_i64x2::<0x88>(pairs[0], pairs[1]), f._mm512_shuffle_i64x2::<0x88>(pairs[2], pairs[3])];
        let odd =
            [f._mm512_shuffle_i64x2::<0xdd>(pairs[0], pairs[1]), f._mm512_shuffle_i64x2::<0xdd>(pairs[2], pairs[3])];
        [
            f._mm512_shuffle_i64x2::<0x88>(even[0], even[1]),
            f._mm512_shuffle_i64x2::<0x88>(odd[0], odd[1]),
            f._mm512_shuffle_i64x2::<0xdd>(even[0], even[1]),
            f._mm512_shuffle_i64x2::<0xdd>(odd[0], odd[1]),
        ]
    }

    /// Each lane gets the lane whose number differs from its own in one bit.
    #[inline(always)]
    pub(super) fn swapped(self, points: &Points, bit: u64) -> Points {
        let index: __m512i = pulp::cast([0, 1, 2, 3, 4, 5, 6, 7_u64].map(|lane| lane ^ bit));
        let Points { x, y, z, t } = points;
        Points {
            x: self.permuted(index, x),
            y: self.permuted(index, y),
            z: self.permuted(index, z),
            t: self.permuted(index, t),
        }
    }

    /// The same of elements.
    #[inline(always)]
    pub(super) fn exchanged(self, element: &Element, bit: u64) -> Element {
        let index: __m512i = pulp::cast([0, 1, 2, 3, 4, 5, 6, 7_u64].map(|lane| lane ^ bit));
        self.permuted(index, element)
    }

    #[inline(always)]
    fn permuted(self, index: __m512i, element: &Element) -> Element {
        Element(limbs!(self, limb => self.f._mm512_permutexvar_epi64(index, element.0[limb])))
    }
}
