//! What traders can ask beside a plain order, through a whole venue: orders that wait, hide and end by themselves, and what
//! takes an account's orders off when its owner is gone.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod program;

use std::path::Path;
use std::time::Duration;

use lakh_loadtest::client::{Incoming, Outgoing, Trader, Value, connect, now_us, plain_request, signed_request};
use lakh_loadtest::scratch_venue::VenueOptions;
use serde_json::Value as Json;

use crate::program::{PROGRAM, json};

/// One connection that asks and waits; events that come in front of an answer are kept.
struct Client {
    outgoing: Outgoing,
    incoming: Incoming,
    trader: Trader,
    events: Vec<Json>,
    next: u64,
}

impl Client {
    async fn connect(url: &str, trader: &Trader) -> Self {
        let (outgoing, incoming) = connect(url).await.unwrap();
        Self { outgoing, incoming, trader: trader.clone(), events: Vec::new(), next: 1 }
    }

    async fn ask(&mut self, method: &str, params: &str) -> Json {
        self.next += 1;
        let request = signed_request(self.next, method, &self.trader, &named(params));
        self.answer(request).await
    }

    /// On the word of the session.
    async fn ask_unsigned(&mut self, method: &str, params: &str) -> Json {
        self.next += 1;
        let request = plain_request(self.next, method, &named(params));
        self.answer(request).await
    }

    async fn answer(&mut self, request: String) -> Json {
        self.outgoing.feed(request.into()).await.unwrap();
        self.outgoing.flush().await.unwrap();
        loop {
            let message: Json = serde_json::from_str(&self.incoming.next().await.unwrap()).unwrap();
            if message["id"] == self.next {
                return message;
            }
            self.events.push(message["event"].clone());
        }
    }

    async fn place(&mut self, params: &str) -> Json {
        let answer = self.ask("order.place", &format!("symbol=UNITCASH newOrderRespType=RESULT {params}")).await;
        assert_eq!(answer["status"], 200, "{params}: {answer}");
        answer["result"].clone()
    }

    async fn open(&mut self) -> usize {
        self.ask("openOrders.status", "").await["result"].as_array().unwrap().len()
    }

    async fn status(&mut self, order: &Json) -> String {
        let params = format!("symbol=UNITCASH orderId={}", order["orderId"]);
        self.ask("order.status", &params).await["result"]["status"].as_str().unwrap().to_owned()
    }

    /// Asks until no order is open any more.
    async fn wait_for_none_open(&mut self) {
        for _ in 0..500 {
            if self.open().await == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("orders stay open");
    }
}

/// Parameters as names and values, with the time.
fn named(params: &str) -> Vec<(&str, Value<'_>)> {
    let pairs = params.split_whitespace().filter_map(|pair| pair.split_once('='));
    let named = pairs.map(|(name, value)| (name, Value::Text(value)));
    named.chain([("timestamp", Value::Number(now_us()))]).collect()
}

#[test]
fn traders_use_what_the_engine_can() {
    let scratch = tempfile::tempdir().unwrap();
    let mut options = VenueOptions::new(Path::new(PROGRAM), scratch.path());
    options.keys = 2;
    options.digest_capacity = 4_096;
    let venue = options.start().unwrap();
    let url = venue.websocket().to_owned();
    let traders = options.traders();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut alice = Client::connect(&url, &traders[0]).await;
        let mut bob = Client::connect(&url, &traders[1]).await;
        waiting_orders_trade_when_their_price_comes(&mut alice, &mut bob).await;
        icebergs_hide_and_orders_end_by_themselves(&mut alice, &mut bob).await;
        an_amendment_only_takes_away(&mut alice).await;
        own_orders_do_not_trade(&mut alice).await;
        the_dead_mans_switch_fires(&mut alice, &mut bob).await;
        a_lost_connection_takes_its_orders_with_it(&url, &traders).await;
        an_owner_trades_through_a_sub_account(&url, &traders).await;
        a_session_orders_unsigned_only_while_and_as_much_as_was_allowed(&url, &traders).await;
    });
    let closed = venue.stop().unwrap();
    let journal = options.journal();
    let replayed = json(&["replay", "--json", journal.to_str().unwrap()]);
    assert_eq!(replayed["state_hash"], closed["stateHash"], "all of it is in the journal");
    let audited = json(&["audit", "--json", journal.to_str().unwrap()]);
    assert_eq!(audited["finding_count"], 0, "{audited}");
}

