//! The `exchangeInfo` answer: markets, their assets, places and filters. A pure function of the directory.
//!
//! Bounded by the engine's markets (at most 1,024, about 1.5 KiB each).

use std::collections::HashSet;
use std::sync::Arc;

use lakh_engine::MAX_OPEN_ORDERS;
use lakh_engine::command::PlaceOrder;
use lakh_engine::units::{Lots, Ticks};

use crate::directory::{Directory, MarketEntry};
use crate::wire_encode::json::JsonWriter;
use crate::wire_encode::names;

/// What orders a market takes.
const ORDER_TYPES: [&str; 7] =
    ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"];
/// What an order may say of its own group.
const SELF_TRADE_MODES: [&str; 5] = ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"];

/// Encodes the answer with an empty `rateLimits`; see [`exchange_info_with_limits`].
pub fn exchange_info(directory: &Directory, symbols: Option<&[&str]>, now_ms: u64) -> Vec<u8> {
    exchange_info_with_limits(directory, symbols, now_ms, b"[]")
}

/// Encodes the answer: all markets, or those of `symbols` in their order, each once. Unknown symbols are left out; whoever
/// answers -1121 for them looks them up first. `rate_limits` is a JSON array that stands in the answer as it is.
pub fn exchange_info_with_limits(
    directory: &Directory,
    symbols: Option<&[&str]>,
    now_ms: u64,
    rate_limits: &[u8],
) -> Vec<u8> {
    let markets = match symbols {
        None => directory.markets(),
        Some(symbols) => named_markets(directory, symbols),
    };
    let mut out = Vec::with_capacity(256 + markets.len() * 1_536);
    let mut json = JsonWriter::new(&mut out);
    json.begin_object().key("timezone").text("UTC").key("serverTime").number(now_ms);
    json.key("rateLimits").raw(rate_limits).key("exchangeFilters").begin_array().end_array();
    json.key("symbols").begin_array();
    for market in &markets {
        write_market(&mut json, market);
    }
    json.end_array().end_object();
    out
}

/// Each named market once, however often it is named: an answer is never larger than that for all of them.
fn named_markets(directory: &Directory, symbols: &[&str]) -> Vec<Arc<MarketEntry>> {
    let mut seen = HashSet::new();
    let markets = symbols.iter().filter_map(|symbol| directory.market_by_symbol(symbol));
    markets.filter(|market| seen.insert(market.spec.market)).collect()
}

fn write_market(json: &mut JsonWriter<'_>, market: &MarketEntry) {
    let (base, quote) = (&market.base, &market.quote);
    json.begin_object().key("symbol").text(market.spec.symbol.as_str());
    json.key("status").text(names::symbol_status(market.state));
    json.key("marketState").text(names::market_state(market.state));
    json.key("baseAsset").text(base.symbol.as_str()).key("baseAssetPrecision").number(u64::from(base.decimals));
    json.key("quoteAsset").text(quote.symbol.as_str()).key("quotePrecision").number(u64::from(quote.decimals));
    json.key("quoteAssetPrecision").number(u64::from(quote.decimals));
    json.key("baseCommissionPrecision").number(u64::from(base.decimals));
    json.key("quoteCommissionPrecision").number(u64::from(quote.decimals));
    if market.price_band > 0 {
        json.key("priceBand").decimal(u128::from(market.price_band), 6);
    }
    write_texts(json.key("orderTypes"), &ORDER_TYPES);
    json.key("icebergAllowed").yes().key("ocoAllowed").no().key("otoAllowed").no().key("opoAllowed").no();
    json.key("quoteOrderQtyMarketAllowed").yes().key("allowTrailingStop").no();
    json.key("cancelReplaceAllowed").yes().key("amendAllowed").yes().key("pegInstructionsAllowed").no();
    json.key("isSpotTradingAllowed").yes().key("isMarginTradingAllowed").no();
    write_filters(json, market);
    write_texts(json.key("permissions"), &["SPOT"]);
    json.key("permissionSets").begin_array();
    write_texts(json, &["SPOT"]);
    json.end_array().key("defaultSelfTradePreventionMode").text("EXPIRE_MAKER");
    write_texts(json.key("allowedSelfTradePreventionModes"), &SELF_TRADE_MODES);
    json.end_object();
}

