//! The inverse of one number modulo 2^255 − 19: what a point costs to be written down in the encoding that signatures carry.
//!
//! By division steps (Bernstein and Yang, "Fast constant-time gcd computation and modular inversion", 2019), 62 of them at a
//! time on the lowest words alone, whose matrix then moves the whole numbers, as libsecp256k1 does it. Variable-time on
//! purpose: it sees points that follow from signatures and public keys, and nothing secret. A power (p − 2) by squarings in
//! a row takes four times as long, in lanes as well.
//! Numbers are five limbs of 62 bits, the highest with the sign; the prime is −19 + 2^7 · 2^248, so that two limbs of it are
//! all that there is to multiply by.
//! Bounds: 12 rounds are enough for any number of 256 bits; more of them is a broken invariant.

/// Bits that a round takes off.
const STEPS: u32 = 62;
const MASK: u64 = (1 << STEPS) - 1;
/// The prime's lowest limb; its highest is [`PRIME_TOP`], those between are zero.
const PRIME_LOW: i64 = -19;
const PRIME_TOP: i64 = 1 << 7;
/// The inverse of the prime modulo 2^62.
const PRIME_INVERSE: u64 = {
    // Newton: each step doubles the bits that are right, of which an odd number has three to begin with.
    let prime = PRIME_LOW.cast_unsigned();
    let mut inverse = prime;
    let mut step = 0;
    while step < 5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(prime.wrapping_mul(inverse)));
        step += 1;
    }
    inverse & MASK
};
/// (49 · 256 + 57) / 17 division steps bring a pair of 256 bits to its end (the paper's theorem 11.2); 62 a round.
const ROUNDS_MAX: usize = 12;

type Limbs = [i64; 5];

/// 2^62 times what division steps do to a pair (f, g): (u f + v g, q f + r g). |u| + |v| and |q| + |r| are 2^62 at most.
struct Matrix {
    u: i64,
    v: i64,
    q: i64,
    r: i64,
}

/// The inverse modulo 2^255 − 19 of a number given by its 64-bit words, the lowest first; below 2^255 − 19 itself. Zero
/// has none and gives zero.
pub(super) fn inverse(words: &[u64; 4]) -> [u64; 4] {
    let (mut f, mut g): (Limbs, Limbs) = ([PRIME_LOW, 0, 0, 0, PRIME_TOP], limbs_of(words));
    // d x = f and e x = g modulo the prime, times powers of two that each round takes out again.
    let (mut d, mut e): (Limbs, Limbs) = ([0; 5], [1, 0, 0, 0, 0]);
    let mut eta = -1;
    let mut length = 5;
    for _ in 0..ROUNDS_MAX {
        let matrix;
        (eta, matrix) = division_steps(eta, f[0].cast_unsigned(), g[0].cast_unsigned());
        move_coefficients(&mut d, &mut e, &matrix);
        move_pair(&mut f[..length], &mut g[..length], &matrix);
        if g[..length].iter().all(|limb| *limb == 0) {
            let sign = f[length - 1];
            return words_of(&d, sign);
        }
        length = shortened(&mut f, &mut g, length);
    }
    unreachable!("the steps that any pair ends within are done")
}

/// 62 division steps on the lowest 64 bits of f and g; −delta behind them, and what they do.
#[inline(always)]
fn division_steps(mut eta: i64, f: u64, g: u64) -> (i64, Matrix) {
    let (mut u, mut v, mut q, mut r) = (1_u64, 0_u64, 0_u64, 1_u64);
    let (mut f, mut g) = (f, g);
    let mut left = STEPS;
    loop {
        // Steps on an even g halve it, all of them at once.
        let zeros = (g | (u64::MAX << left)).trailing_zeros();
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        eta -= i64::from(zeros);
        left -= zeros;
        if left == 0 {
            break;
        }
        let multiple;
        if eta < 0 {
            eta = -eta;
            (f, g) = (g, f.wrapping_neg());
            (u, q) = (q, u.wrapping_neg());
            (v, r) = (r, v.wrapping_neg());
            // As many steps as there are until the two change places again, six at most: f (f f − 2) is −1 / f modulo 64.
            let cube = f.wrapping_mul(f.wrapping_mul(f).wrapping_sub(2));
            multiple = cube.wrapping_mul(g) & cancelled(eta, left) & 63;
        } else {
            // Few steps mostly, so four at most: −f − 8 (f + 1 in bit 2) is −1 / f modulo 16.
            let inverse = f.wrapping_add((f.wrapping_add(1) & 4) << 1).wrapping_neg();
            multiple = inverse.wrapping_mul(g) & cancelled(eta, left) & 15;
        }
        g = g.wrapping_add(f.wrapping_mul(multiple));
        q = q.wrapping_add(u.wrapping_mul(multiple));
        r = r.wrapping_add(v.wrapping_mul(multiple));
    }
    let [u, v, q, r] = [u, v, q, r].map(u64::cast_signed);
    (eta, Matrix { u, v, q, r })
}

