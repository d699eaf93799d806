//! Quantities of the exchange as distinct types, so that a price is never added to an amount.
//!
//! Everything is an integer. A price is a whole number of ticks, a quantity a whole number of lots, money a whole
//! number of atoms of its asset. The only legal product of a price and a quantity is
//! [`MarketSpec::notional`](crate::market_spec::MarketSpec::notional), which knows what one lot at one tick is worth.

use core::fmt;

/// Declares an integer quantity: the newtype, its legal sums, and a plain `Display`.
macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// Nothing of it.
            pub const ZERO: Self = Self(0);

            /// The raw count.
            pub const fn raw(self) -> u64 {
                self.0
            }

            /// The sum, or `None` past `u64::MAX`.
            pub fn checked_add(self, other: Self) -> Option<Self> {
                self.0.checked_add(other.0).map(Self)
            }

            /// The difference, or `None` below zero.
            pub fn checked_sub(self, other: Self) -> Option<Self> {
                self.0.checked_sub(other.0).map(Self)
            }

            /// True for nothing of it.
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }
        }

        impl core::ops::Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl core::ops::Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl core::ops::AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        impl core::ops::SubAssign for $name {
            fn sub_assign(&mut self, other: Self) {
                self.0 -= other.0;
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

quantity! {
    /// A price: a whole number of the market's tick size. 1 ..= the market's maximum for an order.
    Ticks
}
quantity! {
    /// An order quantity: a whole number of the market's lot size.
    Lots
}
quantity! {
    /// An amount of one asset in that asset's smallest unit. Which asset is said by the field's name or its account slot.
    Atoms
}
quantity! {
    /// Nanoseconds since the Unix epoch. The engine's only clock: it comes with each record and never runs backwards.
    Timestamp
}

impl Timestamp {
    /// Milliseconds since the Unix epoch, rounded down.
    pub const fn milliseconds(self) -> u64 {
        self.0 / 1_000_000
    }

    /// From milliseconds since the Unix epoch. `None` past the year 2554.
    pub fn from_milliseconds(milliseconds: u64) -> Option<Self> {
        milliseconds.checked_mul(1_000_000).map(Self)
    }
}

/// A fee rate in millionths of the notional. Positive: charged. Negative: a rebate, for makers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeeRate(pub i32);

impl FeeRate {
    /// Millionths in one.
    pub const SCALE: u128 = 1_000_000;
    /// The highest rate that a configuration may name: 10 %.
    pub const MAX: Self = Self(100_000);
    /// The lowest: a rebate of as much.
    pub const MIN: Self = Self(-100_000);

    /// The fee on `notional` in quote atoms, signed: positive is paid by the trader, negative is received.
    /// Both directions round in the venue's favour by less than one atom.
    #[inline(always)]
    pub fn fee_on(self, notional: Atoms) -> i64 {
        let product = u128::from(notional.0) * u128::from(self.0.unsigned_abs());
        let atoms = match u64::try_from(product) {
            // The usual case: a division of 64 bits by a constant is a multiplication, one of 128 bits is a call.
            Ok(product) => {
                let scale = Self::SCALE as u64;
                u128::from(if self.0 >= 0 { product.div_ceil(scale) } else { product / scale })
            }
            Err(_) if self.0 >= 0 => product.div_ceil(Self::SCALE),
            Err(_) => product / Self::SCALE,
        };
        let atoms =
            i64::try_from(atoms).expect("a rate is at most 10 % and a notional fits i64 by the market's bounds");
        if self.0 >= 0 { atoms } else { -atoms }
    }

    /// The largest notional that `available` pays for together with the fee on it. For a rate that is not negative.
    pub fn most_before_fee(self, available: Atoms) -> Atoms {
        let rate = u128::try_from(self.0).expect("only a taker's rate is asked, which is never negative");
        let most = u128::from(available.0) * Self::SCALE / (Self::SCALE + rate);
        Atoms(u64::try_from(most).expect("at most what is available"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fees_round_in_the_venues_favour() {
        let cases = [
            (1_000, 1, 1),       // a thousandth of an atom is charged as one
            (1_000, 1_000, 1),   // exact
            (1_000, 1_001, 2),   // 1.001 is charged as two
            (-1_000, 999, 0),    // a rebate of 0.999 is not paid
            (-1_000, 1_999, -1), // a rebate of 1.999 is paid as one
            (0, u64::MAX >> 1, 0),
            // Both sides of where the product no longer fits 64 bits.
            (100_000, 184_467_440_737_095, 18_446_744_073_710),
            (100_000, 184_467_440_737_096, 18_446_744_073_710),
            (100_000, 1 << 59, 57_646_075_230_342_349),
            (-100_000, 1 << 59, -57_646_075_230_342_348),
        ];
        for (rate, notional, fee) in cases {
            assert_eq!(FeeRate(rate).fee_on(Atoms(notional)), fee, "rate {rate} on {notional}");
        }
    }

    #[test]
    fn the_most_before_the_fee_is_exact() {
        for rate in [0, 1, 999, 1_000, 20_000, 100_000].map(FeeRate) {
            let cost = |notional: u64| notional + u64::try_from(rate.fee_on(Atoms(notional))).expect("not negative");
            for available in (0..500).chain([999_999, 1_000_000, 1_000_001, 1 << 50]) {
                let most = rate.most_before_fee(Atoms(available)).0;
                assert!(cost(most) <= available && cost(most + 1) > available, "{rate:?} of {available}: {most}");
            }
        }
    }

    #[test]
    fn milliseconds_round_down_and_refuse_overflow() {
        assert_eq!(Timestamp(1_999_999).milliseconds(), 1);
        assert_eq!(Timestamp::from_milliseconds(2), Some(Timestamp(2_000_000)));
        assert_eq!(Timestamp::from_milliseconds(u64::MAX), None);
    }
}
