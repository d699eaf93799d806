//! What protects an account: the dead man's switch, cancel on disconnect, self-trade groups, narrower keys.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic, its helpers included")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::bench::{Bench, frame};
use common::venue::Venue;
use common::{now, register, signing_key};
use ed25519_dalek::SigningKey;
use lakh_engine::command::{DisconnectMode, KeyLimits, KeyScope, Operation};
use lakh_engine::ids::{AccountId, AssetId, KeyId, MarketId};
use lakh_engine::units::{Atoms, Timestamp};
use lakh_gateway::api_error::ApiError;
use lakh_gateway::client::Client;
use lakh_gateway::hand_over::{AnswerShape, ToSession};
use lakh_gateway::session::{Action, CloseReason};

/// What a request of this method asks, once it has been held against its evidence.
fn operation(bench: &mut Bench, method: &str, params: &[(&str, &str)]) -> (Operation, AnswerShape, u32) {
    let mut params = params.to_vec();
    params.push(("method", method));
    assert_eq!(bench.code(&frame(method, &params)), 0, "{method}");
    let (command, evidence, handle) = bench.pop_command();
    bench.audit(command, &evidence);
    (command.operation, handle.shape, handle.request)
}

fn done(bench: &mut Bench, request: u32) {
    bench.answer(ToSession::Answer { request, outcome: Ok(Bytes::from_static(b"{}")) });
}

#[test]
fn the_dead_mans_switch_is_set_and_taken_off() {
    let mut bench = Bench::new();
    let method = "openOrders.cancelAllAfter";
    for (countdown, timeout_ms) in [("60000", 60_000), ("0", 0), ("1000", 1_000), ("86400000", 86_400_000)] {
        let (operation, shape, _) = operation(&mut bench, method, &[("countdownTime", countdown)]);
        assert_eq!((operation, shape), (Operation::CancelAllAfter { timeout_ms }, AnswerShape::TimerSet));
    }
    for (countdown, code) in [("999", -1130), ("86400001", -1130), ("1e3", -1100), ("", -1102)] {
        let params = [("method", method), ("countdownTime", countdown)];
        assert_eq!(bench.code(&frame(method, &params)), code, "{countdown}");
    }
    assert_eq!(bench.code(&frame(method, &[("countdownTime", "60000")])), -1102, "the text has to name its method");
    assert_eq!(bench.code(&frame(method, &[("method", "order.cancel"), ("countdownTime", "60000")])), -1130);
}

#[test]
fn groups_and_keys_are_changed_by_texts_that_say_so() {
    let mut bench = Bench::new();
    let (group, ..) = operation(&mut bench, "account.selfTradeGroup", &[("group", "4")]);
    assert_eq!(group, Operation::SetSelfTradeGroup { group: AccountId(4) });
    let (invite, ..) = operation(&mut bench, "account.inviteToSelfTradeGroup", &[("account", "7")]);
    assert_eq!(invite, Operation::InviteToSelfTradeGroup { invited: AccountId(7) });
    let own = hex(&signing_key());
    let params = [("publicKey", own.as_str()), ("operations", "PLACE,CANCEL"), ("symbol", "BTCUSDT")];
    let scope = KeyScope { operations: KeyScope::PLACE | KeyScope::CANCEL, market: Some(MarketId(0)), account: None };
    assert_eq!(operation(&mut bench, "key.narrow", &params).0, Operation::NarrowKey { key: KeyId(3), scope });
    // A key for drop copies and dashboards: it may do nothing but read.
    let reader = KeyScope { operations: 0, market: None, account: None };
    let (narrow, ..) = operation(&mut bench, "key.narrow", &[("publicKey", &own), ("operations", "NONE")]);
    assert_eq!(narrow, Operation::NarrowKey { key: KeyId(3), scope: reader });
    let stranger = SigningKey::from_bytes(&[8; 32]);
    register(&bench.directory, KeyId(8), AccountId(8), stranger.verifying_key().as_bytes());
    let others = hex(&stranger);
    for (key, operations, code) in [
        (own.as_str(), "NONE,PLACE", -1130),
        (own.as_str(), "PLACE,NONE", -1130),
        (others.as_str(), "PLACE", -1130),
        ("00", "PLACE", -1100),
        (own.as_str(), "PLACE,WITHDRAW", -1130),
        (own.as_str(), "", -1102),
    ] {
        let params = [("method", "key.narrow"), ("publicKey", key), ("operations", operations)];
        assert_eq!(bench.code(&frame("key.narrow", &params)), code, "{key} {operations}");
    }
    for method in ["account.selfTradeGroup", "account.inviteToSelfTradeGroup", "key.narrow", "key.limit"] {
        assert_eq!(bench.code(&frame(method, &params)), -1102, "{method} without its name in the text");
    }
}