/// A bit for each step that can be done in one go.
#[inline(always)]
fn cancelled(eta: i64, left: u32) -> u64 {
    let limit = (eta + 1).min(i64::from(left));
    u64::MAX >> ((64 - limit) & 63)
}

/// (f, g) by the matrix, over 2^62: exact, since the steps were done on their lowest bits.
#[inline(always)]
fn move_pair(f: &mut [i64], g: &mut [i64], &Matrix { u, v, q, r }: &Matrix) {
    let (mut carry_f, mut carry_g) = (0_i128, 0_i128);
    for limb in 0..f.len() {
        let (own, other) = (f[limb], g[limb]);
        carry_f = carry_f.wrapping_add(product(u, own)).wrapping_add(product(v, other));
        carry_g = carry_g.wrapping_add(product(q, own)).wrapping_add(product(r, other));
        if limb > 0 {
            (f[limb - 1], g[limb - 1]) = (low(carry_f), low(carry_g));
        }
        (carry_f, carry_g) = (carry_f >> STEPS, carry_g >> STEPS);
    }
    let last = f.len() - 1;
    (f[last], g[last]) = (carry_f as i64, carry_g as i64);
}

/// (d, e) by the matrix, over 2^62 modulo the prime: as much of the prime is added as makes the lowest 62 bits zero.
/// Both are within −2 p and p, and so are they afterwards.
#[inline(always)]
fn move_coefficients(d: &mut Limbs, e: &mut Limbs, &Matrix { u, v, q, r }: &Matrix) {
    // What is below zero counts a prime higher.
    let (below_d, below_e) = (d[4] >> 63, e[4] >> 63);
    let mut times_d = (u & below_d).wrapping_add(v & below_e);
    let mut times_e = (q & below_d).wrapping_add(r & below_e);
    let mut carry_d = product(u, d[0]).wrapping_add(product(v, e[0]));
    let mut carry_e = product(q, d[0]).wrapping_add(product(r, e[0]));
    times_d = times_d.wrapping_sub(excess(carry_d, times_d));
    times_e = times_e.wrapping_sub(excess(carry_e, times_e));
    carry_d = carry_d.wrapping_add(product(PRIME_LOW, times_d)) >> STEPS;
    carry_e = carry_e.wrapping_add(product(PRIME_LOW, times_e)) >> STEPS;
    for limb in 1..5 {
        let (own, other) = (d[limb], e[limb]);
        carry_d = carry_d.wrapping_add(product(u, own)).wrapping_add(product(v, other));
        carry_e = carry_e.wrapping_add(product(q, own)).wrapping_add(product(r, other));
        if limb == 4 {
            carry_d = carry_d.wrapping_add(product(PRIME_TOP, times_d));
            carry_e = carry_e.wrapping_add(product(PRIME_TOP, times_e));
        }
        (d[limb - 1], e[limb - 1]) = (low(carry_d), low(carry_e));
        (carry_d, carry_e) = (carry_d >> STEPS, carry_e >> STEPS);
    }
    (d[4], e[4]) = (carry_d as i64, carry_e as i64);
}

/// How many times the prime stand in the lowest 62 bits of a sum to which it is added so many times already.
#[inline(always)]
fn excess(sum: i128, times: i64) -> i64 {
    let wanted = PRIME_INVERSE.wrapping_mul(sum as u64).wrapping_add(times.cast_unsigned());
    (wanted & MASK).cast_signed()
}

/// The limbs without the highest ones that hold nothing but a sign, which goes into the one below.
#[inline(always)]
fn shortened(f: &mut Limbs, g: &mut Limbs, length: usize) -> usize {
    let (top_f, top_g) = (f[length - 1], g[length - 1]);
    let is_sign = |limb: i64| limb == limb >> 63;
    if length < 2 || !is_sign(top_f) || !is_sign(top_g) {
        return length;
    }
    f[length - 2] |= top_f << STEPS;
    g[length - 2] |= top_g << STEPS;
    length - 1
}

/// Below 2^126: 62 bits of a matrix, 64 of a limb that took a sign in.
#[inline(always)]
fn product(left: i64, right: i64) -> i128 {
    i128::from(left).wrapping_mul(i128::from(right))
}

#[inline(always)]
fn low(number: i128) -> i64 {
    (number as u64 & MASK).cast_signed()
}

fn limbs_of(words: &[u64; 4]) -> Limbs {
    let [a, b, c, d] = *words;
    [a & MASK, (a >> 62 | b << 2) & MASK, (b >> 60 | c << 4) & MASK, (c >> 58 | d << 6) & MASK, d >> 56]
        .map(u64::cast_signed)
}

