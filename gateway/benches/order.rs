//! What an order costs the gateway besides its signature: frame to canonical text and command, events to answer.
//!
//! `cargo bench -p lakh-gateway`. Thread CPU time, best of some passes; the verification itself is benched in
//! `gateway/peers`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench fails like a test, and prints")]

#[path = "../tests/common/mod.rs"]
mod common;
mod measure;

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use common::bench::limit_with;
use common::{api_key_of, directory, now, signing_key};
use lakh_engine::command::{Mode, OrderType, SelfTradeMode, Side, TimeInForce};
use lakh_engine::event::{Event, OrderAccepted, OrderRested};
use lakh_engine::ids::{AccountId, ClientId, MarketId, OrderId, Sequence};
use lakh_engine::units::{Atoms, Lots, Ticks, Timestamp};
use lakh_gateway::client::sign_params;
use lakh_gateway::hand_over::{AnswerShape, Output, RequestHandle, SessionHandle, ToSession};
use lakh_gateway::key_budgets::{KeyBudgets, KeyLimits};
use lakh_gateway::limits::{Rate, TokenBucket};
use lakh_gateway::publisher::{Publisher, PublisherOptions};
use lakh_gateway::session::{Action, Session, SessionContext, SessionOptions};
use measure::{Scale, thread_cpu_ns};

const ORDERS: u64 = 20_000;
/// Frames between two looks at the clock, which costs a few hundred nanoseconds itself.
const CHUNK: u64 = 250;

/// The best of some passes, in nanoseconds an order.
fn best(name: &str, scale: Scale, mut pass: impl FnMut() -> u64) {
    let time = (0..scale.passes()).map(|_| pass()).min().unwrap();
    println!("{name:<52} {:>6} ns an order", time / scale.of(ORDERS));
}

fn frames() -> Vec<String> {
    let time = now().milliseconds().to_string();
    let key = signing_key();
    let frame = |number| {
        let id = format!("bench-{number}");
        let params = limit_with(&[("newClientOrderId", &id), ("timestamp", &time), ("recvWindow", "60000")]);
        format!(
            r#"{{"id":{number},"method":"order.place","params":{}}}"#,
            sign_params(&key, &api_key_of(&key), &params)
        )
    };
    // A few hundred different ones: signing each of them is what takes time here.
    (0..500).map(frame).collect()
}

/// Frames to submissions: scan, check, canonical text, command.
fn decode(frames: &[String], scale: Scale) {
    let options = SessionOptions { in_flight: 256, ..SessionOptions::default() };
    let (key_budgets, counters) = (Arc::new(KeyBudgets::new(KeyLimits::default())), Arc::default());
    let (directory, presence, started_at) = (directory(Mode::Run), Arc::default(), Timestamp(0));
    let context = SessionContext { directory, options, key_budgets, counters, presence, started_at };
    let rate = Rate { per_second: 1_000_000_000, burst: 1_000_000_000 };
    let address = Arc::new(TokenBucket::new(rate));
    let context = Arc::new(SessionContext { options: SessionOptions { requests: rate, ..context.options }, ..context });
    let mut actions = Vec::new();
    best("frame to submission (scan, canonical text, command)", scale, || {
        let mut session = Session::api(Arc::clone(&context), Arc::clone(&address), now());
        let mut spent = 0;
        for chunk in 0..scale.of(ORDERS).div_ceil(CHUNK) {
            let first = usize::try_from(chunk * CHUNK).unwrap() % frames.len();
            let time = now();
            let begin = thread_cpu_ns();
            for frame in &frames[first..first + usize::try_from(CHUNK).unwrap()] {
                session.handle_frame(frame, time, &mut actions);
            }
            spent += thread_cpu_ns() - begin;
            for action in actions.drain(..) {
                let Action::Submit(submission) = action else { panic!("{action:?}") };
                let answer = ToSession::Answer { request: submission.request, outcome: Ok(Bytes::new()) };
                session.handle_answer(answer, time, &mut Vec::new());
            }
        }
        spent
    });
}

/// Events to the bytes of the response: read models, answer, envelope.
fn encode(scale: Scale) {
    for (name, shape) in [("ACK", AnswerShape::OrderAck), ("FULL", AnswerShape::OrderFull)] {
        best(&format!("events of a resting order to its answer, {name}"), scale, || {
            let mut publisher = Publisher::new(PublisherOptions::default(), directory(Mode::Run));
            let (session, mut outbox) = SessionHandle::new(8);
            let begin = thread_cpu_ns();
            for number in 1..=scale.of(ORDERS) {
                let handle = RequestHandle { session: session.clone(), request: 1, shape };
                let timestamp = Timestamp(1_700_000_000_000_000_000 + number);
                let sequence = Sequence(number);
                let spent = Bytes::new();
                let handle = Some(handle);
                publisher.handle_output(Output::Applied { sequence, timestamp, event_count: 2, handle, spent });
                for event in resting(number) {
                    publisher.handle_output(Output::Event(event));
                }
                black_box(outbox.try_recv().unwrap());
            }
            thread_cpu_ns() - begin
        });
    }
}

fn resting(number: u64) -> [Event; 2] {
    let (account, market) = (AccountId(5), MarketId(0));
    let order = OrderId::new(Sequence(number), 0);
    let price = Ticks(7_000_000 + number % 200);
    let quantity = Lots(1_000);
    let accepted = Event::OrderAccepted(OrderAccepted {
        account,
        report_sequence: number,
        market,
        order,
        client_id: ClientId::new(&format!("bench-{number}")).unwrap(),
        side: Side::Ask,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::GoodTillCancel,
        self_trade_mode: SelfTradeMode::ExpireMaker,
        price,
        quantity,
        display_quantity: Lots::ZERO,
        quote_budget: Atoms::ZERO,
        trigger_price: Ticks::ZERO,
        expires_at: Timestamp::ZERO,
    });
    let side = Side::Ask;
    let rested = OrderRested { account, market, order, side, price, remaining: quantity, feed_sequence: number };
    [accepted, Event::OrderRested(rested)]
}

fn main() {
    let scale = Scale::asked();
    decode(&frames(), scale);
    encode(scale);
}
