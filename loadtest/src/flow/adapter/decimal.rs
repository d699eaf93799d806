//! Decimal numbers of foreign JSON to whole multiples of a step and back, without a float between.

/// A decimal number: `digits` × 10^-`scale`, negative where `negative` says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    digits: u128,
    scale: u32,
}

/// Longest text of a number.
const MAX_TEXT: usize = 48;
/// Most places behind the point, after the exponent.
const MAX_SCALE: u32 = 18;

impl Decimal {
    /// `1 / 10^scale`.
    pub const fn step(scale: u32) -> Self {
        Self { negative: false, digits: 1, scale }
    }

    /// Reads a number as JSON spells it, exponent included; `None` for what is none, or too long or too fine.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = format!("{whole}{}", fraction.trim_end_matches('0'));
        if whole.is_empty() || !format!("{whole}{fraction}").bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits: u128 = all_digits.parse().ok()?;
        let exponent: i32 = exponent.parse().ok()?;
        let places = i32::try_from(all_digits.len() - whole.len()).ok()?;
        let scale = places.checked_sub(exponent)?;
        if scale >= 0 {
            let scale = u32::try_from(scale).ok()?;
            return (scale <= MAX_SCALE).then_some(Self { negative, digits, scale });
        }
        let digits = digits.checked_mul(10_u128.checked_pow(scale.unsigned_abs())?)?;
        Some(Self { negative, digits, scale: 0 })
    }

    /// How many steps it is, rounded half to even: `None` where that is not at least 1 or too many, or `step` is none.
    pub fn nearest_steps(&self, step: Self) -> Option<u64> {
        let (steps, remainder, divisor) = self.divide(step)?;
        let up = match (remainder * 2).cmp(&divisor) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => steps & 1,
            std::cmp::Ordering::Greater => 1,
        };
        u64::try_from(steps + up).ok().filter(|&steps| steps > 0)
    }

    /// How many steps it is exactly: `None` where it is no whole number of them, or not at least 1, or too many.
    pub fn whole_steps(&self, step: Self) -> Option<u64> {
        let (steps, remainder, _) = self.divide(step)?;
        u64::try_from(steps).ok().filter(|&steps| remainder == 0 && steps > 0)
    }

    /// Whether it is above zero.
    pub const fn is_positive(&self) -> bool {
        !self.negative && self.digits > 0
    }

    /// Quotient, remainder, divisor; the divisor stays below 2^126, so that twice the remainder fits.
    fn divide(&self, step: Self) -> Option<(u128, u128, u128)> {
        if !self.is_positive() || !step.is_positive() {
            return None;
        }
        let dividend = self.digits.checked_mul(10_u128.checked_pow(step.scale)?)?;
        let divisor = step.digits.checked_mul(10_u128.checked_pow(self.scale)?)?;
        (divisor < 1 << 126).then(|| (dividend / divisor, dividend % divisor, divisor))
    }

    /// `count` of this step as text without an exponent and without zeroes at the end.
    pub fn times(&self, count: u64) -> String {
        let digits = self.digits * u128::from(count);
        let unit = 10_u128.pow(self.scale);
        let fraction = format!("{:0width$}", digits % unit, width = self.scale as usize);
        let fraction = if self.scale == 0 { "" } else { fraction.trim_end_matches('0') };
        if fraction.is_empty() { (digits / unit).to_string() } else { format!("{}.{fraction}", digits / unit) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_steps_and_text_again() {
        let cent = Decimal::parse("0.01").unwrap();
        for (text, steps, back) in [
            ("100.0", 10_000, "100"),
            ("100.004", 10_000, "100"),
            ("100.006", 10_001, "100.01"),
            ("100.005", 10_000, "100"),
            ("100.015", 10_002, "100.02"),
            ("1e-2", 1, "0.01"),
            ("1.5E+1", 1_500, "15"),
        ] {
            assert_eq!(Decimal::parse(text).unwrap().nearest_steps(cent), Some(steps), "{text}");
            assert_eq!(cent.times(steps), back);
        }
        let half = Decimal::parse("0.5").unwrap();
        assert_eq!(half.whole_steps(Decimal::step(10)), Some(5_000_000_000));
        assert_eq!(Decimal::step(0).times(7), "7");
    }

    #[test]
    fn what_is_no_positive_number_of_steps_is_none() {
        let cent = Decimal::step(2);
        for text in ["0.004", "0.005", "0", "0.0", "-1", "-0.0"] {
            assert_eq!(Decimal::parse(text).unwrap().nearest_steps(cent), None, "{text}");
        }
        assert_eq!(Decimal::parse("0.125").unwrap().whole_steps(cent), None);
        assert_eq!(Decimal::parse("1e30").unwrap().whole_steps(cent), None, "more than 2^64");
        assert_eq!(Decimal::parse("1").unwrap().nearest_steps(Decimal::parse("0").unwrap()), None);
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["", "-", ".5", "NaN", "1e", "1e999999999999", "1e99", "+1", "1 ", "\"1\"", "0.0000000000000000001"]
        {
            let parsed = Decimal::parse(text);
            assert!(parsed.is_none() || text == "{text}: {parsed:?}");
        }
        assert_eq!(Decimal::parse(&"9".repeat(49)), None);
    }
}
