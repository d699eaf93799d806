//! Assets and markets: decimal text into the engine's units, and every rule that the engine would refuse them for.
//!
//! The engine checks a listing again when it is applied; here the same rules name the key that breaks them.

use lakh_engine::command::{Capacities, MarketState};
use lakh_engine::ids::{AssetId, MarketId, Symbol};
use lakh_engine::market_spec::{AssetSpec, FeeRates, FeeTable, MarketSpec, SpecError, tick_lot_value};
use lakh_engine::units::{Atoms, FeeRate, Lots, Ticks};

use crate::decimal;
use crate::error::{ConfigError, Fault};
use crate::position::Position;
use crate::sections::check_range;
use crate::text::{AssetText, FeeTierText, MarketText};

/// Decimals of a price in [`MarketSpec::tick_size_e8`].
const PRICE_DECIMALS: u8 = 8;
/// Decimals of a [`FeeRate`] and of the market-order band: millionths.
const RATE_DECIMALS: u8 = 6;

/// A market of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedMarket {
    /// Its units, bounds and the fees of tier 0.
    pub spec: MarketSpec,
    /// The fees of all tiers.
    pub fees: FeeTable,
    /// What may be traded when the venue starts for the first time.
    pub state: MarketState,
}

/// Resolves `[[asset]]`; the first one gets number 0.
pub(crate) fn resolve_assets(texts: &[AssetText], capacities: &Capacities) -> Result<Vec<AssetSpec>, Fault> {
    check_room("asset", texts.len(), usize::from(capacities.assets))?;
    let mut assets = Vec::<AssetSpec>::with_capacity(texts.len());
    for (index, text) in (0_u16..).zip(texts) {
        let asset = resolve_asset(text, AssetId(index)).map_err(|fault| fault.inside(&format!("asset[{index}]")))?;
        if assets.iter().any(|known| known.symbol == asset.symbol) {
            return Err(Fault::new(format!("asset[{index}].symbol"), format!("{} stands twice", asset.symbol)));
        }
        assets.push(asset);
    }
    Ok(assets)
}

/// Resolves `[[market]]`; the first one gets number 0.
pub(crate) fn resolve_markets(
    texts: &[MarketText],
    assets: &[AssetSpec],
    capacities: &Capacities,
) -> Result<Vec<ListedMarket>, Fault> {
    check_room("market", texts.len(), usize::from(capacities.markets))?;
    let mut markets = Vec::<ListedMarket>::with_capacity(texts.len());
    for (index, text) in (0_u16..).zip(texts) {
        let inside = |fault: Fault| fault.inside(&format!("market[{index}]"));
        let spec = resolve_market(text, MarketId(index), assets).map_err(inside)?;
        let fees = resolve_fee_tiers(&spec, &text.fee_tiers).map_err(inside)?;
        if markets.iter().any(|known| known.spec.symbol == spec.symbol) {
            return Err(Fault::new(format!("market[{index}].symbol"), format!("{} stands twice", spec.symbol)));
        }
        markets.push(ListedMarket { spec, fees, state: text.state });
    }
    Ok(markets)
}

/// A market that is listed later: `text` has the keys of one `[[market]]`, at its top level. `name` stands for its file in
/// messages.
///
/// # Errors
/// As [`Config::from_toml`](crate::Config::from_toml).
pub fn market_from_toml(
    text: &str,
    name: &str,
    market: MarketId,
    assets: &[AssetSpec],
) -> Result<ListedMarket, ConfigError> {
    let text = toml::from_str::<MarketText>(text).map_err(|error| {
        let Position { line, column, key } = Position::of(text, error.span().map_or(0, |span| span.start));
        ConfigError::Syntax { file: name.to_owned(), line, column, key, reason: error.message().to_owned() }
    })?;
    let spec = resolve_market(&text, market, assets).map_err(|fault| fault.in_file(name))?;
    let fees = resolve_fee_tiers(&spec, &text.fee_tiers).map_err(|fault| fault.in_file(name))?;
    Ok(ListedMarket { spec, fees, state: text.state })
}

/// Refuses more tables than the capacity of the same file.
fn check_room(table: &str, count: usize, capacity: usize) -> Result<(), Fault> {
    if count <= capacity {
        return Ok(());
    }
    Err(Fault::new(table, format!("stands {count} times, and capacities.{table}s is {capacity}")))
}