/// The key's bytes as an api key ends.
fn hex(key: &SigningKey) -> String {
    key.verifying_key().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_key_is_limited_by_a_text_that_says_so() {
    let mut bench = Bench::new();
    let own = hex(&signing_key());
    let stranger = SigningKey::from_bytes(&[8; 32]);
    register(&bench.directory, KeyId(8), AccountId(8), stranger.verifying_key().as_bytes());
    let others = hex(&stranger);
    let usdt = AssetId(1);
    for (changes, limits) in [
        (vec![("priceBand", "0.05")], KeyLimits { price_band: 50_000, ..KeyLimits::NONE }),
        (
            vec![("notionalPerDay", "1000.5"), ("asset", "USDT")],
            KeyLimits { notional_per_day: Atoms(100_050_000_000), quote: usdt, price_band: 0 },
        ),
        (vec![], KeyLimits::NONE),
    ] {
        let named: Vec<_> = [("publicKey", own.as_str())].into_iter().chain(changes).collect();
        assert_eq!(operation(&mut bench, "key.limit", &named).0, Operation::LimitKey { key: KeyId(3), limits });
    }
    for (name, value, code) in [
        ("notionalPerDay", "1", -1102),
        ("asset", "USDT", -1106),
        ("priceBand", "0.0000001", -1111),
        ("priceBand", "x", -1100),
        ("publicKey", others.as_str(), -1130),
    ] {
        let params = [("method", "key.limit"), ("publicKey", own.as_str()), (name, value)];
        let params = if name == "publicKey" { &params[..1] } else { &params[..] };
        let params: Vec<_> = params.iter().copied().chain((name == "publicKey").then_some((name, value))).collect();
        assert_eq!(bench.code(&frame("key.limit", &params)), code, "{name} {value}");
    }
}

#[test]
fn a_session_that_asked_for_it_takes_the_orders_with_it() {
    let mut bench = Bench::new();
    let method = "session.cancelOnDisconnect";
    assert_eq!(bench.session.end(), [], "nobody has asked for anything");
    let (on, shape, request) = operation(&mut bench, method, &[("enabled", "true")]);
    assert_eq!((on, shape), (Operation::SetDisconnectMode { mode: DisconnectMode::CancelAll }, AnswerShape::Done));
    done(&mut bench, request);
    assert_eq!(bench.session.end(), [AccountId(5)]);
    assert_eq!(bench.session.end(), [], "it is said once");

    // Whoever is gone before the answer comes has asked all the same.
    operation(&mut bench, method, &[("enabled", "True")]);
    assert_eq!(bench.session.end(), [AccountId(5)]);

    let (.., request) = operation(&mut bench, method, &[("enabled", "true")]);
    done(&mut bench, request);
    let (off, _, request) = operation(&mut bench, method, &[("enabled", "false")]);
    assert_eq!(off, Operation::SetDisconnectMode { mode: DisconnectMode::Keep });
    let refused = ToSession::Answer { request, outcome: Err(ApiError::bad_request(-2015, "no")) };
    bench.answer(refused);
    let (.., request) = operation(&mut bench, method, &[("enabled", "false"), ("note", "again")]);
    done(&mut bench, request);
    assert_eq!(bench.session.end(), []);
    assert_eq!(bench.code(&frame(method, &[("enabled", "true")])), -1102, "the text has to name its method");
    assert_eq!(bench.code(&frame(method, &[("method", method)])), -1102);
}

#[test]
fn only_the_last_of_several_sessions_counts() {
    let mut first = Bench::new();
    let mut second = Bench::with_context(first.context.clone());
    for bench in [&mut first, &mut second] {
        let (.., request) = operation(bench, "session.cancelOnDisconnect", &[("enabled", "true")]);
        done(bench, request);
    }
    assert_eq!(first.session.end(), []);
    assert_eq!(second.session.end(), [AccountId(5)]);
}

async fn ask(venue: &Venue) -> Client {
    let mut client = venue.client().await;
    let method = "session.cancelOnDisconnect";
    client.send(&frame(method, &[("method", method), ("enabled", "true")])).await.unwrap();
    client.flush().await.unwrap();
    client.next().await.unwrap();
    client
}

const ENDED: &str = "SessionEnded { account: AccountId(5) }";

/// A close, a socket that is simply gone, and a network that says nothing any more.
#[tokio::test]
async fn however_a_connection_ends_the_sequencer_hears_of_it() {
    let venue = Venue::start(|options| {
        options.session.ping_interval_ns = 300_000_000;
        options.session.idle_timeout_ns = 1_000_000_000;
    })
    .await;
    let counters = venue.gateway.counters();
    let ended = async |count| {
        for _ in 0..1_000 {
            if counters.sessions_ended.value() == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} of {count} ends were told", counters.sessions_ended.value());
    };
    drop(ask(&venue).await);
    ended(1).await;
    // Held, and never read again: no ping is answered.
    let silent = ask(&venue).await;
    ended(2).await;
    drop(silent);
    let open = ask(&venue).await;
    let seen = venue.end().await;
    assert_eq!(seen.iter().filter(|name| *name == ENDED).count(), 3, "a stop of the venue is the third: {seen:?}");
    drop(open);
}

#[test]
fn nothing_heard_for_too_long_ends_the_session() {
    let mut bench = Bench::new();
    let mut actions = Vec::new();
    bench.session.handle_timeout(Timestamp(now().0 + 61_000_000_000), &mut actions);
    assert!(actions.iter().any(|action| matches!(action, Action::Close(CloseReason::Idle))));
}
