//! What a market trades and how its units convert to money: the one file in which prices and quantities become atoms.
//!
//! A market is refused unless one lot at one tick is a whole number of quote atoms, so that only fees round.
//! The bounds are proved when the market is listed, so that no product can overflow afterwards.

use crate::command::Side;
use crate::ids::{AssetId, FeeTier, MarketId, Symbol};
use crate::units::{Atoms, FeeRate, Lots, Ticks};

/// An asset of the shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssetSpec {
    /// Its number.
    pub asset: AssetId,
    /// Its name, such as `BTC`.
    pub symbol: Symbol,
    /// Decimals of one whole unit in atoms: 0 ..= 8.
    pub decimals: u8,
    /// Units of the chain's token in one atom: a power of ten from 1.
    pub chain_units_per_atom: u64,
}

impl AssetSpec {
    /// The most decimals that the engine keeps.
    pub const MAX_DECIMALS: u8 = 8;

    /// Atoms in one whole unit.
    pub const fn atoms_per_unit(&self) -> u64 {
        10_u64.pow(self.decimals as u32)
    }
}

/// A market: its assets, units, bounds and the fees of tier 0. Part of the journaled configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarketSpec {
    /// Its number.
    pub market: MarketId,
    /// Its name, such as `BTCUSDT`.
    pub symbol: Symbol,
    /// What is bought and sold.
    pub base: AssetId,
    /// What it is paid in; fees are in quote on both sides.
    pub quote: AssetId,
    /// The tick size as a price: 1e-8 whole quote units for one whole base unit.
    pub tick_size_e8: u64,
    /// The lot size: base atoms in one lot.
    pub base_atoms_per_lot: u64,
    /// Quote atoms that one lot costs at a price of one tick. Follows from the two above and is checked against them.
    pub quote_atoms_per_tick_lot: u64,
    /// Highest price of an order.
    pub max_price: Ticks,
    /// Smallest quantity of an order.
    pub min_quantity: Lots,
    /// Largest quantity of an order.
    pub max_quantity: Lots,
    /// Smallest price × quantity of an order.
    pub min_notional: Atoms,
    /// How far past the best opposite price a market order without a limit may trade, in millionths.
    pub market_order_band: u32,
    /// Fee of the resting side in tier 0; negative is a rebate.
    pub maker_fee: FeeRate,
    /// Fee of the incoming side in tier 0; never negative.
    pub taker_fee: FeeRate,
    /// Resting orders that the book holds at most.
    pub max_orders: u32,
    /// Price levels that each side of the book holds at most.
    pub max_levels: u32,
}

/// What both sides of a fill pay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeeRates {
    /// The resting side's; negative is a rebate.
    pub maker: FeeRate,
    /// The incoming side's; never negative.
    pub taker: FeeRate,
}

impl FeeRates {
    /// Whether either side pays more than by `other`.
    pub fn is_dearer_than(self, other: Self) -> bool {
        self.maker > other.maker || self.taker > other.taker
    }
}

/// What a market charges each tier. An account's tier is the same in all markets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeTable {
    /// By tier; tier 0 is in the market's specification too.
    pub rates: [FeeRates; Self::TIERS as usize],
}

impl FeeTable {
    /// Rows of the table.
    pub const TIERS: u8 = 8;

    /// The same for every tier.
    pub const fn flat(maker: FeeRate, taker: FeeRate) -> Self {
        Self { rates: [FeeRates { maker, taker }; Self::TIERS as usize] }
    }

    /// A tier's rates; those of tier 0 for a tier that no table has.
    #[inline]
    pub fn of(&self, tier: FeeTier) -> FeeRates {
        self.rates.get(usize::from(tier.0)).copied().unwrap_or(self.rates[0])
    }

    /// Whether any tier pays more than by `other`.
    pub fn is_dearer_than(&self, other: &Self) -> bool {
        self.rates.iter().zip(&other.rates).any(|(mine, others)| mine.is_dearer_than(*others))
    }

    /// Whether every rate is within its range and nobody is paid for trading, whichever tiers meet: the lowest taker's
    /// and the lowest maker's rate are not below zero together.
    pub fn is_sound(&self) -> bool {
        let in_range = |rates: &FeeRates| {
            (FeeRate(0)..=FeeRate::MAX).contains(&rates.taker) && (FeeRate::MIN..=FeeRate::MAX).contains(&rates.maker)
        };
        let lowest = |of: fn(&FeeRates) -> FeeRate| self.rates.iter().map(of).min().map_or(0, |rate| i64::from(rate.0));
        self.rates.iter().all(in_range) && lowest(|rates| rates.taker) + lowest(|rates| rates.maker) >= 0
    }
}

/// Why a specification is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecError {
    /// One lot at one tick is not a whole number of quote atoms, or not the number that the specification states.
    TickLotNotWhole,
    /// A size, bound or capacity is zero, or a minimum is above its maximum.
    EmptyRange,
    /// The dearest order that the bounds allow would not fit the engine's integers.
    TooLarge,
    /// A rate is outside its range, or taker plus maker is below zero.
    BadFee,
    /// Decimals or chain scale are out of range.
    BadAsset,
    /// Base and quote are the same asset.
    SameAsset,
}

