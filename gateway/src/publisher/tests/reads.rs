//! Reads: in order, of one's own account only, and rebuilt from the journal.

use lakh_engine::command::OrderReference;
use lakh_engine::ids::FeeTier;
use lakh_engine::market_spec::{FeeRates, FeeTable};

use super::*;
use crate::hand_over::{HistoryRange, Markets};
use crate::market_data::candles::CandleInterval;
use crate::order_state::OrderStateOptions;

fn status(account: AccountId, target: OrderReference) -> Read {
    Read::OrderStatus { account, market: MARKET, target }
}

fn by_client_id(text: &str) -> OrderReference {
    OrderReference::ClientId(ClientId::new(text).unwrap())
}

#[test]
fn an_order_is_found_by_both_ids_by_its_owner_only() {
    let mut scene = Scene::new();
    let mut client = Client::new(16);
    let named = scene.place(Order { client_id: "c", ..limit(BOB, Side::Bid, 100, 9) });
    let nameless = scene.place(limit(BOB, Side::Bid, 101, 9));
    let unknown = "#1 400 -2013 Order does not exist. ";
    let known = r#"#1 ok {"symbol":"BTCUSDT","orderId":128,"orderListId":-1,"clientOrderId":"c","price":"1.00","origQty":"0.00009","executedQty":"0.00000","origQuoteOrderQty":"0.00000000","cummulativeQuoteQty":"0.00000000","status":"NEW","timeInForce":"GTC","type":"LIMIT","side":"BUY","stopPrice":"0.00","icebergQty":"0.00000","time":1700000000002,"updateTime":1700000000002,"isWorking":true,"workingTime":1700000000002,"selfTradePreventionMode":"EXPIRE_MAKER","seq":2}"#;
    let cases = [
        (BOB, OrderReference::OrderId(named.id), Some(known)),
        (BOB, by_client_id("c"), Some(known)),
        (ALICE, OrderReference::OrderId(named.id), None),
        (ALICE, by_client_id("c"), None),
        (ALICE, by_client_id("auto-192"), None),
        (BOB, OrderReference::OrderId(OrderId(5)), None),
        (BOB, by_client_id("d"), None),
        (BOB, by_client_id("auto-128"), None),
        (BOB, by_client_id("auto-0192"), None),
        (BOB, by_client_id("auto-99999999999999999999999"), None),
    ];
    for (account, target, expected) in cases {
        scene.read(&client, 1, status(account, target));
        assert_eq!(client.only(), expected.unwrap_or(unknown), "{account} {target:?}");
    }
    scene.read(&client, 1, status(BOB, by_client_id("auto-192")));
    assert!(client.only().contains(&format!(r#""orderId":{}"#, nameless.id)));
    let elsewhere = Read::OrderStatus { account: BOB, market: OTHER_MARKET, target: by_client_id("c") };
    scene.read(&client, 1, elsewhere);
    assert_eq!(client.only(), unknown);
}

#[test]
fn a_client_id_names_the_latest_order_that_used_it() {
    let mut scene = Scene::new();
    let mut client = Client::new(16);
    let first = scene.place(Order { client_id: "again", ..limit(BOB, Side::Bid, 100, 9) });
    let gone = [scene.canceled(&first, 9, CancelReason::Requested)];
    scene.apply(None, &gone);
    let second = scene.place(Order { client_id: "again", ..limit(BOB, Side::Bid, 101, 9) });
    scene.read(&client, 1, status(BOB, by_client_id("again")));
    assert!(client.only().contains(&format!(r#""orderId":{},"#, second.id)));
    scene.read(&client, 1, status(BOB, OrderReference::OrderId(first.id)));
    assert!(client.only().contains(r#""status":"CANCELED""#));
}

#[test]
fn ended_orders_are_forgotten_beyond_the_bounds_and_live_ones_are_not() {
    let orders = OrderStateOptions { ended_orders_max: 4, ended_orders_per_account_max: 3 };
    let mut scene = Scene::with(PublisherOptions { orders, ..PublisherOptions::default() });
    let live = scene.place(Order { client_id: "live", ..limit(BOB, Side::Bid, 1, 1) });
    let mut ended = Vec::new();
    for account in [ALICE, ALICE, BOB, BOB, BOB, BOB] {
        let order = scene.place(Order { client_id: "same", ..limit(account, Side::Bid, 2, 1) });
        let gone = [scene.canceled(&order, 1, CancelReason::Requested)];
        scene.apply(None, &gone);
        ended.push(order);
    }
    let known: Vec<_> = ended.iter().map(|order| scene.publisher.orders().record(order.id).is_some()).collect();
    // Bob's own bound took his oldest before the bound of all took Alice's second.
    assert_eq!(known, [false, true, false, true, true, true]);
    assert_eq!(scene.publisher.orders().record_count(), 5);
    assert!(scene.publisher.orders().find(BOB, MARKET, &by_client_id("live")).is_some());
    let latest = scene.publisher.orders().find(BOB, MARKET, &by_client_id("same")).expect("the latest is kept");
    assert_eq!(latest.order, ended[5].id);
    assert_eq!(scene.publisher.orders().open_orders(BOB, None).count(), 1);
    assert_eq!(scene.publisher.orders().find_own(ALICE, live.id), None);
}

#[test]
fn nothing_is_remembered_of_ended_orders_if_so_configured_and_answers_still_stand() {
    let orders = OrderStateOptions { ended_orders_max: 0, ended_orders_per_account_max: 0 };
    let mut scene = Scene::with(PublisherOptions { orders, ..PublisherOptions::default() });
    let mut bob = Client::new(4);
    let order = scene.place(limit(BOB, Side::Bid, 1, 1));
    let gone = [scene.canceled(&order, 1, CancelReason::Requested)];
    scene.apply(Some(bob.request(1, AnswerShape::OrderCanceled)), &gone);
    assert!(bob.only().starts_with("#1 ok"));
    assert_eq!(scene.publisher.orders().record_count(), 0);
}

#[test]
fn a_read_sees_the_write_in_front_of_it_and_not_the_one_behind() {
    let mut scene = Scene::new();
    let mut bob = Client::new(16);
    for request in 1..=3 {
        scene.read(&bob, 10 + request, Read::OpenOrders { account: BOB, market: Some(MARKET) });
        let order = Order { id: scene.next_order(), ..limit(BOB, Side::Bid, 5, 1) };
        let events = scene.resting(&order);
        scene.apply(Some(bob.request(request, AnswerShape::OrderAck)), &events);
        scene.read(&bob, 20 + request, Read::Depth { market: MARKET, limit: 5 });
    }
    let lines = bob.received();
    let open: Vec<_> = lines.iter().filter(|line| line.starts_with("#1") && line.contains('[')).collect();
    let counts: Vec<_> = open.iter().map(|line| line.matches("orderListId").count()).collect();
    assert_eq!(counts, [0, 1, 2]);
    assert_eq!(lines[2], r##"#21 ok {"lastUpdateId":1,"bids":[["0.05","0.00001"]],"asks":[]}"##);
    assert_eq!(lines[8], r##"#23 ok {"lastUpdateId":3,"bids":[["0.05","0.00003"]],"asks":[]}"##);
}

#[test]
fn open_orders_are_those_of_the_account_by_market_and_id() {
    let mut scene = Scene::new();
    let mut client = Client::new(16);
    let far = scene.place(Order { market: OTHER_MARKET, ..limit(BOB, Side::Bid, 1, 1) });
    let first = scene.place(limit(BOB, Side::Bid, 2, 1));
    scene.place(limit(ALICE, Side::Bid, 3, 1));
    let second = scene.place(limit(BOB, Side::Ask, 9, 1));
    for (market, expected) in [
        (None, vec![first.id, second.id, far.id]),
        (Some(MARKET), vec![first.id, second.id]),
        (Some(OTHER_MARKET), vec![far.id]),
    ] {
        scene.read(&client, 1, Read::OpenOrders { account: BOB, market });
        let answer = client.only();
        let array: Vec<serde_json::Value> = serde_json::from_str(answer.strip_prefix("#1 ok ").unwrap()).unwrap();
        let ids: Vec<_> = array.iter().map(|order| OrderId(order["orderId"].as_u64().unwrap())).collect();
        assert_eq!(ids, expected);
    }
}

#[test]
fn account_status_lists_balances() {
    let mut scene = Scene::new();
    let mut client = Client::new(16);
    let (account, asset) = (BOB, USDT);
    let changed = Event::BalanceChanged { account, asset, available: Atoms(5), held: Atoms(100_000_000) };
    scene.apply(None, &[changed]);
    scene.read(&client, 1, Read::AccountStatus { account, omit_zero_balances: true });
    assert_eq!(
        client.only(),
        r##"#1 ok {"makerCommission":-1,"takerCommission":5,"buyerCommission":0,"sellerCommission":0,"commissionRates":{"maker":"-0.00010000","taker":"0.00050000","buyer":"0.00000000","seller":"0.00000000"},"canTrade":true,"canWithdraw":true,"canDeposit":true,"brokered":false,"requireSelfTradePrevention":false,"preventSor":false,"updateTime":1700000000002,"accountType":"SPOT","balances":[{"asset":"USDT","free":"0.00000005","locked":"1.00000000"}],"permissions":["SPOT"],"uid":2}"##
    );
    scene.read(&client, 2, Read::AccountStatus { account, omit_zero_balances: false });
    assert!(client.only().contains(r#""balances":[{"asset":"BTC","free":"0.00000000","locked":"0.00000000"},{"#));
    scene.read(&client, 3, Read::AccountStatus { account: ALICE, omit_zero_balances: true });
    assert!(client.only().contains(r#""balances":[],"#));
}

#[test]
fn unknown_markets_and_full_tables_are_errors() {
    let mut scene = Scene::with(PublisherOptions { subscriptions_max: 1, ..PublisherOptions::default() });
    let mut client = Client::new(16);
    let market = MarketId(9);
    scene.read(&client, 1, Read::Depth { market, limit: 5 });
    assert_eq!(client.only(), "#1 400 -1121 Invalid symbol. ");
    let streams = vec![Stream { market, kind: StreamKind::Trade }];
    scene.read(&client, 2, Read::SubscribeStreams { streams, wrapping: StreamWrapping::Raw });
    assert_eq!(client.only(), "#2 400 -1121 Invalid symbol. ");
    scene.subscribe_account(&mut client, BOB, 0);
    scene.read(&client, 3, Read::SubscribeAccount { account: BOB, subscription: 1 });
    assert!(client.only().starts_with("#3 429 -1003 "));
}

#[test]
fn a_rebuilt_publisher_answers_like_the_one_that_lived() {
    let mut scene = Scene::new();
    let mut records: Vec<Vec<Event>> = vec![listing()];
    let maker = Order { id: scene.next_order(), client_id: "m", ..limit(ALICE, Side::Ask, 10, 5) };
    records.push(scene.resting(&maker));
    scene.apply(None, &records[1]);
    let taker = Order { id: scene.next_order(), ..limit(BOB, Side::Bid, 12, 9) };
    let mut events = vec![scene.accepted(&taker), scene.trade(&maker, &taker, 5, (0, 4)), scene.rested(&taker, 4)];
    events.push(Event::BalanceChanged { account: BOB, asset: BTC, available: Atoms(7), held: Atoms(8) });
    scene.apply(None, &events);
    records.push(events);

    let directory = Arc::new(Directory::new([7; 16], Mode::Dev));
    let mut rebuilt = Publisher::new(PublisherOptions::default(), directory);
    for (sequence, events) in (1..).zip(&records) {
        rebuilt.restore(Sequence(sequence), Timestamp((START_MS + sequence) * 1_000_000), events);
    }
    let mut client = Client::new(64);
    let range = HistoryRange { first_id: None, begin: None, end: None, limit: 100 };
    let reads = [
        status(ALICE, by_client_id("m")),
        status(BOB, OrderReference::OrderId(taker.id)),
        Read::OpenOrders { account: BOB, market: None },
        Read::AccountStatus { account: BOB, omit_zero_balances: false },
        Read::Depth { market: MARKET, limit: 100 },
        Read::AllOrders { account: ALICE, market: MARKET, range },
        Read::MyTrades { account: BOB, market: MARKET, order: None, range },
        Read::Trades { market: MARKET, limit: 10 },
        Read::AggregateTrades { market: MARKET, range },
        Read::Candles { market: MARKET, interval: CandleInterval::OneHour, range },
        Read::DayStatistics(Markets::All),
    ];
    for publisher in [&mut scene.publisher, &mut rebuilt] {
        for read in reads.clone() {
            publisher.handle_output(Output::Read { read, handle: client.request(1, AnswerShape::Empty) });
        }
    }
    let lines = client.received();
    assert!(lines.iter().all(|line| line.starts_with("#1 ok")), "{lines:#?}");
    assert_eq!(lines[..11], lines[11..]);
}

#[test]
fn a_publisher_knows_the_markets_that_its_directory_knew_before() {
    let directory = Arc::new(Directory::new([7; 16], Mode::Dev));
    listing().iter().for_each(|event| directory.apply(event));
    let publisher = Publisher::new(PublisherOptions::default(), directory);
    let mut scene = Scene { publisher, sequence: 0, feed_sequences: [0; 2], trades: 0, report_sequence: 0 };
    let mut client = Client::new(64);
    scene.place(limit(ALICE, Side::Bid, 6_000_000, 100));
    scene.read(&client, 1, Read::Depth { market: MARKET, limit: 5 });
    assert!(client.only().contains(r#""bids":[["60000.00","0.00100"]]"#));
}

#[test]
fn an_account_is_told_the_fees_of_its_tier() {
    let mut scene = Scene::new();
    let mut client = Client::new(64);
    let sub_account = AccountId(900);
    let mut fees = FeeTable::flat(FeeRate(-50), FeeRate(400));
    fees.rates[3] = FeeRates { maker: FeeRate(-60), taker: FeeRate(300) };
    let opened = Event::SubAccountOpened { account: sub_account, parent: ALICE };
    let tier = Event::FeeTierChanged { account: ALICE, tier: FeeTier(3) };
    scene.apply(None, &[Event::FeesChanged { market: MARKET, fees }, opened, tier]);
    let mut fees_of = |account| {
        scene.read(&client, 1, Read::TradeFees { account, market: Some(MARKET) });
        client.only()
    };
    let low = r##"#1 ok [{"symbol":"BTCUSDT","makerCommission":"-0.00006000","takerCommission":"0.00030000"}]"##;
    assert_eq!(
        (fees_of(ALICE).as_str(), fees_of(sub_account).as_str()),
        (low, low),
        "the owner's tier is his accounts'"
    );
    assert_eq!(fees_of(BOB), low.replace("0006000", "0005000").replace("0030000", "0040000"));
}

#[test]
fn an_owner_lists_his_sub_accounts_with_what_is_in_them() {
    let mut scene = Scene::new();
    let mut client = Client::new(64);
    let first = AccountId(900);
    let opened = |account, parent| Event::SubAccountOpened { account, parent };
    let balance = Event::BalanceChanged { account: first, asset: USDT, available: Atoms(150_000_000), held: Atoms(5) };
    let events = [opened(first, ALICE), opened(AccountId(899), BOB), opened(AccountId(898), ALICE), balance];
    let request = client.request(7, AnswerShape::SubAccountOpened);
    scene.apply(Some(request), &events);
    assert_eq!(client.only(), r##"#7 ok {"subAccount":900,"seq":2}"##);
    scene.place(limit(first, Side::Bid, 6_000_000, 100));
    scene.read(&client, 1, Read::SubAccounts { owner: ALICE });
    let expected = r##"#1 ok [{"subAccount":900,"openOrders":1,"updateTime":1700000000002,"balances":[{"asset":"USDT","free":"1.50000000","locked":"0.00000005"}]},{"subAccount":898,"openOrders":0,"updateTime":0,"balances":[]}]"##;
    assert_eq!(client.only(), expected);
    scene.read(&client, 2, Read::SubAccounts { owner: first });
    assert_eq!(client.only(), "#2 ok []");
}