async fn an_owner_trades_through_a_sub_account(url: &str, traders: &[Trader]) {
    let (mut desk, mut other) = (Client::connect(url, &traders[0]).await, Client::connect(url, &traders[1]).await);
    let opened = desk.ask("subAccount.create", "method=subAccount.create").await;
    let (account, seq) = (&opened["result"]["subAccount"], &opened["result"]["seq"]);
    assert!(account.is_u64() && seq.is_u64(), "{opened}");
    let place =
        format!("symbol=UNITCASH side=BUY type=LIMIT timeInForce=GTC price=40.00 quantity=3 subAccount={account}");
    let poor = desk.ask("order.place", &place).await;
    assert_eq!(poor["error"]["msg"], "Account has insufficient balance for requested action.", "{poor}");
    let transfer = format!("method=subAccount.transfer asset=CASH amount=500 toSubAccount={account}");
    assert_eq!(desk.ask("subAccount.transfer", &transfer).await["status"], 200);
    let subscribe = format!("subAccount={account}");
    assert_eq!(desk.ask("userDataStream.subscribe.signature", &subscribe).await["status"], 200);
    let placed = desk.ask("order.place", &place).await;
    assert_eq!(placed["status"], 200, "{placed}");
    let open = desk.ask("openOrders.status", &subscribe).await;
    assert_eq!(open["result"][0]["orderId"], placed["result"]["orderId"], "{open}");
    assert_eq!(desk.open().await, 0, "the owner's own orders are others");
    other.place("side=SELL type=LIMIT timeInForce=IOC price=40.00 quantity=3").await;
    let listed = desk.ask("subAccount.list", "").await;
    let held: Vec<_> = listed["result"][0]["balances"].as_array().unwrap().iter().collect();
    assert_eq!(listed["result"][0]["subAccount"], *account);
    assert_eq!(held.len(), 2, "what is left of the money, and what was bought: {listed}");
    let told: Vec<_> = desk.events.iter().map(|event| event["e"].as_str().unwrap_or_default()).collect();
    assert!(told.contains(&"executionReport") && told.contains(&"outboundAccountPosition"), "{told:?}");
    let foreign = other.ask("order.place", &place).await;
    assert_eq!(foreign["error"]["code"], -1130, "nobody else's: {foreign}");
}

async fn a_session_orders_unsigned_only_while_and_as_much_as_was_allowed(url: &str, traders: &[Trader]) {
    let mut client = Client::connect(url, &traders[0]).await;
    assert_eq!(client.ask("session.logon", "").await["status"], 200);
    let order = "symbol=UNITCASH side=BUY type=LIMIT timeInForce=GTC price=10.00 quantity=2";
    assert_eq!(client.ask_unsigned("order.place", order).await["error"]["code"], -2015, "off by default");
    let until = now_us() / 1_000 + 3_600_000;
    let allow = format!("method=account.allowEvidence evidence=DELEGATED until={until} notional=50 asset=CASH");
    assert_eq!(client.ask("account.allowEvidence", &allow).await["status"], 200);
    for _ in 0..2 {
        assert_eq!(client.ask_unsigned("order.place", order).await["status"], 200);
    }
    let third = client.ask_unsigned("order.place", order).await;
    assert_eq!(third["error"]["code"], -2010, "two of 20 are within 50, a third is not: {third}");
    assert_eq!(client.ask_unsigned("openOrders.cancelAll", "symbol=UNITCASH").await["status"], 200);
    assert_eq!(client.ask("order.place", order).await["status"], 200, "a signature needs no allowance");
    let back = "method=account.allowEvidence evidence=SIGNED";
    assert_eq!(client.ask("account.allowEvidence", back).await["status"], 200);
    assert_eq!(client.ask_unsigned("openOrders.cancelAll", "symbol=UNITCASH").await["error"]["code"], -2015);
    assert_eq!(client.ask("openOrders.cancelAll", "symbol=UNITCASH").await["status"], 200);
}

