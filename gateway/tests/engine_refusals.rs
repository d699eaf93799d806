//! What the engine refuses, as clients of the WebSocket API read it: numbers and texts through a gateway, an engine and a
//! publisher, each brought about by what a trader can send. And every path of the document, as a server answers it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic, its helpers included")]

mod common;

use common::exchange::{BINDING, Exchange, MARKET, key, logon};
use common::venue::{Venue, http};
use common::{market, now};
use lakh_engine::MAX_OPEN_ORDERS;
use lakh_engine::command::{AccountBlock, AdminAction, FrameOperation, MarketState, PlaceOrder, Side};
use lakh_engine::ids::{AccountId, MarketId, Symbol};
use lakh_engine::market_spec::MarketSpec;
use lakh_engine::units::{Atoms, Lots, Ticks};
use lakh_gateway::auth::api_key;
use lakh_gateway::binary_client::Message;
use lakh_gateway::client::{Client, Response, sign_params};

/// A market beside the usual one with hardly any room.
const SMALL: MarketId = MarketId(1);

/// An account's connection, each request signed by itself.
struct Trader {
    client: Client,
    account: u32,
    asked: u32,
}

impl Trader {
    async fn connect(exchange: &Exchange, account: u32) -> Self {
        Self { client: Client::connect(exchange.gateway.address()).await.unwrap(), account, asked: 0 }
    }

    async fn ask(&mut self, method: &str, params: &str) -> Response {
        let signing = key(self.account);
        let time = now().milliseconds().to_string();
        let mut all: Vec<(&str, &str)> = params.split_whitespace().filter_map(|pair| pair.split_once('=')).collect();
        // A text is good once, and two of the same millisecond are the same but for a word that nobody knows.
        self.asked += 1;
        let asked = self.asked.to_string();
        all.extend([("timestamp", time.as_str()), ("asked", asked.as_str())]);
        let api_key = api_key(BINDING.venue_tag(), signing.verifying_key().as_bytes());
        self.client.request(method, &sign_params(&signing, &api_key, &all)).await.unwrap()
    }

    /// A limit order of 0.01 at 60,000, with these parameters instead or besides.
    async fn place(&mut self, changes: &str) -> Response {
        const USUAL: &str = "symbol=BTCUSDT side=BUY type=LIMIT timeInForce=GTC price=60000 quantity=0.01";
        let name = |pair: &str| pair.split('=').next().unwrap().to_owned();
        let changed: Vec<String> = changes.split_whitespace().map(name).collect();
        let usual = USUAL.split_whitespace().filter(|pair| !changed.contains(&name(pair)));
        let params: Vec<&str> = usual.chain(changes.split_whitespace()).filter(|pair| !pair.ends_with('=')).collect();
        self.ask("order.place", &params.join(" ")).await
    }

    async fn refused(&mut self, changes: &str, code: i64, text: &str) {
        let answer = self.place(changes).await;
        let error = answer.error.unwrap_or_else(|| panic!("{changes} was taken"));
        assert_eq!((error.code, error.message.as_str()), (code, text), "{changes}");
    }

    async fn taken(&mut self, changes: &str) -> Response {
        let answer = self.place(changes).await;
        assert_eq!(answer.status, 200, "{changes}: {answer:?}");
        answer
    }

    /// Waits until the read models have what was decided: a question comes back behind it.
    async fn settled(&mut self, exchange: &Exchange, action: AdminAction) {
        exchange.decide(action);
        for _ in 0..2 {
            assert_eq!(self.ask("account.status", "").await.status, 200);
        }
    }
}

fn filter(name: &str) -> String {
    format!("Filter failure: {name}")
}

/// The names of the filters in the document's table of errors.
fn documented_filters() -> Vec<&'static str> {
    let row = include_str!("../../docs/protocol.md").lines().find(|line| line.starts_with("| -1013 |")).unwrap();
    let quoted = row.split('`').skip(1).step_by(2);
    quoted.filter(|word| word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')).collect()
}

