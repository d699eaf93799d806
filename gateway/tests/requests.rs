//! Requests through session and verifier, stepped by hand: what clients really send, and what they must not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic, its helpers included")]

mod common;

use bytes::Bytes;
use common::bench::{Bench, LIMIT, api_key, frame, frame_over, limit_with, milliseconds};
use common::{VENUE_TAG, api_key_of, now, register, signing_key};
use ed25519_dalek::SigningKey;
use lakh_engine::command::{
    EvidenceGrade, Mode, Operation, OrderReference, OrderType, ReplayGuard, SelfTradeMode, Side, TimeInForce,
};
use lakh_engine::event::{Event, KeyEnd};
use lakh_engine::ids::{AccountId, KeyId, MarketId, OrderId};
use lakh_engine::units::{Atoms, Lots, Ticks, Timestamp};
use lakh_gateway::api_error::ApiError;
use lakh_gateway::auth::evidence::Evidence;
use lakh_gateway::auth::payload_digest;
use lakh_gateway::client::sign_params;
use lakh_gateway::hand_over::{AnswerShape, Read, ToSession};
use lakh_gateway::limits::Rate;
use lakh_gateway::session::{Action, CloseReason, NOBODY, SessionOptions};
use lakh_gateway::verifier::VerifierOptions;
use serde_json::Value;

#[test]
fn a_signed_order_becomes_a_command_with_evidence() {
    let mut bench = Bench::new();
    assert_eq!(bench.code(&frame("order.place", &limit_with(&[("newClientOrderId", "a-1")]))), 0);
    let (command, evidence, handle) = bench.pop_command();
    assert_eq!((command.account, command.key, command.grade), (AccountId(5), KeyId(3), EvidenceGrade::Signed));
    let Operation::PlaceOrder(order) = command.operation else { panic!("an order") };
    assert_eq!((order.price, order.quantity, order.side), (Ticks(7_000_010), Lots(1_000), Side::Ask));
    assert_eq!((order.order_type, order.time_in_force), (OrderType::Limit, TimeInForce::GoodTillCancel));
    assert_eq!((order.self_trade_mode, order.client_id.as_str()), (SelfTradeMode::ExpireMaker, "a-1"));
    assert_eq!(handle.shape, AnswerShape::OrderFull);
    let Evidence::WebSocketSigned(signed) = Evidence::decode(&evidence).unwrap() else { panic!("signed") };
    assert!(matches!(command.replay_guard, ReplayGuard::Digest { digest, receive_window_ms: 5_000, .. }
        if digest == payload_digest(signed.text)));
    bench.audit(command, &evidence);
    let sent =
        bench.answer(ToSession::Answer { request: handle.request, outcome: Ok(Bytes::from_static(b"{\"a\":1}")) });
    assert_eq!((&sent[0]["id"], &sent[0]["status"], &sent[0]["result"]["a"]), (&1.into(), &200.into(), &1.into()));
    assert_eq!(sent[0]["rateLimits"][0]["limit"], SessionOptions::default().requests.burst);
}

/// Trap 1: some clients sign the percent-encoded text.
#[test]
fn the_percent_encoded_text_is_accepted_too() {
    let mut bench = Bench::new();
    let params = r#""apiKey":"KEY","newClientOrderId":"js:ws/1","price":"70000.1","quantity":"0.01","side":"SELL","symbol":"BTCUSDT","timeInForce":"GTC","timestamp":NOW,"type":"LIMIT""#;
    let text = "apiKey=KEY&newClientOrderId=js%3Aws%2F1&price=70000.1&quantity=0.01&side=SELL&symbol=BTCUSDT&timeInForce=GTC&timestamp=NOW&type=LIMIT";
    assert_eq!(bench.code(&frame_over("order.place", params, text)), 0);
    let (command, evidence, _) = bench.pop_command();
    let Operation::PlaceOrder(order) = command.operation else { panic!("an order") };
    assert_eq!(order.client_id.as_str(), "js:ws/1");
    assert!(evidence.windows(11).any(|bytes| bytes == b"js%3Aws%2F1"));
    bench.audit(command, &evidence);
    let double = text.replace('%', "%25");
    assert_eq!(bench.code(&frame_over("order.place", params, &double)), -1022, "encoded once, not twice");
}

