//! The past: what traded, by market and by account, as answers and as streams.

use super::*;
use crate::hand_over::{HistoryRange, Markets};
use crate::market_data::candles::CandleInterval;
use crate::stream::{Levels, Speed};

const ALL: HistoryRange = HistoryRange { first_id: None, begin: None, end: None, limit: 500 };

/// Two makers of Alice's at 10 and one at 11; Bob buys 5 over both prices, and nothing is left of him.
fn traded(scene: &mut Scene) -> [Order; 4] {
    let makers = [10, 10, 11].map(|price| scene.place(limit(ALICE, Side::Ask, price, 2)));
    let taker = Order { id: scene.next_order(), ..limit(BOB, Side::Bid, 11, 5) };
    let events = [
        scene.accepted(&taker),
        scene.trade(&makers[0], &taker, 2, (0, 3)),
        scene.trade(&makers[1], &taker, 2, (0, 1)),
        scene.trade(&makers[2], &taker, 1, (1, 0)),
    ];
    scene.apply(None, &events);
    [makers[0], makers[1], makers[2], taker]
}

fn ask(scene: &mut Scene, read: Read) -> serde_json::Value {
    let mut client = Client::new(4);
    scene.read(&client, 1, read);
    let answer = client.only();
    serde_json::from_str(answer.strip_prefix("#1 ok ").unwrap_or_else(|| panic!("{answer}"))).unwrap()
}

fn column(list: &serde_json::Value, name: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|one| one[name].to_string().replace('"', "")).collect()
}

#[test]
fn trades_are_told_one_by_one_and_put_together() {
    let mut scene = Scene::new();
    let mut client = Client::new(64);
    scene.subscribe_stream(&mut client, StreamKind::AggregateTrade, StreamWrapping::Combined);
    traded(&mut scene);
    assert_eq!(
        client.received(),
        [
            r#"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1700000000005,"s":"BTCUSDT","a":1,"p":"0.10","q":"0.00004","f":1,"l":2,"T":1700000000005,"m":false,"M":true}}"#,
            r#"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1700000000005,"s":"BTCUSDT","a":2,"p":"0.11","q":"0.00001","f":3,"l":3,"T":1700000000005,"m":false,"M":true}}"#,
        ]
    );
    let trades = ask(&mut scene, Read::Trades { market: MARKET, limit: 2 });
    assert_eq!(
        (column(&trades, "id"), column(&trades, "qty")),
        (vec!["2".into(), "3".into()], vec!["0.00002".into(), "0.00001".into()])
    );
    let from_second = HistoryRange { first_id: Some(2), ..ALL };
    let aggregates = ask(&mut scene, Read::AggregateTrades { market: MARKET, range: from_second });
    assert_eq!(column(&aggregates, "a"), ["2"]);
    assert_eq!(ask(&mut scene, Read::Trades { market: OTHER_MARKET, limit: 5 }), serde_json::json!([]));
}

#[test]
fn each_side_sees_its_own_trades_and_orders() {
    let mut scene = Scene::new();
    let [first, second, third, taker] = traded(&mut scene);
    let of = |account, order, range| Read::MyTrades { account, market: MARKET, order, range };
    let maker_trades = ask(&mut scene, of(ALICE, None, ALL));
    assert_eq!(column(&maker_trades, "orderId"), [first, second, third].map(|order| order.id.to_string()));
    assert_eq!(column(&maker_trades, "isMaker"), ["true"; 3]);
    assert_eq!(column(&maker_trades, "isBuyer"), ["false"; 3]);
    let taker_trades = ask(&mut scene, of(BOB, Some(taker.id), HistoryRange { limit: 2, ..ALL }));
    assert_eq!(
        (column(&taker_trades, "id"), column(&taker_trades, "isBuyer")),
        (vec!["2".into(), "3".into()], vec!["true".into(); 2])
    );
    assert_eq!(ask(&mut scene, of(BOB, Some(first.id), ALL)), serde_json::json!([]), "another's order");
    let orders = |account, range| Read::AllOrders { account, market: MARKET, range };
    let all = ask(&mut scene, orders(ALICE, ALL));
    assert_eq!(column(&all, "status"), ["FILLED", "FILLED", "PARTIALLY_FILLED"]);
    let from = HistoryRange { first_id: Some(second.id.0), limit: 1, ..ALL };
    assert_eq!(column(&ask(&mut scene, orders(ALICE, from)), "orderId"), [second.id.to_string()]);
    let late = HistoryRange { begin: Some(Timestamp(scene.timestamp().0)), ..ALL };
    assert_eq!(column(&ask(&mut scene, orders(BOB, late)), "orderId"), [taker.id.to_string()]);
    let nobody = AccountId(9);
    assert_eq!(ask(&mut scene, orders(nobody, ALL)), serde_json::json!([]));
}