fn resolve_asset(text: &AssetText, asset: AssetId) -> Result<AssetSpec, Fault> {
    let symbol = resolve_symbol(&text.symbol)?;
    check_range("decimals", text.decimals, 0..=AssetSpec::MAX_DECIMALS)?;
    let spec = AssetSpec { asset, symbol, decimals: text.decimals, chain_units_per_atom: text.chain_units_per_atom };
    // Symbol and decimals are checked, so the chain's scale is all that is left.
    spec.validate().map_err(|_| {
        let reason = format!("is {}, not a power of ten from 1 to 10^18", text.chain_units_per_atom);
        Fault::new("chain_units_per_atom", reason)
    })?;
    Ok(spec)
}

/// Symbols become parts of signed texts, stream names and URLs, and stream names are lower case: two that differ in
/// case only would be one stream.
fn resolve_symbol(text: &str) -> Result<Symbol, Fault> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    plain
        .then(|| Symbol::new(text))
        .flatten()
        .ok_or_else(|| Fault::new("symbol", format!("{text:?} is not 1 to 16 capital letters and digits")))
}

fn resolve_market(text: &MarketText, market: MarketId, assets: &[AssetSpec]) -> Result<MarketSpec, Fault> {
    let symbol = resolve_symbol(&text.symbol)?;
    let base = find_asset(assets, "base", &text.base)?;
    let quote = find_asset(assets, "quote", &text.quote)?;
    let tick_size_e8 = units("tick_size", &text.tick_size, PRICE_DECIMALS)?;
    let base_atoms_per_lot = units("lot_size", &text.lot_size, base.decimals)?;
    for (key, size) in [("tick_size", tick_size_e8), ("lot_size", base_atoms_per_lot)] {
        if size == 0 {
            return Err(Fault::new(key, "is zero"));
        }
    }
    let quote_atoms_per_tick_lot =
        tick_lot_value(tick_size_e8, base_atoms_per_lot, base, quote).ok_or_else(|| not_whole(text, quote))?;
    let max_quantity = steps("max_quantity", &text.max_quantity, base.decimals, base_atoms_per_lot)?;
    let min_quantity = match &text.min_quantity {
        Some(quantity) => steps("min_quantity", quantity, base.decimals, base_atoms_per_lot)?,
        None => 1,
    };
    check_range("max_orders", text.max_orders, 1..=1 << 26)?;
    check_range("max_levels", text.max_levels, 1..=1 << 24)?;
    let spec = MarketSpec {
        market,
        symbol,
        base: base.asset,
        quote: quote.asset,
        tick_size_e8,
        base_atoms_per_lot,
        quote_atoms_per_tick_lot,
        max_price: Ticks(steps("max_price", &text.max_price, PRICE_DECIMALS, tick_size_e8)?),
        min_quantity: Lots(min_quantity),
        max_quantity: Lots(max_quantity),
        min_notional: Atoms(units("min_notional", &text.min_notional, quote.decimals)?),
        market_order_band: resolve_band(&text.market_order_band)?,
        maker_fee: resolve_fee("maker_fee", &text.maker_fee)?,
        taker_fee: resolve_fee("taker_fee", &text.taker_fee)?,
        max_orders: text.max_orders,
        max_levels: text.max_levels,
    };
    spec.validate(base, quote).map_err(|error| explain(&spec, error))?;
    check_minimum_reachable(&spec)?;
    Ok(spec)
}

/// A market whose largest order at its highest price is below its smallest notional takes no order at all.
fn check_minimum_reachable(spec: &MarketSpec) -> Result<(), Fault> {
    if spec.min_notional > spec.notional(spec.max_price, spec.max_quantity) {
        return Err(Fault::new("min_notional", "is above max_price × max_quantity, so that no order is large enough"));
    }
    Ok(())
}

fn find_asset<'a>(assets: &'a [AssetSpec], key: &str, symbol: &str) -> Result<&'a AssetSpec, Fault> {
    assets
        .iter()
        .find(|asset| asset.symbol.as_str() == symbol)
        .ok_or_else(|| Fault::new(key, format!("{symbol:?} is no listed [[asset]]")))
}