/// Trap 2: the signature covers the spelling of a number.
#[test]
fn numbers_keep_their_spelling() {
    let mut bench = Bench::new();
    let params = r#""apiKey": "KEY", "price": 70000.1, "quantity": 1e-05, "side": "SELL", "symbol": "BTCUSDT", "timeInForce": "GTC", "timestamp": NOW, "type": "LIMIT""#;
    let text =
        "apiKey=KEY&price=70000.1&quantity=1e-05&side=SELL&symbol=BTCUSDT&timeInForce=GTC&timestamp=NOW&type=LIMIT";
    assert_eq!(bench.code(&frame_over("order.place", params, text)), 0);
    let (command, evidence, _) = bench.pop_command();
    let Operation::PlaceOrder(order) = command.operation else { panic!("an order") };
    assert_eq!(order.quantity, Lots(1));
    bench.audit(command, &evidence);
    let respelt = text.replace("1e-05", "0.00001");
    assert_eq!(bench.code(&frame_over("order.place", params, &respelt)), -1022);
}

/// Trap 3: `k=v&k=v` is not injective, so what makes it ambiguous is refused before anything is verified.
#[test]
fn ambiguous_texts_and_duplicate_keys_are_refused() {
    let mut bench = Bench::new();
    for (name, value) in [("note", "a&side=BUY"), ("note", "a=b"), ("a&b", "1"), ("a=b", "1"), ("note", "a\u{1}")] {
        assert_eq!(bench.code(&frame("order.place", &limit_with(&[(name, value)]))), -1100, "{name} {value}");
    }
    for (name, value) in [
        ("newClientOrderId", "a b"),
        ("newClientOrderId", "é"),
        ("newClientOrderId", "a%41"),
        ("newClientOrderId", "0123456789012345678901234567890123456"),
        ("symbol", "BTC USDT"),
        ("price", "7e4%"),
        ("quantity", "0x1"),
        ("timestamp", "-5"),
    ] {
        assert_eq!(bench.code(&frame("order.place", &limit_with(&[(name, value)]))), -1100, "{name} {value}");
    }
    let signed = frame("order.place", &LIMIT);
    assert_eq!(bench.code(&signed.replace("\"side\":", "\"side\":\"BUY\",\"side\":")), -1104);
    assert_eq!(bench.code(&signed.replace("\"side\":", "\"note\":[1],\"side\":")), -1100, "a list has no spelling");
    assert!(bench.ring.is_empty());
}