/// The number, negated where `sign` is below zero, from within −2 p and p to within 0 and p − 1, as words.
fn words_of(number: &Limbs, sign: i64) -> [u64; 4] {
    let sign = sign >> 63;
    // Two primes make all of it positive, whichever its sign: within 0 and 3 p, or p and 4 p.
    let mut limbs = *number;
    let mut carry = 0_i64;
    for (index, limb) in limbs.iter_mut().enumerate() {
        let primes = match index {
            0 => 2 * PRIME_LOW,
            4 => 2 * PRIME_TOP,
            _ => 0,
        };
        let value = ((*limb ^ sign) - sign) + primes + carry;
        (*limb, carry) = match index {
            4 => (value, 0),
            _ => (value & MASK.cast_signed(), value >> STEPS),
        };
    }
    // What is above 2^255 counts 19 each, twice; then at most one prime is left.
    for _ in 0..2 {
        let mut carry = 19 * (limbs[4] >> 7);
        limbs[4] &= PRIME_TOP - 1;
        for limb in &mut limbs {
            let value = *limb + carry;
            (*limb, carry) = (value & MASK.cast_signed(), value >> STEPS);
        }
    }
    let [a, b, c, d, e] = limbs.map(i64::cast_unsigned);
    let words = [a | b << 62, b >> 2 | c << 60, c >> 4 | d << 58, d >> 6 | e << 56];
    let prime = [u64::MAX - 18, u64::MAX, u64::MAX, u64::MAX >> 1];
    let is_above = words[3] == prime[3] && words[2] == prime[2] && words[1] == prime[1] && words[0] >= prime[0];
    if is_above { [words[0] - prime[0], 0, 0, 0] } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIME: [u64; 4] = [u64::MAX - 18, u64::MAX, u64::MAX, u64::MAX >> 1];

    /// The product modulo the prime, the slow way: what is above 256 bits counts 38.
    fn times(left: &[u64; 4], right: &[u64; 4]) -> [u64; 4] {
        let mut wide = [0_u64; 8];
        for (i, left) in left.iter().enumerate() {
            let mut carry = 0_u128;
            for (j, right) in right.iter().enumerate() {
                let sum = u128::from(*left) * u128::from(*right) + u128::from(wide[i + j]) + carry;
                (wide[i + j], carry) = (sum as u64, sum >> 64);
            }
            wide[i + 4] = carry as u64;
        }
        let mut words: [u64; 4] = *wide.first_chunk().unwrap();
        let mut high: [u64; 4] = *wide.last_chunk().unwrap();
        while high != [0; 4] {
            let mut carry = 0_u128;
            for (word, high) in words.iter_mut().zip(high) {
                let sum = u128::from(*word) + 38 * u128::from(high) + carry;
                (*word, carry) = (sum as u64, sum >> 64);
            }
            high = [carry as u64, 0, 0, 0];
        }
        while words.iter().rev().ge(PRIME.iter().rev()) {
            let mut borrow = false;
            for (word, prime) in words.iter_mut().zip(PRIME) {
                let (less, first) = word.overflowing_sub(prime);
                let (less, second) = less.overflowing_sub(u64::from(borrow));
                (*word, borrow) = (less, first || second);
            }
        }
        words
    }

    fn drawn(number: u64) -> [u64; 4] {
        let hash = blake3::hash(&number.to_le_bytes());
        let bytes = hash.as_bytes().as_chunks::<8>().0;
        core::array::from_fn(|word| u64::from_le_bytes(bytes[word]))
    }

    /// A number by its inverse is one, and the inverse is the smallest there is: drawn numbers, all small ones, those just
    /// below the prime and above it, powers of two and their neighbours, numbers of few words.
    #[test]
    fn a_number_by_its_inverse_is_one() {
        let mut numbers: Vec<[u64; 4]> = (0..20_000).map(drawn).collect();
        numbers.extend((1..2_000).map(|small| [small, 0, 0, 0]));
        numbers.extend((1..2_000).map(|less| [PRIME[0] - less, PRIME[1], PRIME[2], PRIME[3]]));
        numbers.extend((1..19).map(|more| [PRIME[0] + more, PRIME[1], PRIME[2], PRIME[3]]));
        for bit in 0..256_usize {
            let mut power = [0; 4];
            power[bit / 64] = 1 << (bit % 64);
            let mut below = [0; 4];
            for lower in 0..=bit {
                below[lower / 64] |= 1 << (lower % 64);
            }
            numbers.extend([power, below, [power[0] | 1, power[1], power[2], power[3]]]);
        }
        for length in 1..4 {
            numbers.extend((0..500).map(|number| {
                let mut words = drawn(number + 1_000_000);
                words[length..].fill(0);
                words
            }));
        }
        for number in numbers {
            let inverse = inverse(&number);
            assert!(inverse.iter().rev().lt(PRIME.iter().rev()), "{number:x?}");
            assert_eq!(times(&number, &inverse), [1, 0, 0, 0], "{number:x?}");
        }
    }

    #[test]
    fn zero_has_no_inverse() {
        assert_eq!(inverse(&[0; 4]), [0; 4]);
    }
}