/// `NOTIONAL` and the older `MIN_NOTIONAL` say the same: some clients read only one of them.
fn write_filters(json: &mut JsonWriter<'_>, market: &MarketEntry) {
    let (spec, quote) = (&market.spec, &market.quote);
    json.key("filters").begin_array();
    json.begin_object().key("filterType").text("PRICE_FILTER").key("minPrice").price(market, Ticks(1));
    json.key("maxPrice").price(market, spec.max_price).key("tickSize").price(market, Ticks(1)).end_object();
    json.begin_object().key("filterType").text("LOT_SIZE").key("minQty").quantity(market, spec.min_quantity);
    json.key("maxQty").quantity(market, spec.max_quantity).key("stepSize").quantity(market, Lots(1)).end_object();
    json.begin_object().key("filterType").text("NOTIONAL").key("minNotional").amount(quote, spec.min_notional);
    json.key("applyMinToMarket").yes();
    json.key("maxNotional").amount(quote, spec.notional(spec.max_price, spec.max_quantity));
    json.key("applyMaxToMarket").no().key("avgPriceMins").number(0).end_object();
    json.begin_object().key("filterType").text("MIN_NOTIONAL").key("minNotional").amount(quote, spec.min_notional);
    json.key("applyToMarket").yes().key("avgPriceMins").number(0).end_object();
    json.begin_object().key("filterType").text("ICEBERG_PARTS").key("limit").number(PlaceOrder::MAX_PARTS).end_object();
    json.begin_object().key("filterType").text("MAX_NUM_ORDERS");
    json.key("maxNumOrders").number(u64::from(MAX_OPEN_ORDERS)).end_object();
    json.end_array();
}

fn write_texts(json: &mut JsonWriter<'_>, texts: &[&str]) {
    json.begin_array();
    for text in texts {
        json.text(text);
    }
    json.end_array();
}

#[cfg(test)]
mod tests {
    use lakh_engine::command::{MarketState, Mode};
    use lakh_engine::event::Event;
    use lakh_engine::ids::{AssetId, MarketId, Reason, Symbol};
    use lakh_engine::market_spec::{AssetSpec, MarketSpec};
    use lakh_engine::units::{Atoms, FeeRate};

    use super::*;

    fn directory() -> Directory {
        let directory = Directory::new([0; 16], Mode::Dev);
        for (number, symbol, decimals) in [(0, "ETH", 8), (1, "USDT", 6)] {
            let (asset, symbol) = (AssetId(number), Symbol::new(symbol).unwrap());
            directory.apply(&Event::AssetListed(AssetSpec { asset, symbol, decimals, chain_units_per_atom: 1 }));
        }
        for (number, symbol) in [(0, "ETHUSDT"), (1, "ETHUSDT2")] {
            directory.apply(&Event::MarketListed(MarketSpec {
                market: MarketId(number),
                symbol: Symbol::new(symbol).unwrap(),
                base: AssetId(0),
                quote: AssetId(1),
                tick_size_e8: 5_000_000,
                base_atoms_per_lot: 10_000,
                quote_atoms_per_tick_lot: 5,
                max_price: Ticks(2_000_000),
                min_quantity: Lots(2),
                max_quantity: Lots(1_000_000),
                min_notional: Atoms(500_000),
                market_order_band: 1,
                maker_fee: FeeRate(0),
                taker_fee: FeeRate(0),
                max_orders: 1,
                max_levels: 1,
            }));
        }
        let (market, state, reason) = (MarketId(0), MarketState::Open, Reason::EMPTY);
        directory.apply(&Event::MarketStateChanged { market, state, reason, feed_sequence: 1 });
        directory
    }

