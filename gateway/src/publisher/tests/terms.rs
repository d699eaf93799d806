//! Orders that wait, hide a part, end by themselves or meet their own group, as answers and reports show them.

use lakh_engine::event::OrderAccepted;

use super::private::fields;
use super::*;
use crate::hand_over::HistoryRange;

/// The event that accepts `order`, with these changes.
fn accepted(scene: &mut Scene, order: &Order, change: impl FnOnce(&mut OrderAccepted)) -> Event {
    let mut event = scene.accepted(order);
    if let Event::OrderAccepted(accepted) = &mut event {
        change(accepted);
    }
    event
}

/// The same event of an order, or a part of one, that is in no public book.
fn hidden(mut event: Event) -> Event {
    match &mut event {
        Event::OrderCanceled(canceled) => (canceled.feed_sequence, canceled.displayed) = (0, Lots(0)),
        Event::OrderReduced(reduced) => reduced.feed_sequence = 0,
        _ => unreachable!("a test asks for nothing else"),
    }
    event
}

fn stop_loss_limit(scene: &mut Scene) -> (Order, Event) {
    let order = Order {
        id: scene.next_order(),
        client_id: "stop",
        order_type: OrderType::StopLossLimit,
        ..limit(BOB, Side::Bid, 7_100_000, 500)
    };
    let event = accepted(scene, &order, |accepted| accepted.trigger_price = Ticks(7_050_000));
    (order, event)
}