impl MarketSpec {
    /// What an order of this side holds back while it rests or waits, and pays with when it trades.
    #[inline(always)]
    pub const fn held_asset(&self, side: Side) -> AssetId {
        match side {
            Side::Bid => self.quote,
            Side::Ask => self.base,
        }
    }

    /// The widest band around a price, in millionths of it.
    pub const MAX_BAND: u32 = 1_000_000;

    /// How far from `price` a band of so many millionths reaches.
    pub fn band_around(price: Ticks, band: u32) -> Ticks {
        let reach = u128::from(price.0) * u128::from(band) / u128::from(Self::MAX_BAND);
        Ticks(u64::try_from(reach).expect("a band is at most the whole price"))
    }

    /// The dearest notional plus its fee must stay below this, so that sums of a few still fit `u64` and `i64`.
    pub const MAX_NOTIONAL: u128 = 1 << 60;

    /// Quote atoms for `quantity` at `price`. Both are within the market's bounds, which is why the product fits.
    #[inline(always)]
    pub fn notional(&self, price: Ticks, quantity: Lots) -> Atoms {
        // Neither product can overflow: max price × max quantity was proved to fit when the market was listed.
        Atoms(price.0 * quantity.0 * self.quote_atoms_per_tick_lot)
    }

    /// Base atoms in `quantity`.
    #[inline(always)]
    pub fn base_atoms(&self, quantity: Lots) -> Atoms {
        Atoms(quantity.0 * self.base_atoms_per_lot)
    }

    /// What one lot of a buy order at `limit` holds back: its price and the worst fee on it, rounded up for each lot.
    /// Linear in lots, so that the hold of an order is always `remaining × this`, and never less than what its fills
    /// can cost: the fee of a fill is rounded up once, the hold's once for every lot.
    #[inline(always)]
    pub fn bid_hold_per_lot(&self, limit: Ticks, worst_fee: FeeRate) -> Atoms {
        let price = self.notional(limit, Lots(1));
        let fee = u64::try_from(worst_fee.fee_on(price).max(0)).expect("not negative");
        price + Atoms(fee)
    }

    /// Checks the specification against its assets.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn validate(&self, base: &AssetSpec, quote: &AssetSpec) -> Result<(), SpecError> {
        if self.base == self.quote {
            return Err(SpecError::SameAsset);
        }
        let ranges = [
            self.tick_size_e8,
            self.base_atoms_per_lot,
            self.quote_atoms_per_tick_lot,
            self.max_price.0,
            self.min_quantity.0,
            u64::from(self.max_orders),
            u64::from(self.max_levels),
            u64::from(self.market_order_band),
        ];
        if ranges.contains(&0) || self.min_quantity > self.max_quantity || self.market_order_band > 1_000_000 {
            return Err(SpecError::EmptyRange);
        }
        if tick_lot_value(self.tick_size_e8, self.base_atoms_per_lot, base, quote)
            != Some(self.quote_atoms_per_tick_lot)
        {
            return Err(SpecError::TickLotNotWhole);
        }
        if !FeeTable::flat(self.maker_fee, self.taker_fee).is_sound() {
            return Err(SpecError::BadFee);
        }
        let dearest_lot = u128::from(self.max_price.0) * u128::from(self.quote_atoms_per_tick_lot) * 2;
        let fits = |product: Option<u128>| product.is_some_and(|product| product < Self::MAX_NOTIONAL);
        if !fits(dearest_lot.checked_mul(u128::from(self.max_quantity.0)))
            || !fits(u128::from(self.max_quantity.0).checked_mul(u128::from(self.base_atoms_per_lot)))
        {
            return Err(SpecError::TooLarge);
        }
        Ok(())
    }
}

impl AssetSpec {
    /// Checks the specification.
    ///
    /// # Errors
    /// [`SpecError::BadAsset`] for decimals or a chain scale out of range.
    pub fn validate(&self) -> Result<(), SpecError> {
        let scale_is_power_of_ten = (0..=18).any(|exponent| 10_u64.pow(exponent) == self.chain_units_per_atom);
        if self.decimals > Self::MAX_DECIMALS || !scale_is_power_of_ten || self.symbol.is_empty() {
            return Err(SpecError::BadAsset);
        }
        Ok(())
    }
}

/// Quote atoms that one lot costs at one tick, or `None` when it is no whole number.
pub fn tick_lot_value(tick_size_e8: u64, base_atoms_per_lot: u64, base: &AssetSpec, quote: &AssetSpec) -> Option<u64> {
    let product = u128::from(tick_size_e8)
        .checked_mul(u128::from(base_atoms_per_lot))?
        .checked_mul(u128::from(quote.atoms_per_unit()))?;
    let divisor = 100_000_000 * u128::from(base.atoms_per_unit());
    (product % divisor == 0).then(|| u64::try_from(product / divisor).ok())?
}
