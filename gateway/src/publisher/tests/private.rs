//! Answers to commands, private reports, and their order.

use lakh_engine::event::{Completion, Duplicate, Rejected};
use lakh_engine::reject::RejectCode;

use super::*;

#[test]
fn an_order_that_fills_is_answered_and_reported_to_both_sides() {
    let mut scene = Scene::new();
    let (mut alice, mut bob) = (Client::new(64), Client::new(64));
    let maker = scene.place(Order { client_id: "m-1", ..limit(ALICE, Side::Ask, 7_000_010, 1_000) });
    scene.subscribe_account(&mut alice, ALICE, 4);
    scene.subscribe_account(&mut bob, BOB, 0);
    let taker = Order { id: scene.next_order(), client_id: "js:ws/1", ..limit(BOB, Side::Bid, 7_000_100, 1_500) };
    let events = [
        scene.accepted(&taker),
        scene.trade(&maker, &taker, 1_000, (0, 500)),
        scene.rested(&taker, 500),
        balance(BOB, BTC, 1_000_000, 0),
        balance(ALICE, USDT, 2_000, 0),
        balance(BOB, USDT, 5, 6),
    ];
    scene.apply(Some(bob.request(9, AnswerShape::OrderFull)), &events);
    assert_eq!(
        bob.received(),
        [
            r#"#9 ok {"symbol":"BTCUSDT","orderId":192,"orderListId":-1,"clientOrderId":"js:ws/1","transactTime":1700000000003,"price":"70001.00","origQty":"0.01500","executedQty":"0.01000","origQuoteOrderQty":"0.00000000","cummulativeQuoteQty":"700.00100000","status":"PARTIALLY_FILLED","timeInForce":"GTC","type":"LIMIT","side":"BUY","workingTime":1700000000003,"selfTradePreventionMode":"EXPIRE_MAKER","fills":[{"price":"70000.10","qty":"0.01000","commission":"0.35000050","commissionAsset":"USDT","tradeId":1}],"seq":3}"#,
            r#"{"subscriptionId":0,"event":{"e":"executionReport","E":1700000000003,"s":"BTCUSDT","c":"js:ws/1","S":"BUY","o":"LIMIT","f":"GTC","q":"0.01500","p":"70001.00","P":"0.00","F":"0.00000","g":-1,"C":"","x":"NEW","X":"NEW","r":"NONE","i":192,"l":"0.00000","z":"0.00000","L":"0.00","n":"0","N":null,"T":1700000000003,"t":-1,"I":2,"w":true,"m":false,"M":false,"O":1700000000003,"Z":"0.00000000","Y":"0.00000000","Q":"0.00000000","W":1700000000003,"V":"EXPIRE_MAKER","seq":3,"reportSeq":2}}"#,
            r#"{"subscriptionId":0,"event":{"e":"executionReport","E":1700000000003,"s":"BTCUSDT","c":"js:ws/1","S":"BUY","o":"LIMIT","f":"GTC","q":"0.01500","p":"70001.00","P":"0.00","F":"0.00000","g":-1,"C":"","x":"TRADE","X":"PARTIALLY_FILLED","r":"NONE","i":192,"l":"0.01000","z":"0.01000","L":"70000.10","n":"0.35000050","N":"USDT","T":1700000000003,"t":1,"I":4,"w":true,"m":false,"M":false,"O":1700000000003,"Z":"700.00100000","Y":"700.00100000","Q":"0.00000000","W":1700000000003,"V":"EXPIRE_MAKER","seq":3,"reportSeq":4}}"#,
            r#"{"subscriptionId":0,"event":{"e":"outboundAccountPosition","E":1700000000003,"u":1700000000003,"B":[{"a":"BTC","f":"0.01000000","l":"0.00000000"},{"a":"USDT","f":"0.00000005","l":"0.00000006"}],"seq":3,"reportSeq":4}}"#,
        ]
    );
    assert_eq!(
        alice.received(),
        [
            r#"{"subscriptionId":4,"event":{"e":"executionReport","E":1700000000003,"s":"BTCUSDT","c":"m-1","S":"SELL","o":"LIMIT","f":"GTC","q":"0.01000","p":"70000.10","P":"0.00","F":"0.00000","g":-1,"C":"","x":"TRADE","X":"FILLED","r":"NONE","i":128,"l":"0.01000","z":"0.01000","L":"70000.10","n":"-0.07000010","N":"USDT","T":1700000000003,"t":1,"I":3,"w":false,"m":true,"M":false,"O":1700000000002,"Z":"700.00100000","Y":"700.00100000","Q":"0.00000000","W":1700000000002,"V":"EXPIRE_MAKER","seq":3,"reportSeq":3}}"#,
            r#"{"subscriptionId":4,"event":{"e":"outboundAccountPosition","E":1700000000003,"u":1700000000003,"B":[{"a":"USDT","f":"0.00002000","l":"0.00000000"}],"seq":3,"reportSeq":3}}"#,
        ]
    );
}