#[test]
fn an_order_waits_is_triggered_and_works() {
    let mut scene = Scene::new();
    let mut bob = Client::new(64);
    scene.subscribe_account(&mut bob, BOB, 0);
    let (order, event) = stop_loss_limit(&mut scene);
    scene.apply(Some(bob.request(1, AnswerShape::OrderResult)), &[event]);
    let lines = bob.received();
    let answer = fields(&lines[0], &["status", "type", "price", "stopPrice"]);
    assert_eq!(answer, "NEW STOP_LOSS_LIMIT 71000.00 70500.00");
    assert!(lines[0].contains(r#""workingTime":-1"#), "{}", lines[0]);
    assert_eq!(fields(&lines[1], &["x", "X", "P", "p", "w"]), "NEW NEW 70500.00 71000.00 false");
    assert!(!lines[1].contains(r#""W":"#), "it is not on the book");

    // It is open, with its own market and side, before and after.
    let open = Read::OpenOrders { account: BOB, market: None };
    scene.read(&bob, 2, open.clone());
    assert!(bob.only().contains(r#""isWorking":false,"workingTime":-1"#));

    let triggered = Event::OrderTriggered {
        account: BOB,
        report_sequence: scene.next_report(),
        market: MARKET,
        order: order.id,
        last_price: Ticks(7_050_001),
    };
    let rested = scene.rested(&order, 500);
    scene.apply(None, &[triggered, rested]);
    let line = bob.only();
    assert_eq!(fields(&line, &["x", "X", "w", "z"]), "NEW NEW true 0.00000");
    assert!(line.contains(r#""W":1700000000003"#), "{line}");
    scene.read(&bob, 3, open.clone());
    assert!(bob.only().contains(r#""isWorking":true,"workingTime":1700000000003"#));
    let canceled = scene.canceled(&order, 500, CancelReason::Requested);
    scene.apply(None, &[canceled]);
    bob.received();
    scene.read(&bob, 4, open);
    assert_eq!(bob.only(), "#4 ok []");
}

#[test]
fn an_order_that_waits_can_be_canceled_and_is_remembered() {
    let mut scene = Scene::new();
    let mut bob = Client::new(64);
    let (order, event) = stop_loss_limit(&mut scene);
    scene.apply(None, &[event]);
    let canceled = hidden(scene.canceled(&order, 500, CancelReason::Requested));
    scene.apply(Some(bob.request(1, AnswerShape::OrderCanceled)), &[canceled]);
    assert_eq!(fields(&bob.only(), &["status", "stopPrice"]), "CANCELED 70500.00");
    let range = HistoryRange { first_id: None, begin: None, end: None, limit: 10 };
    scene.read(&bob, 2, Read::AllOrders { account: BOB, market: MARKET, range });
    assert!(bob.only().contains(r#""status":"CANCELED""#));
    scene.read(&bob, 3, Read::OpenOrders { account: BOB, market: Some(MARKET) });
    assert_eq!(bob.only(), "#3 ok []");
}

#[test]
fn icebergs_and_orders_with_an_end_say_so() {
    let mut scene = Scene::new();
    let mut bob = Client::new(64);
    scene.subscribe_account(&mut bob, BOB, 0);
    let order = Order {
        id: scene.next_order(),
        order_type: OrderType::LimitMakerSlide,
        time_in_force: TimeInForce::GoodTillDate,
        ..limit(BOB, Side::Bid, 100, 50)
    };
    let event = accepted(&mut scene, &order, |accepted| {
        accepted.display_quantity = Lots(5);
        accepted.expires_at = Timestamp(1_800_000_000_000_000_000);
    });
    let rested = scene.rested(&order, 5);
    scene.apply(Some(bob.request(1, AnswerShape::OrderResult)), &[event, rested]);
    let lines = bob.received();
    assert_eq!(fields(&lines[0], &["type", "timeInForce", "icebergQty"]), "LIMIT_MAKER GTD 0.00005");
    assert!(lines[0].contains(r#""goodTillDate":1800000000000,"postOnlySlide":true"#), "{}", lines[0]);
    assert_eq!(fields(&lines[1], &["o", "f", "F", "q"]), "LIMIT_MAKER GTD 0.00005 0.00050");
    assert!(lines[1].contains(r#""goodTillDate":1800000000000"#), "{}", lines[1]);
    let mut expired = scene.canceled(&order, 50, CancelReason::Expired);
    if let Event::OrderCanceled(canceled) = &mut expired {
        canceled.displayed = Lots(5);
    }
    scene.apply(None, &[expired]);
    assert_eq!(fields(&bob.only(), &["x", "X", "eR", "C"]), "EXPIRED EXPIRED GTD_EXPIRED ");
}

/// Both become smaller; what was kept from trading is told, and is no amendment.
#[test]
fn a_decrement_is_no_amendment() {
    let mut scene = Scene::new();
    let mut bob = Client::new(64);
    let maker = scene.place(limit(BOB, Side::Ask, 100, 4));
    scene.subscribe_account(&mut bob, BOB, 0);
    let taker = Order { id: scene.next_order(), ..limit(BOB, Side::Bid, 100, 10) };
    let accepted = scene.accepted(&taker);
    let gone = scene.canceled(&maker, 4, CancelReason::SelfTrade);
    let reduced = hidden(scene.reduced(&taker, 6, 6, 4));
    scene.feed_sequences[0] -= 1;
    let rested = scene.rested(&taker, 6);
    scene.apply(Some(bob.request(1, AnswerShape::OrderResult)), &[accepted, gone, reduced, rested]);
    let lines = bob.received();
    assert_eq!(fields(&lines[0], &["status", "origQty", "preventedQuantity"]), "NEW 0.00010 0.00004");
    assert_eq!(fields(&lines[2], &["x", "X", "A", "B"]), "TRADE_PREVENTION EXPIRED_IN_MATCH 0.00004 0.00004");
    assert_eq!(fields(&lines[3], &["x", "X", "q", "A", "B"]), "TRADE_PREVENTION NEW 0.00010 0.00004 0.00004");

    // The owner's own amendment afterwards is one.
    let reduced = scene.reduced(&taker, 5, 5, 1);
    scene.apply(Some(bob.request(2, AnswerShape::OrderAmended)), &[reduced]);
    let lines = bob.received();
    assert!(
        lines[0].contains(r#""qty":"0.00009""#) && lines[0].contains(r#""preventedQty":"0.00004""#),
        "{}",
        lines[0]
    );
    assert_eq!(fields(&lines[1], &["x", "q", "B"]), "REPLACED 0.00009 0.00000");
}

/// No count is without its report, whatever the engine counts: a client sees gaps, and there must be none.
#[test]
fn every_count_has_its_report() {
    let mut scene = Scene::new();
    let mut bob = Client::new(64);
    scene.subscribe_account(&mut bob, BOB, 0);
    let events = [
        Event::CancelAllTimerSet { account: BOB, report_sequence: 1, at: Timestamp(1_800_000_000_000_000_000) },
        Event::FrameAccepted { account: BOB, report_sequence: 2, operations: 2 },
        Event::OperationDone {
            account: BOB,
            report_sequence: 3,
            origin: Sequence(2),
            index: 1,
            refused: Some(lakh_engine::reject::RejectCode::WouldTrigger),
            order: OrderId(0),
        },
        Event::ReplaceAnswered {
            account: BOB,
            report_sequence: 4,
            market: MARKET,
            cancel_refused: None,
            order_refused: Some(lakh_engine::reject::RejectCode::InsufficientBalance),
        },
        Event::CancelAllAccepted { account: BOB, market: None, report_sequence: 5 },
    ];
    scene.apply(None, &events);
    assert_eq!(
        bob.received(),
        [
            r#"{"subscriptionId":0,"event":{"e":"cancelAllTimer","E":1700000000002,"triggerTime":1800000000000,"seq":2,"reportSeq":1}}"#,
            r#"{"subscriptionId":0,"event":{"e":"frameAccepted","E":1700000000002,"operations":2,"seq":2,"reportSeq":2}}"#,
            r#"{"subscriptionId":0,"event":{"e":"operationDone","E":1700000000002,"frameSeq":2,"index":1,"code":-2010,"msg":"Order would trigger immediately.","r":"WouldTrigger","seq":2,"reportSeq":3}}"#,
            r#"{"subscriptionId":0,"event":{"e":"cancelReplaceAnswered","E":1700000000002,"s":"BTCUSDT","cancelResult":"SUCCESS","newOrderResult":"FAILURE","seq":2,"reportSeq":4}}"#,
            r#"{"subscriptionId":0,"event":{"e":"cancelAllAccepted","E":1700000000002,"seq":2,"reportSeq":5}}"#,
        ]
    );
}

#[test]
fn the_timer_and_other_wishes_are_answered() {
    let mut scene = Scene::new();
    let mut bob = Client::new(8);
    let at = Timestamp((START_MS + 2 + 60_000) * 1_000_000);
    let set = |at| Event::CancelAllTimerSet { account: BOB, report_sequence: 1, at };
    scene.apply(Some(bob.request(1, AnswerShape::TimerSet)), &[set(at)]);
    scene.apply(Some(bob.request(2, AnswerShape::TimerSet)), &[set(Timestamp::ZERO)]);
    scene.apply(Some(bob.request(3, AnswerShape::Done)), &[]);
    assert_eq!(
        bob.received(),
        [
            r#"#1 ok {"countdownTime":60000,"triggerTime":1700000060002,"seq":2}"#,
            r#"#2 ok {"countdownTime":0,"triggerTime":0,"seq":3}"#,
            r#"#3 ok {"seq":4}"#,
        ]
    );
}
