//! Cancel-replace: what is answered for each way that its halves can go.

use lakh_engine::event::Rejected;
use lakh_engine::reject::RejectCode;

use super::*;

fn answered(scene: &mut Scene, cancel_refused: Option<RejectCode>, order_refused: Option<RejectCode>) -> Event {
    let report_sequence = scene.next_report();
    Event::ReplaceAnswered { account: ALICE, report_sequence, market: MARKET, cancel_refused, order_refused }
}

#[test]
fn both_halves_are_shown() {
    let mut scene = Scene::new();
    let mut client = Client::new(16);
    let old = scene.place(Order { client_id: "old", ..limit(ALICE, Side::Bid, 5, 1) });
    let new = Order { id: scene.next_order(), client_id: "new", ..limit(ALICE, Side::Bid, 6, 2) };
    let mut events = vec![scene.canceled(&old, 1, CancelReason::Requested), answered(&mut scene, None, None)];
    events.extend(scene.resting(&new));
    scene.apply(Some(client.request(1, AnswerShape::ReplacedAck)), &events);
    let answer = client.only();
    let start = r#"#1 ok {"cancelResult":"SUCCESS","newOrderResult":"SUCCESS","cancelResponse":{"symbol":"BTCUSDT","origClientOrderId":"old","#;
    assert!(answer.starts_with(start), "{answer}");
    assert!(answer.contains(r#""newOrderResponse":{"symbol":"BTCUSDT","orderId":"#), "{answer}");
}

#[test]
fn what_failed_has_its_number() {
    let mut scene = Scene::new();
    let mut client = Client::new(16);
    let mut refused = |scene: &mut Scene, code| {
        let rejected = Rejected {
            account: ALICE,
            report_sequence: scene.next_report(),
            code,
            market: Some(MARKET),
            client_id: ClientId::EMPTY,
            order: OrderId(0),
        };
        scene.apply(Some(client.request(1, AnswerShape::ReplacedFull)), &[Event::Rejected(rejected)]);
        client.only()
    };
    assert_eq!(
        refused(&mut scene, RejectCode::OrderUnknown),
        r#"#1 400 -2022 Order cancel-replace failed. {"cancelResult":"FAILURE","newOrderResult":"NOT_ATTEMPTED","cancelResponse":{"code":-2011,"msg":"Unknown order sent."},"newOrderResponse":null}"#
    );
    let no_money = refused(&mut scene, RejectCode::InsufficientBalance);
    assert!(no_money.starts_with("#1 400 -2022") && no_money.contains(r#""newOrderResult":"FAILURE","#), "{no_money}");
    assert!(refused(&mut scene, RejectCode::TimestampOutsideWindow).starts_with("#1 400 -1021"), "the request's own");

    let old = scene.place(limit(ALICE, Side::Bid, 5, 1));
    let half = [
        scene.canceled(&old, 1, CancelReason::Requested),
        answered(&mut scene, None, Some(RejectCode::InsufficientBalance)),
    ];
    scene.apply(Some(client.request(2, AnswerShape::ReplacedFull)), &half);
    let answer = client.only();
    assert!(answer.starts_with("#2 409 -2021 Order cancel-replace partially failed. {"), "{answer}");
    assert!(answer.contains(r#""cancelResult":"SUCCESS","newOrderResult":"FAILURE""#), "{answer}");
}