#[tokio::test]
async fn each_filter_refuses_what_it_is_for() {
    let exchange = Exchange::start().await;
    let mut trader = Trader::connect(&exchange, 1).await;
    let small = MarketSpec {
        market: SMALL,
        symbol: Symbol::new("SMALL").unwrap(),
        min_notional: Atoms(100_000_000),
        max_orders: 2,
        max_levels: 2,
        ..market()
    };
    trader.settled(&exchange, AdminAction::ListMarket(small)).await;
    trader.settled(&exchange, AdminAction::SetMarketState { market: SMALL, state: MarketState::Open }).await;
    let mut seen = Vec::new();
    for (changes, name) in [
        ("price=60000.001", "PRICE_FILTER"),
        ("price=1000000.01", "PRICE_FILTER"),
        ("price=0", "PRICE_FILTER"),
        ("quantity=0.000001", "LOT_SIZE"),
        ("quantity=100.00001", "LOT_SIZE"),
        ("quantity=0", "LOT_SIZE"),
        ("symbol=SMALL price=1", "NOTIONAL"),
        ("quantity=1 icebergQty=0.001", "ICEBERG_PARTS"),
    ] {
        trader.refused(changes, -1013, &filter(name)).await;
        seen.push(name);
    }
    // How far from the market's price an order may be.
    trader.taken("side=SELL price=61000").await;
    trader.settled(&exchange, AdminAction::SetPriceBand { market: MARKET, band: 100_000 }).await;
    trader.refused("price=70000", -1013, &filter("PERCENT_PRICE")).await;
    trader.taken("price=60500").await;
    seen.push("PERCENT_PRICE");
    // As many as may wait for their price in a market.
    let waits = "symbol=SMALL type=STOP_LOSS_LIMIT stopPrice=65000 price=66000";
    trader.taken(waits).await;
    trader.refused(waits, -1013, &filter("MAX_NUM_ALGO_ORDERS")).await;
    seen.push("MAX_NUM_ALGO_ORDERS");
    // As many as an account may have open in a market.
    let (mut maker, _) = exchange.client_with(2, &logon()).await;
    let order = PlaceOrder::limit(MARKET, Side::Bid, Ticks(5_900_000), Lots(1));
    for _ in 0..MAX_OPEN_ORDERS / 64 {
        maker.requests().frame(&vec![FrameOperation::PlaceOrder(order); 64], common::now());
        maker.flush().await.unwrap();
        let mut done = 0;
        while done < 64 {
            if let Message::OperationResult(result) = maker.next().await.unwrap() {
                assert_eq!(result.code.get(), 0);
                done += 1;
            }
        }
    }
    Trader::connect(&exchange, 2).await.refused("", -1013, &filter("MAX_NUM_ORDERS")).await;
    seen.push("MAX_NUM_ORDERS");
    for name in documented_filters() {
        assert!(seen.contains(&name), "{name} is documented and nothing here brings it about");
    }
    drop((trader, maker));
    exchange.end().await;
}