    fn answer(symbols: Option<&[&str]>) -> String {
        String::from_utf8(exchange_info(&directory(), symbols, 17)).unwrap()
    }

    #[test]
    fn a_market_is_described_in_full() {
        assert_eq!(
            answer(Some(&["ETHUSDT"])),
            concat!(
                r#"{"timezone":"UTC","serverTime":17,"rateLimits":[],"exchangeFilters":[],"symbols":[{"symbol":"ETHUSDT","#,
                r#""status":"TRADING","marketState":"OPEN","baseAsset":"ETH","baseAssetPrecision":8,"quoteAsset":"USDT","#,
                r#""quotePrecision":6,"quoteAssetPrecision":6,"baseCommissionPrecision":8,"quoteCommissionPrecision":6,"#,
                r#""orderTypes":["LIMIT","LIMIT_MAKER","MARKET","STOP_LOSS","STOP_LOSS_LIMIT","TAKE_PROFIT","TAKE_PROFIT_LIMIT"],"#,
                r#""icebergAllowed":true,"ocoAllowed":false,"#,
                r#""otoAllowed":false,"opoAllowed":false,"quoteOrderQtyMarketAllowed":true,"allowTrailingStop":false,"#,
                r#""cancelReplaceAllowed":true,"amendAllowed":true,"pegInstructionsAllowed":false,"#,
                r#""isSpotTradingAllowed":true,"isMarginTradingAllowed":false,"filters":["#,
                r#"{"filterType":"PRICE_FILTER","minPrice":"0.05","maxPrice":"100000.00","tickSize":"0.05"},"#,
                r#"{"filterType":"LOT_SIZE","minQty":"0.0002","maxQty":"100.0000","stepSize":"0.0001"},"#,
                r#"{"filterType":"NOTIONAL","minNotional":"0.500000","applyMinToMarket":true,"#,
                r#""maxNotional":"10000000.000000","applyMaxToMarket":false,"avgPriceMins":0},"#,
                r#"{"filterType":"MIN_NOTIONAL","minNotional":"0.500000","applyToMarket":true,"avgPriceMins":0},"#,
                r#"{"filterType":"ICEBERG_PARTS","limit":100},{"filterType":"MAX_NUM_ORDERS","maxNumOrders":4096}],"#,
                r#""permissions":["SPOT"],"permissionSets":[["SPOT"]],"defaultSelfTradePreventionMode":"EXPIRE_MAKER","#,
                r#""allowedSelfTradePreventionModes":["NONE","EXPIRE_TAKER","EXPIRE_MAKER","EXPIRE_BOTH","DECREMENT"]}]}"#,
            )
        );
    }

    #[test]
    fn symbols_choose_markets_once_each() {
        let symbols = |symbols: Option<&[&str]>| {
            let value: serde_json::Value = serde_json::from_str(&answer(symbols)).unwrap();
            let names = value["symbols"].as_array().unwrap().iter();
            names.map(|symbol| format!("{} {}", symbol["symbol"], symbol["status"])).collect::<Vec<_>>().join(", ")
        };
        let (first, second) = (r#""ETHUSDT" "TRADING""#, r#""ETHUSDT2" "BREAK""#);
        assert_eq!(symbols(None), format!("{first}, {second}"));
        assert_eq!(symbols(Some(&["ETHUSDT2", "NONE", "ETHUSDT", "ETHUSDT2"])), format!("{second}, {first}"));
        assert_eq!(symbols(Some(&[])), "");
    }

    #[test]
    fn rate_limits_stand_in_the_answer_as_they_are() {
        let limits = br#"[{"rateLimitType":"ORDERS"}]"#;
        let text = String::from_utf8(exchange_info_with_limits(&directory(), None, 17, limits)).unwrap();
        assert!(text.contains(r#""rateLimits":[{"rateLimitType":"ORDERS"}],"exchangeFilters""#));
    }
}