/// Decimal text as a number of units of 10^-`decimals`.
pub(crate) fn units(key: &str, text: &str, decimals: u8) -> Result<u64, Fault> {
    decimal::parse(text, decimals).map_err(|error| Fault::new(key, format!("{text:?} {error}")))
}

/// Decimal text as a positive whole number of steps of `step` units of 10^-`decimals`.
fn steps(key: &str, text: &str, decimals: u8, step: u64) -> Result<u64, Fault> {
    let units = units(key, text, decimals)?;
    if units == 0 {
        return Err(Fault::new(key, "is zero"));
    }
    if !units.is_multiple_of(step) {
        let size = if key == "max_price" { "tick_size" } else { "lot_size" };
        return Err(Fault::new(key, format!("{text:?} is not a whole multiple of {size}")));
    }
    Ok(units / step)
}

fn resolve_fee(key: &str, text: &str) -> Result<FeeRate, Fault> {
    let rate =
        decimal::parse_signed(text, RATE_DECIMALS).map_err(|error| Fault::new(key, format!("{text:?} {error}")))?;
    if FeeRate(rate) > FeeRate::MAX {
        return Err(Fault::new(key, format!("{text:?} is above 0.1, the highest rate")));
    }
    Ok(FeeRate(rate))
}

/// The fees of all tiers, of which the file names those behind the first.
fn resolve_fee_tiers(spec: &MarketSpec, texts: &[FeeTierText]) -> Result<FeeTable, Fault> {
    let most = usize::from(FeeTable::TIERS) - 1;
    if texts.len() > most {
        return Err(Fault::new("fee_tiers", format!("has {} tiers; there are {most} beside tier 0", texts.len())));
    }
    let mut fees = FeeTable::flat(spec.maker_fee, spec.taker_fee);
    for (index, (rates, text)) in fees.rates[1..].iter_mut().zip(texts).enumerate() {
        let rate = |key: &str, text: &str| {
            resolve_fee(key, text).map_err(|fault| fault.inside(&format!("fee_tiers[{index}]")))
        };
        *rates = FeeRates { maker: rate("maker", &text.maker)?, taker: rate("taker", &text.taker)? };
        if rates.taker < FeeRate(0) {
            return Err(Fault::new(format!("fee_tiers[{index}].taker"), "is negative"));
        }
    }
    // Whichever tiers meet in a fill.
    match fees.is_sound() {
        true => Ok(fees),
        false => {
            Err(Fault::new("fee_tiers", "lowest maker plus lowest taker is below zero: the venue would pay for trades"))
        }
    }
}

fn resolve_band(text: &str) -> Result<u32, Fault> {
    let band = units("market_order_band", text, RATE_DECIMALS)?;
    u32::try_from(band)
        .ok()
        .filter(|band| (1..=1_000_000).contains(band))
        .ok_or_else(|| Fault::new("market_order_band", format!("{text:?} is outside of 0.000001 ..= 1")))
}

fn not_whole(text: &MarketText, quote: &AssetSpec) -> Fault {
    let MarketText { tick_size, lot_size, base, .. } = text;
    let reason = format!(
        "one lot ({lot_size} {base}) at one tick ({tick_size} {}) is not a whole number of atoms of {} decimals",
        quote.symbol, quote.decimals
    );
    Fault::new("tick_size", reason)
}

/// The key behind a rule of the engine that no single value breaks.
fn explain(spec: &MarketSpec, error: SpecError) -> Fault {
    match error {
        SpecError::SameAsset => Fault::new("quote", "is the base as well"),
        SpecError::EmptyRange => Fault::new("min_quantity", "is above max_quantity"),
        SpecError::TooLarge => {
            Fault::new("max_quantity", "times max_price would not fit the engine's integers (2^59 quote atoms)")
        }
        SpecError::BadFee if spec.taker_fee < FeeRate(0) => Fault::new("taker_fee", "is negative"),
        SpecError::BadFee => Fault::new("maker_fee", "plus taker_fee is below zero: the venue would pay for trades"),
        SpecError::TickLotNotWhole | SpecError::BadAsset => Fault::new("tick_size", format!("is refused: {error:?}")),
    }
}