#[tokio::test]
async fn what_the_engine_refuses_has_the_texts_that_clients_look_for() {
    let exchange = Exchange::start().await;
    let mut trader = Trader::connect(&exchange, 1).await;
    let mut other = Trader::connect(&exchange, 2).await;
    trader.refused("type=MARKET timeInForce= price=", -2010, "There is nothing to trade with.").await;
    trader.refused("price=900000 quantity=90", -2010, "Account has insufficient balance for requested action.").await;
    trader.refused("timeInForce=GTD goodTillDate=1000", -2010, "goodTillDate of this order has passed.").await;
    trader.refused("validUntil=1000", -1021, "validUntil of this request has passed.").await;
    let first = trader.taken("newClientOrderId=mine newOrderRespType=ACK").await.result;
    let again = trader.place("newClientOrderId=mine").await.error.unwrap();
    assert_eq!((again.code, again.message.as_str()), (-2010, "Duplicate order sent."));
    assert_eq!(again.data["orderId"], first["orderId"], "the order that there is: {again:?}");
    let text = "A live order has this client id and other content.";
    trader.refused("newClientOrderId=mine quantity=0.02", -2010, text).await;
    let text = "Order would immediately match and take.";
    other.refused("side=SELL type=LIMIT_MAKER timeInForce=", -2010, text).await;
    for (method, params, code, text) in [
        ("order.cancel", "symbol=BTCUSDT orderId=1", -2011, "Unknown order sent."),
        ("order.cancel", "symbol=BTCUSDT origClientOrderId=theirs", -2011, "Unknown order sent."),
        ("openOrders.cancelAll", "symbol=BTCUSDT", -2011, "Unknown order sent."),
        ("order.status", "symbol=BTCUSDT origClientOrderId=mine", -2013, "Order does not exist."),
    ] {
        let answer = other.ask(method, params).await;
        let error = answer.error.unwrap_or_else(|| panic!("{method} {params}"));
        assert_eq!((error.code, error.message.as_str()), (code, text), "{method} {params}");
    }
    let amend = trader.ask("order.amend.keepPriority", "symbol=BTCUSDT origClientOrderId=mine newQty=0.02").await;
    assert_eq!(amend.code(), -2038);
    let replace = |mode: &str, cancel: &str, price: &str| {
        format!(
            "symbol=BTCUSDT cancelReplaceMode={mode} cancelOrigClientOrderId={cancel} side=BUY type=LIMIT \
             timeInForce=GTC price={price} quantity=0.01"
        )
    };
    let half = trader.ask("order.cancelReplace", &replace("ALLOW_FAILURE", "nobody", "50000")).await;
    let error = half.error.unwrap();
    assert_eq!((half.status, error.code), (409, -2021));
    assert_eq!((&error.data["cancelResult"], &error.data["newOrderResult"]), (&"FAILURE".into(), &"SUCCESS".into()));
    let none = trader.ask("order.cancelReplace", &replace("STOP_ON_FAILURE", "nobody", "50000")).await;
    let error = none.error.unwrap();
    assert_eq!((none.status, error.code), (400, -2022));
    assert_eq!(error.data["newOrderResult"], "NOT_ATTEMPTED", "{error:?}");
    let restricted =
        format!("{} cancelRestrictions=ONLY_PARTIALLY_FILLED", replace("STOP_ON_FAILURE", "mine", "50000"));
    let error = trader.ask("order.cancelReplace", &restricted).await.error.unwrap();
    assert_eq!(error.data["cancelResponse"]["code"], -2011);

    // What operators decide.
    trader.settled(&exchange, AdminAction::SetMarketState { market: MARKET, state: MarketState::CancelOnly }).await;
    trader.refused("", -2010, "Market is closed.").await;
    trader.settled(&exchange, AdminAction::SetMarketState { market: MARKET, state: MarketState::Open }).await;
    let block = AdminAction::BlockAccount { account: AccountId(1), block: AccountBlock::Blocked };
    trader.settled(&exchange, block).await;
    trader.refused("", -2010, "This account may not place or cancel orders.").await;
    drop((trader, other));
    exchange.end().await;
}

/// A path that the document names is answered by something else than that there is no such thing.
#[tokio::test]
async fn every_path_of_the_document_is_answered() {
    let venue = Venue::start(|_| {}).await;
    let table = include_str!("../../docs/protocol.md").split("| method | needs | parameters | HTTP |").nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut asked = 0;
    for row in rows {
        let paths = row.trim_matches('|').split('|').nth(3).unwrap();
        let mut verb = "GET";
        for path in paths.split('`').skip(1).step_by(2) {
            let path = path.split_once(' ').map_or(path, |(named, path)| {
                verb = named;
                path
            });
            let request =
                format!("{verb} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            let answer = http(venue.gateway.address(), &request).await;
            let known = !answer.starts_with("HTTP/1.1 404") && !answer.contains("\"code\":-1020");
            assert!(known && answer.starts_with("HTTP/1.1 "), "{verb} {path}: {answer}");
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.to_lowercase().contains("content-type: application/json"), "{verb} {path}: {head}");
            assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{verb} {path}: {body}");
            asked += 1;
        }
    }
    assert!(asked >= 29, "{asked} paths");
    let unknown =
        http(venue.gateway.address(), "GET /api/v3/nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(unknown.starts_with("HTTP/1.1 404"), "{unknown}");
    venue.end().await;
}