async fn waiting_orders_trade_when_their_price_comes(alice: &mut Client, bob: &mut Client) {
    assert_eq!(alice.ask("userDataStream.subscribe.signature", "").await["status"], 200);
    bob.place("side=SELL type=LIMIT timeInForce=GTC price=100.00 quantity=10").await;
    alice.place("side=BUY type=LIMIT timeInForce=IOC price=100.00 quantity=1").await;
    let stop =
        alice.place("side=BUY type=STOP_LOSS_LIMIT timeInForce=GTC price=103.00 quantity=2 stopPrice=102.00").await;
    let market = alice.place("side=BUY type=STOP_LOSS quantity=1 stopPrice=102.00").await;
    let profit =
        alice.place("side=BUY type=TAKE_PROFIT_LIMIT timeInForce=GTC price=90.00 quantity=1 stopPrice=95.00").await;
    assert_eq!((stop["status"].as_str(), stop["workingTime"].as_i64()), (Some("NEW"), Some(-1)), "{stop}");
    assert_eq!(alice.open().await, 3);
    let late = alice.ask("order.place", "symbol=UNITCASH side=BUY type=STOP_LOSS quantity=1 stopPrice=99.00").await;
    assert_eq!(
        (&late["error"]["code"], &late["error"]["msg"]),
        (&(-2010).into(), &"Order would trigger immediately.".into())
    );
    // The rest at 100 goes, the next trade is at 102, and both that wait for it trade.
    bob.place("side=SELL type=LIMIT timeInForce=GTC price=102.00 quantity=9").await;
    alice.place("side=BUY type=LIMIT timeInForce=IOC price=102.00 quantity=10").await;
    assert_eq!((alice.status(&stop).await, alice.status(&market).await), ("FILLED".to_owned(), "FILLED".to_owned()));
    assert_eq!(alice.status(&profit).await, "NEW");
    let of_stop = |event: &&Json| event["i"] == stop["orderId"];
    let told: Vec<String> =
        alice.events.iter().filter(of_stop).map(|event| format!("{} {}", event["x"], event["w"])).collect();
    assert_eq!(told, [r#""NEW" false"#, r#""NEW" true"#, r#""TRADE" false"#], "accepted, triggered, traded");
    let canceled = alice.ask("openOrders.cancelAll", "symbol=UNITCASH").await;
    assert_eq!(canceled["result"][0]["orderId"], profit["orderId"], "{canceled}");
    bob.ask("openOrders.cancelAll", "symbol=UNITCASH").await;
}

async fn icebergs_hide_and_orders_end_by_themselves(alice: &mut Client, bob: &mut Client) {
    let iceberg = alice.place("side=SELL type=LIMIT timeInForce=GTC price=110.00 quantity=50 icebergQty=5").await;
    let depth = bob.ask("depth", "symbol=UNITCASH").await;
    assert_eq!(depth["result"]["asks"][0][1], "5", "the book shows a part: {depth}");
    bob.place("side=BUY type=MARKET quantity=12").await;
    let status = alice.ask("order.status", &format!("symbol=UNITCASH orderId={}", iceberg["orderId"])).await;
    assert_eq!((&status["result"]["executedQty"], &status["result"]["icebergQty"]), (&"12".into(), &"5".into()));
    alice.ask("openOrders.cancelAll", "symbol=UNITCASH").await;
    let soon = now_us() / 1_000 + 400;
    alice.place(&format!("side=SELL type=LIMIT_MAKER price=110.00 quantity=1 goodTillDate={soon}")).await;
    assert_eq!(alice.open().await, 1);
    alice.wait_for_none_open().await;
    assert_eq!(alice.events.last().unwrap()["e"], "outboundAccountPosition");
    assert!(alice.events.iter().any(|event| event["eR"] == "GTD_EXPIRED"));
    // One that is late is not taken at all, and a post-only order that may slide is not refused.
    let late = alice
        .ask("order.place", "symbol=UNITCASH side=SELL type=LIMIT_MAKER price=110.00 quantity=1 validUntil=1000")
        .await;
    assert_eq!(late["error"]["code"], -1021, "{late}");
    bob.place("side=BUY type=LIMIT timeInForce=GTC price=105.00 quantity=1").await;
    let slid = alice.place("side=SELL type=LIMIT_MAKER price=104.00 quantity=1 postOnlySlide=true").await;
    assert_eq!((&slid["price"], &slid["status"]), (&"105.01".into(), &"NEW".into()), "{slid}");
    alice.ask("openOrders.cancelAll", "symbol=UNITCASH").await;
    bob.ask("openOrders.cancelAll", "symbol=UNITCASH").await;
}

async fn an_amendment_only_takes_away(alice: &mut Client) {
    let order = alice.place("side=BUY type=LIMIT timeInForce=GTC price=20.00 quantity=5").await;
    let amend = |quantity| format!("symbol=UNITCASH orderId={} newQty={quantity}", order["orderId"]);
    for quantity in [5, 6] {
        let refused = alice.ask("order.amend.keepPriority", &amend(quantity)).await;
        assert_eq!((&refused["status"], &refused["error"]["code"]), (&400.into(), &(-2038).into()), "{refused}");
    }
    let amended = alice.ask("order.amend.keepPriority", &amend(4)).await;
    assert_eq!(amended["result"]["amendedOrder"]["qty"], "4", "{amended}");
    assert_eq!(alice.ask("openOrders.cancelAll", "symbol=UNITCASH").await["status"], 200);
}

async fn own_orders_do_not_trade(alice: &mut Client) {
    for (mode, taker, maker) in [
        ("EXPIRE_MAKER", "NEW", "EXPIRED_IN_MATCH"),
        ("EXPIRE_TAKER", "EXPIRED_IN_MATCH", "NEW"),
        ("EXPIRE_BOTH", "EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH"),
        ("DECREMENT", "NEW", "EXPIRED_IN_MATCH"),
        ("NONE", "PARTIALLY_FILLED", "FILLED"),
    ] {
        let rests = alice.place("side=SELL type=LIMIT timeInForce=GTC price=120.00 quantity=4").await;
        let comes =
            format!("side=BUY type=LIMIT timeInForce=GTC price=120.00 quantity=6 selfTradePreventionMode={mode}");
        let comes = alice.place(&comes).await;
        assert_eq!(comes["status"], taker, "{mode}: {comes}");
        assert_eq!(alice.status(&rests).await, maker, "{mode}");
        alice.ask("openOrders.cancelAll", "symbol=UNITCASH").await;
    }
}

async fn the_dead_mans_switch_fires(alice: &mut Client, bob: &mut Client) {
    let named = "method=openOrders.cancelAllAfter countdownTime=";
    alice.place("side=BUY type=LIMIT_MAKER price=50.00 quantity=1").await;
    bob.place("side=BUY type=LIMIT_MAKER price=51.00 quantity=1").await;
    let set = alice.ask("openOrders.cancelAllAfter", &format!("{named}1000")).await;
    assert_eq!(set["result"]["countdownTime"], 1_000, "{set}");
    bob.ask("openOrders.cancelAllAfter", &format!("{named}1000")).await;
    let off = bob.ask("openOrders.cancelAllAfter", &format!("{named}0")).await;
    assert_eq!(off["result"]["triggerTime"], 0, "{off}");
    alice.wait_for_none_open().await;
    assert_eq!(bob.open().await, 1, "whoever takes the timer off keeps its orders");
    bob.ask("openOrders.cancelAll", "symbol=UNITCASH").await;
}

async fn a_lost_connection_takes_its_orders_with_it(url: &str, traders: &[Trader]) {
    let mut watching = Client::connect(url, &traders[0]).await;
    let mut asking = Client::connect(url, &traders[0]).await;
    let asked = asking.ask("session.cancelOnDisconnect", "method=session.cancelOnDisconnect enabled=true").await;
    assert_eq!(asked["status"], 200, "{asked}");
    let mut second = Client::connect(url, &traders[0]).await;
    second.ask("session.cancelOnDisconnect", "method=session.cancelOnDisconnect enabled=true").await;
    asking.place("side=BUY type=LIMIT_MAKER price=50.00 quantity=1").await;
    drop(asking);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(watching.open().await, 1, "another session that asked is there");
    drop(second);
    watching.wait_for_none_open().await;
}