#[test]
fn ack_and_result_of_an_order_without_client_id() {
    let mut scene = Scene::new();
    let mut bob = Client::new(8);
    for (request, shape) in [(1, AnswerShape::OrderAck), (2, AnswerShape::OrderResult)] {
        let order = Order { id: scene.next_order(), ..limit(BOB, Side::Ask, 100, 1) };
        let events = scene.resting(&order);
        scene.apply(Some(bob.request(request, shape)), &events);
    }
    assert_eq!(
        bob.received(),
        [
            r#"#1 ok {"symbol":"BTCUSDT","orderId":128,"orderListId":-1,"clientOrderId":"auto-128","transactTime":1700000000002,"seq":2}"#,
            r#"#2 ok {"symbol":"BTCUSDT","orderId":192,"orderListId":-1,"clientOrderId":"auto-192","transactTime":1700000000003,"price":"1.00","origQty":"0.00001","executedQty":"0.00000","origQuoteOrderQty":"0.00000000","cummulativeQuoteQty":"0.00000000","status":"NEW","timeInForce":"GTC","type":"LIMIT","side":"SELL","workingTime":1700000000003,"selfTradePreventionMode":"EXPIRE_MAKER","seq":3}"#,
        ]
    );
}

#[test]
fn cancel_and_amend_are_answered_and_reported() {
    let mut scene = Scene::new();
    let mut bob = Client::new(8);
    let order = scene.place(Order { client_id: "c", ..limit(BOB, Side::Bid, 100, 9) });
    scene.subscribe_account(&mut bob, BOB, 0);
    let reduced = [scene.reduced(&order, 5, 5, 4)];
    scene.apply(Some(bob.request(1, AnswerShape::OrderAmended)), &reduced);
    let lines = bob.received();
    assert_eq!(
        lines[0],
        r#"#1 ok {"transactTime":1700000000003,"executionId":2,"amendedOrder":{"symbol":"BTCUSDT","orderId":128,"orderListId":-1,"origClientOrderId":"c","clientOrderId":"c","price":"1.00","qty":"0.00005","executedQty":"0.00000","preventedQty":"0.00000","quoteOrderQty":"0.00000000","cumulativeQuoteQty":"0.00000000","status":"NEW","timeInForce":"GTC","type":"LIMIT","side":"BUY","workingTime":1700000000002,"selfTradePreventionMode":"EXPIRE_MAKER"},"seq":3}"#
    );
    assert_eq!(fields(&lines[1], &["x", "X", "q", "C"]), r#"REPLACED NEW 0.00005 "#);
    let canceled = [scene.canceled(&order, 5, CancelReason::Requested)];
    scene.apply(Some(bob.request(2, AnswerShape::OrderCanceled)), &canceled);
    let lines = bob.received();
    assert_eq!(
        lines[0],
        r#"#2 ok {"symbol":"BTCUSDT","origClientOrderId":"c","orderId":128,"orderListId":-1,"clientOrderId":"c","transactTime":1700000000004,"price":"1.00","origQty":"0.00005","executedQty":"0.00000","origQuoteOrderQty":"0.00000000","cummulativeQuoteQty":"0.00000000","status":"CANCELED","timeInForce":"GTC","type":"LIMIT","side":"BUY","selfTradePreventionMode":"EXPIRE_MAKER","seq":4}"#
    );
    assert_eq!(fields(&lines[1], &["x", "X", "C", "w"]), "CANCELED CANCELED c false");
}

#[test]
fn what_an_order_did_not_trade_says_why() {
    let mut scene = Scene::new();
    let mut bob = Client::new(8);
    scene.subscribe_account(&mut bob, BOB, 0);
    let cases = [
        (CancelReason::NotFilled, "EXPIRED EXPIRED UNFILLED_IOC_QUANTITY_EXPIRED"),
        (CancelReason::FillOrKill, "EXPIRED EXPIRED UNFILLED_FOK_ORDER_EXPIRED"),
        (CancelReason::MaxFills, "EXPIRED EXPIRED MAX_FILLS_REACHED"),
    ];
    for (reason, expected) in cases {
        let order = Order { id: scene.next_order(), ..limit(BOB, Side::Bid, 100, 9) };
        let events = [scene.accepted(&order), scene.canceled(&order, 9, reason)];
        scene.apply(None, &events);
        assert_eq!(fields(&bob.received()[1], &["x", "X", "eR"]), expected);
    }
    let order = scene.place(limit(BOB, Side::Bid, 100, 9));
    bob.received();
    let events = [scene.canceled(&order, 9, CancelReason::SelfTrade)];
    scene.apply(None, &events);
    assert_eq!(fields(&bob.only(), &["x", "X", "A"]), "TRADE_PREVENTION EXPIRED_IN_MATCH 0.00009");
}

#[test]
fn an_order_by_budget_is_filled_by_its_last_trade() {
    let mut scene = Scene::new();
    let mut bob = Client::new(16);
    let makers = [1, 2].map(|price| scene.place(limit(ALICE, Side::Ask, price, 10)));
    scene.subscribe_account(&mut bob, BOB, 0);
    let budget = Order {
        id: scene.next_order(),
        order_type: OrderType::Market,
        time_in_force: TimeInForce::ImmediateOrCancel,
        quote_budget: 300,
        ..limit(BOB, Side::Bid, 50, 0)
    };
    let events = [
        scene.accepted(&budget),
        scene.trade(&makers[0], &budget, 10, (0, 0)),
        scene.trade(&makers[1], &budget, 5, (5, 0)),
    ];
    scene.apply(Some(bob.request(1, AnswerShape::OrderResult)), &events);
    let lines = bob.received();
    let answer = fields(&lines[0], &["origQty", "executedQty", "origQuoteOrderQty", "status", "price"]);
    assert_eq!(answer, "0.00015 0.00015 0.00000300 FILLED 0.00");
    let statuses: Vec<_> = lines[1..].iter().map(|line| fields(line, &["x", "X"])).collect();
    assert_eq!(statuses, ["NEW NEW", "TRADE PARTIALLY_FILLED", "TRADE FILLED"]);

    // Its rest is dropped: the last trade did not fill it.
    let budget = Order { id: scene.next_order(), ..budget };
    let events = [
        scene.accepted(&budget),
        scene.trade(&makers[1], &budget, 5, (0, 0)),
        scene.canceled(&budget, 0, CancelReason::NotFilled),
    ];
    scene.apply(None, &events);
    let statuses: Vec<_> = bob.received().iter().map(|line| fields(line, &["x", "X"])).collect();
    assert_eq!(statuses, ["NEW NEW", "TRADE PARTIALLY_FILLED", "EXPIRED EXPIRED"]);

    // It only took off its own orders, and its budget then reached for nothing.
    let budget = Order { id: scene.next_order(), ..budget };
    let events = [scene.accepted(&budget)];
    scene.apply(Some(bob.request(2, AnswerShape::OrderResult)), &events);
    assert_eq!(fields(&bob.received()[0], &["status"]), "EXPIRED");
}

#[test]
fn a_mass_cancel_is_answered_when_its_last_part_is_done() {
    let mut scene = Scene::new();
    let mut bob = Client::new(16);
    let orders = [1, 2, 3].map(|price| scene.place(limit(BOB, Side::Bid, price, 1)));
    let origin = Sequence(scene.sequence + 1);
    let report_sequence = scene.next_report();
    let events = [
        Event::CancelAllAccepted { account: BOB, market: Some(MARKET), report_sequence },
        scene.canceled(&orders[0], 1, CancelReason::MassCancel),
        scene.canceled(&orders[1], 1, CancelReason::MassCancel),
        Event::AgendaProgress { account: BOB, origin, canceled: 2, finished: Completion::Pending },
    ];
    scene.apply(Some(bob.request(1, AnswerShape::OrdersCanceled)), &events);
    assert!(bob.received().is_empty(), "it waits for the rest");
    let events = [
        scene.canceled(&orders[2], 1, CancelReason::MassCancel),
        Event::AgendaProgress { account: BOB, origin, canceled: 1, finished: Completion::Finished },
    ];
    scene.apply(None, &events);
    let answer = bob.only();
    let array: serde_json::Value = serde_json::from_str(answer.strip_prefix("#1 ok ").unwrap()).unwrap();
    let ids: Vec<_> = array.as_array().unwrap().iter().map(|order| order["orderId"].as_u64().unwrap()).collect();
    assert_eq!(ids, orders.map(|order| order.id.0));
    assert!(array.as_array().unwrap().iter().all(|order| order["status"] == "CANCELED"));
}

#[test]
fn a_mass_cancel_of_nothing_is_an_unknown_order() {
    let mut scene = Scene::new();
    let mut bob = Client::new(16);
    let origin = Sequence(scene.sequence + 1);
    let report_sequence = scene.next_report();
    let events = [
        Event::CancelAllAccepted { account: BOB, market: None, report_sequence },
        Event::AgendaProgress { account: BOB, origin, canceled: 0, finished: Completion::Finished },
    ];
    scene.apply(Some(bob.request(1, AnswerShape::OrdersCanceled)), &events);
    assert_eq!(bob.only(), "#1 400 -2011 Unknown order sent. ");
}

#[test]
fn rejects_and_duplicates_say_what_is_known() {
    let mut scene = Scene::new();
    let mut bob = Client::new(16);
    let order = scene.place(Order { client_id: "c", ..limit(BOB, Side::Bid, 100, 9) });
    let ack = r#"{"symbol":"BTCUSDT","orderId":128,"orderListId":-1,"clientOrderId":"c","transactTime":1700000000002,"seq":2}"#;
    let rejected = |code, order| {
        let (account, client_id) = (BOB, ClientId::new("c").unwrap());
        Event::Rejected(Rejected { account, report_sequence: 9, code, market: Some(MARKET), client_id, order })
    };
    let duplicate =
        |original, rejected| Event::Duplicate(Duplicate { account: BOB, original: Sequence(original), rejected });
    let of_other = Event::Duplicate(Duplicate { account: ALICE, original: Sequence(2), rejected: None });
    let place = AnswerShape::OrderAck;
    let cases = [
        (place, rejected(RejectCode::InsufficientBalance, OrderId(0)), "#1 400 -2010 Account has insufficient balance for requested action. ".to_owned()),
        (place, rejected(RejectCode::ClientOrderLive, order.id), format!("#1 400 -2010 Duplicate order sent. {ack}")),
        (place, duplicate(2, None), format!("#1 400 -2010 Duplicate order sent. {ack}")),
        (place, duplicate(1, None), r#"#1 400 -2010 Duplicate order sent. {"orderId":64,"seq":1}"#.to_owned()),
        (place, of_other, r#"#1 400 -2010 Duplicate order sent. {"orderId":128,"seq":2}"#.to_owned()),
        (place, duplicate(5, Some(RejectCode::WouldTrade)), r#"#1 400 -2010 Duplicate order sent. {"seq":5,"error":{"code":-2010,"msg":"Order would immediately match and take.","reject":"WouldTrade"}}"#.to_owned()),
        (AnswerShape::OrderCanceled, duplicate(2, None), r#"#1 400 -2010 Duplicate order sent. {"seq":2}"#.to_owned()),
        (AnswerShape::OrdersCanceled, duplicate(2, None), r#"#1 400 -2010 Duplicate order sent. {"seq":2}"#.to_owned()),
    ];
    for (shape, event, expected) in cases {
        scene.apply(Some(bob.request(1, shape)), &[event]);
        assert_eq!(bob.only(), expected);
    }
    scene.subscribe_account(&mut bob, BOB, 3);
    scene.apply(None, &[rejected(RejectCode::OrderUnknown, OrderId(0))]);
    assert_eq!(
        bob.only(),
        r#"{"subscriptionId":3,"event":{"e":"requestRejected","E":1700000000011,"s":"BTCUSDT","c":"c","code":-2011,"msg":"Unknown order sent.","r":"OrderUnknown","seq":11,"reportSeq":9}}"#
    );
}

#[test]
fn a_wrong_shape_is_an_error_and_not_silence() {
    let mut scene = Scene::new();
    let mut bob = Client::new(16);
    let shapes = [
        AnswerShape::OrderAck,
        AnswerShape::OrderFull,
        AnswerShape::OrderCanceled,
        AnswerShape::OrderAmended,
        AnswerShape::OrdersCanceled,
    ];
    for shape in shapes {
        scene.apply(Some(bob.request(1, shape)), &[]);
        assert!(bob.only().starts_with("#1 500 -1000 "));
    }
    scene.apply(Some(bob.request(2, AnswerShape::Empty)), &[]);
    assert_eq!(bob.only(), "#2 ok {}");
}

#[test]
fn deposits_and_withdrawals_are_reported() {
    let mut scene = Scene::new();
    let mut bob = Client::new(16);
    scene.subscribe_account(&mut bob, BOB, 1);
    let (account, asset, amount) = (BOB, USDT, Atoms(150_000_000));
    let events =
        [Event::DepositCredited { account, asset, amount, report_sequence: 1 }, balance(BOB, USDT, 150_000_000, 0)];
    scene.apply(None, &events);
    scene.apply(None, &[Event::Withdrawn { account, asset, amount, report_sequence: 2 }]);
    assert_eq!(
        bob.received(),
        [
            r#"{"subscriptionId":1,"event":{"e":"balanceUpdate","E":1700000000002,"a":"USDT","d":"1.50000000","T":1700000000002,"seq":2,"reportSeq":1}}"#,
            r#"{"subscriptionId":1,"event":{"e":"outboundAccountPosition","E":1700000000002,"u":1700000000002,"B":[{"a":"USDT","f":"1.50000000","l":"0.00000000"}],"seq":2,"reportSeq":1}}"#,
            r#"{"subscriptionId":1,"event":{"e":"balanceUpdate","E":1700000000003,"a":"USDT","d":"-1.50000000","T":1700000000003,"seq":3,"reportSeq":2}}"#,
        ]
    );
}

#[test]
fn private_leaves_before_public_at_each_sequence() {
    let mut scene = Scene::new();
    let mut both = Client::new(64);
    let maker = scene.place(limit(ALICE, Side::Ask, 10, 5));
    scene.subscribe_stream(&mut both, StreamKind::Trade, StreamWrapping::Raw);
    scene.subscribe_stream(&mut both, StreamKind::BookTicker, StreamWrapping::Raw);
    scene.subscribe_account(&mut both, ALICE, 0);
    scene.subscribe_account(&mut both, BOB, 1);
    for (quantity, left) in [(2, 3), (3, 0)] {
        let taker = Order { id: scene.next_order(), ..limit(BOB, Side::Bid, 10, quantity) };
        let events = [
            scene.accepted(&taker),
            scene.trade(&maker, &taker, quantity, (left, 0)),
            balance(ALICE, USDT, left, 0),
            balance(BOB, USDT, left, 0),
        ];
        scene.apply(Some(both.request(5, AnswerShape::OrderAck)), &events);
        let kinds: Vec<_> = both.received().iter().map(|line| kind(line)).collect();
        let expected = [
            "answer",
            "1 NEW",
            "0 TRADE",
            "1 TRADE",
            "0 outboundAccountPosition",
            "1 outboundAccountPosition",
            "trade",
            "bookTicker",
        ];
        assert_eq!(kinds, expected);
    }
}

#[test]
fn a_slow_subscriber_is_dropped_and_harms_nobody() {
    let mut scene = Scene::new();
    let (mut slow, mut quick) = (Client::new(2), Client::new(1_000));
    scene.subscribe_account(&mut slow, BOB, 0);
    scene.subscribe_account(&mut quick, BOB, 1);
    scene.subscribe_stream(&mut quick, StreamKind::BookTicker, StreamWrapping::Raw);
    for price in 1..=10 {
        scene.place(limit(BOB, Side::Bid, price, 1));
    }
    assert_eq!(quick.received().len(), 20, "ten reports and ten changes of the best bid");
    assert_eq!(slow.received().len(), 2, "what fitted");
    assert!(slow.handle.overflowed());
    scene.place(limit(BOB, Side::Bid, 11, 1));
    assert!(slow.received().is_empty(), "nothing behind a gap");
    assert_eq!(quick.received().len(), 2);
    scene.read(&quick, 7, Read::UnsubscribeAccount { subscription: Some(1) });
    assert_eq!(quick.only(), "#7 ok {}");
    scene.place(limit(BOB, Side::Bid, 12, 1));
    assert_eq!(kind(&quick.only()), "bookTicker");
    assert!(!scene.publisher.subscriptions.has_account(BOB));
}

fn balance(account: AccountId, asset: AssetId, available: u64, held: u64) -> Event {
    Event::BalanceChanged { account, asset, available: Atoms(available), held: Atoms(held) }
}

/// The named members of an answer or a report, as plain text.
pub(super) fn fields(line: &str, names: &[&str]) -> String {
    let json = &line[line.find('{').expect("an object")..];
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    let object = if value["event"].is_object() { &value["event"] } else { &value };
    let texts = names.iter().map(|name| match &object[*name] {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    texts.collect::<Vec<_>>().join(" ")
}

/// What a line is, in a word or two.
fn kind(line: &str) -> String {
    if line.starts_with('#') {
        return "answer".to_owned();
    }
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    match (&value["subscriptionId"], &value["event"]["x"], &value["event"]["e"], &value["e"]) {
        (serde_json::Value::Null, _, _, serde_json::Value::String(name)) => name.clone(),
        (serde_json::Value::Null, ..) => "bookTicker".to_owned(),
        (id, serde_json::Value::String(execution), ..) => format!("{id} {execution}"),
        (id, _, name, _) => format!("{id} {}", name.as_str().expect("an event's name")),
    }
}
