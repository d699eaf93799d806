//! A market's prices and quantities as the API spells them: integers here, decimal text there, no float between.
//!
//! The parameters come from the venue's configuration; nothing is guessed from what the venue says.

use lakh_engine::command::Side;
use lakh_engine::units::{Lots, Ticks};
use lakh_gateway::decimal;

/// How a market's numbers are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketText {
    /// The market's name, such as `UNITCASH`.
    pub symbol: String,
    /// Decimals of a price: 0 ..= 8.
    pub price_decimals: u8,
    /// Units of the last price decimal in one tick, at least 1: with two decimals, 1 is a tick of 0.01.
    pub price_units_per_tick: u64,
    /// Decimals of a quantity: 0 ..= 8.
    pub quantity_decimals: u8,
    /// Units of the last quantity decimal in one lot, at least 1.
    pub quantity_units_per_lot: u64,
}

impl MarketText {
    /// A market with a tick of 0.01 and a lot of one whole unit.
    pub fn cents_and_units(symbol: &str) -> Self {
        Self {
            symbol: symbol.to_owned(),
            price_decimals: 2,
            price_units_per_tick: 1,
            quantity_decimals: 0,
            quantity_units_per_lot: 1,
        }
    }

    /// A price as text.
    pub fn price(&self, price: Ticks) -> String {
        write(price.raw(), self.price_units_per_tick, self.price_decimals)
    }

    /// A quantity as text.
    pub fn quantity(&self, quantity: Lots) -> String {
        write(quantity.raw(), self.quantity_units_per_lot, self.quantity_decimals)
    }

    /// A price out of text; `None` unless it is a whole number of ticks.
    pub fn parse_price(&self, text: &str) -> Option<Ticks> {
        parse(text, self.price_units_per_tick, self.price_decimals).map(Ticks)
    }

    /// A quantity out of text; `None` unless it is a whole number of lots.
    pub fn parse_quantity(&self, text: &str) -> Option<Lots> {
        parse(text, self.quantity_units_per_lot, self.quantity_decimals).map(Lots)
    }
}

/// A side as the API spells it.
pub const fn side_text(side: Side) -> &'static str {
    match side {
        Side::Bid => "BUY",
        Side::Ask => "SELL",
    }
}

/// A side out of the API's text.
pub fn parse_side(text: &str) -> Option<Side> {
    match text {
        "BUY" => Some(Side::Bid),
        "SELL" => Some(Side::Ask),
        _ => None,
    }
}

fn write(count: u64, units: u64, decimals: u8) -> String {
    let mut text = Vec::with_capacity(24);
    decimal::write(u128::from(count) * u128::from(units), decimals, &mut text);
    String::from_utf8(text).expect("digits and a point")
}

fn parse(text: &str, units: u64, decimals: u8) -> Option<u64> {
    let number = decimal::parse(text, decimals).ok()?;
    (number.checked_rem(units)? == 0).then(|| number / units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let cents = MarketText::cents_and_units("UNITCASH");
        assert_eq!((cents.price(Ticks(58_577)).as_str(), cents.quantity(Lots(300)).as_str()), ("585.77", "300"));
        assert_eq!(
            (cents.parse_price("585.77"), cents.parse_price("585.770")),
            (Some(Ticks(58_577)), Some(Ticks(58_577)))
        );
        assert_eq!((cents.parse_price("585.775"), cents.parse_quantity("1.5")), (None, None));
        let coarse = MarketText { price_units_per_tick: 5, quantity_decimals: 3, quantity_units_per_lot: 10, ..cents };
        assert_eq!((coarse.price(Ticks(3)).as_str(), coarse.quantity(Lots(7)).as_str()), ("0.15", "0.070"));
        assert_eq!((coarse.parse_price("0.15"), coarse.parse_price("0.16")), (Some(Ticks(3)), None));
        assert_eq!((coarse.parse_quantity("0.070"), coarse.parse_quantity("0.071")), (Some(Lots(7)), None));
    }

    #[test]
    fn sides_by_name() {
        for side in [Side::Bid, Side::Ask] {
            assert_eq!(parse_side(side_text(side)), Some(side));
        }
        assert_eq!(parse_side("buy"), None);
    }
}
