//! What a venue says on one WebSocket API connection, as far as a flow has to know it: answers, and trades by report.
//!
//! A trade is reported twice, once for each of its orders; the two reports share the trade's number and must agree in
//! price and quantity. Half-told trades wait in a table of at most [`MAX_HALF_TRADES`].

use std::collections::HashMap;

use lakh_engine::command::Side;
use lakh_engine::units::{Lots, Ticks};
use serde_json::Value;

use crate::error::LoadtestError;
use crate::flow::fills::FillLine;
use crate::flow::judge::Depth;
use crate::market_text::{MarketText, parse_side};

/// Trades of which only one side was reported, at most; each command's trades complete before the next answer.
pub(crate) const MAX_HALF_TRADES: usize = 4_096;

/// A message of the venue.
#[derive(Debug)]
pub(crate) enum Message {
    /// The answer to a request.
    Answer { id: u64, outcome: Result<Value, ApiRefusal> },
    /// One side of a trade.
    Trade(TradeReport),
    /// Something else, which the flow does not look at.
    Other,
}

/// An error as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiRefusal {
    pub(crate) code: i64,
    pub(crate) message: String,
}

/// Which of a trade's two orders a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liquidity {
    Maker,
    Taker,
}

/// One side of a trade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TradeReport {
    pub(crate) trade: u64,
    pub(crate) liquidity: Liquidity,
    pub(crate) client_id: u64,
    pub(crate) side: Side,
    pub(crate) price: Ticks,
    pub(crate) quantity: Lots,
}

/// A trade of which both sides were reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PairedTrade {
    pub(crate) trade: u64,
    pub(crate) fill: FillLine<u64>,
}

/// Reads a message.
pub(crate) fn parse_message(market: &MarketText, text: &str) -> Result<Message, LoadtestError> {
    let unreadable = || LoadtestError::Protocol(format!("{text:.200}"));
    let mut value: Value = serde_json::from_str(text).map_err(|_| unreadable())?;
    if let Some(id) = value.get("id").and_then(Value::as_u64) {
        let outcome = if value["status"] == 200 {
            Ok(value["result"].take())
        } else {
            let error = &value["error"];
            let code = error["code"].as_i64().ok_or_else(unreadable)?;
            Err(ApiRefusal { code, message: error["msg"].as_str().unwrap_or_default().to_owned() })
        };
        return Ok(Message::Answer { id, outcome });
    }
    let event = &value["event"];
    if event["e"] != "executionReport" || event["x"] != "TRADE" || event["s"] != market.symbol.as_str() {
        return Ok(Message::Other);
    }
    parse_trade(market, event).map(Message::Trade).ok_or_else(unreadable)
}

fn parse_trade(market: &MarketText, event: &Value) -> Option<TradeReport> {
    Some(TradeReport {
        trade: event["t"].as_u64()?,
        liquidity: if event["m"].as_bool()? { Liquidity::Maker } else { Liquidity::Taker },
        client_id: event["c"].as_str()?.parse().ok()?,
        side: parse_side(event["S"].as_str()?)?,
        price: market.parse_price(event["L"].as_str()?)?,
        quantity: market.parse_quantity(event["l"].as_str()?)?,
    })
}

/// The book's levels out of a `depth` answer.
pub(crate) fn parse_depth(market: &MarketText, result: &Value) -> Result<Depth, LoadtestError> {
    let side = |name: &str| -> Option<Vec<(Ticks, Lots)>> {
        let level = |level: &Value| {
            Some((market.parse_price(level.get(0)?.as_str()?)?, market.parse_quantity(level.get(1)?.as_str()?)?))
        };
        result[name].as_array()?.iter().map(level).collect()
    };
    match (side("bids"), side("asks")) {
        (Some(bids), Some(asks)) => Ok(Depth { bids, asks }),
        _ => Err(LoadtestError::Protocol(format!("depth: {:.200}", result.to_string()))),
    }
}

/// Puts the two reports of each trade together.
#[derive(Debug, Default)]
pub(crate) struct TradePairs {
    halves: HashMap<u64, TradeReport>,
}

impl TradePairs {
    /// The whole trade, once its second report comes.
    pub(crate) fn add(&mut self, report: TradeReport) -> Result<Option<PairedTrade>, LoadtestError> {
        let Some(other) = self.halves.remove(&report.trade) else {
            if self.halves.len() == MAX_HALF_TRADES {
                return Err(LoadtestError::Protocol("too many trades with one report only".to_owned()));
            }
            self.halves.insert(report.trade, report);
            return Ok(None);
        };
        let (maker, taker) = match (other.liquidity, report.liquidity) {
            (Liquidity::Maker, Liquidity::Taker) => (other, report),
            (Liquidity::Taker, Liquidity::Maker) => (report, other),
            _ => return Err(LoadtestError::Protocol(format!("trade {}: two reports of one side", report.trade))),
        };
        if maker.price != taker.price || maker.quantity != taker.quantity || maker.side == taker.side {
            return Err(LoadtestError::Protocol(format!("trade {}: its reports contradict each other", maker.trade)));
        }
        Ok(Some(PairedTrade {
            trade: taker.trade,
            fill: FillLine {
                taker: taker.client_id,
                maker: maker.client_id,
                taker_side: taker.side,
                quantity: taker.quantity,
                price: taker.price,
            },
        }))
    }