/// Trap 4: strings or numbers, unknown parameters, and booleans as Python spells them.
#[test]
fn types_of_values_do_not_matter() {
    let mut bench = Bench::new();
    for id in ["\"1004\"", "1004"] {
        for window in ["\"5000\"", "5000"] {
            let params = format!(r#""apiKey":"KEY","orderId":{id},"recvWindow":{window},"symbol":"BTCUSDT","timestamp":"NOW","x-unknown":"{id}""#)
                .replace("\"\"", "\"");
            let text = "apiKey=KEY&orderId=1004&recvWindow=5000&symbol=BTCUSDT&timestamp=NOW&x-unknown=1004";
            assert_eq!(bench.code(&frame_over("v3/order.cancel", &params, text)), 0);
            let (command, evidence, _) = bench.pop_command();
            let Operation::CancelOrder(cancel) = command.operation else { panic!("a cancel") };
            assert_eq!(cancel.target, OrderReference::OrderId(OrderId(1_004)));
            bench.audit(command, &evidence);
        }
    }
    let params = r#""apiKey":"KEY","omitZeroBalances":true,"timestamp":NOW"#;
    for spelling in ["True", "true"] {
        let text = format!("apiKey=KEY&omitZeroBalances={spelling}&timestamp=NOW");
        assert_eq!(bench.code(&frame_over("account.status", params, &text)), 0, "{spelling}");
        let (read, _) = bench.pop_read();
        assert_eq!(read, Read::AccountStatus { account: AccountId(5), omit_zero_balances: true });
    }
    assert_eq!(
        bench.code(&frame_over("account.status", params, "apiKey=KEY&omitZeroBalances=TRUE&timestamp=NOW")),
        -1022
    );
    let ids: [(&str, Value); 3] = [("7", 7.into()), ("\"7\"", "7".into()), ("null", Value::Null)];
    for (id, expected) in ids {
        let sent = bench.send(&format!(r#"{{"id":{id},"method":"ping","params":{{"returnRateLimits":false}}}}"#));
        assert_eq!(sent[0]["id"], expected);
        assert!(sent[0].get("rateLimits").is_none());
    }
}

#[test]
fn mistakes_have_their_numbers() {
    let mut bench = Bench::new();
    let cases: &[(&[(&str, &str)], i64)] = &[
        (&[("symbol", "")], -1102),
        (&[("symbol", "ETHUSDT")], -1121),
        (&[("side", "")], -1102),
        (&[("side", "HOLD")], -1117),
        (&[("type", "OCO")], -1116),
        (&[("type", "STOP_LOSS")], -1106),
        (&[("type", "STOP_LOSS"), ("timeInForce", ""), ("price", "")], -1102),
        (&[("type", "STOP_LOSS_LIMIT")], -1102),
        (&[("type", "STOP_LOSS_LIMIT"), ("stopPrice", "1.001")], -1013),
        (&[("type", "STOP_LOSS_LIMIT"), ("stopPrice", "0")], -1013),
        (&[("type", "STOP_LOSS_LIMIT"), ("stopPrice", "1"), ("icebergQty", "0.001")], -1106),
        (&[("type", "TAKE_PROFIT_LIMIT"), ("stopPrice", "1"), ("timeInForce", "")], -1102),
        (&[("timeInForce", "GTX")], -1115),
        (&[("timeInForce", "")], -1102),
        (&[("price", "")], -1102),
        (&[("price", "abc")], -1100),
        (&[("price", "-1")], -1013),
        (&[("price", "70000.001")], -1013),
        (&[("price", "0.000000001")], -1111),
        (&[("price", "1e30")], -1013),
        (&[("quantity", "0.000001")], -1013),
        (&[("quantity", "0.000000001")], -1111),
        (&[("quantity", "0")], -1013),
        (&[("stopPrice", "1")], -1106),
        (&[("icebergQty", "0.02")], -1013),
        (&[("icebergQty", "0.00001")], -1013),
        (&[("icebergQty", "0")], -1013),
        (&[("icebergQty", "0.001"), ("timeInForce", "IOC")], -1106),
        (&[("goodTillDate", "0")], -1130),
        (&[("goodTillDate", "soon")], -1100),
        (&[("goodTillDate", "2000000000000"), ("timeInForce", "FOK")], -1106),
        (&[("timeInForce", "GTD")], -1102),
        (&[("trailingDelta", "1")], -1106),
        (&[("postOnlySlide", "true")], -1106),
        (&[("worstPrice", "1")], -1106),
        (&[("quoteOrderQty", "1")], -1106),
        (&[("type", "LIMIT_MAKER")], -1106),
        (&[("type", "MARKET"), ("timeInForce", ""), ("price", ""), ("quoteOrderQty", "5")], -1128),
        (&[("type", "MARKET"), ("timeInForce", ""), ("price", ""), ("quantity", "")], -1102),
        (&[("type", "MARKET"), ("timeInForce", "")], -1106),
        (&[("selfTradePreventionMode", "TRANSFER")], -1013),
        (&[("newOrderRespType", "MAX")], -1130),
        (&[("newClientOrderId", "auto-5")], -1130),
        (&[("recvWindow", "60001")], -1131),
        (&[("recvWindow", "0")], -1131),
        (&[("recvWindow", "5e3")], -1100),
        (&[("recvWindow", "0.999")], -1131),
        (&[("recvWindow", "5000.1234")], -1100),
        (&[("recvWindow", "5000.")], -1100),
        (&[("method", "order.cancel")], -1130),
        (&[("validUntil", "0")], -1130),
        (&[("x", &*"y".repeat(2_048))], -1100),
    ];
    for &(changes, code) in cases {
        assert_eq!(bench.code(&frame("order.place", &limit_with(changes))), code, "{changes:?}");
    }
    assert!(bench.ring.is_empty());
}

#[test]
fn mistakes_of_other_methods_have_their_numbers() {
    let mut bench = Bench::new();
    let target = ("orderId", "64");
    let symbol = ("symbol", "BTCUSDT");
    assert_eq!(bench.code(&frame("order.cancel", &[symbol])), -1102);
    assert_eq!(bench.code(&frame("order.cancel", &[symbol, target, ("origClientOrderId", "a")])), -1128);
    assert_eq!(bench.code(&frame("order.cancel", &[symbol, ("orderId", "99999999999999999999")])), -1130);
    assert_eq!(bench.code(&frame("order.cancel", &[symbol, target, ("cancelRestrictions", "ONLY_NEW")])), -1106);
    assert_eq!(bench.code(&frame("order.amend.keepPriority", &[symbol, target])), -1102);
    assert_eq!(bench.code(&frame("openOrders.cancelAll", &[])), -1102);
    assert_eq!(bench.code(r#"{"id":1,"method":"order.test","params":{}}"#), -1020);
    assert_eq!(bench.code(r#"{"id":1,"method":"depth","params":{}}"#), -1102);
    assert_eq!(bench.code(r#"{"id":1,"method":"exchangeInfo","params":{"symbols":["BTCUSDT","NO"]}}"#), -1121);
    assert_eq!(bench.code(r#"{"id":1,"method":"ping","params":[]}"#), -1135);
    assert_eq!(bench.code("{"), -1135);
    assert!(bench.ring.is_empty());
}

#[test]
fn orders_of_each_kind_are_understood() {
    let mut bench = Bench::new();
    let place = |bench: &mut Bench, changes: &[(&str, &str)]| {
        assert_eq!(bench.code(&frame("order.place", &limit_with(changes))), 0, "{changes:?}");
        let (command, evidence, handle) = bench.pop_command();
        bench.audit(command, &evidence);
        let Operation::PlaceOrder(order) = command.operation else { panic!("an order") };
        (order, handle.shape, command.valid_until)
    };
    let market = [("type", "MARKET"), ("timeInForce", ""), ("price", "")];
    let (order, shape, _) = place(&mut bench, &market);
    assert_eq!((order.order_type, order.time_in_force), (OrderType::Market, TimeInForce::ImmediateOrCancel));
    assert_eq!((order.price, order.quantity, shape), (Ticks(0), Lots(1_000), AnswerShape::OrderFull));
    let by_quote = [market[0], market[1], market[2], ("quantity", ""), ("quoteOrderQty", "12.5")];
    let (order, ..) = place(&mut bench, &by_quote);
    assert_eq!((order.quantity, order.quote_budget), (Lots(0), Atoms(1_250_000_000)));
    let (order, shape, _) = place(&mut bench, &[("type", "LIMIT_MAKER"), ("timeInForce", ""), ("side", "BUY")]);
    assert_eq!((order.order_type, order.side, shape), (OrderType::LimitMaker, Side::Bid, AnswerShape::OrderAck));
    let changes = [("timeInForce", "FOK"), ("newOrderRespType", "RESULT"), ("validUntil", "2000000000000")];
    let (order, shape, valid_until) = place(&mut bench, &changes);
    assert_eq!((order.time_in_force, shape), (TimeInForce::FillOrKill, AnswerShape::OrderResult));
    assert_eq!(valid_until, Timestamp(2_000_000_000_000_000_000));
    for (name, mode) in [
        ("NONE", SelfTradeMode::None),
        ("EXPIRE_TAKER", SelfTradeMode::ExpireTaker),
        ("EXPIRE_MAKER", SelfTradeMode::ExpireMaker),
        ("EXPIRE_BOTH", SelfTradeMode::ExpireBoth),
        ("DECREMENT", SelfTradeMode::Decrement),
    ] {
        let (order, ..) = place(&mut bench, &[("selfTradePreventionMode", name)]);
        assert_eq!(order.self_trade_mode, mode);
    }
}

#[test]
fn orders_that_wait_hide_or_end_are_understood() {
    let mut bench = Bench::new();
    let place = |bench: &mut Bench, changes: &[(&str, &str)]| {
        assert_eq!(bench.code(&frame("order.place", &limit_with(changes))), 0, "{changes:?}");
        let (command, evidence, handle) = bench.pop_command();
        bench.audit(command, &evidence);
        let Operation::PlaceOrder(order) = command.operation else { panic!("an order") };
        (order, handle.shape)
    };
    for (name, with_limit, order_type) in [
        ("STOP_LOSS", false, OrderType::StopLoss),
        ("STOP_LOSS_LIMIT", true, OrderType::StopLossLimit),
        ("TAKE_PROFIT", false, OrderType::TakeProfit),
        ("TAKE_PROFIT_LIMIT", true, OrderType::TakeProfitLimit),
    ] {
        let mut changes = vec![("type", name), ("stopPrice", "71000")];
        if !with_limit {
            changes.extend([("timeInForce", ""), ("price", "")]);
        }
        let (order, shape) = place(&mut bench, &changes);
        assert_eq!((order.order_type, order.trigger_price), (order_type, Ticks(7_100_000)), "{name}");
        assert_eq!((order.quantity, shape), (Lots(1_000), AnswerShape::OrderAck));
        let (price, time_in_force) = match with_limit {
            true => (Ticks(7_000_010), TimeInForce::GoodTillCancel),
            false => (Ticks(0), TimeInForce::ImmediateOrCancel),
        };
        assert_eq!((order.price, order.time_in_force), (price, time_in_force));
    }
    let worst =
        [("type", "STOP_LOSS"), ("timeInForce", ""), ("price", ""), ("stopPrice", "71000"), ("worstPrice", "69000")];
    assert_eq!(place(&mut bench, &worst).0.price, Ticks(6_900_000));
    let (order, _) = place(&mut bench, &[("icebergQty", "0.0001")]);
    assert_eq!((order.display_quantity, order.quantity), (Lots(10), Lots(1_000)));
    for time_in_force in ["GTC", "GTD"] {
        let (order, _) = place(
            &mut bench,
            &[("timeInForce", time_in_force), ("goodTillDate", "2000000000000"), ("icebergQty", "0.001")],
        );
        assert_eq!(order.time_in_force, TimeInForce::GoodTillDate);
        assert_eq!((order.expires_at, order.display_quantity), (Timestamp(2_000_000_000_000_000_000), Lots(100)));
    }
    let maker = [("type", "LIMIT_MAKER"), ("timeInForce", ""), ("goodTillDate", "2000000000000000")];
    let (order, _) = place(&mut bench, &[maker[0], maker[1], maker[2], ("postOnlySlide", "true")]);
    assert_eq!((order.order_type, order.time_in_force), (OrderType::LimitMakerSlide, TimeInForce::GoodTillDate));
    assert_eq!(order.expires_at, Timestamp(2_000_000_000_000_000_000), "microseconds, too");
    let (order, _) = place(&mut bench, &[maker[0], maker[1], ("postOnlySlide", "False")]);
    assert_eq!(order.order_type, OrderType::LimitMaker);
}

#[test]
fn changes_and_questions_are_understood() {
    let mut bench = Bench::new();
    let symbol = ("symbol", "BTCUSDT");
    let amend = [symbol, ("origClientOrderId", "a"), ("newClientOrderId", "a"), ("newQty", "0.00005")];
    assert_eq!(bench.code(&frame("order.amend.keepPriority", &amend)), 0);
    let (command, evidence, handle) = bench.pop_command();
    assert!(matches!(command.operation, Operation::AmendOrder(amended) if amended.new_quantity == Lots(5)));
    assert_eq!(handle.shape, AnswerShape::OrderAmended);
    bench.audit(command, &evidence);
    for (params, market) in [(vec![symbol], Some(MarketId(0))), (vec![("method", "openOrders.cancelAll")], None)] {
        assert_eq!(bench.code(&frame("openOrders.cancelAll", &params)), 0);
        let (command, evidence, _) = bench.pop_command();
        assert!(matches!(command.operation, Operation::CancelAll(all) if all.market == market));
        bench.audit(command, &evidence);
    }
    assert_eq!(bench.code(&frame("order.status", &[symbol, ("origClientOrderId", "auto-640")])), 0);
    let target = OrderReference::OrderId(OrderId(640));
    assert_eq!(bench.pop_read().0, Read::OrderStatus { account: AccountId(5), market: MarketId(0), target });
    assert_eq!(bench.code(&frame("openOrders.status", &[])), 0);
    assert_eq!(bench.pop_read().0, Read::OpenOrders { account: AccountId(5), market: None });
    assert_eq!(bench.code(r#"{"id":1,"method":"depth","params":{"symbol":"BTCUSDT","limit":99999}}"#), 0);
    assert_eq!(bench.pop_read().0, Read::Depth { market: MarketId(0), limit: 5_000 });
    let info = bench.send(r#"{"id":1,"method":"exchangeInfo","params":{"symbols":["BTCUSDT"]}}"#);
    assert_eq!(info[0]["result"]["symbols"][0]["symbol"], "BTCUSDT");
    assert!(bench.send(r#"{"id":1,"method":"time"}"#)[0]["result"]["serverTime"].as_u64().unwrap() > 0);
}

#[test]
fn the_window_is_kept() {
    let mut bench = Bench::new();
    let at = |offset_ms: i64| (i64::try_from(now().milliseconds()).unwrap() + offset_ms).to_string();
    let place = |bench: &mut Bench, time: &str, window: &str| {
        bench.code(&frame("order.place", &limit_with(&[("timestamp", time), ("recvWindow", window)])))
    };
    assert_eq!(place(&mut bench, &at(-4_000), ""), 0);
    assert_eq!(place(&mut bench, &at(-6_000), ""), -1021);
    assert_eq!(place(&mut bench, &at(-6_000), "10000"), 0);
    assert_eq!(place(&mut bench, &at(-6_000), "10000.5"), 0);
    assert_eq!(place(&mut bench, &at(2_000), ""), -1021);
    assert_eq!(place(&mut bench, &format!("{}000", at(0)), ""), 0, "microseconds");
    assert_eq!(place(&mut bench, &at(-31_000), "60000"), -1021, "before the start of the gateway");
    assert_eq!(
        bench.code(&frame("order.place", &limit_with(&[("timestamp", "")])).replace("timestamp", "time")),
        -1102
    );
}

#[test]
fn keys_are_checked_before_signatures() {
    let mut bench = Bench::new();
    let stranger = SigningKey::from_bytes(&[5; 32]);
    let time = milliseconds();
    let signed_by = |key: &SigningKey, api_key: &str| {
        let params = [("symbol", "BTCUSDT"), ("orderId", "1"), ("timestamp", time.as_str())];
        format!(r#"{{"id":1,"method":"order.cancel","params":{}}}"#, sign_params(key, api_key, &params))
    };
    assert_eq!(bench.code(&signed_by(&stranger, &api_key_of(&stranger))), -2015);
    assert_eq!(bench.code(&signed_by(&stranger, &api_key())), -1022);
    let bare = api_key()[32..].to_owned();
    assert_eq!(bench.code(&signed_by(&signing_key(), &bare)), -2014, "a bare key outside of dev mode");
    let other_venue = format!("{}{bare}", "0".repeat(32));
    assert_eq!(bench.code(&signed_by(&signing_key(), &other_venue)), -2014);
    assert_eq!(bench.code(&signed_by(&signing_key(), "é")), -2014);
    let mut dev = Bench::with(Mode::Dev, SessionOptions::default(), 16);
    assert_eq!(dev.code(&signed_by(&signing_key(), &bare)), 0);
    let (command, evidence, _) = dev.pop_command();
    dev.audit(command, &evidence);
    bench.directory.apply(&Event::KeyEnded { key: KeyId(3), cause: KeyEnd::Revoked });
    assert_eq!(bench.code(&signed_by(&signing_key(), &api_key())), -2015);
    // Registered bytes that are no key of prime order never sign anything.
    let mut weak = [0; 32];
    weak[0] = 1;
    register(&bench.directory, KeyId(9), AccountId(9), &weak);
    let api_key = lakh_gateway::auth::api_key(VENUE_TAG, &weak);
    assert_eq!(bench.code(&signed_by(&stranger, &api_key)), -1022);
}

#[test]
fn a_text_that_answered_a_question_changes_nothing() {
    let mut bench = Bench::new();
    let status = frame("account.status", &[]);
    assert_eq!(bench.code(&status), 0);
    assert_eq!(bench.code(&status), 0, "a question may come again");
    let logon = status.replace("account.status", "session.logon");
    assert_eq!(bench.code(&logon), -2010);
    assert!(matches!((bench.pop_read(), bench.pop_read()), ((Read::AccountStatus { .. }, _), _)));
    assert!(bench.ring.is_empty());
}

#[test]
fn a_session_is_logged_on_and_off() {
    let mut bench = Bench::new();
    let unsigned = format!(
        r#"{{"id":5,"method":"order.cancel","params":{{"symbol":"BTCUSDT","orderId":7,"timestamp":{}}}}}"#,
        milliseconds()
    );
    assert_eq!(bench.code(&unsigned), -1102);
    assert_eq!(bench.code(r#"{"id":1,"method":"userDataStream.subscribe"}"#), -2015);
    assert_eq!(bench.code(&frame("session.logon", &[])), 0);
    let (command, evidence, handle) = bench.pop_command();
    assert_eq!((command.operation, handle.shape), (Operation::Logon, AnswerShape::Empty));
    bench.audit(command, &evidence);
    assert_eq!(bench.code(&unsigned), -1102, "not before the engine has said yes");
    let sent = bench.answer(ToSession::Answer { request: handle.request, outcome: Ok(Bytes::from_static(b"{}")) });
    assert_eq!(sent[0]["result"]["apiKey"], api_key());
    assert_eq!(bench.code(&unsigned), 0);
    let (command, evidence, _) = bench.pop_command();
    assert_eq!(command.grade, EvidenceGrade::Delegated);
    assert!(matches!(command.replay_guard, ReplayGuard::Session { receive_window_ms: 5_000, .. }));
    bench.audit(command, &evidence);
    assert_eq!(bench.code(r#"{"id":1,"method":"userDataStream.subscribe","params":{}}"#), 0);
    let (read, handle) = bench.pop_read();
    assert_eq!(read, Read::SubscribeAccount { account: AccountId(5), subscription: 0 });
    let sent = bench.answer(ToSession::Answer { request: handle.request, outcome: Ok(Bytes::from_static(b"{}")) });
    assert_eq!(sent[0]["result"]["subscriptionId"], 0);
    assert_eq!(bench.code(&frame("userDataStream.subscribe.signature", &[])), 0);
    let (read, handle) = bench.pop_read();
    assert_eq!(read, Read::SubscribeAccount { account: AccountId(5), subscription: 1 });
    bench.answer(ToSession::Answer { request: handle.request, outcome: Ok(Bytes::from_static(b"{}")) });
    assert_eq!(bench.send(r#"{"id":1,"method":"session.status"}"#)[0]["result"]["userDataStream"], true);
    let sent = bench.send(r#"{"id":1,"method":"session.logout"}"#);
    assert_eq!(sent[0]["result"]["apiKey"], Value::Null);
    let (read, handle) = bench.pop_read();
    assert_eq!((read, handle.request), (Read::UnsubscribeAccount { subscription: Some(0) }, NOBODY));
    assert_eq!(bench.code(&unsigned), -1102);
    assert_eq!(bench.code(r#"{"id":1,"method":"userDataStream.unsubscribe","params":{"subscriptionId":0}}"#), -1130);
    assert_eq!(bench.code(r#"{"id":1,"method":"userDataStream.unsubscribe","params":{"subscriptionId":1}}"#), 0);
    assert_eq!(bench.pop_read().0, Read::UnsubscribeAccount { subscription: Some(1) });
}

#[test]
fn the_last_quarter_of_the_ring_is_for_cancels() {
    let mut bench = Bench::with(Mode::Run, SessionOptions::default(), 8);
    let place = |index: usize| frame("order.place", &limit_with(&[("newClientOrderId", &format!("o{index}"))]));
    let cancel = |index: usize| frame("order.cancel", &[("symbol", "BTCUSDT"), ("orderId", &index.to_string())]);
    for index in 0..6 {
        assert_eq!(bench.code(&place(index)), 0);
    }
    assert_eq!(bench.code(&place(6)), -1008);
    assert_eq!(bench.code(&frame("account.status", &[])), -1008);
    assert_eq!((bench.code(&cancel(1)), bench.code(&cancel(2))), (0, 0));
    assert_eq!(bench.code(&cancel(3)), -1008);
    bench.pop_command();
    assert_eq!(bench.code(&cancel(4)), 0);
}

#[test]
fn requests_without_an_answer_are_bounded_and_given_up() {
    let options = SessionOptions { in_flight: 2, ..SessionOptions::default() };
    let mut bench = Bench::with(Mode::Run, options, 16);
    let depth = r#"{"id":1,"method":"depth","params":{"symbol":"BTCUSDT"}}"#;
    assert_eq!((bench.code(depth), bench.code(depth), bench.code(depth)), (0, 0, -1015));
    let mut actions = Vec::new();
    bench.session.handle_timeout(Timestamp(now().0 + 11_000_000_000), &mut actions);
    let sent = bench.perform(actions);
    assert_eq!(sent.iter().filter(|response| response["error"]["code"] == -1007).count(), 2);
    let (_, late) = bench.pop_read();
    let outcome = Ok(Bytes::from_static(b"{}"));
    assert!(bench.answer(ToSession::Answer { request: late.request, outcome }).is_empty());
    assert_eq!(bench.code(depth), 0);
    bench.session.handle_timeout(Timestamp(now().0 + 100_000_000_000), &mut Vec::new());
    let mut actions = Vec::new();
    bench.session.handle_timeout(Timestamp(now().0 + 100_000_000_000), &mut actions);
    assert!(actions.iter().any(|action| matches!(action, Action::Close(CloseReason::Idle))));
}

#[test]
fn the_third_bad_signature_ends_the_session() {
    let mut bench = Bench::new();
    let forged = |index: usize| {
        let text = frame("order.cancel", &[("symbol", "BTCUSDT"), ("orderId", &index.to_string())]);
        text.replace("\"orderId\":\"", "\"orderId\":\"1")
    };
    assert_eq!((bench.code(&forged(1)), bench.code(&forged(2)), bench.closed), (-1022, -1022, None));
    assert_eq!(bench.code(&frame("order.place", &LIMIT)), 0, "who is suspect may still sign well");
    assert_eq!(bench.code(&forged(3)), -1022);
    assert_eq!(bench.closed, Some(CloseReason::BadSignatures));
}

#[test]
fn suspects_get_their_share_of_the_processor_and_no_more() {
    let verifier = VerifierOptions { suspects: Rate { per_second: 1, burst: 2 }, ..VerifierOptions::default() };
    let mut bench = Bench::with_verifier(Mode::Run, SessionOptions::default(), 64, verifier);
    let order = |number: usize| {
        let id = format!("s{number}");
        frame("order.place", &limit_with(&[("newClientOrderId", &id)]))
    };
    let forged = order(0).replace("70000.1", "70000.2");
    assert_eq!(bench.code(&forged), -1022);
    let codes: Vec<i64> = (1..=4).map(|number| bench.code(&order(number))).collect();
    assert_eq!(codes, [0, 0, -1008, -1008], "good signatures of a suspect, too, are verified one by one");
    let counters = &bench.counters;
    assert_eq!((counters.untrusted_shed.value(), counters.signatures_refused.value()), (2, 1));
    assert_eq!(
        counters.all().iter().find(|(name, _)| *name == "signatures_accepted"),
        Some(&("signatures_accepted", 2))
    );
}

#[test]
fn who_has_proven_nothing_shares_no_batch() {
    let unproven = Rate { per_second: 1, burst: 2 };
    let verifier = VerifierOptions { unproven, ..VerifierOptions::default() };
    let mut bench = Bench::with_verifier(Mode::Run, SessionOptions::default(), 64, verifier);
    let order = |number: usize| frame("order.place", &limit_with(&[("newClientOrderId", &format!("u{number}"))]));
    let codes: Vec<i64> = (1..=3).map(|number| bench.code(&order(number))).collect();
    assert_eq!(codes, [0, 0, -1008], "none of them was answered yet");
    let (_, _, handle) = bench.pop_command();
    let rejected = ApiError::bad_request(-2010, "Account has insufficient balance for requested action.");
    let answered = bench.answer(ToSession::Answer { request: handle.request, outcome: Err(rejected) });
    assert_eq!(answered[0]["error"]["code"], -2010);
    assert_eq!(bench.code(&order(4)), 0, "even a reject says that the signature holds");
    assert_eq!(bench.counters.untrusted_shed.value(), 1);
}