#[test]
fn a_fill_says_how_final_it_is() {
    let mut scene = Scene::new();
    traded(&mut scene);
    let ask_for = |scene: &mut Scene| {
        let trades = ask(scene, Read::MyTrades { account: BOB, market: MARKET, order: None, range: ALL });
        (column(&trades, "seq"), column(&trades, "finality"))
    };
    let (sequences, before) = ask_for(&mut scene);
    assert_eq!(before, ["DURABLE"; 3], "nothing is told that is less");
    let last = Sequence(sequences[0].parse().unwrap());
    let sealed = |batch_id, last_sequence| Event::BatchSealed {
        batch_id,
        first_sequence: Sequence(1),
        last_sequence,
        new_root: [0; 32],
    };
    scene.apply(None, &[sealed(1, last)]);
    assert_eq!(ask_for(&mut scene).1, ["DURABLE"; 3], "sealed, and not on the chain");
    for (committed, final_batch, finality) in [(1, 0, "COMMITTED"), (1, 1, "FINAL")] {
        scene.publisher.directory.chain().set(committed, final_batch);
        assert_eq!(ask_for(&mut scene).1, [finality; 3]);
    }
}

#[test]
fn candles_and_the_day_add_up() {
    let mut scene = Scene::new();
    traded(&mut scene);
    let interval = CandleInterval::OneMinute;
    let candles = ask(&mut scene, Read::Candles { market: MARKET, interval, range: ALL });
    let expected = serde_json::json!([[
        1_699_999_980_000_u64,
        "0.10",
        "0.11",
        "0.10",
        "0.11",
        "0.00005000",
        1_700_000_039_999_u64,
        "0.00000510",
        3,
        "0.00005000",
        "0.00000510",
        "0"
    ]]);
    assert_eq!(candles, expected);
    let day = ask(&mut scene, Read::DayStatistics(Markets::One(MARKET)));
    for (name, value) in [
        ("priceChange", "0.01"),
        ("priceChangePercent", "10.000"),
        ("weightedAvgPrice", "0.10"),
        ("volume", "0.00005000"),
        ("quoteVolume", "0.00000510"),
        ("askPrice", "0.11"),
        ("bidPrice", "0.00"),
    ] {
        assert_eq!(day[name], value, "{name}");
    }
    assert_eq!(day["count"], 3);
    let all = ask(&mut scene, Read::BookTicker(Markets::All));
    assert_eq!(
        (column(&all, "symbol"), column(&all, "askQty")),
        (vec!["BTCUSDT".into(), "XBTUSDT".into()], vec!["0.00001".into(), "0.00000".into()])
    );
}

#[test]
fn best_levels_and_candles_are_told_while_somebody_listens() {
    let mut scene = Scene::new();
    let mut client = Client::new(64);
    let five = StreamKind::PartialDepth(Levels::Five, Speed::Unnamed);
    scene.subscribe_stream(&mut client, five, StreamWrapping::Raw);
    scene.subscribe_stream(&mut client, StreamKind::Candle(CandleInterval::OneMinute), StreamWrapping::Raw);
    traded(&mut scene);
    let now = scene.timestamp();
    scene.publisher.handle_timeout(now);
    let told = client.received();
    assert_eq!(told.len(), 2, "{told:#?}");
    assert_eq!(told[0], r#"{"lastUpdateId":6,"bids":[],"asks":[["0.11","0.00001"]]}"#);
    assert!(told[1].contains(r#""o":"0.10","c":"0.11""#) && told[1].contains(r#""x":false"#), "{}", told[1]);
    scene.publisher.handle_timeout(Timestamp(now.0 + 1_000_000_000));
    assert!(client.received().is_empty(), "nothing changed");
    let over = scene.publisher.next_timeout().expect("the minute ends whatever happens");
    assert_eq!(over.milliseconds(), 1_700_000_040_000);
    scene.publisher.handle_timeout(over);
    let last = client.only();
    assert!(last.contains(r#""x":true"#), "{last}");
    let next = scene.publisher.next_timeout().map(Timestamp::milliseconds);
    assert_eq!(next, Some(1_700_000_100_000), "complete is told once; what is looked at next are five minutes");
    let streams = vec![Stream { market: MARKET, kind: five }];
    scene.subscribe(&mut client, Read::UnsubscribeStreams { streams });
    scene.place(limit(BOB, Side::Bid, 2, 1));
    scene.publisher.handle_timeout(Timestamp(over.0 + 1_000_000_000));
    assert!(client.received().is_empty());
    assert_eq!(scene.publisher.next_timeout().map(Timestamp::milliseconds), Some(1_700_000_100_000), "nobody listens");
}