    /// Trades of which only one report came.
    pub(crate) fn unpaired(&self) -> usize {
        self.halves.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn market() -> MarketText {
        MarketText::cents_and_units("UNITCASH")
    }

    fn report(trade: u64, is_maker: bool, client_id: &str, side: &str) -> String {
        format!(
            r#"{{"subscriptionId":0,"event":{{"e":"executionReport","s":"UNITCASH","x":"TRADE","t":{trade},
            "m":{is_maker},"c":"{client_id}","S":"{side}","L":"585.77","l":"30"}}}}"#
        )
    }

    fn trade(text: &str) -> TradeReport {
        match parse_message(&market(), text) {
            Ok(Message::Trade(report)) => report,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_two_reports_of_a_trade_pair_in_either_order() {
        let (maker, taker) = (trade(&report(7, true, "1", "SELL")), trade(&report(7, false, "2", "BUY")));
        let expected = PairedTrade {
            trade: 7,
            fill: FillLine { taker: 2, maker: 1, taker_side: Side::Bid, quantity: Lots(30), price: Ticks(58_577) },
        };
        for [first, second] in [[&maker, &taker], [&taker, &maker]] {
            let mut pairs = TradePairs::default();
            assert_eq!(pairs.add(first.clone()).unwrap(), None);
            assert_eq!(pairs.unpaired(), 1);
            assert_eq!(pairs.add(second.clone()).unwrap().as_ref(), Some(&expected));
            assert_eq!(pairs.unpaired(), 0);
        }
    }

    #[test]
    fn reports_that_contradict_each_other_are_errors() {
        let maker = trade(&report(7, true, "1", "SELL"));
        let taker = trade(&report(7, false, "2", "BUY"));
        let wrong = [
            maker.clone(),
            TradeReport { price: Ticks(1), ..taker.clone() },
            TradeReport { quantity: Lots(1), ..taker.clone() },
            TradeReport { side: Side::Ask, ..taker },
        ];
        for other in wrong {
            let mut pairs = TradePairs::default();
            pairs.add(maker.clone()).unwrap();
            assert!(pairs.add(other).is_err());
        }
        let mut pairs = TradePairs::default();
        for trade in 0..MAX_HALF_TRADES as u64 {
            pairs.add(TradeReport { trade, ..maker.clone() }).unwrap();
        }
        assert!(pairs.add(TradeReport { trade: u64::MAX, ..maker }).is_err());
    }

    #[test]
    fn messages_are_told_apart() {
        let parse = |text: &str| parse_message(&market(), text);
        assert!(matches!(
            parse(r#"{"id":5,"status":200,"result":{"a":1}}"#),
            Ok(Message::Answer { id: 5, outcome: Ok(value) }) if value["a"] == 1
        ));
        let refusal = ApiRefusal { code: -2010, message: "no".to_owned() };
        assert!(matches!(
            parse(r#"{"id":5,"status":400,"error":{"code":-2010,"msg":"no"}}"#),
            Ok(Message::Answer { id: 5, outcome: Err(found) }) if found == refusal
        ));
        for other in [
            r#"{"event":{"e":"serverShutdown","E":1}}"#,
            r#"{"subscriptionId":0,"event":{"e":"executionReport","s":"UNITCASH","x":"NEW"}}"#,
            r#"{"subscriptionId":0,"event":{"e":"executionReport","s":"OTHER","x":"TRADE"}}"#,
        ] {
            assert!(matches!(parse(other), Ok(Message::Other)), "{other}");
        }
        for bad in
            ["{", r#"{"id":5,"status":400}"#, &report(7, true, "not-a-number", "SELL"), &report(7, true, "1", "LEFT")]
        {
            assert!(matches!(parse(bad), Err(LoadtestError::Protocol(_))), "{bad}");
        }
    }

    #[test]
    fn depth_is_read_in_ticks_and_lots() {
        let parse = |text: &str| parse_depth(&market(), &serde_json::from_str(text).unwrap());
        let depth = parse(r#"{"lastUpdateId":1,"bids":[["0.10","5"],["0.09","6"]],"asks":[]}"#).unwrap();
        assert_eq!(depth, Depth { bids: vec![(Ticks(10), Lots(5)), (Ticks(9), Lots(6))], asks: vec![] });
        for bad in [r#"{"bids":[]}"#, r#"{"bids":[["0.101","5"]],"asks":[]}"#, r#"{"bids":[["1"]],"asks":[]}"#, "null"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
